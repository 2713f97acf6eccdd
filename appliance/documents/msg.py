"""Outlook messages (MSG) as a mail: the headers a person reads, the body, and what is attached.

Source: [MS-OXMSG] Outlook Item (.msg) File Format; [MS-OXRTFCP] Rich Text Format (RTF) Compression Algorithm.
"""

import io
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import olefile  # type: ignore[import-untyped]

from appliance.documents.attachments import Attachment, MailParts
from appliance.documents.code_pages import known_encoding
from appliance.documents.html import read_html
from appliance.documents.mail_body import PLACEHOLDER_NOTE, is_placeholder
from appliance.documents.plain import decode
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.rtf import read_rtf
from appliance.documents.text_lines import MAX_TEXT_CHARACTERS

_MAX_ATTACHMENTS = 200
_MAX_DEPTH = 4
_STREAM = "__substg1.0_"
_SUBJECT, _BODY, _HTML, _RTF, _REPORT = "0037", "1000", "1013", "1009", "1001"
_SENDER_NAME, _SENDER_ADDRESS, _SENDER_SMTP = "0C1A", "0C1F", "5D01"
_PRINCIPAL_NAME, _PRINCIPAL_ADDRESS, _PRINCIPAL_SMTP = "0042", "0065", "5D02"
"""For whom the sender wrote, who is shown as the author."""
_CONTACTS = "IPM.CONTACT"
_CARD = (
    ("Name", "3001"), ("Company", "3A16"), ("Title", "3A17"), ("Department", "3A18"), ("Phone", "3A08"),
    ("Phone", "3A1B"), ("Mobile", "3A1C"), ("Home phone", "3A09"), ("Fax", "3A24"), ("Street", "3A29"),
    ("City", "3A27"), ("State", "3A28"), ("Postal code", "3A2A"), ("Country", "3A26"),
)  # fmt: skip
_CARD_NAMES = (("Mail", 0x8083), ("Mail", 0x8093), ("Address", 0x801B), ("Address", 0x801A), ("Web", 0x802B))
"""Numbers by which a file names further properties of an address card. Source: [MS-OXPROPS]."""
_SHOWN_TO = (("To", "0E04"), ("Cc", "0E03"), ("Bcc", "0E02"))
_SENT, _DELIVERED = 0x0039, 0x0E06
_APPOINTMENTS = ("IPM.APPOINTMENT", "IPM.SCHEDULE")
_START, _END = 0x0060, 0x0061
_START_NAME, _END_NAME, _PLACE_NAME = 0x820D, 0x820E, 0x8208
"""Numbers by which a file names the properties of appointments. Source: [MS-OXPROPS]."""
_BODY_PAGE, _TEXT_PAGE = 0x3FDE, 0x3FFD
_CLASS, _SEALED_CLASS = "001A", "IPM.NOTE.SMIME"
_SEALED_MARKS = (bytes.fromhex("06092a864886f70d010703"), bytes.fromhex("060b2a864886f70d0109100117"))
"""Object identifiers with which encrypted S/MIME data begin: enveloped, and authenticated enveloped."""
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_LZ_START = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS "
    b"Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b"
    b"\\i\\u\\tab\\tx"
)
"""What the dictionary of compressed RTF holds before the first byte."""


@dataclass
class _Storage:
    """One message inside the compound file: the whole file, or a message that is attached."""

    ole: olefile.OleFileIO
    prefix: tuple[str, ...]
    header_bytes: int
    """Before the fixed-size properties: more at the top than in what is attached."""
    numbers: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        data = self.stream("__properties_version1.0") or b""
        for offset in range(self.header_bytes, len(data) - 15, 16):
            tag, _, value = struct.unpack_from("<II8s", data, offset)
            self.numbers[tag >> 16] = value

    def stream(self, name: str) -> bytes | None:
        """Bytes of a stream of this message; None where there is none."""
        path = [*self.prefix, name]
        return bytes(self.ole.openstream(path).read()) if self.ole.exists(path) else None

    def text(self, tag: str) -> str:
        """A text property, in whichever form it is stored."""
        wide = self.stream(f"{_STREAM}{tag}001F")
        if wide is not None:
            return wide.decode("utf-16-le", "replace").rstrip("\x00")
        narrow = self.stream(f"{_STREAM}{tag}001E")
        return narrow.decode(self.encoding(_TEXT_PAGE), "replace").rstrip("\x00") if narrow is not None else ""

    def number(self, tag: int) -> int:
        """A fixed-size property as a whole number; zero where it is missing."""
        return int.from_bytes(self.numbers.get(tag, b""), "little")

    def encoding(self, tag: int) -> str:
        """Encoding that a property names by its code page."""
        return known_encoding(self.number(tag) & 0xFFFFFFFF or 1252)


