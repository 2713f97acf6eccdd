"""Bodies of mail parts out of their transfer encoding: base64, quoted-printable, uuencode; or as they are.

What a header says about the encoding is believed only if the body looks like it: gateways decode bodies and keep the
header, add lines of plain text to base64, or encode and say nothing.
"""

import binascii
import re
from dataclasses import dataclass, field

from appliance.documents.plain import begins_marked, wide_encoding

_IDENTITY = re.compile(r"(?:[78][ -]?bits?|bit[78]|binary|none|plain|text|unencoded)?")
_BASE64_LINE = re.compile(rb"[ \t]*[A-Za-z0-9+/]{0,2000}={0,2}[ \t]*")
_BASE64_GROUP = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_ESCAPE = re.compile(rb"=[0-9A-Fa-f]{2}")
_SOFT_BREAK = re.compile(rb"=[ \t]*\r?\n")
_UTF8_ESCAPES = re.compile(rb"=[CDEcde][0-9A-Fa-f](?:=[89ABab][0-9A-Fa-f])+")
_SMALL_ESCAPE = re.compile(rb"[a-z]=[89A-F][0-9A-F](?=[a-z])")
_LONG_LINE = 60
"""Characters from which a line without blanks is no word."""
_UU_START = re.compile(rb"^begin(-base64)? ([0-7]{3,4}) ([^\r\n]{1,255})\r?\n", re.MULTILINE)
_UU_ENDS = (b"\nend", b"\n====")
_MOST_UU_FILES = 100
_FULL_LINE = re.compile(rb"[^\r\n]*[^\r\n\s][^\r\n]*")


@dataclass
class UuFile:
    """A file that stands inside a text in uuencode."""

    name: str
    data: bytes


@dataclass
class WithoutFiles:
    """A text, and the files that stood in it."""

    text: bytes
    files: list[UuFile] = field(default_factory=list)


def decode_transfer(raw: bytes, declared: str, is_text: bool) -> tuple[bytes, list[str]]:
    """A body out of its encoding, and what was odd about it.

    Args:
        declared: Value of the header, as it stands there.
        is_text: Whether the part is text, for which an encoding that nobody declared is recognised too.
    """
    name = re.sub(r"\(.*?\)|[\"';]", " ", declared.lower()).split(";")[0].strip()
    if "base64" in name or "base-64" in name:
        return _decode_base64(raw, is_text)
    if name.startswith("quoted"):
        return _decode_quoted(raw, is_text)
    if "uu" in name:
        found = take_uu_files(raw)
        return (found.files[0].data, []) if found.files else (raw, ["the body is not uuencoded as it says"])
    notes = [] if _IDENTITY.fullmatch(name) else [f"the transfer encoding {name[:40]} is unknown"]
    if not is_text:
        return raw, notes
    if _is_hidden_base64(raw):
        return _base64(raw), [*notes, "the body is in base64, which its header does not say"]
    if _is_hidden_quoted(raw):
        return _quoted(raw), [*notes, "the body is quoted-printable, which its header does not say"]
    return raw, notes


def _decode_base64(raw: bytes, is_text: bool) -> tuple[bytes, list[str]]:
    lines = raw.strip().splitlines()
    odd = [number for number, line in enumerate(lines) if not _BASE64_LINE.fullmatch(line)]
    if not odd:
        if is_text and not _decodes_to_text(raw):
            return raw, ["the body is not in base64 as it says"]
        return _base64(raw), []
    before = b"".join(lines[: odd[0]])
    if is_text and _is_whole_base64(before) and _decodes_to_text(before):
        # Lists and virus scanners add their lines below what they do not understand.
        return _base64(before) + b"\n" + b"\n".join(lines[odd[0] :]), ["plain text follows the base64 of the body"]
    if len(odd) <= 0.2 * len(lines) and max(map(len, lines)) >= _LONG_LINE:
        return _base64(b"".join(line for line in lines if _BASE64_LINE.fullmatch(line))), [
            "lines that are no base64 were left out of a part in base64"
        ]
    return raw, ["the body is not in base64 as it says"]


def _is_whole_base64(text: bytes) -> bool:
    letters = b"".join(text.split())
    return len(letters) >= 8 and len(letters) % 4 == 0


