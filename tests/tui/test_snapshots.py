"""What key screens look like, as SVG files that are pinned: text, places and styles, at 80x24 and 120x40.

`UPDATE_SNAPSHOTS=1 pytest tests/tui/test_snapshots.py` writes them anew; read the difference before you keep it.
"""

import contextlib
import html
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.comparison.folder import read_comparison
from appliance.comparison.request import CompareRequest, prepare_comparison
from appliance.comparison.run import run_comparison
from appliance.documents.folder import FoundDocument
from appliance.jobs.ledger_writer import Ledger, Outcome
from appliance.jobs.rows import Route, Row
from appliance.jobs.states import State
from appliance.models.store import Store
from appliance.models.verdict import ComputeClass
from tests.tui.app_driver import SIZES, AppDriver, open_app
from tests.tui.scenes import Scene

SNAPSHOTS_DIR = Path(__file__).parent / "snapshots"
UPDATE = os.environ.get("UPDATE_SNAPSHOTS") == "1"
COMPUTE = ComputeClass("x86-64 AVX2", "llama-cpp-python 0.3.36", 1)
SHOWN_ROOT = "/srv/stillroom-000000"
TEXT = (
    "Order of 3 March\n\nnumber:\tINV-0042\ntotal: 1,250.00 EUR, net of all rebates\n\nKind regards\n" + "line\n" * 30
)

WAYS = {
    "models": "1",
    "model": "1 end enter",
    "activate": "1 a",
    "remove": "1 D",
    "jobs": "2",
    "job": "2 enter",
    "document": "2 enter enter j",
    "cancel": "2 down X",
    "new-job": "2 n",
    "new-comparison": "3 n",
    "differing": "3 enter enter",
    "help": "2 question_mark",
}
"""Name of the snapshot -> the keys that lead to it."""


@pytest.fixture(scope="module")
def pinned() -> Iterator[Scene]:
    """A home in which nothing depends on the day or the machine; its path is as long on every machine."""
    former = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    root = Path(f"/tmp/stillroom-{os.urandom(3).hex()}")
    root.mkdir(mode=0o700)
    scene = Scene(root)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("appliance.models.approval", "tests.tui.scenes"):
            patch.setattr(f"{module}.compute_class", lambda _manifest: COMPUTE)
        fill(scene)
        yield scene
    shutil.rmtree(root)
    if former is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = former
    time.tzset()


def fill(scene: Scene) -> None:
    """Models, two jobs, a comparison."""
    scene.add_model("delivery-notes-q8", "5d83fa1067cc92e4" * 4, "", 7_800_000, task="delivery-notes")
    scene.add_model("orders-q4", "41be90cc25d1f7a8" * 4, "NEED 180 MORE", 4_600_000, quantization="Q4_K_M")
    scene.add_model("orders-q8", "9f2c41d07a55e0b3" * 4, "READY", 7_800_000)
    Store(scene.settings).activate("orders-q8")
    _, ended = scene.write_ledger("orders-1111111111", "orders march")
    add(ended, 40, failed=3)
    ended.end_run(State.DONE)
    pin_times(ended._connection, 1_772_900_000, 1_772_903_600)
    ended.close()
    _, paused = scene.write_ledger("orders-0000000000", "orders april")
    add(paused, 200, failed=0, pending=120)
    paused.end_run(State.PAUSED)
    pin_times(paused._connection, 1_772_800_000, 1_772_810_000)
    paused.close()
    scene.add_working_model("noop-a", "aa11" * 16)
    scene.add_working_model("noop-b", "bb22" * 16, misread="hard")
    folder = scene.folder("letters")
    for number in range(4):
        folder.write(f"hard-{number}.txt", f"a hard one\nnumber: H-{number}\ntotal: 3\n")
    task_path = scene.settings.models_dir / "noop-a" / "task.toml"
    request = CompareRequest(task_path, folder.documents_dir, ("noop-a", "noop-b"))
    comparison_dir = prepare_comparison(scene.settings, request)
    run_comparison(scene.settings, comparison_dir, lambda _progress: None)
    for number, side in enumerate(read_comparison(comparison_dir).sides):
        with contextlib.closing(sqlite3.connect(scene.settings.jobs_dir / side.job / "job.db")) as connection:
            pin_times(connection, 1_772_700_000 - number, 1_772_700_060)
    for name in ("noop-a", "noop-b"):
        Store(scene.settings).remove(name)


