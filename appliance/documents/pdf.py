"""PDF to text through PDFium: what stands on one line of the page stands on one line of the text."""

from dataclasses import dataclass, field

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from appliance.documents.layout import page_lines
from appliance.documents.pdf_directions import directions, turned_pieces, upright_pieces
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.text_lines import MAX_TEXT_CHARACTERS
from appliance.documents.text_recognition import LONGEST_SIDE, recognise, recognition_is_installed
from appliance.ground.text import human_count

_MAX_PAGES = 5000
_MAX_SCANNED_PAGES = 200
_FEWEST_CHARACTERS = 25
"""A page with less text than this and a picture over most of it is a scan with a stamp or a page number."""
_SCANNED_SHARE = 0.5
_FINEST_SCALE = 300 / 72
_FILLED_IN = (pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP)
"""Annotations that a person reads as part of the page: what a form was filled in with, and what was typed on top."""
_MAX_OBJECTS_DEEP = 5


@dataclass
class _Pages:
    """What the pages gave."""

    texts: list[str] = field(default_factory=list)
    recognised: int = 0
    unread_scans: int = 0

    @property
    def empty(self) -> int:
        """Pages without text."""
        return sum(1 for text in self.texts if not text.strip())


def read_pdf(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of a PDF; pages are separated by an empty line, scanned ones are recognised where `ocr` is there.

    Raises:
        DocumentError: The file is broken, asks for a password, or has no text.
    """
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise DocumentError(
                Problem.ENCRYPTED, "the PDF is protected with a password", "save it without a password"
            ) from error
        if "security" in str(error).lower():
            raise DocumentError(Problem.ENCRYPTED, "the PDF is encrypted in a way that cannot be opened") from error
        raise DocumentError(Problem.UNREADABLE, f"the PDF is broken: {error}") from error
    try:
        if len(document) > _MAX_PAGES:
            raise DocumentError(Problem.TOO_LARGE, f"the PDF has {len(document)} pages; the limit is {_MAX_PAGES}")
        pages = _read_pages(document)
    finally:
        document.close()
    if pages.empty == len(pages.texts):
        raise DocumentError(
            Problem.EMPTY,
            "no page of the PDF has text" + ("; text recognition is not installed" if pages.unread_scans else ""),
            "install the extra: pip install 'stillroom[ocr]'" if pages.unread_scans else "",
        )
    return "\n\n".join(pages.texts) + "\n", _notes(pages)


def _notes(pages: _Pages) -> list[str]:
    notes = [f"no text on {human_count(pages.empty, 'page')}"] if pages.empty else []
    if pages.unread_scans:
        scans = human_count(pages.unread_scans, "scanned page")
        notes.append(f"{scans} not read: text recognition is not installed")
    if pages.recognised:
        notes.append(f"text recognised in images on {human_count(pages.recognised, 'page')}")
    return notes


def _read_pages(document: pypdfium2.PdfDocument) -> _Pages:
    pages = _Pages()
    characters = 0
    for number in range(len(document)):
        try:
            page = _open_page(document, number)
            text_page = page.get_textpage()
        except pypdfium2.PdfiumError as error:
            raise DocumentError(Problem.UNREADABLE, f"page {number + 1} of the PDF is broken: {error}") from error
        text = "\n".join(_lines(text_page, page.get_rotation() != 0))
        if len(text.strip()) < _FEWEST_CHARACTERS and _is_scan(page):
            text = _recognised(page, pages) or text
        characters += len(text)
        if characters > MAX_TEXT_CHARACTERS:
            raise DocumentError(Problem.TOO_LARGE, f"the PDF has more than {MAX_TEXT_CHARACTERS:,} characters of text")
        pages.texts.append(text)
        text_page.close()
        page.close()
    return pages


def _lines(text_page: pypdfium2.PdfTextPage, page_is_turned: bool) -> list[str]:
    """Lines of the page: first those of the direction in which most letters run, then those across it."""
    lines: list[str] = []
    for direction in directions(text_page, page_is_turned):
        if direction.is_upright:
            pieces = [piece for line in direction.lines for piece in upright_pieces(line, [])]
        else:
            pieces = turned_pieces(text_page, direction)
        lines += page_lines(pieces)
    return lines


def _open_page(document: pypdfium2.PdfDocument, number: int) -> pypdfium2.PdfPage:
    """The page, with the contents of its form fields drawn onto it, so that they are text like all other."""
    page = document[number]
    for index in range(pdfium.FPDFPage_GetAnnotCount(page.raw)):
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, index)
        filled_in = annotation and pdfium.FPDFAnnot_GetSubtype(annotation) in _FILLED_IN
        if annotation:
            pdfium.FPDFPage_CloseAnnot(annotation)
        if filled_in:
            flattened = pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_NORMALDISPLAY) == pdfium.FLATTEN_SUCCESS
            if flattened:  # the page in memory still shows what was there before
                page.close()
                page = document[number]
            break
    return page


def _is_scan(page: pypdfium2.PdfPage) -> bool:
    """Whether a picture covers most of the page; several strips of one scan count together."""
    width, height = page.get_size()
    covered = 0.0
    for item in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=_MAX_OBJECTS_DEEP):
        try:
            left, bottom, right, top = item.get_bounds()
        except pypdfium2.PdfiumError:
            continue
        covered += max(right - left, 0.0) * max(top - bottom, 0.0)
    return covered > _SCANNED_SHARE * float(width * height)


def _recognised(page: pypdfium2.PdfPage, pages: _Pages) -> str:
    """Text of a scanned page; empty where it has none or where recognition is not installed."""
    if not recognition_is_installed():
        pages.unread_scans += 1
        return ""
    if pages.recognised >= _MAX_SCANNED_PAGES:
        raise DocumentError(
            Problem.TOO_LARGE,
            f"the PDF has more than {_MAX_SCANNED_PAGES} scanned pages",
            "split it into smaller files",
        )
    scale = min(LONGEST_SIDE / max(*page.get_size(), 1.0), _FINEST_SCALE)
    bitmap = page.render(scale=scale, rev_byteorder=False, may_draw_forms=False)
    image = bitmap.to_numpy()
    text = "\n".join(page_lines(recognise(image[:, :, :3] if image.ndim == 3 else image[:, :, None].repeat(3, axis=2))))
    bitmap.close()
    pages.recognised += 1
    return text
