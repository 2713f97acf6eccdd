"""A bundle's program is compiled for more processors than the builder's: a verdict goes with it only where it holds."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bundle_fixtures import bundler_module, make_model

from appliance.models.approval import is_approved
from appliance.models.manifest import file_sha256, read_manifest, rewrite_manifest
from appliance.models.verdict import ComputeClass, sealed
from appliance.quality.gate import judge_results, write_verdict
from appliance.tasks.labels import read_labels
from appliance.tasks.taskfile import load_task

pytestmark = pytest.mark.slow


def program(folder: Path) -> list[str]:
    """The command line as a program that needs nothing of the environment, like a bundle's."""
    path = folder / "stillroom"
    call = f"import sys; sys.path[:0] = {sys.path!r}; from appliance.cli import main; sys.exit(main())"
    path.write_text(f"#!{sys.executable}\n{call}\n")
    path.chmod(0o755)
    return [os.fspath(path)]


def judged_elsewhere(tmp_path: Path) -> str:
    """A model in a task folder, found READY on its held-out rows by a machine with other libraries."""
    from appliance.engines.engine import Result

    given = make_model(tmp_path / "task")
    rows_path = tmp_path / "task" / "dataset" / "test.jsonl"
    rows_path.parent.mkdir()
    rows = [
        {"text": f"number: {n}\ntotal: {n}.50\n", "answer": {"number": str(n), "total": f"{n}.50"}} for n in range(100)
    ]
    rows_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    artifact_dir, labels = tmp_path / "task" / "orders-noop", read_labels(rows_path)
    answers = [Result("", row.answer) for row in labels]
    report = judge_results(load_task(artifact_dir), labels, answers)
    pairs = list(zip(labels, answers, strict=True))
    manifest = write_verdict(artifact_dir, read_manifest(artifact_dir), report, file_sha256(rows_path), pairs)
    assert manifest.verdict is not None
    there = ComputeClass("x86-64 AVX-512 VNNI", "llama-cpp-python 0.0.1", 1)
    rewrite_manifest(artifact_dir, replace(manifest, verdict=sealed(replace(manifest.verdict, compute=there))))
    return given


@pytest.mark.parametrize("has_labels", [True, False])
def test_verdict_is_carried_over_to_the_programs_of_the_bundle(tmp_path: Path, has_labels: bool) -> None:
    models = bundler_module("models")
    given = judged_elsewhere(tmp_path)
    if not has_labels:
        (tmp_path / "task" / "dataset" / "test.jsonl").unlink()
    for name in ("bundle", "scratch"):
        (tmp_path / name).mkdir()
    warning = models.add_model(models.read_model(given), tmp_path / "bundle", program(tmp_path), tmp_path / "scratch")
    manifest = read_manifest(tmp_path / "bundle" / "models" / "orders-noop" / "artifact")
    assert is_approved(manifest) is has_labels
    if has_labels:
        assert warning == ""
        assert manifest == read_manifest(tmp_path / "task" / "orders-noop"), "the next bundle is the same"
    else:
        assert "the verdict READY on orders-noop does not hold with the bundle's libraries" in warning
