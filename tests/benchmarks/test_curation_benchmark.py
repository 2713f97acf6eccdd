"""The benchmark of the curation: mistakes are planted as they are named, and counted where they are found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.tasks.labels import LabelledRow
from appliance.tasks.task import Field, FieldType, Task, TaskKind
from appliance.tasks.values import plain
from benchmarks.curation_mistakes import KINDS, plant

TASK = Task(
    2, "orders", TaskKind.EXTRACT, "Read the order",
    fields=(
        Field("number"), Field("customer"), Field("items", type=FieldType.LIST),
        Field("kind", type=FieldType.ENUM, values=("new", "again")),
    ),
)  # fmt: skip
COMMAND = Path(__file__).parents[2] / "benchmarks"


def row(number: int) -> LabelledRow:
    items = [f"bolt {number}", f"nut M{number}"]
    answer = {"number": f"N-{1000 + number}", "customer": f"Mills {number} Ltd", "items": items, "kind": "new"}
    text = f"Order N-{1000 + number} of Mills {number} Ltd\n" + "\n".join(items) + "\nwith thanks, a new customer"
    return LabelledRow(f"{number}.txt", text, answer)


def test_each_kind_of_mistake_is_planted_once_to_an_answer() -> None:
    rows = [row(number) for number in range(200)]
    spoilt, planted = plant(TASK, rows, 0.5, 1)
    assert len(planted) == 100
    assert {each.kind for each in planted.values()} == set(KINDS)
    for number, (before, after) in enumerate(zip(rows, spoilt, strict=True)):
        changed = {name for name in before.answer if before.answer[name] != after.answer[name]}
        assert changed == set(planted[number].fields if number in planted else ())
        if number in planted and planted[number].kind == "missing":
            assert all(after.answer[name] is None for name in changed)
        if number in planted and planted[number].kind == "cut":
            (name,) = changed
            assert plain(str(before.answer[name])) != plain(str(after.answer[name]))
    assert plant(TASK, rows, 0.5, 1) == (spoilt, planted)


@pytest.mark.parametrize("name", ["curation.py", "review.py"])
def test_recorded_figures_are_shown_without_a_run(name: str) -> None:
    command = [sys.executable, str(COMMAND / name), "--recorded", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    table, figures = done.stdout.splitlines(), json.loads(done.stdout.splitlines()[-1])
    assert table[0].startswith("| ")
    expected = {"clean_lost_median", "recall", "gain"} if name == "curation.py" else {"plain", "ranked_24", "gain_12"}
    assert expected <= set(figures)
