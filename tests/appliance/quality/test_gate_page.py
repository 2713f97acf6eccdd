"""What a gate writes beside its verdict: error rows and a page."""

import json
from pathlib import Path

from appliance.engines.engine import Result
from appliance.quality.errors import confusions, field_errors, write_errors
from appliance.quality.gate import judge_results
from appliance.quality.gate_page import gate_page
from appliance.tasks.labels import LabelledRow
from appliance.tasks.task import Field, Task, TaskKind
from tests.appliance.batch_fixtures import Bench

ORDER = Task(2, "orders", TaskKind.EXTRACT, "Read the order", fields=(Field("number"), Field("total")))
TEXT = "Order 17 of today\ntotal: 12.50 EUR\n"


def rows() -> list[LabelledRow]:
    return [
        LabelledRow("a.txt", TEXT, {"number": "17", "total": "12.50"}, source="person"),
        LabelledRow("b.txt", TEXT, {"number": "17", "total": None}, source="person"),
        LabelledRow("c.txt", TEXT, {"number": "17", "total": "12.50"}, source="person"),
    ]


RESULTS = [
    Result("a", {"number": "17", "total": "12"}, {"number": 0.9, "total": 0.6}),
    Result("b", {"number": None, "total": "<b>12.50</b>"}, {"number": 0.4, "total": 0.95}),
    Result("c", None, error="too_long"),
]


def test_errors_name_what_is_wrong_and_where_the_document_says_it(tmp_path: Path) -> None:
    errors = field_errors(ORDER, rows(), RESULTS)
    assert [(each.document, each.field, each.kind) for each in errors] == [
        ("b.txt", "total", "invented"), ("a.txt", "total", "substituted"), ("b.txt", "number", "omitted"),
        ("c.txt", "", "too_long"),
    ]  # fmt: skip
    place = errors[1].right_evidence
    assert place is not None
    assert TEXT[place.start : place.end] == "12.50"
    assert place.around == "Order 17 of today total: 12.50 EUR"
    write_errors(tmp_path / "errors.jsonl", errors)
    lines = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert lines[2]["right"] == "17"
    assert lines[0]["right_evidence"] is None


def test_the_page_shows_fields_reliability_and_errors_as_text() -> None:
    report = judge_results(ORDER, rows(), RESULTS)
    page = gate_page(ORDER, "orders-1", report, rows(), RESULTS)
    assert "&lt;b&gt;12.50&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "How far confidence is to be trusted" in page
    assert "n = 3" in page
    assert "12.50" not in gate_page(ORDER, "orders-1", report, rows(), RESULTS, values=False)


def test_labels_that_are_taken_for_others_are_counted() -> None:
    task = Task(2, "letters", TaskKind.CLASSIFY, "What is it?", labels=("card", "money"))
    golds = ["card", "card", "card", "money"]
    answers = ["money", "money", "card", "card"]
    labelled = [LabelledRow(str(n), "x", {"label": gold}) for n, gold in enumerate(golds)]
    results = [Result(str(n), {"label": answer}, {"label": 0.5}) for n, answer in enumerate(answers)]
    assert [(each.right, each.answer, each.documents) for each in confusions(task, labelled, results)] == [
        ("card", "money", 2), ("money", "card", 1),
    ]  # fmt: skip
    page = gate_page(task, "letters-1", judge_results(task, labelled, results), labelled, results)
    assert "Which label is taken for which" in page
    assert "Each label, the worst first" in page


def test_a_page_that_cannot_be_written_is_told(bench: Bench) -> None:
    rows_path = bench.root / "rows.jsonl"
    records = [{"text": f"number: {number}", "answer": {"number": str(number)}} for number in (1, 2)]
    rows_path.write_text("".join(json.dumps(record) + "\n" for record in records))
    words = ("gate", str(bench.task_path), str(bench.artifact_dir), "--labels", str(rows_path))
    refused = bench.call(*words, "--html", str(bench.root / "missing" / "page.html"))
    assert refused.returncode == 4
    assert "its folder does not exist" in refused.stderr
    bench.call(*words, "--html", str(bench.root / "page.html"), "--errors", str(bench.root / "errors.jsonl"))
    assert "Each field" in (bench.root / "page.html").read_text()
    assert (bench.root / "errors.jsonl").read_text() == ""
