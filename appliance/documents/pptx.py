"""Presentations (PPTX) to text: slide by slide, titles first, tables as lines, then the speaker's notes."""

from collections.abc import Iterator
from xml.etree import ElementTree

from appliance.documents.archive import Package, check_depth
from appliance.documents.charts import CHART, DIAGRAM, DRAWING, RELATION, drawn_text, graphic_lines
from appliance.documents.numbering import number_text
from appliance.documents.text_lines import Lines, table_line
from appliance.ground.text import human_count

_SLIDE = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TITLES = ("title", "ctrTitle")
_NUMBER_FORMS = {"alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman"}


def read_slides(package: Package) -> tuple[str, list[str]]:
    """Text and notes of a PPTX; slides are separated by an empty line.

    Raises:
        DocumentError: The file is broken, encrypted or too large.
    """
    named = package.related("", "officeDocument")
    name = named[0] if named else "ppt/presentation.xml"
    relations = package.relations(name)
    parts: dict[str, None] = {}  # a slide that is listed twice is read once
    for element in package.parse(name).iter(_SLIDE + "sldId"):
        relation = relations.get(element.get(RELATION + "id", ""))
        if relation is not None and relation.target in package:
            parts[relation.target] = None
    lines, hidden, broken = Lines(), 0, 0
    for part in parts:
        root = package.parse_if_there(part)
        if root is None:
            broken += 1
        elif root.get("show") in ("0", "false"):
            hidden += 1
        else:
            slide = [line for line in _slide_lines(package, part, root) if line.strip()]
            if slide:
                lines.add(("\n" if lines else "") + "\n".join(slide))
    notes = [f"{human_count(hidden, 'hidden slide')} left out"] if hidden else []
    return lines.text(), notes + ([f"{human_count(broken, 'broken slide')} left out"] if broken else [])


def _slide_lines(package: Package, part: str, root: ElementTree.Element) -> Iterator[str]:
    tree = root.find(f"{_SLIDE}cSld/{_SLIDE}spTree")
    shapes = list(tree) if tree is not None else []
    for shape in sorted(shapes, key=lambda shape: _placeholder(shape) not in _TITLES):
        yield from _shape_lines(package, part, shape, 0)
    for name in package.related(part, "notesSlide"):
        notes = package.parse_if_there(name)
        for shape in notes.iter(_SLIDE + "sp") if notes is not None else ():
            if _placeholder(shape) == "body":
                yield from (f"Notes: {line}" for line in _paragraphs(shape) if line.strip())
    for name in package.related(part, "comments"):
        comments = package.parse_if_there(name)
        for element in comments.iter() if comments is not None else ():
            if element.tag.rpartition("}")[2] in ("cm", "reply"):
                yield f"[comment] {' '.join(_comment_text(element).split())}"


def _shape_lines(package: Package, part: str, shape: ElementTree.Element, depth: int) -> Iterator[str]:
    """Lines of a shape, a table, a chart, or a group of them."""
    check_depth(depth, "the slides are")
    if shape.tag == DRAWING + "tbl":
        for row in shape.iter(DRAWING + "tr"):
            yield table_line([" ".join(_paragraphs(cell)) for cell in row.iter(DRAWING + "tc")])
    elif shape.tag in (CHART + "chart", DIAGRAM + "relIds"):
        yield from graphic_lines(package, part, shape)
    elif shape.tag == _SLIDE + "txBody":
        yield from _paragraphs(shape)
    elif shape.tag != _FALLBACK:
        for child in shape:
            yield from _shape_lines(package, part, child, depth + 1)


def _paragraphs(element: ElementTree.Element) -> Iterator[str]:
    """Paragraphs of a shape or a cell, with the numbers of numbered lists."""
    counts: dict[str, int] = {}
    for paragraph in element.iter(DRAWING + "p"):
        properties = paragraph.find(DRAWING + "pPr")
        numbered = properties.find(DRAWING + "buAutoNum") if properties is not None else None
        level = properties.get("lvl", "0")[:2] if properties is not None else "0"
        text = drawn_text(paragraph)
        if numbered is None or not text.strip():
            counts.pop(level, None)
            yield from text.split("\n")
            continue
        start = numbered.get("startAt", "1")
        first = int(start) if start.isascii() and start.isdigit() and len(start) < 6 else 1
        counts[level] = counts.get(level, first - 1) + 1
        yield from f"{_list_label(counts[level], numbered.get('type', ''))} {text}".split("\n")


def _list_label(number: int, kind: str) -> str:
    form = next((form for start, form in _NUMBER_FORMS.items() if kind.startswith(start)), "decimal")
    written = number_text(number, form)
    if kind.endswith("ParenBoth"):
        return f"({written})"
    return written + (")" if kind.endswith("ParenR") else "" if kind.endswith("Plain") else ".")


def _placeholder(shape: ElementTree.Element) -> str:
    for element in shape.iter(_SLIDE + "ph"):
        return element.get("type", "body")
    return ""


def _comment_text(element: ElementTree.Element) -> str:
    """Text of a comment without its answers, in the old form or the new one."""
    for child in element:
        if child.tag == _SLIDE + "text":
            return child.text or ""
        if child.tag.rpartition("}")[2] == "txBody":
            return " ".join(drawn_text(paragraph) for paragraph in child.iter(DRAWING + "p"))
    return ""
