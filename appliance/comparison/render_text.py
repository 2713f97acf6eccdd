"""Figures of a comparison as lines for a terminal; every estimate with its interval and sample size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.comparison.figures import ComparisonFigures, FieldFigures, PairFigures, SideFigures
from appliance.ground.text import human_count, human_duration, printable
from appliance.quality.figure import Figure

NAME_CELLS = 20
_MOST_FIELDS = 8


def share(figure: Figure | None) -> str:
    """`93.4 % (91.0 to 95.3)`, or a dash where nothing can be said."""
    return "-" if figure is None or not figure.n else _with_bounds(figure, lambda value: f"{100 * value:.1f}", " %")


def points(figure: Figure) -> str:
    """A difference of shares: `+2.0 points (-0.4 to +4.4)`."""
    return _with_bounds(figure, lambda value: f"{100 * value:+.1f}", " points")


def seconds(figure: Figure) -> str:
    """A duration, down to the microseconds of a fast engine."""
    return _with_bounds(figure, small_duration, "")


def small_duration(value: float) -> str:
    """A duration, with milliseconds below a second."""
    return f"{1000 * value:.3g} ms" if abs(value) < 1 else human_duration(value)


def number(figure: Figure) -> str:
    """Tokens or documents/s."""
    return _with_bounds(figure, lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.3g}", "")


def cash(figure: Figure, currency: str) -> str:
    """Money with its currency."""
    return _with_bounds(figure, lambda value: f"{value:.4g}", f" {currency}")


def _with_bounds(figure: Figure, format_value: Callable[[float], str], unit: str) -> str:
    if not figure.n:
        return "-"
    text = format_value(figure.value) + unit
    if figure.low is None and figure.high is None:
        return f"{text} (no interval)"
    if figure.low == figure.high:
        return f"{text} (always)"
    if figure.low is None or figure.high is None:
        bound = figure.high if figure.low is None else figure.low
        assert bound is not None
        return f"{text} ({'at most' if figure.low is None else 'at least'} {format_value(bound)})"
    return f"{text} ({format_value(figure.low)} to {format_value(figure.high)})"


@dataclass(frozen=True)
class SideFigure:
    """One figure of a side: what it is called, and how it is written."""

    label: str
    short_label: str
    """For a terminal, at most 16 cells."""
    figure_of: Callable[[SideFigures], Figure | None]
    """None where it was not measured."""
    text_of: Callable[[Figure, str], str]
    """The figure in words, from it and the currency of the side."""


SIDE_FIGURES = (
    SideFigure("fields right", "fields right", lambda side: side.field_accuracy, lambda figure, _: share(figure)),
    SideFigure(
        "documents right", "documents right", lambda side: side.document_accuracy, lambda figure, _: share(figure)
    ),
    SideFigure("documents/s", "documents/s", lambda side: side.documents_per_second, lambda figure, _: number(figure)),
    SideFigure("latency, median", "latency p50", lambda side: side.latency_p50, lambda figure, _: seconds(figure)),
    SideFigure(
        "latency, 95th percentile", "latency p95", lambda side: side.latency_p95, lambda figure, _: seconds(figure)
    ),
    SideFigure(
        "prompt tokens per document", "prompt tokens",
        lambda side: side.prompt_tokens, lambda figure, _: number(figure),
    ),
    SideFigure(
        "completion tokens per document", "answer tokens",
        lambda side: side.completion_tokens, lambda figure, _: number(figure),
    ),
    SideFigure(
        "reasoning tokens per document", "reasoning tokens",
        lambda side: side.reasoning_tokens, lambda figure, _: number(figure),
    ),
    SideFigure("money per 1,000 documents", "money per 1,000", lambda side: side.money_per_1000, cash),
)  # fmt: skip


def figure_lines(figures: ComparisonFigures) -> list[str]:
    """The whole comparison."""
    facts = [human_count(figures.documents, "document")]
    if figures.unreadable:
        facts.append(f"{figures.unreadable} more could not be read")
    if figures.gold_documents:
        facts.append(f"right answers for {figures.gold_documents:,}")
    text = [f"comparison {figures.id}: {', '.join(facts)}; intervals are 95 %"]
    for side in figures.sides:
        text += ["", *_side_lines(side)]
    for pair in figures.pairs:
        text += ["", *_pair_lines(pair)]
    return [printable(line) for line in [*text, *figures.tiers]]


def _side_lines(side: SideFigures) -> list[str]:
    effort = f", effort {side.effort}" if side.effort else ""
    failed = ", ".join(f"{count} {name}" for name, count in side.failed.items())
    text = [
        f"{side.name} ({side.kind}{effort})",
        f"  answered           {side.answered:,} of {side.answered + sum(side.failed.values()):,}"
        + (f" ({failed})" if failed else ""),
    ]
    if side.field_accuracy is not None and side.document_accuracy is not None:
        text += [
            f"  fields right       {share(side.field_accuracy)}, n = {side.field_accuracy.n:,}",
            f"  documents right    {share(side.document_accuracy)}, n = {side.document_accuracy.n:,}",
        ]
    text += [f"    {name[:NAME_CELLS]:{NAME_CELLS}} {share(cells)} of {human_count(cells.n, 'cell')}"
             for name, cells in side.columns.items()]  # fmt: skip
    n = f", n = {side.latency_p50.n:,}"
    return [
        *text,
        f"  documents/s        {number(side.documents_per_second)}, n = {side.documents_per_second.n:,}",
        f"  latency p50        {seconds(side.latency_p50)}{n}",
        f"  latency p95        {seconds(side.latency_p95)}{n}",
        f"  tokens/document    prompt {number(side.prompt_tokens)}, completion {number(side.completion_tokens)},"
        f" reasoning {number(side.reasoning_tokens)}, n = {side.prompt_tokens.n:,}",
        f"  per 1,000          {cash(side.money_per_1000, side.currency)}, n = {side.money_per_1000.n:,}",
    ]


def _pair_lines(pair: PairFigures) -> list[str]:
    right = pair.right
    text = [
        f"{pair.first} against {pair.second}",
        f"  same answer        {share(pair.agreement)}, n = {pair.agreement.n:,};"
        f" {human_count(pair.differing, 'document')} differ",
        f"  same fields        {share(pair.field_agreement)}, n = {pair.field_agreement.n:,}",
    ]
    if right.difference is not None and right.document_difference is not None and right.table is not None:
        table = right.table
        what = "judged, differing " if right.basis == "judgements" else ""
        text += [
            f"  difference         {points(right.difference)}, n = {right.difference.n:,}",
            f"  of documents       {points(right.document_difference)}, n = {right.document_difference.n:,},"
            f" exact McNemar p {right.p:.3g}",
            f"  {what}documents right  both {table.both:,}, only {pair.first} {table.only_first:,},"
            f" only {pair.second} {table.only_second:,}, neither {table.neither:,}",
        ]
    text += [_field_line(field.name, field.agreement, field.difference, field.p) for field in _worst(pair)]
    return [*text, f"  verdict            {pair.verdict}"]


def _worst(pair: PairFigures) -> Sequence[FieldFigures]:
    return pair.fields[:_MOST_FIELDS] if len(pair.fields) > 1 else ()


def _field_line(name: str, agreement: Figure, difference: Figure | None, p: float | None) -> str:
    text = f"    {name[:NAME_CELLS]:{NAME_CELLS}} same {share(agreement)}"
    if difference is not None and p is not None:
        text += f", {points(difference)}, p {p:.2g} (Holm)"
    return text
