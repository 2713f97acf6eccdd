"""From the answers of all sides to the figures of the comparison."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from appliance.comparison.figures import FieldFigures, PairFigures, Right, SideFigures
from appliance.comparison.folder import Side
from appliance.comparison.join import ComparedDocument
from appliance.jobs.ledger import FinishedDocument
from appliance.quality.figure import Figure
from appliance.quality.judgements import Choice
from appliance.quality.metrics import Judged, Outcome, by_cluster, judge
from appliance.quality.paired import bootstrap_ratio, holm, paired_shares, quantile_interval
from appliance.quality.readiness import against_teacher
from appliance.quality.statistics import beta_quantile, clustered_wilson, mcnemar_exact, wilson
from appliance.tasks.linecode import Answer

if TYPE_CHECKING:
    from appliance.tasks.task import Task

AGREE, DIFFER, NEITHER = "agree", "differ", "neither"
"""Of two sides on one document: the same answer, another one, or no answer on either side."""

Compared = tuple[str, tuple[str, ...]]
"""Whether two answers agree, and in which fields they do not."""

_BLOCKS = 10
"""Stretches of equal time whose rates give the interval of documents/s."""
_LEAST_PER_BLOCK = 5


def compare_answers(task: "Task", first: Answer | None, second: Answer | None) -> Compared:
    """Compares two answers field by field, by the comparators of the task; a missing answer differs in all fields."""
    from appliance.tasks.values import same

    names = tuple(field.name for field in task.output_fields)
    if first is None and second is None:
        return NEITHER, ()
    if first is None or second is None:
        return DIFFER, names
    if first == second:
        return AGREE, ()
    differing = tuple(
        field.name
        for field in task.output_fields
        if not same(field, first.get(field.name) or None, second.get(field.name) or None)
    )
    return (DIFFER, differing) if differing else (AGREE, ())


def side_figures(
    task: "Task", side: Side, documents: Sequence[ComparedDocument], number: int, work_seconds: Sequence[float]
) -> SideFigures:
    """Figures of one side over the documents that it has answered.

    Args:
        work_seconds: The second of its job's work at which each answer of the job came.
    """
    answers = [answer for document in documents if (answer := document.answers[number]) is not None]
    rows = [answer.row for answer in answers]
    judged = _judged_by_gold(task, documents, number)
    fields = documents_right = None
    if judged:
        sizes = [len(document.outcomes) for document in judged]
        rights = by_cluster(judged, [document.correct for document in judged])
        fields = Figure.of(clustered_wilson(rights, by_cluster(judged, sizes)), sum(sizes))
        documents_right = Figure.of(wilson(sum(document.whole for document in judged), len(judged)), len(judged))
    seconds = [row.seconds for row in rows if row.fields is not None]
    return SideFigures(
        name=side.name,
        kind=side.kind,
        identity=side.identity,
        effort=side.effort,
        answered=len(seconds),
        failed=dict(Counter(row.error or "no_answer" for row in rows if row.fields is None).most_common()),
        field_accuracy=fields,
        document_accuracy=documents_right,
        documents_per_second=_throughput(work_seconds),
        latency_p50=Figure.of(quantile_interval(seconds, 0.5), len(seconds)),
        latency_p95=Figure.of(quantile_interval(seconds, 0.95), len(seconds)),
        prompt_tokens=_mean([row.prompt_tokens for row in rows]),
        completion_tokens=_mean([row.completion_tokens for row in rows]),
        reasoning_tokens=_mean([row.reasoning_tokens for row in rows]),
        money_per_1000=_mean([1000 * money(side, answer) for answer in answers]),
        currency=side.currency,
        columns=_column_figures(task, judged),
    )


def _column_figures(task: "Task", judged: Sequence[Judged]) -> dict[str, Figure]:
    """The cells of records, column by column; nothing where no document has any."""
    figures: dict[str, Figure] = {}
    names = [f"{field.name}.{column}" for field in task.output_fields for column in field.column_names]
    for name in names:
        cells = [document.cells[name] for document in judged if name in document.cells]
        sizes = [each.total for each in cells]
        if sum(sizes):
            rights = [each.right + each.empty for each in cells]
            figures[name] = Figure.of(clustered_wilson(rights, sizes), sum(sizes))
    return figures


def money(side: Side, answer: FinishedDocument) -> float:
    """What one answer costs: what the frontier took, and its time on a machine that is paid by the hour.

    An answer that had been paid for before costs what it cost then. Without money, as where a frontier did not tell its
    tokens, the price is of what is known of them.
    """
    row = answer.row
    machine = row.seconds * side.price_per_hour / 3600
    if answer.money is not None:
        return answer.money + machine
    written = row.completion_tokens + row.reasoning_tokens
    return (row.prompt_tokens * side.input_price + written * side.output_price) / 1e6 + machine


def _judged_by_gold(task: "Task", documents: Sequence[ComparedDocument], number: int) -> list[Judged]:
    """The side's documents that have gold; copies of one file are a cluster."""
    judged: list[Judged] = []
    first_copy: dict[str, int] = {}
    for document in documents:
        answer = document.answers[number]
        if document.gold is not None and answer is not None:
            sha256 = answer.row.sha256
            cluster = None if sha256 is None else first_copy.setdefault(sha256, len(judged))
            judged.append(replace(judge(task, document.name, document.gold, answer.row.fields), cluster=cluster))
    return judged


