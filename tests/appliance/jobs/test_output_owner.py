"""An output folder belongs to one job: a second one is refused before it works, whenever it starts."""

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.jobs.control import remove_job
from appliance.jobs.job import job_dirs
from appliance.jobs.job_plan import JobRequest, make_job, plan
from appliance.jobs.job_run import run_job, run_request
from appliance.jobs.locks import Purpose
from appliance.jobs.output_owner import OWNER_NAME, claim_output
from tests.appliance.batch_fixtures import Bench
from tests.appliance.capabilities import without_right_to_read_everything


def request(bench: Bench) -> JobRequest:
    return JobRequest(bench.task_path, bench.documents_dir, bench.out_dir, str(bench.artifact_dir), settle_seconds=0)


def other_request(bench: Bench) -> JobRequest:
    documents = bench.root / "other documents"
    documents.mkdir(exist_ok=True)
    (documents / "other.txt").write_text("number: 9\ntotal: 1.00\n")
    return replace(request(bench), documents_dir=documents)


def test_second_job_is_refused_and_the_first_goes_on(bench: Bench) -> None:
    bench.write_orders(2)
    job = run_request(bench.settings, request(bench), lambda _: None).summary.id
    before = (bench.out_dir / "rows.jsonl").read_bytes()
    with pytest.raises(UsageError, match=f"holds the rows of job {job} .documents {bench.documents_dir}") as refused:
        run_request(bench.settings, other_request(bench), lambda _: None)
    assert "--out" in refused.value.hint
    assert (bench.out_dir / "rows.jsonl").read_bytes() == before
    (bench.root / "linked").symlink_to(bench.out_dir)
    with pytest.raises(UsageError, match=job):
        run_request(
            bench.settings, replace(other_request(bench), out_dir=bench.root / "x" / ".." / "linked"), lambda _: None
        )
    assert [directory.name for directory in bench.settings.jobs_dir.iterdir()] == [job]
    (bench.out_dir / OWNER_NAME).unlink()  # as an earlier version left it
    with pytest.raises(UsageError, match=job):
        make_job(bench.settings, plan(bench.settings, other_request(bench)), Purpose.RUN)
    assert run_job(bench.settings, job_dirs(bench.settings)[0], lambda _: None).new_documents == 0
    done = bench.call("jobs", "export", job, "--out", str(bench.root / "elsewhere"))
    assert done.returncode == 0, done.stderr
    # Once the rows were moved away the folder is free, and the first job may not write there any more.
    shutil.move(bench.out_dir / "rows.jsonl", bench.root)
    second = run_request(bench.settings, other_request(bench), lambda _: None)
    assert second.summary.done == 1
    with pytest.raises(UsageError, match=second.summary.id):
        run_request(bench.settings, request(bench), lambda _: None)
    remove_job(bench.settings, job)


def test_of_jobs_that_start_at_once_one_is_refused(bench: Bench) -> None:
    bench.write_orders(1)
    planned = [plan(bench.settings, each) for each in (request(bench), other_request(bench))]
    ends: list[object] = []
    both = threading.Barrier(2)

    def start(number: int) -> None:
        both.wait()
        try:
            ends.append(make_job(bench.settings, planned[number], Purpose.RUN))
        except ApplianceError as error:
            ends.append(error)

    threads = [threading.Thread(target=start, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (refusal,) = (end for end in ends if isinstance(end, UsageError))
    assert "is in use by job" in refusal.message
    for end in ends:
        if not isinstance(end, ApplianceError):
            end.release()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["pipe", "link", "hard link", "folder"])
def test_note_that_is_no_plain_file_is_refused(tmp_path: Path, kind: str) -> None:
    out_dir, other = tmp_path / "out", tmp_path / "other"
    out_dir.mkdir()
    other.write_text("theirs")
    note = out_dir / OWNER_NAME
    {
        "pipe": lambda: os.mkfifo(note),
        "link": lambda: note.symlink_to(other),
        "hard link": lambda: os.link(other, note),
        "folder": note.mkdir,
    }[kind]()
    with pytest.raises(ResourceError):
        claim_output(out_dir, "a", None)
    assert other.read_text() == "theirs"


def test_note_that_was_cut_short_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / OWNER_NAME).write_bytes(b'{"vers')
    claim_output(tmp_path, "a", None)
    (tmp_path / "rows.jsonl").write_text("")
    with pytest.raises(UsageError, match="job a"):
        claim_output(tmp_path, "b", None)
    claim_output(tmp_path, "a", None)


def test_folder_of_another_machine_is_told_so(tmp_path: Path) -> None:
    (tmp_path / OWNER_NAME).write_text('{"version": 1, "job": "a", "folder": "/x", "host": "elsewhere"}')
    with pytest.raises(UsageError, match="is in use by job a on elsewhere"):
        claim_output(tmp_path, "b", None)


@pytest.mark.parametrize(
    "place",
    [
        "file",
        "file/rows",
        "link",
        "round",
        "round/rows",
        "closed/rows",
        "orders-noop",
        "home/jobs/x",
        "q" * 300,
        "new/" + "q" * 300,
        "q/" * 2500,
    ],
    ids=range(11),
)
def test_place_that_holds_no_rows_is_refused_before_the_work_and_the_job_stays(bench: Bench, place: str) -> None:
    bench.write_orders(1)
    (bench.root / "file").touch()
    (bench.root / "link").symlink_to("nowhere")
    (bench.root / "round").symlink_to("round")
    (bench.root / "closed").mkdir(mode=0o500)
    with without_right_to_read_everything(), pytest.raises(ApplianceError, match=r"rows to|lies among") as refused:
        run_request(bench.settings, replace(request(bench), out_dir=bench.root / place), lambda _: None)
    assert "--out" in refused.value.hint or "outside" in refused.value.hint
    assert job_dirs(bench.settings) == []
