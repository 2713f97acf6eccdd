"""The command that each screen and dialog names: the real command line takes it, and it does the same."""

import os
import re
import subprocess
from pathlib import Path

import click
import pytest

from appliance.cli import stillroom
from appliance.comparison.request import CompareRequest, prepare_comparison
from appliance.comparison.run import run_comparison
from appliance.jobs.review import read_corrections
from appliance.models.store import Store
from tests.tui.app_driver import LARGE, SMALL, open_app
from tests.tui.scenes import HOSTILE_NAMES, KILL, TOO_LONG, Scene
from tui.widgets.line_view import LineView

WAYS = {
    "models": ("1", "models show orders-fresh"),
    "broken-model": ("1 end", "models list"),
    "verify": ("1 v", "models verify"),
    "activate": ("1 j a", "models activate orders-ready"),
    "activate-unsafe": ("1 a", "models activate orders-fresh --unsafe"),
    "roll-back": ("1 j j b", "models roll-back orders"),
    "delete-model": ("1 D", "models remove"),
    "import": ("1 i", "models add FOLDER"),
    "import-named": ("1 i - a space ' enter x space quotation_mark", "models add"),
    "new-job-of-a-model": ("1 n", "run"),
    "jobs": ("2", "jobs show"),
    "job-that-cannot-be-read": ("2 end", "jobs remove"),
    "job": ("2 enter", "jobs show"),
    "document": ("2 enter enter", "jobs correct"),
    "retry": ("2 enter t", "jobs retry"),
    "delete-job": ("2 enter D", "jobs remove"),
    "paused": ("2 end k", "jobs resume"),
    "cancel": ("2 end k X", "jobs cancel"),
    "new-job": ("2 n - a space ' enter enter ~ / x", "run"),
    "new-comparison": ("3 n a space $ enter enter enter enter ~ / g", "compare"),
    "comparisons": ("3", "comparisons show"),
    "comparison": ("3 enter", "comparisons show"),
    "differing": ("3 enter enter", "comparisons judge"),
    "delete-comparison": ("3 D", "comparisons remove"),
}
"""Where a command is named -> the keys that lead to it, and what it begins with."""


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A home with models, jobs and a comparison in the states that the screens name commands for."""
    scene = Scene(tmp_path_factory.mktemp("fur 'nished"))
    scene.add_model("broken", "12341234" * 8)
    scene.break_model("broken")
    scene.add_model("orders-fresh", "9f2c41d0" * 8)
    scene.add_model("orders-ready", "1a2b3c4d" * 8, "READY")
    for name, identity in (("orders-y", "aa11" * 16), ("orders-z", "bb22" * 16)):
        scene.add_working_model(name, identity, misread="hard" if name == "orders-z" else "")
    store = Store(scene.settings)
    for name in ("orders-z", "orders-y"):
        store.activate(name, unsafe=True)
    folder = scene.folder("it's new")
    folder.write("-hard.txt", "hard\nnumber: 1\ntotal: 2\n")
    for name in HOSTILE_NAMES:
        folder.write(name, TOO_LONG)
    folder.write("x.txt", KILL)
    letters = scene.folder("letters")
    letters.write("-hard 'one'.txt", "hard\nnumber: 1\ntotal: 2\n")
    task_path = scene.settings.models_dir / "orders-y" / "task.toml"
    request = CompareRequest(task_path, letters.documents_dir, ("orders-y", "orders-z"))
    run_comparison(scene.settings, prepare_comparison(scene.settings, request), lambda _progress: None)
    assert folder.run().returncode == 3  # after the comparison's jobs, so that it is the first of the list
    for number in (1, 2):
        _, ledger = scene.write_ledger(f"orders-cut-000000000{number}")
        ledger.close()
    scene.break_job("orders-cut-0000000002")
    return scene


def checked(words: list[str]) -> click.Context:
    """The command with its options as the real command line takes them; it is not run."""
    assert words[0] == "stillroom"
    found: click.Command = stillroom
    context, arguments = click.Context(stillroom), words[1:]
    while isinstance(found, click.Group):
        name, following, arguments = found.resolve_command(context, arguments)
        assert following is not None
        context, found = click.Context(following, info_name=name, parent=context), following
    return found.make_context(found.name, ["A" if word == "CHOICE" else word for word in arguments])


def taken(command: str) -> list[str]:
    """The words that a shell makes of a command."""
    done = subprocess.run(
        ["bash", "--norc", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True, timeout=60
    )
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


@pytest.mark.slow
async def test_every_named_command_is_one_that_the_command_line_takes(
    furnished: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(furnished.root))
    (furnished.root / "x").mkdir()
    (furnished.root / "g").write_text("")
    async with open_app(furnished) as driver:
        for name, (way, start) in WAYS.items():
            await driver.go(way)
            assert driver.command.startswith(f"stillroom {start}"), name
            params = checked(taken(driver.command)).params
            assert name != "new-comparison" or params["labels_path"] == furnished.root / "g"
            for option, value in params.items():
                if isinstance(value, Path) and value.name not in ("TASK", "DOCUMENTS", "FOLDER", "DIR"):
                    assert value.is_absolute(), (name, option)


async def test_commands_in_texts_are_ones_that_the_command_line_takes(furnished: Scene) -> None:
    async with open_app(furnished, LARGE) as driver:
        for way in ("1 enter", "1 j enter", "1 j j enter", "2 enter i"):
            await driver.go(way)
            lines = ["".join(cell.text for cell in line) for line in driver.app.screen.query_one(LineView).lines]
            found = [re.search(r"(?<!`)stillroom [a-z].*(?<!`)$", line) for line in lines]
            commands = [match.group() for match in found if match]
            assert len(commands) >= 4, way
            for command in commands:
                checked(taken(command))


async def test_command_of_a_document_corrects_it_whatever_it_is_called(furnished: Scene) -> None:
    named: dict[str, str] = {}
    async with open_app(furnished, SMALL, tab="2") as driver:
        await driver.go("2 enter enter")
        # The name that begins with a dash comes first of them that a screen shows as they are.
        for _ in range(len(HOSTILE_NAMES) + 2):
            screen = driver.app.screen
            name = screen._document.entry.name  # type: ignore[attr-defined]
            named[name] = driver.command
            assert driver.fills
            await driver.press("right_square_bracket")
            await driver.until(lambda: all(worker.is_finished for worker in driver.app.workers))
            await driver.pilot.pause()
    assert len(named) == len(HOSTILE_NAMES) + 2
    directory = furnished.settings.jobs_dir / taken(named["x.txt"])[3]
    for number, (name, command) in enumerate(named.items()):
        words = [word if word != "VALUE" else f"right-{number}" for word in taken(command)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STILLROOM_HOME", str(furnished.home_dir))
            stillroom.main(words[1:], standalone_mode=False)
        assert [kept.correction for kept in read_corrections(directory, name)] == [f"right-{number}"]