def _mean(values: Sequence[float]) -> Figure:
    return Figure.of(bootstrap_ratio(values, [1.0] * len(values)), len(values))


def _throughput(work_seconds: Sequence[float]) -> Figure:
    """Documents per second of a job's whole work; the interval is Student's over stretches of equal time."""
    times = sorted(work_seconds)
    if not times or times[-1] <= 0:
        return Figure(0.0, None, None, len(times))
    rate = len(times) / times[-1]
    # Answers that come in a few bursts say nothing about how the rate varies.
    if len(set(times)) < _BLOCKS * _LEAST_PER_BLOCK:
        return Figure(rate, None, None, len(times))
    rates = np.histogram(times, bins=_BLOCKS, range=(0.0, times[-1]))[0] * (_BLOCKS / times[-1])
    # Student's quantile by way of the beta distribution: t^2 / (t^2 + k) is Beta(1/2, k/2).
    share = beta_quantile(0.95, 0.5, (_BLOCKS - 1) / 2)
    student = math.sqrt((_BLOCKS - 1) * share / (1 - share))
    half = student * float(rates.std(ddof=1)) / math.sqrt(_BLOCKS)
    return Figure(rate, max(0.0, rate - half), rate + half, len(times))


def pair_figures(
    task: "Task",
    sides: Sequence[Side],
    documents: Sequence[ComparedDocument],
    number: int,
    choices: Mapping[bytes, Choice],
    margin: float,
) -> PairFigures:
    """The first side against the one of this number, over documents that both have answered.

    Args:
        choices: Path of a document -> what people said of it; used where there is no gold.
    """
    both = [(d, a, b) for d in documents if (a := d.answers[0]) is not None and (b := d.answers[number]) is not None]
    compared = [compare_answers(task, a.row.fields, b.row.fields) for _, a, b in both]
    states = Counter(state for state, _ in compared)
    golden = [document for document, _, _ in both if document.gold is not None]
    judged = [_judged_by_gold(task, golden, side) for side in (0, number)]
    names = [field.name for field in task.output_fields]
    same_fields = [0 if state == NEITHER else len(names) - len(fields) for state, fields in compared]
    if golden:
        right = _right_by_gold(judged[0], judged[1], margin)
    else:
        right = _right_by_judgements([document.path for document, _, _ in both], compared, choices, margin)
    answered = [(a.row, b.row) for _, a, b in both if a.row.fields is not None and b.row.fields is not None]
    return PairFigures(
        first=sides[0].name,
        second=sides[number].name,
        agreement=Figure.of(wilson(states[AGREE], len(both)), len(both)),
        field_agreement=Figure.of(clustered_wilson(same_fields, [len(names)] * len(both)), len(names) * len(both)),
        differing=states[DIFFER],
        right=right,
        fields=_field_figures(names, compared, judged[0], judged[1]),
        money_difference=_mean(money_differences(sides[0], sides[number], both)),
        seconds_difference=_mean([a.seconds - b.seconds for a, b in answered]),
    )


