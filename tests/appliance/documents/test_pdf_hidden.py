"""What nobody sees on a page of a PDF is left out, and a note says so; what only looks like it stays."""

import pytest

from appliance.documents.document_text import read_document
from appliance.documents.problems import DocumentError, Problem
from tests.appliance.documents.hostile_documents import stream
from tests.appliance.documents.pdf_files import page_pdf, shown

VISIBLE = shown((20, 300, "Total: 300.00 EUR"))
HIDDEN = shown((20, 270, "Total: 999.00 EUR"))
LAYERED = b"/OC /L BDC " + HIDDEN + b" EMC"
NOTE = "hidden text was left out: 1 piece in layers that are switched off"


def layered(config: bytes, layer: bytes = b"10 0 R", objects: dict[int, bytes] | None = None) -> bytes:
    """A page with one layer; the group that it may be in has number 10, a second group number 11."""
    groups = {
        10: b"<< /Type /OCG /Name (Draft) /Usage << /View << /ViewState /OFF >> >> >>",
        11: b"<< /Type /OCG /Name (Draft) >>",
        **(objects or {}),
    }
    return page_pdf(
        VISIBLE + LAYERED,
        resources=b"/Properties << /L %s >>" % layer,
        catalog=b"/OCProperties << /OCGs [10 0 R 11 0 R] /D << %s >> >>" % config,
        objects=groups,
    )


@pytest.mark.parametrize(
    ("config", "layer"),
    [
        (b"/OFF [10 0 R]", b"10 0 R"),
        (b"/BaseState /OFF", b"10 0 R"),
        (b"/BaseState /OFF /ON [11 0 R]", b"10 0 R"),
        (b"/AS [<< /Event /View /Category [/View] /OCGs [10 0 R] >>]", b"10 0 R"),
        (b"/OFF [10 0 R]", b"<< /Type /OCMD /OCGs 10 0 R >>"),
        (b"/OFF [10 0 R]", b"<< /Type /OCMD /OCGs [10 0 R 11 0 R] /P /AllOn >>"),
        (b"", b"<< /Type /OCMD /OCGs [10 0 R 11 0 R] /P /AnyOff >>"),
        (b"/OFF [10 0 R]", b"<< /Type /OCMD /VE [/Or [/Not 11 0 R] 10 0 R] >>"),
        (b"/OFF [10 0 R]", b"12 0 R"),
    ],
    ids=["off", "all off", "others on", "as viewed", "condition", "all", "any off", "expression", "condition apart"],
)
def test_text_of_a_layer_that_is_off_is_left_out(config: bytes, layer: bytes) -> None:
    objects = {12: b"<< /Type /OCMD /OCGs [10 0 R] >>"}
    document = read_document(layered(config, layer, objects))
    assert document.text.splitlines() == ["Total: 300.00 EUR"]
    assert document.notes == [NOTE]


@pytest.mark.parametrize(
    ("config", "layer"),
    [
        (b"", b"10 0 R"),
        (b"/OFF [11 0 R]", b"10 0 R"),
        (b"/BaseState /OFF /ON [10 0 R]", b"10 0 R"),
        (b"/AS [<< /Event /Print /Category [/Print] /OCGs [10 0 R] >>]", b"10 0 R"),
        (b"/OFF [10 0 R]", b"<< /Type /OCMD /OCGs [10 0 R 11 0 R] /P /AnyOn >>"),
        (b"/OFF [10 0 R]", b"<< /Type /OCMD /VE [/Not 10 0 R] >>"),
        (b"/OFF [10 0 R]", b"<< /Type /OCMD >>"),
        (b"/OFF [10 0 R]", b"12 0 R"),
    ],
    ids=["on", "other off", "listed on", "as printed", "any", "not", "no group", "circle"],
)
def test_text_of_a_layer_that_is_on_is_read(config: bytes, layer: bytes) -> None:
    objects = {12: b"<< /Type /OCMD /VE [/And 12 0 R [/Or 12 0 R 12 0 R]] >>"}
    document = read_document(layered(config, layer, objects))
    assert document.text.splitlines() == ["Total: 300.00 EUR", "Total: 999.00 EUR"]
    assert document.notes == []


