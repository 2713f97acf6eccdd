"""The objects of a PDF as plain values: what PDFium does not tell is read from a copy that PDFium itself writes.

PDFium saves a copy in one plain form: one object after the other, nothing encrypted, no object inside a stream, and a
table of all of them at its end. That form is read here, whatever the file looked like before. An object is parsed when
it is asked for, within bounds; whatever is not as expected is None.
"""

import bisect
import ctypes
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

_MAX_DEEP = 40
_MAX_VALUES = 200_000
"""Values inside one object."""
_MAX_OBJECTS = 5_000_000
_TOKEN = re.compile(
    rb"[ \t\r\n\f\x00]*(?:(?P<open><<|\[)|(?P<close>>>|\])|/(?P<name>[^ \t\r\n\f\x00()<>\[\]{}/%]*)"
    rb"|(?P<number>\d+) (?P<generation>\d+) R\b|(?P<real>[+-]?(?:\d+\.?\d*|\.\d+))"
    rb"|<(?P<hex>[0-9A-Fa-f \r\n\t]*)>|(?P<text>\()|(?P<word>[A-Za-z]+))"
)
_PART_OF_TEXT = re.compile(rb"[^()\\]+|[()]|\\(?:\r\n|[0-7]{1,3}|.)?", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"\n": b"", b"\r": b"", b"\r\n": b""}
_HEX_IN_NAME = re.compile(rb"#([0-9A-Fa-f]{2})")
_OBJECT_HEAD = re.compile(rb"\s*(\d+) (\d+) obj\b")
_STREAM_HEAD = re.compile(rb"[ \t]*\r?\n?stream\r?\n")
_TABLE_LINE_BYTES = 20


class Reference(NamedTuple):
    """A pointer to an object."""

    number: int


class Name(str):
    """A name such as `/Widget`, without its slash."""

    __slots__ = ()


@dataclass
class Dictionary:
    """A dictionary, or that of a stream, and where it begins in the copy."""

    start: int
    values: dict[str, "Value"] = field(default_factory=dict)
    end: int = 0


Value = None | bool | float | bytes | Name | Reference | list["Value"] | Dictionary


def plain_copy(document: pypdfium2.PdfDocument) -> bytes:
    """The document in the plain form of PDFium; empty where it cannot be written."""
    if _target is None:
        return b""
    _written.clear()
    try:
        is_whole = pdfium.FPDF_SaveAsCopy(document.raw, ctypes.byref(_target), pdfium.FPDF_REMOVE_SECURITY)
        return b"".join(_written) if is_whole else b""
    finally:
        _written.clear()


def _take(_: object, start: int, size: int) -> int:
    _written.append(ctypes.string_at(start, size))
    return 1


def _new_target() -> pdfium.FPDF_FILEWRITE | None:
    target = pdfium.FPDF_FILEWRITE(version=1)
    try:
        target.WriteBlock = dict(pdfium.FPDF_FILEWRITE._fields_)["WriteBlock"](_take)
    except MemoryError:
        return None
    return target


_written: list[bytes] = []
"""What PDFium has written of the document that is being copied; a parser reads one at a time."""
_target = _new_target()
"""Made with the module, before a parser is confined: a function that C calls needs memory to write and run, and where a
service forbids that, a file in memory in its place, which a confined parser cannot make. None where neither can be had.
"""


