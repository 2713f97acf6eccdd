"""Which rows train and which judge: siblings stay together, labels and slices have their share, nothing moves later."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from appliance.quality.near_duplicates import clusters
from appliance.tasks.folder import SPLITS, Split

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task

Stratum = tuple[str, str]
"""A field and one of its values: rows that each split should have in proportion."""


def sibling_key(row: "LabelledRow") -> str:
    """What must not be divided: the row's group, or its text with case and blanks evened out."""
    return f"group {row.group}" if row.group is not None else f"text {' '.join(row.text.lower().split())}"


class Together(StrEnum):
    """What must not be divided between training and judging, besides groups and texts that are nearly the same."""

    TEXT = "text"
    """Nothing more."""
    FOLDER = "folder"
    """Documents of one folder, such as those of a customer or a source."""
    TEMPLATE = "template"
    """Documents that are nearly the same once numbers are left out, such as letters of one form."""


TEMPLATE_SHARE = 0.6
"""Of the word pairs that two documents of a template share, numbers left out."""
_NUMBER = re.compile(r"[^\W_]*\d[^\s]*")


def families(rows: Sequence["LabelledRow"], together: Together = Together.TEXT) -> list[str]:
    """Each row's family, named by the key of its first member; near duplicates join families."""
    keys = [sibling_key(row) for row in rows]
    siblings: dict[str, list[int]] = {}
    for number, key in enumerate(keys):
        siblings.setdefault(key, []).append(number)
        if together is Together.FOLDER and "/" in rows[number].document:
            siblings.setdefault(f"folder {rows[number].document.rpartition('/')[0]}", []).append(number)
    if together is Together.TEMPLATE:
        texts = [_NUMBER.sub("0", row.text) for row in rows]
        return [keys[first] for first in clusters(texts, TEMPLATE_SHARE, siblings.values())]
    return [keys[first] for first in clusters([row.text for row in rows], known=siblings.values())]


def place(key: str) -> float:
    """A number from 0 to 1 that depends on the key only; further rows do not move it."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64


def strata_of(task: "Task", row: "LabelledRow") -> list[Stratum]:
    """The row's label, and its values of the fields by which quality is broken down; none where a task has neither."""
    names = [*(["label"] if task.labels else []), *task.slices]
    values = {name: row.answer.get(name) for name in names}
    if task.labels and row.labels:
        values["label"] = max(sorted(row.labels), key=lambda label: (row.labels or {})[label])
    entries = {name: value if isinstance(value, list) and value else [value or ""] for name, value in values.items()}
    return [(name, str(entry)) for name in names for entry in entries[name]]


def split_rows(
    task: "Task",
    rows: Sequence["LabelledRow"],
    validation: float,
    test: float,
    together: Together = Together.TEXT,
) -> dict[Split, list["LabelledRow"]]:
    """Rows of each split, in their order.

    A family's split follows from a hash of its name. Where a label or a slice of the task would be further than this
    family from its share in a split, the family goes where it brings the shares nearest; later rows move no earlier
    ones. A split that should have rows but got none, as happens with few families, gets the family nearest to it.
    """
    names = families(rows, together)
    strata: dict[str, Counter[Stratum]] = {name: Counter() for name in names}
    for row, name in zip(rows, names, strict=True):
        strata[name].update(strata_of(task, row))
    places = {name: place(name) for name in names}
    shares: dict[Split, float] = {"test": test, "validation": validation}
    balance = _Balance(shares)
    chosen = {name: balance.choose(_split_at(at, validation, test), strata[name]) for name, at in places.items()}
    for split, share in shares.items():
        spare = sorted((name for name in places if chosen[name] == "train"), key=lambda name: places[name])
        if share > 0 and split not in chosen.values() and len(spare) > 1:
            chosen[spare[0]] = split
    splits: dict[Split, list[LabelledRow]] = {split: [] for split in SPLITS}
    for row, name in zip(rows, names, strict=True):
        splits[chosen[name]].append(row)
    return splits


class _Balance:
    """How many rows of each stratum each split has so far."""

    def __init__(self, shares: Mapping[Split, float]) -> None:
        self._shares = shares
        self._rows: Counter[Stratum] = Counter()
        self._in_split: dict[Split, Counter[Stratum]] = {split: Counter() for split in SPLITS}

    def choose(self, preferred: Split, family: Counter[Stratum]) -> Split:
        """The split of the next family: the preferred one where no other brings its strata nearer to their shares."""
        self._rows.update(family)
        splits: list[Split] = [preferred, *(split for split in SPLITS if split != preferred)]
        best = min(splits, key=lambda split: self._excess(split, family))
        self._in_split[best].update(family)
        return best

    def _excess(self, chosen: Split, family: Counter[Stratum]) -> float:
        """Rows by which shares are missed further than by one family, with this family in the chosen split."""
        excess = 0.0
        for stratum, count in family.items():
            for split, share in self._shares.items():
                held = self._in_split[split][stratum] + count * (split == chosen)
                excess += max(0.0, abs(held - share * self._rows[stratum]) - count)
        return excess


def _split_at(at: float, validation: float, test: float) -> Split:
    if at < test:
        return "test"
    return "validation" if at < test + validation else "train"
