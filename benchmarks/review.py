"""What a person's look is worth: at answers ranked by `curate`, and at as many drawn at random.

    python benchmarks/review.py --work folder/ --minutes 60    # again and again, until nothing is left to do
    python benchmarks/review.py --recorded --json              # what was measured, as it is kept beside this file

GPT-4's recorded answers to the questions of BANKING77 are the teacher's, gold plays the person. For each seed, 1,000
questions are put aside. `curate` ranks GPT-4's answers to the others; the person looks at the first 12 or 24 % of the
rank, or at as many drawn at random, and says what is right; `curate`, `train`, `merge`, `export` and `run` follow with
the commands that a user types. Gold is seen by nobody but the person, and scores the rows at the end.
"""

import argparse
import json
import random
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import banking77
import packages_first  # noqa: F401  # before `appliance`

from appliance.ground.errors import ApplianceError
from appliance.ground.files import write_lines
from appliance.quality.statistics import wilson
from appliance.review.decisions import Action, decide, read_decisions, review_figures
from appliance.review.queue import Kind, QueueEntry, read_queue
from appliance.tasks.folder import TaskFolder
from appliance.tasks.taskfile import load_task

RECORDED_PATH = Path(__file__).parent / "recorded" / "review.json"
ARMS = {"plain": 0.0, "random_12": 0.12, "ranked_12": 0.12, "random_24": 0.24, "ranked_24": 0.24}
"""Arm -> share of the answers that the person looks at."""
SEEDS = (1, 2, 3)


