"""PDF to text through PDFium: what stands on one line of the page stands on one line of the text."""

import ctypes
from dataclasses import dataclass

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from appliance.documents.problems import DocumentError, Problem

_MAX_PAGES = 5000
_PROSE_WORDS = 5
"""A piece of a line with more words than this is running text rather than a cell or a label."""
_COLUMN_PAIRS = 3
"""So many pairs of running text side by side make a page of columns."""


@dataclass(frozen=True)
class _Piece:
    """A run of text that PDFium took for one line, and where it stands; y grows upwards."""

    text: str
    left: float
    right: float
    bottom: float
    top: float

    def beside(self, other: "_Piece") -> bool:
        """Whether both stand on one line of the page."""
        shared = min(self.top, other.top) - max(self.bottom, other.bottom)
        apart = self.right <= other.left or other.right <= self.left
        return apart and shared > 0.5 * min(self.top - self.bottom, other.top - other.bottom)

    @property
    def is_prose(self) -> bool:
        return len(self.text.split()) > _PROSE_WORDS


def read_pdf(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of a PDF; pages are separated by an empty line.

    Raises:
        DocumentError: The file is broken, asks for a password, or has no text layer.
    """
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise DocumentError(
                Problem.ENCRYPTED, "the PDF is protected with a password", "save it without a password"
            ) from error
        raise DocumentError(Problem.UNREADABLE, f"the PDF is broken: {error}") from error
    try:
        if len(document) > _MAX_PAGES:
            raise DocumentError(Problem.TOO_LARGE, f"the PDF has {len(document)} pages, at most {_MAX_PAGES} are read")
        pages, empty = _page_texts(document)
    finally:
        document.close()
    if not any(page.strip() for page in pages):
        raise DocumentError(
            Problem.EMPTY, f"none of the {len(pages)} pages has a text layer", "run text recognition on the scan first"
        )
    return "\n\n".join(pages) + "\n", [f"{empty} pages have no text"] if empty else []


def _page_texts(document: pypdfium2.PdfDocument) -> tuple[list[str], int]:
    pages: list[str] = []
    for number in range(len(document)):
        try:
            page = document[number]
            text_page = page.get_textpage()
        except pypdfium2.PdfiumError as error:
            raise DocumentError(Problem.UNREADABLE, f"page {number + 1} of the PDF is broken: {error}") from error
        pages.append("\n".join(_lines(_pieces(text_page))))
        text_page.close()
        page.close()
    return pages, sum(1 for page in pages if not page.strip())


def _pieces(text_page: pypdfium2.PdfTextPage) -> list[_Piece]:
    """PDFium's own lines with their boxes."""
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    pieces: list[_Piece] = []
    characters: list[str] = []
    boxes: list[tuple[float, float, float, float]] = []

    def end_piece() -> None:
        text = " ".join("".join(characters).split())
        if text and boxes:
            lefts, rights, bottoms, tops = zip(*boxes, strict=True)
            pieces.append(_Piece(text, min(lefts), max(rights), min(bottoms), max(tops)))
        characters.clear()
        boxes.clear()

    for index in range(text_page.count_chars()):
        code = pdfium.FPDFText_GetUnicode(text_page.raw, index)
        character = chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
        if character in "\r\n":
            end_piece()
            continue
        # PDFium writes the hyphen of a broken word as U+0002 and unmapped glyphs as zero.
        characters.append({"\x02": "-", "\x00": "\ufffd", "\ufffe": "-"}.get(character, character))
        if not character.isspace() and pdfium.FPDFText_GetCharBox(text_page.raw, index, left, right, bottom, top):
            boxes.append((left.value, right.value, bottom.value, top.value))
    end_piece()
    return pieces


def _lines(pieces: list[_Piece]) -> list[str]:
    """Pieces as lines: tables and forms row by row, pages in columns in the order of the file."""
    if _has_columns(pieces):
        return [piece.text for piece in pieces]
    rows: list[list[_Piece]] = []
    for piece in sorted(pieces, key=lambda piece: -(piece.top + piece.bottom)):
        for row in rows[-4:]:
            if all(piece.beside(other) for other in row):
                row.append(piece)
                break
        else:
            rows.append([piece])
    return ["  ".join(piece.text for piece in sorted(row, key=lambda piece: piece.left)) for row in rows]


def _has_columns(pieces: list[_Piece]) -> bool:
    prose = sorted((piece for piece in pieces if piece.is_prose), key=lambda piece: -(piece.top + piece.bottom))
    # Neighbours in height are enough: three columns make pairs too.
    pairs = sum(1 for index, piece in enumerate(prose) for other in prose[index + 1 : index + 3] if piece.beside(other))
    return pairs >= _COLUMN_PAIRS
