"""Folders of training runs: `runs/<id>/` with the exact task, configuration, metrics, adapter and a record."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.files import disk_errors, write_file, write_lines
from appliance.ground.json_text import json_text
from appliance.ground.locks import exclusive_lock
from appliance.tasks.folder import RunFolder, TaskFolder, task_file

VERSIONED = ("torch", "transformers", "peft", "accelerate", "tokenizers", "numpy")


def new_run(task_folder: Path, requested: Mapping[str, object] | None = None) -> Path:
    """A run folder, named by the time in UTC, with the options as they were typed and a copy of the task file.

    Raises:
        ResourceError: It cannot be written.
    """
    task_path = task_file(task_folder)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    run_dir, number = TaskFolder(task_path.parent).runs_dir / stamp, 1
    with disk_errors(run_dir):
        run_dir.parent.mkdir(exist_ok=True)
        while True:
            try:
                run_dir.mkdir()
                break
            except FileExistsError:  # of another process in the same second
                number += 1
                run_dir = run_dir.with_name(f"{stamp}-{number}")
        write_lines(RunFolder(run_dir).requested_options_path, [json_text(dict(requested or {}), ascii_only=True)])
        write_file(RunFolder(run_dir).task_path, task_path.read_bytes())
    return run_dir


def read_requested_options(run_dir: Path) -> dict[str, object]:
    """The options that a run was begun with, as they were typed.

    Raises:
        UsageError: Another version of Stillroom began the run.
    """
    path = RunFolder(run_dir).requested_options_path
    if not path.is_file():
        raise UsageError(
            f"the run {run_dir.name} was begun by another version of Stillroom: it has no {path.name}",
            "start a new run with `stillroom train` without --resume",
        )
    requested: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return requested


def change_requested_options(run_dir: Path, requested: Mapping[str, object]) -> None:
    """Puts options that a resumed run may change beside those that it was begun with.

    Raises:
        UsageError: A value is invalid, or another version of Stillroom began the run.
    """
    from training.options import change_compute

    config_path = RunFolder(run_dir).config_path
    if config_path.is_file():
        change_compute(config_path, requested)
    together = {**read_requested_options(run_dir), **requested}
    write_lines(RunFolder(run_dir).requested_options_path, [json_text(together, ascii_only=True)])


@contextmanager
def exclusive_run(run_dir: Path) -> Iterator[None]:
    """Keeps other processes from training the same run until this one ends or is killed.

    Raises:
        ResourceError: Another process trains it.
    """
    busy = ResourceError(
        f"the run {run_dir.name} is being trained by another process",
        "wait for it, or start a new run without --resume",
    )
    with exclusive_lock(RunFolder(run_dir).lock_path, busy):
        yield


def last_unfinished(task_folder: Path) -> Path:
    """The newest run without a record.

    Raises:
        UsageError: There is none.
    """
    unfinished = [run.path for run in TaskFolder(task_folder).runs() if not run.is_finished]
    if not unfinished:
        raise UsageError(
            f"{task_folder.name} has no unfinished run", "start one with `stillroom train` without --resume"
        )
    return unfinished[-1]


def finished_run(folder: Path) -> Path:
    """The folder itself where it is a run, else the newest finished run of the task folder.

    Raises:
        UsageError: There is none.
    """
    if RunFolder(folder).is_finished or RunFolder(folder).config_path.is_file():
        return folder
    finished = [run for run in TaskFolder(folder).runs() if run.is_finished]
    if not finished:
        raise UsageError(f"{folder} is not a run, and holds no finished run", "run `stillroom train TASK_FOLDER` first")
    return finished[-1].path


def write_record(run_dir: Path, best: Mapping[str, float | int], seconds: float) -> dict[str, object]:
    """Closes a run: what it resolved, what it reached, with how many threads a process and with which libraries."""
    import torch

    config = json.loads(RunFolder(run_dir).config_path.read_text(encoding="utf-8"))
    versions = {name: version(name) for name in VERSIONED}
    record = {**config, "best": dict(best), "seconds": round(seconds, 3)}
    record |= {"threads": torch.get_num_threads(), "versions": versions}
    write_lines(RunFolder(run_dir).record_path, [json_text(record, ascii_only=True, indent=2)])
    return record


def read_record(run_dir: Path) -> dict[str, object]:
    """The record of a finished run.

    Raises:
        UsageError: The run has not finished.
    """
    path = RunFolder(run_dir).record_path
    if not path.is_file():
        raise UsageError(
            f"{run_dir} is not a finished run: it has no {path.name}", "run `stillroom train TASK_FOLDER --resume`"
        )
    record: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return record
