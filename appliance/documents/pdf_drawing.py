"""Whether texts of a PDF page can be seen at all: the page is drawn with them and without them."""

import ctypes

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from appliance.documents.pdf_glyphs import Box
from appliance.documents.pdf_items import PageItem

_MAX_PIXELS = 1_500_000
_CHANNELS = 3
_SEEN_SHARE = 0.005
"""Of the bytes of a text that differ: where it touches a line, a few always do."""


def unseen_items(page: pypdfium2.PdfPage, doubted: list[tuple[PageItem, Box, int]]) -> list[PageItem]:
    """Those of the texts without which the page looks the same.

    Args:
        doubted: Texts with their places and the difference, of 255 shades of one colour, beyond which each is seen.
    """
    width, height = page.get_size()
    scale = min((_MAX_PIXELS / max(width * height, 1.0)) ** 0.5, 2.0)
    size = (max(int(width * scale), 1), max(int(height * scale), 1))
    with_them = _drawn(page, scale)
    if with_them is None:
        return []
    for item, *_ in doubted:
        pdfium.FPDFPageObj_SetIsActive(item.handle, False)
    without_them = _drawn(page, scale)
    if without_them is None or with_them[1] != without_them[1]:
        return []
    unseen = []
    for item, box, least in doubted:
        pdfium.FPDFPageObj_SetIsActive(item.handle, True)
        if not _differs(with_them[0], without_them[0], with_them[1], _pixels(page, box, size), least):
            unseen.append(item)
    return unseen


def _drawn(page: pypdfium2.PdfPage, scale: float) -> tuple[bytes, int] | None:
    """Colours of the page, and how many bytes a row has; PDFium's own greys fade what is half clear."""
    try:
        bitmap = page.render(scale=scale, may_draw_forms=False)
    except (pypdfium2.PdfiumError, ValueError):  # the latter for a page without a size
        return None
    pixels = bytes(bitmap.buffer), int(bitmap.stride)
    channels = bitmap.n_channels
    bitmap.close()
    return pixels if channels == _CHANNELS else None


def _pixels(page: pypdfium2.PdfPage, box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box in pixels: left, right, first and last row."""
    x, y = ctypes.c_int(), ctypes.c_int()
    xs, ys = [], []
    for place_x, place_y in ((box[0], box[2]), (box[1], box[3])):
        pdfium.FPDF_PageToDevice(page.raw, 0, 0, *size, 0, place_x, place_y, x, y)
        xs.append(min(max(x.value, 0), size[0]))
        ys.append(min(max(y.value, 0), size[1]))
    return min(xs), min(max(xs) + 1, size[0]), min(ys), min(max(ys) + 1, size[1])


def _differs(one: bytes, other: bytes, row_bytes: int, pixels: tuple[int, int, int, int], least: int) -> bool:
    left, right, first, last = pixels
    most = _SEEN_SHARE * _CHANNELS * (right - left) * (last - first)
    different = 0
    for row in range(first, last):
        start, end = row * row_bytes + _CHANNELS * left, row * row_bytes + _CHANNELS * right
        here, there = one[start:end], other[start:end]
        if here != there:
            different += sum(abs(a - b) > least for a, b in zip(here, there, strict=True))
            if different > most:
                return True
    return False
