"""How often a student at the line is called READY by whoever follows the gate's advice to the end.

    python benchmarks/looks.py --json

A student whose accuracy is the required one, or which is worse than the teacher by the whole margin, should be READY in
5 % of the runs at most. Each run begins with 60 labelled documents; after NEED n MORE so many are labelled in addition,
at most 1,000 at a time, and the gate looks again, up to six times. Beside the gate's rule, which spends its error over
the looks, stands the rule that takes each look for the only one.
"""

import argparse
import json
from collections.abc import Callable

import numpy as np

from appliance.quality.metrics import Judged, Outcome
from appliance.quality.readiness import Decision, Readiness, against_gold, against_teacher
from appliance.quality.statistics import wilson

REQUIRED, MARGIN = 0.9, 0.05
TEACHER = 0.95
"""Accuracy of the teacher that the student is worse than by the margin; their mistakes are independent."""
FIRST, MOST_MORE, LOOKS = 60, 1000, 6


def documents(generator: np.random.Generator, count: int, accuracy: float) -> list[Judged]:
    """Documents of one field that are right with this chance."""
    right, wrong = (Judged("", {"value": outcome}, frozenset()) for outcome in (Outcome.CORRECT, Outcome.SUBSTITUTED))
    return [right if draw < accuracy else wrong for draw in generator.random(count)]


def ends_ready(draw: Callable[[int], None], look_at: Callable[[int], Readiness]) -> bool:
    """Whether following the advice ends with READY.

    Args:
        draw: Labels so many more documents.
        look_at: The gate's look of this number.
    """
    draw(FIRST)
    for look in range(1, LOOKS + 1):
        readiness = look_at(look)
        if readiness.decision is not Decision.NEED_MORE:
            return readiness.ready
        draw(min(MOST_MORE, readiness.more))
    return False


def one_run(generator: np.random.Generator, basis: str, spends: bool) -> bool:
    """Whether a student at the line is called READY.

    Args:
        spends: Whether the error is spent over the looks.
    """
    student: list[Judged] = []
    teacher: list[Judged] = []

    def draw(count: int) -> None:
        student.extend(documents(generator, count, REQUIRED if basis == "gold" else TEACHER - MARGIN))
        teacher.extend(documents(generator, count, TEACHER))

    def look_at(look: int) -> Readiness:
        number = look if spends else None
        if basis == "gold":
            return against_gold(student, REQUIRED, number)
        return against_teacher(student, teacher, MARGIN, number)

    return ends_ready(draw, look_at)


def main() -> None:
    """Prints a table; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=400, help="of each rule", metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    record = {}
    print(f"| compared with | error spent over the looks | each look as the only one | runs |\n{'|---' * 4}|")
    for basis in ("gold", "teacher"):
        cells = []
        for spends in (True, False):
            generator = np.random.default_rng(arguments.seed)
            ready = sum(one_run(generator, basis, spends) for _ in range(arguments.runs))
            cells.append(wilson(ready, arguments.runs).percent())
            record[f"{basis}_{'spent' if spends else 'alone'}"] = ready / arguments.runs
        print(f"| {basis} | {' | '.join(cells)} | {arguments.runs:,} |", flush=True)
    if arguments.json:
        print(json.dumps(record))


if __name__ == "__main__":
    main()
