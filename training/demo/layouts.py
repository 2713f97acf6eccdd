"""Ways to print pairs of label and value, and the choice of a layout for a whole document.

A layout is a combination of ways. An eighth of all combinations, decided by hash, and the ways of `HELD_OUT_WAYS` and
`KEPT_OUT_PAGE_WAYS` are printed only in test documents.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from training.demo.page_ways import KEPT_OUT_PAGE_WAYS, PAGE_WAYS, Pair, Printer
from training.demo.pools import Split


def _each(pattern: str) -> Printer:
    """One line for each pair."""
    return lambda rng, pairs: [pattern.format(label=label, value=value) for label, value in pairs]


def _upper(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    return [f"{label.upper()}: {value}" for label, value in pairs]


def _aligned(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    width = max(len(label) for label, _ in pairs) + rng.randrange(2, 6)
    mark = rng.choice(("", ":"))
    return [f"{label + mark:<{width}}{value}" if label else value for label, value in pairs]


def _right(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    width = max(len(label) + len(value) for label, value in pairs) + 3
    return [label + " " * (width - len(label) - len(value)) + value for label, value in pairs]


def _dots(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    count = rng.randrange(3, 14)
    return [f"{label} {'.' * max(3, count - len(label) // 3)} {value}" for label, value in pairs]


def _below(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    mark = rng.choice(("", "", ":"))
    return [line for label, value in pairs for line in (label + mark, value)]


def _in_twos(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    gap, mark = " " * rng.randrange(3, 9), rng.choice((": ", "  ", " "))
    return [gap.join(f"{label}{mark}{value}" for label, value in pairs[at : at + 2]) for at in range(0, len(pairs), 2)]


def _in_threes(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    gap = rng.choice(("   ", " | ", "; "))
    return [gap.join(f"{label}: {value}" for label, value in pairs[at : at + 3]) for at in range(0, len(pairs), 3)]


def _columns(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    """Labels in one line and their values in the next, two or three at a time."""
    lines, at = [], 0
    while at < len(pairs):
        group = pairs[at : at + rng.choice((2, 2, 3))]
        widths = [max(len(label), len(value)) + 3 for label, value in group]
        for part in (0, 1):
            lines.append("".join(f"{pair[part]:<{width}}" for pair, width in zip(group, widths, strict=True)).rstrip())
        at += len(group)
    return lines


def _bars(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    edge = rng.choice(("|", ""))
    return [f"{edge} {label} | {value} {edge}".strip() for label, value in pairs]


def _numbered(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    form = rng.choice(("{}. ", "{}) ", "({}) "))
    return [f"{form.format(number)}{label}: {value}" for number, (label, value) in enumerate(pairs, 1)]


def _bullets(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    mark = rng.choice("*-•")
    return [f"{mark} {label}: {value}" for label, value in pairs]


_PLAIN_WAYS: dict[str, Printer] = {
    "colon": _each("{label}: {value}"),
    "colon_apart": _each("{label} : {value}"),
    "tight": _each("{label}:{value}"),
    "upper": _upper,
    "aligned": _aligned,
    "right": _right,
    "dots": _dots,
    "below": _below,
    "dash": _each("{label} - {value}"),
    "bracket": _each("[{label}] {value}"),
    "blank": _each("{label} {value}"),
    "after": _each("{value} ({label})"),
    "in_twos": _in_twos,
    "in_threes": _in_threes,
    "columns": _columns,
    "bars": _bars,
    "numbered": _numbered,
    "bullets": _bullets,
    "is": _each("{label} is {value}"),
    "equals": _each("{label} = {value}"),
    "arrow": _each("{label} >> {value}"),
    "angle": _each("<{label}> {value}"),
}
WAYS: dict[str, Printer] = {**_PLAIN_WAYS, **PAGE_WAYS, **KEPT_OUT_PAGE_WAYS}
HELD_OUT_WAYS = ("equals", "arrow", "angle")
_WEIGHTS = {
    "colon": 5,
    "aligned": 4,
    "right": 2,
    "below": 3,
    "columns": 3,
    "in_twos": 2,
    "tight": 0.5,
    "after": 0.6,
    "is": 0.5,
    "bracket": 0.7,
    "marked": 6,
    "stacks": 3,
    "heads_close": 2,
    "run_on": 2,
    "broken_labels": 0.5,
}
TRAINING_WAYS = tuple(way for way in _PLAIN_WAYS if way not in HELD_OUT_WAYS)
"""Of tidy documents."""

HEADERS = ("none", "title", "company", "company_title", "title_line", "framed", "title_number", "letterhead", "centred")
FOOTERS = ("none", "none", "page", "thanks", "bank", "legal", "printed", "contact")
TABLES = ("quantity_first", "product_first", "numbered", "wide", "two_lines")


@dataclass(frozen=True)
class Layout:
    """How one document is printed."""

    header: str
    ways: tuple[str, ...]
    """One per block of pairs."""
    footer: str
    table: str
    upper: bool = False

    @property
    def is_test(self) -> bool:
        """Whether the combination is kept for test documents."""
        if set(self.ways) & {*HELD_OUT_WAYS, *KEPT_OUT_PAGE_WAYS}:
            return True
        key = "/".join((self.header, *self.ways, self.footer, self.table))
        return hashlib.sha256(key.encode()).digest()[0] < 32


def _draw(rng: random.Random, blocks: int, ways: Sequence[str]) -> Layout:
    weights = [_WEIGHTS.get(way, 1.0) for way in ways]
    chosen = tuple(rng.choices(ways, weights, k=blocks))
    return Layout(rng.choice(HEADERS), chosen, rng.choice(FOOTERS), rng.choice(TABLES), rng.random() < 0.1)


def draw_layout(rng: random.Random, split: Split, blocks: int, ways: Sequence[str] = TRAINING_WAYS) -> Layout:
    """A layout of the split with this number of blocks."""
    while True:
        layout = _draw(rng, blocks, ways)
        if layout.is_test == (split == "test"):
            return layout


def print_block(rng: random.Random, way: str, pairs: Sequence[Pair]) -> list[str]:
    """The lines of a block; a pair without a label is printed as its value."""
    lines: list[str] = []
    if way == "columns" and any(not label for label, _ in pairs):
        way = "aligned"
    labelled = [pair for pair in pairs if pair[0]]
    lines += [value for label, value in pairs if not label]
    return [*lines, *(WAYS[way](rng, labelled) if labelled else [])]