def test_form_and_annotation_of_a_hidden_layer_are_left_out() -> None:
    data = page_pdf(
        VISIBLE + b"/X Do",
        resources=b"/XObject << /X 12 0 R >>",
        page=b"/Annots [13 0 R]",
        catalog=b"/OCProperties << /OCGs [10 0 R] /D << /OFF [10 0 R] >> >>",
        objects={
            10: b"<< /Type /OCG /Name (Draft) >>",
            12: stream(
                HIDDEN,
                b"/Type /XObject /Subtype /Form /BBox [0 0 400 400] /OC 10 0 R /Resources << /Font << /F1 5 0 R >> >>",
            ),
            13: b"<< /Type /Annot /Subtype /FreeText /Rect [20 200 200 220] /Contents (Total: 777) /OC 10 0 R >>",
        },
    )
    document = read_document(data)
    assert document.text.splitlines() == ["Total: 300.00 EUR"]
    assert document.notes == [NOTE + ", 1 hidden field"]


GROUND = b"0 0 1 rg 10 260 200 30 re f 0 g "
PIXEL = b"/Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceGray"
SHADING = (
    b"<< /ShadingType 2 /ColorSpace /DeviceGray /Coords [0 0 400 0] /Function"
    b" << /FunctionType 2 /Domain [0 1] /C0 [0] /C1 [0.5] /N 1 >> /Extend [true true] >>"
)
PICTURE = b"q 300 0 0 300 0 100 cm /P Do Q "


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        (b"1 g " + HIDDEN, "that cannot be seen"),
        (b"0.98 1 0.97 rg " + HIDDEN, "that cannot be seen"),
        (GROUND + b"0 0 1 rg " + HIDDEN, "that cannot be seen"),
        (b"3 Tr " + HIDDEN, "that cannot be seen"),
        (b"7 Tr " + HIDDEN, "that cannot be seen"),
        (b"/G gs " + HIDDEN, "that cannot be seen"),
        (HIDDEN + GROUND, "that cannot be seen"),
        (HIDDEN.replace(b"/F1 10 Tf", b"/F1 0.3 Tf"), "that cannot be seen"),
        (b"q 0.01 0 0 0.01 50 50 cm " + HIDDEN + b"Q", "that cannot be seen"),
        (HIDDEN + b"1 g 10 260 60 30 re f 70 260 200 30 re f", "that cannot be seen"),
        (HIDDEN + b"30 w 10 275 m 300 275 l S", "that cannot be seen"),
        (b"q 300 300 10 10 re W n " + HIDDEN + b"Q", "that cannot be seen"),
        (b"/L gs " + HIDDEN, "that cannot be seen"),
        (b"q 200 0 0 30 10 260 cm /P Do Q 3 Tr " + HIDDEN + b"0 g 10 260 200 30 re f", "that cannot be seen"),
        (HIDDEN.replace(b"20 270 Td", b"20 -30 Td"), "outside of the visible page"),
        (HIDDEN.replace(b"20 270 Td", b"3000 270 Td"), "outside of the visible page"),
    ],
    ids=["white", "nearly white", "as its ground", "no colour", "clip", "clear", "covered", "tiny", "shrunk",
         "covered twice", "struck out by a bar", "cut away", "like glass", "blacked on a scan", "below", "far away"],
)  # fmt: skip
def test_text_that_nobody_sees_is_left_out(contents: bytes, why: str) -> None:
    resources = b"/ExtGState << /G << /ca 0 >> /L << /ca 0.01 >> >> /XObject << /P 10 0 R >>"
    document = read_document(page_pdf(VISIBLE + contents, resources=resources, objects={10: stream(b"\x60", PIXEL)}))
    assert document.text.splitlines() == ["Total: 300.00 EUR"]
    assert document.notes == [f"hidden text was left out: 1 piece {why}"]


