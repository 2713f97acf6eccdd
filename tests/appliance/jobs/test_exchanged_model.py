"""A job goes on with the bytes that it began with, or not at all."""

import json
import shutil
from dataclasses import replace

import pytest

from appliance.ground.progress import ignore_progress
from appliance.jobs.job import job_dirs, read_config
from appliance.jobs.job_run import run_job
from appliance.models.compute_class import compute_class
from appliance.models.manifest import ArtifactError, read_manifest, rewrite_manifest, write_artifact
from appliance.models.verdict import READY, Verdict, sealed
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
    done = bench.run()
    assert done.returncode == 0, done.stderr
    assert "3 new in this run" in done.stderr
    assert len(job_dirs(bench.settings)) == 2, "another model makes another job"
    assert {row["model"] for row in before} == {identity}
    assert {row["model"] for row in bench.rows()} == {bench.identity}


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
