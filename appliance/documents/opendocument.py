"""OpenDocument files (ODT, ODS, ODP) to text: paragraphs as lines with their list numbers, table rows with tabs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

from appliance.documents.archive import Package, check_depth
from appliance.documents.numbering import BULLET, number_text
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.text_lines import Lines, table_line

_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT = "{" + _OASIS + "text:1.0}"
_TABLE = "{" + _OASIS + "table:1.0}"
_DRAW = "{" + _OASIS + "drawing:1.0}"
_OFFICE = "{" + _OASIS + "office:1.0}"
_STYLE = "{" + _OASIS + "style:1.0}"
_MANIFEST = "{" + _OASIS + "manifest:1.0}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_MATH = "{http://www.w3.org/1998/Math/MathML}"
_SKIPPED = frozenset(
    (_TEXT + "tracked-changes", _TEXT + "hidden-text", _TEXT + "sequence-decls", _TEXT + "variable-decls",
     _TEXT + "user-field-decls", _OFFICE + "forms", _DRAW + "image", _TABLE + "shapes", _STYLE + "style",
     _TEXT + "ruby-text", _OFFICE + "event-listeners", "{http://www.w3.org/2000/svg}title", "{http://www.w3.org/2000/svg}desc",
     "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}title",
     "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}desc")
)  # fmt: skip
_BLANKS = re.compile(r"[ \t\r\n]+")
_MAX_BLANKS = 1000
_MAX_REPEATED = 1000
"""Equal rows or cells that are written out; spreadsheets are filled up to their end with empty ones."""
_FORMS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_MAX_AFFIX_CHARACTERS = 32


@dataclass(frozen=True)
class _Level:
    """How one level of a list is marked."""

    form: str
    """A number form, or nothing for a bullet."""
    prefix: str
    suffix: str
    start: int
    display_levels: int
    """How many levels the number shows."""


@dataclass
class _Reading:
    """What the parts of one document share."""

    package: Package
    lists: dict[str, dict[int, _Level]] = field(default_factory=dict)
    hidden_styles: set[str] = field(default_factory=set)
    hidden: bool = False
    counts: dict[str, list[int]] = field(default_factory=dict)
    headings: list[int] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    """Footnotes and comments, which stand after the text that they belong to."""


def read_opendocument(package: Package) -> tuple[str, list[str]]:
    """Text and notes of an ODT, ODS or ODP: page headers, the body, page footers, footnotes, comments.

    Raises:
        DocumentError: The file is broken, encrypted or too large.
    """
    _refuse_encrypted(package)
    reading = _Reading(package)
    styles, content = package.parse_if_there("styles.xml"), package.parse("content.xml")
    for root in (styles, content):
        if root is not None:
            _learn_styles(reading, root)
    lines = Lines()
    for name in ("header", "body", "footer"):
        root = content if name == "body" else styles
        tag = _OFFICE + "body" if name == "body" else _STYLE + name
        seen: set[str] = set()
        for element in root.iter(tag) if root is not None else ():
            for line in _block_lines(reading, element, 0):
                if line.strip() and (name == "body" or line not in seen):
                    lines.add(line)
                    seen.update(() if name == "body" else (line,))
    for line in reading.after:
        lines.add(line)
    return lines.text(), ["hidden text was left out"] if reading.hidden else []


def _refuse_encrypted(package: Package) -> None:
    manifest = package.parse_if_there("META-INF/manifest.xml")
    if manifest is not None and any(True for _ in manifest.iter(_MANIFEST + "encryption-data")):
        raise DocumentError(Problem.ENCRYPTED, "the file is protected with a password", "save it without a password")


def _learn_styles(reading: _Reading, root: ElementTree.Element) -> None:
    for style in root.iter(_TEXT + "list-style"):
        reading.lists[style.get(_STYLE + "name", "")] = _levels(style)
    for style in root.iter(_TEXT + "outline-style"):
        reading.lists["outline"] = _levels(style)
    for style in root.iter(_STYLE + "style"):
        if any(properties.get(_TEXT + "display") == "none" for properties in style.iter(_STYLE + "text-properties")):
            reading.hidden_styles.add(style.get(_STYLE + "name", ""))


def _levels(style: ElementTree.Element) -> dict[int, _Level]:
    levels = {}
    for element in style:
        number = _small(element.get(_TEXT + "level"), 1)
        numbered = element.tag in (_TEXT + "list-level-style-number", _TEXT + "outline-level-style")
        written = element.get(_STYLE + "num-format", "") if numbered else ""
        levels[number] = _Level(
            form=_FORMS.get(written, "none") if numbered else "",
            prefix=element.get(_STYLE + "num-prefix", "")[:_MAX_AFFIX_CHARACTERS],
            suffix=element.get(_STYLE + "num-suffix", "")[:_MAX_AFFIX_CHARACTERS],
            start=_small(element.get(_TEXT + "start-value"), 1),
            display_levels=_small(element.get(_TEXT + "display-levels"), 1),
        )
    return levels


def _block_lines(reading: _Reading, element: ElementTree.Element, depth: int) -> Iterator[str]:
    """Lines of a body, a section, a cell or a text box."""
    check_depth(depth)
    for child in element:
        if child.tag == _TEXT + "p":
            yield from _inline_text(reading, child, depth + 1).split("\n")
        elif child.tag == _TEXT + "h":
            text = _inline_text(reading, child, depth + 1)
            yield from (_heading_label(reading, child) + text if text.strip() else "").split("\n")
        elif child.tag == _TEXT + "list":
            yield from _list_lines(reading, child, (child.get(_TEXT + "style-name", ""), 1), depth + 1)
        elif child.tag == _TABLE + "table":
            if child.get(_TABLE + "name") and element.tag == _OFFICE + "spreadsheet":
                yield child.get(_TABLE + "name", "")
            yield from _table_lines(reading, child, depth + 1)
        elif child.tag == _DRAW + "object":
            yield from _object_lines(reading, child, depth + 1)
        elif child.tag not in _SKIPPED:
            yield from _block_lines(reading, child, depth + 1)


def _inline_text(reading: _Reading, element: ElementTree.Element, depth: int) -> str:
    """Text of a paragraph or of what stands inside one."""
    check_depth(depth)
    if element.get(_TEXT + "style-name", "") in reading.hidden_styles:
        reading.hidden = True
        return ""
    parts = [_blank(element.text)]
    for child in element:
        if child.tag == _TEXT + "s":
            parts.append(" " * min(_small(child.get(_TEXT + "c"), 1), _MAX_BLANKS))
        elif child.tag == _TEXT + "tab":
            parts.append("\t")
        elif child.tag == _TEXT + "line-break":
            parts.append("\n")
        elif child.tag == _TEXT + "note":
            parts.append(_note(reading, child, depth + 1))
        elif child.tag == _OFFICE + "annotation":
            texts = [line for line in _block_lines(reading, child, depth + 1) if line.strip()]
            reading.after.append(f"[comment] {' '.join(texts)}")
        elif child.tag in (_TEXT + "hidden-text", _TEXT + "hidden-paragraph"):
            reading.hidden = True
        elif child.tag in (_DRAW + "frame", _DRAW + "custom-shape", _DRAW + "g", _DRAW + "text-box"):
            boxed = [line for line in _block_lines(reading, child, depth + 1) if line.strip()]
            parts.append("\n" + "\n".join(boxed) + "\n" if boxed else "")
        elif child.tag not in _SKIPPED:
            parts.append(_inline_text(reading, child, depth + 1))
        parts.append(_blank(child.tail))
    return "".join(parts)


def _note(reading: _Reading, note: ElementTree.Element, depth: int) -> str:
    """A footnote: its mark stays in the text, its words go after it."""
    mark = note.findtext(_TEXT + "note-citation") or ""
    body = note.find(_TEXT + "note-body")
    if body is not None:
        lines = [line for line in _block_lines(reading, body, depth) if line.strip()]
        reading.after.append(f"{mark} {' '.join(lines)}".strip())
    return mark


def _list_lines(reading: _Reading, element: ElementTree.Element, place: tuple[str, int], depth: int) -> Iterator[str]:
    """Entries of a list; `place` is its style and its level."""
    check_depth(depth)
    style, number = place
    counts = reading.counts.setdefault(style, [])
    if number == 1 and element.get(_TEXT + "continue-numbering") != "true" and not element.get(_TEXT + "continue-list"):
        counts.clear()
    del counts[number:]
    for entry in element:
        first = entry.tag == _TEXT + "list-item"
        for child in entry:
            if child.tag == _TEXT + "list":
                yield from _list_lines(reading, child, (child.get(_TEXT + "style-name", style), number + 1), depth + 1)
                continue
            holder = ElementTree.Element("entry")
            holder.append(child)
            for line in _block_lines(reading, holder, depth + 1):
                yield (_list_label(reading, (style, number), entry) if first and line.strip() else "") + line
                first = first and not line.strip()


def _list_label(reading: _Reading, place: tuple[str, int], entry: ElementTree.Element) -> str:
    style, number = place
    levels = reading.lists.get(style, {})
    level = levels.get(number)
    if level is None or level.form == "none":
        return ""
    if not level.form:
        return f"{BULLET} "
    counts = reading.counts.setdefault(style, [])
    while len(counts) < number:
        at = levels.get(len(counts) + 1)
        counts.append((at.start if at else 1) - 1)
    first = entry.get(_TEXT + "start-value")
    counts[number - 1] = _small(first, 1) if first else counts[number - 1] + 1
    return _label(levels, counts, number)


def _heading_label(reading: _Reading, heading: ElementTree.Element) -> str:
    number = min(_small(heading.get(_TEXT + "outline-level"), 1), 10) or 1
    levels = reading.lists.get("outline", {})
    level = levels.get(number)
    if level is None or level.form in ("", "none") or heading.get(_TEXT + "is-list-header") == "true":
        return ""
    counts = reading.headings
    while len(counts) < number:
        at = levels.get(len(counts) + 1)
        counts.append((at.start if at else 1) - 1)
    counts[number - 1] += 1
    del counts[number:]
    return _label(levels, counts, number)


def _label(levels: dict[int, _Level], counts: list[int], number: int) -> str:
    level = levels[number]
    indices = range(max(number - level.display_levels, 0), number)
    forms = [levels[index + 1].form if index + 1 in levels else "decimal" for index in indices]
    numbers = ".".join(number_text(counts[index], form) for index, form in zip(indices, forms, strict=True))
    return f"{level.prefix}{numbers}{level.suffix}".strip() + " "


def _table_lines(reading: _Reading, table: ElementTree.Element, depth: int) -> Iterator[str]:
    check_depth(depth)
    for child in table:
        if child.tag == _TABLE + "table-row":
            line = table_line(_cells(reading, child, depth + 1))
            repeated = _small(child.get(_TABLE + "number-rows-repeated"), 1)
            yield from [line] * (min(repeated, _MAX_REPEATED) if line.strip() else 0)
        elif child.tag in (_TABLE + "table-header-rows", _TABLE + "table-rows", _TABLE + "table-row-group"):
            yield from _table_lines(reading, child, depth + 1)


def _cells(reading: _Reading, row: ElementTree.Element, depth: int) -> list[str]:
    cells: list[str] = []
    for cell in row:
        if cell.tag in (_TABLE + "table-cell", _TABLE + "covered-table-cell"):
            text = " ".join(line for line in _block_lines(reading, cell, depth) if line.strip())
            repeated = _small(cell.get(_TABLE + "number-columns-repeated"), 1)
            cells += [text] * min(repeated, _MAX_REPEATED if text.strip() else 20)
    return cells


def _object_lines(reading: _Reading, element: ElementTree.Element, depth: int) -> Iterator[str]:
    """A formula as it was typed, or the table behind a chart."""
    root = reading.package.parse_if_there(element.get(_LINK, "").removeprefix("./") + "/content.xml")
    if root is None:
        return
    if root.tag == _MATH + "math":
        for typed in root.iter(_MATH + "annotation"):
            yield typed.text or ""
        return
    for table in root.iter(_TABLE + "table"):
        yield from _table_lines(_Reading(reading.package), table, depth + 1)


def _blank(text: str | None) -> str:
    """Text between tags: line ends and runs of blanks are one blank there, as in HTML."""
    return _BLANKS.sub(" ", text) if text else ""


def _small(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 8 else default
