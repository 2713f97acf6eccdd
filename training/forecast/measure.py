"""Students on nested subsets of the training rows: the points of a learning curve, kept for a further call."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from appliance.ground.errors import UsageError
from appliance.ground.files import write_lines
from appliance.ground.json_text import json_text
from appliance.ground.output import note
from appliance.ground.text import human_count
from appliance.tasks.folder import TASK_FILE, TaskFolder
from appliance.tasks.labels import LabelledRow, data_hash, read_dataset, read_json_lines
from training.curate.split import place, sibling_key
from training.forecast.curve import Measured
from training.verb_call import call_verb

SHARES = (0.125, 0.25, 0.5, 1.0)
SEEDS = 3
LEAST_ROWS = 20
FOLDER, POINTS = "forecast", "points.jsonl"
_POINT_KEYS = {"rows", "seed", "error", "data"}
_KEYS = ("validation_values", "validation_accuracy")
"""What a student's record calls its share of right values, or right labels."""


def subset(rows: Sequence[LabelledRow], share: float, seed: int) -> list[LabelledRow]:
    """So large a part of the rows; a smaller one of the same seed lies in a larger one."""
    order = sorted(rows, key=lambda row: place(f"forecast {seed} {sibling_key(row)}"))
    return order[: max(1, round(share * len(rows)))]


def known_points(folder: TaskFolder) -> list[Measured]:
    """What was measured for the training rows as they are now."""
    train = read_dataset(folder.split_path("train"))
    points = [
        Measured(int(point["rows"]), float(point["error"]))
        for point in _kept(folder)
        if point["data"] == data_hash(train)
    ]
    return sorted(points, key=lambda point: point.rows)


def measure(folder: TaskFolder, words: Sequence[str] = (), seeds: int = SEEDS) -> list[Measured]:
    """Trains what is missing, and gives all points.

    Args:
        words: Further options of `stillroom train`.

    Raises:
        UsageError: There are too few rows.
    """
    train, validation = (read_dataset(folder.split_path(name)) for name in ("train", "validation"))
    if len(train) < LEAST_ROWS / SHARES[0] or not validation:
        raise UsageError(
            f"{human_count(len(train), 'training row')} and {len(validation):,} to judge by are too few for a curve",
            f"collect and curate more: {round(LEAST_ROWS / SHARES[0])} rows to learn from, and some to judge by",
        )
    done = {(int(point["rows"]), int(point["seed"])) for point in _kept(folder) if point["data"] == data_hash(train)}
    for share in SHARES:
        for seed in range(seeds):
            rows = subset(train, share, seed)
            if (len(rows), seed) not in done:
                note(f"training on {human_count(len(rows), 'row')} ({seed + 1} of {seeds})")
                error = _error(folder, rows, validation, [*words, "--seed", str(seed)])
                _keep(folder, {"rows": len(rows), "seed": seed, "error": error, "data": data_hash(train)})
    return known_points(folder)


def _error(folder: TaskFolder, rows: list[LabelledRow], validation: list[LabelledRow], words: Sequence[str]) -> float:
    """Share of the validation values that a student of these rows gets wrong."""
    work = TaskFolder(folder.path / FOLDER / "work")
    shutil.rmtree(work.path, ignore_errors=True)
    work.path.mkdir(parents=True)
    shutil.copyfile(folder.task_path, work.path / TASK_FILE)
    write_lines(work.split_path("train"), map(LabelledRow.line, rows))
    write_lines(work.split_path("validation"), map(LabelledRow.line, validation))
    try:
        call_verb("train", str(work.path), *words)
        (run,) = work.finished_runs()
        best = json.loads(run.record_path.read_text(encoding="utf-8"))["best"]
        return 1.0 - float(next(best[key] for key in _KEYS if key in best))
    finally:
        shutil.rmtree(work.path, ignore_errors=True)


def _kept(folder: TaskFolder) -> Iterator[dict[str, Any]]:
    path = folder.path / FOLDER / POINTS
    if path.is_file():
        yield from (point for _, point in read_json_lines(path) if point.keys() >= _POINT_KEYS)


def _keep(folder: TaskFolder, point: dict[str, object]) -> None:
    kept = list(_kept(folder))
    write_lines(folder.path / FOLDER / POINTS, map(json_text, [*kept, point]))


def points_of_file(path: Path) -> list[Measured]:
    """Points that were measured elsewhere: JSON Lines with rows and error.

    Raises:
        UsageError: A line is something else.
    """
    points = []
    for number, values in read_json_lines(path):
        rows, error = values.get("rows"), values.get("error")
        if (
            isinstance(rows, int) and not isinstance(rows, bool) and rows > 0
            and isinstance(error, int | float) and 0 <= error <= 1
        ):  # fmt: skip
            points.append(Measured(int(rows), float(error)))
            continue
        raise UsageError(
            f"{path.name}:{number}: it does not say how many rows led to which share of errors",
            'write {"rows": 200, "error": 0.125}',
        )
    return points
