"""Charts and diagrams inside Office files: their titles, series and values as a small table, their texts as lines."""

from collections.abc import Iterator
from xml.etree import ElementTree

from appliance.documents.archive import Package
from appliance.documents.text_lines import table_line
from appliance.documents.word_symbols import shown_signs

DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"

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
    parts = []
    font = ""

    def current_font() -> str:
        return font

    for child in element.iter():
        if child.tag in (DRAWING + "r", DRAWING + "fld"):
            font = ""
        elif child.tag == DRAWING + "sym":
            # Before the text of its run stands which font shows its signs.
            font = child.get("typeface", "")
        elif child.tag == DRAWING + "t":
            parts.append(shown_signs(child.text or "", current_font))
        elif child.tag == DRAWING + "br":
            parts.append("\n")
        elif child.tag == DRAWING + "tab":
            parts.append("\t")
    return "".join(parts)


def chart_lines(root: ElementTree.Element) -> Iterator[str]:
    """A chart as its titles and a table: one line of series names, one line for each category."""
    for title in root.iter(CHART + "title"):
        for paragraph in title.iter(DRAWING + "p"):
            yield drawn_text(paragraph)
    names: list[str] = []
    columns: list[Points] = []
    categories: Points = {}
    for series in root.iter(CHART + "ser"):
        names.append(" ".join(_points(series.find(CHART + "tx")).values()))
        columns.append(_points(_first(series, "val", "yVal")))
        categories = categories or _points(_first(series, "cat", "xVal"))
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


def _first(series: ElementTree.Element, *names: str) -> ElementTree.Element | None:
    for name in names:
        element = series.find(CHART + name)
        if element is not None:
            return element
    return None


def _points(element: ElementTree.Element | None) -> Points:
    """Values by index: what the program that wrote the chart put into its cache."""
    points: Points = {}
    for position, point in enumerate(element.iter(CHART + "pt") if element is not None else ()):
        index = point.get("idx", "")
        # Categories on several levels repeat their indices; they belong together.
        place = int(index) if index.isascii() and index.isdigit() and len(index) < 9 else position
        value = short_number(point.findtext(CHART + "v") or "")
        points[place] = f"{value} {points[place]}" if place in points else value
    return points
