"""Mails (EML) taken apart: the headers a person reads, the body, and what is attached."""

import binascii
import re
from dataclasses import dataclass, field
from email import header, message_from_bytes
from email.errors import HeaderParseError
from email.message import Message

from appliance.documents.attachments import MAX_DEPTH, Attachment, MailParts
from appliance.documents.declared_charset import decode_declared
from appliance.documents.html import html_lines
from appliance.documents.plain import decode
from appliance.documents.problems import DocumentError, Problem

_SHOWN_HEADERS = ("From", "To", "Cc", "Bcc", "Subject", "Date")
_MAX_ATTACHMENTS = 200
_MAX_PARTS_DEEP = 50
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
_ODD_WORD = re.compile(r"(=\?[^?\s]+\?[bBqQ]\?[^?]*\?=)\s+(?==\?)")


@dataclass
class _Collected:
    """What the parts of a mail give."""

    texts: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_mail(data: bytes) -> MailParts:
    """Headers, body and attachments of an EML file; plain text is preferred, HTML is turned into lines.

    Raises:
        DocumentError: The mail is encrypted.
    """
    return _mail(message_from_bytes(data), 0)


def _mail(message: Message, depth: int) -> MailParts:
    collected = _Collected()
    _collect(message, collected, (depth, 0), False)
    headers = [(name, value) for name in _SHOWN_HEADERS for value in _header_values(message, name)]
    if len(collected.attachments) > _MAX_ATTACHMENTS:
        collected.notes.append(
            f"attachments left out after the first {_MAX_ATTACHMENTS}: {len(collected.attachments) - _MAX_ATTACHMENTS}"
        )
    defects = sorted({type(defect).__name__ for part in message.walk() for defect in part.defects})
    if defects:
        collected.notes.append("the mail breaks the rules of its format: " + ", ".join(defects))
    return MailParts(headers, "\n\n".join(collected.texts), collected.notes, collected.attachments[:_MAX_ATTACHMENTS])


def _collect(part: Message, collected: _Collected, depth: tuple[int, int], only_attached: bool) -> None:
    """Takes a part and all inside it; `depth` counts mails inside mails, and parts inside parts."""
    kind = part.get_content_type()
    if depth[1] > _MAX_PARTS_DEEP:
        raise DocumentError(Problem.TOO_LARGE, f"the mail is nested deeper than {_MAX_PARTS_DEEP} levels")
    _refuse_encrypted(part, kind)
    children = [child for child in part.get_payload() if isinstance(child, Message)] if part.is_multipart() else []
    inside = (depth[0], depth[1] + 1)
    if kind in ("message/rfc822", "message/global") and children:
        if depth[0] < MAX_DEPTH:
            name = _file_name(part) or next(iter(_header_values(children[0], "Subject")), "") or "mail"
            collected.attachments.append(_attached_mail(name, children[0], depth[0] + 1))
        else:
            collected.notes.append("a mail nested inside too many others was left out")
    elif kind == "multipart/alternative":
        chosen = _preferred(children)
        for child in children:
            _collect(child, collected, inside, only_attached or child is not chosen)
    elif children:
        for child in children:
            _collect(child, collected, inside, only_attached)
    elif kind not in _SIGNATURES:
        _collect_leaf(part, collected, kind, only_attached)


def _attached_mail(name: str, message: Message, depth: int) -> Attachment:
    try:
        return Attachment(name, None, _mail(message, depth))
    except DocumentError as error:
        # What an encrypted mail is attached to may be readable.
        if error.problem is not Problem.ENCRYPTED:
            raise
        return Attachment(name, None, left_out=error.message)


def _collect_leaf(part: Message, collected: _Collected, kind: str, only_attached: bool) -> None:
    name = _file_name(part)
    is_inline = part.get_content_disposition() != "attachment"
    if kind in ("text/plain", "text/html") and is_inline and not name:
        if not only_attached:
            text = _text(part, kind, collected.notes)
            collected.texts += [text] if text.strip() else []
    elif not (only_attached and is_inline and not name):
        data = _payload(part)
        if data.strip():
            shown_inside = is_inline and "content-id" in part
            collected.attachments.append(Attachment(name or kind, data, shown_inside=shown_inside))


def _preferred(children: list[Message]) -> Message | None:
    """Which of several forms of one text is read: plain text if it says anything, else HTML."""
    plain = [child for child in children if child.get_content_type() == "text/plain" and _payload(child).strip()]
    pages = [child for child in children if any(part.get_content_type() == "text/html" for part in child.walk())]
    return next(iter([*plain, *pages, *children]), None)


def _refuse_encrypted(part: Message, kind: str) -> None:
    sealed = kind in ("application/pkcs7-mime", "application/x-pkcs7-mime")
    if kind == "multipart/encrypted" or (sealed and "signed" not in str(part.get_param("smime-type", "")).lower()):
        raise DocumentError(Problem.ENCRYPTED, "the mail is encrypted", "save it decrypted")


def _header_values(message: Message, name: str) -> list[str]:
    """Values of a header on one line each, decoded as far as they can be."""
    return [_decoded_header(str(value)) for key, value in message.raw_items() if key.lower() == name.lower()]


def _decoded_header(value: str) -> str:
    data = value.encode("utf-8", "surrogateescape")
    if not data.isascii():
        try:
            value = decode(data)[0]
        except DocumentError:
            value = data.decode("ascii", "replace")
    value = " ".join(value.split())
    if "=?" not in value:
        return value
    try:
        pieces = header.decode_header(_ODD_WORD.sub(r"\1 ", value))
    except (HeaderParseError, binascii.Error, ValueError):
        return value
    return " ".join("".join(_piece(piece, charset) for piece, charset in pieces).split())


def _piece(piece: bytes | str, charset: str | None) -> str:
    if isinstance(piece, str):
        return piece
    try:
        return decode_declared(piece, charset)[0]
    except DocumentError:
        return piece.decode("ascii", "replace")


def _file_name(part: Message) -> str:
    try:
        return _decoded_header(part.get_filename() or "")
    except (LookupError, ValueError, TypeError):  # the standard library trips over some broken parameters
        return "without a name"


def _payload(part: Message) -> bytes:
    raw = part.get_payload(decode=True)
    return raw if isinstance(raw, bytes) else b""


def _text(part: Message, kind: str, notes: list[str]) -> str:
    try:
        charset = part.get_content_charset()
    except (LookupError, ValueError, TypeError):
        charset = None
    try:
        text, decoding_notes = decode_declared(_payload(part), charset)
    except DocumentError as error:
        notes.append(f"a part of the body was left out: {error.message}")
        return ""
    notes += [note for note in decoding_notes if note not in notes]
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if kind == "text/html":
        text, hidden = html_lines(text)
        notes += ["hidden text was left out"] if hidden else []
    return text.strip("\n")
