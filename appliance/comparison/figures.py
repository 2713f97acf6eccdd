"""Figures of a comparison: of each side, and of each further side against the first, with intervals and sample sizes.

`metrics.py` makes them.
"""

import math
from dataclasses import asdict, dataclass, field

from appliance.ground.text import human_count
from appliance.quality.figure import Figure
from appliance.quality.paired import PairTable
from appliance.quality.readiness import Readiness


@dataclass(frozen=True)
class SideFigures:
    """One side."""

    name: str
    kind: str
    """`local` or `frontier`."""
    identity: str
    effort: str | None
    answered: int
    failed: dict[str, int]
    """Documents without an answer, by error class."""
    field_accuracy: Figure | None
    """Against gold; None without gold."""
    document_accuracy: Figure | None
    documents_per_second: Figure
    latency_p50: Figure
    """Seconds in the engine, or until the frontier had answered."""
    latency_p95: Figure
    prompt_tokens: Figure
    """Per document, like all tokens."""
    completion_tokens: Figure
    """Without reasoning."""
    reasoning_tokens: Figure
    money_per_1000: Figure
    currency: str
    columns: dict[str, Figure] = field(default_factory=dict)
    """Of records, by `field.column`: share of the cells that are right by gold; documents are the clusters."""


@dataclass(frozen=True)
class FieldFigures:
    """One field: how often the two sides agree, and where there is gold, which is right more often."""

    name: str
    agreement: Figure
    difference: Figure | None
    """Accuracy of the first minus that of the second."""
    table: PairTable | None
    p: float | None
    """Exact McNemar, adjusted by Holm over the fields."""


@dataclass(frozen=True)
class Right:
    """Who of two sides is right more often, and what says so."""

    basis: str = ""
    """`gold`, `judgements`, or empty where nothing tells who is right."""
    difference: Figure | None = None
    """Share that is right, first minus second: of fields against gold, of documents by judgements."""
    document_difference: Figure | None = None
    table: PairTable | None = None
    """Documents that are right as a whole."""
    p: float | None = None
    """Exact McNemar over documents, two-sided."""
    judged: int = 0
    """Documents that differ and have a judgement that counts."""
    readiness: Readiness | None = None
    """Whether the first is as good as the second."""


@dataclass(frozen=True)
class PairFigures:
    """The first side against another one, on the documents that both have answered."""

    first: str
    second: str
    agreement: Figure
    """Share of documents with the same answer in every field; documents that neither side answered count against."""
    field_agreement: Figure
    differing: int
    right: Right
    fields: tuple[FieldFigures, ...]
    money_difference: Figure
    """Per 1,000 documents, first minus second."""
    seconds_difference: Figure
    """Mean latency, first minus second."""

    @property
    def verdict(self) -> str:
        """Who is better, in one sentence with the numbers."""
        right = self.right
        if right.difference is None or right.readiness is None:
            if not self.differing:
                return "no document is answered differently"
            return (
                f"nothing says who is right on the {human_count(self.differing, 'document')} that differ:"
                " give right answers with --labels, or judge them"
            )
        low, high = _bounds(right.difference)
        points = f"{100 * right.difference.value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
        if right.basis == "judgements":
            basis = human_count(right.judged, "judged document")
        else:
            basis = human_count(right.difference.n, "field")
        conclusion, advice = self._conclusion(right.readiness, low, high)
        return f"{conclusion}: {points}, {basis}" + (f"; {advice}" if advice else "")

    def _conclusion(self, readiness: Readiness, low: float, high: float) -> tuple[str, str]:
        """Who is better, and what to do where it cannot be said yet."""
        margin = f"{-100 * readiness.threshold:g} points"
        if low > 0:
            return f"{self.first} is right more often than {self.second}", ""
        if readiness.ready:
            return f"{self.first} is as good as {self.second} within {margin}", ""
        if high < 0:
            return f"{self.second} is right more often than {self.first}", ""
        if not readiness.more:
            return f"{self.first} is not as good as {self.second} within {margin}", ""
        open_verdict = f"too early to say within {margin}"
        if self.right.basis == "gold":
            return open_verdict, f"give right answers for about {human_count(readiness.more, 'more document')}"
        # The need counts agreeing documents too, which nobody judges.
        judgements = math.ceil(readiness.more * self.right.judged / readiness.documents)
        open_documents = self.differing - self.right.judged
        if judgements > open_documents:
            left = "every differing document is judged"
            if open_documents:
                left = f"only {human_count(open_documents, 'differing document')} can still be judged"
            needed = f"about {human_count(judgements, 'more judgement')} would decide it"
            return open_verdict, f"{needed}, but {left}: compare more documents"
        return open_verdict, f"judge about {human_count(judgements, 'more document')}"


def _bounds(figure: Figure) -> tuple[float, float]:
    return -1.0 if figure.low is None else figure.low, 1.0 if figure.high is None else figure.high


@dataclass(frozen=True)
class ComparisonFigures:
    """All of it."""

    id: str
    task: str
    documents: int
    """That were read, so that every side could answer."""
    unreadable: int
    gold_documents: int
    margin: float
    sides: tuple[SideFigures, ...]
    pairs: tuple[PairFigures, ...]
    tiers: tuple[str, ...] = field(default=())
    """Whether each further side pays, in words; only where that was asked."""

    def record(self) -> dict[str, object]:
        """For JSON."""
        return {
            **asdict(self),
            "pairs": [{**asdict(pair), "verdict": pair.verdict} for pair in self.pairs],
        }
