"""One job, its documents, and one document."""

import shutil
from dataclasses import replace

import pytest

from appliance.documents.folder import FoundDocument
from appliance.jobs.job import FallbackConfig, read_config, write_job
from appliance.jobs.ledger_writer import Outcome
from appliance.jobs.rows import Route, Row
from appliance.jobs.states import State
from tests.appliance.batch_fixtures import TASK
from tests.tui.app_driver import LARGE, SIZES, SMALL, Watcher, watching
from tests.tui.scenes import Scene
from tui.widgets.text_pane import TextPane


@pytest.mark.parametrize("size", SIZES)
async def test_job_shows_counters_documents_and_the_reason_of_the_chosen_one(
    lived_in: Scene, size: tuple[int, int]
) -> None:
    async with watching(lived_in, size) as watcher:
        await watcher.open("scans")
        assert "orders scans-april   done" in watcher.text
        assert "[########################] 20 of 33 done, 13 failed (1 quarantined)" in watcher.text
        assert "model orders-noop abababababababab" in watcher.text
        await watcher.until("too_long: the document has 1001 words")
        assert "all documents: 1 of 33" in watcher.text
        keys = " ".join(" ".join(watcher.lines[-2:]).split())
        assert "Enter Open f State / Go to p Pause r Resume t Retry failed X Cancel D Remove i Info" in keys


async def test_f_goes_round_the_states_and_says_where_there_is_none(lived_in: Scene) -> None:
    async with watching(lived_in) as watcher:
        await watcher.open("scans")
        await watcher.press("f")
        await watcher.until("failed documents: 1 of 12")
        await watcher.press("f")
        await watcher.until("engine_died")
        assert "quarantined documents: 1 of 1" in watcher.text
        await watcher.press("f")
        await watcher.until("done documents: 1 of 20")
        await watcher.press("f")
        assert "No document of this job is queued: f shows another state." in watcher.text
        await watcher.press("enter")
        assert watcher.lines[-1].strip() == "this list is empty"
        await watcher.press("f")
        assert "No document of this job is paused: f shows another state." in watcher.text
        await watcher.press("f")
        await watcher.until("all documents: 1 of 33")


async def test_hostile_names_are_whole_rows_and_no_markup(lived_in: Scene) -> None:
    async with watching(lived_in) as watcher:
        await watcher.open("scans")
        await watcher.press("f")
        await watcher.until("failed documents: 1 of 12")
        names = {line[14:56].strip() for line in watcher.lines[7:18]}
        assert {"a[/b].txt", "[red]not red[/red].txt", "bad-\\xff\\xfe.txt"} <= names
        assert (
            "\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}]0;owned\N{REPLACEMENT CHARACTER}clear.txt" in names
        )
        assert "right\N{REPLACEMENT CHARACTER}exe.txt" in names
        assert watcher.fills
        assert any(name.startswith("\N{HORIZONTAL ELLIPSIS}") and name.endswith("name-end.txt") for name in names)
        await watcher.press("G")
        await watcher.until("\u6587\u66f8.txt    5.0 kB  too_long")


@pytest.mark.parametrize("size", SIZES)
async def test_every_hostile_document_can_be_opened(lived_in: Scene, size: tuple[int, int]) -> None:
    async with watching(lived_in, size) as watcher:
        await watcher.open("scans")
        await watcher.press("f")
        await watcher.until("failed documents: 1 of 12")
        for number in range(12):
            await watcher.until(f"failed documents: {number + 1} of 12")
            await watcher.press("enter")
            await watcher.until("| word word")
            assert "too_long: the document has 1001 words" in watcher.text
            assert any("failed" in line and "5.0 kB" in line for line in watcher.lines[2:5])
            assert watcher.fills
            await watcher.press("escape", "j")


async def test_go_to_finds_a_path_and_esc_cancels(lived_in: Scene) -> None:
    async with watching(lived_in) as watcher:
        await watcher.open("march")
        await watcher.press("/")
        assert "Enter Go there  Esc Cancel" in watcher.lines[-1]
        await watcher.press("escape")
        assert "120 of 120 done" in watcher.text
        await _go_to(watcher, "0107.txt")
        assert "all documents: 108 of 120" in watcher.text


