"""Long contracts the whole way: is a student as good at the end of a document as at its start?

    python benchmarks/contracts.py --work contracts/ --epochs 6 --json
    python benchmarks/contracts.py --work contracts/ --stop-after 1200     # a piece of it; the same again goes on

170 commercial contracts of CUAD (median 33,000 characters) with eight valued answers by lawyers. The student is trained
on what 133 of them print (`contract_values.py`), in the windows in which `run` reads them, and answers the others.
Told are precision, recall and F1 beside regular expressions, with 95 % intervals over documents, and recall by the
third of the document in which a value stands: as the contracts are printed, where a title stands in the first third
and the law in the last; and with the thirds of each contract put in each of their three rotations, so that the same
values stand in each third once.
"""

import argparse
import json
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from contract_values import NAMES, TASK, PrintedValue, answer_of, by_expressions, printed_values
from student_runs import answers_of, exported, finished_run

from appliance.ground.errors import ResourceError
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import LabelledRow, text_hash
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task
from appliance.tasks.values import plain, same

ROOT = Path(__file__).resolve().parents[1]
DATA_DIR = ROOT.parent / "shared" / "data" / "cuad"
VALIDATION_SHARE = 0.1
RESAMPLES = 2000
THIRDS = ("first", "middle", "last")


@dataclass(frozen=True)
class Contract:
    """One contract with what it prints."""

    name: str
    split: str
    text: str
    values: tuple[PrintedValue, ...]

    def rotated(self, turns: int) -> "Contract":
        """The contract with its last thirds before its first ones, cut at line ends; values that are cut are lost."""
        cuts = [self.text.rfind("\n", 0, len(self.text) * third // 3) + 1 for third in (1, 2)]
        at = [0, *cuts][turns]
        moved = [replace(value, place=(value.place - at) % len(self.text)) for value in self.values]
        return replace(self, text=self.text[at:] + self.text[:at], values=tuple(moved))


def read_contracts(data_dir: Path, most: int | None) -> tuple[list[Contract], int]:
    """The contracts, and how many answers they print in no known form.

    Raises:
        ResourceError: They are not there.
    """
    path = data_dir / "gold.jsonl"
    if not path.is_file():
        raise ResourceError(f"{path} is not there", "name the folder that holds gold.jsonl with --data")
    contracts, lost = [], 0
    for line in path.read_text(encoding="utf-8").splitlines()[:most]:
        row = json.loads(line)
        text = (data_dir / "docs" / f"{row['id']}.txt").read_text(encoding="utf-8")
        values, unprinted = printed_values(text, row["fields"])
        contracts.append(Contract(row["id"], row["split"], text, tuple(values)))
        lost += unprinted
    return contracts, lost


def write_task(folder: Path, contracts: Sequence[Contract], base: str, max_tokens: int) -> None:
    """A task folder with a curated dataset."""
    folder.mkdir(parents=True)
    limit = f"max_tokens = {max_tokens}\n" if max_tokens else ""
    TaskFolder(folder).task_path.write_text(f'{TASK}{limit}\n[student]\nbase = "{base}"\n', encoding="utf-8")
    taught = [contract for contract in contracts if contract.split == "train"]
    random.Random(1).shuffle(taught)
    count = round(VALIDATION_SHARE * len(taught))
    splits = {"validation": taught[:count], "train": taught[count:]}
    splits["test"] = [contract for contract in contracts if contract.split == "test"]
    (folder / "dataset").mkdir()
    for name, members in splits.items():
        rows = [
            LabelledRow(each.name, each.text, answer_of(list(each.values)), text_hash(each.text)) for each in members
        ]
        TaskFolder(folder).split_path(name).write_text("".join(row.line() + "\n" for row in rows), encoding="utf-8")


def train(folder: Path, options: argparse.Namespace) -> Path | None:
    """Trains, or goes on training; None where the time of this piece ended first."""
    words = ["--epochs", str(options.epochs)]
    for name in ("rate", "train_layers", "seconds"):
        if value := getattr(options, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return finished_run(folder, words, options.stop_after, options.processes)


@dataclass(frozen=True)
class Outcome:
    """One contract's score."""

    right: np.ndarray
    """Printed values that were given, by third: (3,) int."""
    printed: np.ndarray
    """Printed values by third: (3,) int."""
    given: int


def judge(task: Task, contract: Contract, answer: Answer) -> Outcome:
    """Counts values, entries of lists each for itself."""
    fields = {field.name: field for field in task.output_fields}
    right, printed = np.zeros(3, dtype=int), np.zeros(3, dtype=int)
    given = sum(len(_entries(answer.get(name))) for name in NAMES)
    for value in contract.values:
        third = min(2, 3 * value.place // len(contract.text))
        printed[third] += 1
        says = _entries(answer.get(value.field))
        if value.field == "parties":
            right[third] += any(plain(entry) == plain(value.text) for entry in says)
        else:
            right[third] += any(same(fields[value.field], entry, value.text) for entry in says)
    return Outcome(right, printed, given)


def _entries(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(entry) for entry in value] if isinstance(value, list) else []


def figures(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Precision, recall, F1 and recall by third, each with its interval over documents."""
    right = np.array([outcome.right for outcome in outcomes])
    printed = np.array([outcome.printed for outcome in outcomes])
    given = np.array([outcome.given for outcome in outcomes])
    draws = np.random.default_rng(0).integers(0, len(outcomes), (RESAMPLES, len(outcomes)))

    def interval(over: np.ndarray, under: np.ndarray) -> list[float]:
        """Estimate, and the 2.5 and 97.5 % points of the resampled documents."""
        sums = over[draws].sum(1) / np.maximum(1, under[draws].sum(1))
        points = [over.sum() / max(1, under.sum()), *np.quantile(sums, (0.025, 0.975))]
        return [round(float(point), 4) for point in points]

    every, all_printed = right.sum(1), printed.sum(1)
    thirds = {name: interval(right[:, k], printed[:, k]) for k, name in enumerate(THIRDS)}
    return {
        "values": int(all_printed.sum()),
        "precision": interval(every, given),
        "recall": interval(every, all_printed),
        "f1": interval(2 * every, given + all_printed),
        "recall_by_third": thirds,
        "values_by_third": dict(zip(THIRDS, printed.sum(0).tolist(), strict=True)),
        "first_to_last_points": round(100 * (thirds["last"][0] - thirds["first"][0]), 1),
    }


def measure(artifact: Path, contracts: Sequence[Contract], threads: int, kept: Path) -> dict[str, object]:
    """The student's and the expressions' figures on contracts that nobody was trained on."""
    task = load_task(artifact)
    printed = {contract.name: contract for contract in contracts}
    turned = {f"{name}/{turns}": each.rotated(turns) for name, each in printed.items() for turns in range(3)}
    answers = answers_of(artifact, {key: each.text for key, each in turned.items()}, threads, kept)
    by_turn = [judge(task, contract, answers[key].answer) for key, contract in turned.items()]
    turns = [by_turn[start : start + 3] for start in range(0, len(by_turn), 3)]
    return {
        "contracts": len(printed),
        "student": figures([outcomes[0] for outcomes in turns]),
        # A document's three rotations are one cluster.
        "student_rotated": figures([_together(outcomes) for outcomes in turns]),
        "expressions": figures([judge(task, each, by_expressions(each.text)) for each in printed.values()]),
    }


def _together(outcomes: Sequence[Outcome]) -> Outcome:
    right, printed = (np.sum([getattr(each, name) for each in outcomes], axis=0) for name in ("right", "printed"))
    return Outcome(right, printed, sum(each.given for each in outcomes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="folder with gold.jsonl and docs/")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps task, run and artifact")
    parser.add_argument("--base", default="stillroom-base")
    parser.add_argument("--contracts", type=int, help="so many only")
    parser.add_argument(
        "--judge", type=int, metavar="N", help="judge the N shortest of those that nobody was trained on"
    )
    parser.add_argument("--max-tokens", type=int, default=0, help="tokens of a window; by default the base's context")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rate", help="of the adapter; by default what `train` chooses")
    parser.add_argument("--train-layers", type=int, help="train the last so many layers of the base only")
    parser.add_argument("--seconds", type=float, help="time to train, all pieces together")
    parser.add_argument("--processes", type=int, default=1, help="that train together")
    parser.add_argument("--stop-after", type=float, help="seconds of training in this call; the next one goes on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="start anew in --work")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Measures and prints."""
    options = _options()
    if options.fresh:
        shutil.rmtree(options.work, ignore_errors=True)
    contracts, lost = read_contracts(options.data, options.contracts)
    folder = options.work / "task"
    if not folder.is_dir():
        write_task(folder, contracts, options.base, options.max_tokens)
    run_dir = train(folder, options)
    if run_dir is None:
        print("training is not finished: the same command goes on", file=sys.stderr)
        return 3
    record = json.loads((run_dir / "record.json").read_text())
    test = sorted((each for each in contracts if each.split == "test"), key=lambda each: len(each.text))[
        : options.judge
    ]
    artifact = exported(run_dir, "gguf-q8_0")
    report = {
        "answers_not_printed": lost,
        **measure(artifact, test, options.threads, artifact.parent / "answers.jsonl"),
    }
    report |= {"train": {key: record[key] for key in ("splits", "best", "seconds", "options")}}
    print(json.dumps(report, indent=None if options.json else 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
