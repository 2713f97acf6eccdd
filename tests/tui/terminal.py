"""A program in a pseudo terminal, and the screen that its bytes draw, as far as this program needs one."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping

from rich.cells import cell_len

_CONTROL = re.compile(
    r"\x1b\[(?P<private>[?>=<]?)(?P<numbers>[0-9;:]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]P_^X].*?(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\x00-\x1f\x7f-\x9f]",
    re.DOTALL,
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]P_^X][^\x07\x1b]*\x1b?|[ -/]*)?$", re.DOTALL)
_TAKE_TERMINAL = "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execv(sys.executable, sys.argv[1:])"
"""A new session gets its controlling terminal, and with it the signal when that hangs up, by opening one."""


class Display:
    """What a person sees of the bytes that a program sent."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.modes: set[str] = set()
        """Private modes that are set, such as 1049 for the other screen."""
        self.modes_ever: set[str] = set()
        self.sequences: set[str] = set()
        """Every control sequence that was sent, without its numbers."""
        self._rest = ""
        self._clear()

    def _clear(self) -> None:
        self._cells = [[" "] * self.columns for _ in range(self.rows)]
        self._x = self._y = 0

    @property
    def lines(self) -> list[str]:
        """The lines without blanks at their ends."""
        return ["".join(row).rstrip() for row in self._cells]

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines)

    def feed(self, data: str) -> None:
        """Takes what the program sent; the start of a sequence waits for its end."""
        data = self._rest + data
        unfinished = _UNFINISHED.search(data)
        self._rest = unfinished.group() if unfinished else ""
        data = data[: len(data) - len(self._rest)]
        end = 0
        for match in _CONTROL.finditer(data):
            self._write(data[end : match.start()])
            self._control(match)
            end = match.end()
        self._write(data[end:])

    def _write(self, text: str) -> None:
        for char in text:
            width = cell_len(char)
            if width == 0 or self._x + width > self.columns or self._y >= self.rows:
                continue
            self._cells[self._y][self._x : self._x + width] = [char, *[""] * (width - 1)]
            self._x += width

    def _control(self, match: re.Match[str]) -> None:
        final, numbers = match["final"], [int(part or 0) for part in (match["numbers"] or "").split(";")]
        if final is None:
            self._simple(match.group())
        elif match["private"] == "?" and final in "hl":
            changed = set(map(str, numbers))
            self.modes = self.modes | changed if final == "h" else self.modes - changed
            self.modes_ever |= changed if final == "h" else set()
            if "1049" in changed:
                self._clear()
        elif not match["private"]:
            self.sequences.add(final)
            self._moved(final, numbers)

    def _simple(self, control: str) -> None:
        self.sequences.add(control[:2])
        if control == "\r":
            self._x = 0
        elif control == "\n":
            self._x, self._y = 0, min(self._y + 1, self.rows - 1)

    def _moved(self, final: str, numbers: list[int]) -> None:
        if final == "H":
            row, column = [*numbers, 1][:2]
            self._y, self._x = max(row, 1) - 1, max(column, 1) - 1
        elif final == "J":
            self._clear()


class Program:
    """The real program in a terminal of its own."""

    def __init__(self, *arguments: str, environment: Mapping[str, str], columns: int = 80, rows: int = 24) -> None:
        self.display = Display(columns, rows)
        self.raw = bytearray()
        self._terminal, program_side = pty.openpty()
        fcntl.ioctl(program_side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.settings_before = termios.tcgetattr(program_side)
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, sys.executable, "-m", "appliance.cli", *arguments],
            stdin=program_side, stdout=program_side, stderr=program_side,
            env={"TERM": "xterm-256color", "PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
            start_new_session=True,
        )  # fmt: skip
        # Kept open: a terminal that nobody holds forgets what was sent last.
        self._program_side = program_side

    @property
    def settings(self) -> list[object]:
        """The settings of the terminal as they are now."""
        return list(termios.tcgetattr(self._program_side))

    def press(self, keys: str) -> None:
        """Types."""
        os.write(self._terminal, keys.encode())

    def read(self, seconds: float) -> int:
        """Takes what arrives within so many seconds; gives the number of bytes."""
        count, until = 0, time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._terminal], [], [], left)[0]:
                data = os.read(self._terminal, 1 << 16)
                count += len(data)
                self.raw += data
                self.display.feed(data.decode("utf-8", "replace"))
        return count

    def see(self, expected: str | Callable[[Display], bool], seconds: float = 120.0) -> None:
        """Returns when the screen shows a text, or what the function looks for."""
        until = time.monotonic() + seconds
        while not (expected in self.display.text if isinstance(expected, str) else expected(self.display)):
            assert time.monotonic() < until, f"{expected} is not on the screen:\n{self.display.text}"
            self.read(0.02)

    def end(self, seconds: float = 120.0) -> int:
        """The exit code, once the program has ended by itself."""
        until = time.monotonic() + seconds
        while self._process.poll() is None:
            assert time.monotonic() < until, f"the program goes on:\n{self.display.text}"
            self.read(0.02)
        self.read(0.05)
        return self._process.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self._process.send_signal(number)

    def hang_up(self) -> int:
        """Takes the terminal away, as a line that breaks does; gives the exit code."""
        for side in (self._program_side, self._terminal):
            os.close(side)
        self._program_side = self._terminal = -1
        return self._process.wait(60.0)

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for side in {self._program_side, self._terminal} - {-1}:
            os.close(side)
