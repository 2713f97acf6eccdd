"""The verdict of a pair: one sentence with the numbers and the next thing to do."""

import pytest

from appliance.comparison.figures import PairFigures, Right
from appliance.comparison.folder import Side
from appliance.comparison.metrics import money_differences
from appliance.jobs.ledger import FinishedDocument
from appliance.jobs.rows import Route, Row
from appliance.quality.figure import Figure
from appliance.quality.readiness import Decision, Readiness

SAME = Figure(1.0, 1.0, 1.0, 10)


def pair(right: Right, differing: int = 40) -> PairFigures:
    return PairFigures("small", "big", SAME, SAME, differing, right, (), SAME, SAME)


def undecided(basis: str, judged: int, documents: int, more: int) -> Right:
    readiness = Readiness(Decision.NEED_MORE, more, "teacher", -0.5, -0.905, 0.486, -0.02, documents, documents, 1.0)
    return Right(basis, Figure(-0.5, -0.905, 0.486, documents), judged=judged, readiness=readiness)


@pytest.mark.parametrize(
    ("right", "verdict"),
    [
        (
            Right(),
            "nothing says who is right on the 40 documents that differ: give right answers with --labels, or judge",
        ),
        (
            undecided("judgements", judged=2, documents=20, more=131),
            "too early to say within 2 points: -50.0 points (-90.5 to +48.6), 2 judged documents; judge about 14 more",
        ),
        (
            undecided("judgements", judged=2, documents=4, more=131),
            "about 66 more judgements would decide it, but only 38 differing documents can still be judged: compare",
        ),
        (
            undecided("gold", judged=0, documents=4, more=131),
            "(-90.5 to +48.6), 4 fields; give right answers for about 131 more documents",
        ),
    ],
    ids=["nobody-says", "judge-more", "compare-more", "label-more"],
)
def test_an_open_verdict_names_the_next_thing_to_do(right: Right, verdict: str) -> None:
    assert verdict in pair(right).verdict


def test_money_of_two_currencies_has_no_difference() -> None:
    def side(currency: str, price_per_hour: float = 0.0) -> Side:
        return Side("a", "frontier", "b", "c", True, price_per_hour=price_per_hour, currency=currency)

    def answer(money: float) -> FinishedDocument:
        return FinishedDocument("1", None, Row("1", None, Route.FRONTIER, "m"), money=money)  # type: ignore[arg-type]

    both = [(None, answer(0.002), answer(0.001))]
    assert money_differences(side("EUR"), side("EUR"), both) == [1.0]  # type: ignore[arg-type]
    assert money_differences(side("EUR"), side("USD"), both) == []  # type: ignore[arg-type]
    free = [(None, answer(0.002), answer(0.0))]
    assert money_differences(side("EUR"), side("USD"), free) == [2.0]  # type: ignore[arg-type]
