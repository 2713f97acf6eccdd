"""The child of an engine gets the task that its supervisor has read."""

import json
from dataclasses import asdict
from multiprocessing import Pipe
from pathlib import Path

import pytest
from conftest import ROOT_DIR

from appliance.answering import engine_process
from appliance.answering.engine_process import serve_engine, task_from_message
from appliance.ground import child
from appliance.ground.errors import ApplianceError
from appliance.tasks.dates import DateOrder
from appliance.tasks.task import (
    Comparator,
    Field,
    FieldType,
    InputLimits,
    LongDocumentPolicy,
    Rule,
    Student,
    Targets,
    Task,
)
from appliance.tasks.task import TaskKind as Kind
from appliance.tasks.taskfile import load_task

WHOLE = Task(
    1, "orders", Kind.EXTRACT, "Lies den Auftrag \u2028 genau",
    (
        Field("state", FieldType.ENUM, True, "derived", Comparator.ENUM, 2.5, "state of it", ("open", "done")),
        Field("day", FieldType.DATE, comparator=Comparator.DATE, locale="de", date_order=DateOrder.MONTH_FIRST),
        Field("parts", FieldType.LIST, comparator=Comparator.LIST, examples=("a", "b"), pattern="x"),
        Field(
            "lines", FieldType.RECORDS, comparator=Comparator.RECORDS,
            columns=(Field("net", FieldType.AMOUNT, comparator=Comparator.AMOUNT),),
        ),
    ),
    ("a", "b"), "none", True, InputLimits(512, LongDocumentPolicy.WINDOW), "internal", "gpt",
    Targets(0.02, 0.9), ("state",), (Rule("adds", "sum(lines.net) == 1"),), Student("encoder", "base", 256),
)  # fmt: skip


class Gone(BaseException):
    """As the panic of a library in Rust, which is no Exception."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ApplianceError("no room for 5 tokens"), "no room for 5 tokens"),
        (Gone("vocabulary\n of\ud83d 0"), "Gone: vocabulary of? 0"),
        (MemoryError(), "MemoryError"),
        (ValueError("x" * 900), "ValueError: " + "x" * 288),
    ],
)
def test_engine_says_what_it_fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException, reason: str) -> None:
    def fail(*_: object) -> None:
        raise error

    ours, theirs = Pipe()
    monkeypatch.setattr(engine_process, "_serve", fail)
    with pytest.raises(type(error)):
        serve_engine(theirs)
    assert child.receive(ours) == {"failed": reason}


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