def read_message(data: bytes) -> MailParts:
    """Headers, body and attachments of an MSG file.

    Raises:
        DocumentError: The file is broken.
    """
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as ole:
            return _message(_Storage(ole, (), 32), 0)
    except (OSError, ValueError, IndexError, struct.error, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DocumentError(Problem.UNREADABLE, f"the message is broken: {error}") from error


def _message(storage: _Storage, depth: int) -> MailParts:
    body, notes = _body(storage)
    parts = MailParts(_headers(storage), body, notes)
    folders = sorted(
        {
            path[len(storage.prefix)]
            for path in storage.ole.listdir(streams=True, storages=False)
            if len(path) > len(storage.prefix) + 1
            and tuple(path[: len(storage.prefix)]) == storage.prefix
            and path[len(storage.prefix)].startswith("__attach_version1.0_")
        }
    )
    if len(folders) > _MAX_ATTACHMENTS:
        notes.append(f"attachments left out after the first {_MAX_ATTACHMENTS}: {len(folders) - _MAX_ATTACHMENTS}")
    for folder in folders[:_MAX_ATTACHMENTS]:
        parts.attachments.append(_attachment(_Storage(storage.ole, (*storage.prefix, folder), 8), depth))
    if storage.text(_CLASS).upper() == _SEALED_CLASS and any(_is_sealed(part.data) for part in parts.attachments):
        raise DocumentError(Problem.ENCRYPTED, "the mail is encrypted", "save it decrypted")
    return parts


def _is_sealed(data: bytes | None) -> bool:
    """Whether this is encrypted S/MIME; what is only signed has the same class of message."""
    return data is not None and any(mark in data[:32] for mark in _SEALED_MARKS)


def _attachment(storage: _Storage, depth: int) -> Attachment:
    name = storage.text("3707") or storage.text("3704") or storage.text("3001") or "without a name"
    embedded = f"{_STREAM}3701000D"
    if storage.ole.exists([*storage.prefix, embedded]):
        if not storage.ole.exists([*storage.prefix, embedded, "__properties_version1.0"]):
            return Attachment(name, None, left_out="it is an object of another program")
        if depth >= _MAX_DEPTH:
            return Attachment(name, None)
        try:
            return Attachment(name, None, _message(_Storage(storage.ole, (*storage.prefix, embedded), 24), depth + 1))
        except DocumentError as error:
            if error.problem is not Problem.ENCRYPTED:
                raise
            return Attachment(name, None, left_out=error.message)
    # An image that the body shows has a content id.
    return Attachment(name, storage.stream(f"{_STREAM}37010102"), shown_inside=bool(storage.text("3712")))


def _headers(storage: _Storage) -> list[tuple[str, str]]:
    sender = _person(storage, _SENDER_NAME, (_SENDER_SMTP, _SENDER_ADDRESS))
    author = _person(storage, _PRINCIPAL_NAME, (_PRINCIPAL_SMTP, _PRINCIPAL_ADDRESS))
    is_other = author and storage.text(_PRINCIPAL_NAME) != storage.text(_SENDER_NAME)
    headers = [("From", author if is_other else sender), ("Sender", sender if is_other else "")]
    headers += [*((title, storage.text(tag)) for title, tag in _SHOWN_TO)]
    if storage.text(_CLASS).upper().startswith(_CONTACTS):
        headers += [(title, storage.text(tag)) for title, tag in _CARD]
        card_names = _named_properties(storage.ole)
        headers += [(title, storage.text(f"{card_names.get(number, 0):04X}")) for title, number in _CARD_NAMES]
    headers += [("Subject", storage.text(_SUBJECT)), ("Date", _moment(storage, _SENT, _DELIVERED))]
    if storage.text(_CLASS).upper().startswith(_APPOINTMENTS):
        named = _named_properties(storage.ole)
        headers.append(("Start", _moment(storage, named.get(_START_NAME, 0), _START)))
        headers.append(("End", _moment(storage, named.get(_END_NAME, 0), _END)))
        headers.append(("Location", storage.text(f"{named.get(_PLACE_NAME, 0):04X}")))
    return [(title, " ".join(value.split())) for title, value in headers if value.strip()]


def _person(storage: _Storage, name_tag: str, address_tags: tuple[str, ...]) -> str:
    name = storage.text(name_tag)
    address = next((address for tag in address_tags if (address := storage.text(tag))), "")
    return f"{name} <{address}>" if name and "@" in address and name != address else name or address


def _named_properties(ole: olefile.OleFileIO) -> dict[int, int]:
    """Tags of the properties that a file names by number. Source: [MS-OXMSG] 2.2.3."""
    path = ["__nameid_version1.0", f"{_STREAM}00030102"]
    data = bytes(ole.openstream(path).read()) if ole.exists(path) else b""
    entries = struct.iter_unpack("<IHH", data[: len(data) - len(data) % 8])
    return {number: 0x8000 + index for number, kind, index in entries if not kind & 1}


def _moment(storage: _Storage, *tags: int) -> str:
    """The first of several times that the message has."""
    ticks = next((ticks for tag in tags if (ticks := storage.number(tag))), 0)
    try:
        return (_EPOCH + timedelta(microseconds=ticks // 10)).strftime("%Y-%m-%d %H:%M:%S UTC") if ticks else ""
    except OverflowError:
        return ""


def _body(storage: _Storage) -> tuple[str, list[str]]:
    """The body as text: as it is stored, else from HTML, else from RTF."""
    text = storage.text(_BODY).replace("\r\n", "\n").replace("\r", "\n")
    page = _page(storage)
    if text.strip() and (page is None or not is_placeholder(text, page[0])):
        return text, []
    if page is not None:
        return page[0], [*page[1], *([PLACEHOLDER_NOTE] if text.strip() else [])]
    packed = storage.stream(f"{_STREAM}{_RTF}0102")
    if packed:
        return read_rtf(unpack_rtf(packed))
    return storage.text(_REPORT).replace("\r\n", "\n"), []


def _page(storage: _Storage) -> tuple[str, list[str]] | None:
    """Text and notes of the body's HTML form; None where it has none."""
    html = storage.stream(f"{_STREAM}{_HTML}0102")
    if html is not None and html.strip():
        page = html if b"charset" in html[:4096] else _as_utf8(html, storage.encoding(_BODY_PAGE))
        return read_html(page)
    wide = storage.text(_HTML)
    return read_html(b"\xef\xbb\xbf" + wide.encode("utf-8", "replace")) if wide.strip() else None


def _as_utf8(html: bytes, encoding: str) -> bytes:
    try:
        text = html.decode(encoding)
    except UnicodeDecodeError:
        text = decode(html)[0]
    return b"\xef\xbb\xbf" + text.encode()


def unpack_rtf(data: bytes) -> bytes:
    """Decompresses the RTF of a message.

    Raises:
        DocumentError: It is broken or larger than a document may be.
    """
    if len(data) < 16:
        raise DocumentError(Problem.UNREADABLE, "the message's text is cut off")
    size, kind = struct.unpack_from("<I4s", data, 4)
    if size > 4 * MAX_TEXT_CHARACTERS:
        raise DocumentError(Problem.TOO_LARGE, f"the message's text unpacks to {size >> 20} MB, which is too large")
    if kind == b"MELA":
        return data[16 : 16 + size]
    if kind != b"LZFu":
        raise DocumentError(Problem.UNREADABLE, "the message's text is compressed in an unknown format")
    window = bytearray(_LZ_START.ljust(4096, b"\x00"))
    write, position, out = len(_LZ_START), 16, bytearray()
    while position < len(data) and len(out) < size:
        flags = data[position]
        position += 1
        for bit in range(8):
            if not flags >> bit & 1:
                piece, position = data[position : position + 1], position + 1
            else:
                pair, position = int.from_bytes(data[position : position + 2].ljust(2, b"\x00"), "big"), position + 2
                offset, length = pair >> 4, (pair & 15) + 2
                if offset == write % 4096:
                    return bytes(out[:size])
                piece = b""
                for step in range(length):
                    # A reference may run into what it is writing itself.
                    one = window[(offset + step) % 4096]
                    window[(write + step) % 4096] = one
                    piece += bytes((one,))
            for one in piece:
                window[write % 4096] = one
                write += 1
            out += piece
    return bytes(out[:size])
