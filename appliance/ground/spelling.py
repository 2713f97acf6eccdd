"""Finds what a mistyped word was probably meant to be, and says what a name is."""

import difflib
from collections.abc import Iterable

NAME_PATTERN = "[A-Za-z_][A-Za-z0-9_-]{0,63}"
"""A word that can be a key, a column and a part of a file name."""
NAME_RULE = "use up to 64 letters, digits, _ and -, and begin with a letter or _"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, if any is like it."""
    matches = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message: `, did you mean train?`; empty where no known word is like this one."""
    match = nearest(word, known)
    return f", did you mean {match}?" if match else ""
