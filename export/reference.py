"""What the merged student answers on rows of its task: the measure of every export.

The student reads each row with the labelled answer before it, token by token; where it would write a token itself, its
choice and its logits are what an export must give, too. Computed once for all targets of an export.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.quality.statistics import wilson
from export.batches import Batch, padded_batches
from export.parity import ExportDisagrees, refuse_no_numbers
from export.samples import Sample, read_samples

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Reference:
    """The merged student's choices."""

    batches: Sequence[Batch]
    logits: Logits
    """(choices of all batches, vocab_size); in a file that is mapped."""
    texts: int
    is_task: bool
    """Whether the rows are of the task; else random tokens stand in, and no answer can be judged."""


@dataclass(frozen=True)
class Agreement:
    """How an export answers beside the merged student."""

    texts: int
    values: int
    """Values that the student writes in these texts."""
    same_values: int
    """Those of which both choose every token alike."""
    tokens: int
    same_tokens: int
    divergence: float
    """Mean KL(merged || export) over these tokens, in nats."""
    largest_difference: float
    """Between logits."""
    largest_logit: float

    @property
    def value_share(self) -> float:
        """Share of the values that are the same."""
        return self.same_values / self.values if self.values else 1.0

    @property
    def token_share(self) -> float:
        """Share of the tokens that are the same."""
        return self.same_tokens / self.tokens if self.tokens else 1.0

    def metrics(self) -> dict[str, float | int | str]:
        """As they stand in a manifest."""
        return {
            "texts": self.texts,
            "values": self.values,
            "same_values": self.same_values,
            "value_agreement": round(self.value_share, 6),
            "tokens": self.tokens,
            "agreement": round(self.token_share, 6),
            "divergence": round(self.divergence, 8),
            "largest_logit_difference": round(self.largest_difference, 6),
        }

    def sentence(self) -> str:
        """For a person: how many values and first choices are the merged student's."""
        return (
            f"{self.same_values} of {self.values} values and {self.same_tokens} of {self.tokens} tokens as the merged"
            " student writes them"
        )


def read_reference(merged_dir: Path, task_folder: Path, work_path: Path) -> Reference:
    """Lets the merged student read rows of its task.

    Args:
        work_path: Of the file that takes the logits.

    Raises:
        ExportDisagrees: The student computes no numbers.
    """
    samples, is_task = read_samples(task_folder, merged_dir)
    return compute_reference(merged_dir, samples, is_task, work_path)


def compute_reference(merged_dir: Path, samples: Sequence[Sample], is_task: bool, work_path: Path | None) -> Reference:
    """Lets the merged student read these rows.

    Args:
        work_path: Of the file that takes the logits; they stay in memory where it is None.

    Raises:
        ExportDisagrees: The student computes no numbers.
    """
    from export.merged_model import merged_logits

    batches = list(padded_batches(samples))
    count = sum(len(batch.rows) for batch in batches)
    logits: Logits | None = None
    done = 0
    for batch, computed in zip(batches, merged_logits(merged_dir, batches), strict=True):
        chosen = computed[batch.rows, batch.places]
        refuse_no_numbers(chosen, "the merged model")
        if logits is None:
            shape = (count, chosen.shape[1])
            logits = np.memmap(work_path, np.float32, "w+", shape=shape) if work_path else np.empty(shape, np.float32)
        logits[done : done + len(chosen)] = chosen
        done += len(chosen)
    assert logits is not None, "there is always a sample"
    return Reference(batches, logits, len(samples), is_task)


AGREEMENT_FLOOR = 0.99
"""Share of the values that a student writes, and of their tokens, in which an export is the merged student."""
VALUES_FLOOR = 0.95
"""Share of the values that an export must write as the merged student where its tokens are the same."""


