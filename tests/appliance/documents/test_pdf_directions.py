"""Pages that lie on their side or upside down, and text that runs across a page."""

from collections.abc import Callable

import pytest
from reportlab.pdfgen.canvas import Canvas

from appliance.documents.document_text import read_document
from tests.appliance.documents.pdf_files import page_pdf
from tests.appliance.documents.test_document_text import pdf_bytes

ROWS = [("Item", "Price"), ("Oak beam", "655.20"), ("Planed spruce", "1,204.00"), ("Total due", "1,859.20")]
LINES = [" ".join(row) for row in ROWS]


def lines(draw: Callable[[Canvas], None]) -> list[str]:
    return [" ".join(line.split()) for line in read_document(pdf_bytes(draw)).text.splitlines()]


def draw_rows(canvas: Canvas, left: float = 100, top: float = 500) -> None:
    for number, (label, value) in enumerate(ROWS):
        canvas.drawString(left, top - 22 * number, label)
        canvas.drawString(left + 180, top - 22 * number, value)


@pytest.mark.parametrize("page_rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("text_rotation", [0, 90, 180, 270])
def test_rows_stay_rows_whichever_way_page_and_text_are_turned(page_rotation: int, text_rotation: int) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setPageRotation(page_rotation)
        canvas.translate(300, 420)
        canvas.rotate(text_rotation)
        draw_rows(canvas, left=-100, top=100)

    assert lines(draw) == LINES


@pytest.mark.parametrize("askew", [-8, 2.5, 6, 33])
def test_rows_of_a_page_that_lies_askew_stay_rows(askew: float) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.translate(300, 100)
        canvas.rotate(askew)
        draw_rows(canvas, left=-50, top=300)

    assert lines(draw) == LINES


def test_words_that_were_drawn_one_by_one_upside_down_keep_their_order() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.translate(600, 840)
        canvas.rotate(180)
        for number, word in enumerate(("Payable", "within", "thirty", "days")):
            canvas.drawString(72 + 50 * number, 700, word)

    assert read_document(pdf_bytes(draw)).text.split() == ["Payable", "within", "thirty", "days"]


def test_what_stands_across_the_page_comes_after_its_lines() -> None:
    def draw(canvas: Canvas) -> None:
        draw_rows(canvas)
        for angle, word in ((90, "Received in May"), (45, "SPECIMEN")):
            canvas.saveState()
            canvas.translate(60 + angle, 200)
            canvas.rotate(angle)
            canvas.drawString(0, 0, word)
            canvas.restoreState()

    assert lines(draw) == [*LINES, "Received in May", "SPECIMEN"]


@pytest.mark.parametrize(
    "matrix", [b"/F1 10 Tf 1 0 0.33 1", b"/F1 -10 Tf -1 0 0 -1", b"/F1 10 Tf -100 Tz -1 0 0 1"],
    ids=["slanted", "size below zero", "width below zero"],
)  # fmt: skip
def test_letters_of_odd_shape_run_as_their_line_does(matrix: bytes) -> None:
    document = read_document(page_pdf(b"BT " + matrix + b" 20 300 Tm (Total: 300.00 EUR) Tj ET"))
    assert document.text.splitlines() == ["Total: 300.00 EUR"]
