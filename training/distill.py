"""One training run: what a student is trained with, the training, and what it leaves in the run folder."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from appliance.ground.errors import UsageError
from appliance.ground.files import write_lines
from appliance.ground.json_text import json_text
from appliance.tasks.folder import RunFolder
from training.loop import RunWatch, fit, is_better
from training.lora import save_adapter
from training.memory_errors import named_memory_errors
from training.memory_need import model_shape
from training.metrics import Measurement
from training.options import RATE_FACTORS, RUN_VERSION, Precision, TrainingOptions, read_options
from training.ranks import join_ranks, of_first_rank, rank
from training.rate_range import KNOWN_RATES, range_test
from training.resources import check_resources, plan_of, read_machine
from training.row_notes import row_notes
from training.students.families import base_folder, open_student
from training.students.student import B, Student

if TYPE_CHECKING:
    from appliance.tasks.task import Task

SEARCH_EPOCHS = 3
COMPARED_FACTS = (
    ("base_hash", "the base model has"),
    ("data_hash", "the training rows have"),
    ("teacher_hash", "the teacher has"),
)
"""Hashes of what a resumed run goes on with; one that neither side has is the same."""


def distil(
    task: "Task",
    task_folder: Path,
    run_dir: Path,
    options: TrainingOptions,
    watch: "RunWatch | None" = None,
) -> Measurement:
    """Trains on `dataset/train.jsonl`; writes config, metrics, checkpoint and adapter into `run_dir`.

    A run that was interrupted goes on where it was, with the options that it began with.

    Args:
        watch: What is called on the way; in the first process of a run alone.

    Returns:
        The best epoch's measurement.

    Raises:
        UsageError: Base or dataset are missing, unfit, or have changed since the run began.
        TooLarge: The machine cannot hold the training, the merge or any export.
        Diverged: A gradient is no number.
        OutOfMemory: A step needs more memory than there is.
        RankLost: Another process of the run has ended.
    """
    watch = watch or RunWatch()
    config_path = RunFolder(run_dir).config_path
    is_resumed = bool(of_first_rank("yes" if config_path.is_file() else ""))  # it writes the file
    if is_resumed:
        options = read_options(config_path)
    base_dir = base_folder(task)
    plan = plan_of(options, task.student.family, model_shape(base_dir).weights)
    machine = read_machine(task_folder)
    check_resources(base_dir, plan, machine)
    student = open_student(task, task_folder, options.distillation)
    check_resources(base_dir, replace(plan, longest_tokens=student.longest_tokens), machine, is_loaded=True)
    for sentence in row_notes(student.facts):
        watch.note(sentence)
    used_seconds = 0.0
    if is_resumed:
        options = resumed_options(config_path, student.facts)
    else:
        began = time.monotonic()
        precision = cast("Precision", of_first_rank(plan.precision))  # as each rank has measured it
        options = replace(options, adapter=replace(options.adapter, precision=precision))
        options, rate_facts = resolve(student, options, watch)
        used_seconds = time.monotonic() - began
        config = {"version": RUN_VERSION, "family": student.family, **student.facts, "options": asdict(options)}
        config |= rate_facts
        if rank() == 0:
            write_lines(config_path, [json_text(config, ascii_only=True, indent=2)])
    with named_memory_errors(options):
        model, best = fit(student, options, run_dir, watch, used_seconds)
        best = {**best, **student.finish(model, options)}
    if rank() == 0:
        save_adapter(model, student.base_hash, RunFolder(run_dir).adapter_dir)
    return best


def resolve(
    student: Student[B], options: TrainingOptions, watch: RunWatch
) -> tuple[TrainingOptions, dict[str, object]]:
    """Options with a number as learning rate, and for `config.json` where it comes from."""
    if options.learning_rate == "auto":
        return replace(options, learning_rate=search_rate(student, options)), {"rate_from": "validation"}
    if options.learning_rate != "default":
        return options, {"rate_from": "option"}
    known_rate = KNOWN_RATES.get(student.base_hash.partition("+")[0])
    if known_rate is not None:
        return replace(options, learning_rate=known_rate), {"rate_from": "base"}
    return _tested_rate(student, options, watch)


def _tested_rate(
    student: Student[B], options: TrainingOptions, watch: RunWatch
) -> tuple[TrainingOptions, dict[str, object]]:
    """The rate of a base that nobody has trained here before."""
    test = range_test(student, options, join_ranks().device, watch.on_range_step)
    tested = of_first_rank(repr(test.rate) if test and test.rate else "")
    if test is None:
        why = "the run is too short to look for its learning rate"
    elif test.rate is None:
        why = f"no learning rate up to {test.rates[-1]:.1e} made the loss fall in {len(test.rates)} steps"
    else:
        rate = float(tested)
        watch.note(f"learning rate {rate:.1e}, by a test of {len(test.rates)} steps on training rows")
        return replace(options, learning_rate=rate), {"rate_from": "test", "rate_test": test.record}
    rate = student.default_rate
    watch.note(f"{why}: taking {rate:.1e}, a guess by the size of the base; --rate sets another")
    facts: dict[str, object] = {"rate_from": "guess"}
    return replace(options, learning_rate=rate), facts | ({"rate_test": test.record} if test else {})


def search_rate(student: Student[B], options: TrainingOptions) -> float:
    """The best of three rates after a few epochs on some of the rows, by validation, on the device of the training."""
    if not student.has_validation:
        return student.default_rate
    some = student.first(student.searched_examples)
    best_rate, best = student.default_rate, Measurement()
    for factor in RATE_FACTORS:
        rate = factor * student.default_rate
        _, measurement = fit(some, replace(options, learning_rate=rate, epochs=SEARCH_EPOCHS, seconds=None))
        if is_better(measurement, best, student.ranking):
            best_rate, best = rate, measurement
    return best_rate


def resumed_options(config_path: Path, facts: Mapping[str, object]) -> TrainingOptions:
    """What the run resolved when it began; it goes on with these, on the same base and rows only.

    Raises:
        UsageError: The base or the training rows are others now, or another version of Stillroom began the run.
    """
    options = read_options(config_path)
    config = json.loads(config_path.read_text(encoding="utf-8"))
    for key, changed in COMPARED_FACTS:
        then, now = str(config.get(key)), str(facts.get(key))
        if then != now:
            raise UsageError(
                f"{changed} changed since the run {config_path.parent.name} began:"
                f" the hash was {then[:16]} and is {now[:16]} now",
                "start a new run with `stillroom train` without --resume",
            )
    return options
