"""Mistakes of scanners: letters that look alike, blanks too many and too few."""

import random

_ALIKE = {
    "0": "O", "O": "0", "1": "l", "l": "1", "I": "l", "5": "S", "S": "5", "8": "B", "B": "8", "e": "c", "c": "e",
    "a": "o", "n": "u", "u": "n", "m": "rn", "t": "f", "h": "b", "g": "9", "2": "Z", "6": "b",
}  # fmt: skip


def smudged(rng: random.Random, text: str, share: float) -> str:
    """The text as a scanner may read it.

    Args:
        share: Of its characters that are read wrong.
    """
    read = ""
    for place, char in enumerate(text):
        if rng.random() >= share:
            read += char
        elif char == " ":
            read += rng.choice(("", "  ")) if 0 < place < len(text) - 1 else char
        else:
            read += _ALIKE.get(char, char)
    return " ".join(read.split()) or text
