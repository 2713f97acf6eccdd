"""Bytes whose encoding is declared: the declaration counts where the bytes bear it out, and a note says where not."""

import codecs
import re

from appliance.documents.charset import encoding_weights, find_encoding, mixes_scripts
from appliance.documents.charset_names import codec_name, says_nothing
from appliance.documents.jis_escapes import decode_jis
from appliance.documents.plain import begins_marked, decode, wide_encoding
from appliance.ground.text import human_count

_LATIN = frozenset(
    "cp1252 cp1250 cp1254 cp1257 cp437 cp850 mac-roman iso8859-2 iso8859-3 iso8859-4 iso8859-10 iso8859-13 iso8859-14"
    " iso8859-15 iso8859-16".split()
)
_CYRILLIC = frozenset("cp1251 koi8-r koi8-u iso8859-5 cp866 mac-cyrillic".split())
_TWO_BYTES = frozenset("cp932 euc_jp gb18030 cp950 big5hkscs cp949 johab".split())
_SEVEN_BITS = frozenset("hz iso2022_jp_ext iso2022_kr".split())
_WINDOWS = {"iso8859-2": "cp1250", "iso8859-7": "cp1253", "iso8859-8": "cp1255", "iso8859-13": "cp1257",
            "iso8859-15": "cp1252"}  # fmt: skip
"""Code pages that add signs where the standard has control characters, and are otherwise nearly the same."""
_FEWEST_SURE = {"latin": 1, "other": 2, "two bytes": 4}
"""Characters of UTF-8 that cannot be chance, by the family of the encoding that is declared."""
_SAMPLE_BYTES = 65536
_HIGH_BYTE = re.compile(rb"[\x80-\xff]")
_FEWEST_HIGH, _FEWEST_HIGH_DOUBLE = 5, 40
"""Bytes beyond ASCII from which statistics count against a declaration."""
_MUCH_BETTER = 2.0
"""How many times better another encoding has to fit; by chance none did 1.4 times, in texts of 20 languages."""
_LEAST_WEIGHT = 0.1
_WEIGHED_AS = {"iso8859-15": "cp1252", "iso8859-7": "cp1253", "iso8859-8": "cp1255", "iso8859-13": "cp1257",
               "euc_jis_2004": "euc_jp", "euc-jp": "euc_jp", "big5hkscs": "cp950", "big5": "cp950"}  # fmt: skip
_WEIGHED = frozenset(
    "cp1252 cp1250 iso8859-2 cp1254 cp1257 cp1251 koi8-r koi8-u iso8859-5 cp1253 cp1255 cp1256 cp874 cp932 euc_jp"
    " gb18030 cp950 cp949".split()
)
_FEWEST_MIXED = 3
_C1_CONTROL = re.compile(r"[\x80-\x9f]")
_FAR_LETTERS = re.compile(r"[\xaa\xb2-\xba\xbf-\u024f]{4,}")
"""Letters beyond ASCII in a row, with the signs that stand at the places of letters of other scripts."""
_WORD = re.compile(r"\w+")
_FAR_WORD = re.compile(r"[^\W\d_a-zA-Z]{2,}")
_MOST_BROKEN = 0.05
"""Share of the characters beyond ASCII that may be broken in text of two bytes a character."""


def decode_declared(data: bytes, declared: str | None) -> tuple[str, list[str]]:
    """Text of bytes whose encoding is declared; where it does not fit, what is found counts, with a note.

    Raises:
        DocumentError: The bytes are no text in any encoding that is known here.
    """
    if not declared or says_nothing(declared):
        return decode(data)
    shown = declared[:40]
    name = codec_name(declared)
    if name not in _SEVEN_BITS and b"\x1b$" in data and data.isascii():
        escaped = find_encoding(data)
        if escaped is not None:
            return data.decode(escaped), [f"encoding {escaped} found by its characters", _misfit(shown)]
    if name is not None and not _is_marked_otherwise(data, name) and not _is_utf8(data, name):
        text = _strict(data, name)
        if text is not None:
            other = _better(data, name, text)
            if other is None:
                return text, []
            return data.decode(other), [f"encoding {other} found by its characters", _misfit(shown)]
        text, note = _lenient(data, name)
        if note:
            return text, [f"{note} in {shown} text"]
    text, notes = decode(data)
    if name is not None and _is_its_own_mark(data, name):
        return text, notes
    # All of ASCII is the same in every encoding that would be declared by mistake.
    return text, notes if data.isascii() and name is not None else [*notes, _misfit(shown)]


def _misfit(declared: str) -> str:
    return f"the declared charset {declared} does not fit"


def _is_marked_otherwise(data: bytes, name: str) -> bool:
    """Whether a mark or zero bytes say which form of Unicode this is, or that it is none."""
    if begins_marked(data) or wide_encoding(data):
        return True
    return name.startswith(("utf-16", "utf-32")) and b"\x00" not in data


