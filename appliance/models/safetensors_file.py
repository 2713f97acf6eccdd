"""What a folder of safetensors holds, by its headers alone: which files, which tensors, whether all of them are there.

Read without the library that loads them, so that a look costs neither memory nor trust: every length is compared with
the file before anything is read for it. The format is that of the `safetensors` library, version 0.3 and later.
"""

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.ground.errors import UsageError
from appliance.ground.json_input import parse_json
from appliance.ground.text import human_size, printable

WHOLE_NAME, INDEX_NAME = "model.safetensors", "model.safetensors.index.json"
MOST_HEADER_BYTES = 100 << 20
"""The library's own limit."""
MOST_INDEX_BYTES = 64 << 20
BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32,
    "U16": 16, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "C64": 64,
}  # fmt: skip
"""Bits of one number, by the name of its type."""
FULL_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
"""Types that weights are trained in; others are those of quantized checkpoints, or count something."""
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_STEP_BYTES = 32 << 20
_STORED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""How numpy reads the types of `FULL_FLOATS`; it has no bfloat16, whose bits are the upper half of a float32."""
_EXPONENTS = {"F16": 0x7C00, "BF16": 0x7F80}
"""Bits of the exponent of a 16-bit number; all of them are set in NaN and infinity."""


class WeightsError(UsageError):
    """The weights in a folder are not whole, or of a kind that is not read."""


@dataclass(frozen=True)
class TensorHeader:
    """A tensor as its file describes it."""

    dtype: str
    """Such as `BF16`."""
    shape: tuple[int, ...]
    path: Path
    start: int
    """Offset of its first byte in the file."""
    size_bytes: int

    @property
    def numbers(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def weight_paths(directory: Path) -> list[Path]:
    """The files that the weights of a model folder lie in: one whole file, else the parts of its index, else all.

    Raises:
        WeightsError: There are none, they are pickles, or a part that the index names is missing.
    """
    if (directory / WHOLE_NAME).is_file():
        return [directory / WHOLE_NAME]
    if (directory / INDEX_NAME).is_file():
        return _indexed_paths(directory)
    paths = sorted(path for path in directory.glob("*.safetensors") if path.is_file())  # a pipe would never end
    if paths:
        return paths
    pickles = sorted(path.name for pattern in _PICKLES for path in directory.glob(pattern))
    if pickles:
        raise WeightsError(
            f"{directory.name} has its weights as pickles alone ({_listing(pickles)}), which can run any code when they"
            " are loaded",
            "take a base with safetensors, or have its weights converted to safetensors where they come from",
        )
    if files := sorted(directory.glob("*.gguf")):
        raise WeightsError(
            f"{directory.name} has a GGUF file and no safetensors file",
            f"make a base of it with `stillroom bases add {printable(str(files[0]))}`",
        )
    raise WeightsError(
        f"{directory.name} has no safetensors file", "name a folder with config.json, tokenizer.json and safetensors"
    )


def _indexed_paths(directory: Path) -> list[Path]:
    index_path = directory / INDEX_NAME
    try:
        if index_path.stat().st_size > MOST_INDEX_BYTES:
            raise ValueError(f"it is larger than {human_size(MOST_INDEX_BYTES)}")
        places = parse_json(index_path.read_text(encoding="utf-8"))["weight_map"]  # type: ignore[index]
        names = sorted({str(name) for name in places.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{index_path} does not say which file holds which tensor: {error}", "fetch or copy the base again"
        ) from error
    outside = [name for name in names if Path(name).name != name]
    if outside or not names:
        what = f"names the file {printable(outside[0])!r}, which lies elsewhere" if outside else "names no file"
        raise WeightsError(f"{index_path} {what}", "fetch or copy the base again")
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        raise WeightsError(
            f"{directory.name} lacks {len(missing)} of the {len(names)} files of its weights: {_listing(missing)}",
            "fetch or copy the base again; the files that are there can stay",
        )
    return [directory / name for name in names]


def read_headers(paths: Iterable[Path]) -> dict[str, TensorHeader]:
    """All tensors of these files, by name, in the order of the files.

    Raises:
        WeightsError: A file is no safetensors file, is cut off, or two of them hold the same tensor.
    """
    headers: dict[str, TensorHeader] = {}
    for path in paths:
        for name, header in _file_headers(path).items():
            if name in headers:
                raise WeightsError(
                    f"the tensor {printable(name)} stands in {headers[name].path.name} and in {path.name}",
                    "remove the file that does not belong to this base",
                )
            headers[name] = header
    return headers


def _file_headers(path: Path) -> dict[str, TensorHeader]:
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else -1
            if not 2 <= length <= min(MOST_HEADER_BYTES, size_bytes - 8):
                raise WeightsError(f"{path} {_other_kind(head, size_bytes)}", "fetch or copy the base again")
            described = parse_json(file.read(length).decode("utf-8"))
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}", "check the rights of the file") from error
    except ValueError as error:  # of the bytes or of the JSON
        raise WeightsError(f"the header of {path} is damaged: {error}", "fetch or copy the base again") from error
    if not isinstance(described, Mapping):
        raise WeightsError(f"the header of {path} lists no tensors", "fetch or copy the base again")
    begin, headers = 8 + length, {}
    for name, entry in described.items():
        if name != "__metadata__":
            headers[str(name)] = _tensor_header(path, str(name), entry, begin, size_bytes)
    return headers


def _tensor_header(path: Path, name: str, entry: object, begin: int, file_bytes: int) -> TensorHeader:
    """One entry of a header, compared with the file.

    Raises:
        WeightsError: It contradicts itself, or reaches beyond the file.
    """
    try:
        dtype, shape, (first, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]  # type: ignore[index]
        numbers = math.prod(shape)
        sound = all(type(size) is int and size >= 0 for size in (*shape, first, end))
        sound = sound and end - first == -(-numbers * BITS[dtype] // 8)
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise WeightsError(
            f"the header of {path} describes the tensor {printable(name)} in a way that cannot be",
            "fetch or copy the base again",
        )
    if begin + end > file_bytes:
        raise WeightsError(
            f"{path} is cut off: it has {file_bytes:,} bytes, and the tensor {printable(name)} ends at {begin + end:,}",
            "fetch or copy the base again",
        )
    return TensorHeader(str(dtype), shape, path, begin + first, end - first)


def _other_kind(head: bytes, size_bytes: int) -> str:
    """What a file is that is no safetensors file, as the end of a sentence."""
    if not size_bytes:
        return "is empty"
    if head.startswith(b"version "):
        return "is a pointer of Git LFS, not the weights themselves"
    if head[:1] in (b"<", b"{"):
        return "is a page of text, not weights"
    if head[:2] in (b"PK", b"\x80\x02", b"\x80\x04"):
        return "is a pickle under the name of a safetensors file"
    return "is no safetensors file, or is cut off"


def tensors_not_finite(headers: Mapping[str, TensorHeader]) -> Iterator[tuple[str, int]]:
    """Names of the tensors with numbers that are NaN or infinite, and how many; reads a few megabytes at a time."""
    for name, header in headers.items():
        if header.dtype in FULL_FLOATS and (count := _count_not_finite(header)):
            yield name, count


def _count_not_finite(header: TensorHeader) -> int:
    count, left = 0, header.size_bytes
    with header.path.open("rb") as file:
        file.seek(header.start)
        while left:
            step = file.read(min(_STEP_BYTES, left))
            if not step:
                raise WeightsError(f"{header.path} became shorter while it was read", "fetch or copy the base again")
            left -= len(step)
            if header.dtype in _EXPONENTS:
                exponents = np.frombuffer(step, dtype="<u2") & _EXPONENTS[header.dtype]
                count += int(np.count_nonzero(exponents == _EXPONENTS[header.dtype]))
            else:
                numbers = np.frombuffer(step, dtype="<f4" if header.dtype == "F32" else "<f8")
                count += numbers.size - int(np.count_nonzero(np.isfinite(numbers)))
    return count


def _listing(names: list[str], most: int = 3) -> str:
    shown = ", ".join(printable(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def read_tensor(header: TensorHeader) -> NDArray[np.float32]:
    """The numbers of one tensor as float32, of its shape; the file is read, not mapped, so that nothing else is held.

    Raises:
        WeightsError: It is of a type that weights are not trained in, or the file was cut since its header was read.
    """
    if header.dtype not in FULL_FLOATS:
        raise WeightsError(
            f"a tensor of {header.path.name} is of the type {header.dtype}, which is not read here",
            "take a base in 16 or 32 bit",
        )
    stored = np.fromfile(header.path, _STORED[header.dtype], header.numbers, offset=header.start)
    if stored.size != header.numbers:
        raise WeightsError(f"{header.path} became shorter while it was read", "fetch or copy the base again")
    if header.dtype == "BF16":
        stored = (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False).reshape(header.shape)


def same_numbers(first: TensorHeader, second: TensorHeader) -> bool:
    """Whether two tensors are stored as the same bytes of the same type and shape; reads some megabytes at a time."""
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    with first.path.open("rb") as a, second.path.open("rb") as b:
        a.seek(first.start)
        b.seek(second.start)
        for start in range(0, first.size_bytes, _STEP_BYTES):
            step = min(_STEP_BYTES, first.size_bytes - start)
            if a.read(step) != b.read(step):
                return False
    return True
