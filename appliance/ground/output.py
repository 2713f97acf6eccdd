"""All that a command writes: stdout is data, stderr is everything else, and neither can command the terminal."""

import contextlib
import os
import sys
from collections.abc import Sequence


def print_lines(*lines: str) -> None:
    """Writes lines of text to stdout, made safe for a terminal."""
    from appliance.ground.text import printable

    for line in lines:
        sys.stdout.write(printable(line) + "\n")


def print_json(value: object, ascii_only: bool = True, indent: int | None = None) -> None:
    """Writes one line of JSON to stdout, or more where it is indented.

    Args:
        ascii_only: Letters beyond ASCII as escapes, which no locale can garble.
    """
    from appliance.ground.json_text import json_text

    sys.stdout.write(json_text(value, ascii_only, indent) + "\n")


def print_json_text(text: str) -> None:
    """Writes a line of JSON that is text already, as rows are."""
    sys.stdout.write(text + "\n")


def print_bytes(data: bytes) -> None:
    """Writes exactly these bytes to a file or a pipe; where a person looks at them, they are made safe."""
    if sys.stdout.isatty():
        print_lines(data.decode("utf-8", "replace"))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def flush_lines() -> None:
    """Shows what was printed so far, before long work goes on."""
    sys.stdout.flush()


def note(*lines: str) -> None:
    """Writes lines for a person to stderr; where nobody can read them, the work goes on all the same."""
    from appliance.ground.text import printable

    write_stderr("".join(printable(line) + "\n" for line in lines))


def note_error(message: str, hint: str = "", problems: Sequence[str] = ()) -> None:
    """Writes what failed, and the next thing to type.

    Args:
        problems: Where several things are wrong at once, each on a line in the place of the message.
    """
    note(*(f"error: {line}" for line in problems or [message]), *([f"hint: {hint}"] if hint else []))


def write_stderr(text: str) -> None:
    """Writes text as it is, such as a line that is drawn anew.

    A full disk under the messages, or a terminal that has gone away, makes no work a failure: it is the rows that
    count, and the exit code still says how it ended.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def on_terminal() -> bool:
    """Whether a person sees what is drawn on stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def confirm(question: str) -> None:
    """Asks on stderr.

    Raises:
        Interrupted: The answer is no, or nobody is there to answer.
    """
    import click

    from appliance.ground.errors import Interrupted
    from appliance.ground.text import printable

    answer = False
    with contextlib.suppress(click.Abort):
        answer = click.confirm(printable(question), err=True)
    if not answer:
        raise Interrupted("not confirmed, so nothing was done", "answer y, or add `--yes`")


def open_standard_streams() -> None:
    """Gives a process that was started without them streams into nothing.

    Otherwise the next file that is opened would be standard error, and a library's warning would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # The lowest number that is free: this one.
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def finish_stdout() -> OSError | None:
    """Writes out what is left; gives the error where that fails for another reason than a reader who has gone."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # Nothing more can be written there, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return None if isinstance(error, BrokenPipeError) else error
    return None


def reader_has_gone() -> bool:
    """Whether the reader of stdout has gone, as `head` does, and not the other end of some other pipe."""
    import select

    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
