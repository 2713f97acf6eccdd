"""Rows that are read together, and the places at which a student chooses a token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.samples import Sample

BATCH_TOKENS = 4096
"""Of one pass, padding included."""
BATCH_ROWS = 8
"""Of one pass: logits of all its answers are held at once."""


@dataclass(frozen=True)
class Batch:
    """Rows of like length, padded on the left, and the places at which the student chooses."""

    input_ids: NDArray[np.int64]
    """(rows, columns)"""
    mask: NDArray[np.int64]
    """The same shape: 0 at padding."""
    columns: NDArray[np.int64]
    """Those whose logits choose the next token of any row."""
    rows: NDArray[np.int64]
    """(choices,): the row of each choice."""
    places: NDArray[np.int64]
    """(choices,): its index in `columns`."""
    values: NDArray[np.int64]
    """(choices,): the number of the value that it is part of, counted through all batches."""


def padded_batches(samples: Sequence[Sample]) -> Iterator[Batch]:
    """Batches of unlike lengths together, as they come."""
    rows_of_batch = min(BATCH_ROWS, max(2, BATCH_TOKENS // max(len(sample.input_ids) for sample in samples)))
    value = 0
    for start in range(0, len(samples), rows_of_batch):
        batch, value = _batch(samples[start : start + rows_of_batch], value)
        yield batch


def _batch(samples: Sequence[Sample], value: int) -> tuple[Batch, int]:
    columns = max(len(sample.input_ids) for sample in samples)
    input_ids = np.zeros((len(samples), columns), dtype=np.int64)
    mask, is_written = np.zeros_like(input_ids), np.zeros((len(samples), columns + 1), dtype=np.bool_)
    for row, sample in enumerate(samples):
        begin = columns - len(sample.input_ids)
        input_ids[row, begin:], mask[row, begin:], is_written[row, begin:-1] = sample.input_ids, 1, sample.is_value
    # The logits of a column choose the token of the next one; a value is a run of tokens without a forced one.
    rows, places = np.nonzero(is_written[:, 1:])
    begins = ~is_written[rows, places]
    kept = np.unique(places)
    numbers = value + begins.cumsum() - 1
    batch = Batch(input_ids, mask, kept, rows, np.searchsorted(kept, places), numbers)
    return batch, value + int(begins.sum())
