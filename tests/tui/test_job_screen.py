"""One job, its documents, and one document."""

import shutil
from dataclasses import replace

import pytest

from appliance.documents.folder import FoundDocument
from appliance.jobs.job import FallbackConfig, read_config, write_job
from appliance.jobs.ledger_writer import Outcome
from appliance.jobs.rows import Route, Row
from appliance.jobs.states import State
from appliance.models.manifest import read_manifest
from tests.appliance.batch_fixtures import TASK
from tests.tui.app_driver import LARGE, SIZES, SMALL, AppDriver, open_app
from tests.tui.scenes import Scene
from tui.widgets.text_pane import TextPane


@pytest.mark.parametrize("size", SIZES)
async def test_job_shows_counters_documents_and_the_reason_of_the_chosen_one(
    lived_in: Scene, size: tuple[int, int]
) -> None:
    identity = read_manifest(lived_in.root / "work-scans-april" / "orders-noop").identity
    async with open_app(lived_in, size) as driver:
        await driver.open("scans")
        assert "orders scans-april   done" in driver.text
        assert "[########################] 20 of 33 done, 13 failed (1 quarantined)" in driver.text
        assert f"model orders-noop {identity[:16]}" in driver.text
        await driver.until("too_long: the document has 1001 words")
        assert "all documents: 1 of 33" in driver.text
        keys = " ".join(" ".join(driver.lines[-2:]).split())
        assert "Enter Open f State / Go to p Pause r Resume t Retry failed X Cancel D Remove i Info" in keys


async def test_f_goes_round_the_states_and_says_where_there_is_none(lived_in: Scene) -> None:
    async with open_app(lived_in) as driver:
        await driver.open("scans")
        await driver.press("f")
        await driver.until("failed documents: 1 of 12")
        await driver.press("f")
        await driver.until("engine_died")
        assert "quarantined documents: 1 of 1" in driver.text
        await driver.press("f")
        await driver.until("done documents: 1 of 20")
        await driver.press("f")
        assert "No document of this job is queued: f shows another state." in driver.text
        await driver.press("enter")
        assert driver.lines[-1].strip() == "this list is empty"
        await driver.press("f")
        assert "No document of this job is paused: f shows another state." in driver.text
        await driver.press("f")
        assert "No document of this job is missing: f shows another state." in driver.text
        await driver.press("f")
        await driver.until("all documents: 1 of 33")


async def test_hostile_names_are_whole_rows_and_no_markup(lived_in: Scene) -> None:
    async with open_app(lived_in) as driver:
        await driver.open("scans")
        await driver.press("f")
        await driver.until("failed documents: 1 of 12")
        names = {line[14:56].strip() for line in driver.lines[7:18]}
        assert {"a[/b].txt", "[red]not red[/red].txt", "bad-\\xff\\xfe.txt"} <= names
        assert (
            "\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}]0;owned\N{REPLACEMENT CHARACTER}clear.txt" in names
        )
        assert "right\N{REPLACEMENT CHARACTER}exe.txt" in names
        assert driver.fills
        assert any(name.startswith("\N{HORIZONTAL ELLIPSIS}") and name.endswith("name-end.txt") for name in names)
        await driver.press("G")
        await driver.until("\u6587\u66f8.txt    5.0 kB  too_long")


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
async def test_every_hostile_document_can_be_opened(lived_in: Scene, size: tuple[int, int]) -> None:
    async with open_app(lived_in, size) as driver:
        await driver.open("scans")
        await driver.press("f")
        await driver.until("failed documents: 1 of 12")
        for number in range(12):
            await driver.until(f"failed documents: {number + 1} of 12")
            await driver.press("enter")
            await driver.until("| word word")
            assert "too_long: the document has 1001 words" in driver.text
            assert any("failed" in line and "5.0 kB" in line for line in driver.lines[2:5])
            assert driver.fills
            await driver.press("escape", "j")


async def test_go_to_finds_a_path_and_esc_cancels(lived_in: Scene) -> None:
    async with open_app(lived_in) as driver:
        await driver.open("march")
        await driver.press("/")
        assert "Enter Go there  Esc Cancel" in driver.lines[-1]
        await driver.press("escape")
        assert "120 of 120 done" in driver.text
        await _go_to(driver, "0107.txt")
        assert "all documents: 108 of 120" in driver.text


