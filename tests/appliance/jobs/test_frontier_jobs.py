"""Jobs that a frontier answers, over a folder or a list of its documents, with or without an output folder."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.ground.errors import NotAllGood, UsageError
from appliance.ground.progress import Progress
from appliance.jobs.control import remove_job
from appliance.jobs.job import job_dirs, read_config
from appliance.jobs.job_plan import JobRequest, make_job, plan
from appliance.jobs.job_run import JobOutcome, run_job, run_request
from appliance.jobs.ledger import FinishedDocument, list_jobs, open_readonly
from appliance.jobs.locks import Purpose
from appliance.jobs.states import State
from appliance.routing.policy import Caps
from benchmarks.recorded_frontier import RecordedFrontier
from tests.appliance.batch_fixtures import Bench
from tests.appliance.frontier_fixtures import FrontierBench


@pytest.fixture
def frontier(bench: Bench) -> Iterator[FrontierBench]:
    text = bench.task_path.read_text()
    bench.task_path.write_text(text.replace("instruction", 'data_class = "internal"\ninstruction', 1))
    with RecordedFrontier({}) as server:
        server.answers = {f"order {number}": {"number": f"{number}", "total": None} for number in range(20)}
        made = FrontierBench(bench.home_dir, server)
        made.configure(concurrency=1)
        made.allow()
        for number in range(5):
            bench.write(f"{number}.txt", f"order {number}")
        yield made


def request(bench: Bench, **changed: object) -> JobRequest:
    made = JobRequest(bench.task_path, bench.documents_dir, None, settle_seconds=0.0, frontier="recorded")
    return replace(made, **changed)  # type: ignore[arg-type]


def run(bench: Bench, **changed: object) -> JobOutcome:
    return run_request(bench.settings, request(bench, **changed), lambda _: None)


def documents(directory: Path) -> list[FinishedDocument]:
    with open_readonly(directory) as reader:
        return list(reader.finished_documents())


def test_frontier_answers_every_document_and_the_ledger_keeps_what_it_took(
    bench: Bench, frontier: FrontierBench
) -> None:
    outcome = run(bench)
    assert (outcome.summary.state, outcome.new_documents, outcome.output_path) == (State.DONE, 5, None)
    (directory,) = job_dirs(bench.settings)
    finished = documents(directory)
    assert [each.row.fields for each in finished] == [{"number": str(n), "total": None} for n in range(5)]
    assert {str(each.row.route) for each in finished} == {"frontier"}
    assert {each.row.model for each in finished} == {read_config(directory).model}
    assert all(each.money is not None and each.money > 0 for each in finished)
    seconds = [each.worked_seconds for each in finished]
    assert all(second is not None and second > 0 for second in seconds)
    assert not any(each.cached for each in finished)
    assert not (bench.home_dir / "engine.lock").exists(), "a frontier needs nothing that others could wait for"


def test_what_a_cap_keeps_here_has_no_row_and_is_sent_by_the_next_run(bench: Bench, frontier: FrontierBench) -> None:
    with pytest.raises(NotAllGood, match=r"not all documents were sent: the command's cap is reached \(2 documents\)"):
        run(bench, caps=Caps(documents=2))
    (job,) = list_jobs(bench.settings)
    assert (job.state, job.done, job.failed) == (State.INTERRUPTED, 2, 0)
    (directory,) = job_dirs(bench.settings)
    before = {each.path: each.worked_seconds or 0.0 for each in documents(directory)}
    outcome = run_job(bench.settings, directory, lambda _: None, Caps(documents=3))
    assert (outcome.summary.state, outcome.new_documents) == (State.DONE, 3)
    assert len(frontier.frontier.requests) == 5
    after = [each.worked_seconds or 0.0 for each in documents(directory) if each.path not in before]
    assert min(after) > max(before.values()), "seconds of work go on where they stopped"


def test_frontier_that_is_gone_leaves_its_documents_to_do(bench: Bench, frontier: FrontierBench) -> None:
    frontier.configure(retries=0, concurrency=1)
    frontier.frontier.next_modes("401")
    with pytest.raises(NotAllGood, match="not all documents were sent"):
        run(bench)
    (job,) = list_jobs(bench.settings)
    assert (job.state, job.done, job.failed) == (State.INTERRUPTED, 0, 0)
    assert run(bench).summary.done == 5


def test_job_goes_on_under_another_policy_but_not_with_another_frontier(bench: Bench, frontier: FrontierBench) -> None:
    run(bench)
    (directory,) = job_dirs(bench.settings)
    bench.write("7.txt", "order 7")
    frontier.allow('tasks = ["orders"]')
    assert run_job(bench.settings, directory, lambda _: None).new_documents == 1
    bench.write("8.txt", "order 8")
    frontier.configure(model="other")
    with pytest.raises(UsageError, match="frontier recorded has changed since the job was made"):
        run_job(bench.settings, directory, lambda _: None)


def test_policy_that_forbids_the_task_makes_no_job(bench: Bench, frontier: FrontierBench) -> None:
    frontier.allow(data_classes='["public"]')
    with pytest.raises(UsageError):
        plan(bench.settings, request(bench))
    assert job_dirs(bench.settings) == []


def test_effort_makes_another_job(bench: Bench, frontier: FrontierBench) -> None:
    plain, high = (plan(bench.settings, request(bench, effort=effort)).config for effort in ("", "high"))
    assert plain.id != high.id
    assert (plain.model_name, high.model_name) == ("recorded", "recorded:high")


def test_job_of_a_list_answers_those_documents_only_and_another_list_is_another_job(
    bench: Bench, frontier: FrontierBench
) -> None:
    outcome = run(bench, documents=(b"3.txt", b"1.txt"))
    assert outcome.summary.total == 2
    (directory,) = job_dirs(bench.settings)
    assert [each.path for each in documents(directory)] == [b"1.txt", b"3.txt"]
    bench.write("0.txt", "order 9")
    assert run_job(bench.settings, directory, lambda _: None).summary.total == 2, "what is new is not its own"
    other = plan(bench.settings, request(bench, documents=(b"1.txt",))).config.id
    assert other not in (directory.name, plan(bench.settings, request(bench)).config.id)
    same = plan(bench.settings, request(bench, documents=(b"1.txt", b"3.txt", b"1.txt"))).config.id
    assert same == directory.name


def test_job_is_made_without_being_run(bench: Bench, frontier: FrontierBench) -> None:
    planned = plan(bench.settings, request(bench, documents=(b"2.txt",)))
    make_job(bench.settings, planned, Purpose.CHANGE).release()
    (job,) = list_jobs(bench.settings)
    assert (job.id, job.state) == (planned.config.id, State.INTERRUPTED)
    reports: list[Progress] = []
    run_job(bench.settings, bench.settings.jobs_dir / job.id, reports.append)
    assert [each.row.document for each in documents(bench.settings.jobs_dir / job.id)] == ["2.txt"]
    assert reports[-1].done == 1


def test_answers_that_another_job_paid_for_are_not_paid_again(bench: Bench, frontier: FrontierBench) -> None:
    run(bench, documents=(b"1.txt",))
    run(bench)
    assert len(frontier.frontier.requests) == 5
    whole = bench.settings.jobs_dir / plan(bench.settings, request(bench)).config.id
    assert [each.cached for each in documents(whole)] == [False, True, False, False, False]
    assert all(each.money for each in documents(whole))


def test_removed_job_takes_the_answers_that_it_paid_for(bench: Bench, frontier: FrontierBench) -> None:
    run(bench)
    remove_job(bench.settings, job_dirs(bench.settings)[0].name)
    connection = sqlite3.connect(bench.home_dir / "paid-answers" / "answers.db")
    assert connection.execute("SELECT count(*) FROM answers").fetchone() == (0,)
    connection.close()
    run(bench)
    assert len(frontier.frontier.requests) == 10


def test_job_that_keeps_no_text_keeps_no_paid_answer_after_its_end(bench: Bench, frontier: FrontierBench) -> None:
    with pytest.raises(NotAllGood):
        run(bench, keep_text="none", caps=Caps(documents=2))
    path = bench.home_dir / "paid-answers" / "answers.db"
    for expected in (2, 0):
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (expected,)
        connection.close()
        run(bench, keep_text="none")


def test_local_job_needs_no_output_folder(bench: Bench) -> None:
    bench.write_orders(3)
    outcome = run(bench, frontier="", model=str(bench.artifact_dir))
    assert (outcome.summary.state, outcome.output_path) == (State.DONE, None)
    (directory,) = job_dirs(bench.settings)
    assert [each.money for each in documents(directory)] == [0.0, 0.0, 0.0]
    done = bench.call("jobs", "show", directory.name)
    assert done.returncode == 0, done.stderr
    assert "the rows stay in the job" in done.stdout
    resumed = bench.call("jobs", "resume", directory.name)
    assert f"in the job; `stillroom jobs export {directory.name} --out DIR`" in resumed.stderr
    assert bench.call("jobs", "export", directory.name, "--out", str(bench.out_dir)).returncode == 0
    assert len(bench.rows()) == 3
