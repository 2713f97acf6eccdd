"""Forms in PDF files: what was filled in is read at its place, whatever is drawn for it."""

import pytest

from appliance.documents.document_text import ReadText, read_document
from tests.appliance.documents.pdf_files import drawing, form_pdf, page_pdf, shown

LABELS = shown((20, 300, "Name:"), (20, 270, "Total:"))
AT_NAME, AT_TOTAL = b"/Rect [100 295 300 315]", b"/Rect [100 265 300 285]"


def lines(document: ReadText) -> list[str]:
    return [" ".join(line.split()) for line in document.text.splitlines()]


@pytest.mark.parametrize("form", [b"", b"/NeedAppearances true"], ids=["as drawn", "to be drawn anew"])
@pytest.mark.parametrize("drawn", [None, b"", b"BT /F1 9 Tf 2 5 Td (enter a name) Tj ET"], ids=["no", "blank", "stale"])
def test_value_of_a_text_field_stands_beside_its_label(drawn: bytes | None, form: bytes) -> None:
    appearance = b"" if drawn is None else b"/AP << /N 100 0 R >>"
    field = b"/FT /Tx /T (name) /V (Ilse Brandvik) %s %s" % (AT_NAME, appearance)
    document = read_document(form_pdf(LABELS, field, form=form, objects={100: drawing(drawn or b"")}))
    assert lines(document) == ["Name: Ilse Brandvik", "Total:"]
    assert any("something else than its value" in note for note in document.notes) == bool(drawn)


def test_amount_is_read_as_it_is_written_out_in_its_field() -> None:
    field = b"/FT /Tx /V (1234.5) /AP << /N 100 0 R >> " + AT_TOTAL
    objects = {100: drawing(b"BT /F1 9 Tf 2 5 Td (1,234.50 EUR) Tj ET")}
    document = read_document(form_pdf(LABELS, field, objects=objects))
    assert lines(document) == ["Name:", "Total: 1,234.50 EUR"]
    assert document.notes == []


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"/FT /Tx /Ff 4096 /V (14 Orchard Lane\\rHull)", ["14 Orchard Lane", "Hull"]),
        (b"/FT /Tx /Ff 16777216 /MaxLen 8 /V (AB 12345)", ["AB 12345"]),
        (b"/FT /Tx /V <FEFF015A00F3014207070020017C> ", ["\u015a\xf3\u0142\u0707 \u017c"]),
        (b"/FT /Tx /V 100 0 R", ["from a stream"]),
        (b"/FT /Tx /V (5\\240 \\205 M\\374ller)", ["5\u20ac \u2013 M\xfcller"]),
        (b"/FT /Tx /V 1250.5", ["1250.5"]),
        (b"/FT /Tx /RV (<body><p>one</p><p>two</p></body>)", ["one", "two"]),
        (b"/FT /Ch /Ff 131072 /Opt [[(se) (Sweden)] [(no) (Norway)]] /V (se)", ["Sweden"]),
        (b"/FT /Ch /Ff 131072 /Opt [(Sweden)] /V (somewhere else)", ["somewhere else"]),
        (b"/FT /Ch /Ff 2097152 /Opt [(red) (green) (blue)] /V [(red) (blue)]", ["red", "blue"]),
    ],
    ids=[
        "lines",
        "comb",
        "utf-16",
        "stream",
        "own letters",
        "number",
        "formatted",
        "export value",
        "typed in",
        "several",
    ],
)
def test_values_of_all_kinds_of_fields_are_read(value: bytes, read: list[str]) -> None:
    objects = {100: b"<< /Length 13 >>\nstream\nfrom a stream\nendstream"}
    document = read_document(form_pdf(shown((20, 340, "Form")), value + AT_NAME, objects=objects))
    assert lines(document) == ["Form", *read]


