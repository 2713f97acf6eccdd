"""What curation finds of a teacher's mistakes, what it loses of the right values, and what a student gains by it.

    python benchmarks/curation.py --work folder/ --minutes 60    # again and again, until nothing is left to do
    python benchmarks/curation.py --work folder/ --no-students   # minutes: what is found and lost
    python benchmarks/curation.py --recorded --json              # what was measured, as it is kept beside this file

The labels of people play a teacher that is right; in 15 % of the rows one mistake is planted: a value that is cut,
swapped with another one, misread in a digit, something else of the document, another document's, or left out. `curate`
sees the spoilt rows. A mistake is found where its value is not learnt from; a right value is lost where it is not
learnt from either. Then a student learns from the spoilt rows as they are, from what curation leaves of them, from the
spoilt rows without as many values and rows drawn at random, and from the clean rows; people's labels of other documents
judge all four. The bounds of the filters were chosen on three of the sets, the first of the table.
"""

import argparse
import json
import platform
import random
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import packages_first  # noqa: F401  # before `training`
import real_tasks
from curation_mistakes import KINDS, Planted, plant
from curation_sets import CURATION_SETS
from real_task_sets import DATA_DIR, RealSet
from student_runs import answers_of, exported, finished_run

from appliance.ground.errors import ApplianceError
from appliance.ground.files import write_lines
from appliance.quality.statistics import wilson
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import LabelledRow
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task
from training.curate.pipeline import FilteredRows, filter_rows

RECORDED_PATH = Path(__file__).parent / "recorded" / "curation.json"
SHARE = 0.15
"""Of the rows that get a mistake."""
VALIDATION_SHARE = 0.15
ARMS = ("plain", "curated", "random", "clean")
"""From the spoilt rows as they are; what curation leaves; without as much drawn at random; without any mistake."""
THREADS = 2


@dataclass(frozen=True)
class StudentScore:
    """One student on people's labels."""

    f1: float
    low: float
    high: float
    """Ends of the 95 % interval over documents."""
    documents: int
    rows: int
    """That it learnt from."""


@dataclass
class SetRecord:
    """What was measured of one set with one seed."""

    name: str
    seed: int
    rows: int
    values: int
    """Right ones; of nulls those that are doubted."""
    lost: int
    rejected: int
    """Rows."""
    planted: dict[str, int]
    recalled: dict[str, int]
    """Kind of mistake -> how often it was planted, and recalled by the curation."""
    by_filter: dict[str, int]
    seconds: float = 0.0
    """That the curation took."""
    students: dict[str, StudentScore] = field(default_factory=dict)
    """Arm -> its student."""

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> "SetRecord":
        """As it was kept."""
        students = {arm: StudentScore(**each) for arm, each in values.pop("students").items()}
        return cls(**values, students=students)


@dataclass(frozen=True)
class SetFigures:
    """One set over its seeds."""

    name: str
    chosen_on: bool
    rows: int
    lost: int
    values: int
    planted: dict[str, int]
    recalled: dict[str, int]
    f1: dict[str, float]
    """Arm -> mean F1."""

    @property
    def clean_lost(self) -> float:
        """Share of the right values."""
        return round(self.lost / max(1, self.values), 4)

    @property
    def gain(self) -> float | None:
        """F1 after curation less that without; None where one is missing."""
        return round(self.f1["curated"] - self.f1["plain"], 4) if {"curated", "plain"} <= set(self.f1) else None

    def recall(self) -> dict[str, float]:
        """Kind of mistake -> share that is recalled."""
        return {kind: round(self.recalled[kind] / count, 4) for kind, count in self.planted.items()}

    def record(self) -> dict[str, object]:
        """For JSON."""
        return {"set": self.name, "clean_lost": self.clean_lost, "recall": self.recall(), **asdict(self), **self.f1,
                "gain": self.gain}  # fmt: skip


@dataclass(frozen=True)
class Spoilt:
    """Rows of one set before and after."""

    clean: list[LabelledRow]
    spoilt: list[LabelledRow]
    planted: Mapping[int, Planted]
    test: list[LabelledRow]


def task_of(name: str, folder: Path, data_dir: Path) -> Task:
    """The set's task in this folder."""
    chosen = CURATION_SETS[name]
    text = chosen.task
    if name == "banking77":
        labels = sorted({str(row.answer["label"]) for side in chosen.read(data_dir) for row in side})
        text = (
            'version = 2\nname = "banking77"\nkind = "classify"\ninstruction = "What does the customer ask about?"\n'
            f"labels = {json.dumps(labels)}\n"
        )
    student = f'\n[student]\nbase = "{chosen.student}"\n' if chosen.student else '\n[student]\nfamily = "encoder"\n'
    folder.mkdir(parents=True, exist_ok=True)
    TaskFolder(folder).task_path.write_text(text + student, encoding="utf-8")
    return load_task(folder)


