"""What a person does with a job from outside, whether it runs, waits, has ended or was removed."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.answering.local import SENT_AHEAD
from appliance.ground.database import has_log
from appliance.ground.errors import ApplianceError, Interrupted, ResourceError, UsageError
from appliance.ground.processes import process_identity
from appliance.ground.users import current_user
from appliance.jobs.control import (
    cancel_job,
    pause_job,
    remove_job,
    resume_detached,
    retry_failed,
    start_detached,
)
from appliance.jobs.detached import log_path
from appliance.jobs.job import REMOVED_PREFIX, finish_removals
from appliance.jobs.job_plan import JobRequest
from appliance.jobs.job_run import JobOutcome, run_job, run_request
from appliance.jobs.ledger import JobSummary, list_jobs, open_readonly
from appliance.jobs.locks import (
    Holder,
    JobLock,
    Purpose,
    lock_holder,
    request_stop,
    requested_stop,
    take_lock,
)
from appliance.jobs.states import State
from tests.appliance.batch_fixtures import Bench

HOLD = "HOLD THE ENGINE\nnumber: 1\n"
KILL = "KILL THE ENGINE\n"


def request(bench: Bench) -> JobRequest:
    return JobRequest(bench.task_path, bench.documents_dir, bench.out_dir, str(bench.artifact_dir), settle_seconds=0.0)


def run(bench: Bench) -> JobOutcome:
    return run_request(bench.settings, request(bench), lambda _: None)


def the_job(bench: Bench) -> JobSummary:
    (job,) = list_jobs(bench.settings)
    return job


def directory_of(bench: Bench) -> Path:
    return bench.settings.jobs_dir / the_job(bench).id


def wait_for_end(pid: int) -> None:
    """Returns when the process has ended; it is nobody's child here."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 120)[0], "the process does not end"
    finally:
        os.close(descriptor)


def wait_until_stop_is_seen(directory: Path) -> None:
    """Returns when the process that runs the job has taken the request to stop."""
    holder = lock_holder(directory)
    assert holder is not None
    lock = JobLock(directory, -1, holder.token)
    deadline = time.monotonic() + 120
    while requested_stop(lock) is not None:
        assert time.monotonic() < deadline, "nobody takes the request"
        os.sched_yield()


def test_paused_job_finishes_what_is_in_flight_and_resumes(bench: Bench) -> None:
    bench.write("0000.txt", HOLD)
    for number in range(1, 120):
        bench.write(f"{number:04}.txt")
    # With one reader the document that holds the engine is the first in it.
    process = bench.start(*bench.run_arguments("--workers", "1"))
    bench.wait_until_held()
    assert pause_job(bench.settings, "orders", wait_seconds=0) is State.RUNNING
    wait_until_stop_is_seen(directory_of(bench))
    bench.release()
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "paused: " in stderr
    assert "stillroom jobs resume orders-" in stderr
    job = the_job(bench)
    assert job.state is State.PAUSED
    assert 0 < job.done <= SENT_AHEAD
    bench.write("0000.txt")
    resumed = run(bench)
    assert (resumed.summary.state, resumed.summary.done) == (State.DONE, 120)
    # The first document was changed while the job stood still, so it is done anew.
    assert resumed.new_documents == 120 - job.done + 1


def test_cancelled_job_ends_at_once_and_keeps_finished_rows(bench: Bench) -> None:
    for number in range(20):
        bench.write(f"{number:04}.txt", HOLD if number == 8 else "")
    process = bench.start(*bench.run_arguments())
    bench.wait_until_held()
    assert cancel_job(bench.settings, "orders", wait_seconds=60) is State.CANCELLED
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    job = the_job(bench)
    # Two readers: what came before the document that is held differs from run to run.
    assert f"cancelled: {job.done} of 20 documents finished" in stderr
    assert job.state is State.CANCELLED
    assert job.done < 20
    assert not bench.out_dir.exists()
    bench.write("0008.txt")
    assert run(bench).summary.done == 20


@pytest.mark.slow
def test_job_that_waits_for_the_engine_is_queued_and_can_be_paused(bench: Bench, tmp_path: Path) -> None:
    bench.write("0000.txt", HOLD)
    first = bench.start(*bench.run_arguments())
    bench.wait_until_held()
    other_dir = tmp_path / "other"
    other_dir.mkdir()
    (other_dir / "a.txt").write_text("number: 1\n")
    words = ["run", str(bench.task_path), str(other_dir), "--out", str(tmp_path / "o"), "--model"]
    second = bench.start(*words, str(bench.artifact_dir))
    queued = next(iter(_until(bench, lambda job: job.state is State.QUEUED and bool(job.message))))
    whose = f"(process {first.pid} of user {current_user()}, since "
    (running,) = (job for job in list_jobs(bench.settings) if job.id != queued.id)
    assert queued.message.startswith(f"job {running.id} has the engine of this machine {whose}")
    assert f"{queued.name}: job {running.id} has the engine" in bench.call("jobs", "list").stdout
    assert f"state:      queued: job {running.id} has the engine" in bench.call("jobs", "show", queued.id).stdout
    assert pause_job(bench.settings, queued.id, wait_seconds=60) is State.PAUSED
    _, notes = second.communicate(timeout=60)
    assert second.returncode == 130
    assert notes.count(f"queued: job {running.id} has the engine of this machine {whose}") == 1
    with pytest.raises(ResourceError, match=rf"running in another process \(process {first.pid} of user "):
        retry_failed(bench.settings, running.id)
    bench.release()
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_pausing_or_cancelling_a_finished_job_changes_nothing(bench: Bench) -> None:
    bench.write_orders(1)
    run(bench)
    assert pause_job(bench.settings, "orders") is State.DONE
    assert cancel_job(bench.settings, "orders") is State.DONE
    assert the_job(bench).state is State.DONE