def test_value_is_inherited_from_the_field_above() -> None:
    widgets = [b"/Parent 100 0 R " + AT_NAME, b"/Parent 100 0 R " + AT_TOTAL]
    objects = {100: b"<< /FT /Tx /T (name) /V (Ilse) /Kids [10 0 R 11 0 R] >>"}
    assert lines(read_document(form_pdf(LABELS, *widgets, objects=objects))) == ["Name: Ilse", "Total: Ilse"]


def test_value_written_onto_a_line_of_dots_takes_their_place() -> None:
    field = b"/FT /Tx /V (Ilse) /Rect [55 295 140 310]"
    document = read_document(form_pdf(shown((20, 300, "Name: ______________ Date: today")), field))
    assert lines(document) == ["Name: Ilse Date: today"]


def boxes(states: tuple[bytes, ...], more: bytes = b"") -> bytes:
    """The options Yes and No of two questions, each with its box before it."""
    contents = shown((20, 300, "Pets:"), (100, 300, "Yes"), (200, 300, "No"), (20, 270, "Smoker:"))
    contents += shown((100, 270, "Yes"), (200, 270, "No"))
    places = (b"[84 299 96 311]", b"[184 299 196 311]", b"[84 269 96 281]", b"[184 269 196 281]")
    widgets = [
        b"/FT /Btn /Rect %s /AP << /N << /On 100 0 R /Off 101 0 R >> >> %s %s" % (place, state, more)
        for place, state in zip(places, states, strict=True)
    ]
    return form_pdf(contents, *widgets, objects={100: drawing(b"BT /F1 9 Tf 2 2 Td (X) Tj ET"), 101: drawing(b"")})


@pytest.mark.parametrize(
    "states",
    [
        (b"/AS /Off", b"/AS /On", b"/AS /On", b"/AS /Off"),
        (b"/V /Off", b"/V /On", b"/V /On", b""),
        (b"/V /Off /AS /Off", b"/V /On /AS /Off", b"/V (On)", b"/V /Off"),
    ],
    ids=["drawn state", "value alone", "value that is not drawn"],
)
def test_marks_stand_on_the_line_of_their_option(states: tuple[bytes, ...]) -> None:
    assert lines(read_document(boxes(states))) == ["Pets: [ ] Yes [x] No", "Smoker: [x] Yes [ ] No"]


def test_one_of_several_round_boxes_is_marked() -> None:
    states = (b"/Parent 102 0 R",) * 4
    names = {102: b"<< /FT /Btn /Ff 32768 /V /Two /Kids [10 0 R 11 0 R] >>"}
    contents = shown((20, 300, "Size:"), (100, 300, "small"), (200, 300, "large"))
    widgets = [
        b"/Rect [%d 299 %d 311] /AS /Off /AP << /N << /%s 100 0 R >> >> %s" % (x, x + 12, name, state)
        for x, name, state in ((84, b"One", states[0]), (184, b"Two", states[1]))
    ]
    data = form_pdf(contents, *widgets, objects={100: drawing(b""), **names})
    assert lines(read_document(data)) == ["Size: [ ] small [x] large"]


def test_hidden_and_secret_fields_are_left_out_with_a_note() -> None:
    fields = [
        b"/FT /Tx /V (for scripts) /F 2 " + AT_NAME,
        b"/FT /Tx /V (not on screens) /F 32 " + AT_TOTAL,
        b"/FT /Tx /Ff 8192 /V (open sesame) /Rect [100 235 300 255]",
    ]
    data = form_pdf(LABELS, *fields).replace(b"/Subtype /Widget /F 4 /FT", b"/Subtype /Widget /FT")
    document = read_document(data)
    assert lines(document) == ["Name:", "Total:"]
    assert document.notes == ["1 filled password field left out", "hidden text was left out: 2 hidden fields"]


def test_value_of_a_turned_page_stands_beside_its_label() -> None:
    contents = b"q 0 1 -1 0 400 0 cm " + shown((20, 300, "Name:"), (20, 270, "Total:")) + b"Q"
    data = form_pdf(contents, b"/FT /Tx /V (Ilse) /Rect [85 100 105 300]").replace(
        b"/MediaBox [0 0 400 400]", b"/MediaBox [0 0 400 400] /Rotate 90"
    )
    assert lines(read_document(data)) == ["Name: Ilse", "Total:"]


