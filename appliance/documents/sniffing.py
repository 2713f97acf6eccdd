"""What a file is, by its first bytes and the names inside it, never by what it is called."""

import io
import re
import zipfile
from enum import StrEnum

from appliance.documents import plain
from appliance.documents.mail_start import is_mail
from appliance.documents.media_names import image_name, unread_media_name
from appliance.documents.problems import DocumentError
from appliance.documents.signed_data import is_wrapped

_HEAD_BYTES = 1 << 16
_HTML_START = re.compile(
    # Possessive: a comment ends at its first mark, or thirty of them are tried in two to the thirty ways.
    rb"\s*+(?:<\?xml[^>]*+>\s*+){0,9}+(?:(?><!--.*?-->)\s*+)*+"
    rb"<(?:(?:!doctype\s+html|html|head|body|div|table|p|h[1-6]|meta|title|span|center|ul|ol|section|article|main"
    rb"|nav)\b|(?:script|style|noscript|font|b|i|u|strong|em|dl|pre|br|hr|ruby|blockquote|details|select|fieldset"
    rb"|iframe|frameset|t[rdh]|tbody|thead|small|big)(?=[\s/>])|(?:a|img|form|link|base)\s++[a-z-]++\s*+=)",
    re.IGNORECASE | re.DOTALL,
)
_PDF_MARK = b"%PDF-"
_PDF_OBJECT = re.compile(rb"\d[ \t\r\n]+\d+[ \t\r\n]+obj\b")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
WORKBOOK_STREAMS = ("Workbook", "Book")
_OTHER_STREAMS = ("WordDocument", "PowerPoint Document", "VisioDocument")
_PICTURES = ("image", "photo", "drawing", "document", "took it", "icon")
_UNSUPPORTED = (
    (b"\x1f\x8b", "a gzip archive"), (b"7z\xbc\xaf", "a 7z archive"), (b"Rar!", "a RAR archive"),
    (b"SQLite format 3", "a database"), (b"\x7fELF", "a program"), (b"MZ", "a program"), (b"%!PS", "PostScript"),
    (b"!BDN", "a mailbox"), (b"\x78\x9f\x3e\x22", "an Outlook envelope (winmail.dat)"),
    (b"\x25\xf5\xb9", "a PDF in a wrapper"),
)  # fmt: skip


class DocumentType(StrEnum):
    """The families of files that are read."""

    TEXT = "text"
    TABLE = "csv"
    RTF = "rtf"
    HTML = "html"
    PDF = "pdf"
    WORD = "docx"
    WORKBOOK = "xlsx"
    OLD_WORKBOOK = "xls"
    BINARY_WORKBOOK = "xlsb"
    SLIDES = "pptx"
    OPENDOCUMENT = "odf"
    BOOK = "epub"
    MAIL = "eml"
    OUTLOOK = "msg"
    SIGNED = "p7m"
    IMAGE = "image"


