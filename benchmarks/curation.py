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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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


def found_and_lost(task: Task, drawn: Spoilt, filtered: FilteredRows) -> dict[str, object]:
    """Of the planted mistakes those that are not learnt from, by kind, and of the right values."""
    doubted = {row.text: set(row.untrusted) for row in filtered.kept}
    hits, counts = Counter[str](), Counter[str]()
    clean = lost = 0
    reasons = Counter[str]()
    for number, row in enumerate(drawn.spoilt):
        planted = drawn.planted.get(number)
        bad = set(planted.fields) if planted else set()
        # A row that is rejected teaches nothing of any field.
        flagged = doubted.get(row.text, {field.name for field in task.output_fields})
        if planted:
            counts[planted.kind] += 1
            hits[planted.kind] += bool(bad & flagged)
        for field in task.output_fields:
            # A null where there is nothing counts only where it is taken away: most fields of many sets are null.
            if field.name not in bad and (row.answer.get(field.name) or field.name in flagged):
                clean += 1
                lost += field.name in flagged
    for report in filtered.filters:
        reasons[report.name] += report.rejected + report.masked
    return {
        "values": clean, "lost": lost, "rows": len(drawn.spoilt), "rejected": len(filtered.rejected),
        "planted": dict(counts), "found": dict(hits), "by_filter": dict(reasons),
    }  # fmt: skip


def at_random(task: Task, rows: Sequence[LabelledRow], filtered: FilteredRows, seed: int) -> list[LabelledRow]:
    """The rows without as many rows and values of each field as curation took, drawn blindly."""
    rng = random.Random(seed)
    kept = rng.sample(list(rows), len(rows) - len(filtered.rejected))
    for field in task.output_fields:
        count = sum(field.name in row.untrusted for row in filtered.kept)
        for number in rng.sample(range(len(kept)), min(count, len(kept))):
            row = kept[number]
            kept[number] = replace(row, untrusted={**row.untrusted, field.name: "random: drawn blindly"})
    return kept


def student(
    name: str, arm: str, rows: Sequence[LabelledRow], drawn: Spoilt, folder: Path, arguments: argparse.Namespace
) -> dict[str, object] | None:
    """Teaches and judges one student; None where this call's time ended in its training."""
    chosen = CURATION_SETS[name]
    task = task_of(name, folder, arguments.data)
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
    return {"arm": arm, "f1": figures.f1(), "low": low, "high": high, "documents": len(drawn.test), "rows": len(rows)}


def one_set(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, object]:
    """What there is of one set, after what was missing was measured as long as there is time."""
    kept_path = arguments.work / f"{name}-{seed}.json"
    record: dict[str, object] = json.loads(kept_path.read_text("utf-8")) if kept_path.is_file() else {}
    folder = arguments.work / f"{name}-{seed}"
    students: dict[str, object] = dict(record.get("students", {}))  # type: ignore[call-overload]
    missing = [] if arguments.no_students else [arm for arm in arguments.arm or ARMS if arm not in students]
    if (record and not missing) or arguments.is_over():
        return record
    task = task_of(name, folder / "curated", arguments.data)
    drawn = spoil(name, task, arguments.data, seed)
    began = time.monotonic()
    filtered = filter_rows(task, drawn.spoilt)
    if not record:
        record = {
            "set": name, "seed": seed, "chosen_on": CURATION_SETS[name].is_chosen_on,
            **found_and_lost(task, drawn, filtered), "seconds": round(time.monotonic() - began, 1),
        }  # fmt: skip
        write_lines(kept_path, [json.dumps({**record, "students": students})])
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
        found = student(name, arm, arms[arm], drawn, folder / arm, arguments)
        if found is not None:
            students[arm] = found
            print(f"{name} {arm}: {found['f1']:.4f}", file=sys.stderr, flush=True)
            shutil.rmtree(folder / arm)
            write_lines(kept_path, [json.dumps({**record, "students": students})])
    return {**record, "students": students}