async def test_info_shows_configuration_commands_and_events(lived_in: Scene) -> None:
    async with watching(lived_in, LARGE) as watcher:
        await watcher.open("scans")
        await watcher.press("i")
        await watcher.until("events")
        assert "orders-noop   no gate found it READY" in watcher.text
        assert "stillroom jobs export orders-" in watcher.text
        assert "engine" in watcher.text


@pytest.mark.parametrize("size", SIZES)
async def test_job_with_a_damaged_ledger_says_so_and_keeps_its_configuration(
    lived_in: Scene, size: tuple[int, int]
) -> None:
    async with watching(lived_in, size) as watcher:
        await watcher.open("orders-cut")
        assert "is damaged: file is not a database" in watcher.text
        assert "Its documents cannot be shown" in watcher.text
        await watcher.press("f")
        assert watcher.lines[-1].strip() == "the documents of this job cannot be read"
        await watcher.press("i")
        await watcher.until("is damaged: file is not")
        assert "/srv/archive" in watcher.text


async def test_ledger_with_unknown_words_shows_as_failed(scene: Scene) -> None:
    directory, ledger = scene.write_ledger("orders-0123456789")
    ledger._connection.execute("UPDATE job SET state = 'asleep'")
    ledger.close()
    async with watching(scene) as watcher:
        assert "'asleep' is not a valid State" in watcher.text
        await watcher.open(directory.name)
        assert "orders-0123456789   failed" in watcher.text


async def test_long_message_of_a_failed_job_is_shown_whole(scene: Scene) -> None:
    message = "the model needs 9.2 GB, 7.9 GB are free on this machine; " * 2 + "the end of the message"
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.end_run(State.FAILED, message)
    ledger.close()
    async with watching(scene) as watcher:
        await watcher.open("archive")
        assert message in " ".join(" ".join(watcher.lines[2:6]).split())
        assert "0 of 0 done" in watcher.text


async def test_removed_job_says_so(scene: Scene) -> None:
    directory, ledger = scene.write_ledger("orders-0123456789")
    ledger.close()
    async with watching(scene) as watcher:
        await watcher.open("archive")
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
        await watcher.until("This job was removed: Esc goes back.")
        for key in ("enter", "f", "slash", "p", "r", "t", "X", "D", "i"):
            await watcher.press(key)
            assert watcher.lines[-1].strip() == "this job was removed: Esc goes back"
        await watcher.press("escape")
        assert "No jobs yet" in watcher.text


async def test_document_of_a_removed_job_says_so(scene: Scene) -> None:
    directory, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents(FoundDocument(name, 100, 1) for name in (b"a.txt", b"b.txt"))
    ledger.close()
    async with watching(scene, LARGE) as watcher:
        await watcher.open("archive")
        await watcher.open("a.txt")
        shutil.rmtree(directory)
        await watcher.press("right_square_bracket")
        await watcher.until("was removed")
        assert "jobs correct" not in watcher.command
        await watcher.press("e")
        assert "the document cannot be read" in watcher.text