class PdfObjects:
    """The objects of a plain copy by their numbers."""

    def __init__(self, copy: bytes) -> None:
        self.copy = copy
        self._offsets = _table(copy)
        self._starts = sorted(self._offsets.values())
        self._parsed: dict[int, Value] = {}
        trailer = copy.rfind(b"trailer")
        self._trailer = _parse(copy, trailer + len(b"trailer")) if trailer >= 0 else None

    @property
    def count(self) -> int:
        """One more than the highest number of an object."""
        return max(self._offsets, default=0) + 1

    @property
    def trailer(self) -> Dictionary | None:
        """What the file ends with."""
        return self._trailer if isinstance(self._trailer, Dictionary) else None

    @property
    def catalog(self) -> Dictionary | None:
        """The root of all objects."""
        return self.dictionary(self.trailer, "Root")

    def resolve(self, value: Value) -> Value:
        """The value itself, or the object that it points to."""
        for _ in range(_MAX_DEEP):
            if not isinstance(value, Reference):
                return value
            value = self._object(value.number)
        return None

    def entry(self, holder: Value, *keys: str) -> Value:
        """What stands in a dictionary under a key, in that under the next key, and so on."""
        for key in keys:
            holder = self.resolve(holder)
            holder = holder.values.get(key) if isinstance(holder, Dictionary) else None
        return self.resolve(holder)

    def dictionary(self, holder: Value, *keys: str) -> Dictionary | None:
        """As `entry`, if it is a dictionary."""
        value = self.entry(holder, *keys)
        return value if isinstance(value, Dictionary) else None

    def array(self, holder: Value, *keys: str) -> list[Value]:
        """As `entry`, if it is an array; its values are not resolved."""
        value = self.entry(holder, *keys)
        return value if isinstance(value, list) else []

    def text(self, holder: Value, *keys: str) -> str:
        """As `entry`, if it is a text or a name."""
        value = self.entry(holder, *keys)
        return text_of(value) if isinstance(value, bytes) else str(value) if isinstance(value, Name) else ""

    def stream_data(self, value: Value, most_bytes: int) -> bytes | None:
        """What a stream holds; None where it is none, is packed otherwise than with zlib, or is larger."""
        holder = self.resolve(value)
        head = _STREAM_HEAD.match(self.copy, holder.end) if isinstance(holder, Dictionary) else None
        length = self.entry(holder, "Length")
        if head is None or not isinstance(length, float) or length > len(self.copy):
            return None
        packed = self.copy[head.end() : head.end() + int(length)]
        filters = self.entry(holder, "Filter")
        if filters in (None, []):
            return packed if len(packed) <= most_bytes else None
        if filters not in ("FlateDecode", ["FlateDecode"]) or self.entry(holder, "DecodeParms") is not None:
            return None
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(packed, most_bytes)
        except zlib.error:
            return None
        return None if unpacker.unconsumed_tail else data

    def pages(self, most: int) -> list[Dictionary]:
        """The pages in their order, up to a number."""
        nodes = self.tree([self.entry(self.catalog, "Pages")], _MAX_OBJECTS)
        return list(islice((node for node in nodes if "Kids" not in node.values), most))

    def tree(self, roots: Sequence[Value], most: int) -> Iterator[Dictionary]:
        """The dictionaries that hang together by `Kids`, each before those below it and once, up to a number."""
        waiting = list(reversed(roots))
        seen: set[int] = set()
        count = 0
        while waiting and count < most:
            value = waiting.pop()
            if isinstance(value, Reference):
                if value.number in seen:
                    continue
                seen.add(value.number)
            node = self.resolve(value)
            if isinstance(node, Dictionary):
                count += 1
                waiting += reversed(self.array(node, "Kids"))
                yield node

    def inherited(self, holder: Value, key: str) -> Value:
        """An entry of the dictionary or of the nearest one above it that has one."""
        for _ in range(_MAX_DEEP):
            value = self.entry(holder, key)
            if value is not None:
                return value
            holder = self.entry(holder, "Parent")
            if holder is None:
                break
        return None

    def box(self, holder: Value, key: str) -> tuple[float, float, float, float] | None:
        """A rectangle as left, right, bottom, top."""
        numbers = [self.resolve(number) for number in self.array(holder, key)]
        x, y, other_x, other_y = (number for number in [*numbers, None, None, None, None][:4])
        if not (isinstance(x, float) and isinstance(y, float)):
            return None
        if not (isinstance(other_x, float) and isinstance(other_y, float)):
            return None
        return min(x, other_x), max(x, other_x), min(y, other_y), max(y, other_y)

    def number_at(self, offset: int) -> int | None:
        """Number of the object whose bytes lie at this place of the copy."""
        index = bisect.bisect_right(self._starts, offset) - 1
        head = _OBJECT_HEAD.match(self.copy, self._starts[index]) if index >= 0 else None
        return int(head.group(1)) if head else None

    def span(self, number: int) -> tuple[int, int]:
        """Where the object begins and where the next one does."""
        start = self._offsets[number]
        index = bisect.bisect_right(self._starts, start)
        table = self.copy.rfind(b"xref", 0, self.copy.rfind(b"trailer"))
        return start, self._starts[index] if index < len(self._starts) else table

    def mentions(self, name: bytes) -> Iterator[int]:
        """Numbers of the objects that mention a name, each once; a stream may do so by chance."""
        before: int | None = None
        for match in re.finditer(re.escape(name) + rb"(?![A-Za-z0-9])", self.copy):
            number = self.number_at(match.start())
            if number is not None and number != before:
                before = number
                yield number

    def _object(self, number: int) -> Value:
        if number not in self._parsed:
            offset = self._offsets.get(number)
            head = _OBJECT_HEAD.match(self.copy, offset) if offset is not None else None
            self._parsed[number] = _parse(self.copy, head.end()) if head else None
        return self._parsed[number]