def test_interrupted_job_is_marked_without_running(bench: Bench) -> None:
    bench.write("0000.txt", HOLD)
    process = bench.start(*bench.run_arguments())
    bench.wait_until_held()
    process.kill()
    process.communicate()
    assert the_job(bench).state is State.INTERRUPTED
    assert pause_job(bench.settings, "orders") is State.PAUSED
    assert cancel_job(bench.settings, "orders") is State.CANCELLED
    assert pause_job(bench.settings, "orders") is State.CANCELLED


def test_request_to_stop_of_an_earlier_run_is_not_obeyed_by_a_later_one(bench: Bench) -> None:
    bench.write_orders(2)
    run(bench)
    late = Holder(Purpose.RUN, process_identity(os.getpid()), "of the run before")
    request_stop(directory_of(bench), late, State.CANCELLED)
    bench.write("new.txt")
    assert run(bench).summary.state is State.DONE


def test_request_names_one_holder_only(bench: Bench) -> None:
    bench.write_orders(1)
    run(bench)
    with take_lock(directory_of(bench), Purpose.RUN) as lock:
        holder = lock_holder(directory_of(bench))
        assert holder is not None
        assert requested_stop(lock) is None
        request_stop(directory_of(bench), holder, State.PAUSED)
        assert requested_stop(lock) is State.PAUSED
    with take_lock(directory_of(bench), Purpose.RUN) as lock:
        assert requested_stop(lock) is None
    assert lock_holder(directory_of(bench)) is None


def test_process_whose_program_has_a_name_of_any_bytes_is_told_from_others() -> None:
    """As every process that got the pid of a supervisor that died."""
    code = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'a) \\xff', 0, 0, 0); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        mark = process_identity(process.pid)
        process.kill()
    assert mark.startswith(f"{process.pid} ")
    assert process_identity(process.pid) == ""


def test_retry_does_failed_and_quarantined_documents_again(bench: Bench) -> None:
    bench.write_orders(6)
    bench.write("0002.txt", KILL)
    bench.write("0003.txt", "word " * 1001)
    assert run(bench).summary.failed == 2
    times = {name: os.stat(bench.documents_dir / name).st_mtime_ns for name in ("0002.txt", "0003.txt")}
    assert retry_failed(bench.settings, "orders") == 2
    assert (the_job(bench).state, the_job(bench).failed) == (State.PAUSED, 0)
    for name, modified in times.items():
        bench.write(name)
        os.utime(bench.documents_dir / name, ns=(modified, modified))
    outcome = run_job(bench.settings, directory_of(bench), lambda _: None)
    assert (outcome.new_documents, outcome.summary.done, outcome.summary.failed) == (2, 6, 0)
    with open_readonly(directory_of(bench)) as reader:
        entry = reader.document("0002.txt")
        assert entry is not None
        assert [row.error for row in reader.superseded_rows(entry.id)] == ["engine_died"]


def test_running_job_is_neither_retried_nor_removed_nor_started_again(bench: Bench) -> None:
    bench.write("0000.txt", HOLD)
    process = bench.start(*bench.run_arguments())
    bench.wait_until_held()
    for forbidden in (
        lambda: retry_failed(bench.settings, "orders"),
        lambda: remove_job(bench.settings, "orders"),
        lambda: resume_detached(bench.settings, "orders"),
        lambda: start_detached(bench.settings, request(bench)),
    ):
        with pytest.raises(ResourceError, match="is running"):
            forbidden()
    bench.release()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_removed_job_is_a_usage_error_for_every_action(bench: Bench) -> None:
    bench.write_orders(1)
    run(bench)
    assert remove_job(bench.settings, "orders").startswith("orders-")
    actions: list[Callable[..., object]] = [pause_job, cancel_job, retry_failed, resume_detached, remove_job]
    for action in actions:
        with pytest.raises(UsageError, match="there is no job orders"):
            action(bench.settings, "orders")


