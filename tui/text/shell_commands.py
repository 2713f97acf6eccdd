"""Paths as a person types them, and commands as a person can paste them into a shell."""

import contextlib
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from rich.cells import cell_len

from appliance.ground.text import printable
from appliance.tasks.linecode import Value
from appliance.tasks.typed_values import typed_value

_WORD = re.compile(r"""(?:\$'(?:\\.|[^'\\])*'|'[^']*'|"[^"]*"|\\.|[^\s'"\\])+""", re.DOTALL)
_UNIT = re.compile(r"\\x[0-9a-f]{2}|\\.|.", re.DOTALL)
"""What of a spelled out word must stay together."""
_INDENT = "  "
_LEAST_PIECE = 12
"""In cells; where less is left of a line, a long word begins in the next one."""


def typed_path(text: str) -> Path:
    """The path that a person typed, absolute: a command with it means the same in every folder."""
    path = Path(text)
    # `~nobody` is no home folder, but may be a folder here.
    with contextlib.suppress(RuntimeError):
        path = path.expanduser()
    return path.absolute()


def shell_word(text: str) -> str:
    """The text as one word of a shell; what a terminal would act on is spelled out, so that it can be shown."""
    if text == printable(text):
        return shlex.quote(text)
    return "$'" + "".join(map(_spelled, text)) + "'"


def shell_words(words: Iterable[str]) -> str:
    """The words as one command line."""
    return " ".join(map(shell_word, words))


def command_lines(command: str, width: int) -> list[str]:
    """A command line on as many lines as it needs, so that a shell takes them, pasted together, as the same command."""
    lines, line = [], ""
    for word in _units(command, width // 2):
        joined = f"{line} {word}" if line else word
        if cell_len(joined) <= width - 2:
            line = joined
            continue
        # A long path goes on in the next line, a short word begins there.
        if line and (cell_len(word) <= width // 2 or cell_len(line) > width - _LEAST_PIECE):
            lines.append(line + " \\")
            joined = _INDENT + word
        *full, line = _pieces(joined, len(joined) - len(word), width)
        lines += full
    return [*lines, line]


def _units(command: str, most: int) -> list[str]:
    """The words of a command; an option stays with its value where both are short."""
    units: list[str] = []
    for word in _WORD.findall(command):
        option = units[-1] if units and units[-1].startswith("--") and " " not in units[-1] else ""
        if option and not word.startswith("-") and cell_len(option + word) < most:
            units[-1] += " " + word
        else:
            units.append(word)
    return units


def _pieces(line: str, start: int, width: int) -> list[str]:
    """A line whose last word is too long, in pieces; a backslash at the end of a piece joins it with the next one."""
    if cell_len(line) <= width - 2:
        return [line]
    before, word = line[:start], line[start:]
    spelled = word.startswith("$'")
    units = _UNIT.findall(word[2:-1]) if spelled else list(shlex.split(word)[0])
    piece, last, pieces = "", "", []
    for unit in units:
        longer = piece + unit
        spelling = f"{before}$'{longer}'" if spelled else before + shell_word(longer)
        if piece and cell_len(spelling) > width - 2:
            pieces.append(last)
            before, longer = "", unit
            spelling = f"$'{unit}'" if spelled else shell_word(unit)
        piece, last = longer, spelling
    return [*(done + "\\" for done in pieces), last]


def _spelled(char: str) -> str:
    if char in "'\\":
        return "\\" + char
    if char == printable(char):
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def line_to_type(value: Value) -> str:
    """A value on one line; what a terminal would act on is replaced, as it cannot be typed either."""
    return printable(re.sub(r"\s+", " ", typed_value(value)))
