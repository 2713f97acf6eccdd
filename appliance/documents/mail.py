"""Mails (EML) taken apart: the headers a person reads, the body, and what is attached."""

import binascii
import re
from dataclasses import dataclass, field
from email import header, message_from_bytes
from email.errors import HeaderParseError, MissingHeaderBodySeparatorDefect
from email.message import Message

from appliance.documents.attachments import MAX_DEPTH, Attachment, MailParts
from appliance.documents.declared_charset import decode_declared
from appliance.documents.mail_body import PLACEHOLDER_NOTE, BodyForm, BodyText, body_text, is_blank, is_placeholder
from appliance.documents.mail_start import is_written_by_hand, tidy_mail, without_property_list
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.signed_data import Wrapping, is_mime_entity, unwrap
from appliance.documents.transfer import decode_transfer

_SHOWN_HEADERS = ("From", "To", "Cc", "Bcc", "Subject", "Date")
_MAX_ATTACHMENTS = 200
_MAX_PARTS_DEEP = 50
_MAX_HEADERS = 200
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
_SEALED_KINDS = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_OTHER_FORMS = frozenset(
    "text/plain text/html text/enriched text/richtext text/rtf text/markdown text/x-amp-html text/watch-html"
    " text/x-web-intelligent application/rtf".split()
)
"""Forms in which a body is repeated: what is in them stands in the chosen form as well."""
_LOOKS = frozenset("text/css text/javascript application/javascript application/x-javascript text/ecmascript".split())
"""Parts of a stored page that say how it looks and what it does."""
_ODD_WORD = re.compile(r"(=\?[^?\s]+\?[bBqQ]\?[^?]*\?=)\s+(?==\?)")
_KIND = re.compile(r"\s*([\w.+-]+/[\w.+*-]+)")
_CHARSET = re.compile(r"charset\s*[=:]\s*[\"']?([\w.:*-]{1,80})", re.IGNORECASE)
_GUESSED_BOUNDARY = re.compile(
    rb"^--(?!-)([^\r\n\"]{1,69}?)[ \t]*\r?\n(?=content-|mime-)", re.MULTILINE | re.IGNORECASE
)
_POSTMARK_LINE = re.compile(
    rb"(?<=\n)From \S[^\r\n]{0,200}?\d\d:\d\d(?::\d\d)?[^\r\n]{0,60}\r?\n(?=[!-9;-~]{1,100}[ \t]*:)"
)


@dataclass
class _Collected:
    """What the parts of a mail give."""

    texts: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    has_sealed_text: bool = False

    def note(self, *notes: str) -> None:
        """Adds notes, each once."""
        self.notes += [note for note in notes if note not in self.notes]


def read_mail(data: bytes) -> MailParts:
    """Headers, body and attachments of an EML file; plain text is preferred, HTML is turned into lines.

    Further mails of a mailbox follow as mails that are attached.

    Raises:
        DocumentError: The mail is encrypted.
    """
    mails = _mails_of_a_box(without_property_list(data))
    first = _parsed_mail(mails[0], 0)
    for number, mail in enumerate(mails[1 : _MAX_ATTACHMENTS + 1], 2):
        message, notes = _parsed(mail)
        attached = _attached_mail(next(iter(_header_values(message, "Subject")), "") or f"mail {number}", message, 1)
        if attached.mail is not None:
            attached.mail.notes += notes
        first.attachments.append(attached)
    if len(mails) > 1:
        first.notes.append(f"the file holds {len(mails)} mails; those after the first follow as attachments")
    if len(mails) > _MAX_ATTACHMENTS + 1:
        first.notes.append(f"mails left out after the first {_MAX_ATTACHMENTS + 1}")
    return first


def _mails_of_a_box(data: bytes) -> list[bytes]:
    """Mails of a mailbox in one file, where the line that begins each mail stands before the first as well."""
    if not data[:200].lstrip(b" \t\r\n").startswith(b"From "):
        return [data]
    starts = [0, *(line.start() for line in _POSTMARK_LINE.finditer(data))]
    mails = [
        # Lines of a body that begin like the line between two mails carry a mark.
        re.sub(rb"^>(?=>*From )", b"", data[start:end], flags=re.MULTILINE)
        for start, end in zip(starts, [*starts[1:], len(data)], strict=True)
    ]
    return [mail for mail in mails if mail.strip()] or [data]


