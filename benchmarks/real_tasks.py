"""Students on documents that people wrote and labelled: how good after 100, 300 and 1,000 rows, beside simpler ways.

    python benchmarks/real_tasks.py --work folder/ --minutes 60     # again and again, until nothing is left to do
    python benchmarks/real_tasks.py --work folder/ --table          # what there is so far
    python benchmarks/real_tasks.py --recorded --json               # what was measured, as it is kept beside this file

Each set is a task that a user would write: `train` finds the learning rate, 15 % of the rows choose the epoch, `merge`
and `export` make a GGUF file (Q8_0, or F16 where the check of the export refuses that), and its engine answers
documents whose texts nobody was trained on. Beside the students stand what needs no training of a model (the base
itself, untaught, under the same grammar; regular expressions), and a conditional random field on the same rows where
that is the usual tool. Micro F1 is over values, by the comparator of the field; invented is the share of fields
without a value that got one. An interval is 95 %, from draws of documents. The invoices are the final check: students
learn from generated ones and are judged on real ones.

Every cell (set, model, rows) is kept in the folder, so the work goes on where it ended. `--record` copies them.
"""

import argparse
import json
import platform
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import packages_first  # noqa: F401  # before `appliance`
from numpy.typing import NDArray
from real_task_baselines import UNTAUGHT, answers_by_crf, answers_by_regex, answers_untaught
from real_task_patterns import PATTERNS
from real_task_plot import picture
from real_task_sets import DATA_DIR, REAL_SETS, RealSet
from student_runs import CommandFailed, KeptAnswer, answers_of, exported, finished_run

from appliance.ground.errors import ApplianceError
from appliance.ground.files import write_lines
from appliance.quality.calibration import expected_calibration_error
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import LabelledRow
from appliance.tasks.linecode import Value, is_records
from appliance.tasks.task import Field, Task
from appliance.tasks.taskfile import load_task
from appliance.tasks.values import normalise, same
from export.parity import ExportDisagrees

RECORDED_DIR = Path(__file__).parent / "recorded" / "real_tasks"
SIZES = (100, 300, 1000)
VALIDATION_SHARE = 0.15
UNTAUGHT_DOCUMENTS = 100
"""That a base answers which was taught nothing: it is slow, and its figure needs no narrow interval."""
DRAWS = 2000
BINS = 15
BASES = {"smollm2": "SmolLM2-135M", "stillroom-base": "shipped base"}
CRF, REGEX = "crf", "regex"
TARGETS = ("gguf-q8_0", "gguf-f16")
"""The first that the export lets pass: a student that is sure of little may answer otherwise once it is quantized."""
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Cell:
    """One model on one set."""

    set_name: str
    model: str
    """A base, `crf` or `regex`."""
    rows: int
    """That it learnt from; 0 for a base as it is."""

    @property
    def file_name(self) -> str:
        """Where its figures are kept."""
        return f"{self.set_name}.{self.model}.{self.rows}.json"


@dataclass(frozen=True)
class Figures:
    """What a model answered, document by document: arrays are (documents,)."""

    right: Counts = field(repr=False)
    """Values that are right."""
    written: Counts = field(repr=False)
    gold: Counts = field(repr=False)
    """Values that there are."""
    absent: Counts = field(repr=False)
    """Fields that have no value."""
    invented: Counts = field(repr=False)
    """Of these: fields that got one."""
    whole: Counts = field(repr=False)
    """Whether every field is right."""
    ece: float | None
    """Expected calibration error of the fields' confidence; None for a model that gives none."""
    facts: dict[str, object] = field(default_factory=dict)
    """How it was made and how fast it was."""

    def f1(self, documents: Counts | slice = slice(None)) -> float:
        """Micro F1 of values, over some of the documents."""
        both = self.written[documents].sum() + self.gold[documents].sum()
        return float(2 * self.right[documents].sum() / max(1, both))

    def interval(self, value: Callable[[Counts], float]) -> tuple[float, float]:
        """The 2.5 and 97.5 % points of a figure over draws of documents."""
        generator, count = np.random.default_rng(0), len(self.right)
        low, high = np.quantile([value(generator.integers(0, count, count)) for _ in range(DRAWS)], [0.025, 0.975])
        return float(low), float(high)

    def line(self, cell: Cell) -> dict[str, object]:
        """As a table has it."""
        return {
            "set": cell.set_name, "model": cell.model, "rows": cell.rows, "documents": len(self.right),
            "f1": round(self.f1(), 4), "f1_interval": [round(end, 4) for end in self.interval(self.f1)],
            "whole": round(float(self.whole.mean()), 4),
            "whole_interval": [
                round(end, 4) for end in self.interval(lambda documents: float(self.whole[documents].mean()))
            ],
            "invented": round(float(self.invented.sum() / max(1, self.absent.sum())), 4),
            "ece": None if self.ece is None else round(self.ece, 4), **self.facts,
        }  # fmt: skip

    def stored(self) -> dict[str, object]:
        """As a cell is kept."""
        arrays = {name: getattr(self, name).tolist() for name in ARRAYS}
        return {**arrays, "ece": self.ece, "facts": self.facts}


