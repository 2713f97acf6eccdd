"""A teacher's distributions in a file: of each written token the likeliest tokens, and the mass of all others.

The file is safetensors. Each training example is known by a hash of its token ids and of which of them are written, so
that other rows, another tokenizer or another prompt find nothing in it rather than something wrong. It is written as
the teacher computes, in as much memory as one pass needs, and appears whole.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.files import disk_errors, part_for_library
from appliance.ground.json_text import json_text
from appliance.ground.text import human_size
from training.divergences import TopTokens

if TYPE_CHECKING:
    from appliance.engines.tokenizer import FileTokenizer

VERSION = 1
MOST_TOP_TOKENS = 1024
HASH_BYTES = 32
SPARE_BYTES = 200_000_000
"""Left free on the disk."""
CHECKED_ROWS = 65_536
"""Rows that are looked at together when a file is opened."""
_MOST_OFF = 1e-3
"""By which the shares of a place may miss 1: they are sums of float32."""
_HINT = "run `stillroom score` again"


@dataclass(frozen=True)
class LogitsFacts:
    """What a file says of itself."""

    teacher_model: str
    teacher_hash: str
    """Of the teacher's weights."""
    tokenizer_hash: str
    prompt_form: str
    temperature: float
    vocab_size: int
    version: int = VERSION


def example_hash(input_ids: Sequence[int], is_value: Sequence[bool]) -> bytes:
    """What an example is known by."""
    digest = hashlib.sha256(np.asarray(input_ids, dtype="<i4").tobytes())
    digest.update(np.asarray(is_value, dtype=np.uint8).tobytes())
    return digest.digest()


def tokenizer_hash(tokenizer: "FileTokenizer") -> str:
    """SHA-256 of what each token id stands for."""
    digest = hashlib.sha256()
    for token in range(tokenizer.vocab_size):
        piece = (tokenizer.piece(token) or "").encode("utf-8", "surrogatepass")
        digest.update(len(piece).to_bytes(4, "little") + piece)
    return digest.hexdigest()


class LogitsWriter:
    """Writes a file place by place; its size is known before the first."""

    def __init__(self, descriptor: int, facts: LogitsFacts, examples: Sequence[tuple[bytes, int]], top_k: int) -> None:
        """Reserves the room.

        Args:
            examples: Of each its hash and how many tokens are written in it.

        Raises:
            OSError: The disk has no room.
        """
        starts = np.cumsum([0, *(count for _, count in examples)], dtype=np.int64)
        self._descriptor, self._starts, self._top_k = descriptor, starts, top_k
        places = int(starts[-1])
        shapes: dict[str, tuple[str, list[int], int]] = {
            "examples": ("U8", [len(examples), HASH_BYTES], 1),
            "starts": ("I64", [len(starts)], 8),
            "ids": ("I32", [places, top_k], 4),
            "log_probabilities": ("F32", [places, top_k], 4),
            "log_rest": ("F32", [places], 4),
        }
        header: dict[str, Any] = {"__metadata__": {"stillroom": json_text(asdict(facts), ascii_only=True)}}
        self._offsets, end = {}, 0
        for name, (dtype, shape, item_bytes) in shapes.items():
            start, end = end, end + int(np.prod(shape)) * item_bytes
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
            self._offsets[name] = start
        text = json_text(header, ascii_only=True, compact=True).encode()
        text += b" " * (-len(text) % 8)
        self._data_start = 8 + len(text)
        os.posix_fallocate(descriptor, 0, self._data_start + end)  # a full disk shows here, not in the last row
        self._write(0, len(text).to_bytes(8, "little") + text)
        self._put("examples", 0, b"".join(digest for digest, _ in examples))
        self._put("starts", 0, starts.astype("<i8").tobytes())

    def write(self, number: int, top: TopTokens) -> None:
        """The distributions of the example of this number, in the order of its written tokens."""
        first, after = int(self._starts[number]), int(self._starts[number + 1])
        if len(top.ids) != after - first:
            raise ValueError(f"{len(top.ids)} distributions for {after - first} written tokens")
        at = 4 * first * self._top_k
        self._put("ids", at, top.ids.cpu().numpy().astype("<i4").tobytes())
        self._put("log_probabilities", at, top.log_probabilities.float().cpu().numpy().astype("<f4").tobytes())
        self._put("log_rest", 4 * first, top.log_rest.float().cpu().numpy().astype("<f4").tobytes())

    def _put(self, name: str, at: int, data: bytes) -> None:
        self._write(self._data_start + self._offsets[name] + at, data)

    def _write(self, at: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, at)
            at, view = at + written, view[written:]


def write_logits(
    path: Path,
    facts: LogitsFacts,
    examples: Sequence[tuple[bytes, int]],
    top_k: int,
    distributions: Iterable[tuple[int, TopTokens]],
) -> int:
    """Writes a file that appears whole or not at all.

    Args:
        examples: Of each its hash and how many tokens are written in it.
        top_k: Of each distribution that is stored.
        distributions: Every example's number once, in any order, with what the teacher says of its written tokens.

    Returns:
        The file's size in bytes.

    Raises:
        ResourceError: There is no room for it, or it cannot be written.
    """
    size_bytes = sum(count for _, count in examples) * (8 * top_k + 4) + len(examples) * (HASH_BYTES + 8)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(path.parent).free
    if size_bytes + SPARE_BYTES > free_bytes:
        raise ResourceError(
            f"the stored logits need {human_size(size_bytes)} and a reserve of {human_size(SPARE_BYTES)};"
            f" {human_size(free_bytes)} are free",
            "store fewer with a lower --top-k, or train with --teacher-model, which stores none",
        )
    with disk_errors(path), part_for_library(path) as beside:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            writer = LogitsWriter(descriptor, facts, examples, top_k)
            for number, top in distributions:
                writer.write(number, top)
        finally:
            os.close(descriptor)
    return size_bytes


