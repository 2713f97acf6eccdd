"""Keys that can do nothing now: on every screen, in every state, each says why."""

import pytest

from appliance.comparison.request import CompareRequest, prepare_comparison
from appliance.comparison.run import run_comparison
from appliance.documents.folder import FoundDocument
from appliance.jobs.ledger_writer import Ledger, Outcome
from appliance.jobs.rows import Route, Row
from appliance.jobs.states import State
from appliance.models.store import Store
from tests.tui.app_driver import open_app
from tests.tui.scenes import Scene
from tui.frames.frame import Frame
from tui.frames.help import HelpScreen
from tui.widgets.bar import Bar

NAMES = {"/": "slash", "[": "left_square_bracket", "]": "right_square_bracket"}
STATES = {
    "models": "1",
    "model-that-is-active": "1 j",
    "broken-model": "1 end",
    "model": "1 enter",
    "jobs": "2",
    "cancelled-job": "2 j",
    "interrupted-job": "2 j j",
    "job-without-documents": "2 j j enter",
    "job": "2 enter",
    "documents-in-a-state-that-none-is-in": "2 enter f f",
    "document-without-a-text": "2 enter j enter",
    "document-with-a-text": "2 enter enter",
    "document-that-is-queued": "2 enter j j enter",
    "job-that-has-not-begun": "2 end k enter",
    "job-that-cannot-be-read": "2 end enter",
    "comparisons": "3",
    "comparison-that-is-done": "3 enter",
    "comparison-that-is-not-begun": "3 j enter",
    "documents-that-differ": "3 enter enter",
    "new-job": "2 n enter enter enter",
    "import": "1 i enter enter enter",
}
"""State -> the keys that lead to it."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A home with something in each state."""
    scene = Scene(tmp_path_factory.mktemp("home"))
    for name, identity in (("orders-a", "aa11" * 16), ("orders-b", "bb22" * 16)):
        scene.add_working_model(name, identity, misread="hard" if name == "orders-b" else "")
    Store(scene.settings).activate("orders-b", unsafe=True)
    scene.add_model("cut", "12341234" * 8)
    scene.break_model("cut")
    task_path = scene.settings.models_dir / "orders-a" / "task.toml"
    for name in ("begun-later", "letters"):
        folder = scene.folder(name)
        folder.write("hard.txt", "hard\nnumber: 1\ntotal: 2\n")
        request = CompareRequest(task_path, folder.documents_dir, ("orders-a", "orders-b"))
        prepared = prepare_comparison(scene.settings, request)
    run_comparison(scene.settings, prepared, lambda _progress: None)
    write_jobs(scene)
    return scene


def write_jobs(scene: Scene) -> None:
    """The latest job is paused in the middle; then one of each kind."""
    _, ledger = scene.write_ledger("orders-5", "orders five")
    ledger.add_documents(FoundDocument(f"{number}.txt".encode(), 100, 1) for number in range(3))
    first, second = ledger.pending(b"", 2)
    row = Row(first.name, "a" * 64, Route.LOCAL, "ab" * 32, {"number": "1"})
    failed = Row(second.name, "b" * 64, Route.FAILED, "ab" * 32, error="empty", error_message="only blanks")
    ledger.record([Outcome(first, State.DONE, row, "number: 1"), Outcome(second, State.FAILED, failed)])
    ledger.end_run(State.PAUSED)
    set_started(ledger, 1_772_900_005)
    _, ledger = scene.write_ledger("orders-4", "orders four")
    ledger.end_run(State.CANCELLED)
    set_started(ledger, 1_772_900_004)
    _, ledger = scene.write_ledger("orders-3", "orders three")
    set_started(ledger, 1_772_900_003)
    directory, ledger = scene.write_ledger("orders-2", "orders two")
    ledger.close()
    for path in directory.glob("job.db*"):
        path.unlink()
    scene.write_ledger("orders-9", "orders nine")[1].close()
    scene.break_job("orders-9")


def set_started(ledger: Ledger, started: float) -> None:
    """Sets when a job started, so that the order of the list is known."""
    ledger._connection.execute("UPDATE job SET started = ?", (started,))
    ledger.close()


def message_of(screen: Frame) -> str:
    """What is said in place of the keys."""
    return screen.query_one("#keys", Bar).text.replace("\n", "")


@pytest.mark.slow
async def test_keys_that_can_do_nothing_say_why_and_do_nothing_on_every_screen(home: Scene) -> None:
    async with open_app(home) as driver:
        for state, way in STATES.items():
            await driver.go(way)
            screen = driver.app.screen
            assert isinstance(screen, Frame)
            named = {key for key, _, _ in screen.KEYS} | {"Enter"}
            for key, reason in screen.disabled_keys().items():
                assert key in named, state
                await driver.press(NAMES.get(key, key.lower() if len(key) > 1 else key))
                assert driver.app.screen is screen, (state, key)
                assert message_of(screen) == reason, (state, key)
            assert driver.fills, state


@pytest.mark.slow
async def test_help_explains_every_screen_even_while_something_is_typed(home: Scene) -> None:
    async with open_app(home) as driver:
        for way in ("1 i", "2 enter enter", "2 n", "3 enter enter"):
            await driver.go(way)
            explained = driver.app.screen
            assert isinstance(explained, Frame)
            await driver.press("f1")
            assert isinstance(driver.app.screen, HelpScreen), way
            assert explained.HELP_LINES[0][:40] in " ".join(driver.text.split()), way
            assert driver.fills, way
