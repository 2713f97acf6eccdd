"""The text of a mail's body: out of its encodings, soft line ends undone, without what encryption left of it."""

import re
from dataclasses import dataclass, field, replace

from appliance.documents.charset_names import says_nothing
from appliance.documents.declared_charset import decode_declared
from appliance.documents.html import read_html
from appliance.documents.plain import without_stray_zeros
from appliance.documents.problems import DocumentError
from appliance.documents.transfer import UuFile, take_uu_files

_WORD = re.compile(r"\w+")
_MOST_PLACEHOLDER_WORDS = 80
_LEAST_SHARED = 0.5
"""Share of a short plain form's words that its HTML form has as well, if both say the same."""
_MOST_SHARED = 0.9
"""Share of the plain form's words in the HTML form from which it is a part of that."""
PLACEHOLDER_NOTE = "the plain form of the body says less or something else than its HTML form, which was read"
_POINTS_ELSEWHERE = re.compile(r"\bhtml\b|\bbrowser\b|\bweb ?(?:page|version)\b", re.IGNORECASE)
_TAG = re.compile(rb"<[a-z!/][^<>]{0,2000}>|&(?:[a-z]{2,8}|#\d{2,6});", re.IGNORECASE)
_PAGE_START = re.compile(rb"\s*(?:<!doctype\s+html|<html\b|<head\b|<body\b)", re.IGNORECASE)
_NO_INK = "\u200b\u200c\u200d\ufeff\u00ad\u034f"
_SEALED_TEXT = re.compile(
    r"-----BEGIN PGP MESSAGE-----[^-]*+(?:-(?!----END PGP)[^-]*+)*+(?:-----END PGP MESSAGE-----)?"
)
_SIGNED_TEXT = re.compile(r"^-----BEGIN PGP SIGNED MESSAGE-----\n(?:[A-Za-z]+: ?[^\n]*\n)*\n?", re.MULTILINE)
_SIGNATURE = re.compile(
    r"^-----BEGIN PGP SIGNATURE-----\n[A-Za-z0-9+/=\n:. -]*?-----END PGP SIGNATURE-----$", re.MULTILINE
)
_MAX_SIGNED = 50


@dataclass
class BodyText:
    """The text of one part."""

    text: str
    notes: list[str] = field(default_factory=list)
    files: list[UuFile] = field(default_factory=list)
    """What stood inside the text in uuencode."""
    is_sealed: bool = False
    """Whether a part of it is encrypted."""


@dataclass(frozen=True)
class BodyForm:
    """How a part says that its text is written."""

    is_html: bool = False
    charset: str | None = None
    flowed: bool = False
    """Whether a blank before a line end means that the line goes on."""
    delete_blanks: bool = False
    """Whether that blank is not part of the text."""


def body_text(data: bytes, form: BodyForm) -> BodyText:
    """The text of a part; nothing, with a note, where its bytes are no text."""
    is_html = form.is_html
    try:
        if is_html is not _looks_like_html(data, is_html):
            is_html = not is_html
            note = f"the body is {'HTML' if is_html else 'plain text'}, which its header does not say"
            other = body_text(data, replace(form, is_html=is_html))
            return replace(other, notes=[note, *other.notes])
        if is_html:
            return _html_text(data, form.charset)
        is_wide = (form.charset or "").lower().startswith(("utf-16", "utf-32"))
        without_files = take_uu_files(data if is_wide else without_stray_zeros(data))
        text, notes = decode_declared(without_files.text, form.charset)
    except DocumentError as error:
        return BodyText("", [f"a part of the body was left out: {error.message}"])
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    if form.flowed:
        text = flowed_lines(text, form.delete_blanks)
    text, sealed = _SEALED_TEXT.subn("", text)
    text = _without_signatures(text)
    if re.search(r"^=ybegin .*\bname=", text, re.MULTILINE):
        notes.append("a file inside the text (yEnc) was not decoded")
    if sealed:
        notes.append("text encrypted with PGP was left out")
    return BodyText(text.strip("\n"), notes, without_files.files, bool(sealed))


def _looks_like_html(data: bytes, is_declared: bool) -> bool:
    """Whether a body is HTML: it says so in its first tag, or it is declared to be and has any tag or sign of it."""
    if is_declared:
        return _TAG.search(data) is not None or b"\n" not in data.strip() or b"\x00" in data
    return _PAGE_START.match(data[:2000]) is not None and _TAG.search(data) is not None


def _html_text(data: bytes, charset: str | None) -> BodyText:
    if charset is None or says_nothing(charset):
        text, notes = read_html(data)
        return BodyText(text.strip("\n"), notes)
    decoded, notes = decode_declared(data, charset)
    text, more = read_html(b"\xef\xbb\xbf" + decoded.encode("utf-8", "replace"))
    return BodyText(text.strip("\n"), [*notes, *more])


def flowed_lines(text: str, delete_blanks: bool) -> str:
    """Lines as they were before a program broke them. Source: RFC 3676 section 4."""
    paragraphs: list[list[str]] = []
    open_depth: int | None = None
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")
        # The line above a signature ends in a blank of its own.
        goes_on = content.endswith(" ") and content != "-- "
        shown = content[:-1] if goes_on and delete_blanks else content
        if open_depth == depth and content != "-- ":
            paragraphs[-1].append(shown)
        else:
            paragraphs.append([">" * depth + (" " if depth else ""), shown])
        open_depth = depth if goes_on else None
    lines = ["".join(pieces) for pieces in paragraphs]
    return "\n".join(line.rstrip() if line.strip("> ") != "--" else line for line in lines)


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: signs without width are no text either."""
    return not text.translate(dict.fromkeys(map(ord, _NO_INK))).strip()


def is_placeholder(plain: str, html: str) -> bool:
    """Whether the plain form of a body says that one has to look at the other form, or leaves out what has numbers."""
    words, full = _WORD.findall(plain.casefold()), _WORD.findall(html.casefold())
    there = set(full)
    shared = sum(1 for word in words if word in there)
    is_part = shared >= _MOST_SHARED * len(words) and len(full) >= 1.5 * len(words)
    if is_part and any(word.isdecimal() for word in there.difference(words)):
        return True
    if not full or len(words) > _MOST_PLACEHOLDER_WORDS:
        return False
    differs = shared < _LEAST_SHARED * len(words)
    if _POINTS_ELSEWHERE.search(plain):
        return differs or (len(full) >= 1.5 * len(words) and shared < _MOST_SHARED * len(words))
    return differs and len(full) >= 3 * len(words)


def _without_signatures(text: str) -> str:
    """Text that was signed in place, without the lines around it."""
    if "-----BEGIN PGP SIGNED MESSAGE-----" not in text:
        return text
    text = _SIGNATURE.sub("", _SIGNED_TEXT.sub("", text, count=_MAX_SIGNED), count=_MAX_SIGNED)
    return re.sub(r"^- (?=-)", "", text, flags=re.MULTILINE)
