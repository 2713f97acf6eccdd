"""Text of a PDF page that a person does not see is taken off before it is read: layers, places and colours."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from appliance.documents.pdf_clips import is_cut_away
from appliance.documents.pdf_drawing import unseen_items
from appliance.documents.pdf_glyphs import Box
from appliance.documents.pdf_items import PageItem, item_box, item_scale, items_of_form, page_items, remove_item

_INVISIBLE_MODES = (pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP)
_STROKED_MODES = (pdfium.FPDF_TEXTRENDERMODE_STROKE, pdfium.FPDF_TEXTRENDERMODE_STROKE_CLIP)
_BOTH_MODES = (pdfium.FPDF_TEXTRENDERMODE_FILL_STROKE, pdfium.FPDF_TEXTRENDERMODE_FILL_STROKE_CLIP)
_SAME_COLOUR = 12
"""Difference in each of red, green and blue, of 255, that nobody sees."""
_SEEN_DIFFERENCE, _LEAST_DIFFERENCE = 16, 4
"""Of 255 shades of a colour: for texts in the colour of their ground, which may touch a line, and for pale ones."""
_OPAQUE = 250
_LEAST_AREA_SIDE = 3.0
_TINY = 1.0
"""Points of a font that nobody can read on a page of ordinary size."""
_TINY_SHARE = 1 / 700
_MAX_AREAS = 300
_BANDS = 100
"""Strips of a page in which areas are looked up."""
_MAX_IMAGES = 100
"""More of them are the strips of one scan."""
_RECTANGLE_SEGMENTS = 5
_OVER_IMAGE = 0.5
_Colour = tuple[int, int, int, int]
_WHITE: _Colour = (255, 255, 255, 255)


@dataclass
class HiddenText:
    """How many texts were taken off, by what hides them."""

    in_layers: int = 0
    outside: int = 0
    invisible: int = 0
    """Drawn without a colour, in that of the ground, behind an area, or too small to read."""


@dataclass(frozen=True)
class _Area:
    """Something drawn that gives texts before it a cover and texts after it a ground."""

    order: int
    box: Box
    colour: _Colour | None
    """None where it is not one colour."""
    is_plain: bool
    """Whether all of its box is covered."""
    is_opaque: bool = True
    """Whether what it covers cannot be seen through it."""
    is_image: bool = False


@dataclass
class _Scene:
    """What there is to see on a page."""

    areas: list[_Area] = field(default_factory=list)
    images: list[Box] = field(default_factory=list)
    texts: list[tuple[int, PageItem, Box]] = field(default_factory=list)
    forms: dict[int | None, PageItem] = field(default_factory=dict)
    """By address."""
    bands: dict[int, list[_Area]] = field(default_factory=dict)
    band_height: float = 1.0

    def settle(self, height: float) -> None:
        """Makes ready for looking up, once all is taken in."""
        self.band_height = max(height / _BANDS, 1.0)
        largest = sorted(self.areas, key=lambda area: -_size(area.box))[:_MAX_AREAS]
        for area in sorted(largest, key=lambda area: area.order):
            first, last = self._band(area.box[2]), self._band(area.box[3])
            for band in range(max(first, -_BANDS), min(last, 2 * _BANDS) + 1):
                self.bands.setdefault(band, []).append(area)
        if len(self.images) > _MAX_IMAGES:
            lefts, rights, bottoms, tops = zip(*self.images, strict=True)
            self.images = [(min(lefts), max(rights), min(bottoms), max(tops))]

    def areas_at(self, x: float, y: float) -> Iterator[_Area]:
        """Areas that a place lies in, in the order in which they are drawn."""
        for area in self.bands.get(self._band(y), ()):
            left, right, bottom, top = area.box
            if left <= x <= right and bottom <= y <= top:
                yield area

    def _band(self, y: float) -> int:
        return int(min(max(y, -1e6), 1e6) // self.band_height)


def take_off_hidden(page: pypdfium2.PdfPage, hidden_mark: str) -> HiddenText:
    """Takes the texts off the page that nobody sees.

    Text without a colour that lies on a picture stays: that is how recognised text is laid under a scan.

    Args:
        hidden_mark: Key that the dictionaries of hidden layers have; empty where there are none.
    """
    hidden = HiddenText()
    bounds = pdfium.FS_RECTF()
    has_bounds = pdfium.FPDF_GetPageBoundingBox(page.raw, bounds)
    visible = (bounds.left, bounds.right, bounds.bottom, bounds.top)
    # A frame beside its page leaves nothing of it; other programs then show the whole page.
    has_bounds = has_bounds and bounds.left < bounds.right and bounds.bottom < bounds.top
    scene = _Scene()
    removed: list[PageItem] = []
    gone: set[int | None] = set()
    for order, item in enumerate(page_items(page)):
        if gone and item.form is not None and _address(item.form) in gone:
            gone.add(_address(item.handle))
        elif hidden_mark and _in_hidden_layer(item.handle, hidden_mark):
            removed.append(item)
            hidden.in_layers += _holds_text(item)
            gone.add(_address(item.handle))
        else:
            _take_in(item, order, scene)
    scene.settle(visible[3] - visible[2])
    tiny = min(_TINY, max(visible[1] - visible[0], visible[3] - visible[2]) * _TINY_SHARE)
    doubted: list[tuple[PageItem, Box, int]] = []
    for order, item, box in scene.texts:
        if has_bounds and not _overlap(box, visible):
            hidden.outside += 1
        elif _is_without_colour(item):
            if _is_recognised(order, item, box, scene):
                continue
            hidden.invisible += 1
        elif _is_tiny(item, box, tiny):
            hidden.invisible += 1
        elif _has_colour_of_ground(order, item, box, scene):
            doubted.append((item, box, _SEEN_DIFFERENCE))
            continue
        elif _is_cut_or_clear(item, box, scene):
            doubted.append((item, box, _LEAST_DIFFERENCE))
            continue
        else:
            continue
        removed.append(item)
    unseen = unseen_items(page, doubted) if doubted else []
    hidden.invisible += len(unseen)
    # What lies inside goes before what holds it.
    for item in reversed([*removed, *unseen]):
        remove_item(page, item)
    return hidden


def _address(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value


def _in_hidden_layer(handle: Any, hidden_mark: str) -> bool:
    key = hidden_mark.encode("ascii")
    for index in range(pdfium.FPDFPageObj_CountMarks(handle)):
        mark = pdfium.FPDFPageObj_GetMark(handle, index)
        if mark and pdfium.FPDFPageObjMark_GetParamValueType(mark, key) != pdfium.FPDF_OBJECT_UNKNOWN:
            return True
    return False


def _holds_text(item: PageItem) -> bool:
    if item.kind != pdfium.FPDF_PAGEOBJ_FORM:
        return bool(item.kind == pdfium.FPDF_PAGEOBJ_TEXT)
    kinds = {pdfium.FPDFPageObj_GetType(handle) for handle in items_of_form(item.handle)}
    return not kinds.isdisjoint((pdfium.FPDF_PAGEOBJ_TEXT, pdfium.FPDF_PAGEOBJ_FORM))


def _take_in(item: PageItem, order: int, scene: _Scene) -> None:
    if item.kind == pdfium.FPDF_PAGEOBJ_FORM:
        scene.forms[_address(item.handle)] = item
        return
    box = item_box(item)
    if box is None:
        return
    if item.kind == pdfium.FPDF_PAGEOBJ_TEXT:
        scene.texts.append((order, item, box))
    elif min(box[1] - box[0], box[3] - box[2]) >= _LEAST_AREA_SIDE:
        if item.kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            scene.images.append(box)
        is_path = item.kind == pdfium.FPDF_PAGEOBJ_PATH
        is_image = item.kind == pdfium.FPDF_PAGEOBJ_IMAGE
        scene.areas.append(_area(item, order, box) if is_path else _Area(order, box, None, False, is_image=is_image))


def _area(item: PageItem, order: int, box: Box) -> _Area:
    mode, stroked = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDFPath_GetDrawMode(item.handle, mode, stroked)
    if mode.value == pdfium.FPDF_FILLMODE_NONE:
        # A line may be as wide as a bar.
        return _Area(order, box, None, False, is_opaque=_is_bar(item, box))
    colour = _colour(pdfium.FPDFPageObj_GetFillColor, item.handle)
    is_opaque = colour is not None and colour[3] >= _OPAQUE and not pdfium.FPDFPageObj_HasTransparency(item.handle)
    if item.form is not None and pdfium.FPDFPageObj_HasTransparency(item.form):
        is_opaque = False
    is_rectangle = pdfium.FPDFPath_CountSegments(item.handle) <= _RECTANGLE_SEGMENTS
    clip = pdfium.FPDFPageObj_GetClipPath(item.handle)
    is_clipped = bool(clip) and pdfium.FPDFClipPath_CountPaths(clip) > 0
    is_plain = bool(is_opaque and is_rectangle and not is_clipped)
    return _Area(order, box, colour if is_opaque else None, is_plain, is_opaque)


def _is_bar(item: PageItem, box: Box) -> bool:
    """Whether a line is so wide that it may black something out."""
    width = ctypes.c_float()
    if not pdfium.FPDFPageObj_GetStrokeWidth(item.handle, width):
        return False
    return width.value * item_scale(item) >= _LEAST_AREA_SIDE and not pdfium.FPDFPageObj_HasTransparency(item.handle)


def _is_cut_or_clear(item: PageItem, box: Box, scene: _Scene) -> bool:
    """Whether a text, or a form that it lies in, may be cut away there or be as clear as glass."""
    holder: PageItem | None = item
    while holder is not None:
        if pdfium.FPDFPageObj_HasTransparency(holder.handle) or is_cut_away(holder, box):
            return True
        holder = scene.forms.get(_address(holder.form)) if holder.form is not None else None
    return False


def _colour(getter: Any, handle: Any) -> _Colour | None:
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    if not getter(handle, red, green, blue, alpha):
        return None
    return red.value, green.value, blue.value, alpha.value


def _is_without_colour(item: PageItem) -> bool:
    mode = pdfium.FPDFTextObj_GetTextRenderMode(item.handle)
    if mode in _INVISIBLE_MODES:
        return True
    colour = _colour_of_text(item.handle, mode)
    return colour is not None and colour[3] == 0 and mode not in _BOTH_MODES


def _is_recognised(order: int, item: PageItem, box: Box, scene: _Scene) -> bool:
    """Whether the text lies on a picture, as what was recognised in a scan does, and nothing covers the picture there.

    Text that cuts out what is drawn after it, such as a gradient, is seen as well.
    """
    if sum(_shared(box, image) for image in scene.images) >= _OVER_IMAGE * _size(box):
        return not _is_covered(order, box, scene, fully=True)
    is_cutting = pdfium.FPDFTextObj_GetTextRenderMode(item.handle) == pdfium.FPDF_TEXTRENDERMODE_CLIP
    x, y = _middle(box)
    return is_cutting and any(area.order > order and not _is_same(area.colour, _WHITE) for area in scene.areas_at(x, y))


def _is_covered(order: int, box: Box, scene: _Scene, fully: bool) -> bool:
    """Whether an area lies over the text that no picture is laid over in turn.

    Args:
        fully: Whether one area must cover all of the text.
    """
    covered = False
    for area in scene.areas_at(*_middle(box)):
        if area.is_image:
            covered = False
        elif area.order > order and area.is_opaque:
            covered = covered or not fully or (area.is_plain and _covers(area.box, box))
    return covered


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[1]) / 2, (box[2] + box[3]) / 2


def _is_same(one: _Colour | None, other: _Colour | None) -> bool:
    """Whether nobody can tell two colours apart."""
    if one is None or other is None:
        return False
    return all(abs(a - b) <= _SAME_COLOUR for a, b in zip(one[:3], other[:3], strict=True))


def _is_tiny(item: PageItem, box: Box, tiny: float) -> bool:
    return box[3] - box[2] < tiny and box[1] - box[0] > 0 and _font_size(item) < tiny


def _has_colour_of_ground(order: int, item: PageItem, box: Box, scene: _Scene) -> bool:
    """Whether the text seems to be drawn in the colour of what lies behind it, or lies behind something itself."""
    mode = pdfium.FPDFTextObj_GetTextRenderMode(item.handle)
    colour = _colour_of_text(item.handle, mode)
    ground: _Colour | None = _WHITE
    for area in scene.areas_at(*_middle(box)):
        if area.order < order:
            ground = area.colour if area.is_plain else None
    if _is_covered(order, box, scene, fully=False):
        return True
    return mode not in _BOTH_MODES and _is_same(colour, ground)


def _colour_of_text(handle: Any, mode: int) -> _Colour | None:
    getter = pdfium.FPDFPageObj_GetStrokeColor if mode in _STROKED_MODES else pdfium.FPDFPageObj_GetFillColor
    return _colour(getter, handle)


def _font_size(item: PageItem) -> float:
    size = ctypes.c_float()
    if not pdfium.FPDFTextObj_GetFontSize(item.handle, size):
        return 0.0
    return float(abs(size.value) * item_scale(item))


def _covers(area: Box, box: Box) -> bool:
    return area[0] <= box[0] + 1 and area[1] >= box[1] - 1 and area[2] <= box[2] + 1 and area[3] >= box[3] - 1


def _overlap(box: Box, other: Box) -> bool:
    return box[0] < other[1] and box[1] > other[0] and box[2] < other[3] and box[3] > other[2]


def _shared(box: Box, other: Box) -> float:
    width = min(box[1], other[1]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[2], other[2])
    return max(width, 0.0) * max(height, 0.0)


def _size(box: Box) -> float:
    return max(box[1] - box[0], 0.01) * max(box[3] - box[2], 0.01)
