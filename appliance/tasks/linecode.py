"""Line code: an answer as one line per field, in field order.

An empty line is null. List items are separated by a tab. Backslash, newline and tab inside a value are escaped, so
a value never holds a character that carries structure.
"""

from collections.abc import Sequence

Value = str | list[str] | None
Answer = dict[str, Value]

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_UNESCAPES = {"\\": "\\", "n": "\n", "t": "\t"}
ESCAPED = "".join(_UNESCAPES)
"""Characters that a backslash before them gives a meaning."""


def escape(text: str) -> str:
    """Makes one value safe for a line."""
    return "".join(_ESCAPES.get(character, character) for character in text.replace("\r\n", "\n").replace("\r", "\n"))


def unescape(text: str) -> str:
    """The inverse of `escape`; an unknown escape stays as it is, because models write such things."""
    parts: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        following = text[position + 1] if position + 1 < len(text) else ""
        if character == "\\" and following in _UNESCAPES and following:
            parts.append(_UNESCAPES[following])
            position += 2
        else:
            parts.append(character)
            position += 1
    return "".join(parts)


def encode_value(value: Value) -> str:
    """One field's value as one line, without the line end."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "\t".join(escape(item) for item in value)
    return escape(value)


def decode_value(line: str, is_list: bool = False) -> Value:
    """One line as a value; surrounding blanks are not part of it, and an empty line is null."""
    line = line.strip(" ")
    if not line:
        return None
    if is_list:
        return [unescape(item.strip(" ")) for item in line.split("\t") if item.strip(" ")] or None
    return unescape(line)


def encode(answer: Answer, names: Sequence[str]) -> str:
    """The whole answer: one line per name, in this order, joined by newlines."""
    return "\n".join(encode_value(answer.get(name)) for name in names)
