"""PDF to text through PDFium: what stands on one line of the page stands on one line of the text."""

import re
from dataclasses import dataclass, field

import pypdfium2  # type: ignore[import-untyped]

from appliance.documents.attachments import Attachment
from appliance.documents.layout import Piece, page_lines
from appliance.documents.pdf_annotations import PageAnnotations, page_annotations
from appliance.documents.pdf_attachments import EmbeddedFiles
from appliance.documents.pdf_directions import Direction, directions, turned_pieces, upright_pieces
from appliance.documents.pdf_forms import fields_without_place
from appliance.documents.pdf_glyphs import GlyphCounts, count_glyphs
from appliance.documents.pdf_hidden import take_off_hidden
from appliance.documents.pdf_layers import HiddenLayers, hidden_layers
from appliance.documents.pdf_notes import PdfFindings
from appliance.documents.pdf_objects import Dictionary, PdfObjects, plain_copy
from appliance.documents.pdf_pages import shown_page
from appliance.documents.pdf_scans import is_scan, recognised_text
from appliance.documents.pdf_xfa import xfa_form
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.text_lines import MAX_TEXT_CHARACTERS
from appliance.documents.text_recognition import recognition_is_installed

_MAX_PAGES = 5000
_MAX_SCANNED_PAGES = 200
_FEWEST_CHARACTERS = 25
"""A page with less text than this and a picture over most of it is a scan with a stamp or a page number."""
_MOST_LOST = 0.8
"""Share of letters of a document that are not known, beyond which what is left is no text."""
_JOINED = re.compile(rb"%%EOF[\s\x00]*%PDF-\d")
_PLACEHOLDER_CHARACTERS = 2000
"""What the page of a form says that only some viewers can draw."""


@dataclass
class PdfParts:
    """What a PDF gives."""

    text: str
    notes: list[str]
    attachments: list[Attachment] = field(default_factory=list)


@dataclass
class _OpenPdf:
    """A document, and what its objects say about its pages."""

    document: pypdfium2.PdfDocument
    objects: PdfObjects | None
    pages: list[Dictionary]
    layers: HiddenLayers | None = None
    findings: PdfFindings = field(default_factory=PdfFindings)
    files: EmbeddedFiles = field(default_factory=EmbeddedFiles)


def read_pdf(data: bytes) -> PdfParts:
    """Text, notes and embedded files of a PDF; pages are separated by an empty line.

    Scanned pages are recognised where the extra `ocr` is there.

    Raises:
        DocumentError: The file is broken, asks for a password, or has no text.
    """
    opened = _open(data)
    try:
        texts = _read_pages(opened)
        texts = _with_form(opened, texts)
        opened.files.add_of_document(opened.document)
        if opened.objects is not None:
            for holder in (opened.objects.catalog, *opened.pages):
                if holder is not None:
                    opened.files.add_associated(opened.objects, holder)
    finally:
        opened.document.close()
    findings = opened.findings
    findings.empty_pages = sum(1 for text in texts if not text.strip())
    findings.unread_files = opened.files.left_out
    if not any(text.strip() for text in texts) and not opened.files.files:
        raise findings.no_text()
    if findings.lost_letters > _MOST_LOST * findings.letters and not opened.files.files:
        raise DocumentError(
            Problem.UNREADABLE,
            f"the fonts of the PDF do not say which characters {findings.lost_letters:,} of its"
            f" {findings.letters:,} letters are",
            "print it to a new PDF"
            if recognition_is_installed()
            else "install the extra: pip install 'stillroom[ocr]'",
        )
    notes = findings.notes()
    notes += ["the file holds several PDFs in a row, of which one was read"] if _JOINED.search(data) else []
    return PdfParts("\n\n".join(texts) + "\n", notes, opened.files.files)


def _open(data: bytes) -> _OpenPdf:
    document = _pdfium_document(data)
    if len(document) > _MAX_PAGES:
        raise DocumentError(Problem.TOO_LARGE, f"the PDF has {len(document)} pages; the limit is {_MAX_PAGES}")
    copy = plain_copy(document)
    if not copy:
        without_objects = _OpenPdf(document, None, [])
        without_objects.findings.is_copied = False
        return without_objects
    objects = PdfObjects(copy)
    pages = objects.pages(_MAX_PAGES)
    layers = hidden_layers(objects)
    if layers is not None and layers.copy is not copy:
        try:
            marked = pypdfium2.PdfDocument(layers.copy)
        except pypdfium2.PdfiumError as error:
            raise DocumentError(Problem.UNREADABLE, f"the layers of the PDF cannot be told apart: {error}") from error
        document.close()
        document = marked
    opened = _OpenPdf(document, objects, pages if len(pages) == len(document) else [], layers)
    if layers is not None:
        opened.findings.hidden.in_layers = layers.emptied
    opened.findings.is_matched = len(pages) == len(document)
    opened.findings.fields_without_place = fields_without_place(objects)
    return opened


