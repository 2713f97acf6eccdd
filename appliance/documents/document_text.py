"""Bytes of one document to text: the reader is chosen by what the bytes are, never by the file's name."""

import codecs
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.documents import plain, sniffing
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sniffing import DocumentType, document_type
from appliance.documents.text_lines import MAX_TEXT_CHARACTERS
from appliance.ground.text import storable

MAX_DOCUMENT_BYTES = 64 << 20
TOO_LARGE_FILE = f"the file is larger than {MAX_DOCUMENT_BYTES >> 20} MB"

_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
TextAndNotes = tuple[str, list[str]]


@dataclass(frozen=True)
class ReadText:
    """What a reader found."""

    text: str
    document_type: DocumentType
    notes: list[str] = field(default_factory=list)
    """What was assumed or left out, for the person who looks at the row."""


def read_document(data: bytes) -> ReadText:
    """Text of a document.

    Raises:
        DocumentError: There is no text to be had; says which class of problem it is.
    """
    return read_as(document_type(data), data)


def read_as(kind: DocumentType | None, data: bytes, depth: int = 0) -> ReadText:
    """Text of a document that is known to be of this type; None is a type that is not read.

    Args:
        depth: Mails that it is attached in.

    Raises:
        DocumentError: As `read_document`.
    """
    if not data.strip(b" \t\r\n\x00"):
        raise DocumentError(Problem.EMPTY, "the file is empty" if not data else "the file holds only blanks")
    if kind is None:
        raise _refusal(data)
    text, notes = _reader_of(kind, depth)(data)
    if not text.strip():
        because = f" ({'; '.join(notes)})" if notes else ""
        raise DocumentError(Problem.EMPTY, f"the {kind} file has no text in it{because}")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise DocumentError(
            Problem.TOO_LARGE, f"the text has {len(text):,} characters; the limit is {MAX_TEXT_CHARACTERS:,}"
        )
    return ReadText(storable(text), kind, notes)


def _refusal(data: bytes) -> DocumentError:
    if sniffing.is_encrypted_office(data):
        return DocumentError(
            Problem.ENCRYPTED, "the Office file is protected with a password", "save it without a password"
        )
    if data.startswith(b"PK"):
        from appliance.documents.archive import Package

        Package(data)  # an archive that is broken is said to be broken
    what, hint = sniffing.unsupported_name(data)
    return DocumentError(Problem.UNSUPPORTED, f"this is {what}, which is not read", hint)


def _reader_of(kind: DocumentType, depth: int) -> Callable[[bytes], TextAndNotes]:
    """The reader of a family; the modules are imported here, so that a command that reads nothing loads none."""
    if kind is DocumentType.PDF:
        return lambda data: _read_pdf(data, depth)
    if kind in (DocumentType.MAIL, DocumentType.OUTLOOK):
        return lambda data: _read_mail(data, kind, depth)
    if kind is DocumentType.SIGNED:
        return lambda data: _read_signed(data, depth)
    if kind is DocumentType.OLD_WORKBOOK:
        from appliance.documents.binary_workbook import read_xls

        return read_xls
    if kind is DocumentType.BINARY_WORKBOOK:
        from appliance.documents.binary_workbook import read_xlsb

        return read_xlsb
    if kind is DocumentType.RTF:
        from appliance.documents.rtf import read_rtf

        return read_rtf
    if kind is DocumentType.IMAGE:
        from appliance.documents.images import read_image

        return read_image
    if kind is DocumentType.HTML:
        from appliance.documents.html import read_html

        return read_html
    if kind is DocumentType.TABLE:
        from appliance.documents.csv_table import read_table

        return read_table
    if kind is DocumentType.TEXT:
        return plain.read_plain
    return lambda data: _read_package(data, kind, depth)


def _read_package(data: bytes, kind: DocumentType, depth: int) -> TextAndNotes:
    from appliance.documents.archive import Package

    package = Package(data)
    if kind is DocumentType.WORD:
        from appliance.documents.docx import read_word

        return read_word(package, _read_inner, depth)
    if kind is DocumentType.WORKBOOK:
        from appliance.documents.xlsx import read_workbook

        return read_workbook(package)
    if kind is DocumentType.SLIDES:
        from appliance.documents.pptx import read_slides

        return read_slides(package)
    if kind is DocumentType.BOOK:
        from appliance.documents.epub import read_book

        return read_book(package)
    from appliance.documents.opendocument import read_opendocument

    return read_opendocument(package)


def _read_inner(data: bytes, depth: int) -> tuple[str, str, list[str]]:
    """Text, type and notes of a document that lies in another one, so many deep."""
    inner = read_as(document_type(data), data, depth)
    return inner.text, inner.document_type, inner.notes


def _read_signed(data: bytes, depth: int) -> TextAndNotes:
    """What a signature is wrapped around, read as what it is."""
    from appliance.documents.attachments import MAX_DEPTH
    from appliance.documents.signed_data import Wrapping, is_mime_entity, unwrap

    wrapped = unwrap(data)
    if wrapped is None:
        raise DocumentError(Problem.UNREADABLE, "the signed file is broken")
    if wrapped.wrapping is Wrapping.SEALED:
        raise DocumentError(Problem.ENCRYPTED, "the file is encrypted", "save it decrypted")
    if wrapped.content is None:
        raise DocumentError(Problem.EMPTY, "the file holds a signature or certificates, and no content")
    if depth >= MAX_DEPTH:
        raise DocumentError(Problem.TOO_LARGE, f"signed data is nested deeper than {MAX_DEPTH} levels")
    inner_kind = DocumentType.MAIL if is_mime_entity(wrapped.content) else document_type(wrapped.content)
    inner = read_as(inner_kind, wrapped.content, depth + 1)
    return inner.text, [f"the {wrapped.wrapping} content was read as {inner.document_type}", *inner.notes]


def _read_pdf(data: bytes, depth: int) -> TextAndNotes:
    from appliance.documents.attachments import MailParts, mail_text
    from appliance.documents.pdf import read_pdf

    parts = read_pdf(data)
    if not parts.attachments:
        return parts.text, parts.notes
    return mail_text(MailParts([], parts.text, parts.notes, parts.attachments), _read_inner, depth)


def _read_mail(data: bytes, kind: DocumentType, depth: int) -> TextAndNotes:
    from appliance.documents.attachments import mail_text

    if kind is DocumentType.OUTLOOK:
        from appliance.documents.msg import read_message

        return mail_text(read_message(data), _read_inner, depth)
    from appliance.documents.mail import read_mail

    # A mail is bytes with headers in ASCII; one that was saved as UTF-16 is brought back to that.
    if data.startswith(_WIDE_MARKS) or plain.wide_encoding(data):
        text, notes = plain.decode(data)
        parts = read_mail(text.removeprefix("\ufeff").encode())
        parts.notes[:0] = [*notes, "the mail was stored as UTF-16 or UTF-32"]
    else:
        parts = read_mail(data.removeprefix(codecs.BOM_UTF8))
    return mail_text(parts, _read_inner, depth)