async def test_five_thousand_documents_scroll_and_both_pages_in_sight_follow_the_ledger(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents(FoundDocument(f"{number:05}.txt".encode(), 100, 1) for number in range(5000))
    async with watching(scene, SMALL) as watcher:
        await watcher.open("archive")
        await watcher.press("G")
        await watcher.until("04999.txt")
        assert "all documents: 5,000 of 5,000" in watcher.text
        await _go_to(watcher, "00094.txt")
        await watcher.until(" 00104.txt")
        # Rows 94 to 104 lie on two pages; their documents are done one after the other.
        pending = {document.path: document for document in ledger.pending(b"", 200)}
        for number in (95, 104):
            document = pending[f"{number:05}.txt".encode()]
            row = Row(document.name, "a" * 64, Route.LOCAL, "ab" * 32, {"number": "1"})
            ledger.record([Outcome(document, State.DONE, row)])
            await watcher.until(f"done         {number:05}.txt")
    ledger.close()


async def test_long_line_and_marks_without_width_are_wrapped_and_shown(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents([FoundDocument(b"long.txt", 100, 1)])
    (document,) = ledger.pending(b"", 1)
    text = "x" * 190_000 + "\u0301" * 5_000 + "\u6587" * 100 + "\n" * 4_000
    row = Row(document.name, "a" * 64, Route.LOCAL, "ab" * 32, {"number": "1"})
    ledger.record([Outcome(document, State.DONE, row, text)])
    ledger.close()
    async with watching(scene) as watcher:
        await watcher.open("archive")
        await watcher.until("long.txt")
        await watcher.press("enter")
        await watcher.until("x" * 40)
        await watcher.until(lambda: "lines 1-" in watcher.lines[-1])
        await watcher.press("tab", "j")
        assert "lines 2-" in watcher.lines[-1]
        await watcher.press("G")
        pane = watcher.app.screen.query_one(TextPane)
        count = pane.last_position + pane.size.height
        assert watcher.lines[-1].rstrip().endswith(f"lines {pane.last_position + 1:,}-{count:,} of {count:,}")
        assert watcher.fills


async def test_next_document_is_the_next_one_even_where_its_page_was_not_read_yet(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents(FoundDocument(f"{number:05}.txt".encode(), 100, 1) for number in range(300))
    ledger.close()
    async with watching(scene) as watcher:
        await watcher.open("archive")
        await _go_to(watcher, "00099.txt")
        await watcher.press("k")
        await watcher.press("enter")
        await watcher.until(lambda: watcher.lines[2].startswith(" 00098.txt"))
        for number in range(99, 103):
            await watcher.press("right_square_bracket")
            await watcher.until(lambda number=number: watcher.lines[2].startswith(f" {number:05}.txt"))
        await watcher.press("escape")
        await watcher.until("all documents: 103 of 300")


async def test_documents_that_are_still_written_are_paused_and_not_queued(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents(FoundDocument(f"{number}.txt".encode(), 100, 1) for number in range(3))
    ledger.record_waiting(ledger.pending(b"", 1)[0], "the file is still being written")
    ledger.close()
    async with watching(scene) as watcher:
        await watcher.open("archive")
        assert "the file is still being written; the next run reads it" in watcher.text
        await watcher.press("f", "f", "f", "f")
        await watcher.until("queued documents: 1 of 2")
        await watcher.press("f")
        await watcher.until("paused documents: 1 of 1")
        await watcher.until(">paused       0.txt")


async def test_job_that_has_not_begun_is_no_broken_one_and_can_be_begun(scene: Scene) -> None:
    directory, ledger = scene.write_ledger("orders-0123456789")
    ledger.close()
    for path in directory.glob("job.db*"):
        path.unlink()
    async with watching(scene) as watcher:
        assert "interrupted  orders-0123456789" in watcher.text
        assert watcher.command == "stillroom jobs resume orders-0123456789"
        await watcher.press("p")
        assert watcher.lines[-1].strip() == "it has not started: r starts it, D removes it"
        await watcher.open("orders-0123456789")
        assert "This job has not started, and nothing of it is lost: r starts it." in watcher.text


async def test_open_document_shows_its_answer_when_the_job_has_come_to_it(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents([FoundDocument(b"a.txt", 100, 1)])
    async with watching(scene) as watcher:
        await watcher.open("archive")
        await watcher.open("a.txt")
        assert "no answer yet" in watcher.text
        (document,) = ledger.pending(b"", 1)
        row = Row(document.name, "a" * 64, Route.LOCAL, "ab" * 32, {"number": "INV-7"})
        ledger.record([Outcome(document, State.DONE, row, "number: INV-7")])
        await watcher.until("number: INV-7")
        assert watcher.lines[2].split()[:2] == ["a.txt", "done"]
    ledger.close()


async def test_job_with_a_fallback_says_what_leaves_and_can_retry_what_was_kept_back(scene: Scene) -> None:
    directory, ledger = scene.write_ledger("orders-0123456789")
    ledger.end_run(State.DONE)
    ledger.close()
    fallback = FallbackConfig("big", 0.8, "cd" * 32, "ef" * 32, cap_documents=20)
    write_job(directory, replace(read_config(directory), fallback=fallback), TASK.encode())
    async with watching(scene, LARGE) as watcher:
        await watcher.press("t")
        assert "no document of this job failed" in watcher.text
        await watcher.open("archive")
        await watcher.press("t")
        await watcher.until("No document failed.")
        assert "may leave for the frontier big." in watcher.text
        await watcher.press("escape", "i")
        await watcher.until("frontier big   fields whose confidence is below 0.8 leave this machine")
        assert "20 documents in one run" in watcher.text


async def _go_to(watcher: Watcher, path: str) -> None:
    await watcher.press("slash", *path, "enter")
    await watcher.until(lambda: any(line.startswith(">") and path in line for line in watcher.lines))
