"""Word documents (DOCX) to text: paragraphs as lines with their list numbers, table rows with tabs between cells."""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from appliance.documents.archive import Package, check_depth
from appliance.documents.charts import CHART, DIAGRAM, graphic_lines
from appliance.documents.numbering import WORD, Numbering, read_numbering
from appliance.documents.text_lines import Lines

_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_BREAKS = {WORD + "tab": "\t", WORD + "br": "\n", WORD + "cr": "\n", WORD + "noBreakHyphen": "-"}
_SKIPPED = frozenset(
    (
        _FALLBACK,
        WORD + "pPr",
        WORD + "rPr",
        WORD + "del",
        WORD + "moveFrom",
        WORD + "sectPr",
        WORD + "tblPr",
        WORD + "sdtPr",
    )
)
_SYMBOLS = {
    "FC": "\u2713",
    "FB": "\u2717",
    "FE": "\u2611",
    "FD": "\u2612",
    "A8": "\u2610",
    "6F": "\u2610",
    "A3": "\u2610",
}
"""Ticks and boxes of the font Wingdings, which forms are filled in with."""
_FORMULAS = frozenset(_MATH + name for name in ("f", "rad", "nary", "sSup", "sSub", "sSubSup"))
_AFTER_BODY = ("footer", "footnotes", "endnotes", "comments")


@dataclass
class _Part:
    """The part that is being read."""

    package: Package
    name: str
    numbering: Numbering
    hidden: bool = False


def read_word(package: Package) -> tuple[str, list[str]]:
    """Text and notes of a DOCX: headers first, then the body, then footers, footnotes and comments.

    Raises:
        DocumentError: The file is broken, encrypted or too large.
    """
    document = _document_name(package)
    numbering = read_numbering(package, document)
    headers = package.related(document, "header")
    after = [name for kind in _AFTER_BODY for name in package.related(document, kind)]
    lines = Lines()
    seen: set[str] = set()
    hidden = False
    for name in [*sorted(headers), document, *after]:
        part = _Part(package, name, numbering)
        root = package.parse(name) if name == document else package.parse_if_there(name)
        text = "\n".join(_block_lines(part, root, 0)).strip("\n") if root is not None else ""
        hidden = hidden or part.hidden
        # Word writes the same header once for each section.
        if text and text not in seen:
            lines.add(text)
            seen.add(text)
    return lines.text(), ["hidden text was left out"] if hidden else []


def _document_name(package: Package) -> str:
    named = package.related("", "officeDocument")
    return named[0] if named else "word/document.xml"


def _block_lines(part: _Part, element: ElementTree.Element, depth: int) -> Iterator[str]:
    """Lines of a body, a cell or a text box; tables give one line per row."""
    check_depth(depth)
    for child in element:
        if child.tag == WORD + "p":
            label = part.numbering.label(child)
            text = _inline_text(part, child, depth + 1)
            yield from (f"{label} {text}" if label and text.strip() else text).split("\n")
        elif child.tag == WORD + "tr":
            yield "\t".join(_cell_text(part, cell, depth + 1) for cell in _cells(child, depth + 1))
        elif child.tag == WORD + "comment":
            yield f"[comment by {child.get(WORD + 'author', '')}] {_cell_text(part, child, depth + 1)}"
        elif child.tag == _MATH + "oMathPara":
            yield _inline_text(part, child, depth + 1)
        elif child.tag not in _SKIPPED:
            yield from _block_lines(part, child, depth + 1)


def _cells(row: ElementTree.Element, depth: int) -> Iterator[ElementTree.Element]:
    """Cells of a row, also those inside content controls; those of a table inside a cell belong to the cell."""
    check_depth(depth)
    for child in row:
        if child.tag == WORD + "tc":
            yield child
        elif child.tag not in _SKIPPED:
            yield from _cells(child, depth + 1)


def _cell_text(part: _Part, cell: ElementTree.Element, depth: int) -> str:
    return " ".join(line for line in _block_lines(part, cell, depth) if line.strip())


def _inline_text(part: _Part, element: ElementTree.Element, depth: int) -> str:
    """Text of a paragraph or of what stands inside one."""
    check_depth(depth)
    parts: list[str] = []
    for child in element:
        if child.tag in (WORD + "t", _MATH + "t"):
            parts.append(child.text or "")
        elif child.tag in _BREAKS:
            parts.append(_BREAKS[child.tag])
        elif child.tag == WORD + "r" and _is_hidden(child):
            part.hidden = True
        elif child.tag == WORD + "sym":
            parts.append(_SYMBOLS.get(child.get(WORD + "char", "")[-2:].upper(), ""))
        elif child.tag == WORD + "txbxContent":
            parts.append("\n" + "\n".join(_block_lines(part, child, depth + 1)) + "\n")
        elif child.tag in (CHART + "chart", DIAGRAM + "relIds"):
            parts.append("\n" + "\n".join(graphic_lines(part.package, part.name, child)) + "\n")
        elif child.tag.startswith(_MATH):
            parts.append(_math_text(part, child, depth + 1))
        elif child.tag not in _SKIPPED:
            parts.append(_inline_text(part, child, depth + 1))
    return "".join(parts)


def _math_text(part: _Part, element: ElementTree.Element, depth: int) -> str:
    """A formula on one line, with the signs that one types."""
    if element.tag == _MATH + "oMathPara":
        return "\n" + _inline_text(part, element, depth) + "\n"
    if element.tag not in _FORMULAS:
        return _inline_text(part, element, depth)
    inner = {child.tag: _inline_text(part, child, depth + 1) for child in element}
    if element.tag == _MATH + "f":
        return f"({inner.get(_MATH + 'num', '')})/({inner.get(_MATH + 'den', '')})"
    base = inner.get(_MATH + "e", "")
    above, below = inner.get(_MATH + "sup", ""), inner.get(_MATH + "sub", "")
    scripts = (f"_({below})" if below else "") + (f"^({above})" if above else "")
    if element.tag == _MATH + "rad":
        return f"\u221a({base})"
    if element.tag == _MATH + "nary":
        return f"\u2211{scripts} {base}"
    return base + scripts


def _is_hidden(run: ElementTree.Element) -> bool:
    properties = run.find(WORD + "rPr")
    vanish = properties.find(WORD + "vanish") if properties is not None else None
    return vanish is not None and vanish.get(WORD + "val", "1") not in ("0", "false", "off")
