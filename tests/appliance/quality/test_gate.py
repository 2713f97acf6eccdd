"""`stillroom gate` on an artifact of the no-op engine: judged through the engine, verdict in the manifest."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.answering.lease import engine_lease
from appliance.engines.engine import Result
from appliance.ground.errors import UsageError
from appliance.ground.stopping import Stop
from appliance.ground.users import current_user
from appliance.models.approval import is_approved
from appliance.models.manifest import (
    ArtifactError,
    file_sha256,
    read_manifest,
    rewrite_manifest,
    verify_artifact,
    with_identity,
)
from appliance.models.store import Store
from appliance.models.verdict import ComputeClass, sealed
from appliance.quality.carry_over import Agreement, agreement, rows_to_repeat
from appliance.quality.gate import judge_results, write_verdict
from appliance.quality.metrics import Outcome, judge
from appliance.tasks.labels import LabelledRow, read_labels
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Targets, Task
from appliance.tasks.taskfile import load_task
from tests.appliance.batch_fixtures import Bench


def labelled(path: Path, right: int, wrong: int) -> Path:
    """Rows that the no-op engine answers right, then ones of which gold says another total and no number."""
    lines = []
    for number in range(right + wrong):
        gold = (
            {"number": f"n{number}", "total": f"{number}.50"} if number < right else {"number": None, "total": "0.99"}
        )
        text = f"an order\nnumber: n{number}\ntotal: {number}.50\n"
        lines.append(
            json.dumps({"document": f"{number}.txt", "text": text, "answer": gold, "sha256": "", "labels": None})
        )
    path.write_text("".join(line + "\n" for line in lines))
    return path


def gate(bench: Bench, rows: Path, *options: str) -> tuple[int, str, str]:
    found = bench.call("gate", str(bench.task_path), str(bench.artifact_dir), "--labels", str(rows), *options)
    return found.returncode, found.stdout, found.stderr


def test_a_good_student_is_ready_and_its_manifest_says_on_what(bench: Bench) -> None:
    rows = labelled(bench.root / "rows.jsonl", 80, 0)
    code, stdout, stderr = gate(bench, rows, "--json")
    assert (code, stderr) == (0, "")
    report = json.loads(stdout)
    assert report["documents"] == 80
    assert report["fields"] == 160
    assert report["field_accuracy"]["estimate"] == 1.0
    assert report["field_accuracy"]["low"] < 1.0
    assert report["readiness"]["verdict"] == "READY"
    verdict = verify_artifact(bench.artifact_dir).verdict
    assert verdict is not None
    assert (verdict.verdict, verdict.basis, verdict.documents) == ("READY", "gold", 80)
    assert verdict.labelled_sha256 == file_sha256(rows)
    assert verdict.threshold == 0.95
    assert verdict.low == report["readiness"]["low"] > 0.95
    assert read_manifest(bench.artifact_dir).metrics["quality"]["counts"]["correct"] == 160


def test_labels_may_name_documents_of_a_folder_in_place_of_texts(bench: Bench) -> None:
    rows = labelled(bench.root / "rows.jsonl", 3, 1)
    expected = json.loads(gate(bench, rows, "--json")[1])
    folder, lines = bench.root / "later", []
    folder.mkdir()
    for line in rows.read_text().splitlines():
        record = json.loads(line)
        (folder / record["document"]).write_text(record.pop("text"))
        lines.append(json.dumps({"document": record["document"], "answer": record["answer"]}) + "\n")
    rows.write_text("".join(lines))
    found = json.loads(gate(bench, rows, "--json", "--documents", str(folder))[1])
    assert (found["documents"], found["field_accuracy"]) == (4, expected["field_accuracy"])
    code, _, stderr = gate(bench, rows)
    assert code == 2
    assert "--documents" in stderr
    for name, reason in (("../rows.jsonl", "is not a file below later"), ("none.txt", "No such file")):
        rows.write_text(lines[0] + json.dumps({"document": name, "answer": {}}) + "\n")
        code, _, stderr = gate(bench, rows, "--documents", str(folder))
        assert code == 2
        assert "rows.jsonl:2" in stderr
        assert reason in stderr


def test_a_bad_student_is_not_ready_and_the_exit_code_says_so(bench: Bench) -> None:
    code, stdout, stderr = gate(bench, labelled(bench.root / "rows.jsonl", 40, 40))
    assert code == 3
    assert "verdict            NOT READY" in stdout
    assert "40 substituted, 40 invented" in stdout
    assert stderr.startswith("error: the verdict on orders-noop is NOT READY: accuracy")
    verdict = read_manifest(bench.artifact_dir).verdict
    assert verdict is not None
    assert verdict.verdict == "NOT READY"


def test_few_documents_need_more_and_the_number_is_told(bench: Bench) -> None:
    code, stdout, stderr = gate(bench, labelled(bench.root / "rows.jsonl", 12, 0), "--json")
    readiness = json.loads(stdout)["readiness"]
    assert code == 3
    assert readiness["verdict"] == f"NEED {readiness['more']} MORE"
    assert readiness["more"] > 0
    assert f"label about {readiness['more']:,} more documents" in stderr


def test_document_that_kills_the_engine_counts_as_wrong_and_takes_no_other_with_it(bench: Bench) -> None:
    rows = labelled(bench.root / "rows.jsonl", 80, 0)
    killer = {"document": "killer.txt", "text": "KILL THE ENGINE", "answer": {"number": "1", "total": "2.00"}}
    lines = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join([*lines[:3], json.dumps(killer) + "\n", *lines[3:]]))
    code, stdout, stderr = gate(bench, rows, "--json")
    report = json.loads(stdout)
    assert (report["documents"], report["counts"]["correct"]) == (81, 160)
    assert "the engine died on 1 row, counted as wrong" in stderr
    assert code in (0, 3)


def test_gate_waits_for_its_turn_and_says_so(bench: Bench) -> None:
    rows = labelled(bench.root / "rows.jsonl", 80, 0)
    with engine_lease(bench.settings, Stop(), "a test"):
        waiting = bench.start("gate", str(bench.task_path), str(bench.artifact_dir), "--labels", str(rows))
        assert waiting.stderr is not None
        queued = (
            f"queued: a test has the engine of this machine (process {os.getpid()} of user {current_user()}, since "
        )
        assert waiting.stderr.readline().startswith(queued)
    waiting.communicate(timeout=120)
    assert waiting.returncode == 0


def test_documents_without_an_answer_count_as_wrong(bench: Bench) -> None:
    rows = labelled(bench.root / "rows.jsonl", 20, 0)
    long = {"document": "long.txt", "text": "word " * 2000, "answer": {"number": None, "total": None}}
    rows.write_text(rows.read_text() + json.dumps(long) + "\n")
    _, stdout, _ = gate(bench, rows, "--json")
    report = json.loads(stdout)
    assert (report["failed"], report["counts"]["correct"], report["fields"]) == (1, 40, 42)


def test_rows_default_to_the_tasks_held_out_ones_and_a_broken_artifact_is_refused(bench: Bench) -> None:
    (bench.root / "dataset").mkdir()
    labelled(bench.root / "dataset" / "test.jsonl", 3, 0)
    arguments = ["gate", str(bench.task_path), str(bench.artifact_dir), "--json"]
    assert json.loads(bench.call(*arguments).stdout)["documents"] == 3
    before = (bench.artifact_dir / "manifest.json").read_text()
    noop = bench.artifact_dir / "noop.json"
    noop.write_text(noop.read_text() + " ")
    refused = bench.call(*arguments)
    assert refused.returncode == 1
    assert "noop.json has" in refused.stderr
    assert (bench.artifact_dir / "manifest.json").read_text() == before


@pytest.mark.parametrize("content", [None, b'{"text": "\xe4", "answer": {}}\n'], ids=["missing", "not UTF-8"])
def test_rows_that_cannot_be_read_are_named(bench: Bench, content: bytes | None) -> None:
    rows = bench.root / "dataset" / "test.jsonl"
    if content is not None:
        rows.parent.mkdir()
        rows.write_bytes(content)
    refused = bench.call("gate", str(bench.task_path), str(bench.artifact_dir))
    assert refused.returncode == 2
    assert "test.jsonl" in refused.stderr
    assert "unexpected error" not in refused.stderr


def test_a_row_with_a_misspelt_field_is_refused_before_anything_is_answered(bench: Bench) -> None:
    rows = bench.root / "rows.jsonl"
    labelled(rows, 3, 0)
    rows.write_text(rows.read_text() + '{"document": "d.txt", "text": "x", "answer": {"totl": "1.00"}}\n')
    code, stdout, stderr = gate(bench, rows, "--json")
    assert (code, stdout) == (2, "")
    assert "the labelled row of d.txt names the field totl" in stderr
    assert "did you mean total?" in stderr
    assert read_manifest(bench.artifact_dir).verdict is None


def test_training_rows_do_not_judge(bench: Bench) -> None:
    rows = labelled(bench.root / "rows.jsonl", 6, 0)
    (bench.root / "dataset").mkdir()
    lines = rows.read_text().upper().replace("\\N", "\\n").replace('"TEXT"', '"text"').split("\n")
    taught = bench.root / "dataset" / "train.jsonl"
    taught.write_text("\n".join(lines[:4]).replace("NULL", "null") + "\n")
    _, stdout, stderr = gate(bench, rows, "--json")
    assert json.loads(stdout)["documents"] == 2
    assert "4 of 6 rows left out: the model was trained on them" in stderr
    taught.write_text("\n".join(lines).replace("NULL", "null"))
    code, _, stderr = gate(bench, rows, "--json")
    assert code == 2
    assert "every labelled row is a training row" in stderr


def test_a_model_of_another_task_is_refused(bench: Bench) -> None:
    rows = labelled(bench.root / "rows.jsonl", 3, 0)
    bench.task_path.write_text(bench.task_path.read_text().replace("Read the order", "Read the invoice"))
    code, _, stderr = gate(bench, rows)
    assert code == 2
    assert "another version of a task" in stderr


def classification(tmp_path: Path, readiness: str = "") -> Task:
    (tmp_path / "task.toml").write_text(
        'version = 1\nname = "requests"\nkind = "classify"\ninstruction = "What?"\nlabels = ["a", "b", "none"]\n'
        f'abstain = "none"\n{readiness}'
    )
    return load_task(tmp_path)


def results(labels: list[str | None], confidences: list[float]) -> list[Result]:
    return [
        Result(str(number), None if label is None else {"label": label}, {"label": sure})
        for number, (label, sure) in enumerate(zip(labels, confidences, strict=True))
    ]


@pytest.mark.parametrize("golds", [["a", "a", "b", "none", "none", "b"], ["A", "a ", "b", "None", "NONE", "B"]])
def test_abstaining_is_counted_apart(tmp_path: Path, golds: list[str]) -> None:
    rows = [LabelledRow(str(number), "x", {"label": gold}) for number, gold in enumerate(golds)]
    given: list[str | None] = ["a", "none", "a", "none", "b", None]
    found = judge_results(classification(tmp_path), rows, results(given, [0.5] * 6)).abstention
    assert found is not None
    assert (found.abstained, found.rightly, found.missed, found.answered) == (3, 1, 1, 3)
    assert found.answered_accuracy.estimate == pytest.approx(1 / 3)


def test_coverage_counts_the_most_confident(tmp_path: Path) -> None:
    rows = [LabelledRow(str(number), "x", {"label": "a"}) for number in range(10)]
    given: list[str | None] = ["a"] * 6 + ["b"] * 4
    found = judge_results(classification(tmp_path), rows, results(given, [1 - number / 20 for number in range(10)]))
    assert [(c.share, c.fields, c.accuracy.estimate) for c in found.coverage] == [
        (0.5, 5, 1.0), (0.7, 7, pytest.approx(6 / 7)), (0.9, 9, pytest.approx(6 / 9)),
    ]  # fmt: skip
    assert found.coverage[0].least_confidence == pytest.approx(0.8)
    assert "most confident 50 %" in "\n".join(found.lines())


def test_with_the_teachers_answers_and_a_margin_the_student_is_compared_with_it(tmp_path: Path) -> None:
    task = classification(tmp_path, "[readiness]\nmargin = 0.03\n")
    rows = [
        LabelledRow(str(n), "x", {"label": "a"}, source="person", teacher_answer={"label": "a" if n % 10 else "b"})
        for n in range(200)
    ]
    given: list[str | None] = ["a" if n % 10 != 1 else "b" for n in range(200)]
    found = judge_results(task, rows, results(given, [0.9] * 200))
    assert found.readiness.basis == "teacher"
    assert found.readiness.estimate == 0.0
    assert found.teacher_accuracy == pytest.approx(0.9)
    assert "student - teacher" in "\n".join(found.lines())


def test_unreviewed_teacher_answers_as_gold_are_told(bench: Bench) -> None:
    rows = labelled(bench.root / "rows.jsonl", 6, 0)
    lines = rows.read_text().splitlines()
    rows.write_text("\n".join([*lines[:2], *(line.replace("{", '{"source": "teacher", ', 1) for line in lines[2:])]))
    _, stdout, _ = gate(bench, rows)
    assert "4 of 6 rows are the teacher's own answers" in stdout


def test_each_kind_of_mistake_has_its_name(bench: Bench) -> None:
    task = load_task(bench.task_path)
    gold: Answer = {"number": "17", "total": None}

    def outcomes(answer: Answer | None) -> tuple[Outcome, ...]:
        return tuple(judge(task, "a.txt", gold, answer).outcomes.values())

    assert outcomes({"number": "17", "total": ""}) == (Outcome.CORRECT, Outcome.CORRECT)
    assert outcomes({"number": "18", "total": "3"}) == (Outcome.SUBSTITUTED, Outcome.INVENTED)
    assert outcomes({"number": None, "total": None}) == (Outcome.OMITTED, Outcome.CORRECT)
    assert outcomes(None) == (Outcome.OMITTED, Outcome.OMITTED)


def elsewhere(bench: Bench) -> None:
    """Makes the verdict one of another machine."""
    manifest = read_manifest(bench.artifact_dir)
    assert manifest.verdict is not None
    there = ComputeClass("x86-64 AVX-512 VNNI", "other 1.0", 1)
    rewrite_manifest(bench.artifact_dir, replace(manifest, verdict=sealed(replace(manifest.verdict, compute=there))))


def test_quick_gate_carries_a_verdict_over_where_the_answers_are_the_same(bench: Bench) -> None:
    rows = labelled(bench.root / "rows.jsonl", 80, 0)
    assert gate(bench, rows)[0] == 0
    elsewhere(bench)
    Store(bench.settings).add(bench.artifact_dir)
    bench.write_orders(1)
    done = bench.run()
    assert "the model is not approved, and each row says `unsafe`: it was found READY on x86-64 AVX-512" in done.stderr
    assert bench.rows()[0]["unsafe"] is True
    code, stdout, stderr = gate(bench, rows, "--quick", "--json")
    assert code == 0, stderr
    report = json.loads(stdout)
    assert (report["documents"], report["differing"], report["judged"]) == (59, 0, 80)
    assert report["most_differing"] == pytest.approx(1 - 0.05 ** (1 / 59))
    assert "the installed model orders-noop has this verdict now" in stderr
    for manifest in (read_manifest(bench.artifact_dir), Store(bench.settings).get("orders-noop").manifest):
        assert is_approved(manifest)
        assert manifest.verdict is not None
        assert [compute.processor for compute in manifest.verdict.classes] == ["x86-64 AVX-512 VNNI", "any"]


def compare(bench: Bench, rows: list[LabelledRow], rows_path: Path, answers: list[Answer | None]) -> Agreement:
    """The agreement of these answers with those of a verdict that rests on the rows."""
    task = replace(load_task(bench.task_path), readiness=Targets(required=0.9))
    given = [Result(str(n), row.answer) for n, row in enumerate(rows)]
    judged = write_verdict(
        bench.artifact_dir, read_manifest(bench.artifact_dir), judge_results(task, rows, given), file_sha256(rows_path),
        list(zip(rows, given, strict=True)),
    )  # fmt: skip
    repeated = rows_to_repeat(judged, rows, rows_path)
    by_text = {row.text: answer for row, answer in zip(rows, answers, strict=True)}
    assert judged.verdict is not None
    return agreement(judged.verdict, repeated, [Result("", by_text[row.text]) for row in repeated])


def test_one_other_answer_is_seen_and_a_small_set_is_compared_as_a_whole(bench: Bench) -> None:
    rows_path = labelled(bench.root / "rows.jsonl", 59, 0)
    rows = read_labels(rows_path)
    same = [row.answer for row in rows]
    compared = compare(bench, rows, rows_path, list(same))
    assert (compared.documents, compared.differing, compared.most_differing) == (59, 0, 0.0)
    for answer in (None, {**same[7], "total": "7.500"}, {"number": "n7"}):
        compared = compare(bench, rows, rows_path, [*same[:7], answer, *same[8:]])
        assert compared.differing == 1
        assert "59 documents, 1 otherwise than judged" in compared.line()


def test_rows_to_repeat_are_a_sample_that_every_machine_draws_alike(bench: Bench) -> None:
    rows_path = labelled(bench.root / "rows.jsonl", 200, 0)
    rows = read_labels(rows_path)
    given = [Result(str(n), row.answer) for n, row in enumerate(rows)]
    judged = write_verdict(
        bench.artifact_dir, read_manifest(bench.artifact_dir), judge_results(load_task(bench.task_path), rows, given),
        file_sha256(rows_path), list(zip(rows, given, strict=True)),
    )  # fmt: skip
    repeated = rows_to_repeat(judged, rows, rows_path)
    assert repeated == rows_to_repeat(judged, rows[::-1], rows_path)
    assert len(repeated) == 59
    assert {row.document for row in repeated} != {f"{number}.txt" for number in range(59)}
    with pytest.raises(UsageError, match="too few"):
        rows_to_repeat(judged, rows[:30], rows_path)


def test_verdict_is_not_written_over_a_model_that_came_meanwhile(bench: Bench) -> None:
    rows_path = labelled(bench.root / "rows.jsonl", 5, 0)
    rows, judged = read_labels(rows_path), read_manifest(bench.artifact_dir)
    given = [Result(str(n), row.answer) for n, row in enumerate(rows)]
    rewrite_manifest(bench.artifact_dir, with_identity(replace(judged, quantization="other")))
    present = (bench.artifact_dir / "manifest.json").read_bytes()
    with pytest.raises(ArtifactError, match="the verdict was not written"):
        write_verdict(
            bench.artifact_dir, judged, judge_results(load_task(bench.task_path), rows, given), file_sha256(rows_path),
            list(zip(rows, given, strict=True)),
        )  # fmt: skip
    assert (bench.artifact_dir / "manifest.json").read_bytes() == present


def test_installed_copy_with_a_verdict_of_later_keeps_it_and_that_is_said(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a clock that ran ahead: the same verdict again would never arrive."""
    from appliance.commands.gate import _tell_store
    from tests.appliance.model_fixtures import GOOD, judge_as

    later = judge_as(
        bench.artifact_dir, read_manifest(bench.artifact_dir), replace(GOOD, judged="2093-01-01T00:00:00Z")
    )
    Store(bench.settings).add(bench.artifact_dir)
    _tell_store(bench.settings, bench.artifact_dir, judge_as(bench.artifact_dir, later, GOOD))
    assert "orders-noop keeps its verdict of 2093-01-01T00:00:00Z, which is later" in capsys.readouterr().err


def test_labelled_rows_out_of_a_pipe_are_refused_before_the_work(bench: Bench) -> None:
    """They could be read once only, and the verdict names the hash of their file."""
    from appliance.commands.gate import command

    arguments = [str(bench.task_path), str(bench.artifact_dir), "--labels", str(bench.root / "reached")]
    with pytest.raises(UsageError, match="reached is not a plain file"):
        command.main(arguments, standalone_mode=False)