def one_arm(
    questions: Sequence[banking77.PromptSpec], seed: int, arm: str, work_dir: Path, setting: banking77.Setting
) -> dict[str, object]:
    """The whole way once."""
    began = time.monotonic()
    train, test = banking77.split(questions, seed)
    labels = sorted({question.teacher for question in questions if question.teacher is not None})
    home_dir, task_dir = work_dir / "home", work_dir / "banking77"
    banking77.write_task(home_dir, task_dir, labels)
    lines = [
        json.dumps({"id": question.id, "text": question.text, "label": question.teacher})
        for question in train
        if question.teacher is not None
    ]
    write_lines(work_dir / "recorded.jsonl", lines)
    banking77.stillroom(home_dir, "collect", str(task_dir), "--recorded", str(work_dir / "recorded.jsonl"))
    curated = ("curate", str(task_dir), "--validation", "0.1", "--test", "0")
    banking77.stillroom(home_dir, *curated)
    figures = _review(task_dir, {question.text: question.gold for question in train}, arm, seed)
    report = banking77.stillroom(home_dir, *curated)
    options = [*(banking77.QUICK_OPTIONS if setting.quick else ()), "--seed", str(seed)]
    options += ["--logit-adjustment", str(setting.logit_adjustment)]
    run = str(banking77.stillroom(home_dir, "train", str(task_dir), *options)["run"])
    banking77.stillroom(home_dir, "merge", run)
    artifacts = banking77.stillroom(home_dir, "export", run, "--target", "onnx-int8")["artifacts"]
    assert isinstance(artifacts, list)
    rows, _ = banking77.run_folder(work_dir, Path(artifacts[0]["directory"]), test)
    right = [_label(row) == question.gold for row, question in zip(rows, test, strict=True)]
    return {
        "seed": seed, "arm": arm, "accuracy": statistics.fmean(right), "documents": len(test), "rows": report["rows"],
        "rejected": report["rejected"], **figures, "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def _label(row: dict[str, object]) -> object:
    fields = row["fields"]
    return fields.get("label") if isinstance(fields, dict) else None


def _review(task_dir: Path, gold: dict[str, str], arm: str, seed: int) -> dict[str, object]:
    """Lets the person look at the arm's part of the answers; what the decisions say of it."""
    task, folder = load_task(task_dir), TaskFolder(task_dir)
    entries = read_queue(folder.queue_path)
    for entry in _chosen(entries, arm, seed):
        right = gold[entry.row.text]
        if right == entry.row.answer["label"]:
            decide(folder.reviews_path, task, entry, Action.ACCEPT, {})
        elif right in task.output_fields[0].values:
            decide(folder.reviews_path, task, entry, Action.CORRECT, {"label": right})
        else:  # a label that GPT-4 never gives, so that the task does not know it
            decide(folder.reviews_path, task, entry, Action.REJECT, {})
    figures = review_figures(task, entries, read_decisions(folder.reviews_path))
    wrong = figures.ranked_wrong + figures.audited_wrong
    return {"looked_at": figures.decisions, "wrong": wrong}


def _chosen(entries: Sequence[QueueEntry], arm: str, seed: int) -> list[QueueEntry]:
    count = round(ARMS[arm] * len(entries))
    if arm.startswith("random"):
        return random.Random(seed).sample(list(entries), count)
    return [entry for entry in entries if entry.kind is Kind.RANKED][:count]


def summary(results: Sequence[dict[str, object]]) -> dict[str, object]:
    """Mean accuracy of each arm, and what a rank gains over chance."""
    means: dict[str, object] = {}
    for arm in ARMS:
        some = [float(str(result["accuracy"])) for result in results if result["arm"] == arm]
        if some:
            means[arm] = round(statistics.fmean(some), 4)
    gains = {}
    for share in ("12", "24"):
        ranked, chance = means.get(f"ranked_{share}"), means.get(f"random_{share}")
        if isinstance(ranked, float) and isinstance(chance, float):
            gains[f"gain_{share}"] = round(ranked - chance, 4)
    return {**means, **gains, "lines": list(results)}


def print_table(results: Sequence[dict[str, object]]) -> None:
    """As docs/results.md has it."""
    print("| looked at | accuracy against gold | seeds | wrong of looked at |")
    print("|---|---|---|---|")
    for arm, share in ARMS.items():
        some = [result for result in results if result["arm"] == arm]
        if not some:
            continue
        accuracies = [float(str(result["accuracy"])) for result in some]
        documents = sum(int(str(result["documents"])) for result in some)
        interval = wilson(statistics.fmean(accuracies) * documents, documents)
        spread = f"{100 * min(accuracies):.1f} to {100 * max(accuracies):.1f} %"
        looked, wrong = (sum(int(str(result[key])) for result in some) for key in ("looked_at", "wrong"))
        found = f"{wrong:,} of {looked:,}" if looked else "-"
        name = arm.replace("_", " ") + (" %" if share else "")
        print(f"| {name} | {interval.percent()} | {spread} | {found} |")


def main() -> int:
    """Measures for some minutes; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, help="folder that keeps what was measured")
    parser.add_argument("--data", type=Path, default=banking77.DATA_DIR, help="folder with labels.jsonl")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many; the next call goes on")
    parser.add_argument("--arm", choices=ARMS, action="append", help="one of the arms; all where left out")
    parser.add_argument("--seed", type=int, action="append", help="one of the seeds; 1 to 3 where left out")
    parser.add_argument("--quick", action="store_true", help="three epochs")
    parser.add_argument("--record", action="store_true", help="keep what there is beside this file")
    parser.add_argument("--recorded", action="store_true", help="compute nothing, show what was kept")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    if arguments.recorded:
        results = json.loads(RECORDED_PATH.read_text(encoding="utf-8"))["lines"]
    else:
        if arguments.work is None:
            parser.error("--work or --recorded is needed")
        try:
            results = measured(arguments)
        except ApplianceError as error:
            print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
            return error.exit_code
    if arguments.record:
        about = {"hardware": banking77.hardware(), "date": time.strftime("%Y-%m-%d", time.gmtime())}
        write_lines(RECORDED_PATH, [json.dumps({**about, "lines": results})])
    print_table(results)
    if arguments.json:
        print(json.dumps(summary(results)))
    return 0


def measured(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """What the folder holds, after what was missing was measured as long as there is time."""
    ends = time.monotonic() + 60 * arguments.minutes
    questions = banking77.read_questions(arguments.data)
    setting = banking77.Setting(banking77.LOGIT_ADJUSTMENT, arguments.quick)
    results = []
    for seed in arguments.seed or SEEDS:
        for arm in arguments.arm or ARMS:
            kept = arguments.work / f"{arm}-{seed}.json"
            if not kept.is_file():
                if time.monotonic() > ends:
                    continue
                work_dir = arguments.work / f"{arm}-{seed}"
                shutil.rmtree(work_dir, ignore_errors=True)
                work_dir.mkdir(parents=True)
                write_lines(kept, [json.dumps(one_arm(questions, seed, arm, work_dir, setting))])
                shutil.rmtree(work_dir)
                print(kept.read_text().strip(), file=sys.stderr, flush=True)
            results.append(json.loads(kept.read_text(encoding="utf-8")))
    return results


if __name__ == "__main__":
    sys.exit(main())