ARRAYS = ("right", "written", "gold", "absent", "invented", "whole")


def read_figures(path: Path) -> Figures:
    """A cell that was kept."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    return Figures(*(np.array(stored[name]) for name in ARRAYS), stored["ece"], stored["facts"])


def judge(
    task: Task,
    rows: Sequence[LabelledRow],
    answers: Sequence[KeptAnswer],
    facts: Mapping[str, object],
    real_set: RealSet,
) -> Figures:
    """Counts what is right."""
    counts: list[Counts] = []
    confidences: list[float] = []
    hits: list[bool] = []
    for row, answer in zip(rows, answers, strict=True):
        total, right_fields = np.zeros(5, dtype=np.int64), 0
        for each in task.output_fields:
            value, truth = answer.answer.get(each.name), row.answer.get(each.name)
            if not (truth or real_set.judges_absent):
                right_fields += 1
                continue
            is_right = bool(value) == bool(truth) and (not truth or same(each, value, truth))
            if each.name == real_set.pairs:
                total += _pair_counts(each, value, truth)
            elif not real_set.pairs:  # else what is no pair, the intent, counts in whole documents alone
                total += _counts(value, truth, is_right)
            right_fields += is_right
            if (share := answer.confidence.get(each.name)) is not None:
                confidences.append(share)
                hits.append(is_right)
        counts.append(np.append(total, int(right_fields == len(task.output_fields))))
    ece = expected_calibration_error(confidences, hits, BINS) if confidences else None
    return Figures(*np.array(counts).T, ece, dict(facts))


def _counts(value: Value, truth: Value, is_right: bool) -> list[int]:
    """Of one field: right, written, gold, absent, invented."""
    return [int(bool(truth) and is_right), bool(value), bool(truth), not truth, bool(value) and not truth]


def _pair_counts(field: Field, value: Value, truth: Value) -> list[int]:
    """The same of records of a name and a value, name by name."""
    entry, name = field.columns

    def by_name(records: Value) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {word: Counter() for word in name.values}
        for record in records if is_records(records) else ():
            found.setdefault(str(record[name.name]), Counter())[str(normalise(entry, record[entry.name]))] += 1
        return found

    mine, theirs = by_name(value), by_name(truth)
    absent = [word for word in name.values if not theirs[word]]
    return [
        sum((mine[word] & theirs[word]).total() for word in name.values),
        sum(found.total() for found in mine.values()),
        sum(found.total() for found in theirs.values()),
        len(absent),
        sum(bool(mine[word]) for word in absent),
    ]


def write_task_folder(folder: Path, real_set: RealSet, base: str, rows: Sequence[LabelledRow]) -> None:
    """A task folder whose rows are split into training and validation."""
    folder.mkdir(parents=True, exist_ok=True)
    text = f'{real_set.task}\n[student]\nbase = "{base}"\n'
    TaskFolder(folder).task_path.write_text(text, encoding="utf-8")
    held = round(VALIDATION_SHARE * len(rows))
    for name, some in (("train", rows[held:]), ("validation", rows[:held])):
        write_lines(TaskFolder(folder).split_path(name), map(LabelledRow.line, some))


def run_cell(cell: Cell, arguments: argparse.Namespace) -> Figures | None:
    """Trains and judges one model; None where the time of this call ended in its training."""
    real_set = REAL_SETS[cell.set_name]
    train, test = real_set.read(arguments.data)
    rows = random.Random(0).sample(train, min(cell.rows, len(train)))
    most = UNTAUGHT_DOCUMENTS if cell.model in BASES and not cell.rows else real_set.test_rows
    test = test[: arguments.test or most]
    folder = arguments.work / "cells" / cell.file_name.removesuffix(".json")
    facts: dict[str, object] = {"taught": len(rows), "date": time.strftime("%Y-%m-%d", time.gmtime())}
    facts["machine"] = f"{platform.machine()}, {arguments.threads} threads"
    write_task_folder(folder, real_set, cell.model if cell.model in BASES else "stillroom-base", rows)
    task, texts = load_task(folder), {str(number): row.text for number, row in enumerate(test)}
    if cell.model == CRF:
        answers, seconds = answers_by_crf(task, rows, test, real_set.pairs)
    elif cell.model == REGEX:
        answers, seconds = answers_by_regex(task, cell.set_name, test, real_set.pairs)
    elif not cell.rows:
        answers, seconds = answers_untaught(task, cell.model, test)
    else:
        words = ["--epochs", str(real_set.epochs[cell.rows])]
        run_dir = finished_run(folder, words, arguments.left(), arguments.processes)
        if run_dir is None:
            return None
        record = json.loads((run_dir / "record.json").read_text(encoding="utf-8"))
        artifact = artifact_of(run_dir, facts)
        kept_path = artifact.parent / "answers.jsonl"
        kept_path.unlink(missing_ok=True)  # a rate is of one go
        began = time.monotonic()
        by_key = answers_of(artifact, texts, arguments.threads, kept_path)
        seconds = time.monotonic() - began
        answers = [by_key[key] for key in texts]
        facts |= {"train_seconds": round(record["seconds"]), "options": record["options"], "best": record["best"]}
        shutil.rmtree(run_dir / "merged", ignore_errors=True)
        shutil.rmtree(artifact)
    facts["documents_per_second"] = round(len(test) / seconds, 2)
    return judge(task, test, answers, facts, real_set)


def artifact_of(run_dir: Path, facts: dict[str, object]) -> Path:
    """The student as it is answered with; which form that is goes into the facts."""
    for target in TARGETS[:-1]:
        try:
            artifact = exported(run_dir, target)
        except CommandFailed as failure:
            if failure.exit_code != ExportDisagrees.exit_code:
                raise
        else:
            facts["target"] = target
            return artifact
    facts["target"] = TARGETS[-1]
    return exported(run_dir, TARGETS[-1])


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """All cells that were asked for, what the targets are about first."""
    for rows in arguments.rows or (1000, 300, 100, 0):
        for set_name in arguments.set or REAL_SETS:
            for model in arguments.model or (*BASES, CRF, REGEX):
                is_for_set = {
                    CRF: rows > 0 and REAL_SETS[set_name].is_sequence,
                    REGEX: not rows and set_name in PATTERNS,
                }
                if is_for_set.get(model, True):
                    yield Cell(set_name, model, rows)


def lines_of(folder: Path, some: Iterable[Cell]) -> list[dict[str, object]]:
    """A line for each cell that there is."""
    return [read_figures(path).line(cell) for cell in some if (path := folder / cell.file_name).is_file()]


def print_table(lines: Sequence[dict[str, object]]) -> None:
    """As docs/results.md has it."""
    print("| set | model | rows | F1 of values | whole documents | invented | ECE | documents/s |")
    print("|---|---|---|---|---|---|---|---|")
    for line in sorted(lines, key=lambda line: (str(line["set"]), str(line["model"]), int(str(line["rows"])))):
        f1, whole, ends = float(str(line["f1"])), float(str(line["whole"])), line["f1_interval"]
        assert isinstance(ends, list)
        ece = "-" if line["ece"] is None else f"{float(str(line['ece'])):.3f}"
        name = BASES.get(str(line["model"]), str(line["model"]))
        name += f", {UNTAUGHT}" if line["model"] in BASES and not line["rows"] else ""
        taught = int(str(line.get("taught", line["rows"])))
        shares = (
            f"{f1:.1%} ({100 * ends[0]:.1f} to {100 * ends[1]:.1f}) | {whole:.1%} | {float(str(line['invented'])):.1%}"
        )
        rate = float(str(line["documents_per_second"]))
        speed = f"{rate:.1f}" if rate < 100 else f"{rate:,.0f}"
        print(f"| {line['set']} | {name} | {taught:,} | {shares} | {ece} | {speed} |".replace("%", " %"))


def summary(lines: Sequence[dict[str, object]]) -> dict[str, object]:
    """The figures that targets are about."""
    most: dict[tuple[str, str], dict[str, object]] = {
        (str(line["model"]), str(line["set"])): line for line in lines if line["rows"] == max(SIZES)
    }

    def column(model: str, key: str) -> dict[str, object]:
        return {set_name: line[key] for (name, set_name), line in most.items() if name == model}

    smollm2, shipped = column("smollm2", "f1"), column("stillroom-base", "f1")
    gains = [float(str(smollm2[name])) - float(str(shipped[name])) for name in smollm2.keys() & shipped.keys()]
    return {
        "smollm2_1000": smollm2,
        "shipped_1000": shipped,
        "over_shipped": round(sum(gains) / len(gains), 4) if gains else None,
        "invented": column("smollm2", "invented"),
        "lines": list(lines),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, help="folder that keeps the cells")
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="folder of the sets")
    parser.add_argument("--set", choices=REAL_SETS, action="append", help="one of the sets; all where left out")
    parser.add_argument(
        "--model", choices=(*BASES, CRF, REGEX), action="append", help="one of the models; all where left out"
    )
    parser.add_argument("--rows", type=int, choices=(*SIZES, 0), action="append", help="rows to learn from")
    parser.add_argument("--test", type=int, metavar="N", help="documents to be judged on, instead of the set's number")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many; the next call goes on")
    parser.add_argument("--processes", type=int, default=1, help="that train together")
    parser.add_argument("--threads", type=int, default=2, help="of the answers")
    parser.add_argument("--table", action="store_true", help="compute nothing, show what there is")
    parser.add_argument("--record", action="store_true", help="copy what there is beside this file")
    parser.add_argument("--recorded", action="store_true", help="compute nothing, show what was copied")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw F1 over rows as an SVG file")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    if not arguments.recorded and not arguments.work:
        parser.error("--work or --recorded is needed")
    ends = time.monotonic() + 60 * arguments.minutes
    arguments.left = lambda: max(0.1, ends - time.monotonic()) if arguments.minutes < 1e8 else None
    return arguments


def main() -> int:
    """Measures for some minutes; with --json the last line is one JSON object."""
    arguments = _options()
    folder = RECORDED_DIR if arguments.recorded else arguments.work
    some = list(cells(arguments))
    try:
        for cell in () if arguments.table or arguments.recorded else some:
            left = arguments.left()
            if (folder / cell.file_name).is_file() or (left is not None and left < 1):
                continue
            figures = run_cell(cell, arguments)
            if figures is not None:
                write_lines(folder / cell.file_name, [json.dumps(figures.stored())])
                print(f"{cell}: F1 {figures.f1():.4f}", file=sys.stderr, flush=True)
    except ApplianceError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    if arguments.record:
        RECORDED_DIR.mkdir(parents=True, exist_ok=True)
        for cell in some:
            if (path := folder / cell.file_name).is_file():
                shutil.copyfile(path, RECORDED_DIR / cell.file_name)
    lines = lines_of(folder, some)
    print_table(lines)
    if arguments.picture:
        write_lines(arguments.picture, picture(lines).splitlines())
    if arguments.json:
        print(json.dumps(summary(lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
