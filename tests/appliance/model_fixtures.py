"""Artifacts of a task, and limits of the machine under which they are written."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from gguf_files import tiny_gguf

from appliance.models.compute_class import compute_class
from appliance.models.manifest import Manifest, rewrite_manifest, write_artifact
from appliance.models.verdict import READY, Verdict, sealed
from appliance.tasks.task import Task, task_hash
from appliance.tasks.taskfile import load_task

TASK = """version = 1
name = "{task}"
kind = "extract"
instruction = "Read the order"

[[fields]]
name = "total"
type = "amount"
"""
GOOD = Verdict(READY, "gold", 0.97, 0.96, 0.95, 120, 120, "ab" * 32, "2026-01-01T00:00:00Z")
LINEAGE = {"base_hash": "b" * 64, "adapter_hash": "a" * 64, "data_hash": "d" * 64, "merge_method": "fold"}


def make_artifact(directory: Path, task_name: str = "orders", content: bytes = b"weights", ready: bool = True) -> Path:
    """An artifact folder with a task file and a file of weights with this text; its identity follows from them."""
    source_dir = directory.with_name(f"{directory.name}-files")
    source_dir.mkdir(parents=True, exist_ok=True)
    task_path, weights_path = source_dir / "task.toml", source_dir / "model.gguf"
    task_path.write_text(TASK.format(task=task_name))
    weights_path.write_bytes(tiny_gguf(content))
    files = {"task.toml": task_path, "model.gguf": weights_path}
    manifest = write_artifact(directory, manifest_of(load_task(task_path), directory.name), files)
    if ready:
        judge_as(directory, manifest, GOOD)
    return directory


def judge_as(directory: Path, manifest: Manifest, verdict: Verdict) -> Manifest:
    """Writes the verdict into an artifact as a gate on this machine would."""
    compute = verdict.compute if verdict.compute.processor else compute_class(manifest)
    judged = replace(manifest, verdict=sealed(replace(verdict, identity=manifest.identity, compute=compute)))
    rewrite_manifest(directory, judged)
    return judged


def manifest_of(task: Task, name: str) -> Manifest:
    """The manifest of an artifact before its files are known."""
    return Manifest(
        identity="",
        name=name,
        family="decoder",
        format="gguf",
        task_name=task.name,
        task_hash=task_hash(task),
        quantization="Q8_0",
        target="cpu",
        prompt_form="stillroom-1/1",
        lineage={"base": "stillroom-base", **LINEAGE},
        licence="Apache-2.0",
        created="2026-01-01T00:00:00Z",
    )


def flip_byte(path: Path, at: int = 0) -> None:
    """Turns one bit of the file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def names_in(directory: Path) -> list[str]:
    """Every path below the folder, hidden ones too."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond the size, as on a disk that has no more room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
