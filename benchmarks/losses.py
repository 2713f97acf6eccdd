"""What a local teacher's distributions bring to a student, by how many rows there are to learn from.

    python benchmarks/losses.py --work folder/ --minutes 18      # again and again, until nothing is left to do
    python benchmarks/losses.py --work folder/ --table           # what there is so far

Voice commands to a music player (SNIPS, people's slots): from "add Unite and Win to my night out" the playlist, whose
it is, the artist and the title. The student is the shipped base; the teacher is the same base after all rows that are
not tested on. Each arm has the same rows, steps and learning rate; 15 % of the rows choose the epoch. 400 commands that
nobody trained on are answered under the grammar, as in production.

Every cell (arm, rows, seed) is kept in the folder, so the work goes on where it ended. An interval is 95 %, from draws
of seeds and of documents within them; a difference to plain fine-tuning is of the same seeds and documents.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import packages_first  # noqa: F401  # before `training`
from numpy.typing import NDArray

from appliance.engines.tokenizer import FileTokenizer
from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.files import write_lines
from appliance.tasks.folder import RunFolder, TaskFolder
from appliance.tasks.labels import LabelledRow, text_hash
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task
from appliance.tasks.values import same
from training.base_model import PACKAGED_BASE, base_hash, find_base, load_base
from training.distill import distil
from training.lora import load_adapter
from training.merge import merge
from training.options import options_for
from training.run_folder import new_run, read_requested_options, write_record
from training.score import score
from training.students.decoder.generation import generate

DATA_DIR = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "snips"
INTENT = "AddToPlaylist"
FIELDS = {"playlist": "playlist", "playlist_owner": "owner", "artist": "artist", "entity_name": "title"}
"""Slot -> how it is asked for."""
TEST_ROWS = 400
VALIDATION_SHARE = 0.15
RATE = 4e-3
"""The best of 1e-3, 2e-3 and 4e-3 for plain fine-tuning on 300 rows of one seed: F1 61.1, 64.8 and 65.9 %."""
BATCH_TOKENS = 512
EPOCHS = {100: 10, 300: 6, 1000: 3}
TEACHER_EPOCHS = 6
DRAWS = 2000
PLAIN = "labels alone"
STORED = "stored_tokens"
"""Likeliest tokens that the teacher stores before the training, in place of being there."""
ARMS: dict[str, dict[str, object]] = {
    PLAIN: {},
    "forward KL": {"loss": "forward-kl", "temperature": 1.0},
    "forward KL, half labels": {"loss": "forward-kl", "temperature": 1.0, "teacher_share": 0.5},
    "forward KL, temperature 2": {"loss": "forward-kl", "temperature": 2.0},
    "forward KL, temperature 4": {"loss": "forward-kl", "temperature": 4.0},
    "reverse KL": {"loss": "reverse-kl"},
    "JSD, beta 0.5": {"loss": "jsd", "beta": 0.5},
    "JSD, half of the steps on-policy": {"loss": "jsd", "beta": 0.5, "on_policy": 0.5},
    "forward KL, 32 tokens stored": {"loss": "forward-kl", STORED: 32, "temperature": 1.0},
    "forward KL, temperature 2, 32 tokens stored": {"loss": "forward-kl", STORED: 32, "temperature": 2.0},
}
"""Name -> options of `stillroom train` beside the teacher."""


@dataclass(frozen=True)
class Cell:
    """One training."""

    arm: str
    rows: int
    seed: int

    @property
    def file_name(self) -> str:
        """Where its figures are kept."""
        words = "-".join(self.arm.lower().replace(",", "").split())
        return f"{words}.{self.rows}.{self.seed}.json"


@dataclass(frozen=True)
class Figures:
    """What a student answered, document by document."""

    right: NDArray[np.int64] = field(repr=False)
    """(documents,): values that are right."""
    written: NDArray[np.int64] = field(repr=False)
    """(documents,): values that it wrote."""
    gold: NDArray[np.int64] = field(repr=False)
    """(documents,): values that there are."""
    whole: NDArray[np.int64] = field(repr=False)
    """(documents,): whether every field is right."""
    seconds: float = 0.0

    def f1(self, documents: NDArray[np.int64] | slice = slice(None)) -> float:
        """Of values, over some of the documents."""
        right, both = self.right[documents].sum(), self.written[documents].sum() + self.gold[documents].sum()
        return float(2 * right / max(1, both))

    def stored(self) -> dict[str, object]:
        """As a cell is kept."""
        arrays = {name: getattr(self, name).tolist() for name in ("right", "written", "gold", "whole")}
        return {**arrays, "seconds": round(self.seconds, 1), "f1": round(self.f1(), 4)}


def read_commands(data_dir: Path) -> list[LabelledRow]:
    """The commands in a fixed random order, each text once; those with two values of one slot are left out.

    Raises:
        ResourceError: They are not there.
    """
    rows: dict[str, LabelledRow] = {}
    for name in ("train", "test"):
        path = data_dir / f"{name}.jsonl"
        if not path.is_file():
            raise ResourceError(f"{path} is not there", "name the folder that holds train.jsonl with --data")
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            values = record["fields"].values()
            if record["label"] == INTENT and all(isinstance(value, str) for value in values):
                answer = {key: record["fields"].get(key) for key in FIELDS}
                text = record["text"]
                row = LabelledRow(record["id"], text, answer, text_hash(text), teacher="people")
                rows.setdefault(" ".join(text.lower().split()), row)
    commands = list(rows.values())
    random.Random(7).shuffle(commands)
    return commands


def write_task_folder(folder: Path, rows: Sequence[LabelledRow]) -> None:
    """A task folder whose rows are split into training and validation."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = ['version = 1\nname = "music"\nkind = "extract"\ninstruction = "Add to a playlist"\n']
    parts += [f'[[fields]]\nname = "{name}"\nphrase = "{phrase}"\n' for name, phrase in FIELDS.items()]
    (folder / "task.toml").write_text("\n".join(parts), encoding="utf-8")
    held = round(VALIDATION_SHARE * len(rows))
    for name, some in (("train", rows[held:]), ("validation", rows[:held])):
        write_lines(TaskFolder(folder).split_path(name), map(LabelledRow.line, some))


