"""`stillroom collect DOCUMENTS --teacher NAME` against a frontier on loopback: asked once, paid once, resumable."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.ground.errors import UsageError
from appliance.ground.stopping import Stop
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import LabelledRow, read_dataset
from appliance.tasks.taskfile import load_task
from benchmarks.recorded_frontier import Behaviour
from tests.appliance.frontier_fixtures import FrontierBench, frontier_bench
from tests.soak.shim import Fault, build_shim, compiler, fault_environment, read_log
from training.answers_file import alone
from training.collect_budget import run_name, spent
from training.collect_estimate import estimate
from training.collect_live import LiveOutcome, LiveRequest, collect_live
from training.soft_labels import Soft, SoftOptions

TASK = """version = 2
name = "bank"
kind = "classify"
instruction = "What is it about?"
labels = ["cards", "loans", "other"]
data_class = "internal"
"""
ORDERS = """version = 2
name = "orders"
kind = "extract"
instruction = "Read the order"
data_class = "internal"

[[fields]]
name = "number"

[[fields]]
name = "total"
type = "amount"
"""
ANSWERS: dict[str, object] = {f"question {n}": {"label": ("cards", "loans")[n % 2]} for n in range(40)}


class Collecting:
    """A task folder, its documents, and the teacher."""

    def __init__(self, root: Path, bench: FrontierBench) -> None:
        self.bench, self.folder, self.documents = bench, root / "task", root / "documents"
        self.folder.mkdir()
        self.documents.mkdir()
        self.write_task()

    def write_task(self, text: str = TASK, more: str = "") -> None:
        (self.folder / "task.toml").write_text(text + more)

    def write(self, count: int, start: int = 0) -> None:
        for number in range(start, start + count):
            (self.documents / f"{number:03}.txt").write_text(f"question {number}")

    def request(self, **more: object) -> LiveRequest:
        values = {"accepts_unknown_licence": True, "system_dir": self.bench.system_dir, **more}
        return LiveRequest(load_task(self.folder), TaskFolder(self.folder), self.documents, "recorded", **values)  # type: ignore[arg-type]

    def collect(self, **more: object) -> LiveOutcome:
        return collect_live(self.bench.settings, self.request(**more))

    def rows(self) -> list[LabelledRow]:
        return read_dataset(TaskFolder(self.folder).answers_path)

    @property
    def asked(self) -> int:
        return len(self.bench.frontier.requests)


@contextmanager
def collecting(root: Path, answers: dict[str, object] = ANSWERS, **behaviour: object) -> Iterator[Collecting]:
    home = root / "home"
    home.mkdir()
    with frontier_bench(home, answers, Behaviour(**behaviour)) as bench:  # type: ignore[arg-type]
        yield Collecting(root, bench)


@pytest.fixture
def teacher(tmp_path: Path) -> Iterator[Collecting]:
    with collecting(tmp_path) as made:
        yield made


def test_every_document_is_asked_about_once_and_says_whose_answer_it_is(teacher: Collecting) -> None:
    teacher.write(6)
    outcome = teacher.collect()
    assert (outcome.documents, outcome.answered, outcome.failed) == (6, 6, {})
    rows = {row.document: row for row in teacher.rows()}
    assert {name: row.answer["label"] for name, row in rows.items()} == {
        f"{n:03}.txt": ("cards", "loans")[n % 2] for n in range(6)
    }
    first = rows["000.txt"]
    assert (first.text, first.source, first.teacher) == ("question 0", "teacher", "recorded-1")
    assert first.provenance["served"] == "recorded-1"
    assert first.provenance["licence"] == "unknown"
    assert set(first.provenance) >= {"frontier", "identity", "date", "money", "prompt_tokens", "completion_tokens"}
    assert outcome.money == pytest.approx(sum(float(row.provenance["money"]) for row in rows.values()))
    again = teacher.collect()
    assert (again.known, again.answered, teacher.asked) == (6, 0, 6)


def test_another_document_costs_only_itself_and_lost_rows_cost_nothing(teacher: Collecting) -> None:
    teacher.write(4)
    teacher.collect()
    teacher.write(2, 4)
    assert teacher.collect().answered == 2
    assert teacher.asked == 6
    before = sorted(row.document for row in teacher.rows())
    TaskFolder(teacher.folder).answers_path.unlink()
    outcome = teacher.collect(is_offline=True)
    assert (outcome.answered, outcome.cached, outcome.money, outcome.left) == (6, 6, 0.0, 0)
    assert sorted(row.document for row in teacher.rows()) == before
    assert teacher.asked == 6
    teacher.write(1, 6)
    assert (teacher.collect(is_offline=True).left, teacher.asked) == (1, 6)


def test_a_changed_task_is_asked_anew(teacher: Collecting) -> None:
    teacher.write(2)
    teacher.collect()
    teacher.write_task(TASK.replace("What is it about?", "Which desk is it for?"))
    assert teacher.collect().answered == 2
    assert teacher.asked == 4
    assert len(teacher.rows()) == 4


def test_terms_that_nobody_has_read_are_refused(teacher: Collecting) -> None:
    teacher.write(1)
    with pytest.raises(UsageError, match="nobody has said what the terms"):
        teacher.collect(accepts_unknown_licence=False)
    assert teacher.asked == 0
    teacher.bench.configure(licence="answers may train our own models (terms of 2026-01-01)")
    teacher.collect(accepts_unknown_licence=False)
    assert teacher.rows()[0].provenance["licence"].startswith("answers may train")


@pytest.mark.parametrize(
    ("budget", "sent"),
    [("documents = 3", 3), ("documents = 0", 0), ("tokens = 0", 0), ("money = 0.0", 0), ("money = 1000", 8)],
)
def test_the_budget_of_the_task_stops_hard_and_leaves_what_came(teacher: Collecting, budget: str, sent: int) -> None:
    teacher.write(8)
    teacher.write_task(more=f"\n[budget]\n{budget}\n")
    outcome = teacher.collect()
    assert (outcome.answered, outcome.left, teacher.asked) == (sent, 8 - sent, sent)
    assert bool(outcome.ended) == (sent < 8)
    assert outcome.failed == {}
    # The budget is of the folder's whole life.
    assert teacher.collect().answered == 0
    assert teacher.asked == sent
    if sent:
        assert len(teacher.rows()) == sent


def test_a_budget_of_money_counts_what_was_spent_before(teacher: Collecting) -> None:
    teacher.write(2)
    first = teacher.collect()
    teacher.write(10, 2)
    teacher.bench.configure(max_answer_tokens=16)
    teacher.write_task(more="\n[budget]\nmoney = 0.003\n")
    outcome = teacher.collect()
    assert 0 < outcome.answered < 10
    assert first.money + outcome.money <= 0.003
    account = spent(teacher.bench.settings, run_name(TaskFolder(teacher.folder), load_task(teacher.folder)))
    assert account.money == pytest.approx(outcome.spent_money)


FAILURES = {
    "refusal": "refused", "length": "truncated", "content-filter": "content_filter", "half-json": "broken_response",
    "wrong-model": "wrong_model", "html": "html_response",
}  # fmt: skip


@pytest.mark.parametrize("mode", FAILURES)
def test_a_document_without_an_answer_is_named_and_asked_again(teacher: Collecting, mode: str) -> None:
    teacher.write(3)
    teacher.bench.configure(concurrency=1)
    teacher.bench.frontier.modes = {"question 1": mode}
    outcome = teacher.collect()
    assert outcome.failed == {FAILURES[mode]: 1}
    (failure,) = [json.loads(line) for line in (teacher.folder / "teacher" / "failures.jsonl").read_text().splitlines()]
    assert (failure["document"], failure["error"]) == ("001.txt", FAILURES[mode])
    assert failure["message"]
    if mode != "html":
        assert outcome.answered == 2


def test_limits_of_rate_lower_how_many_are_asked_at_a_time_and_lose_nothing(teacher: Collecting) -> None:
    teacher.write(12)
    teacher.bench.configure(concurrency=4, retries=6)
    teacher.bench.frontier.next_modes(*["429"] * 6)
    outcome = teacher.collect()
    assert (outcome.answered, outcome.failed) == (12, {})
    assert teacher.asked == 18


def test_documents_that_cannot_be_read_are_named(teacher: Collecting) -> None:
    teacher.write(1)
    (teacher.documents / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (teacher.documents / "empty.txt").write_text("")
    outcome = teacher.collect()
    assert outcome.answered == 1
    assert sum(outcome.failed.values()) == 2
    assert teacher.asked == 1


def test_two_at_once_are_one_too_many(teacher: Collecting) -> None:
    teacher.write(1)
    with alone(TaskFolder(teacher.folder)), pytest.raises(UsageError, match="another `stillroom collect`"):
        teacher.collect()
    assert teacher.collect().answered == 1


def test_a_stop_keeps_what_came_and_the_next_call_goes_on(teacher: Collecting) -> None:
    teacher.write(10)
    stop = Stop()

    def after_three(progress: object) -> None:
        if len(teacher.bench.frontier.requests) >= 3:
            stop.graceful = True

    outcome = collect_live(teacher.bench.settings, teacher.request(), after_three, stop)
    assert outcome.answered < 10
    rest = teacher.collect()
    assert outcome.answered + rest.answered == 10
    assert teacher.asked == 10


def test_a_line_that_the_machine_died_in_is_made_again_for_nothing(teacher: Collecting) -> None:
    teacher.write(3)
    teacher.collect()
    path = TaskFolder(teacher.folder).answers_path
    os.truncate(path, path.stat().st_size - 20)
    outcome = teacher.collect()
    assert (outcome.known, outcome.answered, outcome.cached, teacher.asked) == (2, 1, 1, 3)
    assert len(teacher.rows()) == 3


def test_an_estimate_sends_nothing_and_learns_from_answers(teacher: Collecting) -> None:
    teacher.write(30)
    expected = estimate(teacher.bench.settings, teacher.request())
    assert (expected.documents, expected.known, teacher.asked) == (30, 0, 0)
    assert expected.reasoning_tokens is None
    assert "4 bytes a token" in expected.basis
    teacher.collect(caps=teacher.request().caps.__class__(documents=10))
    after = estimate(teacher.bench.settings, teacher.request())
    assert (after.known, after.reasoning_tokens) == (10, 0)
    assert "10 answers of this teacher" in after.basis
    assert after.seconds is not None
    outcome = teacher.collect()
    assert after.documents == pytest.approx(outcome.answered, abs=4)
    assert after.money == pytest.approx(outcome.money, rel=0.4)


def test_probabilities_that_the_teacher_tells_become_shares_of_labels(tmp_path: Path) -> None:
    with collecting(tmp_path, others={"other": 0.2, "x": 0.1}) as teacher:
        teacher.write(2)
        outcome = teacher.collect(soft=SoftOptions(Soft.AUTO, 3))
        assert "probabilities of its tokens" in outcome.soft
        assert teacher.asked == 2  # the probe's answer is one of them
        labels = teacher.rows()[0].labels
        assert labels == pytest.approx({"cards": 0.7, "other": 0.2})


def test_votes_take_the_place_of_probabilities_and_failed_answers_are_nobodys(tmp_path: Path) -> None:
    votes = {"question 0": ["cards", "cards", "loans", "spam"]}
    with collecting(tmp_path, votes=votes) as teacher:
        teacher.write(1)
        outcome = teacher.collect(soft=SoftOptions(Soft.AUTO, 4))
        assert "votes of 4 answers" in outcome.soft
        assert "it tells no probabilities" in outcome.soft
        (row,) = teacher.rows()
        assert row.answer == {"label": "cards"}
        assert row.labels == {"cards": 0.5, "loans": 0.25}
        assert teacher.asked == 5
        assert teacher.collect(soft=SoftOptions(Soft.AUTO, 4)).known == 1
        assert teacher.asked == 5


def test_a_teacher_that_refuses_probabilities_is_asked_without_them(tmp_path: Path) -> None:
    with collecting(tmp_path) as teacher:
        teacher.write(2)
        teacher.bench.frontier.next_modes("400")
        outcome = teacher.collect(soft=SoftOptions(Soft.AUTO))
        assert outcome.soft.startswith("hard: it refuses to tell probabilities")
        assert outcome.answered == 2
        assert teacher.rows()[0].labels is None


def test_of_fields_the_share_of_the_answers_that_agree_is_kept(tmp_path: Path) -> None:
    with collecting(tmp_path, {"question 0": {"number": "17", "total": "5.00"}}) as teacher:
        teacher.write_task(ORDERS)
        teacher.write(1)
        outcome = teacher.collect(soft=SoftOptions(Soft.VOTES, 3))
        (row,) = teacher.rows()
        assert outcome.answered == 1
        assert row.agreement == {"number": 1.0, "total": 1.0}
        assert row.provenance["samples"] == "3"


def test_the_policy_withholds_what_it_does_not_name(teacher: Collecting) -> None:
    teacher.write(1)
    teacher.write_task(TASK.replace('"internal"', '"secret"'))
    with pytest.raises(UsageError):
        teacher.collect()
    assert teacher.asked == 0


CALL = "import sys; from appliance.cli import main; sys.exit(main())"


def call(teacher: Collecting, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STILLROOM_HOME": str(teacher.bench.home_dir), **variables}
    command = [sys.executable, "-c", CALL, "collect", str(teacher.folder), str(teacher.documents), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def test_the_command_says_what_it_did_and_what_is_left(teacher: Collecting) -> None:
    teacher.write(4)
    refused = call(teacher, "--teacher", "recorded")
    assert refused.returncode == 2
    assert "--accept-unknown-licence" in refused.stderr
    dry = call(teacher, "--teacher", "recorded", "--dry-run")
    assert (dry.returncode, teacher.asked) == (0, 0)
    assert "nothing was sent" in dry.stdout
    capped = call(teacher, "--teacher", "recorded", "--accept-unknown-licence", "--cap-documents", "3")
    assert capped.returncode == 3
    assert "1 document not sent" in capped.stderr
    done = call(teacher, "--teacher", "recorded", "--accept-unknown-licence", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answered"] == 1
    assert teacher.asked == 4
    nobody = call(teacher)
    assert nobody.returncode == 2
    assert "no teacher is named" in nobody.stderr


def test_a_budget_of_money_is_none_where_nobody_knows_the_price(teacher: Collecting) -> None:
    teacher.write(2)
    url, model = teacher.bench.frontier.url, teacher.bench.frontier.behaviour.model
    (teacher.bench.home_dir / "config.toml").write_text(f'[frontier.recorded]\nurl = "{url}"\nmodel = "{model}"\n')
    teacher.write_task(more="\n[budget]\nmoney = 1\n")
    with pytest.raises(UsageError, match="has no prices"):
        teacher.collect()
    assert teacher.asked == 0
    teacher.write_task()
    assert teacher.collect().answered == 2
    assert "money" not in teacher.rows()[0].provenance or float(teacher.rows()[0].provenance["money"]) == 0.0


@pytest.mark.skipif(compiler() is None, reason="no C compiler to build the failing disk with")
@pytest.mark.parametrize(
    ("name", "kind", "at"),
    [
        ("answers.jsonl", "write", 1), ("answers.db-journal", "pwrite", 30), ("answers.db", "pwrite", 12),
        ("progress.json", "write", 1), ("bodies", "write", 2), (".jsonl", "write", 4),
    ],
    ids=["rows", "replies' journal", "replies", "progress", "record's bodies", "record"],
)  # fmt: skip
def test_a_disk_that_fills_up_loses_nothing_that_was_paid_for(
    teacher: Collecting, tmp_path: Path, name: str, kind: str, at: int
) -> None:
    teacher.write(6)
    teacher.bench.configure(concurrency=1)
    fault = Fault(at, errno.ENOSPC, lasting=True, call=kind, name=name)
    variables = fault_environment(build_shim(tmp_path), tmp_path, tmp_path / "faults.log", fault)
    full = call(teacher, "--teacher", "recorded", "--accept-unknown-licence", **variables)
    assert read_log(tmp_path / "faults.log"), "the disk was never full"
    assert full.returncode in (3, 4), full.stderr
    assert "full" in full.stderr or "No space left" in full.stderr
    assert "Traceback" not in full.stderr
    outcome = teacher.collect()
    assert (outcome.known + outcome.answered, len(teacher.rows())) == (6, 6)
    assert teacher.asked == 6


@pytest.mark.slow
def test_two_hundred_kills_pay_for_no_document_twice(tmp_path: Path) -> None:
    answers: dict[str, object] = {f"question {n}": {"label": "cards"} for n in range(600)}
    with collecting(tmp_path, answers, delay_seconds=0.002) as teacher:
        teacher.bench.configure(concurrency=4)
        teacher.bench.allow(day="documents = 100000")
        teacher.write(600)
        environment = {**os.environ, "STILLROOM_HOME": str(teacher.bench.home_dir)}
        command = [sys.executable, "-c", CALL, "collect", str(teacher.folder), str(teacher.documents),
                   "--teacher", "recorded", "--accept-unknown-licence"]  # fmt: skip
        kills = 0
        while kills < 200:
            before = teacher.asked
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
            if not teacher.bench.frontier.wait_for_requests(before + 1 + kills % 3, 30):
                assert process.wait(30) in (0, 3)
                break
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        outcome = teacher.collect()
        assert outcome.failed == {}
        assert len({row.document for row in teacher.rows()}) == 600
        assert teacher.bench.frontier.charged == 600
        # To a provider that knows no such keys what was under way at a kill, four requests at most, is asked again.
        assert 600 <= teacher.asked <= 600 + 4 * kills
