"""What a PDF page is made of: texts, images, areas and forms of them, with their places on the page."""

import ctypes
from collections.abc import Iterator
from typing import Any, NamedTuple

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from appliance.documents.pdf_glyphs import Box

MAX_ITEMS = 300_000
"""Of one page that are looked at."""
_MAX_DEEP = 12
_Matrix = tuple[float, float, float, float, float, float]


class PageItem(NamedTuple):
    """One object of a page."""

    kind: int
    handle: Any
    form: Any
    """What it lies in; None for the page itself."""
    outer: _Matrix | None
    """From its own coordinates to those of the page; None where they are the same."""


def page_items(page: pypdfium2.PdfPage) -> Iterator[PageItem]:
    """The objects of a page in the order in which they are drawn, a form before what lies in it."""
    count = pdfium.FPDFPage_CountObjects(page.raw)
    waiting = [iter([pdfium.FPDFPage_GetObject(page.raw, index) for index in range(min(count, MAX_ITEMS))])]
    forms: list[tuple[Any, _Matrix | None]] = [(None, None)]
    kind_of = pdfium.FPDFPageObj_GetType
    given = 0
    while waiting and given < MAX_ITEMS:
        handle = next(waiting[-1], None)
        if handle is None:
            waiting.pop()
            forms.pop()
            continue
        given += 1
        item = PageItem(kind_of(handle), handle, *forms[-1])
        yield item
        if item.kind == pdfium.FPDF_PAGEOBJ_FORM and len(waiting) < _MAX_DEEP:
            waiting.append(items_of_form(handle))
            forms.append((handle, _product(_matrix(handle), item.outer)))


def items_of_form(form: Any) -> Iterator[Any]:
    """Handles of what lies in a form."""
    count = pdfium.FPDFFormObj_CountObjects(form)
    return iter([pdfium.FPDFFormObj_GetObject(form, index) for index in range(min(max(count, 0), MAX_ITEMS))])


def item_box(item: PageItem) -> Box | None:
    """Where the object stands on the page."""
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium.FPDFPageObj_GetBounds(item.handle, left, bottom, right, top):
        return None
    return placed((left.value, right.value, bottom.value, top.value), item.outer)


def placed(box: Box, outer: _Matrix | None) -> Box:
    """A box in the coordinates of the page."""
    if outer is None:
        return box
    left, right, bottom, top = box
    a, b, c, d, e, f = outer
    corners = [(x * a + y * c + e, x * b + y * d + f) for x in (left, right) for y in (bottom, top)]
    xs, ys = zip(*corners, strict=True)
    return min(xs), max(xs), min(ys), max(ys)


def item_scale(item: PageItem) -> float:
    """How much larger a text is on the page than its font size says."""
    matrix = _product(_matrix(item.handle), item.outer)
    a, b, c, d, _, _ = matrix or (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    return float(abs(a * d - b * c) ** 0.5)


def remove_item(page: pypdfium2.PdfPage, item: PageItem) -> None:
    """Takes an object off the page in memory."""
    if item.form is None:
        pdfium.FPDFPage_RemoveObject(page.raw, item.handle)
    else:
        pdfium.FPDFFormObj_RemoveObject(item.form, item.handle)


def text_of_item(item: PageItem, text_page: pypdfium2.PdfTextPage) -> str:
    """The letters of a text object."""
    size = pdfium.FPDFTextObj_GetText(item.handle, text_page.raw, None, 0)
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    pdfium.FPDFTextObj_GetText(item.handle, text_page.raw, buffer, size)
    return bytes(buffer)[:size].decode("utf-16-le", "replace").rstrip("\x00")


def _matrix(handle: Any) -> _Matrix | None:
    matrix = pdfium.FS_MATRIX()
    if not pdfium.FPDFPageObj_GetMatrix(handle, matrix):
        return None
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _product(inner: _Matrix | None, outer: _Matrix | None) -> _Matrix | None:
    """First the inner one, then the outer one."""
    if inner is None or outer is None:
        return inner or outer
    a, b, c, d, e, f = inner
    k, l, m, n, o, p = outer  # noqa: E741  (the letters of a matrix)
    return a * k + b * m, a * l + b * n, c * k + d * m, c * l + d * n, e * k + f * m + o, e * l + f * n + p
