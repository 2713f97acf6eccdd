"""OpenDocument files (ODT, ODS, ODP) to text: paragraphs as lines with their list numbers, table rows with tabs."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

from appliance.documents.archive import Package, check_depth
from appliance.documents.odf_lists import OdfLists
from appliance.documents.odf_styles import (
    DRAW,
    OFFICE,
    STYLE,
    TABLE,
    TEXT,
    OdfStyles,
    hidden_columns,
    hides_rows,
    is_hidden_section,
    small_number,
)
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.raised_digits import lowered, raised, settled
from appliance.documents.text_lines import Lines, table_line
from appliance.ground.text import human_count

_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
_MANIFEST = "{" + _OASIS + "manifest:1.0}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_MATH = "{http://www.w3.org/1998/Math/MathML}"
_SKIPPED = frozenset(
    (TEXT + "tracked-changes", TEXT + "sequence-decls", TEXT + "variable-decls", TEXT + "user-field-decls",
     TEXT + "script", TEXT + "placeholder", TEXT + "ruby-text", OFFICE + "forms", OFFICE + "scripts",
     OFFICE + "event-listeners", DRAW + "image", TABLE + "shapes", TABLE + "tracked-changes",
     TABLE + "content-validations", TABLE + "named-expressions", TABLE + "dde-links", STYLE + "style",
     "{http://www.w3.org/2000/svg}title", "{http://www.w3.org/2000/svg}desc",
     "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}title",
     "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}desc")
)  # fmt: skip
_EMBEDDED = frozenset(DRAW + name for name in ("object-ole", "plugin", "applet", "floating-frame"))
_BOXES = frozenset(
    DRAW + name for name in ("frame", "custom-shape", "g", "text-box", "rect", "ellipse", "line", "polygon")
)
_ROWS = frozenset(TABLE + name for name in ("table-row", "table-header-rows", "table-rows", "table-row-group"))
_BLANKS = re.compile(r"[ \t\r\n]+")
_NO_TIME = re.compile(r"T00:00(?::00(?:[.,]0+)?)?$")
_DURATION = re.compile(r"PT(?:(\d{1,6})H)?(?:(\d{1,2})M)?(?:(\d{1,2})(?:[.,]\d+)?S)?")
_MAX_BLANKS = 1000
_MAX_REPEATED = 1000
"""Equal rows or cells that are written out; spreadsheets are filled up to their end with empty ones."""


@dataclass
class _Reading:
    """What the parts of one document share."""

    package: Package
    styles: OdfStyles = field(default_factory=OdfStyles)
    lists: OdfLists = field(default_factory=OdfLists)
    hidden: set[str] = field(default_factory=set)
    """What was left out because it is not shown."""
    deleted: bool = False
    unsolved: bool = False
    unread: Counter[str] = field(default_factory=Counter)
    """What holds more than its text, by what it is."""
    after: list[str] = field(default_factory=list)
    """Footnotes and comments, which stand after the text that they belong to."""

    def notes(self) -> list[str]:
        """What was left out, for the person who looks at the row."""
        notes = [f"hidden {what} left out" for what in sorted(self.hidden)]
        notes += ["deleted text of tracked changes was left out"] if self.deleted else []
        notes += ["formulas without a stored result were left out"] if self.unsolved else []
        listed = ", ".join(human_count(count, name) for name, count in sorted(self.unread.items()))
        return notes + ([f"parts of the file that were not read: {listed}"] if listed else [])


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
            reading.lists.learn(root)
    lines = Lines()
    for name in ("header", "body", "footer"):
        root = content if name == "body" else styles
        # Both parts may have a style of their own with the same name.
        reading.styles = OdfStyles()
        for part in (styles, content) if name == "body" else (content, styles):
            reading.styles.learn(part)
        tags = (OFFICE + "body",) if name == "body" else tuple(f"{STYLE}{name}{end}" for end in ("", "-left", "-first"))
        seen: set[str] = set()
        for element in root.iter() if root is not None else ():
            if element.tag not in tags or element.get(STYLE + "display") == "false":
                continue
            for line in map(settled, _block_lines(reading, element, 0)):
                if line.strip() and (name == "body" or line not in seen):
                    lines.add(line)
                    seen.update(() if name == "body" else (line,))
    for line in map(settled, reading.after):
        lines.add(line)
    return lines.text(), reading.notes()


def _refuse_encrypted(package: Package) -> None:
    manifest = package.parse_if_there("META-INF/manifest.xml")
    if manifest is not None and any(True for _ in manifest.iter(_MANIFEST + "encryption-data")):
        raise DocumentError(Problem.ENCRYPTED, "the file is protected with a password", "save it without a password")


def _block_lines(reading: _Reading, element: ElementTree.Element, depth: int) -> Iterator[str]:
    """Lines of a body, a section, a cell or a text box."""
    check_depth(depth)
    for child in element:
        if child.tag == TEXT + "p":
            yield from _paragraph_text(reading, child, depth + 1).split("\n")
        elif child.tag == TEXT + "h":
            text = _paragraph_text(reading, child, depth + 1)
            yield from (reading.lists.heading_label(child) + text if text.strip() else "").split("\n")
        elif child.tag == TEXT + "list":
            yield from _list_lines(reading, child, (child.get(TEXT + "style-name", ""), 1), depth + 1)
        elif child.tag == TABLE + "table":
            yield from _named_table_lines(reading, child, element.tag == OFFICE + "spreadsheet", depth + 1)
        elif child.tag == DRAW + "object":
            yield from _object_lines(reading, child, depth + 1)
        elif child.tag == OFFICE + "annotation":
            _keep_comment(reading, child, depth + 1)
        elif child.tag not in _SKIPPED and not _is_hidden_block(reading, child):
            _count_unread(reading, child)
            yield from _block_lines(reading, child, depth + 1)
        elif child.tag in _SKIPPED:
            _note_skipped(reading, child)


def _is_hidden_block(reading: _Reading, block: ElementTree.Element) -> bool:
    """Whether a section, a slide or a drawn object is not shown."""
    if block.tag == DRAW + "page":
        what = "slides were" if reading.styles.says_hidden(block) else ""
    elif block.tag == TEXT + "section":
        what = "text was" if is_hidden_section(block) else ""
    else:
        what = "shapes were" if block.tag.startswith(DRAW) and reading.styles.is_hidden_shape(block) else ""
    if what and _has_text(block):
        reading.hidden.add(what)
    return bool(what)


def _count_unread(reading: _Reading, block: ElementTree.Element) -> None:
    """Counts what a frame holds that is no text: the picture that stands for a formula or a chart is none."""
    if block.tag in _EMBEDDED:
        reading.unread["embedded object"] += 1
    elif block.tag == DRAW + "frame":
        inside = [child.tag for child in block]
        if DRAW + "image" in inside and not {DRAW + "object", DRAW + "text-box", *_EMBEDDED}.intersection(inside):
            reading.unread["picture"] += 1


def _note_skipped(reading: _Reading, element: ElementTree.Element) -> None:
    if element.tag == OFFICE + "forms":
        controls = sum(1 for form in element for control in form if control.tag.rpartition("}")[2] != "properties")
        reading.unread.update({"form control": controls} if controls else {})
    elif element.tag in (TEXT + "tracked-changes", TABLE + "tracked-changes"):
        reading.deleted = reading.deleted or any(one.tag.rpartition("}")[2] == "deletion" for one in element.iter())


def _paragraph_text(reading: _Reading, paragraph: ElementTree.Element, depth: int) -> str:
    """Text of a paragraph; nothing where the paragraph, or a field in it, hides it."""
    if any(field.get(TEXT + "is-hidden") == "true" for field in paragraph.iter(TEXT + "hidden-paragraph")):
        reading.hidden.add("text was")
        return ""
    return _inline_text(reading, paragraph, depth, False)


def _inline_text(reading: _Reading, element: ElementTree.Element, depth: int, hidden: bool) -> str:
    """Text of a paragraph or of what stands inside one, unless the style of either hides it."""
    check_depth(depth)
    own = reading.styles.says_hidden(element)
    hidden = hidden if own is None else own
    parts = [_shown(reading, element.text, hidden)]
    for child in element:
        if hidden and child.tag != TEXT + "span":
            if _has_text(child):
                reading.hidden.add("text was")
        elif child.tag == TEXT + "s":
            parts.append(" " * min(small_number(child.get(TEXT + "c"), 1), _MAX_BLANKS))
        elif child.tag == TEXT + "tab":
            parts.append("\t")
        elif child.tag == TEXT + "line-break":
            parts.append("\n")
        elif child.tag == TEXT + "note":
            parts.append(_note(reading, child, depth + 1))
        elif child.tag == OFFICE + "annotation":
            _keep_comment(reading, child, depth + 1)
        elif child.tag == TEXT + "hidden-text":
            parts.append(_shown(reading, child.text, child.get(TEXT + "is-hidden") != "false"))
        elif child.tag in _BOXES:
            holder = ElementTree.Element("box")
            holder.append(child)
            boxed = [line for line in _block_lines(reading, holder, depth + 1) if line.strip()]
            parts.append("\n" + "\n".join(boxed) + "\n" if boxed else "")
        elif child.tag not in _SKIPPED and not _is_prompt(child):
            inside, place = _inline_text(reading, child, depth + 1, hidden), reading.styles.place(child)
            parts.append(raised(inside) if place == "super" else lowered(inside) if place else inside)
        parts.append(_shown(reading, child.tail, hidden))
    return "".join(parts)


def _shown(reading: _Reading, text: str | None, hidden: bool) -> str:
    shown = _blank(text)
    if hidden and shown.strip():
        reading.hidden.add("text was")
    return "" if hidden else shown


def _is_prompt(element: ElementTree.Element) -> bool:
    """Whether this is a control that nobody has filled in."""
    return element.tag.endswith("}content-control") and any(
        name.endswith("}showing-place-holder") and value == "true" for name, value in element.items()
    )


def _has_text(element: ElementTree.Element) -> bool:
    return any(text.strip() for text in element.itertext())


def _note(reading: _Reading, note: ElementTree.Element, depth: int) -> str:
    """A footnote: its mark stays in the text, its words go after it."""
    mark = note.findtext(TEXT + "note-citation") or ""
    body = note.find(TEXT + "note-body")
    if body is not None:
        lines = [line for line in _block_lines(reading, body, depth) if line.strip()]
        reading.after.append(f"{mark} {' '.join(lines)}".strip())
    return raised(mark)


def _keep_comment(reading: _Reading, comment: ElementTree.Element, depth: int) -> None:
    """What somebody remarked goes after the text; a cell or a sentence does not hold it."""
    texts = [line for line in _block_lines(reading, comment, depth) if line.strip()]
    reading.after.append(f"[comment] {' '.join(texts)}")


def _list_lines(reading: _Reading, element: ElementTree.Element, place: tuple[str, int], depth: int) -> Iterator[str]:
    """Entries of a list; `place` is its style and its level."""
    check_depth(depth)
    style, number = place
    reading.lists.begin(style, number, element)
    for entry in element:
        first = entry.tag == TEXT + "list-item"
        for child in entry:
            if child.tag == TEXT + "list":
                yield from _list_lines(reading, child, (child.get(TEXT + "style-name", style), number + 1), depth + 1)
                continue
            holder = ElementTree.Element("entry")
            holder.append(child)
            for line in _block_lines(reading, holder, depth + 1):
                yield (reading.lists.label(style, number, entry) if first and line.strip() else "") + line
                first = first and not line.strip()


def _named_table_lines(reading: _Reading, table: ElementTree.Element, is_sheet: bool, depth: int) -> Iterator[str]:
    """A table; a sheet of a workbook after its name."""
    if reading.styles.says_hidden(table):
        name = table.get(TABLE + "name", "")[:40]
        reading.hidden.add(f"sheet {name} was" if is_sheet else "tables were")
        return
    if is_sheet and table.get(TABLE + "name"):
        yield table.get(TABLE + "name", "")
    yield from _table_lines(reading, table, hidden_columns(table), depth)
    for shapes in table.iterfind(TABLE + "shapes") if is_sheet else ():
        yield from (line for line in _block_lines(reading, shapes, depth) if line.strip())


def _table_lines(
    reading: _Reading, table: ElementTree.Element, hidden: list[tuple[int, int]], depth: int
) -> Iterator[str]:
    """Rows of a table; `hidden` are runs of columns that it does not show."""
    check_depth(depth)
    for child in table:
        if child.tag not in _ROWS:
            continue
        if hides_rows(child):
            if _has_text(child):
                reading.hidden.add("rows were")
        elif child.tag == TABLE + "table-row":
            line = table_line(_cells(reading, child, hidden, depth + 1))
            repeated = small_number(child.get(TABLE + "number-rows-repeated"), 1) if line.strip() else 0
            yield from [line] * min(repeated, _MAX_REPEATED)
            reading.unread.update({"repeated row": repeated - _MAX_REPEATED} if repeated > _MAX_REPEATED else {})
        else:
            yield from _table_lines(reading, child, hidden, depth + 1)


def _cells(reading: _Reading, row: ElementTree.Element, hidden: list[tuple[int, int]], depth: int) -> list[str]:
    cells: list[str] = []
    column = lent = 0
    for cell in row:
        if cell.tag not in (TABLE + "table-cell", TABLE + "covered-table-cell"):
            continue
        repeated = small_number(cell.get(TABLE + "number-columns-repeated"), 1)
        shown = _shown_columns(column, repeated, hidden)
        is_covered = cell.tag == TABLE + "covered-table-cell"
        if not is_covered and not shown and repeated == 1:
            # A merged cell shows its text where any of its columns is shown.
            lent = min(_shown_columns(column, small_number(cell.get(TABLE + "number-columns-spanned"), 1), hidden), 1)
            shown = lent
        elif is_covered and shown and lent:
            shown, lent = shown - 1, 0
        column += repeated
        if is_covered or shown <= 0:
            if _has_text(cell):
                reading.hidden.add("cells were" if is_covered else "columns were")
            cells += [""] * min(max(shown, 0), 20)
            continue
        text = " ".join(line for line in _block_lines(reading, cell, depth) if line.strip()) or _value(reading, cell)
        cells += [text] * min(shown, _MAX_REPEATED if text.strip() else 20)
    return cells


def _shown_columns(first: int, count: int, hidden: list[tuple[int, int]]) -> int:
    return count - sum(max(min(end, first + count - 1) - max(start, first) + 1, 0) for start, end in hidden)


def _value(reading: _Reading, cell: ElementTree.Element) -> str:
    """The value of a cell that a program stored without the text that it shows."""
    kind = cell.get(OFFICE + "value-type", "")
    if not kind or any(child.tag == TEXT + "p" for child in cell):
        return ""
    value = cell.get(
        f"{OFFICE}{kind if kind in ('date', 'time', 'string', 'boolean') else ''}-value".replace("}-", "}"), ""
    )
    if kind == "percentage":
        try:
            return f"{float(value) * 100:.10g}%"
        except ValueError:
            return value
    if kind == "boolean" and value:
        return value.upper()
    if kind == "date":
        return _NO_TIME.sub("", value).replace("T", " ")
    duration = _DURATION.fullmatch(value) if kind == "time" else None
    if duration:
        hours, minutes, seconds = duration.groups(default="00")
        return f"{hours:0>2}:{minutes:0>2}:{seconds:0>2}"
    reading.unsolved = reading.unsolved or (not value and bool(cell.get(TABLE + "formula")))
    return f"{value} {cell.get(OFFICE + 'currency', '')}".strip() if kind == "currency" else value


def _object_lines(reading: _Reading, element: ElementTree.Element, depth: int) -> Iterator[str]:
    """A formula as it was typed, or the table behind a chart."""
    root = reading.package.parse_if_there(element.get(_LINK, "").removeprefix("./") + "/content.xml")
    if root is None:
        reading.unread["embedded object"] += 1
    elif root.tag == _MATH + "math":
        for typed in root.iter(_MATH + "annotation"):
            yield typed.text or ""
    elif any(body.tag == OFFICE + "chart" for body in root.iter()):
        for table in root.iter(TABLE + "table"):
            yield from _table_lines(_Reading(reading.package), table, [], depth + 1)
    else:
        reading.unread["embedded object"] += 1


def _blank(text: str | None) -> str:
    """Text between tags: line ends and runs of blanks are one blank there, as in HTML."""
    return _BLANKS.sub(" ", text) if text else ""
