"""Word documents (DOCX) to text: paragraphs as lines, table rows as lines with tabs between cells."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree

from appliance.documents.problems import DocumentError, Problem

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_MAX_PART_BYTES = 64 << 20
_MAX_DEPTH = 200
_BREAKS = {_WORD + "tab": "\t", _WORD + "br": "\n", _WORD + "cr": "\n", _WORD + "noBreakHyphen": "-"}


def is_word(archive: zipfile.ZipFile) -> bool:
    """Whether the archive holds a Word document."""
    return "word/document.xml" in archive.namelist()


def open_archive(data: bytes) -> zipfile.ZipFile:
    """The file as a zip archive.

    Raises:
        DocumentError: The archive is broken.
    """
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise DocumentError(Problem.UNREADABLE, f"the archive inside the file is broken: {error}") from error


def read_word(archive: zipfile.ZipFile) -> tuple[str, list[str]]:
    """Text and notes of a DOCX: headers first, then the body, then footers and footnotes."""
    names = sorted(archive.namelist())
    headers = [name for name in names if name.startswith("word/header") and name.endswith(".xml")]
    footers = [
        name
        for name in names
        if name.startswith(("word/footer", "word/footnotes", "word/endnotes")) and name.endswith(".xml")
    ]
    lines: list[str] = []
    seen: set[str] = set()
    for name in [*headers, "word/document.xml", *footers]:
        part = "\n".join(_block_lines(_parse_part(archive, name), 0)).strip("\n")
        # Word writes the same header once for each section.
        if part and part not in seen:
            lines.append(part)
            seen.add(part)
    return "\n".join(lines) + "\n", []


def _parse_part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    data = _read_part(archive, name)
    # A Word document has no document type; one that has is an attack on the parser.
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise DocumentError(Problem.UNREADABLE, f"{name} declares a document type, which a Word document never does")
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise DocumentError(Problem.UNREADABLE, f"{name} is broken XML: {error}") from error


def _read_part(archive: zipfile.ZipFile, name: str) -> bytes:
    entry = archive.getinfo(name)
    if entry.flag_bits & 1:
        raise DocumentError(Problem.ENCRYPTED, "the file is protected with a password", "save it without a password")
    try:
        with archive.open(entry) as part:
            data = part.read(_MAX_PART_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DocumentError(Problem.UNREADABLE, f"{name} cannot be unpacked: {error}") from error
    if len(data) > _MAX_PART_BYTES:
        raise DocumentError(Problem.TOO_LARGE, f"{name} unpacks to more than {_MAX_PART_BYTES >> 20} MB")
    return data


def _block_lines(element: ElementTree.Element, depth: int) -> Iterator[str]:
    """Lines of a body, a cell or a text box; tables give one line per row."""
    if depth > _MAX_DEPTH:
        raise DocumentError(Problem.TOO_LARGE, f"the document is nested deeper than {_MAX_DEPTH} levels")
    for child in element:
        if child.tag == _WORD + "p":
            yield from _paragraph_text(child, depth + 1).split("\n")
        elif child.tag == _WORD + "tr":
            cells = [
                " ".join(line for line in _block_lines(cell, depth + 1) if line.strip())
                for cell in child.iter(_WORD + "tc")
            ]
            yield "\t".join(cells)
        elif child.tag != _FALLBACK:
            yield from _block_lines(child, depth + 1)


def _paragraph_text(element: ElementTree.Element, depth: int) -> str:
    if depth > _MAX_DEPTH:
        raise DocumentError(Problem.TOO_LARGE, f"the document is nested deeper than {_MAX_DEPTH} levels")
    parts: list[str] = []
    for child in element:
        if child.tag == _WORD + "t":
            parts.append(child.text or "")
        elif child.tag in _BREAKS:
            parts.append(_BREAKS[child.tag])
        elif child.tag == _WORD + "txbxContent":
            parts.append("\n" + "\n".join(_block_lines(child, depth + 1)) + "\n")
        elif child.tag not in (_FALLBACK, _WORD + "pPr", _WORD + "rPr"):
            parts.append(_paragraph_text(child, depth + 1))
    return "".join(parts)
