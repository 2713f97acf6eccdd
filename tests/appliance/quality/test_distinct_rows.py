"""Labelled rows as evidence: copies, contradictions, rows and fields without a value, and near duplicates."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.engines.engine import Result
from appliance.ground.errors import UsageError
from appliance.quality.distinct_rows import distinct_rows, without_near_training_rows
from appliance.quality.gate import judge_results
from appliance.quality.near_duplicates import clusters
from appliance.quality.readiness import Decision
from appliance.tasks.labels import LabelledRow, read_labels
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Comparator, Field, FieldType, Targets, Task, TaskKind
from appliance.tasks.values import same
from tests.appliance.batch_fixtures import Bench

TASK = Task(
    1, "orders", TaskKind.EXTRACT, "Read",
    (Field("number"), Field("total", FieldType.AMOUNT, comparator=Comparator.AMOUNT)), readiness=Targets(None, 0.9),
)  # fmt: skip


def row(text: str, answer: Answer, source: str = "person", line: int = 0) -> LabelledRow:
    return LabelledRow(text, text, answer, source=source, line_number=line)


def right(rows: list[LabelledRow]) -> list[Result]:
    return [Result(each.document, dict(each.answer)) for each in rows]


def test_copies_of_a_text_are_one_row_whatever_their_codes() -> None:
    rows = [row("Jörg 1", {"number": "1"}), row("Jo\u0308rg  1", {"number": "1"}), row("JÖRG 1", {"number": "1"})]
    distinct = distinct_rows(TASK, [*rows, row("Jörg 10", {"number": "10"})])
    assert [each.text for each in distinct.rows] == ["Jörg 1", "Jörg 10"]
    assert distinct.copies == 2


def test_answers_that_say_the_same_do_not_contradict_and_a_person_stands_above_a_teacher() -> None:
    rows = [row("a", {"total": "1.234,50"}, "teacher"), row("a", {"total": "1234.50"}, "teacher")]
    assert distinct_rows(TASK, rows).copies == 1
    person = row("a", {"total": "7"})
    assert distinct_rows(TASK, [*rows, person]).rows == [person]


def test_contradictions_are_refused_and_named_by_line(tmp_path: Path) -> None:
    lines = [{"text": text, "answer": {"total": total}} for text, total in (("a", "1"), ("b", "1"), ("A", "2"))]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n\n".join(map(json.dumps, lines)))
    with pytest.raises(UsageError, match="disagree on total: line 1, line 5"):
        distinct_rows(TASK, read_labels(path))


def test_rows_of_which_none_has_a_value_are_refused() -> None:
    with pytest.raises(UsageError, match="none of the 100 labelled rows has a value"):
        distinct_rows(TASK, [row(f"text {number}", {"number": None}) for number in range(100)])


def test_near_duplicates_form_clusters() -> None:
    words = " ".join(f"w{number}" for number in range(40))
    assert clusters([f"{words} a", "other text", f"{words} b", f"{words} c"]) == [0, 1, 0, 0]


@pytest.mark.parametrize(
    "text",
    ["合同编号{}号甲方北京科技有限公司乙方上海贸易有限公司合同总金额人民币贰万元整双方同意按照规定执行",
     "สัญญาเลขที่{}ระหว่างบริษัทเอจำกัดกับบริษัทบีจำกัดจำนวนเงินสองหมื่นบาทถ้วนชำระภายในสามสิบวัน"],
)  # fmt: skip
def test_near_duplicates_are_seen_in_scripts_without_blanks_and_behind_unseen_characters(text: str) -> None:
    assert set(clusters([text.format(number) for number in range(9)])) == {0}
    assert clusters(["签订日期二零二四年三月四日", "收到货款后三十天内付清尾款"]) == [0, 1]
    words = [f"word{number}" for number in range(20)]
    torn = [" ".join(word[:2] + "\u200b" * (n == at) + word[2:] for at, word in enumerate(words)) for n in range(9)]
    assert set(clusters(torn)) == {0}


def test_a_value_of_blanks_is_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"t {n}", "answer": {"number": "\u00a0\u200b "}}) for n in range(9)))
    with pytest.raises(UsageError, match="none of the 9 labelled rows has a value"):
        distinct_rows(TASK, read_labels(path))
    assert same(TASK.fields[0], " \u200b", None)


def test_rows_without_a_value_do_not_make_a_student_ready() -> None:
    rows = [row("first", {"number": "1", "total": "2"})]
    rows += [row(f"text {number}", {"number": None, "total": None}) for number in range(200)]
    report = judge_results(TASK, rows, right(rows))
    assert report.readiness.decision is Decision.NEED_MORE
    assert report.empty == 200
    assert any(line.startswith("rows without value 200 of 201") for line in report.lines())


def test_rows_without_an_answer_are_told_with_their_reasons() -> None:
    rows = [row(f"text {number}", {"number": "1", "total": "2"}) for number in range(10)]
    results = [replace(result, answer=None, error="too_long") for result in right(rows)[:4]] + right(rows)[4:]
    report = judge_results(TASK, rows, results)
    assert (report.failed, report.failures, report.record()["failures"]) == (4, {"too_long": 4}, {"too_long": 4})
    assert "without an answer  4 of 10 documents (40%): 4 too_long; counted as wrong" in report.lines()


def test_a_field_without_a_value_anywhere_is_not_judged() -> None:
    rows = [row(f"text {number}", {"number": str(number)}) for number in range(100)]
    report = judge_results(TASK, rows, right(rows))
    assert report.not_judged == ("total",)
    assert report.fields == 100
    assert any(line.startswith("not judged") and "total" in line for line in report.lines())
    results = right(rows)
    inventing = [replace(results[0], answer={"number": "0", "total": "5"}), *results[1:]]
    assert judge_results(TASK, rows, inventing).counts.invented == 1


def test_a_label_without_a_row_is_said() -> None:
    task = Task(1, "desks", TaskKind.CLASSIFY, "Which?", labels=("a", "b", "c"))
    rows = [row(f"text {number}", {"label": "ab"[number % 2]}) for number in range(10)]
    assert judge_results(task, rows, right(rows)).not_judged == ("label c",)


def test_near_duplicates_count_as_one_in_the_verdict() -> None:
    rows = [row(f"text {number}", {"number": str(number), "total": "2"}) for number in range(200)]
    apart = judge_results(TASK, rows, right(rows), list(range(200)))
    together = judge_results(TASK, rows, right(rows), [0] * 200)
    assert apart.readiness.decision is Decision.READY
    assert together.readiness.decision is Decision.NEED_MORE
    assert "in 1 cluster of near duplicates" in together.readiness.reason
    assert "or fewer that are no near duplicates" in together.readiness.advice


def test_quality_is_broken_down_by_the_slices_of_the_task() -> None:
    rows = [row(f"text {number}", {"number": "ab"[number % 2], "total": "2"}) for number in range(10)]
    results = [
        replace(each, answer={**(each.answer or {}), "total": "3"}) if number % 2 else each
        for number, each in enumerate(right(rows))
    ]
    assert judge_results(TASK, rows, results).slices == {}
    report = judge_results(replace(TASK, slices=("number",)), rows, results)
    assert {value: (part.correct, part.fields) for value, part in report.slices["number"].items()} == {
        "a": (10, 10), "b": (5, 10),
    }  # fmt: skip
    assert "by number" in "\n".join(report.lines())


def test_a_weight_says_what_a_mistake_costs() -> None:
    rows = [row(f"text {number}", {"number": str(number), "total": "2"}) for number in range(10)]
    results = [Result(each.document, {"number": "x", "total": "2" if n else "3"}) for n, each in enumerate(rows)]
    assert list(judge_results(TASK, rows, results).fields_worst_first) == ["number", "total"]
    assert judge_results(TASK, rows, results).weighted_accuracy is None
    heavy = replace(TASK, fields=(TASK.fields[0], replace(TASK.fields[1], weight=20.0)))
    report = judge_results(heavy, rows, results)
    assert list(report.fields_worst_first) == ["total", "number"]
    assert report.weighted_accuracy == pytest.approx(180 / 210)


def test_one_row_two_hundred_times_is_not_ready(bench: Bench) -> None:
    path = bench.root / "rows.jsonl"
    path.write_text((json.dumps({"text": "number: 1\ntotal: 2", "answer": {"number": "1", "total": "2"}}) + "\n") * 200)
    done = bench.call("gate", str(bench.task_path), str(bench.artifact_dir), "--labels", str(path))
    assert done.returncode == 3
    assert "199 of 200 rows left out" in done.stderr
    assert "copies left out    199" in done.stdout


DESKS = Task(1, "desks", TaskKind.CLASSIFY, "Which?", labels=("invoice", "order", "letter"))


def labelled(text: str, label: str) -> LabelledRow:
    return row(text, {"label": label})


def test_a_thousand_forms_of_one_template_are_one_cluster_in_no_time() -> None:
    words = " ".join(f"word{number}" for number in range(60))
    assert set(clusters([f"{words} value {number} name n{number}" for number in range(1000)])) == {0}


def test_texts_that_only_count_up_are_one_cluster_unless_the_numbers_decide() -> None:
    rows = [labelled(f"{number}. Invoice 2024-03-{number:02}", "invoice") for number in range(1, 20)]
    rows += [labelled(f"level {number}", "order" if number > 5 else "letter") for number in range(10)]
    distinct = distinct_rows(DESKS, rows)
    assert set(distinct.clusters[:19]) == {0}
    assert distinct.clusters[19:] == list(range(19, 29))
    assert distinct_rows(TASK, [row(f"total {n}", {"total": str(n)}) for n in range(9)]).clusters == list(range(9))


def test_texts_without_words_are_compared_by_their_marks() -> None:
    assert clusters(["!" * number for number in range(2, 9)] + ["?!" * 3]) == [0] * 7 + [7]


@pytest.mark.parametrize(
    ("task", "answer", "reason"),
    [(DESKS, {"label": "invoice"}, "all 9 labelled rows have the label invoice"),
     (TASK, {"total": "5"}, "all 9 labelled rows have the same answer")],
    ids=["classification", "extraction"],
)  # fmt: skip
def test_rows_that_all_have_one_answer_are_refused(task: Task, answer: Answer, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        distinct_rows(task, [row(f"text {number}", answer) for number in range(9)])
    assert len(distinct_rows(task, [row("text", answer)]).rows) == 1


def test_always_answering_the_most_frequent_label_is_not_ready() -> None:
    rows = [labelled(f"text {number}", "invoice" if number % 40 else "order") for number in range(400)]
    report = judge_results(DESKS, rows, [Result(each.document, {"label": "invoice"}) for each in rows])
    assert report.readiness.decision is Decision.NOT_READY
    assert "most frequent      invoice; the verdict must hold without its rows, too" in report.lines()
    mixed = [labelled(f"text {number}", ("invoice", "order")[number % 2]) for number in range(400)]
    assert judge_results(DESKS, mixed, right(mixed)).readiness.decision is Decision.READY


@pytest.mark.parametrize("teacher_answer", [{}, {"label": "letter"}], ids=["nothing", "always wrong"])
def test_a_teacher_without_a_right_value_is_no_measure(teacher_answer: Answer) -> None:
    task = replace(DESKS, readiness=Targets(0.03, None))
    rows = [
        replace(labelled(f"text {number}", ("invoice", "order")[number % 2]), teacher_answer=teacher_answer)
        for number in range(100)
    ]
    report = judge_results(task, rows, [Result(each.document, teacher_answer) for each in rows])
    assert (report.readiness.basis, report.readiness.decision) == ("gold", Decision.NOT_READY)


@pytest.mark.parametrize(
    ("task", "answer", "reason"),
    [
        (DESKS, {"label": "Invoce"}, "line 7: label is 'Invoce', which is not one of its values"),
        (DESKS, {"label": ["invoice"]}, "line 7: label is a list, and the field has one value"),
        (replace(TASK, fields=(Field("number", FieldType.LIST, comparator=Comparator.LIST),)),
         {"number": "1"}, "line 7: number is no list"),
    ],
    ids=["misspelt label", "list for a label", "text for a list"],
)  # fmt: skip
def test_a_right_answer_that_no_student_could_give_is_refused(task: Task, answer: Answer, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        judge_results(task, [row("text", answer, line=7)], [Result("", answer)])


def test_right_labels_in_other_capitals_are_those_of_the_task() -> None:
    rows = [labelled(f"text {number}", ("Invoice", "ORDER")[number % 2]) for number in range(10)]
    assert judge_results(DESKS, rows, right(rows)).not_judged == ("label letter",)


def test_a_list_of_blanks_is_no_value(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "t", "answer": {"number": [" ", "a", "\u200b"], "total": [""]}}))
    assert read_labels(path)[0].answer == {"number": ["a"], "total": []}


def test_rows_nearly_the_same_as_training_rows_with_their_answer_are_left_out(tmp_path: Path) -> None:
    words = " ".join(f"word{number}" for number in range(30))
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"text": words, "answer": {"number": "1", "total": "5,00"}}))
    learnt, other = row(f"{words} page 2", {"number": "1", "total": "5.00"}), row(f"{words} page 2", {"number": "2"})
    new = row("something else", {"number": "1", "total": "5"})
    assert without_near_training_rows(TASK, [learnt, other, new], path) == [other, new]
    assert without_near_training_rows(TASK, [learnt], tmp_path / "none") == [learnt]
    with pytest.raises(UsageError, match="every labelled row is nearly the same as a training row"):
        without_near_training_rows(TASK, [learnt], path)
