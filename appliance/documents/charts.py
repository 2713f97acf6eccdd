"""Charts and diagrams inside Office files: their titles, series and values as a small table, their texts as lines."""

import math
from collections.abc import Iterator
from datetime import datetime
from xml.etree import ElementTree

from appliance.documents.archive import Package, check_depth
from appliance.documents.moments import EPOCH, EPOCH_1904
from appliance.documents.number_format import NumberFormat
from appliance.documents.office_math import MATH, math_text
from appliance.documents.raised_digits import lowered, raised, settled
from appliance.documents.text_lines import table_line
from appliance.documents.word_symbols import shown_signs

DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"

Points = dict[int, str]


def graphic_lines(package: Package, part: str, element: ElementTree.Element) -> Iterator[str]:
    """Lines of the chart or the diagram that an element of a part refers to; none where it is neither."""
    if element.tag == CHART + "chart":
        target = package.relations(part).get(element.get(RELATION + "id", ""))
        root = package.parse_if_there(target.target) if target and not target.external else None
        yield from chart_lines(root) if root is not None else ()
    elif element.tag == DIAGRAM + "relIds":
        target = package.relations(part).get(element.get(RELATION + "dm", ""))
        root = package.parse_if_there(target.target) if target and not target.external else None
        for paragraph in root.iter(DRAWING + "p") if root is not None else ():
            yield drawn_text(paragraph)


def drawn_text(element: ElementTree.Element) -> str:
    """Text of a paragraph of a drawing; a break is a newline."""
    return settled("".join(_drawn_parts(element, 0)))


def _drawn_parts(element: ElementTree.Element, depth: int) -> Iterator[str]:
    check_depth(depth, "the drawings are")
    for child in element:
        if child.tag in (DRAWING + "r", DRAWING + "fld"):
            yield _run_text(child, depth)
        elif child.tag == DRAWING + "t":
            yield child.text or ""
        elif child.tag == DRAWING + "br":
            yield "\n"
        elif child.tag == DRAWING + "tab":
            yield "\t"
        elif child.tag == MATH + "t":
            yield child.text or ""
        elif child.tag.startswith(MATH):
            yield math_text(child, lambda inside: "".join(_drawn_parts(inside, depth + 1)))
        elif child.tag != _FALLBACK:
            yield from _drawn_parts(child, depth + 1)


def _run_text(run: ElementTree.Element, depth: int) -> str:
    """Text of a run, whose properties say which font shows its signs, and whether it stands above the line."""
    properties = run.find(DRAWING + "rPr")
    symbols = properties.find(DRAWING + "sym") if properties is not None else None
    font = symbols.get("typeface", "") if symbols is not None else ""
    text = shown_signs("".join(_drawn_parts(run, depth + 1)), lambda: font)
    height = (properties.get("baseline", "0") if properties is not None else "0").strip("0%")
    return text if not height else lowered(text) if height.startswith("-") else raised(text)


def chart_lines(root: ElementTree.Element) -> Iterator[str]:
    """A chart as its titles and a table: one line of series names, one line for each category."""
    for title in root.iter(CHART + "title"):
        for paragraph in title.iter(DRAWING + "p"):
            yield drawn_text(paragraph)
    names: list[str] = []
    columns: list[Points] = []
    categories: Points = {}
    since = root.find(CHART + "date1904")
    epoch = EPOCH_1904 if since is not None and since.get("val", "1") not in ("0", "false") else EPOCH
    for series in root.iter(CHART + "ser"):
        names.append(" ".join(_points(series.find(CHART + "tx")).values()))
        columns.append(_points(_first(series, "val", "yVal"), epoch))
        categories = categories or _points(_first(series, "cat", "xVal"), epoch)
    if not columns:
        return
    yield table_line(["", *names])
    for index in sorted({*categories, *(index for column in columns for index in column)}):
        yield table_line([categories.get(index, ""), *(column.get(index, "") for column in columns)])


def short_number(written: str) -> str:
    """A number in its shortest form, without the digits that binary fractions drag along; other text as it is."""
    try:
        return f"{float(written):.15g}" if "." in written else written
    except ValueError:
        return written


def _shown_value(written: str, code: str, epoch: datetime) -> str:
    try:
        number = float(written)
    except ValueError:
        return written
    if code in ("", "General") or not math.isfinite(number):
        return short_number(written)
    return NumberFormat(code).number_text(number, epoch) or short_number(written)


def _first(series: ElementTree.Element, *names: str) -> ElementTree.Element | None:
    for name in names:
        element = series.find(CHART + name)
        if element is not None:
            return element
    return None


def _points(element: ElementTree.Element | None, epoch: datetime = EPOCH) -> Points:
    """Values by index, as their format shows them: what the program that wrote the chart put into its cache."""
    points: Points = {}
    usual = next((code.text or "" for code in element.iter(CHART + "formatCode")), "") if element is not None else ""
    for position, point in enumerate(element.iter(CHART + "pt") if element is not None else ()):
        index = point.get("idx", "")
        # Categories on several levels repeat their indices; they belong together.
        place = int(index) if index.isascii() and index.isdigit() and len(index) < 9 else position
        value = _shown_value(point.findtext(CHART + "v") or "", point.get("formatCode", usual), epoch)
        points[place] = f"{value} {points[place]}" if place in points else value
    return points
