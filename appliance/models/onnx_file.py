"""Whether an ONNX file keeps its weights to itself or beside it, before onnxruntime sees it.

The format is protobuf: a tree of fields with their lengths. Only the fields that lead to tensors are followed, in
bounded depth and number, and the numbers themselves are stepped over.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from appliance.ground.errors import ApplianceError

MOST_FIELDS = 4_000_000
MOST_DEPTH = 64
_MOST_ENTRY_BYTES = 4096
_LONGEST_FILE_NAME = 255
_PATHS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}  # fmt: skip
"""Message -> number of a field -> the message in it; from onnx.proto3."""
_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


class OnnxError(ApplianceError):
    """An ONNX file is damaged, or its weights lie elsewhere."""


class _Unsound(Exception):
    """What is wrong, without naming the file."""


def check_onnx(path: Path) -> None:
    """Follows the file's fields, and looks at every place outside it that a tensor names.

    Raises:
        OnnxError: It is no ONNX file, or a tensor lies neither in it nor in a plain file beside it.
    """
    place, hint = f"{path.name} of {path.parent.name}", "export or copy the model again"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise _Unsound("it is not a plain file")
            if not facts.st_size:
                raise _Unsound("it is empty")
            _Reader(file, path.parent).message("model", facts.st_size, 0)
    except _Unsound as error:
        raise OnnxError(f"{place} cannot be loaded: {error}", hint) from error
    except OSError as error:
        raise OnnxError(f"{place} cannot be loaded: {error.strerror}", hint) from error


class _Reader:
    """Walks the messages of one file."""

    def __init__(self, file: BinaryIO, directory: Path) -> None:
        self._file, self._directory = file, directory
        self._fields = 0

    def message(self, kind: str, end: int, depth: int) -> None:
        """Reads a message up to its end."""
        if depth > MOST_DEPTH:
            raise _Unsound(f"its graphs lie in each other more than {MOST_DEPTH} deep")
        entries: dict[str, str] = {}
        is_external = False
        while (at := self._file.tell()) < end:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise _Unsound(f"it has more than {MOST_FIELDS:,} fields")
            tag = self._varint()
            number, wire = tag >> 3, tag & 7
            if wire == 0:
                value = self._varint()
                is_external |= kind == "tensor" and number == _DATA_LOCATION and value != 0
                continue
            length = self._varint() if wire == _LENGTH_DELIMITED else _FIXED_BYTES.get(wire)
            start = self._file.tell()
            if not number or length is None or start + length > end:
                raise _Unsound(f"it is no ONNX file: the field at byte {at:,} is none, or does not end within it")
            child = _PATHS[kind].get(number) if wire == _LENGTH_DELIMITED else None
            if child == "entry":
                key, entry = self._entry(length)
                if key in entries:
                    raise _Unsound(f"a tensor names its {key[:40]!r} twice")
                entries[key] = entry
            elif child is not None:
                self.message(child, start + length, depth + 1)
            self._file.seek(start + length)
        if self._file.tell() != end:
            raise _Unsound(f"it is no ONNX file: a field ends beyond byte {end:,}")
        if is_external or entries:
            self._check_place(entries)

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._file.read(1)
            if not byte:
                raise _Unsound("the file ends within a field: it was cut")
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value
        raise _Unsound("it is no ONNX file: a number has more than 64 bits")

    def _entry(self, length: int) -> tuple[str, str]:
        """Key and value of a tensor's description of where it lies."""
        if length > _MOST_ENTRY_BYTES:
            raise _Unsound(f"a tensor describes its place in {length:,} bytes, at most {_MOST_ENTRY_BYTES:,} are read")
        end, parts = self._file.tell() + length, ["", ""]
        while self._file.tell() < end:
            tag = self._varint()
            size = self._varint()
            if tag not in (10, 18) or size > _MOST_ENTRY_BYTES or self._file.tell() + size > end:
                raise _Unsound("a tensor describes its place in fields that are none")
            try:
                parts[(tag >> 3) - 1] = self._file.read(size).decode("utf-8")
            except UnicodeDecodeError as error:
                raise _Unsound("a tensor names a place that is not UTF-8") from error
        return parts[0], parts[1]

    def _check_place(self, entries: dict[str, str]) -> None:
        """Refuses a tensor that lies anywhere but in a plain file beside the model."""
        name = entries.get("location", "")
        is_name = 0 < len(name.encode()) <= _LONGEST_FILE_NAME and name.isprintable() and not set(name) & set("/\\*\0")
        if not is_name or name in (".", ".."):
            raise _Unsound(f"its weights lie in {name[:80]!r}, which is no name of a file beside it")
        try:
            facts = os.lstat(self._directory / name)
        except OSError as error:
            raise _Unsound(f"its weights lie in {name!r}: {(error.strerror or 'no such file').lower()}") from error
        if not stat.S_ISREG(facts.st_mode):
            raise _Unsound(f"its weights lie in {name!r}, which is not a plain file beside it")
        numbers = [entries.get("offset", "0"), entries.get("length", "0")]
        if not all(text.isascii() and text.isdecimal() and len(text) < 19 for text in numbers):
            raise _Unsound(f"its weights lie at {' and '.join(numbers)[:80]!r} of {name!r}, which are no numbers")
        if sum(map(int, numbers)) > facts.st_size:
            raise _Unsound(
                f"its weights end at byte {sum(map(int, numbers)):,} of {name!r}, which has {facts.st_size:,}"
            )