def train(folder: Path, seed: int, epochs: int, more: dict[str, object]) -> Path:
    """Trains a run of the task folder, or the rest of one that was cut off; returns it."""
    requested = {"rate": RATE, "epochs": epochs, "seed": seed, "batch_tokens": BATCH_TOKENS, "field_dropout": 0.0}
    unfinished = [run.path for run in TaskFolder(folder).runs() if not run.is_finished]
    run_dir = unfinished[-1] if unfinished else new_run(folder, requested | more)
    requested = read_requested_options(run_dir)
    began = time.monotonic()
    best = distil(load_task(run_dir), folder, run_dir, options_for("decoder", requested))
    write_record(run_dir, best, time.monotonic() - began)
    return run_dir


def judge_run(run_dir: Path, test: Sequence[LabelledRow]) -> Figures:
    """What the run's student answers."""
    began, base_dir, task = time.monotonic(), find_base(PACKAGED_BASE), load_task(run_dir)
    model = load_adapter(load_base(base_dir), base_hash(base_dir), RunFolder(run_dir).adapter_dir)
    tokenizer = FileTokenizer(base_dir / "tokenizer.json")
    results = generate(model, task, tokenizer, [row.text for row in test], 1024)
    counts = [_counts(task, row, result.answer or {}) for row, result in zip(test, results, strict=True)]
    return Figures(*(np.array(column) for column in zip(*counts, strict=True)), time.monotonic() - began)


def _counts(task: Task, row: LabelledRow, answer: dict[str, str | list[str] | None]) -> tuple[int, int, int, int]:
    right = written = gold = 0
    for each in task.output_fields:
        value, truth = answer.get(each.name), row.answer.get(each.name)
        written, gold = written + bool(value), gold + bool(truth)
        right += bool(value) and bool(truth) and same(each, value, truth)
    return right, written, gold, int(right == written == gold)


def teacher_dir(work_dir: Path, pool: Sequence[LabelledRow], test: Sequence[LabelledRow]) -> Path:
    """The teacher's merged weights; trained where there are none, with a line on how good it is."""
    folder = work_dir / "teacher"
    figures_path = work_dir / "teacher.json"
    if not figures_path.is_file():
        write_task_folder(folder, pool)
        run_dir = train(folder, 0, TEACHER_EPOCHS, {})
        merge(run_dir)
        write_lines(figures_path, [json.dumps({**judge_run(run_dir, test).stored(), "run": run_dir.name})])
    return RunFolder(folder / "runs" / json.loads(figures_path.read_text())["run"]).merged_dir


def cells(arms: Sequence[str], sizes: Sequence[int], seeds: int) -> Iterator[Cell]:
    """All cells, seed by seed, so that what there is after any time can be compared."""
    for seed in range(seeds):
        for rows in sizes:
            for arm in arms:
                yield Cell(arm, rows, seed)


def run_cell(cell: Cell, work_dir: Path, pool: Sequence[LabelledRow], test: Sequence[LabelledRow]) -> Figures:
    """Trains and judges one student."""
    began = time.monotonic()
    folder = work_dir / "cells" / cell.file_name.removesuffix(".json")
    rows = random.Random(cell.seed).sample(list(pool), max(EPOCHS))[: cell.rows]  # smaller sets lie in larger ones
    write_task_folder(folder, rows)
    more = dict(ARMS[cell.arm])
    if tokens := more.pop(STORED, None):
        teacher, temperature = str(teacher_dir(work_dir, pool, test)), float(str(more.pop("temperature")))
        stored = score(load_task(folder), folder, teacher, int(str(tokens)), temperature)
        more["teacher_logits"] = str(stored.path)
    elif more:
        more["teacher_model"] = str(teacher_dir(work_dir, pool, test))
    figures = judge_run(train(folder, cell.seed, EPOCHS[cell.rows], more), test)
    return Figures(figures.right, figures.written, figures.gold, figures.whole, time.monotonic() - began)


