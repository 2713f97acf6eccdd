"""The real program in tmux: what an operator lives through when the connection breaks."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.jobs.ledger import list_jobs
from appliance.jobs.states import State
from tests.tui.scenes import HOLD, Scene

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


class Tmux:
    """One tmux server of our own, with one pane of 80x24."""

    def __init__(self, socket_path: Path, home_dir: Path, work_dir: Path) -> None:
        self._socket_path, self._starts = socket_path, 0
        self._home_dir, self._work_dir = home_dir, work_dir

    def start_program(self) -> int:
        """Starts `stillroom tui` in a new server, as one that still ends takes no pane; gives its process id."""
        self._starts += 1
        words = ["env", f"STILLROOM_HOME={self._home_dir}", f"PYTHONPATH={os.pathsep.join(sys.path)}"]
        program = [sys.executable, "-m", "appliance.cli", "tui"]
        size = ["-x", "80", "-y", "24", "-c", str(self._work_dir)]
        self._tmux("new-session", "-d", *size, "-P", "-F", "#{pane_pid}", *words, *program)
        return int(self._tmux("list-panes", "-F", "#{pane_pid}"))

    def keys(self, *keys: str) -> None:
        """Types keys by their tmux names."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Types text."""
        self._tmux("send-keys", "-l", text)

    def see(self, expected: str, seconds: float = 90.0) -> str:
        """The screen, once it shows a text."""
        limit = time.monotonic() + seconds
        while expected not in (shown := self._tmux("capture-pane", "-p")):
            assert time.monotonic() < limit, f"{expected} is not on the screen:\n{shown}"
            select_nothing(0.05)
        return shown

    def end(self) -> None:
        """Ends the server."""
        subprocess.run([*self._call(), "kill-server"], capture_output=True, check=False)

    def _call(self) -> list[str]:
        return ["tmux", "-S", f"{self._socket_path}{self._starts}", "-f", os.devnull]

    def _tmux(self, *words: str) -> str:
        done = subprocess.run([*self._call(), *words], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def select_nothing(seconds: float) -> None:
    """Waits for a screen that can only be asked, not listened to."""
    import select

    select.select([], [], [], seconds)


def wait_for_end(pid: int, seconds: float = 30.0) -> None:
    """Returns when the process has ended."""
    limit = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < limit, f"process {pid} goes on"
        select_nothing(0.05)


@pytest.fixture
def tmux(scene: Scene, tmp_path: Path) -> Iterator[Tmux]:
    """A server that ends with the test."""
    started = Tmux(tmp_path / "tmux", scene.home_dir, scene.root)
    yield started
    started.end()


def test_job_started_from_the_form_outlives_a_hang_up_and_is_found_again(scene: Scene, tmux: Tmux) -> None:
    folder = scene.folder("letters")
    folder.write_orders(40)
    folder.write("0030.txt", HOLD)
    scene.add_working_model("orders-a", "ab12" * 16, folder.root)
    pid = tmux.start_program()
    tmux.see("No jobs yet")
    tmux.keys("n")
    tmux.see("Type the folder with the documents")
    tmux.type("work-letters/letters")
    tmux.see("40 documents")
    tmux.keys("Enter", "Enter", "Enter", "Enter")
    tmux.see("Preview of 3 documents")
    tmux.keys("Enter")
    folder.wait_until_held()
    tmux.see("orders letters   running")
    os.kill(pid, signal.SIGHUP)
    wait_for_end(pid)
    assert [found.state for found in list_jobs(scene.settings)] == [State.RUNNING]
    tmux.end()
    tmux.start_program()
    tmux.see("1 job in progress")
    tmux.see("running      orders letters")
    folder.release()
    tmux.see("done         orders letters")
    tmux.keys("Enter")
    tmux.see("40 of 40 done, 0 failed")
    tmux.keys("q")
    assert [found.state for found in list_jobs(scene.settings)] == [State.DONE]
    assert len((scene.root / "work-letters" / "letters-rows" / "rows.jsonl").read_text().splitlines()) == 40


def test_two_programs_at_once_see_the_same_and_do_not_disturb_each_other(scene: Scene, tmp_path: Path) -> None:
    scene.add_working_model("orders-a", "ab12" * 16)
    first, second = (Tmux(tmp_path / f"tmux-{n}", scene.home_dir, scene.root) for n in (1, 2))
    try:
        for program in (first, second):
            program.start_program()
            program.see("No jobs yet")
            program.keys("1")
            program.see("orders-a")
        first.keys("a")
        first.see("type unsafe and press Enter")
        first.type("unsafe")
        first.keys("Enter")
        first.see("now answers the task orders")
        second.see("* orders-a")
        second.keys("D")
        second.see("activate another one or roll back first")
    finally:
        first.end()
        second.end()
