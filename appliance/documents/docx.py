"""Word documents (DOCX) to text: paragraphs as lines with their list numbers, table rows with tabs between cells."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

from appliance.documents.archive import Package, check_depth
from appliance.documents.attachments import MAX_DEPTH, InnerReader
from appliance.documents.charts import CHART, DIAGRAM, RELATION, graphic_lines
from appliance.documents.numbering import Numbering, read_numbering
from appliance.documents.office_math import MATH, math_text
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.raised_digits import lowered, raised, settled
from appliance.documents.related_parts import unread_parts_note
from appliance.documents.text_lines import Lines
from appliance.documents.word_bindings import read_data_parts, show_bound_values
from appliance.documents.word_equations import instruction_text
from appliance.documents.word_forms import Fields, empty_placeholders, form_field_text
from appliance.documents.word_headers import unused_headers
from appliance.documents.word_styles import WORD, WordStyles, is_on, read_word_styles, value_of
from appliance.documents.word_symbols import shown_signs, symbol_text

_PLACED = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_VML = "{urn:schemas-microsoft-com:vml}"
_ALTERNATIVES = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_MAX_WATERMARK = 1000
_BREAKS = {WORD + "tab": "\t", WORD + "ptab": "\t", WORD + "br": "\n", WORD + "cr": "\n", WORD + "noBreakHyphen": "-"}
_DELETED = frozenset((WORD + "del", WORD + "moveFrom"))
_SKIPPED = frozenset(
    (_FALLBACK, *(WORD + name for name in ("pPr", "rPr", "sectPr", "tblPr", "trPr", "tcPr", "sdtPr", "rt", "rubyPr")))
)
_HIDDEN_SHAPE = re.compile(r"visibility\s*:\s*hidden|display\s*:\s*none", re.IGNORECASE)
_AFTER_BODY = ("footer", "footnotes", "endnotes", "comments")


@dataclass
class _Shared:
    """What the parts of a document share."""

    package: Package
    numbering: Numbering
    styles: WordStyles
    read_inner: InnerReader | None = None
    depth: int = 0
    """Documents that this one is inserted in."""
    hidden: bool = False
    deleted: bool = False
    has_unknown_signs: bool = False
    has_struck: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass
class _Part:
    """The part that is being read."""

    shared: _Shared
    name: str
    fields: Fields
    paragraph_style: str = ""
    table_style: str = ""


def read_word(package: Package, read_inner: InnerReader | None = None, depth: int = 0) -> tuple[str, list[str]]:
    """Text and notes of a DOCX: headers first, then the body, then footers, footnotes and comments.

    Args:
        read_inner: Reads documents of other formats that are inserted whole; without it they are named only.
        depth: Documents that this one lies in.

    Raises:
        DocumentError: The file is broken, encrypted or too large.
    """
    document = _document_name(package)
    styles = read_word_styles(package, document)
    shared = _Shared(package, read_numbering(package, document), styles, read_inner, depth)
    headers = package.related(document, "header")
    after = [name for kind in _AFTER_BODY for name in package.related(document, kind)]
    lines = Lines()
    seen: set[str] = set()
    body = package.parse(document)
    unused = unused_headers(package, document, body)
    data_parts = read_data_parts(package, document)
    for name in [*sorted(headers), document, *after]:
        root = body if name == document else package.parse_if_there(name)
        if name in unused and root is not None:
            shared.hidden = shared.hidden or any(text.text for text in root.iter(WORD + "t"))
            continue
        if root is None:
            shared.notes.append(f"{name[:80]} is broken and was left out")
            continue
        show_bound_values(root, data_parts)
        empty_placeholders(root)
        _show_only_forms(root)
        text = settled("\n".join(_block_lines(_Part(shared, name, Fields(root)), root, 0))).strip("\n")
        # Word writes the same header once for each section.
        if text and text not in seen:
            lines.add(text)
            seen.add(text)
    text = lines.text()
    notes = ["hidden text was left out"] if shared.hidden else []
    notes += ["deleted text of tracked changes was left out"] if shared.deleted else []
    notes += ["signs of a symbol font were left out"] if shared.has_unknown_signs else []
    notes += ["struck-out text was read as the rest"] if shared.has_struck else []
    return text, notes + shared.notes + unread_parts_note(package, document, text)


def _show_only_forms(root: ElementTree.Element) -> None:
    """Lets the older form of a content be read where no newer one stands beside it."""
    for choices in root.iter(_ALTERNATIVES):
        if len(choices) == 1 and choices[0].tag == _FALLBACK:
            choices[0].tag = WORD + "smartTag"


def _document_name(package: Package) -> str:
    named = package.related("", "officeDocument")
    return named[0] if named else "word/document.xml"


def _block_lines(part: _Part, element: ElementTree.Element, depth: int) -> Iterator[str]:
    """Lines of a body, a cell or a text box; tables give one line per row."""
    check_depth(depth)
    before = ""
    for child in element:
        if child.tag == WORD + "p":
            text = _paragraph_text(part, child, depth + 1)
            if _has_no_mark(part, child):
                # Its text goes on in the next paragraph, which also says how both are numbered.
                before += text
                continue
            label, text, before = part.shared.numbering.label(child), before + text, ""
            yield from (f"{label} {text}" if label and text.strip() else text).split("\n")
            continue
        if before and child.tag not in _SKIPPED:
            yield from before.split("\n")
            before = ""
        if child.tag == WORD + "tr":
            if not _is_left_out_row(part, child):
                yield _cells_before(child) + "\t".join(
                    _cell_text(part, cell, depth + 1) for cell in _cells(part, child, depth + 1)
                )
        elif child.tag == WORD + "tbl":
            yield from _table_lines(part, child, depth + 1)
        elif child.tag == WORD + "comment":
            yield f"[comment by {child.get(WORD + 'author', '')}] {_cell_text(part, child, depth + 1)}"
        elif child.tag == MATH + "oMathPara":
            yield _inline_text(part, child, depth + 1)
        elif child.tag == WORD + "altChunk":
            yield from _inserted_lines(part, child)
        elif child.tag in _DELETED:
            part.shared.deleted = True
        elif child.tag not in _SKIPPED:
            yield from _block_lines(part, child, depth + 1)
    if before:
        yield from before.split("\n")


def _paragraph_text(part: _Part, paragraph: ElementTree.Element, depth: int) -> str:
    outside = part.paragraph_style
    part.paragraph_style = value_of(paragraph.find(WORD + "pPr"), "pStyle")
    text = _inline_text(part, paragraph, depth)
    part.paragraph_style = outside
    return text


def _has_no_mark(part: _Part, paragraph: ElementTree.Element) -> bool:
    """Whether the end of a paragraph is deleted or hidden, so that the next one stands on the same line."""
    properties = paragraph.find(WORD + "pPr")
    mark = properties.find(WORD + "rPr") if properties is not None else None
    if mark is not None and any(child.tag in _DELETED for child in mark):
        part.shared.deleted = True
        return True
    return part.shared.styles.is_hidden(mark, value_of(properties, "pStyle"), part.table_style)


def _table_lines(part: _Part, table: ElementTree.Element, depth: int) -> Iterator[str]:
    outside = part.table_style
    part.table_style = value_of(table.find(WORD + "tblPr"), "tblStyle")
    yield from _block_lines(part, table, depth)
    part.table_style = outside


def _cells_before(row: ElementTree.Element) -> str:
    """A tab for each column that a row leaves free before its first cell."""
    count = value_of(row.find(WORD + "trPr"), "gridBefore")
    return "\t" * (int(count) if count.isascii() and count.isdigit() and len(count) < 3 else 0)


def _is_left_out_row(part: _Part, row: ElementTree.Element) -> bool:
    properties = row.find(WORD + "trPr")
    if properties is None:
        return False
    hidden, deleted = bool(is_on(properties, "hidden")), properties.find(WORD + "del") is not None
    part.shared.hidden, part.shared.deleted = part.shared.hidden or hidden, part.shared.deleted or deleted
    return hidden or deleted


def _cells(part: _Part, row: ElementTree.Element, depth: int) -> Iterator[ElementTree.Element]:
    """Cells of a row, also those inside content controls; those of a table inside a cell belong to the cell."""
    check_depth(depth)
    for child in row:
        if child.tag == WORD + "tc":
            properties = child.find(WORD + "tcPr")
            if properties is None or properties.find(WORD + "cellDel") is None:
                yield child
            else:
                part.shared.deleted = True
        elif child.tag not in _SKIPPED and child.tag not in _DELETED:
            yield from _cells(part, child, depth + 1)


def _cell_text(part: _Part, cell: ElementTree.Element, depth: int) -> str:
    properties = cell.find(WORD + "tcPr")
    merges = [properties.find(WORD + name) for name in ("vMerge", "hMerge")] if properties is not None else []
    if any(merge is not None and merge.get(WORD + "val", "continue") == "continue" for merge in merges):
        # It belongs to the cell above or before it, which is all that is shown of both.
        part.shared.hidden = part.shared.hidden or any((text.text or "").strip() for text in cell.iter(WORD + "t"))
        return ""
    return " ".join(line for line in _block_lines(part, cell, depth) if line.strip())


def _inserted_lines(part: _Part, chunk: ElementTree.Element) -> list[str]:
    """A document of any format that is inserted whole, and that Word turns into text when it opens the file."""
    shared = part.shared
    relation = shared.package.relations(part.name).get(chunk.get(RELATION + "id", ""))
    if relation is None or relation.external or relation.target not in shared.package or shared.read_inner is None:
        shared.notes.append("an inserted document was left out: it is not in the file")
        return []
    try:
        if shared.depth >= MAX_DEPTH:
            raise DocumentError(Problem.TOO_LARGE, "it is nested too deeply")
        text, kind, notes = shared.read_inner(shared.package.read(relation.target), shared.depth + 1)
    except DocumentError as error:
        shared.notes.append(f"an inserted document was left out: {error.message}")
        return []
    shared.notes += [f"inserted document: {note}" for note in (f"read as {kind}", *notes)]
    return text.rstrip("\n").split("\n")


def _inline_text(part: _Part, element: ElementTree.Element, depth: int) -> str:
    """Text of a paragraph or of what stands inside one."""
    check_depth(depth)
    parts: list[str] = []
    for child in element:
        if child.tag in (WORD + "t", MATH + "t"):
            parts.append("" if part.fields.in_instruction else _signs(part, element, child.text or ""))
        elif child.tag in _BREAKS:
            parts.append("" if part.fields.in_instruction else _BREAKS[child.tag])
        elif child.tag in (WORD + "r", MATH + "r") and _is_hidden_run(part, child):
            part.shared.hidden = True
        elif child.tag == WORD + "r":
            parts.append(_run_text(part, child, depth + 1))
        elif child.tag == WORD + "fldChar":
            parts += [_field_sign(part, part.fields.pass_mark(child)), _inline_text(part, child, depth + 1)]
        elif child.tag == WORD + "instrText":
            part.fields.pass_instruction(child.text or "")
        elif child.tag == WORD + "fldSimple" and instruction_text(child.get(WORD + "instr", "")) is not None:
            parts.append(_field_sign(part, instruction_text(child.get(WORD + "instr", ""))))
        elif child.tag == WORD + "ffData":
            parts.append(form_field_text(child))
        elif child.tag == WORD + "sym":
            sign = symbol_text(child.get(WORD + "font", ""), child.get(WORD + "char", ""))
            part.shared.has_unknown_signs = part.shared.has_unknown_signs or not sign
            parts.append(sign)
        elif child.tag == WORD + "txbxContent":
            parts.append("\n" + "\n".join(_block_lines(part, child, depth + 1)) + "\n")
        elif child.tag in (CHART + "chart", DIAGRAM + "relIds"):
            parts.append("\n" + "\n".join(graphic_lines(part.shared.package, part.name, child)) + "\n")
        elif child.tag == _VML + "textpath":
            parts.append(f"\n{child.get('string', '')[:_MAX_WATERMARK]}\n")
        elif child.tag.startswith(MATH):
            parts.append(_math_text(part, child, depth + 1))
        elif child.tag in _DELETED:
            part.shared.deleted = True
        elif child.tag not in _SKIPPED and not _is_hidden_shape(part, child):
            parts.append(_inline_text(part, child, depth + 1))
    return "".join(parts)


def _run_text(part: _Part, run: ElementTree.Element, depth: int) -> str:
    """Text of a run; one that is struck out is read as the rest, with a note."""
    text = _inline_text(part, run, depth)
    properties = run.find(WORD + "rPr")
    if properties is None or not text.strip():
        return text
    if is_on(properties, "strike") or is_on(properties, "dstrike"):
        part.shared.has_struck = True
    place = part.shared.styles.place(properties)
    return raised(text) if place == "superscript" else lowered(text) if place == "subscript" else text


def _signs(part: _Part, run: ElementTree.Element, text: str) -> str:
    """Text of a run, whose font may show signs for characters of the private area."""

    def font() -> str:
        fonts = run.find(f"{WORD}rPr/{WORD}rFonts")
        return fonts.get(WORD + "ascii", "") or fonts.get(WORD + "hAnsi", "") if fonts is not None else ""

    shown = shown_signs(text, font)
    part.shared.has_unknown_signs = part.shared.has_unknown_signs or len(shown) < len(text)
    return shown


def _field_sign(part: _Part, sign: str | None) -> str:
    part.shared.has_unknown_signs = part.shared.has_unknown_signs or sign == ""
    return sign or ""


def _is_hidden_run(part: _Part, run: ElementTree.Element) -> bool:
    properties = run.find(WORD + "rPr")
    if not part.shared.styles.is_hidden(properties, part.paragraph_style, part.table_style):
        return False
    # Fields begin and end in hidden runs as well.
    for mark in run.iter(WORD + "fldChar"):
        part.fields.pass_mark(mark)
    return any(child.tag not in (WORD + "rPr", WORD + "fldChar") for child in run)


def _is_hidden_shape(part: _Part, element: ElementTree.Element) -> bool:
    """Whether this is a drawing, or a shape of the old form, that is not shown."""
    properties = element.find(_PLACED + "docPr") if element.tag.startswith(_PLACED) else None
    hidden = properties is not None and properties.get("hidden", "0") not in ("0", "false")
    hidden = hidden or (element.tag.startswith(_VML) and bool(_HIDDEN_SHAPE.search(element.get("style", ""))))
    if hidden and any(text.text for text in element.iter(WORD + "t")):
        part.shared.hidden = True
    return hidden


def _math_text(part: _Part, element: ElementTree.Element, depth: int) -> str:
    if element.tag == MATH + "oMathPara":
        return "\n" + _inline_text(part, element, depth) + "\n"
    return math_text(element, lambda inside: _inline_text(part, inside, depth + 1))