def test_job_that_was_moved_to_another_disk_is_removed_with_what_it_kept(bench: Bench) -> None:
    bench.write_orders(1)
    run(bench)
    directory, moved, other = directory_of(bench), bench.root / "moved", bench.root / "other"
    directory.rename(moved)
    directory.symlink_to(moved)
    remove_job(bench.settings, "orders")
    assert not moved.exists()
    other.mkdir()
    directory.with_name(f"{REMOVED_PREFIX}x").symlink_to(other)  # cut short in between
    finish_removals(bench.settings)
    assert not other.exists()
    assert list(bench.settings.jobs_dir.iterdir()) == []


def test_removal_that_was_cut_short_is_finished_by_the_next_run(bench: Bench) -> None:
    bench.write_orders(1)
    run(bench)
    directory = directory_of(bench)
    directory.rename(directory.with_name(REMOVED_PREFIX + directory.name))
    assert list_jobs(bench.settings) == []
    run(bench)
    assert [path.name for path in bench.settings.jobs_dir.iterdir()] == [directory.name]


def test_detached_job_outlives_the_session_that_started_it(bench: Bench) -> None:
    bench.write("0000.txt", HOLD)
    starter = bench.start(*bench.run_arguments("--detach", "--json"))
    bench.wait_until_held()
    stdout, stderr = starter.communicate(timeout=120)
    assert starter.returncode == 0, stderr
    told = json.loads(stdout)
    holder = lock_holder(bench.settings.jobs_dir / told["job"])
    assert holder is not None
    assert os.getsid(holder.pid) not in (starter.pid, os.getsid(0))
    bench.release()
    wait_for_end(holder.pid)
    assert (the_job(bench).state, the_job(bench).done) == (State.DONE, 1)
    assert Path(told["log"]).stat().st_mode & 0o077 == 0
    assert "1 of 1 documents finished" in Path(told["log"]).read_text()


def test_detached_job_resumes_from_where_it_was_paused(bench: Bench) -> None:
    bench.write("0000.txt", HOLD)
    bench.write("0001.txt")
    identifier = start_detached(bench.settings, request(bench))
    bench.wait_until_held()
    holder = lock_holder(bench.settings.jobs_dir / identifier)
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)
    wait_for_end(holder.pid)
    assert the_job(bench).state is State.INTERRUPTED
    bench.write("0000.txt")
    assert resume_detached(bench.settings, identifier) == identifier
    (job,) = _until(bench, lambda job: job.state is State.DONE)
    assert job.done == 2


def test_detached_job_that_cannot_start_says_why_and_leaves_no_folder(bench: Bench) -> None:
    bench.write_orders(1)
    (bench.artifact_dir / "noop.json").write_text("{}")
    with pytest.raises(ApplianceError, match=r"noop\.json"):
        start_detached(bench.settings, request(bench))
    assert list(bench.settings.jobs_dir.iterdir()) == []


def test_detached_job_with_failed_documents_counts_as_started(bench: Bench) -> None:
    bench.write("a.txt", "word " * 1001)
    start_detached(bench.settings, request(bench))
    (job,) = _until(bench, lambda job: job.state is State.DONE)
    assert job.failed == 1
    # The process writes it after the lock is gone, so that no holder of it can be waited for.
    _until(bench, lambda job: "1 of 1 documents" in log_path(bench.settings.jobs_dir / job.id).read_text())


def test_job_is_done_only_when_its_rows_are_written(bench: Bench) -> None:
    bench.write_orders(2)
    blocked_path = bench.out_dir / "rows.jsonl"
    (blocked_path / "a folder where the file should be").mkdir(parents=True)
    with pytest.raises(ResourceError, match="cannot write"):
        run(bench)
    assert (the_job(bench).state, the_job(bench).done) == (State.FAILED, 2)
    assert not has_log(directory_of(bench) / "job.db"), "rows that were not read to their end kept the ledger in use"
    blocked_path.rename(bench.root / "elsewhere")
    outcome = run(bench)
    assert (outcome.summary.state, outcome.new_documents) == (State.DONE, 0)
    assert len(bench.rows()) == 2


def test_ctrl_c_before_the_folder_is_listed_leaves_a_job_that_resumes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import appliance.jobs.folder_scan as intake

    bench.write_orders(4)
    run(bench)
    bench.write("new.txt")
    monkeypatch.setattr(intake, "_BATCH", 2)
    listed = intake.chosen_documents

    def interrupted(*arguments: object) -> object:
        for number, document in enumerate(listed(*arguments)):  # type: ignore[arg-type]
            if number == 1:
                os.kill(os.getpid(), signal.SIGINT)
            yield document

    monkeypatch.setattr(intake, "chosen_documents", interrupted)
    with pytest.raises(Interrupted):
        run(bench)
    monkeypatch.undo()
    assert run(bench).new_documents == 1


def _until(bench: Bench, wanted: Callable[[JobSummary], bool]) -> list[JobSummary]:
    """The jobs that are as wanted, as soon as there is one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if matching := [job for job in list_jobs(bench.settings) if wanted(job)]:
            return matching
        os.sched_yield()
    raise AssertionError(f"no job is as wanted: {list_jobs(bench.settings)}")