_OWN_LETTERS = dict(
    zip(
        (*range(0x18, 0x20), *range(0x80, 0x9F), 0xA0),
        "\u02d8\u02c7\u02c6\u02d9\u02dd\u02db\u02da\u02dc\u2022\u2020\u2021\u2026\u2014\u2013\u0192\u2044\u2039\u203a\u2212\u2030\u201e"
        "\u201c\u201d\u2018\u2019\u201a\u2122\ufb01\ufb02\u0141\u0152\u0160\u0178\u017d\u0131\u0142\u0153\u0161\u017e\u20ac",
        strict=True,
    )
)
"""Where the one-byte letters of PDF (ISO 32000-1, D.2) differ from Latin-1; the euro sign stands at A0."""


def text_of(data: bytes) -> str:
    """A text of a PDF: UTF-16 or UTF-8 with a mark, else one byte a letter."""
    if data.startswith((b"\xfe\xff", b"\xff\xfe")):
        return data.decode("utf-16", "replace")
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:].decode("utf-8", "replace")
    return data.decode("latin-1").translate(_OWN_LETTERS)


def _table(copy: bytes) -> dict[int, int]:
    """Offsets of the objects by number, from the table at the end."""
    offsets: dict[int, int] = {}
    position = copy.rfind(b"xref", 0, max(copy.rfind(b"trailer"), 0))
    section = re.compile(rb"\s*(\d+) (\d+)\r?\n")
    position += len(b"xref")
    while position >= len(b"xref") and (head := section.match(copy, position)):
        first, count = int(head.group(1)), int(head.group(2))
        position = head.end()
        if count > _MAX_OBJECTS:
            return {}
        for number in range(first, first + count):
            line = copy[position : position + _TABLE_LINE_BYTES]
            position += _TABLE_LINE_BYTES
            if line[17:18] == b"n" and line[:10].isdigit():
                offsets[number] = int(line[:10])
    return offsets


def _parse(copy: bytes, position: int) -> Value:
    """The value that begins at a place of the copy; without recursion, as documents nest as they like."""
    root: list[Value] = []
    open_values: list[Dictionary | list[Value]] = [root]
    keys: list[str | None] = [None]
    for _ in range(_MAX_VALUES):
        token = _TOKEN.match(copy, position)
        if token is None or len(open_values) > _MAX_DEEP:
            return None
        position = token.end()
        value: Value
        if token["close"]:
            if len(open_values) == 1:
                return None
            closed = open_values.pop()
            keys.pop()
            if isinstance(closed, Dictionary):
                closed.end = position
        else:
            if token["open"]:
                value = Dictionary(token.end() - 2) if token["open"] == b"<<" else []
            else:
                value, position = _simple(copy, token)
            _put(open_values[-1], keys, value)
            if isinstance(value, Dictionary | list):
                open_values.append(value)
                keys.append(None)
        if len(open_values) == 1:
            return root[0]
    return None


def _put(holder: Dictionary | list[Value], keys: list[str | None], value: Value) -> None:
    if isinstance(holder, list):
        holder.append(value)
    elif keys[-1] is None:
        keys[-1] = str(value)
    else:
        holder.values[keys[-1]] = value
        keys[-1] = None


def _simple(copy: bytes, token: re.Match[bytes]) -> tuple[Value, int]:
    """A value that holds no others, and where it ends."""
    if token["name"] is not None:
        plain = _HEX_IN_NAME.sub(lambda match: bytes([int(match.group(1), 16)]), token["name"])
        return Name(plain.decode("utf-8", "replace")), token.end()
    if token["number"]:
        return Reference(int(token["number"][:12])), token.end()
    if token["real"]:
        return float(token["real"][:40]), token.end()
    if token["hex"] is not None:
        digits = b"".join(token["hex"].split())
        return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii")), token.end()
    if token["text"]:
        return _literal_text(copy, token.end())
    return {b"true": True, b"false": False}.get(token["word"]), token.end()


def _literal_text(copy: bytes, position: int) -> tuple[bytes, int]:
    """A text in round brackets, which may hold such brackets in pairs."""
    parts: list[bytes] = []
    deep = 1
    for match in _PART_OF_TEXT.finditer(copy, position):
        part = match.group()
        if part in (b"(", b")"):
            deep += 1 if part == b"(" else -1
            if not deep:
                return b"".join(parts), match.end()
        elif part.startswith(b"\\"):
            escaped = part[1:]
            part = bytes([int(escaped, 8) & 255]) if escaped.isdigit() else _ESCAPED.get(escaped, escaped)
        parts.append(part)
    return b"".join(parts), len(copy)
