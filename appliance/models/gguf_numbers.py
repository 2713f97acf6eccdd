"""Whether the numbers of a GGUF file are numbers: all of them, or the scales of their blocks."""

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from appliance.models.gguf_header import BLOCKS, TensorEntry, Unsound

_CHUNK_BYTES = 1 << 18
"""As much as a processor keeps near: four times as fast as pieces of 4 MB."""
_EXPONENTS = {"F32": ("<u4", 0x7F800000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80)}
"""How a number is written, and the bits of its exponent: all set in NaN and infinity alone."""
_SCALES = {
    "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,), "Q2_K": (80, 82), "Q3_K": (108,),
    "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "IQ2_XXS": (0,), "IQ2_XS": (0,), "IQ2_S": (0,), "IQ3_XXS": (0,),
    "IQ3_S": (0,), "IQ1_S": (0,), "IQ4_NL": (0,), "IQ4_XS": (0,), "TQ1_0": (52,), "TQ2_0": (64,),
}  # fmt: skip
"""Where in a block its float16 scales and minima stand, in bytes; from the structures in ggml-common.h."""


def check_numbers(file: BinaryIO, tensor: TensorEntry) -> None:
    """Looks at every number, or at the scales of every block.

    Raises:
        Unsound: One is NaN or infinite.
    """
    _, _, block_bytes = BLOCKS[tensor.kind]
    buffer = np.empty(min(tensor.size_bytes, _CHUNK_BYTES // block_bytes * block_bytes), np.uint8)
    file.seek(tensor.start)
    left = tensor.size_bytes
    while left:
        chunk = buffer[: min(left, len(buffer))]
        if not _fill(file, chunk):
            raise Unsound(f"the file ends in {tensor.name}")
        if not _are_finite(chunk, tensor.kind_name, block_bytes):
            raise Unsound(f"{tensor.name} ({tensor.kind_name}) holds what is not a number (NaN or infinity)")
        left -= len(chunk)


def _fill(file: BinaryIO, chunk: NDArray[np.uint8]) -> bool:
    """Reads exactly as much as the chunk holds."""
    view = chunk.data
    while view:
        size = file.readinto(view)  # type: ignore[attr-defined]
        if not size:
            return False
        view = view[size:]
    return True


def _are_finite(chunk: NDArray[np.uint8], kind_name: str, block_bytes: int) -> bool:
    """Whether all numbers, or all scales, of whole blocks are finite; chunk is (bytes,)."""
    if kind_name in _EXPONENTS:
        code, exponent = _EXPONENTS[kind_name]
        return int((chunk.view(code) & exponent).max()) != exponent
    blocks = chunk.reshape(-1, block_bytes)
    if kind_name == "MXFP4":
        return int(blocks[:, 0].max()) != 0xFF  # E8M0 has one NaN
    if kind_name == "IQ1_M":
        # The scale is spread over the upper four bits of the last four words: these hold its exponent.
        return not bool((((blocks[:, 55] & 0x70) == 0x70) & ((blocks[:, 53] & 0xC0) == 0xC0)).any())
    for offset in _SCALES[kind_name]:
        upper = blocks[:, offset + 1] & 0x7C
        if int(upper.max()) == 0x7C:
            return False
    return True