def document_type(data: bytes) -> DocumentType | None:
    """What the file is; None where it is of no kind that is read.

    The first 64 KiB are enough, except for some archives and old workbooks, which list their parts at the end.
    """
    if _is_pdf(data):
        return DocumentType.PDF
    if data.startswith(b"PK\x03\x04"):
        return _archive_type(data)
    if data.startswith(_OLE):
        return _compound_type(data)
    if data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{\\rtf"):
        return DocumentType.RTF
    if image_name(data):
        return DocumentType.IMAGE
    if unread_media_name(data) or any(data.startswith(start) for start, _ in _UNSUPPORTED):
        return None
    if is_wrapped(data):
        return DocumentType.SIGNED
    return _text_type(data)


def unsupported_name(data: bytes) -> tuple[str, str]:
    """What a file is that is not read, and what can be done about it."""
    if data.startswith(_OLE):
        return "an old Office file", "save it as DOCX, PPTX or PDF"
    if data.startswith(b"PK"):
        return "an archive", "unpack it into the folder"
    media = unread_media_name(data)
    if media:
        return media, "save it as PDF, JPEG or PNG" if media.endswith(_PICTURES) else "save it as PDF or text"
    for start, name in _UNSUPPORTED:
        if data.startswith(start):
            return name, "save it as PDF or text"
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<?xml"):
        return "XML that is no web page", "save it as HTML or text"
    return "binary data of an unknown kind", "save it as PDF or text"


def is_encrypted_office(data: bytes) -> bool:
    """Whether the file is an Office file behind a password: a compound file with one sealed package in it."""
    return data.startswith(_OLE) and "EncryptedPackage".encode("utf-16-le") in data


def _is_pdf(data: bytes) -> bool:
    """Whether a PDF begins here, or within 1,024 bytes as readers allow; a text or a mail may speak of `%PDF-` too."""
    start = data[:1024].find(_PDF_MARK)
    if start < 0:
        return False
    if not data[:start].strip(b"\xef\xbb\xbf \t\r\n\x00"):
        return True
    return _PDF_OBJECT.search(data, start, _HEAD_BYTES) is not None and not is_mail(data)


def _compound_type(data: bytes) -> DocumentType | None:
    """Which document a compound file holds: a workbook inside a letter or slides does not make it a workbook."""
    if "__properties_version1.0".encode("utf-16-le") in data:
        return DocumentType.OUTLOOK
    is_workbook = any(_has_entry(data, name) for name in WORKBOOK_STREAMS)
    is_other = any(_has_entry(data, name) for name in _OTHER_STREAMS)
    return DocumentType.OLD_WORKBOOK if is_workbook and not is_other else None


def _has_entry(data: bytes, name: str) -> bool:
    """Whether the compound file lists a stream of this name; entries of its directory have 128 bytes."""
    entry = name.encode("utf-16-le") + b"\x00\x00"
    start = data.find(entry)
    while start >= 0 and start % 128:
        start = data.find(entry, start + 1)
    return start >= 0


def _archive_type(data: bytes) -> DocumentType | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {name.replace("\\", "/").lower() for name in archive.namelist()[:5000]}
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        names = set()  # cut off, or only the first bytes: the names stand before each part as well
    known = (
        ("word/document.xml", DocumentType.WORD), ("xl/workbook.xml", DocumentType.WORKBOOK),
        ("xl/workbook.bin", DocumentType.BINARY_WORKBOOK), ("ppt/presentation.xml", DocumentType.SLIDES),
        ("meta-inf/container.xml", DocumentType.BOOK),
    )  # fmt: skip
    head = data[:_HEAD_BYTES]
    if b"mimetypeapplication/vnd.oasis.opendocument." in head[:200]:
        return DocumentType.OPENDOCUMENT
    if b"mimetypeapplication/epub+zip" in head[:200]:
        return DocumentType.BOOK
    for name, kind in known:
        if name in names or (not names and (name.encode() in head.lower())):
            return kind
    for start, kind in (("word/", DocumentType.WORD), ("xl/worksheets/", DocumentType.WORKBOOK)):
        if any(name.startswith(start) and name.endswith(".xml") for name in names):
            return kind
    return DocumentType.OPENDOCUMENT if {"content.xml", "meta-inf/manifest.xml"} <= names else None


def _text_type(data: bytes) -> DocumentType | None:
    head = data[:_HEAD_BYTES]
    try:
        text = plain.decode(head if plain.wide_encoding(head) is None else head[: len(head) & ~1])[0]
    except DocumentError:
        # The sample may have been cut inside a character; a mail may carry an attachment as it is.
        if plain.is_binary(head):
            return DocumentType.MAIL if is_mail(head) else None
        text = head.decode("latin-1")
    start = text.removeprefix("\ufeff").encode("utf-8", "replace")
    if _HTML_START.match(start.lstrip()[:8192]):
        return DocumentType.HTML
    if start.lstrip().startswith(b"<?xml"):
        return None
    if is_mail(start):
        return DocumentType.MAIL
    from appliance.documents.csv_table import table_shape

    return DocumentType.TABLE if table_shape(text) else DocumentType.TEXT
