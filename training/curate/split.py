"""Which rows train and which judge: decided by a hash, so that siblings stay together and nothing moves later."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from appliance.quality.near_duplicates import clusters
from appliance.tasks.folder import SPLITS, Split

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow


def sibling_key(row: "LabelledRow") -> str:
    """What must not be divided: the row's group, or its text with case and blanks evened out."""
    return f"group {row.group}" if row.group is not None else f"text {' '.join(row.text.lower().split())}"


def families(rows: Sequence["LabelledRow"]) -> list[str]:
    """Each row's family, named by the key of its first member; near duplicates join families."""
    keys = [sibling_key(row) for row in rows]
    siblings: dict[str, list[int]] = {}
    for number, key in enumerate(keys):
        siblings.setdefault(key, []).append(number)
    return [keys[first] for first in clusters([row.text for row in rows], known=siblings.values())]


def place(key: str) -> float:
    """A number from 0 to 1 that depends on the key only; further rows do not move it."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64


def split_rows(rows: Sequence["LabelledRow"], validation: float, test: float) -> dict[Split, list["LabelledRow"]]:
    """Rows of each split, in their order.

    A split that should have rows but got none, as happens with few families, gets the family nearest to it.
    """
    names = families(rows)
    places = {name: place(name) for name in names}
    chosen: dict[str, Split] = {name: _split_at(at, validation, test) for name, at in places.items()}
    shares: dict[Split, float] = {"test": test, "validation": validation}
    for split, share in shares.items():
        spare = sorted((name for name in places if chosen[name] == "train"), key=lambda name: places[name])
        if share > 0 and split not in chosen.values() and len(spare) > 1:
            chosen[spare[0]] = split
    splits: dict[Split, list[LabelledRow]] = {split: [] for split in SPLITS}
    for row, name in zip(rows, names, strict=True):
        splits[chosen[name]].append(row)
    return splits


def _split_at(at: float, validation: float, test: float) -> Split:
    if at < test:
        return "test"
    return "validation" if at < test + validation else "train"
