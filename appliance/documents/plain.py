"""Plain text: which encoding the bytes are in, and the text with plain line ends."""

import codecs

from appliance.documents.problems import DocumentError, Problem

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = frozenset(range(32)) - {7, 8, 9, 10, 11, 12, 13, 27}
_SAMPLE_BYTES = 65536


def decode(data: bytes) -> tuple[str, list[str]]:
    """Text of the bytes, and notes on what had to be assumed.

    Raises:
        DocumentError: The bytes are no text in any encoding that is known here.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _strict(data, encoding), []
    wide = _wide_encoding(data)
    if wide:
        return _strict(data, wide), [f"encoding {wide} found by its zero bytes"]
    if is_binary(data):
        raise DocumentError(Problem.UNSUPPORTED, "the file holds binary data of a kind that is not read")
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252"), ["encoding cp1252 assumed: the bytes are not UTF-8"]
    except UnicodeDecodeError as error:
        raise DocumentError(
            Problem.UNREADABLE,
            f"the encoding is unknown: byte {data[error.start]:#04x} at {error.start} fits neither UTF-8 nor cp1252",
            "convert the file to UTF-8",
        ) from error


def is_binary(data: bytes) -> bool:
    """Whether the first bytes hold control characters that no text has."""
    return any(byte in _CONTROL for byte in data[:_SAMPLE_BYTES])


def read_plain(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of a TXT or Markdown file."""
    text, notes = decode(data)
    return text.replace("\r\n", "\n").replace("\r", "\n"), notes


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentError(Problem.UNREADABLE, f"the file says it is {encoding} but breaks its rules") from error


def _wide_encoding(data: bytes) -> str | None:
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
