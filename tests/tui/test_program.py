"""`stillroom tui` as a person starts it: the real program in a real terminal."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from appliance.jobs.ledger import list_jobs
from appliance.jobs.states import State
from tests.tui.scenes import HOLD, HOSTILE_NAMES, TOO_LONG, Scene
from tests.tui.terminal import Program

MOUSE_MODES = {"1000", "1002", "1003", "1006", "1015"}
OTHER_SCREEN = "1049"


def program(scene: Scene, *options: str, **environment: str) -> Program:
    return Program("tui", *options, environment={"STILLROOM_HOME": str(scene.home_dir), **environment})


def test_program_shows_the_screen_quits_with_q_and_leaves_the_terminal_as_it_was(scene: Scene) -> None:
    with program(scene) as started:
        started.see("No jobs yet")
        assert OTHER_SCREEN in started.display.modes
        started.press("1")
        started.see("No models yet")
        assert started.display.lines[0].startswith(" [1 Models]  2 Jobs")
        assert "q Quit" in started.display.lines[23]
        started.press("q")
        assert started.end() == 0
        assert started.settings == started.settings_before
        assert OTHER_SCREEN not in started.display.modes
        assert started.raw.rfind(b"\x1b[?25h") > started.raw.rfind(b"\x1b[?25l")


@pytest.mark.slow
def test_idle_program_sends_nothing(scene: Scene) -> None:
    scene.add_model("receipts-q8", "9f2c41d0" * 8)
    with program(scene) as started:
        started.see("No jobs yet")
        while started.read(1.0):
            pass
        # Two looks at jobs and models fall into this time.
        assert started.read(2.5) == 0
        started.press("q")
        assert started.end() == 0


def test_control_c_quits_even_while_something_is_typed(lived_in: Scene) -> None:
    with program(lived_in) as started:
        started.see("receipts-march")
        started.press("/")
        started.see("Keep the filter")
        started.press("\x03")
        assert started.end() == 0


@pytest.mark.parametrize("term", ["dumb", ""])
def test_terminal_that_cannot_move_its_cursor_is_refused(scene: Scene, term: str) -> None:
    with program(scene, TERM=term) as started:
        assert started.end() == 4
        assert f"TERM is {term or 'not set'}" in started.display.text
        assert "stillroom jobs list" in started.display.text
        assert b"\x1b" not in started.raw


def test_output_that_is_no_terminal_is_refused(scene: Scene) -> None:
    command = [sys.executable, "-m", "appliance.cli", "tui"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 4
    assert done.stdout == ""
    assert "hint: run it in a terminal (`ssh -t`); `stillroom jobs list` and" in done.stderr


def test_no_color_sends_no_colour_and_still_marks_the_chosen_row(lived_in: Scene) -> None:
    with program(lived_in, NO_COLOR="1") as started:
        started.see("receipts-march")
        assert any(line.startswith(">") for line in started.display.lines)
        styles = re.findall(rb"\x1b\[([0-9;]*)m", bytes(started.raw))
        codes = {int(code or 0) for style in styles for code in style.split(b";")}
        assert codes <= {0, 1, 2, 7, 22, 27, 39, 49}  # the last two: the default colours of the terminal
        assert 7 in codes


def test_colours_are_the_sixteen_of_the_terminal(lived_in: Scene) -> None:
    with program(lived_in) as started:
        started.see("receipts-march")
        assert re.search(rb"\x1b\[[0-9;]*3[0-7]", bytes(started.raw))
        assert not re.search(rb"[34]8;[25];", bytes(started.raw))


@pytest.mark.parametrize(("options", "listens"), [((), False), (("--mouse",), True)], ids=["by-default", "mouse"])
def test_mouse_codes_are_sent_only_where_asked_for(scene: Scene, options: tuple[str, ...], listens: bool) -> None:
    with program(scene, *options) as started:
        started.see("No jobs yet")
        assert bool(started.display.modes & MOUSE_MODES) is listens
        started.press("q")
        assert started.end() == 0
        assert bool(started.display.modes_ever & MOUSE_MODES) is listens
        assert not started.display.modes & MOUSE_MODES


@pytest.mark.parametrize(
    ("options", "environment"),
    [(("--ascii",), {}), ((), {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})],
    ids=["option", "locale"],
)
def test_ascii_option_and_a_locale_that_is_not_unicode_send_ascii_only(
    lived_in: Scene, options: tuple[str, ...], environment: dict[str, str]
) -> None:
    with program(lived_in, *options, **environment) as started:
        started.see("receipts-march")
        started.press("1")
        started.see("receipts-q8")
        assert bytes(started.raw).isascii()
        assert re.search("fresh-[a-z-]+~", started.display.text)


@pytest.mark.slow
def test_hostile_names_and_texts_never_reach_the_terminal_raw(scene: Scene) -> None:
    folder = scene.folder("scans")
    for name in HOSTILE_NAMES:
        folder.write(name, TOO_LONG)
    assert folder.run().returncode == 3
    with program(scene) as started:
        started.see("orders scans")
        started.press("\r")
        started.see("a[/b].txt")
        started.see("[red]not red[/red].txt")
        for number in range(len(HOSTILE_NAMES)):
            started.see(f"all documents: {number + 1} of {len(HOSTILE_NAMES)}")
            started.press("\r")
            started.see("Raw answer")
            started.press("\x1b")
            started.see("Go to")
            started.press("j")
        started.press("q")
        assert started.end() == 0
        assert "\N{REPLACEMENT CHARACTER}]0;owned".encode() in started.raw
        # The only one is the program's own: it sets the pointer's shape.
        assert set(re.findall(rb"\x1b[\]P_^X][^\x07\x1b]*", bytes(started.raw))) == {b"\x1b]22;default"}
        assert started.display.sequences == {"\x1b]", "H", "m", "\r", "\n"}
        assert not re.search("[\x80-\x9f\u202e\u2028]", started.raw.decode())


@pytest.mark.slow
def test_closing_leaves_a_running_job_running_and_says_so(scene: Scene) -> None:
    folder = scene.folder("receipts")
    folder.write_orders(20)
    folder.write("0010.txt", HOLD)
    job = folder.start(*folder.run_arguments())
    folder.wait_until_held()
    with program(scene) as started:
        started.see("1 job in progress")
        started.press("q")
        assert started.end() == 0
        assert "1 job continues in the background: `stillroom jobs list` shows the progress" in started.display.text
    with program(scene) as started:
        started.see("1 job in progress")
        started.hang_up()
    assert [summary.state for summary in list_jobs(scene.settings)] == [State.RUNNING]
    folder.release()
    _, message_of = job.communicate(timeout=60)
    assert job.returncode == 0, message_of


def test_termination_signal_restores_the_terminal(scene: Scene) -> None:
    with program(scene) as started:
        started.see("No jobs yet")
        started.send_signal(signal.SIGTERM)
        assert started.end() == 0
        assert started.settings == started.settings_before
        assert OTHER_SCREEN not in started.display.modes


@pytest.mark.parametrize(
    "name", ["models", "activate", "jobs", "job", "document", "new-job", "comparison", "differing"]
)
def test_screens_in_the_documentation_are_whole(name: str) -> None:
    path = Path(__file__).resolve().parents[2] / "docs" / "screens" / f"{name}-80x24.txt"
    lines = path.read_text("utf-8").removesuffix("\n").split("\n")
    assert len(lines) == 24
    assert max(map(cell_len, lines)) <= 80
    assert lines[-1].strip()
    assert any("$ stillroom " in line for line in lines)