@dataclass(frozen=True)
class StoredLogits:
    """A file that was checked."""

    path: Path
    facts: LogitsFacts
    top_k: int
    places_of: dict[bytes, tuple[int, int]]
    """Hash of an example -> its first place and the one after its last."""

    @property
    def sha256(self) -> str:
        """Of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def read(self, examples: Sequence[tuple[bytes, int]]) -> tuple[TopTokens, torch.Tensor]:
        """The distributions of some examples, one behind the other.

        Args:
            examples: Of each its hash and how many tokens are written in it.

        Returns:
            The distributions, and (places,) bool that is False where none is stored: what stands there means nothing.
        """
        from safetensors import safe_open

        places = sum(count for _, count in examples)
        ids = torch.arange(self.top_k).repeat(places, 1)
        log_probabilities = torch.full((places, self.top_k), -float(np.log(self.top_k + 1)))
        log_rest, known = torch.full((places,), -float(np.log(self.top_k + 1))), torch.zeros(places, dtype=torch.bool)
        at = 0
        with safe_open(str(self.path), framework="pt") as file:
            for digest, count in examples:
                first, after = self.places_of.get(digest, (0, 0))
                if after - first == count:
                    ids[at : at + count] = file.get_slice("ids")[first:after].long()
                    log_probabilities[at : at + count] = file.get_slice("log_probabilities")[first:after]
                    log_rest[at : at + count] = file.get_slice("log_rest")[first:after]
                    known[at : at + count] = True
                at += count
        return TopTokens(ids, log_probabilities, log_rest), known


def open_logits(path: Path) -> StoredLogits:
    """A file, after every number in it was looked at.

    Raises:
        UsageError: It is missing, damaged, or not what `stillroom score` writes.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            facts = _facts(file.metadata())
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            shapes = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
            examples, places, top_k = _sizes(shapes, facts)
            hashes, starts = file.get_tensor("examples"), file.get_tensor("starts")
            if starts[0] != 0 or starts[-1] != places or (np.diff(starts) < 0).any():
                raise ValueError("its places are in no order")
            for first in range(0, places, CHECKED_ROWS):
                rows = slice(first, min(places, first + CHECKED_ROWS))
                _check_rows(parts["ids"][rows], parts["log_probabilities"][rows], parts["log_rest"][rows], facts)
    except FileNotFoundError as error:
        raise UsageError(f"there are no stored logits at {path}", "write them with `stillroom score`") from error
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"the stored logits {path.name} cannot be used: {error}", _HINT) from error
    spans = [(int(starts[number]), int(starts[number + 1])) for number in range(examples)]
    return StoredLogits(path, facts, top_k, {bytes(hashes[number]): span for number, span in enumerate(spans)})


def _facts(metadata: dict[str, str] | None) -> LogitsFacts:
    values = json.loads((metadata or {})["stillroom"])
    if not isinstance(values, dict):
        raise TypeError("it says nothing of itself")
    if values.get("version") != VERSION:
        raise ValueError(f"it is of version {values.get('version')!r:.20}, known is {VERSION}")
    known = {described.name: described.type for described in fields(LogitsFacts)}
    kinds: dict[object, tuple[type, ...]] = {str: (str,), int: (int,), float: (float, int)}
    for name, value in values.items():
        if name not in known or not isinstance(value, kinds[known[name]]) or isinstance(value, bool):
            raise ValueError(f"{name:.40} is not what it should be")
    return LogitsFacts(**values)


def _sizes(shapes: dict[str, tuple[str, tuple[int, ...]]], facts: LogitsFacts) -> tuple[int, int, int]:
    """Examples, places and top tokens of a place."""
    (examples, _), (places, top_k) = shapes["examples"][1], shapes["ids"][1]
    expected = {
        "examples": ("U8", (examples, HASH_BYTES)),
        "starts": ("I64", (examples + 1,)),
        "ids": ("I32", (places, top_k)),
        "log_probabilities": ("F32", (places, top_k)),
        "log_rest": ("F32", (places,)),
    }
    if shapes != expected:
        raise ValueError("its parts do not fit together")
    if not 1 <= top_k <= min(MOST_TOP_TOKENS, facts.vocab_size - 1):
        raise ValueError(f"it has {top_k} tokens for each place")
    if not 0 < facts.temperature < float("inf"):
        raise ValueError(f"its temperature is {facts.temperature}")
    return examples, places, top_k


def _check_rows(
    ids: NDArray[np.int32], log_probabilities: NDArray[np.float32], log_rest: NDArray[np.float32], facts: LogitsFacts
) -> None:
    if ids.size and (ids.min() < 0 or ids.max() >= facts.vocab_size):
        raise ValueError("it names a token that the vocabulary does not have")
    ordered = np.sort(ids, axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ValueError("it names a token twice for one place")
    shares = np.concatenate([log_probabilities, log_rest[:, None]], axis=1).astype(np.float64)
    if not np.isfinite(shares).all() or (shares > _MOST_OFF).any():
        raise ValueError("it holds what is no share")
    if shares.size and np.abs(np.exp(shares).sum(1) - 1).max() > _MOST_OFF:
        raise ValueError("the shares of a place do not sum to 1")