def spoil(name: str, task: Task, data_dir: Path, seed: int) -> Spoilt:
    """Draws the set's rows and plants mistakes in them."""
    chosen = CURATION_SETS[name]
    train, test = chosen.read(data_dir)
    rows = random.Random(seed).sample(train, min(chosen.rows, len(train)))
    fields = [field.name for field in task.output_fields]
    clean = [replace(row, source="teacher", answer={key: row.answer.get(key) for key in fields}) for row in rows]
    spoilt, planted = plant(task, clean, SHARE, seed)
    return Spoilt(clean, spoilt, planted, test[: chosen.tests])


def curation_record(name: str, seed: int, task: Task, drawn: Spoilt, filtered: FilteredRows) -> SetRecord:
    """Of the planted mistakes those that are not learnt from, by kind, and of the right values."""
    doubted = {row.text: set(row.untrusted) for row in filtered.kept}
    recalled, planted_counts = Counter[str](), Counter[str]()
    values = lost = 0
    for number, row in enumerate(drawn.spoilt):
        planted = drawn.planted.get(number)
        bad = set(planted.fields) if planted else set()
        # A row that is rejected teaches nothing of any field.
        flagged = doubted.get(row.text, {each.name for each in task.output_fields})
        if planted:
            planted_counts[planted.kind] += 1
            recalled[planted.kind] += bool(bad & flagged)
        for each in task.output_fields:
            # A null where there is nothing counts only where it is taken away: most fields of many sets are null.
            if each.name not in bad and (row.answer.get(each.name) or each.name in flagged):
                values += 1
                lost += each.name in flagged
    by_filter = {report.name: report.rejected + report.masked for report in filtered.filters}
    return SetRecord(
        name, seed, len(drawn.spoilt), values, lost, len(filtered.rejected), dict(planted_counts), dict(recalled),
        by_filter,
    )  # fmt: skip


def at_random(task: Task, rows: Sequence[LabelledRow], filtered: FilteredRows, seed: int) -> list[LabelledRow]:
    """The rows without as many rows and values of each field as curation took, drawn blindly."""
    rng = random.Random(seed)
    kept = rng.sample(list(rows), len(rows) - len(filtered.rejected))
    for each in task.output_fields:
        count = sum(each.name in row.untrusted for row in filtered.kept)
        for number in rng.sample(range(len(kept)), min(count, len(kept))):
            row = kept[number]
            kept[number] = replace(row, untrusted={**row.untrusted, each.name: "random: drawn blindly"})
    return kept


def student(
    name: str, rows: Sequence[LabelledRow], drawn: Spoilt, folder: Path, arguments: argparse.Namespace
) -> StudentScore | None:
    """Teaches and judges one student; None where this call's time ended in its training."""
    chosen = CURATION_SETS[name]
    task = task_of(name, folder, arguments.data)
    if chosen.taught:
        texts_taught = {row.text for row in drawn.spoilt[: chosen.taught]}
        rows = [row for row in rows if row.text in texts_taught]
    held = round(VALIDATION_SHARE * len(rows))
    for split, some in (("train", rows[held:]), ("validation", rows[:held])):
        write_lines(TaskFolder(folder).split_path(split), map(LabelledRow.line, some))
    words = ["--epochs", str(chosen.epochs)] if chosen.epochs else []
    run_dir = finished_run(folder, words, arguments.left(), 1)
    if run_dir is None:
        return None
    facts: dict[str, object] = {}
    artifact = exported(run_dir, "onnx-int8") if not chosen.student else real_tasks.artifact_of(run_dir, facts)
    texts = {str(number): row.text for number, row in enumerate(drawn.test)}
    by_key = answers_of(artifact, texts, THREADS, folder / "answers.jsonl")
    figures = real_tasks.judge(
        task, drawn.test, [by_key[key] for key in texts], facts, RealSet(name, "", chosen.read)
    )  # fmt: skip
    low, high = figures.interval(figures.f1)
    return StudentScore(figures.f1(), low, high, len(drawn.test), len(rows))


