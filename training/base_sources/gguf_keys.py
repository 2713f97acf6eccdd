"""The keys of a GGUF head, read by name with their kind checked: strangers write what they like."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.models.gguf_header import Array, GgufHead, Scalar, Unsound

MOST = 1 << 24
"""Of any size in a model."""
_NUMBERS = {0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}
"""Type of a value in a GGUF file -> its type in NumPy."""


@dataclass(frozen=True)
class GgufKeys:
    """Values of a head, those of its architecture without its name before them."""

    head: GgufHead
    path: Path

    @property
    def architecture(self) -> str:
        """Such as `llama`."""
        return self.text("general.architecture")

    def _entry(self, key: str) -> Scalar | Array | None:
        values = self.head.values
        entry = values.get("general.architecture")
        name = (
            entry.value.decode("ascii", "replace")
            if isinstance(entry, Scalar) and isinstance(entry.value, bytes)
            else ""
        )
        return values.get(key) or values.get(f"{name}.{key}")

    def text(self, key: str, default: str | None = None) -> str:
        """A text.

        Raises:
            Unsound: It is missing, or no text.
        """
        entry = self._entry(key)
        if entry is None and default is not None:
            return default
        if not isinstance(entry, Scalar) or not isinstance(entry.value, bytes):
            raise Unsound(f"{key} is missing" if entry is None else f"{key} is no text")
        return entry.value.decode("utf-8", "replace")

    def whole(self, key: str, default: int | None = None) -> int:
        """A count of at least 1, or the default, which may be 0.

        Raises:
            Unsound: It is missing, or no such number.
        """
        entry = self._entry(key)
        if entry is None and default is not None:
            return default
        if isinstance(entry, Array):
            raise Unsound(f"{key} differs from layer to layer")
        if entry is None or isinstance(entry.value, (bool, bytes, float)):
            raise Unsound(f"{key} is missing" if entry is None else f"{key} is no whole number")
        if not 1 <= entry.value <= MOST and entry.value != default:
            raise Unsound(f"{key} is {entry.value:,}, which is not between 1 and {MOST:,}")
        return entry.value

    def token_id(self, name: str) -> int | None:
        """The id of a special token, such as `bos` or `padding`; None where the file names none.

        Raises:
            Unsound: It is no id of the vocabulary.
        """
        entry = self._entry(f"tokenizer.ggml.{name}_token_id")
        if entry is None:
            return None
        tokens = self._entry("tokenizer.ggml.tokens")
        count = tokens.count if isinstance(tokens, Array) else 0
        if not isinstance(entry, Scalar) or not isinstance(entry.value, int) or not 0 <= entry.value < count:
            raise Unsound(f"tokenizer.ggml.{name}_token_id is no id of its {count:,} tokens")
        return entry.value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number.

        Raises:
            Unsound: It is missing, or none.
        """
        entry = self._entry(key)
        if entry is None and default is not None:
            return default
        if not isinstance(entry, Scalar) or isinstance(entry.value, (bool, bytes)):
            raise Unsound(f"{key} is missing" if entry is None else f"{key} is no number")
        if not abs(entry.value) < float("inf"):
            raise Unsound(f"{key} is no finite number")
        return float(entry.value)

    def flag(self, key: str, default: bool) -> bool:
        """A yes or no.

        Raises:
            Unsound: It is another kind of value.
        """
        entry = self._entry(key)
        if entry is None:
            return default
        if not isinstance(entry, Scalar) or not isinstance(entry.value, bool):
            raise Unsound(f"{key} is neither true nor false")
        return entry.value

    def texts(self, key: str) -> list[str]:
        """A list of texts.

        Raises:
            Unsound: It is missing, another kind of list, or holds what is no UTF-8.
        """
        entry = self._entry(key)
        if not isinstance(entry, Array) or entry.kind != 8:
            raise Unsound(f"{key} is missing" if entry is None else f"{key} is no list of texts")
        try:
            return [text.decode("utf-8") for text in entry.strings]
        except UnicodeDecodeError as error:
            raise Unsound(f"{key} holds a text that is no UTF-8") from error

    def numbers(self, key: str) -> NDArray[Any] | None:
        """A list of numbers, (entries,); None where there is none of this name."""
        entry = self._entry(key)
        if not isinstance(entry, Array) or entry.kind not in _NUMBERS:
            return None
        return np.fromfile(self.path, dtype=_NUMBERS[entry.kind], count=entry.count, offset=entry.start)