def figures_of(records: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """One line for each set, over its seeds."""
    lines: list[dict[str, object]] = []
    for name in CURATION_SETS:
        some = [record for record in records if record.get("set") == name]
        if not some:
            continue
        lost, values = (sum(int(str(record[key])) for record in some) for key in ("lost", "values"))
        planted, found = Counter[str](), Counter[str]()
        for record in some:
            planted.update(record["planted"])  # type: ignore[arg-type]
            found.update(record["found"])  # type: ignore[arg-type]
        line: dict[str, object] = {
            "set": name, "chosen_on": CURATION_SETS[name].is_chosen_on, "rows": some[0]["rows"],
            "clean_lost": round(lost / max(1, values), 4), "lost": lost, "values": values,
            "recall": {kind: round(found[kind] / planted[kind], 4) for kind in KINDS if planted[kind]},
            "planted": {kind: planted[kind] for kind in KINDS if planted[kind]},
        }  # fmt: skip
        for arm in ARMS:
            shares = [float(r["students"][arm]["f1"]) for r in some if arm in r.get("students", {})]  # type: ignore[index,attr-defined,operator]
            if shares:
                line[arm] = round(statistics.fmean(shares), 4)
        if "curated" in line and "plain" in line:
            line["gain"] = round(float(str(line["curated"])) - float(str(line["plain"])), 4)
        lines.append(line)
    return lines


def summary(lines: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The figures that targets are about."""
    lost = [float(str(line["clean_lost"])) for line in lines]
    found, planted = Counter[str](), Counter[str]()
    for line in lines:
        for kind, count in dict(line["planted"]).items():  # type: ignore[call-overload]
            planted[kind] += count
            found[kind] += round(count * float(line["recall"][kind]))  # type: ignore[index]
    return {
        "clean_lost_median": round(statistics.median(lost), 4) if lost else None,
        "clean_lost_worst": max(lost, default=None),
        "recall": {kind: round(found[kind] / planted[kind], 4) for kind in KINDS if planted[kind]},
        "gain": {str(line["set"]): line["gain"] for line in lines if "gain" in line},
        "lines": list(lines),
    }


def print_tables(lines: Sequence[Mapping[str, object]]) -> None:
    """As docs/results.md has them."""
    print(f"| set | rows | right values lost | {' | '.join(KINDS)} |")
    print(f"|{'---|' * (3 + len(KINDS))}")
    for line in lines:
        planted, recall = dict(line["planted"]), dict(line["recall"])  # type: ignore[call-overload]
        lost, values = int(str(line["lost"])), int(str(line["values"]))
        cells = [
            f"{round(recall[kind] * planted[kind])} of {planted[kind]}" if kind in planted else "-" for kind in KINDS
        ]
        share = (
            f"{100 * lost / max(1, values):.1f} % ({lost} of {values:,}; up to {100 * wilson(lost, values).high:.1f} %)"
        )
        print(f"| {line['set']} | {line['rows']:,} | {share} | {' | '.join(cells)} |")
    if any("plain" in line for line in lines):
        print()
        print("| set | no curation | curated | as much at random | clean | gain |")
        print("|---|---|---|---|---|---|")
        for line in lines:
            if "plain" in line:
                shares = [f"{100 * float(str(line[arm])):.1f} %" if arm in line else "-" for arm in ARMS]
                gain = f"{100 * float(str(line['gain'])):+.1f}" if "gain" in line else "-"
                print(f"| {line['set']} | {' | '.join(shares)} | {gain} |")


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
            records = json.loads(RECORDED_PATH.read_text(encoding="utf-8"))["records"]
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
        write_lines(RECORDED_PATH, [json.dumps({**about, "records": records})])
    lines = figures_of(records)
    print_tables(lines)
    if arguments.json:
        print(json.dumps(summary(lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
