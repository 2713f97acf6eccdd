"""The teacher's screens: how far collecting is, and a person's word on doubted answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.review.decisions import Action, read_decisions
from appliance.review.queue import Kind, QueueEntry, write_queue
from appliance.tasks.collect_progress import CollectProgress, write_collect_progress
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import LabelledRow
from tests.tui.app_driver import LARGE, SIZES, SMALL, AppDriver
from tests.tui.scenes import Scene
from tui.app import StillroomApp
from tui.widgets.text_pane import TextPane

TASK = """version = 2
name = "orders"
kind = "extract"
instruction = "Read the order"

[[fields]]
name = "number"

[[fields]]
name = "total"
type = "amount"

[[fields]]
name = "customer"
"""


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    path = tmp_path / "orders"
    path.mkdir()
    (path / "task.toml").write_text(TASK)
    return TaskFolder(path)


def entry(number: int, kind: Kind = Kind.RANKED) -> QueueEntry:
    text = f"Order {number}\n" + "a line of the order\n" * 30 + f"Total: {number}.50 EUR\nCustomer: Zoe\n"
    row = LabelledRow(f"order-{number}.txt", text, {"number": str(number), "total": f"{number}.5", "customer": None})
    return QueueEntry(row, 1.0, kind, {"total": f"truth: total is likelier '{number}.50'"})


@asynccontextmanager
async def teaching(scene: Scene, folder: TaskFolder, size: tuple[int, int] = SMALL) -> AsyncIterator[AppDriver]:
    app = StillroomApp(scene.settings, task_folder=folder.path)
    async with app.run_test(size=size) as pilot:
        driver = AppDriver(app, pilot)
        await driver.until("[4 Teach]")
        yield driver


@pytest.mark.parametrize("size", SIZES)
async def test_the_state_of_collecting_is_shown_with_what_it_costs(
    scene: Scene, folder: TaskFolder, size: tuple[int, int]
) -> None:
    write_collect_progress(
        folder.collect_progress_path,
        CollectProgress(
            "large", 100, 10, 40, 5, {"refused": 2, "truncated": 1}, 0, "the frontier refused to answer", 0.42, 0.93,
            "EUR", 75.0,
        ),
    )  # fmt: skip
    async with teaching(scene, folder, size) as driver:
        await driver.until("53 of 100")
        for text in (
            "large", "running", "40 by this call, 5 of them paid before", "2 refused, 1 truncated", "0.42 EUR now",
            "about 0.93 EUR at the end", "about 75 s left", "the frontier refused",
        ):  # fmt: skip
            assert text in driver.text
        assert driver.fills
        assert driver.command.startswith("stillroom curate")
        await driver.press("r")
        await driver.until("there is no queue of answers yet")


async def test_a_folder_without_anything_says_what_comes_first(scene: Scene, folder: TaskFolder) -> None:
    async with teaching(scene, folder) as driver:
        await driver.until("No answer was collected here yet.")
        assert driver.command.startswith("stillroom collect")
        folder.collect_progress_path.parent.mkdir()
        folder.collect_progress_path.write_text("{}")
        await driver.press("R")
        await driver.until("cannot be read")


@pytest.mark.parametrize("size", SIZES)
async def test_doubted_answers_are_accepted_corrected_rejected_and_skipped(
    scene: Scene, folder: TaskFolder, size: tuple[int, int]
) -> None:
    write_queue(folder.queue_path, [entry(1), entry(2), entry(3), entry(4, Kind.AUDIT)])
    async with teaching(scene, folder, size) as driver:
        await driver.until("4 answers; 0 looked at")
        await driver.press("r")
        await driver.until("order-1.txt")
        assert "! total" in driver.text
        assert "total is likelier '1.50'" in driver.text
        assert driver.fills
        await driver.press("e")
        await driver.until("Take the value")
        await driver.press("0", "enter")
        await driver.until("* total")
        assert driver.app.screen.query_one(TextPane).marked == ["1.50"]
        await driver.press("a")
        await driver.until("order-2.txt")
        await driver.press("x")
        await driver.until("order-3.txt")
        await driver.press("s")
        await driver.until("order-4.txt")
        await driver.press("a")
        await driver.until(lambda: len(read_decisions(folder.reviews_path)) == 4)
        await driver.until(lambda: all(worker.is_finished for worker in driver.app.workers))
    decisions = {each.document: each for each in read_decisions(folder.reviews_path).values()}
    assert {name: each.action for name, each in decisions.items()} == {
        "order-1.txt": Action.CORRECT, "order-2.txt": Action.REJECT, "order-3.txt": Action.SKIP,
        "order-4.txt": Action.ACCEPT,
    }  # fmt: skip
    assert decisions["order-1.txt"].answer["total"] == "1.50"


async def test_what_a_field_cannot_have_is_not_taken(scene: Scene, folder: TaskFolder) -> None:
    write_queue(folder.queue_path, [entry(1)])
    async with teaching(scene, folder, LARGE) as driver:
        await driver.until("1 answer; 0 looked at")
        await driver.press("r")
        await driver.until("order-1.txt")
        await driver.press("e")
        await driver.until("Take the value")
        await driver.press("backspace", "backspace", "backspace", *"none", "enter")
        await driver.until("not taken")
        assert not folder.reviews_path.exists()
        await driver.press("tab")
        await driver.until("Tab Fields")
        await driver.press("escape")
        await driver.until("[4 Teach]")


async def test_the_last_answer_shows_no_change_once_it_is_saved_and_what_cannot_be_saved_stays(
    scene: Scene, folder: TaskFolder
) -> None:
    write_queue(folder.queue_path, [entry(1), entry(2)])
    folder.reviews_path.mkdir(parents=True)  # nothing can be written there
    async with teaching(scene, folder, LARGE) as driver:
        await driver.until("2 answers; 0 looked at")
        await driver.press("r")
        await driver.until("order-1.txt")
        await driver.press("x")
        await driver.until("reviews.jsonl")
        assert "order-1.txt" in driver.text
        folder.reviews_path.rmdir()
        await driver.press("]")
        await driver.until("order-2.txt")
        await driver.press("e")
        await driver.until("Take the value")
        await driver.press("0", "enter")
        await driver.until("* total")
        await driver.press("a")
        await driver.until("correct by")
        assert "* total" not in driver.text
    assert [each.action for each in read_decisions(folder.reviews_path).values()] == [Action.CORRECT]


async def test_other_tabs_are_there_and_without_a_folder_this_one_is_not(scene: Scene, folder: TaskFolder) -> None:
    async with teaching(scene, folder) as driver:
        await driver.press("2")
        await driver.until("No jobs yet")
        await driver.press("4")
        await driver.until("Collect")
    app = StillroomApp(scene.settings)
    async with app.run_test(size=SMALL) as pilot:
        driver = AppDriver(app, pilot)
        await driver.until("No jobs yet")
        await driver.press("4")
        assert "Teach" not in driver.text
