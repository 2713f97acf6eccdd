"""A mail as text: the headers a person reads, an empty line, then the body."""

from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart

from appliance.documents import plain
from appliance.documents.html import html_lines

_SHOWN_HEADERS = ("From", "To", "Cc", "Subject", "Date")


def read_mail(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of an EML file; plain text is preferred, HTML is turned into lines."""
    message = message_from_bytes(data, policy=policy.default)
    notes: list[str] = []
    lines = [f"{name}: {value}" for name in _SHOWN_HEADERS for value in _header_values(message, name)]
    body = message.get_body(preferencelist=("plain", "html"))
    text = ""
    if body is not None:
        text, body_notes = _body_text(body)
        notes += body_notes
    attachments = sum(1 for part in message.walk() if part.get_content_disposition() == "attachment")
    if attachments:
        notes.append(f"{attachments} attachments were left out")
    if message.defects:
        notes.append("the mail breaks the rules of its format: " + ", ".join(type(d).__name__ for d in message.defects))
    return "\n".join([*lines, "", text]).strip() + "\n", notes


def _header_values(message: EmailMessage, name: str) -> list[str]:
    """Values of a header on one line each; parsing odd addresses can fail inside the standard library."""
    try:
        values = message.get_all(name, [])
    except (ValueError, IndexError, AttributeError, LookupError):
        values = [value for key, value in message.raw_items() if key.lower() == name.lower()]
    return [" ".join(str(value).split()) for value in values]


def _body_text(body: MIMEPart) -> tuple[str, list[str]]:
    notes: list[str] = []
    raw = body.get_payload(decode=True)
    data = raw if isinstance(raw, bytes) else b""
    charset = body.get_content_charset()
    try:
        text = data.decode(charset or "utf-8")
    except (LookupError, UnicodeDecodeError):
        text, notes = plain.decode(data)
        notes = [*notes, f"the declared charset {charset} does not fit"]
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if body.get_content_type() == "text/html":
        text, hidden = html_lines(text)
        notes += ["hidden text was left out"] if hidden else []
    return text, notes
