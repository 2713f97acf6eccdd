"""The weights of a merged student, one tensor at a time: whichever files they lie in, as float32."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.models.safetensors_file import TensorHeader, read_headers, read_tensor, same_numbers, weight_paths

EMBEDDING_ENDING = "embed_tokens.weight"
HEAD_NAME = "lm_head.weight"


class MergedWeights:
    """Names, shapes and numbers of the tensors in a folder of safetensors; nothing is kept in memory."""

    def __init__(self, merged_dir: Path) -> None:
        self.directory = merged_dir
        self._headers: dict[str, TensorHeader] = read_headers(weight_paths(merged_dir))

    @property
    def names(self) -> list[str]:
        """In the order of the files."""
        return list(self._headers)

    @property
    def parameters(self) -> int:
        """How many numbers all tensors have."""
        return sum(header.numbers for header in self._headers.values())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all tensors, by name."""
        return {name: header.shape for name, header in self._headers.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._headers

    def shape(self, name: str) -> tuple[int, ...]:
        """Of one tensor."""
        return self._headers[name].shape

    def dtype(self, name: str) -> str:
        """As its file calls it, such as `BF16`."""
        return self._headers[name].dtype

    def read(self, name: str) -> NDArray[np.float32]:
        """The tensor's numbers, of its shape."""
        return read_tensor(self._headers[name])

    def same(self, name: str, other: str) -> bool:
        """Whether two tensors hold the same numbers."""
        return same_numbers(self._headers[name], self._headers[other])
