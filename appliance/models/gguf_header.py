"""The head of a GGUF file, read without the library that will load it: keys, values, and where each tensor lies.

Every count and length is looked at before anything is read or allocated for it, so that a file of any content costs
bounded time and memory. The format is that of llama.cpp's `gguf.h`, version 2 and 3, little endian.
"""

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_KEYS = 4096
MOST_TENSORS = 65_536
MOST_ENTRIES = 4_000_000
"""Of all arrays together: a vocabulary of 250,000 tokens has 600,000 merges, and a type for each token."""
MOST_HEAD_BYTES = 512 << 20
SHORT_LIST = 512
"""Entries of a list with one for each block, at most."""
_STEP_BYTES = 1 << 20
LONGEST_NAME = 63
"""Bytes of a tensor's name; llama.cpp keeps one more for the end."""
LONGEST_KEY = 256
LONGEST_STRING = 16 << 20
"""Bytes; a chat template has some thousands."""
MOST_DIMENSIONS = 4
LARGEST_ALIGNMENT = 1 << 16
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Type of a value -> its code in `struct`."""
KIND_NAMES = {
    0: "uint8", 1: "int8", 2: "uint16", 3: "int16", 4: "uint32", 5: "int32", 6: "float32", 7: "bool", 8: "string",
    9: "array", 10: "uint64", 11: "int64", 12: "float64",
}  # fmt: skip

BLOCKS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
"""Type of a tensor -> name, numbers and bytes of a block; of the types that weights are stored in."""


class Unsound(Exception):
    """A file is damaged, or made to harm; says how, without naming it."""


@dataclass(frozen=True)
class Array:
    """A list of values of one kind."""

    kind: int
    """Number of the type of its values."""
    count: int
    strings: list[bytes] = field(default_factory=list)
    """The values, where they are strings."""
    start: int = 0
    """Offset in the file of the first value, where they are numbers."""
    is_zero: bool = False
    """Whether all values are zero; of short lists of numbers alone."""


@dataclass(frozen=True)
class Scalar:
    """One value with its type."""

    kind: int
    value: int | float | bool | bytes


@dataclass(frozen=True)
class TensorEntry:
    """A tensor as the head describes it."""

    name: str
    shape: tuple[int, ...]
    """Innermost dimension first, as llama.cpp counts."""
    kind: int
    start: int
    """Offset of its first byte in the file."""

    @property
    def kind_name(self) -> str:
        """Such as Q8_0."""
        return BLOCKS[self.kind][0]

    @property
    def numbers(self) -> int:
        """How many weights it has."""
        product = 1
        for size in self.shape:
            product *= size
        return product

    @property
    def size_bytes(self) -> int:
        """In the file, without what follows to align the next one."""
        _, numbers, block_bytes = BLOCKS[self.kind]
        return self.numbers // numbers * block_bytes


@dataclass(frozen=True)
class GgufHead:
    """All of a file but the weights."""

    values: dict[str, Scalar | Array]
    tensors: dict[str, TensorEntry]


class _Cursor:
    """A place in the file that moves forwards, and never beyond its end; what it passes is read in steps."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file, self._end = file, min(size_bytes, MOST_HEAD_BYTES)
        self._is_whole = size_bytes <= MOST_HEAD_BYTES
        self._content = bytearray()
        self.at = 0
        self._entries = 0

    def take(self, size_bytes: int, what: str) -> int:
        """Steps over so many bytes; gives where they begin."""
        start, self.at = self.at, self.at + size_bytes
        if self.at > len(self._content):
            self._read_on(self.at, what)
        return start

    def passed(self, start: int) -> bytes:
        """What was stepped over since then."""
        return bytes(self._content[start : self.at])

    def number(self, code: str, what: str) -> int | float | bool:
        """A value of one of the types of `struct`."""
        start = self.take(struct.calcsize(code), what)
        value: int | float | bool = struct.unpack_from("<" + code, self._content, start)[0]
        return value

    def whole(self, code: str, most: int, what: str) -> int:
        """A count or length of at most so much."""
        value = int(self.number(code, what))
        if value > most:
            raise Unsound(f"{what} is {value:,}, at most {most:,} is possible")
        return value

    def string(self, most: int, what: str) -> bytes:
        """A text with its length before it."""
        start = self.take(self.whole("Q", most, f"the length of {what}"), what)
        return bytes(self._content[start : self.at])

    def strings(self, count: int, what: str) -> list[bytes]:
        """So many texts: the one loop that runs hundreds of thousands of times."""
        content, known, at = self._content, len(self._content), self.at
        unpack, texts = struct.Struct("<Q").unpack_from, []
        for _ in range(count):
            if at + 8 > known:
                known = self._read_on(at + 8, what)
            start = at + 8
            at = start + unpack(content, at)[0]
            if at > known:
                known = self._read_on(at, what)
            texts.append(bytes(content[start:at]))
        self.at = at
        return texts

    def count_entries(self, count: int, what: str) -> None:
        """Keeps count of the entries of all arrays."""
        self._entries += count
        if self._entries > MOST_ENTRIES:
            entries = f"{self._entries:,} entries, at most {MOST_ENTRIES:,} are read"
            raise Unsound(f"the arrays up to {what} have {entries}")

    def _read_on(self, until: int, what: str) -> int:
        """Reads at least so far; gives how far."""
        if until > self._end:
            reason = "the file ends" if self._is_whole else f"its head is longer than {MOST_HEAD_BYTES:,} bytes,"
            raise Unsound(f"{reason} in {what}, which would end at byte {until:,}")
        while len(self._content) < until:
            step = self._file.read(min(self._end, max(until, len(self._content) + _STEP_BYTES)) - len(self._content))
            if not step:
                raise Unsound(f"the file ends in {what}")
            self._content += step
        return len(self._content)


