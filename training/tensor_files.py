"""Files of tensors that appear whole, and failed writes as errors that say what to do."""

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.files import disk_errors, part_for_library, part_of
from appliance.ground.json_text import json_text

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def tensor_disk_errors(path: Path) -> Iterator[None]:
    """Around libraries that write safetensors, whose failed writes are errors of their own kind.

    Raises:
        ResourceError: The disk is full, or the place cannot be written.
    """
    from safetensors import SafetensorError

    with disk_errors(path):
        try:
            yield
        except SafetensorError as error:
            raise OSError(str(error)) from error


def save_tensors(tensors: "Mapping[str, Tensor]", path: Path, metadata: dict[str, str]) -> None:
    """Writes a safetensors file so that it appears whole or not at all.

    Raises:
        ResourceError: It cannot be written.
    """
    from safetensors.torch import save_file

    with tensor_disk_errors(path), part_for_library(path) as beside:
        save_file(dict(tensors), str(beside), metadata=metadata)


HALF_TYPES = {"float16": "F16", "bfloat16": "BF16"}
"""How safetensors calls the dtypes of torch with 16 bits."""


def write_half_tensors(
    path: Path, shapes: Sequence[tuple[str, tuple[int, ...]]], dtype: str, tensors: "Iterable[Tensor]"
) -> None:
    """Writes a safetensors file of 16-bit tensors that come one after the other; none is kept.

    Args:
        shapes: Names and shapes, known before the first tensor comes.
        dtype: `float16` or `bfloat16`.
        tensors: As many, in this order and dtype.

    Raises:
        ResourceError: It cannot be written.
    """
    import torch

    offset, header = 0, {"__metadata__": {"format": "pt"}}
    for name, shape in shapes:
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": HALF_TYPES[dtype], "shape": list(shape), "data_offsets": [offset, end]}  # type: ignore[dict-item]
        offset = end
    text = json_text(header, ascii_only=True, compact=True).encode()
    text += b" " * (-len(text) % 8)
    with disk_errors(path), part_of(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            file.write(tensor.contiguous().view(torch.int16).numpy().data)
