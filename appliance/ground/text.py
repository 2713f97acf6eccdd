"""Text from outside made storable and safe for a terminal; sizes, durations, counts and shares with intervals."""

import re
import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Control, format (which holds the marks that turn reading direction), surrogate, private use, line separators."""
_UNSTORABLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "]"
)
"""What UTF-8, databases or formats of files cannot hold: halves of surrogate pairs, controls that are no blanks or line
ends (zero among them, which ends text in many programs), and code points that are no characters."""
_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def printable(text: str) -> str:
    """The text with every character replaced that a terminal would act on instead of showing it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_REPLACEMENT if unicodedata.category(char) in _UNSAFE_CATEGORIES else char for char in text)


def storable(text: str) -> str:
    """The text as every file and database can hold it, with a replacement for each character that they cannot.

    As long as before, so that offsets stay. Everything that came from outside passes here before it is kept. Halves of
    pairs become question marks, as where Python encodes them.
    """
    return _UNSTORABLE.sub(lambda match: "?" if "\ud800" <= match.group() <= "\udfff" else _REPLACEMENT, text)


def is_storable(text: str) -> bool:
    """Whether every file and database can hold the text as it is."""
    return _UNSTORABLE.search(text) is None


def printable_name(name: str) -> str:
    """The name of a document for a terminal: what it would act on is written as the bytes of the file's name.

    Two names never look the same by that, and what is shown, typed again, is still understood.
    """
    if name.isascii() and name.isprintable():
        return name
    return "".join(_as_bytes(char) if unicodedata.category(char) in _UNSAFE_CATEGORIES else char for char in name)


def _as_bytes(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))


def human_size(size_bytes: int) -> str:
    """A size with decimal units: `137 MB`, `1.4 GB`."""
    size = float(size_bytes)
    for unit in _SIZE_UNITS[:-1]:
        if abs(size) < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or abs(size) >= 9.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_SIZE_UNITS[-1]}"


def human_duration(seconds: float) -> str:
    """A duration: `0.42 s`, `12.3 s`, `4 min 05 s`, `3 h 07 min`, `2 d 04 h`."""
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24:02} h"


def human_count(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: `1 document`, `3,080 documents`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def percent_interval(estimate: float, low: float, high: float) -> str:
    """A share in percent with its interval: `93.4 % (91.0 to 95.3)`."""
    return f"{100 * estimate:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
