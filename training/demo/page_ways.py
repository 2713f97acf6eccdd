"""Ways to print pairs of label and value as strangers' pages have them.

Any mark may stand between the two, or around one of them. A value may stand before or above its label, or in a stack
of values below the stack of labels, as programs take the text out of a PDF. Lines break within labels and values.
"""

import random
from collections.abc import Callable, Iterator, Sequence

Pair = tuple[str, str]
Printer = Callable[[random.Random, Sequence[Pair]], list[str]]

_MARKS = (
    ":", ";", "|", "~", "/", "//", "\\", "#", "*", "+", "^", "_", "..", "...", ",", "-", "--", "\u2013", "\u2014",
    "%", "!", "?", "@", "&", "\u00b7", "\u2022", "\u00a7", "::", ":-", "|:", "\u2192", "\u00bb", "\u203a", "~~", "*:",
    "+-", "\u2502",
)  # fmt: skip
"""Those of the ways that are kept out of training are not among them, nor any that is made of their characters."""
_WRAPS = (
    ("", ""), ("", ""), ("", ""), ("[", "]"), ("(", ")"), ("{", "}"), ('"', '"'), ("'", "'"), ("*", "*"), ("**", "**"),
    ("_", "_"), ("|", "|"), ("\u00ab", "\u00bb"), ("\u201e", "\u201c"), ("/", "/"), ("#", "#"), ("-", "-"),
)  # fmt: skip
_BLANKS = ("", " ", " ", " ", "  ", "    ")
_LEAST_WRAPPED = 12
"""Characters of a value that may be parted at a line end."""


def _groups(rng: random.Random, pairs: Sequence[Pair], least: int, most: int) -> Iterator[Sequence[Pair]]:
    at = 0
    while at < len(pairs):
        count = rng.randrange(least, most + 1)
        yield pairs[at : at + count]
        at += count


def _marked(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    """One mark between all labels and values of a block, which may have marks around them too."""
    mark = rng.choice(_MARKS) if rng.random() < 0.8 else rng.choice(_MARKS) + rng.choice(_MARKS)
    (label_open, label_close), (open_, close) = rng.choice(_WRAPS), rng.choice(_WRAPS)
    if rng.random() < 0.75:
        open_, close = "", ""
    if label_open and rng.random() < 0.5:
        mark = ""
    before, after = rng.choice(_BLANKS) if mark else "", rng.choice(_BLANKS) or (" " if not mark else "")
    bullet = rng.choice(("", "", "", f"{rng.choice(_MARKS)} "))
    end = rng.choice(("", "", "", ",", ";", "."))
    return [
        f"{bullet}{label_open}{label}{label_close}{before}{mark}{after}{open_}{value}{close}{end}"
        for label, value in pairs
    ]


def _value_first(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    """The value before its label in one line, as text that was set from right to left."""
    gap, end = rng.choice(("", "", " ", "  ", " - ")), rng.choice(("", ":", ":", " :", ": "))
    return [f"{value}{gap}{label}{end}" for label, value in pairs]


def _value_above(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    line = rng.choice(("", "", "_" * 20, "-" * 16))
    form = rng.choice(("{}", "({})", "{}:"))
    return [text for label, value in pairs for text in (value, line, form.format(label)) if text]


def _stacks(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    """All labels, then all values in their order, or the other way round; a colon may have a line of its own."""
    lines: list[str] = []
    end, alone = rng.choice(("", "", ":", " :")), rng.random() < 0.15
    values_first = rng.random() < 0.3
    for group in _groups(rng, pairs, 2, 5):
        labels = [text for label, _ in group for text in ((label, ":") if alone else (label + end,))]
        values = [value for _, value in group]
        lines += [*values, *labels] if values_first else [*labels, *values]
    return lines


def _run_on(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    """Several pairs in one line, with nothing but a blank or a mark between them."""
    mark, gap = rng.choice((" ", " ", ": ", ":", " - ")), rng.choice((" ", " ", ", ", "; ", " | ", " / ", "  "))
    return [gap.join(f"{label}{mark}{value}" for label, value in group) for group in _groups(rng, pairs, 2, 4)]


def _own_line(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    """The mark between label and value in a line of its own, or at the start of the value's."""
    form = rng.choice(("{label}\n:\n{value}", "{label}\n: {value}", "{label}:\n\n{value}", "{label}\n  {value}"))
    return [line for label, value in pairs for line in form.format(label=label, value=value).split("\n")]


def _heads_close(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    """Labels in one line and their values in the next, parted by one blank, or by none."""
    lines = []
    gap = rng.choice((" ", " ", " ", "", "  ", " | "))
    for group in _groups(rng, pairs, 2, 4):
        lines += [gap.join(label for label, _ in group), (gap or " ").join(value for _, value in group)]
    return lines


def _wrapped(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    """Long values over two lines, the second one under the value or at the left edge."""
    mark, indent = rng.choice((": ", " ", "  ", ":\n")), " " * rng.choice((0, 0, 2, 8, 16))
    lines: list[str] = []
    for label, value in pairs:
        words = value.split(" ")
        if len(value) >= _LEAST_WRAPPED and len(words) > 1 and rng.random() < 0.8:
            cut = rng.randrange(1, len(words))
            value = " ".join(words[:cut]) + "\n" + indent + " ".join(words[cut:])
        lines += f"{label}{mark}{value}".split("\n")
    return lines


def _broken_labels(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    """Labels of two words over two lines."""
    mark = rng.choice((" ", ": ", "\n"))
    lines: list[str] = []
    for label, value in pairs:
        first, _, rest = label.partition(" ")
        lines += f"{first}\n{rest}{mark}{value}".split("\n") if rest else f"{label}{mark}{value}".split("\n")
    return lines


def _records_of_labels(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    """Marked as programs store pairs."""
    return ["{", *(f'  "{label}": "{value}",' for label, value in pairs), "}"]


def _ruled_table(rng: random.Random, pairs: Sequence[Pair]) -> list[str]:
    """Labels as the head of a table with rules, values as its one row."""
    lines = []
    for group in _groups(rng, pairs, 2, 3):
        lines += [
            "| " + " | ".join(label for label, _ in group) + " |",
            "|" + "|".join("---" for _ in group) + "|",
            "| " + " | ".join(value for _, value in group) + " |",
        ]
    return lines


PAGE_WAYS: dict[str, Printer] = {
    "marked": _marked,
    "value_first": _value_first,
    "value_above": _value_above,
    "stacks": _stacks,
    "run_on": _run_on,
    "own_line": _own_line,
    "heads_close": _heads_close,
    "wrapped": _wrapped,
    "broken_labels": _broken_labels,
}
KEPT_OUT_PAGE_WAYS: dict[str, Printer] = {"records_of_labels": _records_of_labels, "ruled_table": _ruled_table}
"""Printed only in test documents."""