def _is_its_own_mark(data: bytes, name: str) -> bool:
    """Whether the mark at the start is one of the declared form of Unicode."""
    if name == "utf-8":
        return data.startswith(codecs.BOM_UTF8)
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
    return name.startswith(("utf-16", "utf-32")) and data.startswith(marks)


def _is_utf8(data: bytes, name: str) -> bool:
    """Whether the bytes are UTF-8 although something else is declared: by chance they hardly ever are."""
    if name == "utf-8" or name in _SEVEN_BITS or data.isascii():
        return False
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    high = sum(1 for character in text if character > "\x7f")
    family = "latin" if name in _LATIN else "two bytes" if name in _TWO_BYTES else "other"
    return high >= _FEWEST_SURE[family]


def _strict(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except (UnicodeDecodeError, ValueError):
        return None


def _lenient(data: bytes, name: str) -> tuple[str, str]:
    """Text, and what is odd about it; nothing where the declaration does not fit at all."""
    if name not in {"utf-8", *_TWO_BYTES, *_SEVEN_BITS}:
        return "", ""
    text = decode_jis(data) if name == "iso2022_jp_ext" else data.decode(name, "replace")
    broken = text.count("\ufffd")
    high = sum(1 for character in text if character > "\x7f") - broken
    if name == "iso2022_jp_ext" and not broken:
        return (text, "signs of code page 932") if b"\x1b" in data and data.isascii() else ("", "")
    # Two bytes of another encoding are hardly ever UTF-8; they often are a sign of one with two bytes.
    if broken > (high if name == "utf-8" else _MOST_BROKEN * high):
        return "", ""
    return text, f"{human_count(broken, 'broken character')} replaced"


def _better(data: bytes, name: str, text: str) -> str | None:
    """An encoding that fits much better than the declared one, in which the bytes have a text too."""
    sample = text[:_SAMPLE_BYTES]
    fits_better = _much_better(data, name, sample)
    if fits_better:
        return fits_better
    if _C1_CONTROL.search(sample):
        windows = _WINDOWS.get(name)
        if windows and _strict(data, windows) is not None:
            return windows
        return _other(data, name)
    mixed = mixes_scripts(sample)
    if mixed >= _FEWEST_MIXED and mixed > 0.5 * sum(not word.isascii() for word in _WORD.findall(sample)):
        other = _other(data, name)
        return other if other in _LATIN else None
    if name in _LATIN:
        # No language in Latin letters has words of accented letters alone.
        far = _FAR_LETTERS.findall(sample)
        high = sum(1 for character in sample if character > "\x7f" and character.isalpha())
        if len(far) > 1 and sum(map(len, far)) > 0.5 * high:
            other = _other(data, name)
            return other if other not in _LATIN else None
    if name in _CYRILLIC:
        # The code pages have large letters where others have small ones.
        words = _FAR_WORD.findall(sample)
        turned = sum(1 for word in words if word[0].islower() and word[1:].isupper())
        large = sum(1 for word in words if word.isupper())
        if turned and turned + large > 0.7 * len(words):
            other = _other(data, name)
            return other if other in _CYRILLIC else None
    return None


def _much_better(data: bytes, name: str, sample: str) -> str | None:
    """An encoding whose letters follow one another as in a language, where those of the declared one do not."""
    own = _WEIGHED_AS.get(name, name)
    is_double = name in _TWO_BYTES
    fewest, ratio = (_FEWEST_HIGH_DOUBLE, _MUCH_BETTER**2) if is_double else (_FEWEST_HIGH, _MUCH_BETTER)
    if own not in _WEIGHED or len(_HIGH_BYTE.findall(data[:_SAMPLE_BYTES])) < fewest:
        return None
    weights = encoding_weights(data)
    best = max(weights, key=weights.__getitem__, default=None)
    # From Latin letters to others and back, other rules decide.
    if best is None or weights[best] < _LEAST_WEIGHT or (best in _LATIN) is not (own in _LATIN):
        return None
    own_weight = _weight(weights, own)
    if sample.upper() == sample and weights[best] >= ratio * own_weight:
        # Statistics know few capitals.
        own_weight = max(own_weight, _weight(encoding_weights(sample.lower().encode(name, "replace")), own))
    return best if weights[best] >= ratio * own_weight else None


def _weight(weights: dict[str, float], own: str) -> float:
    return max((weight for name, weight in weights.items() if _WEIGHED_AS.get(name, name) == own), default=0.0)


def _other(data: bytes, name: str) -> str | None:
    encoding = find_encoding(data)
    return encoding if encoding is not None and encoding.replace("_", "-") != name else None