def compare(
    reference: Reference, compute: Callable[[Batch], Logits], computed_by: str, is_final: bool = True
) -> Agreement:
    """Lets an export read the same rows.

    Args:
        compute: Gives the logits of a batch's columns, (rows, columns, vocab_size).
        computed_by: Such as `the ONNX graph`; stands in the message.
        is_final: Whether all rows are read even where the floor cannot be reached any more.

    Raises:
        ExportDisagrees: It computes no numbers.
    """
    tally = _Tally()
    done, values = 0, len({value for batch in reference.batches for value in batch.values.tolist()})
    for batch in reference.batches:
        actual = compute(batch)[batch.rows, batch.places]
        refuse_no_numbers(actual, computed_by)
        expected = np.asarray(reference.logits[done : done + len(actual)])
        done += len(actual)
        tally.add(expected, actual[:, : expected.shape[1]], batch.values)
        if not is_final and len(tally.other_values) > (1 - AGREEMENT_FLOOR) * values:
            break
    return tally.agreement(reference.texts)


@dataclass
class _Tally:
    """Adds up batches."""

    values: set[int] = field(default_factory=set)
    other_values: set[int] = field(default_factory=set)
    tokens: int = 0
    same_tokens: int = 0
    divergence: float = 0.0
    largest_difference: float = 0.0
    largest_logit: float = 0.0

    def add(self, expected: Logits, actual: Logits, values: NDArray[np.int64]) -> None:
        """Logits of some choices, (choices, vocab_size), and the value of each, (choices,)."""
        same = expected.argmax(1) == actual.argmax(1)
        self.values |= set(values.tolist())
        self.other_values |= set(values[~same].tolist())
        self.tokens += len(same)
        self.same_tokens += int(same.sum())
        self.divergence += float(_divergence(expected, actual).sum())
        self.largest_difference = max(self.largest_difference, float(np.abs(expected - actual).max(initial=0.0)))
        self.largest_logit = max(self.largest_logit, float(np.abs(expected).max(initial=0.0)))

    def agreement(self, texts: int) -> Agreement:
        """What it comes to."""
        return Agreement(
            texts,
            len(self.values),
            len(self.values) - len(self.other_values),
            self.tokens,
            self.same_tokens,
            self.divergence / max(1, self.tokens),
            self.largest_difference,
            self.largest_logit,
        )


def agrees(agreement: Agreement) -> bool:
    """Whether values and tokens are the merged student's."""
    return min(agreement.value_share, agreement.token_share) >= AGREEMENT_FLOOR


def might_agree(agreement: Agreement) -> bool:
    """Whether the 95 % intervals of the agreement hold the floor in tokens and the lower one in values.

    Few rows cannot show a floor: of 30 values, one that flips is 3 %. And a student that is hardly taught hangs between
    two tokens often, of which one makes another value, whatever the form.
    """
    counts = (
        (agreement.same_values, agreement.values, VALUES_FLOOR),
        (agreement.same_tokens, agreement.tokens, AGREEMENT_FLOOR),
    )
    return all(wilson(same, total).high >= floor for same, total, floor in counts if total)


def refuse_other_answers(agreement: Agreement, form: str, hint: str) -> None:
    """Refuses a form that does not answer as the merged student, as far as the rows can show it.

    Args:
        form: Such as `int8`; stands in the message.

    Raises:
        ExportDisagrees: It falls short; says by how much.
    """
    if might_agree(agreement):
        return
    raise ExportDisagrees(
        f"{form} writes {agreement.sentence()} ({agreement.value_share:.1%} and {agreement.token_share:.1%}), at least"
        f" {VALUES_FLOOR:.0%} and {AGREEMENT_FLOOR:.0%} are required; it is"
        f" {agreement.divergence:.4f} nats a token away",
        hint,
    )


def _divergence(expected: Logits, actual: Logits) -> NDArray[np.float64]:
    """KL(expected || actual) of each row of logits, (choices,), in nats."""
    p, q = (_log_softmax(logits) for logits in (expected, actual))
    result: NDArray[np.float64] = (np.exp(p) * (p - q)).sum(axis=1, dtype=np.float64)
    return result


def _log_softmax(logits: Logits) -> Logits:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Logits = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