def add(ledger: Ledger, count: int, failed: int, pending: int = 0) -> None:
    """Documents with rows: some failed, some without one."""
    ledger.add_documents(FoundDocument(f"{number:04}.txt".encode(), 900 + number, 1) for number in range(count))
    outcomes = []
    for number, document in enumerate(ledger.pending(b"", count - pending)):
        if number in range(1, 1 + failed):
            row = Row(document.name, "a" * 64, Route.FAILED, "cd" * 32, error="too_long",
                      error_message="the document has 1001 words, the context holds 1000")  # fmt: skip
            outcomes.append(Outcome(document, State.FAILED, row, TEXT))
            continue
        row = Row(
            document.name, "a" * 64, Route.LOCAL, "cd" * 32, {"number": "INV-0042", "total": "1,250.00 EUR"},
            {"number": 0.98, "total": 0.71}, {"number": TEXT.index("INV"), "total": TEXT.index("1,250")},
            prompt_tokens=212, completion_tokens=14, seconds=0.31,
        )  # fmt: skip
        outcomes.append(Outcome(document, State.DONE, row, TEXT, raw="INV-0042\n1,250.00 EUR"))
    ledger.record(outcomes)


def pin_times(connection: sqlite3.Connection, started: float, finished: float) -> None:
    """Sets the clock of a job."""
    with connection:
        connection.execute("UPDATE job SET started = ?, finished = ?, speed = 4.2", (started, finished))


def normal(svg: str, root: Path) -> str:
    """The picture without what depends on the machine: the path of the home, fonts from elsewhere, hashes of both."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace(str(root), SHOWN_ROOT)
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r"orders-[0-9a-f]{10}(?=&#160;hard)", "orders-cccccccccc", svg)
    return svg.rstrip() + "\n"


def words(svg: str) -> list[str]:
    """The text of a picture, line by line, for reading a difference."""
    lines: dict[str, str] = {}
    for place, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>([^<]*)</text>', svg):
        lines[place] = lines.get(place, "") + html.unescape(text).replace("\N{NO-BREAK SPACE}", " ")
    return list(lines.values())


async def go(driver: AppDriver, keys: str) -> None:
    """Presses keys, and lets the screen come to rest after each."""
    for key in keys.split():
        await driver.press(key)
        await driver.until(lambda: all(worker.is_finished for worker in driver.app.workers))
        await driver.refresh()
        await driver.until(lambda: all(worker.is_finished for worker in driver.app.workers))
        await driver.pilot.pause()


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
@pytest.mark.parametrize("name", WAYS)
async def test_screen_looks_as_pinned(
    pinned: Scene, name: str, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.frames.frame.MESSAGE_SECONDS", 0.01)
    async with open_app(pinned, size) as driver:
        await go(driver, WAYS[name])
        assert driver.fills
        svg = normal(driver.app.export_screenshot(title="Stillroom"), pinned.root)
    path = SNAPSHOTS_DIR / f"{name}-{size[0]}x{size[1]}.svg"
    if UPDATE:
        path.write_text(svg, "utf-8")
    actual_path = tmp_path / path.name
    actual_path.write_text(svg, "utf-8")
    pinned_svg = path.read_text("utf-8")
    assert words(svg) == words(pinned_svg), f"the text differs; look at {actual_path}"
    assert svg == pinned_svg, f"styles differ; look at {actual_path}"
