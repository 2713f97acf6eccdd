"""A job goes on with the bytes that it began with, or not at all."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from appliance.answering.lease import engine_lease
from appliance.answering.local import local_answerer
from appliance.engines.engine import Request
from appliance.ground.progress import ignore_progress
from appliance.ground.stopping import Stop
from appliance.jobs.job import job_dirs, read_config
from appliance.jobs.job_run import run_job
from appliance.models.compute_class import compute_class
from appliance.models.manifest import ArtifactError, read_manifest, rewrite_manifest, write_artifact
from appliance.models.selection import check_still_chosen, verify_chosen
from appliance.models.verdict import READY, Verdict, sealed
from appliance.tasks.taskfile import load_task
from tests.appliance.batch_fixtures import Bench
from tests.noop_fixtures import noop_manifest


def exchange(bench: Bench) -> None:
    """Puts another model of the same name, lineage and settings into the place of the first."""
    other = bench.root / "other.json"
    other.write_text(json.dumps({"misread": "order"}))
    shutil.rmtree(bench.artifact_dir)
    files = {"task.toml": bench.task_path, "noop.json": other}
    write_artifact(bench.artifact_dir, noop_manifest(bench.task_path), files)


def test_job_does_not_go_on_with_another_model_of_the_same_name(bench: Bench) -> None:
    bench.write_orders(2)
    assert bench.run().returncode == 0
    before, identity = bench.rows(), bench.identity
    exchange(bench)
    bench.write("new.txt")
    (directory,) = job_dirs(bench.settings)
    with pytest.raises(
        ArtifactError, match=f"now holds model {bench.identity[:16]}, this was begun with {identity[:16]}"
    ):
        run_job(bench.settings, directory, ignore_progress)
    bench.out_dir.rename(bench.root / "former rows")
    done = bench.run()
    assert done.returncode == 0, done.stderr
    assert "3 new in this run" in done.stderr
    assert len(job_dirs(bench.settings)) == 2, "another model makes another job"
    assert {row["model"] for row in before} == {identity}
    assert {row["model"] for row in bench.rows()} == {bench.identity}


def test_files_that_are_exchanged_while_a_job_waits_for_its_turn_are_not_opened(bench: Bench) -> None:
    """Only the weights: the manifest beside them still says what it said."""
    opened, task = bench.artifact_dir, load_task(bench.task_path)
    identity = verify_chosen(opened, bench.identity).identity
    check_still_chosen(opened, identity)
    times = (opened / "noop.json").stat()
    content = (opened / "noop.json").read_text()
    with engine_lease(bench.settings, Stop(), "a test") as lease:
        assert lease is not None
        answerer = local_answerer(opened, task, identity, 1, lease)
        (opened / "noop.json").write_text(content.replace("KILL", "kill"))
        os.utime(opened / "noop.json", ns=(times.st_atime_ns, times.st_mtime_ns))
        with pytest.raises(ArtifactError, match=r"noop\.json has SHA-256"):
            answerer.send(Request("a", "number: 1"))


@pytest.mark.slow
def test_job_is_approved_once_its_model_was_judged(bench: Bench) -> None:
    bench.write_orders(1)
    assert bench.run("--limit", "1").returncode == 0
    (directory,) = job_dirs(bench.settings)
    assert read_config(directory).unsafe
    manifest = read_manifest(bench.artifact_dir)
    judged = Verdict(
        READY, "gold", 0.99, 0.97, 0.95, 200, 400, "ab" * 32, "2026-01-01T00:00:00Z", manifest.identity,
        compute_class(manifest),
    )  # fmt: skip
    rewrite_manifest(bench.artifact_dir, replace(manifest, verdict=sealed(judged)))
    assert run_job(bench.settings, directory, ignore_progress).not_approved == ""
    assert not read_config(directory).unsafe
