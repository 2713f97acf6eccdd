"""Where everything of a task lies: the one place that spells the names of a task folder and of a run's folder.

task.toml
teacher/answers.jsonl, failures.jsonl, progress.json, reviews.jsonl, batches/
dataset/train.jsonl, validation.jsonl, test.jsonl, rejected.jsonl, review.jsonl, report.json, train.logits.safetensors
runs/<id>/requested_options.json, task.toml, config.json, metrics.jsonl, checkpoint.safetensors, lock, record.json,
          adapter/, merged/, export/<format>/
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TASK_FILE = "task.toml"
ANSWERS_FILE = Path("teacher") / "answers.jsonl"

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def task_file(path: Path) -> Path:
    """The task file that a path names: itself, or the one in the folder."""
    return path / TASK_FILE if path.is_dir() else path


@dataclass(frozen=True)
class TaskFolder:
    """A task folder; nothing in it need exist."""

    path: Path

    @classmethod
    def of(cls, path: Path) -> "TaskFolder":
        """The folder that a path names: itself, or the one that holds the task file."""
        return cls(path if path.is_dir() else path.parent)

    @property
    def task_path(self) -> Path:
        """What is asked."""
        return self.path / TASK_FILE

    @property
    def answers_path(self) -> Path:
        """The teacher's answers, as `collect` writes them."""
        return self.path / ANSWERS_FILE

    @property
    def collect_progress_path(self) -> Path:
        """How far the collecting of answers is."""
        return self.path / "teacher" / "progress.json"

    @property
    def reviews_path(self) -> Path:
        """What people said of the teacher's answers, the oldest first."""
        return self.path / "teacher" / "reviews.jsonl"

    @property
    def queue_path(self) -> Path:
        """The answers that a person should look at, as `curate` ranks them."""
        return self.path / "dataset" / "review.jsonl"

    def split_path(self, split: Split) -> Path:
        """The rows that train, choose the epoch, or judge, as `curate` writes them."""
        return self.path / "dataset" / f"{split}.jsonl"

    @property
    def logits_path(self) -> Path:
        """A local teacher's distributions for the training rows, as `score` writes them."""
        return self.path / "dataset" / "train.logits.safetensors"

    @property
    def rejected_path(self) -> Path:
        """The rows that `curate` left out, with its reasons."""
        return self.path / "dataset" / "rejected.jsonl"

    @property
    def report_path(self) -> Path:
        """What each filter of `curate` did."""
        return self.path / "dataset" / "report.json"

    @property
    def runs_dir(self) -> Path:
        """Holds a folder for each training run."""
        return self.path / "runs"

    def runs(self) -> list["RunFolder"]:
        """The runs that have begun, oldest first."""
        runs = (RunFolder(path) for path in sorted(self.runs_dir.glob("*")))
        return [run for run in runs if run.task_path.is_file()]

    def finished_runs(self) -> list["RunFolder"]:
        """The runs that have come to their end, oldest first."""
        runs = (RunFolder(path) for path in sorted(self.runs_dir.glob("*")))
        return [run for run in runs if run.is_finished]


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training run; nothing in it need exist."""

    path: Path

    @property
    def task_path(self) -> Path:
        """The task file as it was when the run began."""
        return self.path / TASK_FILE

    @property
    def requested_options_path(self) -> Path:
        """The options as they were typed."""
        return self.path / "requested_options.json"

    @property
    def lock_path(self) -> Path:
        """Locked by the process that trains the run."""
        return self.path / "lock"

    @property
    def checkpoint_path(self) -> Path:
        """What a run that was cut off goes on from."""
        return self.path / "checkpoint.safetensors"

    @property
    def config_path(self) -> Path:
        """The options in force, with the hashes of base and data."""
        return self.path / "config.json"

    @property
    def metrics_path(self) -> Path:
        """Losses while it trains, a line each."""
        return self.path / "metrics.jsonl"

    @property
    def record_path(self) -> Path:
        """What the run reached; a finished run has one."""
        return self.path / "record.json"

    @property
    def is_finished(self) -> bool:
        """Whether the training came to its end."""
        return self.record_path.is_file()

    @property
    def adapter_dir(self) -> Path:
        """The LoRA adapter."""
        return self.path / "adapter"

    @property
    def merged_dir(self) -> Path:
        """Base and adapter as one artifact."""
        return self.path / "merged"

    @property
    def exports_dir(self) -> Path:
        """Holds an artifact for each export target."""
        return self.path / "export"

    @property
    def task_folder(self) -> TaskFolder | None:
        """The task folder that the run lies in; None for a run that was moved elsewhere."""
        return TaskFolder(self.path.parent.parent) if self.path.parent.name == "runs" else None