def money_differences(
    first: Side, second: Side, both: Sequence[tuple[ComparedDocument, FinishedDocument, FinishedDocument]]
) -> list[float]:
    """Per 1,000 documents; none where both cost something in two currencies, which have no difference."""
    differ = first.currency != second.currency
    pairs = [(money(first, mine), money(second, other)) for _, mine, other in both]
    if differ and any(mine for mine, _ in pairs) and any(other for _, other in pairs):
        return []
    return [1000 * (mine - other) for mine, other in pairs]


def _right_by_gold(first: Sequence[Judged], second: Sequence[Judged], margin: float) -> Right:
    clusters: dict[object, list[tuple[bool, bool]]] = {}
    for place, (mine, other) in enumerate(zip(first, second, strict=True)):
        key = ("alone", place) if mine.cluster is None else mine.cluster
        clusters.setdefault(key, []).extend(_field_pairs(mine, other))
    fields = paired_shares(list(clusters.values()))
    wholes = paired_shares([[(mine.whole, other.whole)] for mine, other in zip(first, second, strict=True)])
    return Right(
        basis="gold",
        difference=Figure.of(fields.difference, fields.table.units),
        document_difference=Figure.of(wholes.difference, wholes.table.units),
        table=wholes.table,
        p=wholes.p,
        readiness=against_teacher(first, second, margin),
    )


def _field_pairs(first: Judged, second: Judged) -> list[tuple[bool, bool]]:
    return [
        (first.outcomes[name] is Outcome.CORRECT, second.outcomes[name] is Outcome.CORRECT) for name in first.outcomes
    ]


def _right_by_judgements(
    documents: Sequence[bytes], compared: Sequence[Compared], choices: Mapping[bytes, Choice], margin: float
) -> Right:
    """Who is right on the judged documents; agreeing documents are sampled at the judged rate.

    Where both agree, neither is better, whatever is right. All of them beside a few judged ones would make a difference
    look smaller than it is.
    """
    places = zip(documents, compared, strict=True)
    judged = [choices[document] for document, (state, _) in places if state == DIFFER and document in choices]
    judged = [choice for choice in judged if choice is not Choice.SKIP]
    if not judged:
        return Right()
    differing = sum(state == DIFFER for state, _ in compared)
    agreeing = round(sum(state == AGREE for state, _ in compared) * len(judged) / differing)
    right = {
        Choice.A: (True, False),
        Choice.B: (False, True),
        Choice.BOTH: (True, True),
        Choice.NEITHER: (False, False),
    }
    pairs = [right[choice] for choice in judged] + [(True, True)] * agreeing
    shares = paired_shares([[pair] for pair in pairs])
    difference = Figure.of(shares.difference, len(pairs))
    first, second = ([_as_judged(pair[which]) for pair in pairs] for which in (0, 1))
    return Right(
        basis="judgements",
        difference=difference,
        document_difference=difference,
        table=paired_shares([[right[choice]] for choice in judged]).table,
        p=shares.p,
        judged=len(judged),
        readiness=against_teacher(first, second, margin),
    )


def _as_judged(right: bool) -> Judged:
    return Judged("", {"document": Outcome.CORRECT if right else Outcome.SUBSTITUTED}, frozenset())


def _field_figures(
    names: Sequence[str], compared: Sequence[Compared], first: Sequence[Judged], second: Sequence[Judged]
) -> tuple[FieldFigures, ...]:
    """Fields in which the two differ most come first."""
    pairs = {
        name: [
            [(a.outcomes[name] is Outcome.CORRECT, b.outcomes[name] is Outcome.CORRECT)]
            for a, b in zip(first, second, strict=True)
        ]
        for name in names
    }
    shares = {name: paired_shares(outcomes) for name, outcomes in pairs.items() if outcomes}
    adjusted = holm({name: mcnemar_exact(s.table.only_first, s.table.only_second) for name, s in shares.items()})
    figures = []
    for name in names:
        alike = sum(state == AGREE or (state == DIFFER and name not in fields) for state, fields in compared)
        share = shares.get(name)
        figures.append(
            FieldFigures(
                name=name,
                agreement=Figure.of(wilson(alike, len(compared)), len(compared)),
                difference=Figure.of(share.difference, share.table.units) if share else None,
                table=share.table if share else None,
                p=adjusted.get(name),
            )
        )
    return tuple(sorted(figures, key=lambda field: field.agreement.value))