def read_head(file: BinaryIO, size_bytes: int) -> GgufHead:
    """Reads the head of a file that stands at its first byte.

    Args:
        size_bytes: Of the whole file.

    Raises:
        Unsound: Something in it cannot be, or is more than any model has.
    """
    cursor = _Cursor(file, size_bytes)
    magic = int(cursor.number("I", "its first word")).to_bytes(4, "little") if size_bytes >= 4 else b""
    if magic != MAGIC:
        raise Unsound(f"it is not a GGUF file: it begins with {magic!r}")
    version = int(cursor.number("I", "the version"))
    if version not in VERSIONS:
        if int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS:
            raise Unsound("it was written for a big-endian machine")
        raise Unsound(f"its version is {version:,}, this program reads 2 and 3")
    tensors = cursor.whole("Q", MOST_TENSORS, "the number of tensors")
    keys = cursor.whole("Q", MOST_KEYS, "the number of keys")
    values: dict[str, Scalar | Array] = {}
    for number in range(keys):
        key = _name(cursor.string(LONGEST_KEY, f"key {number}"), f"key {number}")
        if key in values:
            raise Unsound(f"the key {key} stands in it twice")
        values[key] = _value(cursor, key)
    alignment = _alignment(values)
    parts = [_tensor(cursor, number) for number in range(tensors)]
    start = -(-cursor.at // alignment) * alignment
    return GgufHead(values, _placed(parts, start, alignment, size_bytes))


def _name(text: bytes, what: str) -> str:
    """A key or a tensor's name: ASCII that can be printed."""
    if not text or not text.isascii() or not text.decode("ascii").isprintable():
        raise Unsound(f"{what} is no name: {text[:40]!r}")
    return text.decode("ascii")


def _value(cursor: _Cursor, key: str) -> Scalar | Array:
    kind = int(cursor.number("I", f"the type of {key}"))
    if kind == _STRING:
        return Scalar(kind, cursor.string(LONGEST_STRING, key))
    if kind in _SCALARS:
        code = _SCALARS[kind]
        return Scalar(kind, cursor.number(code, key))
    if kind != _ARRAY:
        raise Unsound(f"{key} has the type {kind}, which is none")
    kind = int(cursor.number("I", f"the type of the entries of {key}"))
    if kind != _STRING and kind not in _SCALARS:
        reason = "are arrays themselves" if kind == _ARRAY else f"have the type {kind}, which is none"
        raise Unsound(f"the entries of {key} {reason}")
    count = cursor.whole("Q", MOST_ENTRIES, f"the number of entries of {key}")
    cursor.count_entries(count, key)
    if kind == _STRING:
        return Array(kind, count, cursor.strings(count, key))
    start = cursor.take(count * struct.calcsize(_SCALARS[kind]), key)
    return Array(kind, count, start=start, is_zero=count <= SHORT_LIST and not any(cursor.passed(start)))


def _alignment(values: dict[str, Scalar | Array]) -> int:
    entry = values.get("general.alignment", Scalar(4, 32))
    if not isinstance(entry, Scalar) or entry.kind != 4:
        raise Unsound("general.alignment is no uint32")
    alignment = int(entry.value)
    if not 1 <= alignment <= LARGEST_ALIGNMENT or alignment & (alignment - 1):
        raise Unsound(f"general.alignment is {alignment:,}, which is no power of two up to {LARGEST_ALIGNMENT:,}")
    return alignment


def _tensor(cursor: _Cursor, number: int) -> TensorEntry:
    """A tensor whose start is still counted from the first one."""
    name = _name(cursor.string(LONGEST_NAME, f"the name of tensor {number}"), f"the name of tensor {number}")
    dimensions = cursor.whole("I", MOST_DIMENSIONS, f"the number of dimensions of {name}")
    shape = tuple(cursor.whole("Q", 1 << 40, f"a dimension of {name}") for _ in range(dimensions))
    kind = int(cursor.number("I", f"the type of {name}"))
    if kind not in BLOCKS:
        raise Unsound(f"{name} has the type {kind}, in which no weights are stored")
    if 0 in shape or not shape:
        raise Unsound(f"{name} has no weights: its dimensions are {list(shape)}")
    kind_name, block, _ = BLOCKS[kind]
    if shape[0] % block:
        raise Unsound(f"{name} has rows of {shape[0]:,} numbers, {kind_name} needs a multiple of {block}")
    return TensorEntry(name, shape, kind, int(cursor.number("Q", f"the offset of {name}")))


def _placed(parts: list[TensorEntry], start: int, alignment: int, size_bytes: int) -> dict[str, TensorEntry]:
    """The tensors by name: each begins where the one before ends, and the last one ends with the file."""
    tensors: dict[str, TensorEntry] = {}
    expected = 0
    for part in parts:
        if part.name in tensors:
            raise Unsound(f"the tensor {part.name} stands in it twice")
        if part.start != expected:
            raise Unsound(f"{part.name} begins at {part.start:,} of the weights, where {expected:,} is its place")
        tensors[part.name] = TensorEntry(part.name, part.shape, part.kind, start + expected)
        end = start + expected + part.size_bytes
        if end > size_bytes:
            raise Unsound(f"{part.name} ends at byte {end:,}, the file at {size_bytes:,}: it was cut, or lies")
        expected += -(-part.size_bytes // alignment) * alignment
    if parts and size_bytes > start + expected:
        raise Unsound(f"{size_bytes - start - expected:,} bytes follow the last tensor, which belong to none")
    return tensors
