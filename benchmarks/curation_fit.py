"""Weights and bound by which `curate` doubts values, fitted on half of the sets of `curation.py`.

    python benchmarks/curation_fit.py            # prints what stands in training/curate/value_truth.py

Mistakes are planted in the rows of the sets that are chosen on, three times; what taggers that did not see a row think
of its values is weighed by a logistic regression. The bound is where so many right values are doubted as may be lost.
Each set is also judged by weights that were fitted without it: that is what a set that nobody has seen would get.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import packages_first  # noqa: F401  # before `training`
from curation import spoil, task_of
from curation_mistakes import KINDS
from curation_sets import CURATION_SETS
from numpy.typing import NDArray
from real_task_sets import DATA_DIR

from appliance.ground.errors import ApplianceError
from training.curate.answer_checks import wrong_form
from training.curate.evidence import as_printed
from training.curate.value_truth import judge_values, usual_shares

SEEDS = (11, 12, 13)
"""None of those that `curation.py` reports."""
LOST = 0.008
"""Share of the right values that may be doubted by their likelihood; other filters lose some too."""
PENALTY, STEPS = 1e-3, 60


@dataclass(frozen=True)
class Example:
    """One value, or null, and what the taggers think of it."""

    set_name: str
    kind: str
    """Of the mistake; empty where it is right."""
    has_value: bool
    features: list[float]


def examples_of(name: str, seed: int, data_dir: Path, work_dir: Path) -> list[Example]:
    """The judged values of a set with mistakes."""
    task = task_of(name, work_dir / name, data_dir)
    drawn = spoil(name, task, data_dir, seed)
    form = wrong_form(task, drawn.spoilt)
    printed, missing = as_printed(task, drawn.spoilt)
    rows = [
        replace(row, untrusted={doubt.field: doubt.reason for doubt in (*form.get(at, ()), *missing.get(at, ()))})
        for at, row in enumerate(printed)
    ]
    judgements = judge_values(task, rows)
    usual, examples = usual_shares(judgements, rows), []
    for (number, field), judgement in judgements.items():
        if field in usual:
            planted = drawn.planted.get(number)
            kind = planted.kind if planted is not None and field in planted.fields else ""
            has_value = bool(rows[number].answer.get(field))
            examples.append(Example(name, kind, has_value, judgement.features(usual[field], has_value)))
    return examples


def fitted(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Weights of the features: logistic regression with a small ridge, by Newton's steps on standardised features."""
    inputs = np.array([each.features for each in examples])
    wrong = np.array([bool(each.kind) for each in examples], dtype=float)
    mean, spread = inputs.mean(0), inputs.std(0) + 1e-9
    mean[0], spread[0] = 0.0, 1.0
    scaled = (inputs - mean) / spread
    weights = np.zeros(inputs.shape[1])
    ridge = PENALTY * np.eye(len(weights))
    for _ in range(STEPS):
        shares = 1 / (1 + np.exp(-scaled @ weights))
        slope = scaled.T @ (shares - wrong) / len(wrong) + ridge @ weights
        curvature = (scaled * (shares * (1 - shares))[:, None]).T @ scaled / len(wrong) + ridge
        weights -= np.linalg.solve(curvature, slope)
    plain = weights / spread
    plain[0] -= float((weights / spread) @ mean)
    return plain


def bound_of(examples: Sequence[Example], weights: NDArray[np.float64], lost: float) -> float:
    """Log odds that so many of the right values exceed; of nulls the doubted ones count as if they were values."""
    values = np.array([np.dot(weights, each.features) for each in examples if not each.kind and each.has_value])
    nulls = np.array([np.dot(weights, each.features) for each in examples if not each.kind and not each.has_value])
    every = np.sort(np.concatenate([values, nulls]))[::-1]
    return float(every[round(lost * len(values))])


def report(name: str, examples: Sequence[Example], weights: NDArray[np.float64], bound: float) -> str:
    """What is doubted of each kind."""
    doubted = [float(np.dot(weights, each.features)) >= bound for each in examples]
    right = sum(each.has_value for each in examples if not each.kind)
    lost = sum(flag for flag, each in zip(doubted, examples, strict=True) if not each.kind)
    cells = []
    for kind in KINDS:
        some = [flag for flag, each in zip(doubted, examples, strict=True) if each.kind == kind]
        cells.append(f"{kind} {sum(some)} of {len(some)}")
    return f"{name}: lost {100 * lost / max(1, right):.2f} % of {right:,}; " + ", ".join(cells)


def main() -> int:
    """Prints reports and, last, the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="folder of the sets")
    parser.add_argument("--lost", type=float, default=LOST, help="share of the right values that may be doubted")
    arguments = parser.parse_args()
    names = [name for name, each in CURATION_SETS.items() if each.is_chosen_on]
    examples = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                for seed in SEEDS:
                    examples += examples_of(name, seed, arguments.data, Path(folder))
                print(f"{name}: judged", file=sys.stderr, flush=True)
    except ApplianceError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    for name in names:
        others = [each for each in examples if each.set_name != name]
        weights = fitted(others)
        own = [each for each in examples if each.set_name == name]
        print(report(f"{name}, unseen", own, weights, bound_of(others, weights, arguments.lost)))
    weights = fitted(examples)
    bound = bound_of(examples, weights, arguments.lost)
    print(report("all", examples, weights, bound))
    print(json.dumps({"weights": [round(float(weight), 3) for weight in weights], "bound": round(bound, 3)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
