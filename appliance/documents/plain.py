"""Plain text: which encoding the bytes are in where nothing says so, and the text with plain line ends."""

import codecs
import re

from appliance.documents.calendar_text import calendar_lines, is_calendar
from appliance.documents.charset import find_encoding
from appliance.documents.problems import DocumentError, Problem
from appliance.ground.text import human_count

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = bytes(set(range(32)) - {7, 8, 9, 10, 11, 12, 13, 27})
_MOST_CONTROL = 0.003
"""Share of control characters that a text has at most; old programs leave a few behind."""
_SAMPLE_BYTES = 65536
_END_OF_FILE = b"\x1a"
"""What DOS programs write behind a text."""
_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;?]{0,30}[ -/]?[@-~]|\x1b\][^\x07\x1b]{0,300}(?:\x07|\x1b\\)")
"""Colours and movements of a terminal, and titles of its window."""
_STRUCK_OVER = re.compile(r"[^\n\x08]\x08")
"""Printers of lines struck a letter twice for bold type, or over a line drawn below it."""
_SEALED_TEXT = re.compile(r"\s*-----BEGIN PGP MESSAGE-----")


def decode(data: bytes) -> tuple[str, list[str]]:
    """Text of the bytes, and notes on what had to be found out.

    Raises:
        DocumentError: The bytes are no text in any encoding that is known here.
    """
    text, notes = _decoded(data)
    text = text.rstrip(_END_OF_FILE.decode("ascii"))
    if "\x1b" in text or "\x08" in text:
        text = _STRUCK_OVER.sub("", _TERMINAL_CODE.sub("", text))
    return text, notes


def _decoded(data: bytes) -> tuple[str, list[str]]:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _strict(data, encoding), []
    wide = wide_encoding(data)
    if wide:
        return _strict(data, wide), [f"encoding {wide} found by its zero bytes"]
    data = data.rstrip(b"\x00\x1a")  # a crash or a fixed block leaves zeros behind a text
    if is_binary(data):
        raise DocumentError(Problem.UNSUPPORTED, "the file holds binary data of a kind that is not read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _decode_old(data, error)
    # Pure ASCII is valid UTF-8, and so is the Japanese of mails.
    if "\x1b$" in text and find_encoding(data) == "iso2022_jp":
        return data.decode("iso2022_jp"), ["encoding iso2022_jp found by its escape sequences"]
    return text, []


def begins_marked(data: bytes) -> bool:
    """Whether a byte order mark says what the encoding is."""
    return any(data.startswith(mark) for mark, _ in _BYTE_ORDER_MARKS)


def _decode_old(data: bytes, error: UnicodeDecodeError) -> tuple[str, list[str]]:
    """Text in an encoding from before Unicode, or UTF-8 with a few broken bytes."""
    mended = data.decode("utf-8", "replace")
    broken = mended.count("\ufffd")
    whole = sum(1 for character in mended if character > "\x7f") - broken
    if whole > 10 * broken:
        return mended, [f"{human_count(broken, 'broken byte')} in UTF-8 text replaced"]
    encoding = find_encoding(data)
    if encoding:
        return data.decode(encoding), [f"encoding {encoding} found by its characters"]
    try:
        return data.decode("cp1252"), ["encoding cp1252 assumed: the bytes fit no encoding well"]
    except UnicodeDecodeError:
        raise DocumentError(
            Problem.UNREADABLE,
            f"the encoding is unknown: byte {data[error.start]:#04x} at {error.start} fits no encoding that is known",
            "convert the file to UTF-8",
        ) from error


def is_binary(data: bytes) -> bool:
    """Whether the first bytes hold zeros, or more control characters than any text."""
    sample = data[:_SAMPLE_BYTES].rstrip(_END_OF_FILE)
    return b"\x00" in sample or len(sample) - len(sample.translate(None, _CONTROL)) > _MOST_CONTROL * len(sample)


def without_stray_zeros(data: bytes) -> bytes:
    """A text without the few zero bytes that storage leaves in one; UTF-16 and binary data have more of them."""
    zeros = data.count(0)
    is_stray = 0 < zeros <= max(len(data) // 300, min(3, len(data) // 10)) and not begins_marked(data)
    return data.replace(b"\x00", b"") if is_stray else data


def read_plain(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of a TXT or Markdown file, an invitation or an address card.

    Raises:
        DocumentError: The encoding is unknown, or the text is encrypted.
    """
    text, notes = decode(data)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _SEALED_TEXT.match(text):
        raise DocumentError(Problem.ENCRYPTED, "the text is encrypted with PGP", "save it decrypted")
    return calendar_lines(text) if is_calendar(text) else text, notes


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentError(
            Problem.UNREADABLE, f"the file is marked as {encoding} but is not valid {encoding}"
        ) from error


def wide_encoding(data: bytes) -> str | None:
    """UTF-16 without a mark: nearly every second byte of western text is zero, always on the same side."""
    sample = data[: _SAMPLE_BYTES & ~1]
    if len(sample) < 4 or len(sample) % 2:
        return None
    half = len(sample) // 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.7 * half and even == 0:
        return "utf-16-le"
    if even > 0.7 * half and odd == 0:
        return "utf-16-be"
    return None
