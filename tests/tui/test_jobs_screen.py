"""The list of jobs, and what the frame of every screen does: tabs, filter, help, keys that say why they do nothing."""

import json
import os

import pytest

from appliance.documents.folder import FoundDocument
from appliance.jobs.ledger import list_jobs
from appliance.jobs.ledger_writer import Outcome
from appliance.jobs.rows import Route, Row
from appliance.jobs.states import State
from tests.tui.app_driver import LARGE, SIZES, SMALL, open_app
from tests.tui.scenes import Scene
from tui.data.state_readers import JobReader


@pytest.mark.parametrize("size", SIZES)
async def test_empty_home_tells_the_next_step(scene: Scene, size: tuple[int, int]) -> None:
    async with open_app(scene, size) as driver:
        assert "No jobs yet in " in driver.text
        assert "stillroom run TASK DOCUMENTS --out DIR" in driver.text
        await driver.press("1")
        assert "No models yet in " in driver.text
        assert "stillroom models add FOLDER" in driver.text
        await driver.press("3")
        assert "No comparisons yet in " in driver.text
        assert "stillroom compare TASK DOCUMENTS --model A --model B" in driver.text


@pytest.mark.parametrize("size", SIZES)
async def test_list_shows_every_job_with_state_counts_and_speed(lived_in: Scene, size: tuple[int, int]) -> None:
    async with open_app(lived_in, size) as driver:
        assert driver.lines[0].startswith("  1 Models  [2 Jobs]")
        assert driver.lines[0].rstrip().endswith("no job in progress")
        speed = ["Docs/s"] if size == LARGE else []
        assert driver.lines[2].split()[: 6 + len(speed)] == [
            "State", "Job", "Done/total", "Review", "Failed", *speed, "Left",
        ]  # fmt: skip
        good = next(line for line in driver.lines if "orders receipts-march" in line).split()
        assert good[:6] == ["done", "orders", "receipts-march", "120/120", "0", "0"]
        bad = next(line for line in driver.lines if "orders scans-april" in line).split()
        assert bad[3:6] == ["20/33", "0", "13"]


async def test_damaged_ledger_shows_as_failed_without_numbers_and_with_a_way_out(lived_in: Scene) -> None:
    async with open_app(lived_in) as driver:
        await driver.press("G")
        chosen = next(line for line in driver.lines if line.startswith(">"))
        assert chosen.split() == [">failed", "orders-cut-0123456789", "-", "-", "-", "-"]
        assert "is damaged: file is not a database" in driver.text
        assert "$ stillroom jobs remove orders-cut-0123456789" in driver.text


def test_first_reading_takes_from_the_index_what_has_not_changed(scene: Scene) -> None:
    path = scene.settings.jobs_dir / "orders-0000000001" / "job.db"
    for number in (1, 2):
        _, ledger = scene.write_ledger(f"orders-000000000{number}")
        ledger.end_run(State.DONE)
        ledger.close()
        os.utime(path.parent.with_name(f"orders-000000000{number}") / "job.db", (1_772_900_000, 1_772_900_000))
    before = list_jobs(scene.settings)
    # What is the same by name, size and time is not opened.
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_bytes(bytes(path.stat().st_size))
    os.utime(path, ns=times)
    reader = JobReader(scene.settings)
    assert sorted(job.id for job in reader.read()) == sorted(job.id for job in before)
    assert {job.state for job in reader.read()} == {State.DONE}
    os.utime(path, (1_772_900_001, 1_772_900_001))
    assert [job.state for job in reader.read() if job.id.endswith("1")] == [State.FAILED]


def test_reading_makes_the_index_that_is_missing(scene: Scene) -> None:
    directory, ledger = scene.write_ledger("orders-0000000001")
    ledger.end_run(State.DONE)
    ledger.close()
    os.utime(directory / "job.db", (1_772_900_000, 1_772_900_000))
    JobReader(scene.settings).read()
    values = json.loads((scene.settings.home_dir / "jobs.index.json").read_bytes())
    assert list(values["jobs"]) == ["orders-0000000001"]


