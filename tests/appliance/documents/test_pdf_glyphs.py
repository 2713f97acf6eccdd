"""Fonts that do not say which characters their glyphs are: noticed, never garbage in silence."""

import pytest

from appliance.documents import pdf as pdf_reader
from appliance.documents.document_text import read_document
from appliance.documents.problems import DocumentError, Problem
from tests.appliance.documents.hostile_documents import stream
from tests.appliance.documents.pdf_files import page_pdf, shown

GLYPH = stream(b"500 0 0 0 500 500 d1 0 0 500 500 re f")
TYPE0 = (
    b"<< /Type /Font /Subtype /Type0 /BaseFont /Some /Encoding /Identity-H /DescendantFonts [<< /Type /Font"
    b" /Subtype /CIDFontType2 /BaseFont /Some /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"
    b" /FontDescriptor << /Type /FontDescriptor /FontName /Some /Flags 4 >> /DW 600 >>] >>"
)


def drawn_letters(first: int, *names: bytes) -> bytes:
    """A font whose glyphs are drawings."""
    listed = b" ".join(b"/" + name for name in names)
    drawings = b" ".join(b"/%s 11 0 R" % name for name in names)
    return (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 500 500] /FontMatrix [.001 0 0 .001 0 0] /FirstChar %d"
        b" /LastChar %d /Widths [%s] /CharProcs << %s >> /Encoding << /Differences [%d %s] >> /Resources << >> >>"
    ) % (first, first + len(names) - 1, b"500 " * len(names), drawings, first, listed)


def mapped(*targets: bytes) -> dict[int, bytes]:
    """A font with a table of characters, from the letter a on."""
    lines = b" ".join(b"<%02X> <%s>" % (97 + number, target) for number, target in enumerate(targets))
    table = (
        b"/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange"
        b" %d beginbfchar %s endbfchar endcmap end"
    ) % (len(targets), lines)
    return {10: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 11 0 R >>", 11: stream(table)}


def page(operator: bytes, objects: dict[int, bytes], more: bytes = b"") -> bytes:
    data = page_pdf(b"BT /F2 12 Tf 20 200 Td %s Tj ET %s" % (operator, more), objects=objects)
    return data.replace(b"/F1 5 0 R >>", b"/F1 5 0 R /F2 10 0 R >>")


@pytest.mark.parametrize(
    ("operator", "objects"),
    [
        (b"<010203>", {10: drawn_letters(1, b"g1", b"g2", b"g3"), 11: GLYPH}),
        (b"<00240025002600270028>", {10: TYPE0}),
        (b"(abc)", mapped(b"FFFD", b"FFFD", b"FFFD")),
        (b"(abc)", mapped(b"0000", b"0000", b"0000")),
        (b"(abc)", mapped(b"0001", b"0005", b"0006")),
        (b"(abc)", mapped(b"E001", b"E002", b"E003")),
    ],
    ids=["drawn", "numbers of glyphs", "unknown", "zero", "control", "private"],
)
def test_text_of_unknown_letters_alone_is_refused(
    operator: bytes, objects: dict[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf_reader, "recognition_is_installed", lambda: False)
    with pytest.raises(DocumentError) as caught:
        read_document(page(operator, objects))
    assert caught.value.problem is Problem.UNREADABLE
    assert "do not say which characters" in caught.value.message


def test_unknown_letters_among_others_are_counted() -> None:
    data = page(b"(ab)", mapped(b"E001", b"FFFD"), shown((20, 300, "Total: 418.60 EUR and more")))
    assert read_document(data).notes == ["2 characters unknown: the font does not say which it is"]


def test_letters_read_by_their_codes_are_counted() -> None:
    document = read_document(page(b"(total)", {10: drawn_letters(97, *[b"g%d" % n for n in range(26)]), 11: GLYPH}))
    assert document.text.strip() == "total"
    assert document.notes == ["5 characters read by the code, as the font does not say which it is"]


def test_marks_of_lists_are_no_unknown_letters() -> None:
    document = read_document(page(b"(a)", mapped(b"F0B7"), shown((40, 200, "first"))))
    assert document.notes == []
    assert document.text.split() == ["\N{BULLET}", "first"]


@pytest.mark.parametrize(
    ("operators", "text"),
    [
        (b"/F1 14 Tf (Price 19) Tj 5 Ts /F1 8 Tf (99) Tj 0 Ts /F1 14 Tf ( EUR) Tj", "Price 19⁹⁹ EUR"),
        (b"/F1 1 Tf 14 0 0 14 9 300 Tm (19) Tj 8 0 0 8 25 305 Tm (99) Tj", "19⁹⁹"),
        (b"/F1 14 Tf (19,) Tj 4 Ts /F1 8 Tf (99) Tj", "19,99"), (b"/F1 14 Tf (19) Tj 5 Ts (99) Tj", "1999"),
        (b"/F1 14 Tf (19) Tj /F1 8 Tf (99) Tj", "1999"), (b"/F1 14 Tf (19) Tj -2 Ts /F1 8 Tf (99) Tj", "1999"),
    ],
    ids=["raised", "by-matrix", "behind-a-comma", "of-one-size", "small-on-the-line", "lowered"],
)  # fmt: skip
def test_small_digits_above_a_number_are_no_part_of_it(operators: bytes, text: str) -> None:
    assert read_document(page_pdf(b"BT 1 0 0 1 9 300 Tm " + operators + b" ET")).text.strip() == text
