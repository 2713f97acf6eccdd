"""A cascade on a real teacher's answers: how often is it right, and how many documents does it send away.

    python benchmarks/cascade.py --json

3,080 questions of bank customers with GPT-4's recorded answers. For each split, 1,000 questions are put aside, and the
encoder student is trained on GPT-4's answers to the others with the commands that a user types (see `banking77.py`).
The 1,000 are cut in half: the threshold is chosen on one half by the rule of `stillroom run --threshold auto`, and all
figures are of the other half; then the halves change places. Where GPT-4 gave no label, the local answer stays.

The first split is also run through the whole product: `stillroom run --fallback` sends the unsure questions to a server
on loopback that replays GPT-4's answers, and its rows must be those that were computed.
"""

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.ground.errors import ApplianceError
from appliance.quality.threshold_curve import Curve, Point, Unit, choose, make_curve, smoothed
from benchmarks.banking77 import (
    DATA_DIR,
    LOGIT_ADJUSTMENT,
    TEST_ROWS,
    PromptSpec,
    Setting,
    distil,
    hardware,
    read_questions,
    run_folder,
    split,
    stillroom,
)
from benchmarks.recorded_frontier import Behaviour, RecordedFrontier

FIGURES = (
    "student_accuracy", "frontier_accuracy", "best_accuracy", "best_escalated_share", "gain_over_student",
    "gain_over_frontier", "share_for_frontier_accuracy", "chosen_share_for_frontier", "chosen_accuracy_for_frontier",
)  # fmt: skip
MODEL = "gpt-4"
NEAR = 0.1
"""Rows whose confidence is farther from the threshold must be as computed. Nearer ones may fall on either side: an int8
encoder scales its activations by the batch, so a confidence moves by some hundredths with the documents beside it."""


def least_for_fallback_accuracy(curve: Curve) -> Point | None:
    """The point that sends least away and is, on average over its neighbours, right as often as the fallback alone."""
    for point, accuracy in zip(curve.points, smoothed(curve.points), strict=True):
        if accuracy >= curve.remote_accuracy.estimate:
            return point
    return None


@dataclass(frozen=True)
class Answered:
    """One question with the student's answer."""

    id: str
    label: str
    confidence: float


