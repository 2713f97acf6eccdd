"""Whether texts of a PDF page lie outside of what is cut out for them: a clip, or the frame of the form they are in."""

import ctypes

import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from appliance.documents.pdf_glyphs import Box
from appliance.documents.pdf_items import PageItem, placed

_MAX_PATHS = 20
_MAX_SEGMENTS = 200


def is_cut_away(item: PageItem, box: Box) -> bool:
    """Whether the middle of a text lies outside of one of its clips, as far as their outer boxes say."""
    x, y = (box[0] + box[1]) / 2, (box[2] + box[3]) / 2
    clip = pdfium.FPDFPageObj_GetClipPath(item.handle)
    count = pdfium.FPDFClipPath_CountPaths(clip) if clip else 0
    for index in range(min(max(count, 0), _MAX_PATHS)):
        window = _window(clip, index)
        if window is None:
            continue
        left, right, bottom, top = placed(window, item.outer)
        if not (left <= x <= right and bottom <= y <= top):
            return True
    return False


def _window(clip: object, index: int) -> Box | None:
    """The box around a path of a clip; None where it has too many corners."""
    count = pdfium.FPDFClipPath_CountPathSegments(clip, index)
    if not 0 < count <= _MAX_SEGMENTS:
        return None
    x, y = ctypes.c_float(), ctypes.c_float()
    xs, ys = [], []
    for number in range(count):
        segment = pdfium.FPDFClipPath_GetPathSegment(clip, index, number)
        if segment and pdfium.FPDFPathSegment_GetPoint(segment, x, y):
            xs.append(x.value)
            ys.append(y.value)
    return (min(xs), max(xs), min(ys), max(ys)) if xs else None