def _decodes_to_text(raw: bytes) -> bool:
    """Whether base64 gives something that a text can be: a short plain word is base64 by its letters too."""
    letters = b"".join(raw.split())
    if len(letters) >= _LONG_LINE or b"=" in letters[-2:]:
        return True
    decoded = _base64(raw)
    if begins_marked(decoded) or wide_encoding(decoded):
        return True
    return len(letters) % 4 == 0 and not any(byte < 32 and byte not in b"\t\r\n\x1b\x0c" for byte in decoded)


def _base64(raw: bytes) -> bytes:
    """Bytes of base64 that may consist of several pieces, each with its own end."""
    pieces = []
    for group in _BASE64_GROUP.findall(b"".join(raw.split())):
        letters = group.rstrip(b"=")
        whole = letters[: len(letters) - 1] if len(letters) % 4 == 1 else letters
        pieces.append(binascii.a2b_base64(whole + b"=" * (-len(whole) % 4)))
    return b"".join(pieces)


def _is_hidden_base64(raw: bytes) -> bool:
    """Whether a text that claims no encoding consists of base64 that decodes to text."""
    letters = b"".join(raw.split())
    lines = raw.split()
    if len(letters) < 24 or len(letters) % 4 or not re.fullmatch(rb"[A-Za-z0-9+/]+={0,2}", letters):
        return False
    if len(lines) > 1 and len({len(line) for line in lines[:-1]}) > 1:
        return False
    decoded = _base64(letters)
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(character >= " " or character in "\t\r\n" for character in text) and bool(re.search(r"\s", text))


def _decode_quoted(raw: bytes, is_text: bool) -> tuple[bytes, list[str]]:
    good = len(_ESCAPE.findall(raw)) + len(_SOFT_BREAK.findall(raw))
    if raw.count(b"=") - good > good:
        return raw, ["the body is not quoted-printable as it says"]
    decoded = _quoted(raw)
    if is_text and _is_hidden_base64(decoded):
        return _base64(decoded), ["the body is in base64, which its header does not say"]
    return decoded, []


def _quoted(raw: bytes) -> bytes:
    return binascii.a2b_qp(_SOFT_BREAK.sub(b"=\n", raw))


def _is_hidden_quoted(raw: bytes) -> bool:
    """Whether a text that claims no encoding is quoted-printable: no other text has such escapes and no other `=`."""
    if b"=" not in raw or not raw.isascii():
        return False
    breaks, escapes = len(_SOFT_BREAK.findall(raw)), len(_ESCAPE.findall(raw))
    if raw.count(b"=") > breaks + escapes or not escapes:
        return False
    if breaks or _UTF8_ESCAPES.search(raw):
        return b"=3D" in raw or breaks > 1 or bool(_UTF8_ESCAPES.search(raw) or _SMALL_ESCAPE.search(raw))
    return len(_SMALL_ESCAPE.findall(raw)) > 1


def take_uu_files(text: bytes) -> WithoutFiles:
    """Takes uuencoded files out of a text; what only looks like the start of one stays."""
    kept, files, position = [], list[UuFile](), 0
    for _ in range(_MOST_UU_FILES):
        start = _UU_START.search(text, position)
        mark = _UU_ENDS[bool(start.group(1))] if start else b""
        stop = text.find(mark, start.end() - 1) if start else -1
        if start is None or stop < 0:
            break
        inside = text[start.end() : max(stop, start.end())]
        data = _base64(inside) if start.group(1) else _uu_decoded(inside)
        if data is None:
            kept.append(text[position : start.end()])
            position = start.end()
            continue
        kept.append(text[position : start.start()])
        files.append(UuFile(start.group(3).decode("utf-8", "replace").strip(), data))
        position = stop + len(mark)
    return WithoutFiles(b"".join([*kept, text[position:]]), files)


def _uu_decoded(lines: bytes) -> bytes | None:
    pieces = []
    for match in _FULL_LINE.finditer(lines):
        line = match.group()
        size = (line[0] - 32) & 63
        # Some programs cut blanks at the end of a line, or add a checksum.
        needed = (size + 2) // 3 * 4
        body = line[1 : needed + 1].ljust(needed, b" ")
        if len(line) > needed + 3 or line[0] < 32 or line[0] > 96:
            return None
        try:
            pieces.append(binascii.a2b_uu(line[:1] + body))
        except binascii.Error:
            return None
    return b"".join(pieces)
