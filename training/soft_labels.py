"""How sure a teacher is of its labels and values: by the probabilities that it tells, else by asking it several times.

What a teacher offers is found by asking: endpoints refuse probabilities, or pass over the wish. Where it tells them, a
row has the probability of each label that it named; where it does not, each of several answers to the same document is
a vote. What is missing to 1, by labels that were not named or answers that failed, is that of anything else and is
given to nobody. Of fields a row has the share of the answers that say the same.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from appliance.engines.engine import Result
from appliance.engines.frontier_logprobs import MOST_ALTERNATIVES
from appliance.routing.egress import EgressOptions
from appliance.tasks.labels import LabelledRow
from appliance.tasks.task import Task, TaskKind
from appliance.tasks.values import same

if TYPE_CHECKING:
    from appliance.documents.sandbox import ReadReply
    from appliance.tasks.linecode import Answer

LEAST_SHARE = 1e-4
"""Of a label that a row keeps."""
VOTING_TEMPERATURE = 0.7
"""Answers at a temperature of nought are one vote."""


class Soft(StrEnum):
    """Whence soft labels come."""

    OFF = "off"
    """One answer, and nothing said of how sure it is."""
    AUTO = "auto"
    """Probabilities where the teacher tells them, else votes where several answers are wanted, else none."""
    LOGPROBS = "logprobs"
    VOTES = "votes"


@dataclass(frozen=True)
class SoftOptions:
    """What a command wants of them."""

    way: Soft = Soft.OFF
    samples: int = 1
    """Answers to each document, where they vote."""


def _can_tell_labels(task: Task) -> bool:
    return task.kind is TaskKind.CLASSIFY and not task.multi_label


def probed_way(
    task: Task, wanted: SoftOptions, options: EgressOptions, ask: Callable[[EgressOptions], Result | None]
) -> tuple[Soft, str]:
    """How soft labels are had, and why so in words; asks the teacher once where that has to be found out.

    Args:
        ask: Lets the teacher answer one document under these options; None where there is none.
    """
    if wanted.way is Soft.OFF:
        return Soft.OFF, ""
    if wanted.way is Soft.VOTES or not _can_tell_labels(task):
        if wanted.samples > 1:
            return Soft.VOTES, f"votes of {wanted.samples} answers to each document"
        return Soft.OFF, "hard: votes need several answers, see --samples"
    result = ask(request_options(options, Soft.LOGPROBS, wanted))
    if result is not None and result.label_shares:
        return Soft.LOGPROBS, "soft: the teacher tells the probabilities of its tokens"
    why = "it tells no probabilities"
    if result is not None and result.answer is None:
        why = f"it refuses to tell probabilities ({result.error}: {result.error_message})"
    if result is None:
        return Soft.OFF, "hard: no document could be read to ask what the teacher offers"
    if wanted.samples > 1:
        return Soft.VOTES, f"votes of {wanted.samples} answers to each document: {why}"
    return Soft.OFF, f"hard: {why}; --samples N lets N answers vote"


def request_options(options: EgressOptions, way: Soft, wanted: SoftOptions) -> EgressOptions:
    """How the teacher is asked."""
    if way is Soft.LOGPROBS:
        return replace(options, top_logprobs=MOST_ALTERNATIVES)
    return replace(options, temperature=VOTING_TEMPERATURE) if way is Soft.VOTES else options


def row_of_samples(task: Task, name: str, reply: "ReadReply", results: Sequence[Result]) -> LabelledRow | None:
    """The row of one document of all answers to it; None where none is an answer.

    Of several answers the one counts with which the others agree most.
    """
    answered = [(result, result.answer) for result in results if result.answer is not None]
    if not answered:
        return None
    agreed = [_agreement(task, answer, [other for _, other in answered], len(results)) for _, answer in answered]
    best = max(range(len(answered)), key=lambda number: (sum(agreed[number].values()), -number))
    result, answer = answered[best]
    labels, agreement = None, {}
    if _can_tell_labels(task):
        (field,) = task.output_fields
        shares = dict(result.label_shares)
        if len(results) > 1:
            votes = Counter(str(other.get(field.name)) for _, other in answered)
            shares = {label: count / len(results) for label, count in votes.items()}
        labels = {label: share for label, share in shares.items() if share >= LEAST_SHARE} or None
    elif len(results) > 1:
        agreement = agreed[best]
    return LabelledRow(
        name, reply.text, answer, reply.sha256 or "", labels, provenance=_provenance(result, results),
        agreement=agreement,
    )  # fmt: skip


def _agreement(task: Task, answer: "Answer", others: Sequence["Answer"], count: int) -> dict[str, float]:
    """Field -> share of all answers that say the same; one that failed says nothing."""
    return {
        field.name: sum(
            same(field, answer.get(field.name) or None, other.get(field.name) or None) for other in others
        ) / count
        for field in task.output_fields
    }  # fmt: skip


def _provenance(result: Result, results: Sequence[Result]) -> dict[str, str]:
    """What the row says of who answered and what it took."""
    money = [each.money for each in results]
    values = {
        "served": result.served, "fingerprint": result.fingerprint,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "samples": str(len(results)) if len(results) > 1 else "",
        "prompt_tokens": str(sum(each.prompt_tokens for each in results)),
        "completion_tokens": str(sum(each.completion_tokens for each in results)),
        "reasoning_tokens": str(sum(each.reasoning_tokens for each in results) or ""),
        "seconds": f"{sum(each.seconds for each in results):.3f}",
        "money": "" if None in money else f"{sum(each or 0.0 for each in money):.8g}",
    }  # fmt: skip
    return {key: value for key, value in values.items() if value}