def _parsed(data: bytes) -> tuple[Message, list[str]]:
    tidied, notes = tidy_mail(data)
    return message_from_bytes(tidied), notes


def _parsed_mail(data: bytes, depth: int) -> MailParts:
    message, notes = _parsed(data)
    parts = _mail(message, depth)
    parts.notes[:0] = notes
    return parts


def _mail(message: Message, depth: int) -> MailParts:
    collected = _Collected()
    _collect(message, collected, (depth, 0), False)
    if collected.has_sealed_text and not collected.texts and not collected.attachments:
        raise DocumentError(Problem.ENCRYPTED, "the mail is encrypted", "save it decrypted")
    if len(collected.attachments) > _MAX_ATTACHMENTS:
        collected.note(
            f"attachments left out after the first {_MAX_ATTACHMENTS}: {len(collected.attachments) - _MAX_ATTACHMENTS}"
        )
    defects = sorted({type(defect).__name__ for part in message.walk() for defect in part.defects})
    if defects:
        collected.note("the mail breaks the rules of its format: " + ", ".join(defects))
    text = "\n\n".join(collected.texts)
    return MailParts(_shown_headers(message), text, collected.notes, collected.attachments[:_MAX_ATTACHMENTS])


def _collect(part: Message, collected: _Collected, depth: tuple[int, int], only_attached: bool) -> None:
    """Takes a part and all inside it; `depth` counts mails inside mails, and parts inside parts."""
    kind = _kind(part)
    if depth[1] > _MAX_PARTS_DEEP:
        raise DocumentError(Problem.TOO_LARGE, f"the mail is nested deeper than {_MAX_PARTS_DEEP} levels")
    if kind == "multipart/encrypted":
        raise DocumentError(Problem.ENCRYPTED, "the mail is encrypted", "save it decrypted")
    children = [child for child in part.get_payload() if isinstance(child, Message)] if part.is_multipart() else []
    children += _parts_behind(part, children, collected)
    if not children and (kind.startswith("multipart/") or (depth[1] == 0 and "content-type" not in part)):
        children = _guessed_parts(part, kind, collected)
    inside = (depth[0], depth[1] + 1)
    if kind in ("message/rfc822", "message/global", "message/news") and children:
        _collect_mail(part, children[0], collected, depth[0])
    elif kind.startswith("message/") and children:
        if kind in ("message/partial", "message/external-body"):
            address = str(part.get_param("url", None) or part.get_param("name", None) or "")[:200]
            collected.note(f"a part of the mail lies elsewhere ({kind}) {address}".strip())
        _collect_report(children, collected)
    elif kind == "multipart/alternative":
        chosen = _preferred(children, collected)
        for child in children:
            _collect(child, collected, inside, only_attached or child is not chosen)
    elif children:
        for child in children:
            _collect(child, collected, inside, only_attached)
    elif kind not in _SIGNATURES:
        _collect_leaf(part, collected, (kind, *inside), only_attached)


def _parts_behind(part: Message, children: list[Message], collected: _Collected) -> list[Message]:
    """Parts behind the end of a part that has a boundary in common with one inside it, whose end it was."""
    boundary, rest = part.get_boundary(), part.epilogue
    is_shared = boundary and any(child.get_boundary() == boundary for child in children)
    if not isinstance(rest, str) or not boundary or not is_shared:
        return []
    start = re.search("^--" + re.escape(boundary) + r"[ \t]*\r?\n(?=content-)", rest, re.MULTILINE | re.IGNORECASE)
    if start is None:
        return []
    collected.note("parts of the mail share a boundary")
    head = f'Content-Type: multipart/mixed; boundary="{boundary}"\n\n'
    again = message_from_bytes((head + rest[start.start() :]).encode("utf-8", "surrogateescape"))
    return [child for child in again.get_payload() if isinstance(child, Message)] if again.is_multipart() else []


def _guessed_parts(part: Message, kind: str, collected: _Collected) -> list[Message]:
    """Parts of a body whose boundary is not declared, or is declared as another one than separates them."""
    if part.is_multipart():
        return []
    data = _payload(part, True)[0]
    first = _GUESSED_BOUNDARY.search(data)
    if first is None or (not kind.startswith("multipart/") and data.count(b"--" + first.group(1)) < 2):
        return []
    collected.note("the boundary between the parts of the mail was guessed")
    whole = kind if kind.startswith("multipart/") else "multipart/mixed"
    start = f'Content-Type: {whole}; boundary="'.encode() + first.group(1) + b'"\n\n'
    again = message_from_bytes(start + data)
    return [child for child in again.get_payload() if isinstance(child, Message)] if again.is_multipart() else []


