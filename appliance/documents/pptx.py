"""Presentations (PPTX) to text: slide by slide, titles first, tables as lines, then the speaker's notes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

from appliance.documents.archive import Package, check_depth
from appliance.documents.charts import CHART, DIAGRAM, DRAWING, RELATION, drawn_text, graphic_lines
from appliance.documents.numbering import number_text
from appliance.documents.related_parts import unread_parts_note
from appliance.documents.text_lines import Lines, table_line
from appliance.ground.text import human_count

_SLIDE = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_PLACES = frozenset(_SLIDE + name for name in ("sp", "grpSp", "graphicFrame", "cxnSp", "pic"))
_OFF = ("0", "false")
_TITLES = ("title", "ctrTitle")
_NUMBER_FORMS = {"alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman"}


@dataclass
class _Show:
    """What the slides share."""

    package: Package
    has_hidden: bool = False
    background: dict[str, None] = field(default_factory=dict)
    """Lines that stand on every slide of a layout, each once."""
    layouts: set[str] = field(default_factory=set)
    """Layouts and masters that were read."""


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
    show = _Show(package)
    for part in parts:
        root = package.parse_if_there(part)
        if root is None:
            broken += 1
        elif root.get("show") in _OFF:
            hidden += 1
        else:
            slide = [line for line in _slide_lines(show, part, root) if line.strip()]
            if slide:
                lines.add(("\n" if lines else "") + "\n".join(slide))
            _note_background(show, part, root)
    if show.background:
        lines.add("\n" + "\n".join(show.background))
    text = lines.text()
    notes = [f"{human_count(hidden, 'hidden slide')} left out"] if hidden else []
    notes += ["hidden shapes were left out"] if show.has_hidden else []
    notes += [f"{human_count(broken, 'broken slide')} left out"] if broken else []
    return text, notes + unread_parts_note(package, name, text)


def _slide_lines(show: _Show, part: str, root: ElementTree.Element) -> Iterator[str]:
    package = show.package
    tree = root.find(f"{_SLIDE}cSld/{_SLIDE}spTree")
    shapes = list(tree) if tree is not None else []
    for shape in sorted(shapes, key=lambda shape: _placeholder(shape) not in _TITLES):
        yield from _shape_lines(show, part, shape, 0)
    for name in package.related(part, "notesSlide"):
        notes = package.parse_if_there(name)
        for shape in notes.iter(_SLIDE + "sp") if notes is not None else ():
            if _placeholder(shape) == "body" and not _is_hidden(show, shape):
                yield from (f"Notes: {line}" for line in _paragraphs(shape) if line.strip())
    for name in package.related(part, "comments"):
        comments = package.parse_if_there(name)
        for element in comments.iter() if comments is not None else ():
            if element.tag.rpartition("}")[2] in ("cm", "reply"):
                yield f"[comment] {' '.join(_comment_text(element).split())}"


def _note_background(show: _Show, part: str, root: ElementTree.Element) -> None:
    """Keeps what the layout and the master of a slide write on it; their placeholders are only prompts."""
    for kind in ("slideLayout", "slideMaster"):
        names = show.package.related(part, kind)
        if not names or root.get("showMasterSp") in _OFF:
            return
        part = names[0]
        layout = show.package.parse_if_there(part)
        if layout is None:
            return
        root = layout
        if part in show.layouts:
            continue
        show.layouts.add(part)
        for shape in root.iterfind(f"{_SLIDE}cSld/{_SLIDE}spTree/*"):
            if not any(True for _ in shape.iter(_SLIDE + "ph")):
                show.background.update(
                    dict.fromkeys(line for line in _shape_lines(show, part, shape, 0) if line.strip())
                )


def _shape_lines(show: _Show, part: str, shape: ElementTree.Element, depth: int) -> Iterator[str]:
    """Lines of a shape, a table, a chart, or a group of them."""
    check_depth(depth, "the slides are")
    if shape.tag in _PLACES and _is_hidden(show, shape):
        return
    if shape.tag == DRAWING + "tbl":
        for row in shape.iter(DRAWING + "tr"):
            cells = row.iter(DRAWING + "tc")
            yield table_line(["" if _is_covered(show, cell) else " ".join(_paragraphs(cell)) for cell in cells])
    elif shape.tag in (CHART + "chart", DIAGRAM + "relIds"):
        yield from graphic_lines(show.package, part, shape)
    elif shape.tag == _SLIDE + "txBody":
        yield from _paragraphs(shape)
    elif shape.tag != _FALLBACK:
        for child in shape:
            yield from _shape_lines(show, part, child, depth + 1)


def _is_covered(show: _Show, cell: ElementTree.Element) -> bool:
    """Whether a cell lies below a merged one."""
    covered = any(cell.get(name, "0") not in _OFF for name in ("hMerge", "vMerge"))
    show.has_hidden = show.has_hidden or (
        covered and any((text.text or "").strip() for text in cell.iter(DRAWING + "t"))
    )
    return covered


def _is_hidden(show: _Show, shape: ElementTree.Element) -> bool:
    """Whether a shape is not shown; the list of shapes in the program can hide each of them."""
    properties = next((child.find(_SLIDE + "cNvPr") for child in shape if child.tag.startswith(_SLIDE + "nv")), None)
    hidden = properties is not None and properties.get("hidden", "0") not in _OFF
    show.has_hidden = show.has_hidden or hidden
    return hidden


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
