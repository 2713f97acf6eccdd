"""Makes text fit to leave the house: what is not known to be harmless is left out, rather than what is known to harm.

A log holds tracebacks, and the message of an error may quote a document. So lines of known forms are kept, rebuilt
from parts that were each checked; the others are counted.
"""

import builtins
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_FRAME = re.compile(r'  File "(?P<path>[^"\n]+)", line (?P<line>\d+), in (?P<function>[\w<>.]+)')
_ERROR = re.compile(r"(?P<kind>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?", re.DOTALL)
_NUMBERED = re.compile(r"\[Errno (?P<number>\d+)\] ")
_FIXED_LINES = frozenset({
    "Traceback (most recent call last):",
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
})  # fmt: skip
_ERROR_KIND = re.compile(
    r"(?:[a-z_]+[\w]*\.)*[A-Z]\w*(?:Error|Exception|Warning|Died|Interrupt|Exit|Refused|Lost|Good)"
)
_KNOWN_MESSAGES = frozenset({
    "attempt to write a readonly database", "database disk image is malformed", "database is locked",
    "database or disk is full", "disk I/O error", "unable to open database file",
})  # fmt: skip
_SIGNAL = re.compile(r"\b(?:SIG[A-Z]+|exit status -?\d+)\b")


def redacted_log(lines: Iterable[str]) -> list[str]:
    """The log with what it may hold of documents, names and paths left out."""
    lines_out: list[str] = []
    left_out = 0
    for line in lines:
        harmless = _harmless(line.rstrip("\n"))
        if harmless is None:
            left_out += 1
            continue
        lines_out += [f"[{left_out} lines left out]"] if left_out else []
        lines_out.append(harmless)
        left_out = 0
    return lines_out + ([f"[{left_out} lines left out]"] if left_out else [])


def redacted_detail(text: str) -> str:
    """Of an event's detail, the signals and exit statuses in it."""
    return ", ".join(dict.fromkeys(_SIGNAL.findall(text)))


def _harmless(line: str) -> str | None:
    if line in _FIXED_LINES or not line:
        return line
    if frame := _FRAME.fullmatch(line):
        return _frame(Path(frame["path"]), frame["line"], frame["function"])
    error = _ERROR.fullmatch(line)
    if error is None or not _ERROR_KIND.fullmatch(error["kind"]) or not _is_error_name(error["kind"]):
        return None
    message = error["message"] or ""
    if not message or message in _KNOWN_MESSAGES:
        return line
    number = _NUMBERED.match(message)
    error_number = f"[Errno {number['number']}] " if number else ""
    return f"{error['kind']}: {error_number}[{len(message)} characters left out]"


def _frame(path: Path, line: str, function: str) -> str | None:
    """A line of a traceback, if it names a function that really is in a file of the program or of a library."""
    for root in _roots():
        if root in path.parents and _has_function(path, function):
            return f'  File "{path.relative_to(root)}", line {line}, in {function}'
    return None


@cache
def _roots() -> tuple[Path, ...]:
    """Folders of libraries and of the program; longer ones first, so that names come out short."""
    import appliance

    own = Path(appliance.__path__[0]).parent
    return tuple(sorted({own, *map(Path, filter(None, sys.path))}, key=lambda path: -len(path.parts)))


@cache
def _has_function(path: Path, function: str) -> bool:
    if path.suffix != ".py" or not path.is_file():
        return False
    name = function.rpartition(".")[2]
    if name in ("<module>", "<lambda>", "<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>"):
        return True
    source = path.read_text("utf-8", errors="replace")
    return re.search(rf"^\s*(?:async )?def {re.escape(name)}\b", source, re.MULTILINE) is not None


@cache
def _is_error_name(kind: str) -> bool:
    """Whether it is the name of an error of Python or of something that is installed: any text can have a colon."""
    module, _, name = kind.rpartition(".")
    if not module:
        return isinstance(getattr(builtins, name, None), type)
    package = module.partition(".")[0]
    return package in sys.stdlib_module_names or find_spec(package) is not None