async def test_filter_leaves_the_rows_that_hold_a_text(lived_in: Scene) -> None:
    async with open_app(lived_in) as driver:
        await driver.press("/", *"MARCH")
        assert "Enter Keep the filter  Esc Clear it" in driver.lines[-1]
        await driver.press("enter")
        assert "receipts-march" in driver.text
        assert "scans-april" not in driver.text
        assert driver.lines[-1].rstrip().endswith("filter `MARCH`: 1 row")
        await driver.press("/", *"zzz")
        assert "No row contains `MARCHzzz`" in driver.text
        await driver.press("escape")
        assert "scans-april" in driver.text
        assert "filter" not in driver.lines[-1]


@pytest.mark.parametrize("tab", ["1", "2", "3"])
async def test_keys_that_can_do_nothing_say_why(scene: Scene, tab: str) -> None:
    async with open_app(scene, tab=tab) as driver:
        await driver.press("enter")
        assert driver.lines[-1].strip() == "there is nothing to open"
        await driver.press("/")
        assert driver.lines[-1].strip() == "there is nothing to filter"
        await driver.press("D")
        assert driver.lines[-1].strip().startswith("no ")


async def test_what_was_said_gives_way_to_the_keys(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.frames.frame.MESSAGE_SECONDS", 0.01)
    async with open_app(scene) as driver:
        await driver.press("enter")
        await driver.until("q Quit")


@pytest.mark.parametrize("way", ["1", "2", "2+march", "2+march+i", "2+march+enter", "1+receipts-q8"])
async def test_help_explains_the_screen_in_sight_and_goes_back_to_it(lived_in: Scene, way: str) -> None:
    tab, *further = way.split("+")
    async with open_app(lived_in, SMALL, tab=tab) as driver:
        for step in further:
            await (driver.press(step) if step in ("i", "enter") else driver.open(step))
        before = driver.lines
        await driver.press("question_mark")
        first = driver.text
        await driver.press("end")
        assert "quit; jobs continue, they run in processes of their own" in driver.text
        assert first.splitlines()[2].strip()
        await driver.press("home")
        if "Filter" in before[-1]:
            assert "contains a text" in driver.text
        await driver.press("question_mark")
        assert driver.lines[2:] == before[2:]


async def test_every_key_at_the_bottom_is_explained_in_the_help(lived_in: Scene) -> None:
    async with open_app(lived_in) as driver:
        await driver.open("march")
        keys = [part.split()[0] for line in driver.lines[-2:] for part in line.strip().split("  ")]
        await driver.press("question_mark")
        explained = {word for line in driver.lines for word in line[:16].split()}
        await driver.press("end")
        explained |= {word for line in driver.lines for word in line[:16].split()}
        assert set(keys) == {"Enter", "f", "/", "p", "r", "t", "X", "D", "i", "Esc", "?", "q"}
        assert set(keys) <= explained


async def test_tabs_keep_their_place_and_the_key_of_the_present_one_goes_to_its_list(lived_in: Scene) -> None:
    async with open_app(lived_in) as driver:
        await driver.open("march")
        await driver.press("1")
        assert "enquiries-int8" in driver.text
        await driver.press("2")
        assert "[########################] 120 of 120 done" in driver.text
        await driver.press("enter", "2")
        assert "orders scans-april" in driver.text


async def test_terminal_that_is_too_small_says_so_and_recovers(lived_in: Scene) -> None:
    async with open_app(lived_in, SMALL) as driver:
        await driver.pilot.resize_terminal(40, 10)
        await driver.until("Terminal too small: 40x10, needs 60x12")
        await driver.pilot.resize_terminal(120, 40)
        await driver.until("Started")
        await driver.until(lambda: driver.fills)
        assert driver.lines[-1].startswith(" Enter Open")


async def test_ascii_option_draws_ascii_only(lived_in: Scene) -> None:
    async with open_app(lived_in, LARGE, ascii_only=True) as driver:
        assert driver.text.isascii()
        await driver.open("scans")
        assert driver.text.isascii()
        assert "?[2J?]0;owned?clear.txt" in driver.text


async def test_list_longer_than_the_screen_says_where_the_chosen_row_is(scene: Scene) -> None:
    for number in range(20):
        _, ledger = scene.write_ledger(f"orders-{number:010}")
        ledger.close()
    async with open_app(scene) as driver:
        assert driver.lines[-1].rstrip().endswith("1 of 20")
        await driver.press("G")
        assert driver.lines[-1].rstrip().endswith("20 of 20")
        assert any(line.startswith(">interrupted") for line in driver.lines)


async def test_keys_do_nothing_while_the_terminal_is_too_small_to_show_what_they_do(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.close()
    async with open_app(scene) as driver:
        await driver.press("D")
        await driver.until("This cannot be undone.")
        await driver.pilot.resize_terminal(40, 10)
        await driver.until("Terminal too small: 40x10, needs 60x12.")
        await driver.press("y")
        await driver.pilot.resize_terminal(*SMALL)
        await driver.until("y Remove")
        assert [job.id for job in list_jobs(scene.settings)] == ["orders-0123456789"]
        await driver.press("y")
        await driver.until("was removed.")
    assert list_jobs(scene.settings) == []


async def test_command_is_laid_out_anew_when_the_terminal_changes_its_size(scene: Scene) -> None:
    scene.write_ledger("orders-0123456789-with-a-name-that-is-so-long-that-it-needs-more")[1].close()
    async with open_app(scene, (60, 24)) as driver:
        await driver.press("D")
        narrow = driver.command
        assert narrow not in driver.text
        await driver.pilot.resize_terminal(*LARGE)
        await driver.until(f"$ {narrow}")


async def test_keys_go_where_they_went_before_the_terminal_was_too_small(scene: Scene) -> None:
    for number in (1, 2):
        scene.write_ledger(f"orders-000000000{number}")[1].close()
    async with open_app(scene) as driver:
        for typed in ("", "slash"):
            await driver.press(*filter(None, [typed]))
            focused = driver.app.screen.focused
            assert focused is not None
            await driver.pilot.resize_terminal(40, 10)
            await driver.until("Terminal too small: 40x10")
            await driver.pilot.resize_terminal(*SMALL)
            await driver.until(lambda focused=focused: driver.app.screen.focused is focused)
            await driver.press("j")
        assert "filter `j`:" not in driver.text
        assert "No row contains `j`" in driver.text


@pytest.mark.parametrize("size", SIZES)
async def test_documents_for_review_are_counted_in_the_list_and_above_the_job(
    scene: Scene, size: tuple[int, int]
) -> None:
    _, ledger = scene.write_ledger("orders-0000000001", "orders march")
    ledger.begin_run(State.RUNNING, "")
    ledger.add_documents(FoundDocument(f"{number}.txt".encode(), 9, 1) for number in range(4))
    for number, document in enumerate(ledger.pending(b"", 3)):
        unfit = {"route": Route.REVIEW, "error": "invalid_answer"} if number else {"route": Route.LOCAL}
        ledger.record([Outcome(document, State.DONE, Row(document.name, "a" * 64, model="m", fields={}, **unfit))])
    ledger.end_run(State.DONE)
    ledger.close()
    async with open_app(scene, size) as driver:
        await driver.press("2")
        await driver.until("orders march")
        assert "$ stillroom jobs show orders-0000000001 --review" in driver.text
        line = next(line for line in driver.lines if "orders march" in line).split()
        assert line[3:6] == ["3/4", "2", "0"]
        assert "2 documents for review" in driver.text
        await driver.press("enter")
        await driver.until("3 of 4 done, 0 failed, 2 for review")