def _collect_mail(part: Message, child: Message, collected: _Collected, depth: int) -> None:
    """A mail that is attached: as it is, or encoded against the rules."""
    encoded = str(part.get("content-transfer-encoding", "")).strip().lower()
    if not child.keys() and not child.is_multipart() and encoded in ("base64", "quoted-printable"):
        child = _parsed(decode_transfer(_payload(child, False)[0], encoded, False)[0])[0]
    elif any(isinstance(defect, MissingHeaderBodySeparatorDefect) for defect in child.defects):
        # The parser ends the headers at the first odd line; the rest of them begins what it takes for the body.
        child = _parsed(child.as_bytes().replace(b"\n\n", b"\n", 1))[0]
    if depth < MAX_DEPTH:
        name = _file_name(part) or next(iter(_header_values(child, "Subject")), "") or "mail"
        collected.attachments.append(_attached_mail(name, child, depth + 1))
    else:
        collected.note("a mail nested inside too many others was left out")


def _collect_report(children: list[Message], collected: _Collected) -> None:
    """What a machine reports on a mail: blocks of fields; or where the rest of a mail lies."""
    blocks = []
    for child in children[:_MAX_ATTACHMENTS]:
        fields = "\n".join(f"{name}: {_decoded_header(str(value))}" for name, value in child.raw_items())
        payload = child.get_payload()
        rest = payload.strip() if isinstance(payload, str) else ""
        blocks += [
            block for block in (fields, rest.encode("utf-8", "surrogateescape").decode("utf-8", "replace")) if block
        ]
    collected.texts += ["\n\n".join(blocks)] if blocks else []


def _attached_mail(name: str, message: Message, depth: int) -> Attachment:
    try:
        return Attachment(name, None, _mail(message, depth))
    except DocumentError as error:
        # What an encrypted mail is attached to may be readable.
        if error.problem is not Problem.ENCRYPTED:
            raise
        return Attachment(name, None, left_out=error.message)


def _collect_leaf(part: Message, collected: _Collected, place: tuple[str, int, int], only_attached: bool) -> None:
    """A part without parts; `place` is its kind and the two depths inside it."""
    kind, name = place[0], _file_name(part)
    is_inline = part.get_content_disposition() != "attachment"
    if kind in _SEALED_KINDS or name.lower().endswith(".p7m"):
        _collect_wrapped(part, collected, place, only_attached)
    elif kind in ("text/plain", "text/html") and is_inline and not name:
        if not only_attached:
            _add_body(_text(part, kind), collected)
    elif kind in _LOOKS and is_inline and (not name or "content-location" in part):
        collected.note("style sheets and scripts of the page were left out")
    elif not (only_attached and is_inline and not name and (kind in _OTHER_FORMS or kind.startswith("image/"))):
        data, notes = _payload(part, kind.startswith("text/"))
        collected.note(*(f"attachment {name or kind}: {note}" for note in notes))
        if data.strip():
            shown_inside = is_inline and "content-id" in part
            collected.attachments.append(Attachment(name or kind, data, shown_inside=shown_inside))
        elif name:
            collected.note(f"attachment {name}: it is empty")


def _add_body(body: BodyText, collected: _Collected) -> None:
    collected.note(*body.notes)
    collected.has_sealed_text = collected.has_sealed_text or body.is_sealed
    collected.texts += [] if is_blank(body.text) else [body.text]
    collected.attachments += [Attachment(file.name, file.data) for file in body.files]


def _collect_wrapped(part: Message, collected: _Collected, place: tuple[str, int, int], only_attached: bool) -> None:
    """Data of S/MIME: what is only signed is read, what is encrypted is refused."""
    data, _ = _payload(part, False)
    wrapped = unwrap(data)
    declared_signed = any(word in str(part.get_param("smime-type", "")).lower() for word in ("signed", "certs"))
    name = _file_name(part) or place[0]
    if wrapped is None and (declared_signed or place[0] not in _SEALED_KINDS):
        collected.attachments.append(Attachment(name, data))
    elif wrapped is None or wrapped.wrapping is Wrapping.SEALED:
        raise DocumentError(Problem.ENCRYPTED, "the mail is encrypted", "save it decrypted")
    elif wrapped.content is None:
        collected.note(f"attachment {name}: it holds certificates or a signature only")
    elif is_mime_entity(wrapped.content):
        collected.note(f"the content is {wrapped.wrapping}; its signature was not checked")
        _collect(_parsed(wrapped.content)[0], collected, place[1:], only_attached)
    else:
        collected.note(f"attachment {name}: its content is {wrapped.wrapping}; the signature was not checked")
        collected.attachments.append(Attachment(re.sub(r"\.p7m$", "", name, flags=re.IGNORECASE), wrapped.content))


