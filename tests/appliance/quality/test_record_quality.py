"""Records and rules in the gate's report: column by column, and what a rule finds of what is wrong."""

from pathlib import Path

import pytest

from appliance.engines.engine import Result
from appliance.models.manifest import read_manifest
from appliance.quality.gate import judge_results
from appliance.quality.manifest_metrics import measured_lines
from appliance.quality.report import Findings
from appliance.tasks.labels import LabelledRow
from appliance.tasks.linecode import Answer, Record
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task
from tests.appliance.jobs.test_record_jobs import TASK, bench_of, lines_of, page

NUT: Record = {"what": "nut", "price": "2.00"}
BOLT: Record = {"what": "bolt", "price": "3.50"}
GOLD: Answer = {"number": "17", "net": "5.50", "items": [NUT, BOLT]}


@pytest.fixture
def task(tmp_path: Path) -> Task:
    (tmp_path / "task.toml").write_text(TASK.replace("LONG", "refuse"))
    return load_task(tmp_path)


ANSWERS: list[Answer] = [
    GOLD,
    {**GOLD, "items": [BOLT, NUT]},
    {**GOLD, "items": [NUT]},
    {**GOLD, "items": [NUT, {**BOLT, "price": "9.00"}, BOLT]},
    {**GOLD, "net": None, "items": None},
]


def test_columns_stand_behind_their_field_and_rules_say_how_many_of_their_answers_are_wrong(task: Task) -> None:
    rows = [LabelledRow(f"{number}", f"text {number}", GOLD) for number in range(len(ANSWERS))]
    report = judge_results(task, rows, [Result(f"{number}", answer) for number, answer in enumerate(ANSWERS)])
    table = report.fields_worst_first
    assert list(table) == ["items", "items.what", "items.price", "net", "number"]
    assert (table["items"].correct, table["items"].fields) == (2, 5), "the order of records means nothing"
    what, price = table["items.what"], table["items.price"]
    # Two documents whole, one record left out, one record too many, and two left out where there is no answer.
    assert (what.fields, what.correct, what.omitted, what.invented, what.substituted) == (11, 7, 3, 1, 0)
    assert (price.fields, price.correct, price.omitted, price.invented, price.substituted) == (11, 7, 3, 1, 0)
    assert report.findings == {"rule:adds_up": Findings(2, 2)}
    assert report.counts.fields == 15, "cells count in no figure but their own"
    assert "to a person        2 answers by rule:adds_up, 2 of them wrong" in report.lines()


def test_a_models_figures_show_columns_by_cells(tmp_path: Path) -> None:
    bench = bench_of(tmp_path / "bench", "refuse")
    lines = lines_of(3)
    records: list[Record] = [{"what": what, "price": price} for what, price in lines]
    rows = [
        LabelledRow(
            f"{number}", f"{page(lines)}text {number}\n", {"number": "17", "net": "4.50", "items": records[:kept]}
        )
        for number, kept in enumerate((3, 3, 3, 2))
    ]
    labels = tmp_path / "rows.jsonl"
    labels.write_text("".join(row.line() + "\n" for row in rows))
    bench.call("gate", str(bench.task_path), str(bench.root / "with-records"), "--labels", str(labels))
    measured = dict(measured_lines(read_manifest(bench.root / "with-records")))
    assert measured["column items.what"] == "91.7 % of 12 cells"
    assert measured["field items"].endswith("4 documents")