def one_set(name: str, seed: int, arguments: argparse.Namespace) -> SetRecord | None:
    """What there is of one set, after what was missing was measured as long as there is time; None for nothing."""
    kept_path, folder = arguments.work / f"{name}-{seed}.json", arguments.work / f"{name}-{seed}"
    record = SetRecord.of_json(json.loads(kept_path.read_text("utf-8"))) if kept_path.is_file() else None
    wanted = () if arguments.no_students else arguments.arm or ARMS
    missing = [arm for arm in wanted if record is None or arm not in record.students]
    if (record is not None and not missing) or arguments.is_over():
        return record
    task = task_of(name, folder / "curated", arguments.data)
    drawn = spoil(name, task, arguments.data, seed)
    began = time.monotonic()
    filtered = filter_rows(task, drawn.spoilt)
    if record is None:
        record = curation_record(name, seed, task, drawn, filtered)
        record.seconds = round(time.monotonic() - began, 1)
        write_lines(kept_path, [json.dumps(asdict(record))])
    by_text = {row.text: row for row in filtered.kept}
    arms = {
        "plain": drawn.spoilt,
        "curated": [by_text[row.text] for row in drawn.spoilt if row.text in by_text],
        "random": at_random(task, drawn.spoilt, filtered, seed),
        "clean": drawn.clean,
    }
    for arm in missing:
        if arguments.is_over():
            break
        score = student(name, arms[arm], drawn, folder / arm, arguments)
        if score is not None:
            record.students[arm] = score
            print(f"{name} {arm}: {score.f1:.4f}", file=sys.stderr, flush=True)
            shutil.rmtree(folder / arm)
            write_lines(kept_path, [json.dumps(asdict(record))])
    return record


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Kind of mistake -> sum, in the order of the kinds."""
    total = Counter[str]()
    for each in counts:
        total.update(each)
    return {kind: total[kind] for kind in KINDS if kind in total}


def figures_of(records: Sequence[SetRecord]) -> list[SetFigures]:
    """One line for each set, over its seeds."""
    lines = []
    for name, chosen in CURATION_SETS.items():
        some = [record for record in records if record.name == name]
        if some:
            scores = {arm: [each.students[arm].f1 for each in some if arm in each.students] for arm in ARMS}
            planted = _sum(each.planted for each in some)
            recalled = _sum({**dict.fromkeys(planted, 0), **each.recalled} for each in some)
            lines.append(
                SetFigures(
                    name,
                    chosen.is_chosen_on,
                    some[0].rows,
                    sum(each.lost for each in some),
                    sum(each.values for each in some),
                    planted,
                    recalled,
                    {arm: round(statistics.fmean(shares), 4) for arm, shares in scores.items() if shares},
                )
            )
    return lines


def summary(lines: Sequence[SetFigures]) -> dict[str, object]:
    """The figures that targets are about."""
    lost = [line.clean_lost for line in lines]
    planted, recalled = _sum(line.planted for line in lines), _sum(line.recalled for line in lines)
    gains = {line.name: line.gain for line in lines if line.gain is not None}
    return {
        "clean_lost_median": round(statistics.median(lost), 4) if lost else None,
        "clean_lost_worst": max(lost, default=None),
        "recall": {kind: round(recalled[kind] / count, 4) for kind, count in planted.items()},
        "gain": gains,
        "gain_mean": round(statistics.fmean(gains.values()), 4) if gains else None,
        "lines": [line.record() for line in lines],
    }


def print_tables(lines: Sequence[SetFigures]) -> None:
    """As docs/results.md has them."""
    print(f"| set | rows | right values lost | {' | '.join(KINDS)} |")
    print(f"|{'---|' * (3 + len(KINDS))}")
    for line in lines:
        cells = [f"{line.recalled[kind]} of {line.planted[kind]}" if kind in line.planted else "-" for kind in KINDS]
        interval = wilson(line.lost, line.values)
        share = f"{100 * interval.estimate:.1f} % ({line.lost} of {line.values:,}; up to {100 * interval.high:.1f} %)"
        print(f"| {line.name} | {line.rows:,} | {share} | {' | '.join(cells)} |")
    if any("plain" in line.f1 for line in lines):
        print()
        print("| set | no curation | curated | as much at random | clean | gain |")
        print("|---|---|---|---|---|---|")
        for line in lines:
            if "plain" in line.f1:
                shares = [f"{100 * line.f1[arm]:.1f} %" if arm in line.f1 else "-" for arm in ARMS]
                gain = "-" if line.gain is None else f"{100 * line.gain:+.1f}"
                student = CURATION_SETS[line.name].student or "encoder"
                print(f"| {line.name}, {student} | {' | '.join(shares)} | {gain} |")


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, help="folder that keeps what was measured")
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="folder of the sets")
    parser.add_argument("--set", choices=CURATION_SETS, action="append", help="one of the sets; all where left out")
    parser.add_argument("--arm", choices=ARMS, action="append", help="one of the students; all where left out")
    parser.add_argument("--seed", type=int, action="append", help="of the draws; 1 where left out")
    parser.add_argument("--no-students", action="store_true", help="what is found and lost alone")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many; the next call goes on")
    parser.add_argument("--record", action="store_true", help="keep what there is beside this file")
    parser.add_argument("--recorded", action="store_true", help="compute nothing, show what was kept")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    if not arguments.recorded and arguments.work is None:
        parser.error("--work or --recorded is needed")
    ends = time.monotonic() + 60 * arguments.minutes
    arguments.is_over = lambda: time.monotonic() > ends
    arguments.left = lambda: max(0.1, ends - time.monotonic()) if arguments.minutes < 1e8 else None
    return arguments


def main() -> int:
    """Measures for some minutes; with --json the last line is one JSON object."""
    arguments = options()
    try:
        if arguments.recorded:
            kept = json.loads(RECORDED_PATH.read_text(encoding="utf-8"))["records"]
            records = list(map(SetRecord.of_json, kept))
        else:
            records = [
                record
                for seed in arguments.seed or (1,)
                for name in arguments.set or CURATION_SETS
                if (record := one_set(name, seed, arguments))
            ]
    except ApplianceError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    if arguments.record:
        about = {
            "hardware": f"{platform.machine()}, {THREADS} threads",
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
        }
        write_lines(RECORDED_PATH, [json.dumps({**about, "records": list(map(asdict, records))})])
    lines = figures_of(records)
    print_tables(lines)
    if arguments.json:
        print(json.dumps(summary(lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