def test_filled_field_without_a_place_is_noted() -> None:
    data = page_pdf(
        LABELS, catalog=b"/AcroForm << /Fields [10 0 R] >>", objects={10: b"<< /FT /Tx /T (x) /V (nowhere) >>"}
    )
    assert read_document(data).notes == ["1 filled form field left out: they have no place on a page"]


def test_fields_in_a_circle_and_in_great_number_end() -> None:
    circle = b"/FT /Tx /Parent 100 0 R /V 100 0 R " + AT_NAME
    objects = {100: b"<< /Parent 100 0 R /Kids [100 0 R 10 0 R] >>"}
    objects |= {number: b"<< /FT /Tx /V (x) /T (f%d) >>" % number for number in range(101, 3000)}
    catalog = b"".join(b"%d 0 R " % number for number in range(100, 3000))
    data = form_pdf(LABELS, circle, objects=objects).replace(b"/Fields [10 0 R]", b"/Fields [" + catalog + b"]")
    assert lines(read_document(data)) == ["Name:", "Total:"]


XFA_DATA = (
    b"<xfa:datasets xmlns:xfa='http://www.xfa.org/schema/xfa-data/1.0/'><xfa:data><claim><who>Rosa Quendt</who>"
    b"<amount>932.40</amount><empty/></claim></xfa:data></xfa:datasets>"
)
XFA_TEMPLATE = (
    b"<template xmlns='http://www.xfa.org/schema/xfa-template/3.0/'><subform><field name='who'><caption><value>"
    b"<text>Claimant:</text></value></caption></field></subform></template>"
)


def xfa_pdf(contents: bytes, packets: list[tuple[bytes, bytes]], more: bytes = b"/NeedsRendering true") -> bytes:
    listed = b" ".join(b"(%s) %d 0 R" % (name, 10 + number) for number, (name, _) in enumerate(packets))
    objects = {
        10 + number: b"<< /Length %d >>\nstream\n%s\nendstream" % (len(data), data)
        for number, (_, data) in enumerate(packets)
    }
    return page_pdf(contents, catalog=b"/AcroForm << /Fields [] /XFA [%s] >> %s" % (listed, more), objects=objects)


def test_data_of_an_xml_form_is_read_in_place_of_its_placeholder() -> None:
    packets = [
        (b"xdp:xdp", b"<xdp:xdp xmlns:xdp='http://ns.adobe.com/xdp/'>"), (b"template", XFA_TEMPLATE),
        (b"datasets", XFA_DATA), (b"</xdp:xdp>", b"</xdp:xdp>"),
    ]  # fmt: skip
    document = read_document(xfa_pdf(shown((20, 300, "Please wait...")), packets))
    assert document.text.splitlines() == ["Claimant: Rosa Quendt", "amount: 932.40"]
    assert "1 page left out: a placeholder for the form" in document.notes


def test_xml_form_that_the_pages_show_is_read_from_them() -> None:
    contents = shown((20, 300, "Claimant: Rosa Quendt"), (20, 270, "Amount: 932.40"))
    document = read_document(xfa_pdf(contents, [(b"datasets", XFA_DATA)], b""))
    assert lines(document) == ["Claimant: Rosa Quendt", "Amount: 932.40"]
    assert document.notes == []


@pytest.mark.parametrize("packet", [b"<broken", b"<!DOCTYPE a [<!ENTITY b 'c'>]><datasets/>"], ids=["cut", "entities"])
def test_xml_form_that_cannot_be_read_is_noted(packet: bytes) -> None:
    document = read_document(xfa_pdf(shown((20, 300, "Please wait...")), [(b"datasets", packet)]))
    assert any("XFA" in note for note in document.notes)
