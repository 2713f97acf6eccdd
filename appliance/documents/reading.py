"""Bytes of one document to text: the reader is chosen by what the bytes are, never by the file's name."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.documents import plain
from appliance.documents.problems import DocumentError, Problem

MAX_DOCUMENT_BYTES = 64 << 20
MAX_TEXT_CHARACTERS = 16 << 20

_MAIL_HEADER = re.compile(rb"^([A-Za-z][A-Za-z0-9-]{1,60}):[ \t]?", re.MULTILINE)
_MAIL_NAMES = frozenset(
    b"from to subject date received return-path mime-version message-id content-type delivered-to cc reply-to".split()
)
_HTML_START = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|div|table|p|h[1-6]|meta|title)\b",
    re.IGNORECASE | re.DOTALL,
)
_UNSUPPORTED = (
    (b"{\\rtf", "RTF"), (b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"), (b"MM\x00*", "a TIFF image"), (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"), (b"SQLite format 3", "a database"), (b"\x7fELF", "a program"),
)  # fmt: skip
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class DocumentType(StrEnum):
    """The families of files that are read."""

    TEXT = "text"
    PDF = "pdf"
    WORD = "docx"
    HTML = "html"
    MAIL = "eml"


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
    if not data.strip(b" \t\r\n\x00"):
        raise DocumentError(Problem.EMPTY, "the file is empty" if not data else "the file holds only blanks")
    found = _read(data)
    if not found.text.strip():
        raise DocumentError(Problem.EMPTY, f"the {found.document_type} file has no text in it")
    if len(found.text) > MAX_TEXT_CHARACTERS:
        raise DocumentError(
            Problem.TOO_LARGE, f"the text has {len(found.text):,} characters, at most {MAX_TEXT_CHARACTERS:,} are kept"
        )
    # A lone surrogate cannot be written as UTF-8, and a zero byte ends text in many programs.
    clean = found.text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
    return ReadText(clean, found.document_type, found.notes)


def _read(data: bytes) -> ReadText:
    if b"%PDF-" in data[:1024]:
        from appliance.documents.pdf import read_pdf

        return ReadText(*_with_type(read_pdf(data), DocumentType.PDF))
    if data.startswith(b"PK"):
        return _read_archive(data)
    if data.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise DocumentError(
                Problem.ENCRYPTED, "the Office file is protected with a password", "save it without a password"
            )
        raise DocumentError(Problem.UNSUPPORTED, "old Office files are not read", "save it as DOCX or PDF")
    for start, kind in _UNSUPPORTED:
        if data.startswith(start):
            raise DocumentError(Problem.UNSUPPORTED, f"this is {kind}, which is not read", "save it as PDF or text")
    if _HTML_START.match(data.removeprefix(b"\xef\xbb\xbf")[:8192]):
        from appliance.documents.html import read_html

        return ReadText(*_with_type(read_html(data), DocumentType.HTML))
    if data.lstrip().startswith(b"<?xml"):
        raise DocumentError(Problem.UNSUPPORTED, "this is XML that is not HTML, which is not read")
    if _is_mail(data):
        from appliance.documents.mail import read_mail

        return ReadText(*_with_type(read_mail(data), DocumentType.MAIL))
    return ReadText(*_with_type(plain.read_plain(data), DocumentType.TEXT))


def _with_type(found: tuple[str, list[str]], document_type: DocumentType) -> tuple[str, DocumentType, list[str]]:
    return found[0], document_type, found[1]


def _read_archive(data: bytes) -> ReadText:
    from appliance.documents import office

    with office.open_archive(data) as archive:
        if not office.is_word(archive):
            raise DocumentError(Problem.UNSUPPORTED, "this archive is not a Word document", "save it as DOCX or PDF")
        return ReadText(*_with_type(office.read_word(archive), DocumentType.WORD))


def _is_mail(data: bytes) -> bool:
    """Whether the file opens with mail headers: at least two known ones, and nothing but headers before the body."""
    head = re.split(rb"\r?\n\r?\n", data[:16384].lstrip(b"\r\n"), maxsplit=1)[0]
    if head.startswith(b"From "):
        head = head.split(b"\n", 1)[-1]
    lines = head.splitlines()
    headers = [line for line in lines if not line.startswith((b" ", b"\t"))]
    names = [match.group(1).lower() if (match := _MAIL_HEADER.match(line)) else b"" for line in headers]
    known = sum(1 for name in names if name in _MAIL_NAMES)
    return known >= 2 and b"" not in names and (b"from" in names or b"received" in names or b"mime-version" in names)