def read_figures(path: Path) -> Figures:
    """A cell that was kept."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    arrays = [np.array(stored[name]) for name in ("right", "written", "gold", "whole")]
    return Figures(*arrays, stored["seconds"])


def interval(parts: Sequence[Figures], plain: Sequence[Figures] = ()) -> tuple[float, float, float]:
    """Mean F1 over the seeds, or its difference to the plain arm's, with the 95 % interval.

    Args:
        plain: Of the same seeds.
    """
    generator = np.random.default_rng(0)

    def value(numbers: Sequence[int], documents: NDArray[np.int64] | slice) -> float:
        return float(np.mean([parts[n].f1(documents) - (plain[n].f1(documents) if plain else 0.0) for n in numbers]))

    count = len(parts[0].right)
    draws = [
        value(generator.integers(0, len(parts), len(parts)).tolist(), generator.integers(0, count, count))
        for _ in range(DRAWS)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return value(range(len(parts)), slice(None)), float(low), float(high)


def table(work_dir: Path, arms: Sequence[str], sizes: Sequence[int], seeds: int) -> list[dict[str, object]]:
    """A line for each arm and size of which there are cells."""
    lines: list[dict[str, object]] = []
    for rows in sizes:
        kept = {
            arm: {
                seed: read_figures(path)
                for seed in range(seeds)
                if (path := work_dir / Cell(arm, rows, seed).file_name).is_file()
            }
            for arm in arms
        }
        for arm, by_seed in kept.items():
            if not by_seed:
                continue
            parts = list(by_seed.values())
            f1, low, high = interval(parts)
            line: dict[str, object] = {
                "rows": rows,
                "arm": arm,
                "seeds": len(parts),
                "f1": f1,
                "low": low,
                "high": high,
            }
            line["whole"] = float(np.mean([part.whole.mean() for part in parts]))
            line["seconds"] = float(np.mean([part.seconds for part in parts]))
            common = [seed for seed in by_seed if seed in kept.get(PLAIN, {})]
            if arm != PLAIN and common:
                against = interval([by_seed[seed] for seed in common], [kept[PLAIN][seed] for seed in common])
                line |= dict(zip(("gain", "gain_low", "gain_high"), against, strict=True))
            lines.append(line)
    return lines


def print_table(lines: Sequence[dict[str, object]]) -> None:
    """As docs/results.md has it."""
    print("| rows | learnt from | F1 of values | against labels alone | whole documents | seeds | s |")
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        number = {key: float(str(value)) for key, value in line.items() if key != "arm"}
        f1 = f"{number['f1']:.1%} ({100 * number['low']:.1f} to {100 * number['high']:.1f})"
        gain = "-"
        if "gain" in number:
            low, high = 100 * number["gain_low"], 100 * number["gain_high"]
            gain = f"{100 * number['gain']:+.1f} points ({low:+.1f} to {high:+.1f})"
        rest = f"{number['whole']:.1%} | {number['seeds']:.0f} | {number['seconds']:.0f} |"
        print(f"| {number['rows']:.0f} | {line['arm']} | {f1} | {gain} | {rest}".replace("%", " %"))


def main() -> int:
    """Measures for some minutes; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps teacher and cells")
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="folder with train.jsonl and test.jsonl of SNIPS")
    parser.add_argument("--arm", choices=ARMS, action="append", help="one of the ways to learn; all where left out")
    parser.add_argument("--rows", type=int, choices=EPOCHS, action="append", help="rows to learn from")
    parser.add_argument("--seeds", type=int, default=3, help="how many draws of rows, adapter and order, from 0")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no cell after so many")
    parser.add_argument("--table", action="store_true", help="compute nothing, show what there is")
    parser.add_argument("--json", action="store_true", help="print the table as one JSON object")
    arguments = parser.parse_args()
    arms, sizes = arguments.arm or list(ARMS), arguments.rows or list(EPOCHS)
    ends = time.monotonic() + 60 * arguments.minutes
    try:
        commands = read_commands(arguments.data)
        test, pool = commands[:TEST_ROWS], commands[TEST_ROWS:]
        if not arguments.table:
            teacher_dir(arguments.work, pool, test)
        for cell in () if arguments.table else cells(arms, sizes, arguments.seeds):
            path = arguments.work / cell.file_name
            if not path.is_file() and time.monotonic() < ends:
                figures = run_cell(cell, arguments.work, pool, test).stored()
                write_lines(path, [json.dumps(figures)])
                print(f"{cell}: F1 {figures['f1']}, {figures['seconds']} s", file=sys.stderr, flush=True)
    except ApplianceError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    lines = table(arguments.work, arms, sizes, arguments.seeds)
    print_table(lines)
    if arguments.json:
        print(json.dumps({"date": time.strftime("%Y-%m-%d", time.gmtime()), "lines": lines}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
