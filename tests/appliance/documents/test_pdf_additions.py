"""What is added to a PDF: comments, text typed on top, stamps, embedded files; hostile numbers of all of them."""

import time

import pytest

from appliance.documents.document_text import ReadText, read_document
from tests.appliance.documents.hostile_documents import stream
from tests.appliance.documents.pdf_files import drawing, page_pdf, shown

TEXT = shown((20, 300, "Total: 300.00 EUR"))


def annotated(*annotations: bytes, objects: dict[int, bytes] | None = None) -> bytes:
    numbers = range(10, 10 + len(annotations))
    listed = b" ".join(b"%d 0 R" % number for number in numbers)
    made = {
        number: b"<< /Type /Annot /Rect [20 200 200 220] %s >>" % one
        for number, one in zip(numbers, annotations, strict=True)
    }
    return page_pdf(TEXT, page=b"/Annots [%s]" % listed, objects={**made, **(objects or {})})


@pytest.mark.parametrize(
    ("annotation", "line"),
    [
        (b"/Subtype /Text /T (Ann) /Contents (pay by Friday)", "[comment by Ann] pay by Friday"),
        (b"/Subtype /Highlight /Contents (check\\rthis)", "[comment] check this"),
        (b"/Subtype /FreeText /Contents (typed on top)", "typed on top"),
        (b"/Subtype /Stamp /Name /Approved", "Approved"),
        (b"/Subtype /FreeText /RC (<body><p>formatted</p></body>)", "formatted"),
        (b"/Subtype /Text /RC (<body><p>see below</p></body>)", "[comment] see below"),
        (b"/Subtype /Watermark /AP << /N 90 0 R >>", "drawn"),
        (b"/Subtype /OwnKind /AP << /N 90 0 R >>", "drawn"),
        (b"/Subtype /StrikeOut /T (Bo) /Contents (not any more)", "[comment by Bo] not any more"),
    ],
    ids=["note", "highlight", "typed", "stamp", "formatted", "formatted note", "watermark", "own kind", "struck"],
)
def test_what_annotations_say_is_read(annotation: bytes, line: str) -> None:
    objects = {90: drawing(b"BT /F1 9 Tf 2 5 Td (drawn) Tj ET")}
    assert read_document(annotated(annotation, objects=objects)).text.splitlines() == ["Total: 300.00 EUR", line]


@pytest.mark.parametrize(
    ("annotation", "note"),
    [
        (b"/Subtype /Redact", "1 passage marked to be blacked out, but still there"),
        (b"/Subtype /RichMedia", "1 sound, film or model not read"),
        (b"/Subtype /Text /F 2 /Contents (hidden)", "hidden text was left out: 1 hidden field"),
    ],
)
def test_what_annotations_hold_besides_text_is_noted(annotation: bytes, note: str) -> None:
    document = read_document(annotated(annotation))
    assert document.text.splitlines() == ["Total: 300.00 EUR"]
    assert document.notes == [note]


def with_file(name: bytes, data: bytes, more: bytes = b"") -> bytes:
    """A PDF that holds a file."""
    objects = {
        10: b"<< /Type /Filespec /F (%s) /UF (%s) /EF << /F 11 0 R >> >>" % (name, name),
        11: stream(data, b"/Type /EmbeddedFile"),
    }
    catalog = b"/Names << /EmbeddedFiles << /Names [(%s) 10 0 R] >> >> %s" % (name, more)
    return page_pdf(TEXT, catalog=catalog, objects=objects)


def read_lines(data: bytes) -> tuple[list[str], ReadText]:
    document = read_document(data)
    return [line for line in document.text.splitlines() if line], document


def test_files_of_a_portfolio_follow_its_cover() -> None:
    data = with_file(b"order.txt", b"Order 4711\n", b"/Collection << /Type /Collection >>")
    lines, document = read_lines(data)
    assert lines == ["Total: 300.00 EUR", "Attachment: order.txt", "Order 4711"]
    assert document.notes == ["attachment order.txt: read as text"]


def test_embedded_file_that_is_not_read_is_named() -> None:
    lines, document = read_lines(with_file(b"data.xml", b"<?xml version='1.0'?><order/>"))
    assert lines == ["Total: 300.00 EUR", "Attachment: data.xml"]
    assert document.notes == ["attachment data.xml: left out: this is XML that is no web page, which is not read"]


def test_file_pinned_to_a_page_is_read_once() -> None:
    objects = {
        20: b"<< /Type /Filespec /F (a.txt) /EF << /F 21 0 R >> >>",
        21: stream(b"pinned", b"/Type /EmbeddedFile"),
    }
    pin = b"/Subtype /FileAttachment /FS 20 0 R"
    lines, _ = read_lines(annotated(pin, pin, objects=objects))
    assert lines == ["Total: 300.00 EUR", "Attachment: a.txt", "pinned"]


def test_file_that_belongs_to_the_document_or_a_page_is_read_once() -> None:
    objects = {
        20: b"<< /Type /Filespec /UF (a.txt) /EF << /F 21 0 R >> >>",
        21: stream(b"the data", b"/Type /EmbeddedFile"),
    }
    lines, _ = read_lines(page_pdf(TEXT, catalog=b"/AF [20 0 R]", page=b"/AF [20 0 R]", objects=objects))
    assert lines == ["Total: 300.00 EUR", "Attachment: a.txt", "the data"]


def test_pdf_in_pdf_in_pdf_ends() -> None:
    data = with_file(b"a.txt", b"innermost")
    for _ in range(8):
        data = with_file(b"a.pdf", data)
    document = read_document(data)
    assert document.text.count("Attachment: a.pdf") <= 5
    assert any("nested too deeply" in note for note in document.notes)


@pytest.mark.parametrize(
    "data",
    [
        annotated(*[b"/Subtype /Text /Contents (x)"] * 1000),
        annotated(*[b"/Subtype /Widget /FT /Tx /V (x) /T (a%d)" % number for number in range(1000)]),
        annotated(
            *[b"/Subtype /Widget /FT /Tx /V (x) /AP << /N 9000 0 R >> /T (a%d)" % number for number in range(1000)],
            objects={9000: drawing(b"BT /F1 9 Tf 2 5 Td (y) Tj ET")},
        ),
        page_pdf(b"1 g " + shown(*[(20, 300, "x")] * 1000)),
        page_pdf(b"0.8 g " + b"0 0 400 400 re f " * 500 + b"0 g " + TEXT * 1000),
        page_pdf(
            TEXT,
            catalog=b"/OCProperties << /OCGs [10 0 R] /D << /OFF [10 0 R] >> >>",
            objects={10: b"<< /Type /OCG >>"}
            | {n: b"<< /Type /OCMD /VE [/And %d 0 R %d 0 R] >>" % (n + 1, n + 1) for n in range(11, 2000)},
        ),
    ],
    ids=["comments", "fields", "drawn fields", "white texts", "areas", "conditions"],
)
def test_great_numbers_end_in_time(data: bytes) -> None:
    started = time.process_time()
    document = read_document(data) if b"1 g " not in data else None
    assert document is None or "300.00" in document.text
    assert time.process_time() - started < 5


def test_second_pdf_behind_the_first_is_noted() -> None:
    first, second = page_pdf(shown((10, 300, "one"))), page_pdf(shown((10, 300, "two")))
    note = "the file holds several PDFs in a row, of which one was read"
    assert read_document(first).notes == []
    assert read_document(first + b"\n" + second).notes == [note]
