"""Which student a task's `student.family` names."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from appliance.tasks.task import Task
    from training.distillation_options import DistillationOptions
    from training.students.student import Student


def base_folder(task: "Task") -> Path:
    """Where the base of a task's student lies.

    Raises:
        UsageError: It is not on this machine.
    """
    if task.student.family == "encoder":
        from training.students.encoder.model import find_base as find_encoder

        return find_encoder(task.student.base).directory
    from training.base_model import find_base

    return find_base(task.student.base)


def check_kind(family: str, directory: Path) -> None:
    """Refuses a base that is no model of the family, by its config.json.

    Raises:
        UsageError: It is none, or none that is known here.
        UnfitBase: The configuration describes no model that can be built.
    """
    if family == "encoder":
        from training.students.encoder.model import longest_text

        longest_text(directory)
        return
    from training.base_kind import text_model

    text_model(directory)


def open_student(task: "Task", task_folder: Path, distillation: "DistillationOptions") -> "Student[Any]":
    """The student of a task folder: its base, the rows of `dataset/` as token ids, and its local teacher.

    Raises:
        UsageError: Base or dataset are missing, no row can be trained on, or the teacher does not fit the student.
    """
    if task.student.family == "encoder":
        from training.students.encoder.student import open_encoder

        return open_encoder(task, task_folder)
    from training.students.decoder.student import open_decoder

    return open_decoder(task, task_folder, distillation)


def merge_adapter(task: "Task", run_dir: Path, merged_dir: Path, base_dir: Path | None) -> dict[str, str]:
    """Folds a run's adapter into its base and writes weights, config and tokenizer into `merged_dir`.

    Args:
        base_dir: The base, where it is not the one that the run names.

    Returns:
        Lineage: `base`, `base_hash`, `merge_method`.
    """
    if task.student.family == "encoder":
        from training.students.encoder.merge import merge_encoder

        return merge_encoder(run_dir, merged_dir, base_dir)
    from training.students.decoder.merge import merge_decoder

    return merge_decoder(run_dir, merged_dir, base_dir)
