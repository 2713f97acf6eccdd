"""Lists of records beside each other."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from appliance.tasks.linecode import Record
from appliance.tasks.record_matching import ColumnCounts, assignment, match_records
from appliance.tasks.task import Comparator, Field, FieldType
from appliance.tasks.values import same

ITEMS = Field(
    "items", FieldType.RECORDS, comparator=Comparator.RECORDS,
    columns=(Field("what"), Field("amount", FieldType.AMOUNT, comparator=Comparator.AMOUNT)),
)  # fmt: skip


def record(what: str | None, amount: str | None) -> Record:
    return {"what": what, "amount": amount}


GOLD = [record("Nut", "4.00"), record("Bolt", "3.50"), record("Gear", None)]


def test_records_match_whatever_their_order_and_the_form_of_their_cells() -> None:
    written = [record("gear", None), record("BOLT ", "€ 3,50"), record("nut", "4")]
    match = match_records(ITEMS, GOLD, written)
    assert match.is_equal
    assert match.pairs == ((0, 2), (1, 1), (2, 0))
    assert same(ITEMS, GOLD, written)


def test_cells_are_counted_by_pair_and_records_without_a_partner_too() -> None:
    written = [record("nut", "9.00"), record("bolt", None), record("spring", "1.00")]
    match = match_records(ITEMS, GOLD, written)
    assert not match.is_equal
    assert match.pairs == ((0, 0), (1, 1), (2, None), (None, 2))
    assert match.columns == {
        "what": ColumnCounts(right=2, omitted=1, invented=1, substituted=0, empty=0),
        "amount": ColumnCounts(right=0, omitted=1, invented=1, substituted=1, empty=1),
    }
    assert not same(ITEMS, GOLD, written)


@pytest.mark.parametrize(
    ("one", "other"), [([], [record("a", "1")]), ([record("a", "1")], []), (GOLD, GOLD[:2]), (GOLD, [*GOLD, GOLD[0]])]
)
def test_a_record_too_many_or_too_few_is_a_difference(one: list[Record], other: list[Record]) -> None:
    assert not match_records(ITEMS, one, other).is_equal


def test_assignment_costs_as_little_as_that_of_another_library() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        cost = generator.integers(-5, 6, generator.integers(1, 9, 2)).astype(float)
        places = assignment(cost)
        rows, columns = linear_sum_assignment(cost)
        assert sum(cost[row, place] for row, place in enumerate(places) if place >= 0) == cost[rows, columns].sum()
        taken = [place for place in places if place >= 0]
        assert len(taken) == len(set(taken)) == min(cost.shape)


def test_thousands_of_records_are_matched_in_time() -> None:
    gold = [record(f"part {number}", str(number)) for number in range(3000)]
    written = [record(f"part {number}", str(number + (number % 10 == 0))) for number in reversed(range(3000))]
    match = match_records(ITEMS, gold, written)
    assert match.columns["what"].right == 3000
    assert match.columns["amount"].right == 2700
