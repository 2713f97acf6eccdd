"""What a student of one's own saves against a frontier, when it has paid for itself, and whether a dearer tier pays."""

from dataclasses import dataclass

DAYS_A_YEAR = 365
MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class Costs:
    """Money, all in one currency."""

    documents_a_day: float
    frontier_document: float
    """Of one document answered by the frontier."""
    making: float = 0.0
    """Once: the teacher's answers, people's time, training."""
    running_a_year: float = 0.0
    """The machine, power and care of the student."""
    escalated: float = 0.0
    """Share of the documents that still go to the frontier."""


@dataclass(frozen=True)
class BreakEven:
    """A year with the frontier, and with the student."""

    frontier_a_year: float
    student_a_year: float
    """Without the making."""
    saved_a_month: float
    months: float | None
    """Until the making is paid for; None where it never is."""
    documents_a_month: float | None
    """From which the student is the cheaper one, the making apart; None where it never is."""

    def lines(self, currency: str) -> list[str]:
        """For a terminal."""
        lines = [
            f"a year      {self.frontier_a_year:,.0f} {currency} with the frontier,"
            f" {self.student_a_year:,.0f} {currency} with the student",
            f"saved       {self.saved_a_month:,.0f} {currency} a month",
        ]
        if self.months is None:
            lines.append("break-even  never: the student costs more than it saves")
        else:
            lines.append(f"break-even  after {self.months:.1f} months")
        if self.documents_a_month is not None:
            lines.append(f"            cheaper from {self.documents_a_month:,.0f} documents a month")
        return lines


def break_even(costs: Costs) -> BreakEven:
    """Compares a year of both."""
    documents = costs.documents_a_day * DAYS_A_YEAR
    frontier = documents * costs.frontier_document
    student = costs.running_a_year + costs.escalated * frontier
    saved = (frontier - student) / MONTHS_A_YEAR
    months = None if saved <= 0 else costs.making / saved
    per_document = costs.frontier_document * (1 - costs.escalated)
    from_documents = costs.running_a_year / MONTHS_A_YEAR / per_document if per_document > 0 else None
    return BreakEven(frontier, student, saved, months, from_documents)


@dataclass(frozen=True)
class Tier:
    """A way to be answered."""

    name: str
    accuracy: float
    """Share of documents that are right."""
    money_per_1000: float
    seconds: float
    """Median latency."""


WORTH_TIMES = 100
"""So many answers of the first tier are what a right document counts as worth where nobody says its worth."""


def tier_lines(tiers: list[Tier], currency: str, worth: float | None = None) -> list[str]:
    """What each further tier gains over the first, at what price, and whether that pays.

    Args:
        worth: What one more right document is worth.
    """
    first, lines = tiers[0], []
    for tier in tiers[1:]:
        gain, extra = tier.accuracy - first.accuracy, (tier.money_per_1000 - first.money_per_1000) / 1000
        times = tier.money_per_1000 / first.money_per_1000 if first.money_per_1000 > 0 else None
        cost = "no price" if times is None else f"{100 * (times - 1):+.0f} %"
        slower = f"{tier.seconds / first.seconds:.3g} times the latency" if first.seconds > 0 else "latency unknown"
        text = f"{tier.name}: {100 * gain:+.1f} points, {cost} cost, {slower}: "
        if gain <= 0:
            lines.append(text + "not worth it: it is no better")
            continue
        if extra <= 0:
            lines.append(text + "worth it: better, and no more expensive")
            continue
        price = extra / gain
        limit = worth if worth is not None else WORTH_TIMES * first.money_per_1000 / 1000
        basis = "is worth" if worth is not None else f"counts as worth {WORTH_TIMES} answers,"
        verdict = "worth it" if limit > price else "not worth it"
        why = f"each further right document costs {price:.3g} {currency} and {basis} {limit:.3g}"
        lines.append(f"{text}{verdict}: {why}")
    return lines