def _pdfium_document(data: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise DocumentError(
                Problem.ENCRYPTED, "the PDF is protected with a password", "save it without a password"
            ) from error
        if "security" in str(error).lower():
            raise DocumentError(Problem.ENCRYPTED, "the PDF is encrypted in a way that cannot be opened") from error
        raise DocumentError(Problem.UNREADABLE, f"the PDF is broken: {error}") from error


def _read_pages(opened: _OpenPdf) -> list[str]:
    texts: list[str] = []
    characters = 0
    for number in range(len(opened.document)):
        try:
            text = _page_text(opened, number)
        except pypdfium2.PdfiumError as error:
            raise DocumentError(Problem.UNREADABLE, f"page {number + 1} of the PDF is broken: {error}") from error
        characters += len(text)
        if characters > MAX_TEXT_CHARACTERS:
            raise DocumentError(Problem.TOO_LARGE, f"the PDF has more than {MAX_TEXT_CHARACTERS:,} characters of text")
        texts.append(text)
    return texts


def _page_text(opened: _OpenPdf, number: int) -> str:
    findings = opened.findings
    annotations = PageAnnotations(has_drawn=True)
    if opened.objects is not None and opened.pages:
        in_hidden_layers = opened.layers.annotations if opened.layers else set()
        annotations = page_annotations(opened.objects, opened.pages[number], in_hidden_layers)
    if annotations.files:
        page = opened.document[number]
        for index in annotations.files:
            opened.files.add_of_page(page, index)
        page.close()
    shown = shown_page(opened.document, number, annotations)
    page = shown.page
    hidden = take_off_hidden(page, opened.layers.mark if opened.layers else "")
    text_page = page.get_textpage()
    groups = directions(text_page, page_is_turned=page.get_rotation() != 0)
    text = "\n".join(_lines(text_page, groups, page.get_rotation(), shown.inserts))
    counts = count_glyphs(line for group in groups for line in group.lines)
    if len(text.strip()) < _FEWEST_CHARACTERS and is_scan(page):
        text = _recognised(page, findings) or text
    elif counts.are_lost and recognition_is_installed() and findings.recognised < _MAX_SCANNED_PAGES:
        text, counts = _recognised(page, findings) or text, GlyphCounts()
    findings.add_glyphs(counts)
    findings.add_page(annotations, hidden, shown.disagreeing)
    text_page.close()
    page.close()
    return "\n".join([text, *annotations.comments]) if annotations.comments else text


def _lines(text_page: pypdfium2.PdfTextPage, groups: list[Direction], rotation: int, inserts: list[Piece]) -> list[str]:
    """Lines of the page: first those of the direction in which most letters run, then those across it."""
    lines: list[str] = []
    if inserts and not groups:
        groups = [Direction(rotation, page_is_turned=rotation != 0)]
    for number, direction in enumerate(groups):
        here = [
            Piece(piece.text, *direction.box(piece.left, piece.right, piece.bottom, piece.top))
            for piece in (inserts if not number else [])
        ]
        if direction.is_upright:
            pieces = [piece for line in direction.lines for piece in upright_pieces(line, here)]
        else:
            pieces = turned_pieces(text_page, direction)
        lines += page_lines(pieces, here)
    return lines


def _recognised(page: pypdfium2.PdfPage, findings: PdfFindings) -> str:
    """Text of a scanned page; empty where it has none or where recognition is not installed."""
    if not recognition_is_installed():
        findings.unread_scans += 1
        return ""
    if findings.recognised >= _MAX_SCANNED_PAGES:
        raise DocumentError(
            Problem.TOO_LARGE,
            f"the PDF has more than {_MAX_SCANNED_PAGES} scanned pages",
            "split it into smaller files",
        )
    findings.recognised += 1
    return recognised_text(page)


def _with_form(opened: _OpenPdf, texts: list[str]) -> list[str]:
    """The pages, and what the XML of a form says that they do not show."""
    form = xfa_form(opened.document)
    if form is None:
        return texts
    shown = "".join("\n".join(texts).split()).casefold()
    missing = [(name, text) for name, text in form.values if "".join(text.split()).casefold() not in shown]
    is_dynamic = opened.objects is not None and opened.objects.entry(opened.objects.catalog, "NeedsRendering") is True
    opened.findings.has_unread_form = not form.is_readable or (is_dynamic and not form.values)
    opened.findings.form_values = len(missing)
    if not missing:
        return texts
    lines = "\n".join(f"{name}: {text}" for name, text in missing)
    if is_dynamic and len(missing) == len(form.values) and len(shown) < _PLACEHOLDER_CHARACTERS:
        opened.findings.placeholder_pages = len(texts)
        return [lines]
    return [*texts, lines]
