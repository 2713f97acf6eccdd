"""Two lists of records beside each other: which record of one is which of the other, and which columns differ.

Records are paired so that most columns agree, whatever their order: the assignment with the least cost (Hungarian
method, in the form of Jonker and Volgenant 1987).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.tasks.linecode import Record
from appliance.tasks.task import Field
from appliance.tasks.values import equal_records, normalise, same

MOST_PAIRED = 400
"""Records of a list, without those that stand in both alike, that are paired by the assignment; of more, in order."""


@dataclass(frozen=True)
class ColumnCounts:
    """What became of one column over all records, those without a partner too."""

    right: int
    """Cells of both that have the same value."""
    omitted: int
    """Cells that only the first list has."""
    invented: int
    """Cells that only the second list has."""
    substituted: int
    """Cells that both have, and that differ."""
    empty: int
    """Cells of pairs that have no value in either."""

    @property
    def total(self) -> int:
        """Cells of pairs, and of records without a partner."""
        return self.right + self.omitted + self.invented + self.substituted + self.empty

    @property
    def is_equal(self) -> bool:
        """Whether no cell differs."""
        return not (self.omitted or self.invented or self.substituted)


@dataclass(frozen=True)
class RecordMatch:
    """The pairing of two lists."""

    pairs: tuple[tuple[int | None, int | None], ...]
    """Numbers of the records of both lists, in the order of the first; None where one has no partner."""
    columns: dict[str, ColumnCounts]
    is_equal: bool
    """Whether each record has a partner that is the same in every column."""


def match_records(field: Field, gold: Sequence[Record], written: Sequence[Record]) -> RecordMatch:
    """Pairs records, those that are equal first."""
    partners = equal_records(field, gold, written)
    taken = set(partners.values())
    left = [number for number in range(len(gold)) if number not in partners]
    free = [number for number in range(len(written)) if number not in taken]
    partners |= _likeliest_pairs(field, gold, written, left, free)
    taken = set(partners.values())
    pairs: list[tuple[int | None, int | None]] = [(number, partners.get(number)) for number in range(len(gold))]
    pairs += [(None, number) for number in range(len(written)) if number not in taken]
    columns = {column.name: _counts(column, gold, written, pairs) for column in field.columns}
    is_equal = len(gold) == len(written) and all(counts.is_equal for counts in columns.values())
    return RecordMatch(tuple(pairs), columns, is_equal)


def _likeliest_pairs(
    field: Field, gold: Sequence[Record], written: Sequence[Record], left: list[int], free: list[int]
) -> dict[int, int]:
    """Pairs of the others by how many columns agree; records that agree in none are no pair."""
    if not left or not free:
        return {}
    agree = np.zeros((len(left), len(free)), dtype=np.float64)
    if max(agree.shape) > MOST_PAIRED:
        return dict(zip(left, free, strict=False))
    for column in field.columns:
        agree += _agreement(
            column, [gold[n].get(column.name) for n in left], [written[n].get(column.name) for n in free]
        )
    return {
        left[row]: free[place] for row, place in enumerate(assignment(-agree)) if place >= 0 and agree[row, place] > 0
    }


def _agreement(column: Field, one: Sequence[str | None], other: Sequence[str | None]) -> NDArray[np.float64]:
    """(one, other): 1 where both have the same value; a column in which both have none says nothing."""
    agree = np.zeros((len(one), len(other)), dtype=np.float64)
    places: defaultdict[object, list[int]] = defaultdict(list)
    for number, value in enumerate(other):
        if value:
            places[normalise(column, value)].append(number)
    for row, value in enumerate(one):
        for number in places.get(normalise(column, value), ()) if value else ():
            agree[row, number] = value == other[number] or same(column, value, other[number])
    return agree


def _counts(
    column: Field,
    gold: Sequence[Record],
    written: Sequence[Record],
    pairs: Sequence[tuple[int | None, int | None]],
) -> ColumnCounts:
    tally: Counter[str] = Counter()
    for one, other in pairs:
        truth = gold[one].get(column.name) if one is not None else None
        value = written[other].get(column.name) if other is not None else None
        if truth and value:
            tally["right" if same(column, truth, value) else "substituted"] += 1
        else:
            tally["omitted" if truth else "invented" if value else "empty"] += 1
    return ColumnCounts(*(tally[name] for name in ("right", "omitted", "invented", "substituted", "empty")))


def assignment(cost: NDArray[np.float64]) -> list[int]:
    """The column of each row so that the sum of costs is least; -1 for rows that are left over.

    Shortest augmenting paths, O(n^3).

    Args:
        cost: (rows, columns).
    """
    rows, columns = cost.shape
    if rows > columns:
        places = assignment(cost.T)
        partner = {place: number for number, place in enumerate(places)}
        return [partner.get(row, -1) for row in range(rows)]
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    row_of = np.zeros(columns + 1, dtype=np.int64)
    """Row, from 1, that has each column; column 0 stands for the row that is being placed."""
    for row in range(1, rows + 1):
        row_of[0], at = row, 0
        least, before = np.full(columns + 1, np.inf), np.zeros(columns + 1, dtype=np.int64)
        is_done = np.zeros(columns + 1, dtype=bool)
        while row_of[at]:
            is_done[at] = True
            current = row_of[at]
            reduced = cost[current - 1] - row_price[current] - column_price[1:]
            is_better = ~is_done[1:] & (reduced < least[1:])
            least[1:][is_better], before[1:][is_better] = reduced[is_better], at
            open_columns = np.flatnonzero(~is_done[1:]) + 1
            following = int(open_columns[np.argmin(least[open_columns])])
            delta = least[following]
            row_price[row_of[is_done]] += delta
            column_price[is_done] -= delta
            least[~is_done] -= delta
            at = following
        while at:
            row_of[at], at = row_of[before[at]], before[at]
    places = [-1] * rows
    for column in range(1, columns + 1):
        if row_of[column]:
            places[row_of[column] - 1] = column - 1
    return places
