"""The child of an engine gets the task that its supervisor has read."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import ROOT_DIR

from appliance.answering.engine_process import task_from_message
from appliance.tasks.dates import DateOrder
from appliance.tasks.task import Comparator, Field, FieldType, InputLimits, LongDocumentPolicy, Student, Targets, Task
from appliance.tasks.task import TaskKind as Kind
from appliance.tasks.taskfile import load_task

WHOLE = Task(
    1, "orders", Kind.EXTRACT, "Lies den Auftrag \u2028 genau",
    (
        Field("state", FieldType.ENUM, True, "derived", Comparator.ENUM, 2.5, "state of it", ("open", "done")),
        Field("day", FieldType.DATE, comparator=Comparator.DATE, locale="de", date_order=DateOrder.MONTH_FIRST),
        Field("parts", FieldType.LIST, comparator=Comparator.LIST),
    ),
    ("a", "b"), "none", InputLimits(512, LongDocumentPolicy.WINDOW), "internal", "gpt",
    Targets(0.02, 0.9), ("state",), Student("encoder", "base", 256),
)  # fmt: skip


def test_task_arrives_as_it_was_sent() -> None:
    assert task_from_message(json.loads(json.dumps(asdict(WHOLE)))) == WHOLE


@pytest.mark.parametrize(
    "path", sorted((ROOT_DIR / "examples" / "tasks").rglob("*.toml")), ids=lambda path: path.parent.name
)
def test_tasks_of_the_examples_arrive(path: Path) -> None:
    task = load_task(path)
    arrived = task_from_message(json.loads(json.dumps(asdict(task))))
    assert arrived == task
    assert [type(each.type) for each in arrived.fields] == [type(each.type) for each in task.fields]
