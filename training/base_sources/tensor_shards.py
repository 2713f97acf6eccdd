"""Safetensors files written one tensor at a time: what is held in memory is a piece of one tensor.

All names, shapes and types are known before the first byte, as the header of each file comes first.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from appliance.ground.json_text import json_text
from appliance.models.safetensors_file import INDEX_NAME, WHOLE_NAME

LARGEST_SHARD_BYTES = 4 << 30
ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor before it is written."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """`F32`, `F16` or `BF16`."""

    @property
    def size_bytes(self) -> int:
        """In the file."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


def encoded(values: NDArray[np.float32], dtype: str) -> bytes:
    """Numbers in another type, rounded to the nearest, ties to even."""
    if dtype == "F32":
        return values.astype("<f4").tobytes()
    if dtype == "F16":
        return values.astype("<f2").tobytes()
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    rounded: bytes = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return rounded


def shards_of(
    plan: Sequence[PlannedTensor], largest_bytes: int = LARGEST_SHARD_BYTES
) -> dict[str, list[PlannedTensor]]:
    """The tensors of each file, in their order; a file is as large as allowed, or holds one tensor."""
    groups: list[list[PlannedTensor]] = [[]]
    size_bytes = 0
    for tensor in plan:
        if groups[-1] and size_bytes + tensor.size_bytes > largest_bytes:
            groups.append([])
            size_bytes = 0
        groups[-1].append(tensor)
        size_bytes += tensor.size_bytes
    if len(groups) == 1:
        return {WHOLE_NAME: groups[0]}
    return {f"model-{n:05}-of-{len(groups):05}.safetensors": group for n, group in enumerate(groups, 1)}


class ShardWriter:
    """Writes the tensors of a plan, each in pieces and in any order, into the files of a folder."""

    def __init__(
        self, directory: Path, plan: Sequence[PlannedTensor], largest_bytes: int = LARGEST_SHARD_BYTES
    ) -> None:
        self._shards = shards_of(plan, largest_bytes)
        self._places: dict[str, tuple[BinaryIO, int, PlannedTensor]] = {}
        self._written: dict[str, int] = {}
        self._directory = directory
        self._files = ExitStack()

    def __enter__(self) -> "ShardWriter":
        for name, tensors in self._shards.items():
            file = self._files.enter_context((self._directory / name).open("xb"))
            header: dict[str, dict[str, Any]] = {}
            offset = 0
            for tensor in tensors:
                header[tensor.name] = {
                    "dtype": tensor.dtype, "shape": list(tensor.shape),
                    "data_offsets": [offset, offset + tensor.size_bytes],
                }  # fmt: skip
                offset += tensor.size_bytes
            text = json_text({"__metadata__": {"format": "pt"}, **header}).encode()
            text += b" " * (-len(text) % 8)
            file.write(struct.pack("<Q", len(text)) + text)
            start = file.tell()
            file.truncate(start + offset)  # a disk without room is noticed piece by piece all the same
            for tensor in tensors:
                self._places[tensor.name] = (file, start + header[tensor.name]["data_offsets"][0], tensor)
                self._written[tensor.name] = 0
        return self

    def __exit__(self, *of: object) -> None:
        self._files.close()

    def write(self, name: str, values: NDArray[np.float32]) -> None:
        """The next numbers of a tensor, (any shape), in the order of its rows."""
        file, start, tensor = self._places[name]
        data = encoded(values, tensor.dtype)
        file.seek(start + self._written[name])
        file.write(data)
        self._written[name] += len(data)

    def finish(self) -> None:
        """Writes the index, where there are several files.

        Raises:
            ValueError: A tensor was not written whole.
        """
        for name, (_, _, tensor) in self._places.items():
            if self._written[name] != tensor.size_bytes:
                raise ValueError(f"{name} has {self._written[name]} of {tensor.size_bytes} bytes")
        if len(self._shards) == 1:
            return
        places = {tensor.name: file_name for file_name, tensors in self._shards.items() for tensor in tensors}
        total = sum(tensor.size_bytes for tensors in self._shards.values() for tensor in tensors)
        index = {"metadata": {"total_size": total}, "weight_map": places}
        (self._directory / INDEX_NAME).write_text(json_text(index, indent=2) + "\n", encoding="utf-8")


def pieces(rows: int, row_bytes: int, most_bytes: int = 64 << 20) -> Iterator[tuple[int, int]]:
    """First and last row, exclusive, of pieces of at most so many bytes, at least one row each."""
    step = max(1, most_bytes // max(1, row_bytes))
    for first in range(0, rows, step):
        yield first, min(rows, first + step)