async def test_info_shows_configuration_commands_and_events(lived_in: Scene) -> None:
    async with open_app(lived_in, LARGE) as driver:
        await driver.open("scans")
        await driver.press("i")
        await driver.until("events")
        assert "orders-noop   not approved: no gate found it READY" in driver.text
        assert "stillroom jobs export orders-" in driver.text
        assert "engine" in driver.text


@pytest.mark.parametrize("size", SIZES)
async def test_job_with_a_damaged_ledger_says_so_and_keeps_its_configuration(
    lived_in: Scene, size: tuple[int, int]
) -> None:
    async with open_app(lived_in, size) as driver:
        await driver.open("orders-cut")
        assert "is damaged: file is not a database" in driver.text
        assert "Its documents cannot be shown" in driver.text
        await driver.press("f")
        assert driver.lines[-1].strip() == "the documents of this job cannot be read"
        await driver.press("i")
        await driver.until("is damaged: file is not")
        assert "/srv/archive" in driver.text


async def test_ledger_with_unknown_words_shows_as_failed(scene: Scene) -> None:
    directory, ledger = scene.write_ledger("orders-0123456789")
    ledger._connection.execute("UPDATE job SET state = 'asleep'")
    ledger.close()
    async with open_app(scene) as driver:
        assert "'asleep' is not a valid State" in driver.text
        await driver.open(directory.name)
        assert "orders-0123456789   failed" in driver.text


async def test_long_message_of_a_failed_job_is_shown_whole(scene: Scene) -> None:
    message = "the model needs 9.2 GB, 7.9 GB are free on this machine; " * 2 + "the end of the message"
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.end_run(State.FAILED, message)
    ledger.close()
    async with open_app(scene) as driver:
        await driver.open("archive")
        assert message in " ".join(" ".join(driver.lines[2:6]).split())
        assert "0 of 0 done" in driver.text


async def test_removed_job_says_so(scene: Scene) -> None:
    directory, ledger = scene.write_ledger("orders-0123456789")
    ledger.close()
    async with open_app(scene) as driver:
        await driver.open("archive")
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
        await driver.until("This job was removed: Esc goes back.")
        for key in ("enter", "f", "slash", "p", "r", "t", "X", "D", "i"):
            await driver.press(key)
            assert driver.lines[-1].strip() == "this job was removed: Esc goes back"
        await driver.press("escape")
        assert "No jobs yet" in driver.text


async def test_document_of_a_removed_job_says_so(scene: Scene) -> None:
    directory, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents(FoundDocument(name, 100, 1) for name in (b"a.txt", b"b.txt"))
    ledger.close()
    async with open_app(scene, LARGE) as driver:
        await driver.open("archive")
        await driver.open("a.txt")
        shutil.rmtree(directory)
        await driver.press("right_square_bracket")
        await driver.until("was removed")
        assert "jobs correct" not in driver.command
        await driver.press("e")
        assert "the document cannot be read" in driver.text