def one_split(questions: Sequence[PromptSpec], seed: int, cache_dir: Path, quick: bool) -> dict[str, float]:
    """Trains or remembers the student of a split, and measures the cascade on both halves of its 1,000 questions."""
    _, test = split(questions, seed)
    answers = student_answers(questions, seed, cache_dir, quick)
    order = list(range(len(test)))
    random.Random(seed).shuffle(order)
    halves = [sorted(order[: len(order) // 2]), sorted(order[len(order) // 2 :])]
    units = [
        unit(number, question, answer) for number, (question, answer) in enumerate(zip(test, answers, strict=True))
    ]
    found = [
        figures([units[row] for row in halves[chosen_on]], [units[row] for row in halves[1 - chosen_on]],
                [test[row] for row in halves[1 - chosen_on]])
        for chosen_on in (0, 1)
    ]  # fmt: skip
    return {name: statistics.fmean(half[name] for half in found) for name in found[0]}


def unit(number: int, question: PromptSpec, answer: Answered) -> Unit:
    """What the cascade decides on; where the frontier gave no label, the local answer stays."""
    local_right = answer.label == question.gold
    remote_right = local_right if question.teacher is None else question.teacher == question.gold
    return Unit(number, answer.confidence, local_right, remote_right)


def figures(calibration: Sequence[Unit], test: Sequence[Unit], questions: Sequence[PromptSpec]) -> dict[str, float]:
    """Figures of one half, with thresholds that were chosen on the other one."""
    curve = make_curve(calibration, [0.0] * len(calibration), "USD")
    student = statistics.fmean(unit.local_right for unit in test)
    frontier = statistics.fmean(question.teacher == question.gold for question in questions)
    threshold = choose(curve).threshold
    accuracy, share = cascade_at(test, threshold)
    reaching = least_for_fallback_accuracy(curve)
    reached = cascade_at(test, reaching.threshold) if reaching else (student, 0.0)
    return {
        "student_accuracy": student,
        "frontier_accuracy": frontier,
        "best_accuracy": accuracy,
        "best_escalated_share": share,
        "gain_over_student": accuracy - student,
        "gain_over_frontier": accuracy - frontier,
        "share_for_frontier_accuracy": least_share(test, frontier),
        "chosen_share_for_frontier": reached[1],
        "chosen_accuracy_for_frontier": reached[0],
        "threshold": threshold,
    }


def cascade_at(units: Sequence[Unit], threshold: float) -> tuple[float, float]:
    """Accuracy and share escalated at a threshold."""
    out = [unit.confidence < threshold for unit in units]
    right = [unit.remote_right if sent else unit.local_right for unit, sent in zip(units, out, strict=True)]
    return statistics.fmean(right), statistics.fmean(out)


def least_share(units: Sequence[Unit], accuracy: float) -> float:
    """The least share of documents that must go out, the least sure first, for this accuracy; 1 where none does."""
    ordered = sorted(units, key=lambda unit: unit.confidence)
    right = sum(unit.local_right for unit in ordered)
    for sent, unit in enumerate([None, *ordered]):
        if unit is not None:
            right += unit.remote_right - unit.local_right
        if right >= accuracy * len(ordered) - 1e-9:
            return sent / len(ordered)
    return 1.0


def student_answers(questions: Sequence[PromptSpec], seed: int, cache_dir: Path, quick: bool) -> list[Answered]:
    """The student's answers to the split's 1,000 questions, from the cache where an earlier run has left them."""
    path = cache_dir / f"split-{seed}.json"
    if path.is_file():
        return [Answered(**values) for values in json.loads(path.read_text(encoding="utf-8"))]
    train, test = split(questions, seed)
    work_dir = cache_dir / f"work-{seed}"
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    labels = sorted({question.teacher for question in questions if question.teacher is not None})
    artifact_dir = distil(work_dir, train, labels, seed, Setting(LOGIT_ADJUSTMENT, quick))
    rows, _ = run_folder(work_dir, artifact_dir, test)
    answers = [_answered(question, row) for question, row in zip(test, rows, strict=True)]
    path.write_text(json.dumps([asdict(answer) for answer in answers]), encoding="utf-8")
    return answers


def _answered(question: PromptSpec, row: dict[str, object]) -> Answered:
    fields, confidence = row["fields"], row["confidence"]
    assert isinstance(fields, dict)
    assert isinstance(confidence, dict)
    return Answered(question.id, str(fields["label"]), float(confidence["label"]))


def through_the_product(
    questions: Sequence[PromptSpec], seed: int, cache_dir: Path, threshold: float
) -> dict[str, float]:
    """Runs the split's 1,000 documents with a fallback on loopback, and compares the rows with what was computed.

    Raises:
        ApplianceError: A row that is not near the threshold has another answer or another route.
    """
    _, test = split(questions, seed)
    work_dir, home_dir = cache_dir / f"work-{seed}", cache_dir / f"work-{seed}" / "home"
    answers = student_answers(questions, seed, cache_dir, False)
    task_dir = work_dir / "banking77"
    _name_data_class(task_dir / "task.toml")
    recorded = {question.text: {"label": question.teacher} for question in test if question.teacher is not None}
    (artifact,) = [path.parent for path in task_dir.glob("runs/*/export/*/manifest.json")]
    with RecordedFrontier(recorded, Behaviour(MODEL)) as frontier:
        _configure(home_dir, frontier)
        shutil.rmtree(work_dir / "cascade", ignore_errors=True)  # of an earlier call, whose frontier was another one
        summary = stillroom(
            home_dir, "run", str(task_dir), str(work_dir / "documents"), "--out", str(work_dir / "cascade"), "--model",
            str(artifact), "--fallback", "recorded", "--threshold", repr(threshold),
        )  # fmt: skip
    rows = [json.loads(line) for line in Path(str(summary["output"])).read_text(encoding="utf-8").splitlines()]
    by_document = {row["document"]: row for row in rows}
    same = right = 0
    for question, answer in zip(test, answers, strict=True):
        row = by_document[f"{question.id}.txt"]
        route = "local" if answer.confidence >= threshold else "review" if question.teacher is None else "frontier"
        label = question.teacher if route == "frontier" else answer.label
        if (row["route"], row["fields"]["label"]) == (route, label):
            same += 1
        elif abs(answer.confidence - threshold) > NEAR:
            raise ApplianceError(f"{question.id} came out as {row['route']} {row['fields']}, not {route} {label}")
        right += row["fields"]["label"] == question.gold
    sent = sum(row["route"] != "local" for row in rows)
    return {
        "rows": len(rows),
        "rows_as_computed": same,
        "accuracy": right / len(rows),
        "escalated_share": sent / len(rows),
    }


def _name_data_class(task_path: Path) -> None:
    text = task_path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("data_class")]
    at = next(number for number, line in enumerate(lines) if line.startswith("instruction"))
    lines.insert(at, 'data_class = "public"')
    task_path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _configure(home_dir: Path, frontier: RecordedFrontier) -> None:
    config = f'[frontier.recorded]\nurl = "{frontier.url}"\nmodel = "{MODEL}"\ninput_price = 30\noutput_price = 60\n'
    (home_dir / "config.toml").write_text(config, encoding="utf-8")
    policy_dir = home_dir / "policy"
    policy_dir.mkdir(exist_ok=True)
    policy = f'version = 1\nenabled = true\ndata_classes = ["public"]\nhosts = ["{frontier.host}"]\n'
    # The questions name no person; nothing is masked, so that the recorded answers are found by the text.
    policy += "[masking]\ndetectors = []\n[caps.day]\ndocuments = 100000\n"
    (policy_dir / "egress.toml").write_text(policy, encoding="utf-8")
    (policy_dir / "egress.toml").chmod(0o600)


def summarise(splits: Sequence[dict[str, float]]) -> dict[str, object]:
    """Mean over splits of each figure, with its least, greatest and standard deviation."""
    spread = {}
    for name in FIGURES:
        values = [found[name] for found in splits]
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        spread[name] = {"min": round(min(values), 4), "max": round(max(values), 4), "sd": round(deviation, 4)}
    means = {name: round(statistics.fmean(found[name] for found in splits), 4) for name in FIGURES}
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return {**means, "spread": spread, "splits": len(splits), "hardware": hardware(), "date": date}


def print_table(result: dict[str, object]) -> None:
    """The figures for a reader."""
    spread = result["spread"]
    assert isinstance(spread, dict)
    print(f"{result['splits']} splits, {TEST_ROWS} questions each, half of them for the threshold and half to measure")
    for name in FIGURES:
        part = spread[name]
        print(
            f"  {name:30}{float(str(result[name])):8.1%}"
            f"    (min {part['min']:.1%}, max {part['max']:.1%}, sd {100 * part['sd']:.1f} points)"
        )
    if "product" in result:
        print(f"  the first split through the product: {result['product']}")


def main() -> int:
    """Measures; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="folder with labels.jsonl")
    parser.add_argument("--splits", type=int, default=5, help="how many splits and trainings, numbered from 1")
    parser.add_argument("--quick", action="store_true", help="one split, three epochs")
    parser.add_argument("--cache", type=Path, help="folder that keeps each split's student and its answers")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    arguments = parser.parse_args()
    cache_dir = arguments.cache or Path(tempfile.mkdtemp(prefix="cascade-"))
    try:
        questions = read_questions(arguments.data)
        cache_dir.mkdir(parents=True, exist_ok=True)
        splits = []
        for seed in range(1, 1 + (1 if arguments.quick else arguments.splits)):
            splits.append(one_split(questions, seed, cache_dir, arguments.quick))
            print(f"split {seed}: {json.dumps(splits[-1])}", file=sys.stderr, flush=True)
        result = summarise(splits)
        if (cache_dir / "work-1").is_dir():
            result["product"] = through_the_product(questions, 1, cache_dir, splits[0]["threshold"])
    except ApplianceError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    finally:
        if arguments.cache is None:
            shutil.rmtree(cache_dir, ignore_errors=True)
    print(json.dumps(result)) if arguments.json else print_table(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
