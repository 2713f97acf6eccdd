"""Records and lists of windows, made one."""

from dataclasses import replace

import pytest

from appliance.engines.engine import Result
from appliance.engines.window_joining import Window, join
from appliance.engines.windows import cut
from appliance.tasks.linecode import Record
from appliance.tasks.task import Comparator, Field, FieldType, Task, TaskKind
from appliance.tasks.window_answer import PlacedAnswer

ITEMS = Field(
    "items", FieldType.RECORDS, comparator=Comparator.RECORDS,
    columns=(Field("what"), Field("count", FieldType.INTEGER, comparator=Comparator.INTEGER)),
)  # fmt: skip
PARTS = Field("parts", FieldType.LIST, comparator=Comparator.LIST)
TASK = Task(2, "t", TaskKind.EXTRACT, "Read", (ITEMS, PARTS))


def windows_of(text: str, records: list[Record], size: int, overlap: int) -> list[Window]:
    """Windows as a reader without a fault answers them."""
    placed = PlacedAnswer(TASK, {"items": records, "parts": None}, text)
    return [
        Window(start, end, Result("", placed.within(start, end), {"items": 0.9}))
        for start, end in cut(text, size, overlap)
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 10, 300, 3000])
@pytest.mark.parametrize(("size", "overlap"), [(400, 100), (1000, 250), (400, 0)])
def test_every_record_comes_once_however_many_windows_see_it(count: int, size: int, overlap: int) -> None:
    records: list[Record] = [{"what": f"part {number % 7} of kit", "count": str(number)} for number in range(count)]
    text = "".join(f"{record['what']}   {record['count']}\n" for record in records)
    joined = join(TASK, text, windows_of(text, records, size, overlap))
    assert joined.answer is not None
    assert joined.answer["items"] == records
    assert joined.confidence == {"items": 0.9}


def test_records_that_are_not_printed_come_once_too() -> None:
    derived = replace(ITEMS, columns=tuple(replace(column, evidence="derived") for column in ITEMS.columns))
    answer = {"items": [{"what": "a", "count": "1"}], "parts": None}
    windows = [Window(start, start + 10, Result("", dict(answer))) for start in (0, 8)]
    joined = join(replace(TASK, fields=(derived, PARTS)), "x" * 18, windows)
    assert joined.answer == answer


def test_a_list_has_the_entries_of_all_windows_as_they_are_written_first() -> None:
    parts = [["Nut", "bolt"], None, ["nut ", "gear"]]
    windows = [Window(10 * n, 10 * n + 10, Result("", {"items": None, "parts": each})) for n, each in enumerate(parts)]
    joined = join(TASK, "x" * 30, windows)
    assert joined.answer == {"items": None, "parts": ["Nut", "bolt", "gear"]}
