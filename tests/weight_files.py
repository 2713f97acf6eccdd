"""Small safetensors files written by hand, without the library."""

import json
import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, tuple[str, NDArray[np.generic]]]


def write_weights(path: Path, tensors: Tensors) -> Path:
    """A file of these tensors; each has the name of its type, and the numbers as they lie in the file."""
    head, data = {}, b""
    for name, (dtype, numbers) in tensors.items():
        start, data = len(data), data + numbers.tobytes()
        head[name] = {"dtype": dtype, "shape": list(numbers.shape), "data_offsets": [start, len(data)]}
    described = json.dumps({"__metadata__": {"format": "pt"}, **head}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(described)) + described + data)
    return path


def ones(*shape: int) -> tuple[str, NDArray[np.generic]]:
    """float32 ones of this shape."""
    return "F32", np.ones(shape, dtype="<f4")


def write_sparse(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """A file of zeros in bfloat16 with these shapes, as a hole that takes no room on the disk."""
    head, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        head[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    described = json.dumps(head).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(described)) + described)
        file.truncate(8 + len(described) + end)
    return path
