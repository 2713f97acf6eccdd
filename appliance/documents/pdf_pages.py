"""One page of a PDF as it is shown: annotations are drawn onto it, form fields say what they were filled in with."""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from appliance.documents.layout import Piece
from appliance.documents.pdf_annotations import PageAnnotations
from appliance.documents.pdf_forms import Drawing, FormField
from appliance.documents.pdf_items import PageItem, item_box, page_items, remove_item, text_of_item

_HIDDEN = 2
_NEAR = 0.5
"""Points by which a letter may stand outside of its field."""


@dataclass
class ShownPage:
    """A page, and what its glyphs do not say."""

    page: pypdfium2.PdfPage
    inserts: list[Piece] = field(default_factory=list)
    """Values of fields at their places."""
    disagreeing: int = 0
    """Fields whose drawing says something else than they do."""


@dataclass(frozen=True)
class _DrawnText:
    """A text that was drawn for an annotation."""

    x: float
    y: float
    text: str
    item: PageItem


def shown_page(document: pypdfium2.PdfDocument, number: int, annotations: PageAnnotations) -> ShownPage:
    """The page with its annotations drawn onto it; what is drawn for a field gives way to its value."""
    page = document[number]
    for index in annotations.undrawn:
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, index)
        if annotation:
            pdfium.FPDFAnnot_SetFlags(annotation, _HIDDEN)
            pdfium.FPDFPage_CloseAnnot(annotation)
    if annotations.has_drawn and pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_NORMALDISPLAY) == pdfium.FLATTEN_SUCCESS:
        # The page in memory still shows what was there before.
        page.close()
        page = document[number]
    shown = ShownPage(page)
    compared = []
    for one in annotations.fields:
        if one.drawing is Drawing.REPLACED:
            shown.inserts += one.pieces()
        else:
            compared.append(one)
    for one, texts in _texts_of_fields(compared, _drawn_texts(page) if compared else []):
        drawn = " ".join(text.text for text in texts).strip()
        if one.lines and not (drawn and (one.has_format or one.agrees(drawn))):
            for text in texts:
                remove_item(page, text.item)
            shown.disagreeing += bool(drawn)
            shown.inserts += one.pieces()
    return shown


def _texts_of_fields(fields: list[FormField], drawn: list[_DrawnText]) -> Iterator[tuple[FormField, list[_DrawnText]]]:
    """Each field with the texts in its place; a text belongs to the first field that it stands in."""
    ordered = sorted(drawn, key=lambda text: text.y)
    heights = [text.y for text in ordered]
    for one in fields:
        left, right, bottom, top = one.box
        first, last = bisect.bisect_left(heights, bottom - _NEAR), bisect.bisect_right(heights, top + _NEAR)
        here = [text for text in ordered[first:last] if left - _NEAR <= text.x <= right + _NEAR]
        if here:
            ordered[first:last] = [text for text in ordered[first:last] if not left - _NEAR <= text.x <= right + _NEAR]
            heights[first:last] = [text.y for text in ordered[first : last - len(here)]]
        yield one, here


def _drawn_texts(page: pypdfium2.PdfPage) -> list[_DrawnText]:
    """Texts of annotations: PDFium puts all of them into one form at the end of the page."""
    last: list[PageItem] = []
    for item in page_items(page):
        if item.form is None:
            last = []
        last.append(item)
    if not last or last[0].kind != pdfium.FPDF_PAGEOBJ_FORM:
        return []
    text_page = page.get_textpage()
    texts = []
    for item in last:
        box = item_box(item) if item.kind == pdfium.FPDF_PAGEOBJ_TEXT else None
        if box:
            middle = ((box[0] + box[1]) / 2, (box[2] + box[3]) / 2)
            texts.append(_DrawnText(*middle, text_of_item(item, text_page), item))
    text_page.close()
    return texts