async def test_five_thousand_documents_scroll_and_both_pages_in_sight_follow_the_ledger(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents(FoundDocument(f"{number:05}.txt".encode(), 100, 1) for number in range(5000))
    async with open_app(scene, SMALL) as driver:
        await driver.open("archive")
        await driver.press("G")
        await driver.until("04999.txt")
        assert "all documents: 5,000 of 5,000" in driver.text
        await _go_to(driver, "00094.txt")
        await driver.until(" 00104.txt")
        # Rows 94 to 104 lie on two pages; their documents are done one after the other.
        pending = {document.path: document for document in ledger.pending(b"", 200)}
        for number in (95, 104):
            document = pending[f"{number:05}.txt".encode()]
            row = Row(document.name, "a" * 64, Route.LOCAL, "ab" * 32, {"number": "1"})
            ledger.record([Outcome(document, State.DONE, row)])
            await driver.until(f"done         {number:05}.txt")
    ledger.close()


async def test_long_line_and_marks_without_width_are_wrapped_and_shown(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents([FoundDocument(b"long.txt", 100, 1)])
    (document,) = ledger.pending(b"", 1)
    text = "x" * 190_000 + "\u0301" * 5_000 + "\u6587" * 100 + "\n" * 4_000
    row = Row(document.name, "a" * 64, Route.LOCAL, "ab" * 32, {"number": "1"})
    ledger.record([Outcome(document, State.DONE, row, text)])
    ledger.close()
    async with open_app(scene) as driver:
        await driver.open("archive")
        await driver.until("long.txt")
        await driver.press("enter")
        await driver.until("x" * 40)
        await driver.until(lambda: "lines 1-" in driver.lines[-1])
        await driver.press("tab", "j")
        assert "lines 2-" in driver.lines[-1]
        await driver.press("G")
        pane = driver.app.screen.query_one(TextPane)
        count = pane.last_position + pane.size.height
        assert driver.lines[-1].rstrip().endswith(f"lines {pane.last_position + 1:,}-{count:,} of {count:,}")
        assert driver.fills


async def test_next_document_is_the_next_one_even_where_its_page_was_not_read_yet(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents(FoundDocument(f"{number:05}.txt".encode(), 100, 1) for number in range(300))
    ledger.close()
    async with open_app(scene) as driver:
        await driver.open("archive")
        await _go_to(driver, "00099.txt")
        await driver.press("k")
        await driver.press("enter")
        await driver.until(lambda: driver.lines[2].startswith(" 00098.txt"))
        for number in range(99, 103):
            await driver.press("right_square_bracket")
            await driver.until(lambda number=number: driver.lines[2].startswith(f" {number:05}.txt"))
        await driver.press("escape")
        await driver.until("all documents: 103 of 300")


async def test_documents_that_are_still_written_are_paused_and_not_queued(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents(FoundDocument(f"{number}.txt".encode(), 100, 1) for number in range(3))
    ledger.record_waiting(ledger.pending(b"", 1)[0], "the file is still being written")
    ledger.close()
    async with open_app(scene) as driver:
        await driver.open("archive")
        assert "the file is still being written; the next run reads it" in driver.text
        await driver.press("f", "f", "f", "f")
        await driver.until("queued documents: 1 of 2")
        await driver.press("f")
        await driver.until("paused documents: 1 of 1")
        await driver.until(">paused       0.txt")


async def test_job_that_has_not_begun_is_no_broken_one_and_can_be_begun(scene: Scene) -> None:
    directory, ledger = scene.write_ledger("orders-0123456789")
    ledger.close()
    for path in directory.glob("job.db*"):
        path.unlink()
    async with open_app(scene) as driver:
        assert "interrupted  orders-0123456789" in driver.text
        assert driver.command == "stillroom jobs resume orders-0123456789"
        await driver.press("p")
        assert driver.lines[-1].strip() == "it has not started: r starts it, D removes it"
        await driver.open("orders-0123456789")
        assert "This job has not started, and nothing of it is lost: r starts it." in driver.text


async def test_open_document_shows_its_answer_when_the_job_has_come_to_it(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents([FoundDocument(b"a.txt", 100, 1)])
    async with open_app(scene) as driver:
        await driver.open("archive")
        await driver.open("a.txt")
        assert "no answer yet" in driver.text
        (document,) = ledger.pending(b"", 1)
        row = Row(document.name, "a" * 64, Route.LOCAL, "ab" * 32, {"number": "INV-7"})
        ledger.record([Outcome(document, State.DONE, row, "number: INV-7")])
        await driver.until("number: INV-7")
        assert driver.lines[2].split()[:2] == ["a.txt", "done"]
    ledger.close()


async def test_job_with_a_fallback_says_what_leaves_and_can_retry_what_it_did_not_answer(scene: Scene) -> None:
    directory, ledger = scene.write_ledger("orders-0123456789")
    ledger.end_run(State.DONE)
    ledger.close()
    fallback = FallbackConfig("big", 0.8, "cd" * 32, "ef" * 32, cap_documents=20)
    write_job(directory, replace(read_config(directory), fallback=fallback), TASK.encode())
    async with open_app(scene, LARGE) as driver:
        await driver.press("t")
        assert "no document of this job failed" in driver.text
        await driver.open("archive")
        await driver.press("t")
        await driver.until("No document failed.")
        assert "their text may be sent to the frontier big." in driver.text
        await driver.press("escape", "i")
        await driver.until("frontier big   gets the text, masked, of documents with a field below confidence 0.8")
        assert "20 documents in one run" in driver.text


async def _go_to(driver: AppDriver, path: str) -> None:
    await driver.press("slash", *path, "enter")
    await driver.until(lambda: any(line.startswith(">") and path in line for line in driver.lines))
