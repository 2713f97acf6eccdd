"""One document: text beside fields, evidence marked, raw answer, corrections with what the model said kept."""

from pathlib import Path

import pytest

from appliance.documents.folder import FoundDocument
from appliance.jobs.ledger_writer import Outcome
from appliance.jobs.review import correct_field, in_force, read_corrections
from appliance.jobs.rows import Route, Row
from appliance.jobs.states import State
from tests.tui.app_driver import LARGE, SIZES, Watcher, watching
from tests.tui.conftest import ESCAPES
from tests.tui.scenes import Folder, Scene
from tui.text.evidence_spans import evidence_spans
from tui.widgets.text_pane import TextPane

LETTER = "a letter\n" * 40 + "number: INV-0042\ntotal:\t12.50\n" + "the end\n" * 40


@pytest.fixture(scope="module")
def read_scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A home with one job that ended; tests that correct something use documents of their own."""
    scene = Scene(tmp_path_factory.mktemp("documents"))
    folder: Folder = scene.folder("letters")
    folder.write_orders(4)
    folder.write("escapes.txt", ESCAPES)
    folder.write("letter.txt", LETTER)
    folder.write("nothing.txt", "\n")
    assert folder.run().returncode == 3
    return scene


def job_dir(scene: Scene) -> Path:
    (directory,) = (path for path in scene.settings.jobs_dir.iterdir() if not path.name.startswith("."))
    return directory


async def open_document(watcher: Watcher, name: str) -> None:
    await watcher.open("letters")
    await watcher.press("slash", *name, "enter")
    await watcher.until(lambda: any(line.startswith(">") and name in line for line in watcher.lines))
    await watcher.press("enter")
    await watcher.until("e Correct")
    await watcher.until(lambda: all(worker.is_finished for worker in watcher.app.workers))
    await watcher.pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_evidence_of_the_chosen_field_is_marked_and_brought_into_sight(
    read_scene: Scene, size: tuple[int, int]
) -> None:
    async with watching(read_scene, size) as watcher:
        await open_document(watcher, "letter.txt")
        pane = watcher.app.screen.query_one(TextPane)
        assert pane.marked == ["INV-0042"]
        assert "number: INV-0042   confidence 1.00, marked in the text" in watcher.text
        assert any("| number: INV-0042" in line for line in watcher.lines)
        await watcher.press("j")
        assert pane.marked == ["12.50"]
        assert watcher.fills


async def test_escapes_of_a_document_are_neutralised_on_both_sides(read_scene: Scene) -> None:
    async with watching(read_scene) as watcher:
        await open_document(watcher, "escapes.txt")
        assert "number: \N{REPLACEMENT CHARACTER}[31mred   confidence 1.00, marked in the text" in watcher.text
        assert "[b]12[/b]" in watcher.text
        assert "| last line" in watcher.text
        await watcher.press("e")
        assert watcher.fills
        await watcher.press("enter")
        assert read_corrections(job_dir(read_scene), "escapes.txt") == []


async def test_raw_answer_is_what_the_model_wrote(read_scene: Scene) -> None:
    async with watching(read_scene) as watcher:
        await open_document(watcher, "letter.txt")
        await watcher.press("r")
        assert any(line.endswith("| INV-0042") for line in (line.rstrip() for line in watcher.lines))
        assert "a letter" not in watcher.text
        await watcher.press("r")
        assert "a letter" in watcher.text or "number: INV-0042" in watcher.text


async def test_correction_is_kept_beside_what_the_model_said_and_shown_with_its_user(read_scene: Scene) -> None:
    async with watching(read_scene, LARGE) as watcher:
        await open_document(watcher, "0000.txt")
        await watcher.press("j", "e")
        assert "total: what is right?" in watcher.text
        assert "$ stillroom jobs correct orders-" in watcher.text
        await watcher.press(*["backspace"] * 5, *"13.75", "enter")
        await watcher.until("* 13.75")
        await watcher.until("the model said 12.50")
        (kept,) = read_corrections(job_dir(read_scene), "0000.txt")
        assert (kept.field, kept.original, kept.correction) == ("total", "12.50", "13.75")
        assert f"corrected by {kept.user} " in watcher.text
        await watcher.press("escape")
        await watcher.open("0000.txt")
        await watcher.until("* 13.75")


async def test_escape_and_an_unchanged_value_correct_nothing(read_scene: Scene) -> None:
    async with watching(read_scene) as watcher:
        await open_document(watcher, "0001.txt")
        await watcher.press("e", *"9", "escape")
        await watcher.press("e", "enter")
        await watcher.until("e Correct")
        assert read_corrections(job_dir(read_scene), "0001.txt") == []


async def test_correction_by_another_person_shows_when_the_document_is_opened(read_scene: Scene) -> None:
    correct_field(job_dir(read_scene), "0002.txt", "number", "A-1", "mara")
    async with watching(read_scene) as watcher:
        await open_document(watcher, "0002.txt")
        assert "* A-1" in watcher.text
        assert "corrected by mara" in watcher.text


async def test_failed_document_shows_its_reason_and_can_be_filled_in(read_scene: Scene) -> None:
    async with watching(read_scene) as watcher:
        await open_document(watcher, "nothing.txt")
        assert "empty: the file holds only blanks" in watcher.text
        assert "The job keeps no text of this document." in watcher.text
        await watcher.press("tab")
        assert watcher.lines[-1].strip() == "the job keeps no text of this document"
        await watcher.press("e", *"7", "enter")
        await watcher.until("* 7")
    found = read_corrections(job_dir(read_scene), "nothing.txt")
    assert in_force(found, found[0].sha256)["number"].correction == "7"


async def test_brackets_go_to_the_neighbours_and_say_where_there_is_none(read_scene: Scene) -> None:
    async with watching(read_scene) as watcher:
        await open_document(watcher, "0003.txt")
        await watcher.press("right_square_bracket")
        await watcher.until(lambda: watcher.lines[2].startswith(" escapes.txt"))
        await watcher.press("left_square_bracket")
        await watcher.until(lambda: watcher.lines[2].startswith(" 0003.txt"))
        for _ in range(5):
            await watcher.press("right_square_bracket")
            await watcher.until(lambda: all(worker.is_finished for worker in watcher.app.workers))
        assert watcher.lines[-1].strip() == "there is no further document in this list"


async def test_text_that_is_too_long_says_at_its_end_how_much_is_left_out(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents([FoundDocument(b"one-line.txt", 100, 1)])
    (document,) = ledger.pending(b"", 1)
    row = Row(document.name, "a" * 64, Route.LOCAL, "ab" * 32, {"number": "1"})
    ledger.record([Outcome(document, State.DONE, row, "word " * 2_000_000)])
    ledger.close()
    async with watching(scene) as watcher:
        await watcher.open("archive")
        await watcher.open("one-line.txt")
        assert "Tab Text" in watcher.text
        await watcher.press("tab", "G")
        assert "Tab Fields" in watcher.text
        assert "... 9,800,000 characters more" in watcher.text
        assert watcher.fills


async def test_value_with_characters_that_cannot_be_shown_is_not_corrected_by_accident(read_scene: Scene) -> None:
    async with watching(read_scene) as watcher:
        await open_document(watcher, "escapes.txt")
        await watcher.press("e", *"9", "enter")
        assert "stands for a character that cannot be shown" in watcher.text
        assert read_corrections(job_dir(read_scene), "escapes.txt") == []


async def test_confidence_of_a_corrected_value_is_not_shown(read_scene: Scene) -> None:
    correct_field(job_dir(read_scene), "0003.txt", "number", "A-1", "mara")
    async with watching(read_scene) as watcher:
        await open_document(watcher, "0003.txt")
        assert "number: A-1   corrected by mara" in watcher.text


def test_spans_follow_blanks_case_and_entries_of_a_list() -> None:
    text = "Total  due:\n12.50 EUR; paid by ALPHA and beta"
    assert [text[a:b] for a, b in evidence_spans("total due", 0, text)] == ["Total  due"]
    assert [text[a:b] for a, b in evidence_spans(["alpha", "beta"], 31, text)] == ["ALPHA", "beta"]
    assert evidence_spans("total due", None, text) == []
    assert evidence_spans(None, 0, text) == []