def _preferred(children: list[Message], collected: _Collected) -> Message | None:
    """Which of several forms of one text is read: plain text if it says anything, else HTML."""
    pages = [child for child in children if any(_kind(part) == "text/html" for part in child.walk())]
    for child in children:
        if _kind(child) != "text/plain":
            continue
        plain = _text(child, "text/plain")
        if is_blank(plain.text) and not plain.files and not plain.is_sealed:
            continue
        if pages and is_placeholder(plain.text, _page_text(pages[0])):
            collected.note(PLACEHOLDER_NOTE)
            return pages[0]
        return child
    return next(iter([*pages, *children]), None)


def _page_text(child: Message) -> str:
    return "\n".join(_text(part, "text/html").text for part in child.walk() if _kind(part) == "text/html")


def _shown_headers(message: Message) -> list[tuple[str, str]]:
    """The headers that mail programs show; all of them where no program wrote any."""
    shown = [(name, value) for name in _SHOWN_HEADERS for value in _header_values(message, name)]
    head = "\n".join(f"{name}:" for name in message.keys())  # noqa: SIM118 - a message is no dictionary
    if is_written_by_hand(head.encode("utf-8", "surrogateescape")):
        usual = {name.lower() for name in _SHOWN_HEADERS}
        others = [
            (name, _decoded_header(str(value))) for name, value in message.raw_items() if name.lower() not in usual
        ]
        shown += others[:_MAX_HEADERS]
    return shown


def _header_values(message: Message, name: str) -> list[str]:
    """Values of a header on one line each, decoded as far as they can be."""
    charset = next((found for part in message.walk() if (found := _charset(part))), None)
    return [_decoded_header(str(value), charset) for key, value in message.raw_items() if key.lower() == name.lower()]


def _decoded_header(value: str, charset: str | None = None) -> str:
    data = value.encode("utf-8", "surrogateescape")
    if not data.isascii() or b"\x1b$" in data:
        try:
            value = decode_declared(data, charset)[0]
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
    for title, place in (("filename", "content-disposition"), ("name", "content-type")):
        try:
            names = [value for key, value in part.get_params([], place) if key.lower() == title]
        except (LookupError, ValueError, TypeError):  # the standard library trips over some broken parameters
            return "without a name"
        # A name in the extended form carries its charset (RFC 2231), and counts before the plain one beside it.
        for name in sorted(names, key=lambda name: not isinstance(name, tuple)):
            if isinstance(name, tuple):
                name = _piece(name[2].encode("latin-1", "replace"), name[0] or "utf-8")
            if name:
                return _decoded_header(str(name).strip().strip('"'))
    return ""


def _kind(part: Message) -> str:
    """Type of a part, also where what follows the type lacks its semicolon."""
    kind = _KIND.match(str(part.get("content-type", "")))
    return kind.group(1).lower() if kind else part.get_content_type()


def _charset(part: Message) -> str | None:
    declared = _CHARSET.search(str(part.get("content-type", "")))
    return declared.group(1) if declared else None


def _payload(part: Message, is_text: bool) -> tuple[bytes, list[str]]:
    """The body of a part out of its encoding, and what was odd about it."""
    encoding = part.get("content-transfer-encoding", "")
    # Without the header the standard library gives the bytes as they came; otherwise it trusts the header.
    del part["content-transfer-encoding"]
    raw = part.get_payload(decode=True)
    if encoding:
        part["content-transfer-encoding"] = encoding
    return decode_transfer(raw if isinstance(raw, bytes) else b"", str(encoding), is_text)


def _text(part: Message, kind: str) -> BodyText:
    data, notes = _payload(part, True)
    options = str(part.get("content-type", "")).lower()
    flowed = re.search(r"format\s*=\s*\"?flowed", options) is not None
    delete = re.search(r"delsp\s*=\s*\"?yes", options) is not None
    body = body_text(data, BodyForm(kind == "text/html", _charset(part), flowed, delete))
    body.notes[:0] = notes
    return body