@pytest.mark.parametrize(
    "contents",
    [
        GROUND + b"1 g " + HIDDEN,
        b"12 w 0 0 1 RG 10 273 m 300 273 l S 1 g " + HIDDEN,
        PICTURE + b"3 Tr " + HIDDEN,
        b"3 Tr " + HIDDEN + PICTURE,
        PICTURE + b"1 g " + HIDDEN,
        b"2 Tr 1 g 0 G " + HIDDEN,
        GROUND + HIDDEN,
        HIDDEN + b"/M gs " + GROUND,
        HIDDEN + b"0 0 5 5 re W n " + GROUND,
        b"0.8 g " + HIDDEN,
        b"/C gs 0.5 g " + HIDDEN.replace(b"/F1 10 Tf", b"/F1 4 Tf"),
        HIDDEN + b"/C gs 10 260 200 30 re f",
        HIDDEN + b"1 g 0 0 400 400 re f " + PICTURE,
        b"q 7 Tr " + HIDDEN + b"/S sh Q",
        b"q 10 250 380 60 re W n " + HIDDEN + b"Q",
        HIDDEN + b"3 w 20 273 m 120 273 l S",
    ],
    ids=["white on blue", "white on a bar", "recognised", "recognised before", "white on a picture", "outlined",
         "on a ground", "marker", "clipped ground", "grey", "pale and small",
         "under glass", "below a scan", "cut out of a gradient", "in a window", "struck out"],
)  # fmt: skip
def test_text_that_is_seen_stays(contents: bytes) -> None:
    resources = b"/ExtGState << /M << /BM /Multiply >> /C << /ca 0.2 >> >> /XObject << /P 10 0 R >>"
    resources += b"/Shading << /S 11 0 R >>"
    objects = {10: stream(b"\x60", PIXEL), 11: SHADING}
    data = page_pdf(VISIBLE + contents, resources=resources, objects=objects)
    document = read_document(data)
    assert document.text.splitlines() == ["Total: 300.00 EUR", "Total: 999.00 EUR"]
    assert document.notes == []


def test_text_outside_of_the_frame_of_its_form_is_left_out() -> None:
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 400 %d] /Resources << /Font << /F1 5 0 R >> >>"
    for height, expected in ((400, 2), (20, 1)):
        objects = {10: stream(HIDDEN, form % height)}
        data = page_pdf(VISIBLE + b"q 1 0 0 1 5 5 cm /X Do Q", resources=b"/XObject << /X 10 0 R >>", objects=objects)
        assert len(read_document(data).text.splitlines()) == expected


def test_text_outside_of_the_cropped_page_is_left_out() -> None:
    document = read_document(page_pdf(VISIBLE + HIDDEN, page=b"/CropBox [0 290 400 400]"))
    assert document.text.splitlines() == ["Total: 300.00 EUR"]
    assert document.notes == ["hidden text was left out: 1 piece outside of the visible page"]


def test_document_of_hidden_text_alone_is_empty_and_says_why() -> None:
    with pytest.raises(DocumentError) as caught:
        read_document(page_pdf(b"1 g " + HIDDEN))
    assert caught.value.problem is Problem.EMPTY
    assert "hidden text was left out" in caught.value.message


def test_page_whose_frame_lies_beside_it_is_read() -> None:
    resources = b"/XObject << /P 10 0 R >>"
    contents = VISIBLE + PICTURE + b"1 g " + HIDDEN
    data = page_pdf(
        contents, resources=resources, page=b"/CropBox [900 900 990 990]", objects={10: stream(b"\x60", PIXEL)}
    )
    assert "Total: 300.00 EUR" in read_document(data).text
