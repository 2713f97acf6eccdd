"""What mails of all formats share: headers, a body, and attachments whose text follows in the same document."""

from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.documents.problems import DocumentError, Problem
from appliance.documents.text_lines import Lines

MAX_DEPTH = 4
"""Mails inside mails."""


@dataclass
class Attachment:
    """Something attached: a file, or a mail."""

    name: str
    data: bytes | None
    """None for a mail, and for what cannot be taken out."""
    mail: "MailParts | None" = None
    shown_inside: bool = False
    """Whether the body shows it: a logo in a signature, mostly."""
    left_out: str = ""
    """Why a mail that is attached cannot be read."""


@dataclass
class MailParts:
    """A mail taken apart."""

    headers: list[tuple[str, str]]
    body: str
    notes: list[str]
    attachments: list[Attachment] = field(default_factory=list)


InnerReader = Callable[[bytes, int], tuple[str, str, list[str]]]
"""Reads an attachment that lies so many mails deep: its text, its type, its notes."""


def mail_text(mail: MailParts, read_inner: InnerReader, depth: int = 0) -> tuple[str, list[str]]:
    """The mail as text: headers, an empty line, the body; then each attachment after a line that names it.

    Raises:
        DocumentError: All of it together is larger than a document may be.
    """
    lines = Lines()
    for name, value in mail.headers:
        lines.add(f"{name}: {value}")
    if mail.body.strip():
        lines.add(("\n" if lines else "") + mail.body.strip())
    notes = list(mail.notes)
    for attachment in mail.attachments:
        name = _shown_name(attachment.name)
        try:
            text, its_notes = _attachment_text(attachment, read_inner, depth)
        except DocumentError as error:
            if error.problem is Problem.TOO_LARGE and depth:
                raise
            text, its_notes = "", [f"left out: {error.message}"]
        notes += [f"attachment {name}: {note}" for note in its_notes]
        lines.add(f"\nAttachment: {name}" + (f"\n{text.strip()}" if text.strip() else ""))
    return lines.text().strip() + "\n", notes


def _attachment_text(attachment: Attachment, read_inner: InnerReader, depth: int) -> tuple[str, list[str]]:
    if attachment.mail is not None:
        return mail_text(attachment.mail, read_inner, depth + 1)
    if attachment.left_out:
        return "", [f"left out: {attachment.left_out}"]
    if attachment.data is None or depth >= MAX_DEPTH:
        return "", ["left out: it is nested too deeply or cannot be extracted"]
    if attachment.shown_inside and attachment.data[:8].startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")):
        return "", ["left out: a picture that the body shows"]
    text, kind, notes = read_inner(attachment.data, depth + 1)
    return text, [f"read as {kind}", *notes]


def _shown_name(name: str) -> str:
    """The name on one line, not longer than a file name can be."""
    return " ".join(name.split())[:255] or "without a name"
