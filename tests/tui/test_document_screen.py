"""One document: text beside fields, evidence marked, raw answer, corrections with what the model said kept."""

from pathlib import Path

import pytest

from appliance.documents.folder import FoundDocument
from appliance.jobs.ledger import DocumentEntry
from appliance.jobs.ledger_writer import Outcome
from appliance.jobs.review import correct_field, in_force, read_corrections
from appliance.jobs.rows import Route, Row
from appliance.jobs.states import State
from appliance.tasks.marks import Mark
from appliance.tasks.task import Field
from tests.tui.app_driver import LARGE, SIZES, AppDriver, open_app
from tests.tui.conftest import ESCAPES
from tests.tui.scenes import Folder, Scene
from tui.rendering.document_lines import OpenDocument, ShownRow, confidence_text
from tui.text.evidence_spans import evidence_spans
from tui.widgets.text_pane import TextPane

LETTER = "a plain letter\n" * 40 + "number: INV-0042\ntotal:\t12.50\n" + "the end\n" * 40


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


async def open_document(driver: AppDriver, name: str) -> None:
    await driver.open("letters")
    await driver.press("slash", *name, "enter")
    await driver.until(lambda: any(line.startswith(">") and name in line for line in driver.lines))
    await driver.press("enter")
    await driver.until("e Correct")
    await driver.until(lambda: all(worker.is_finished for worker in driver.app.workers))
    await driver.pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_evidence_of_the_chosen_field_is_marked_and_brought_into_sight(
    read_scene: Scene, size: tuple[int, int]
) -> None:
    async with open_app(read_scene, size) as driver:
        await open_document(driver, "letter.txt")
        pane = driver.app.screen.query_one(TextPane)
        assert pane.marked == ["INV-0042"]
        assert "number: INV-0042   confidence 1.00, marked in the text" in driver.text
        assert any("| number: INV-0042" in line for line in driver.lines)
        await driver.press("j")
        assert pane.marked == ["12.50"]
        assert driver.fills


async def test_escapes_of_a_document_are_neutralised_on_both_sides(read_scene: Scene) -> None:
    async with open_app(read_scene) as driver:
        await open_document(driver, "escapes.txt")
        assert "number: \N{REPLACEMENT CHARACTER}cred   confidence 1.00, marked in the text" in driver.text
        assert "[b]12[/b]" in driver.text
        assert "| last line" in driver.text
        await driver.press("e")
        assert driver.fills
        await driver.press("enter")
        assert read_corrections(job_dir(read_scene), "escapes.txt") == []


async def test_raw_answer_is_what_the_model_wrote(read_scene: Scene) -> None:
    async with open_app(read_scene) as driver:
        await open_document(driver, "letter.txt")
        await driver.press("r")
        assert any(line.endswith("| INV-0042") for line in (line.rstrip() for line in driver.lines))
        assert "a plain letter" not in driver.text
        await driver.press("r")
        assert "a plain letter" in driver.text or "number: INV-0042" in driver.text


async def test_correction_is_kept_beside_what_the_model_said_and_shown_with_its_user(read_scene: Scene) -> None:
    async with open_app(read_scene, LARGE) as driver:
        await open_document(driver, "0000.txt")
        await driver.press("j", "e")
        assert "Correct value of total" in driver.text
        assert "$ stillroom jobs correct orders-" in driver.text
        await driver.press(*["backspace"] * 5, *"13.75", "enter")
        await driver.until("* 13.75")
        await driver.until("the model answered 12.50")
        (kept,) = read_corrections(job_dir(read_scene), "0000.txt")
        assert (kept.field, kept.original, kept.correction) == ("total", "12.50", "13.75")
        assert f"corrected by {kept.user} " in driver.text
        await driver.press("escape")
        await driver.open("0000.txt")
        await driver.until("* 13.75")


async def test_escape_and_an_unchanged_value_correct_nothing(read_scene: Scene) -> None:
    async with open_app(read_scene) as driver:
        await open_document(driver, "0001.txt")
        await driver.press("e", *"9", "escape")
        await driver.press("e", "enter")
        await driver.until("e Correct")
        assert read_corrections(job_dir(read_scene), "0001.txt") == []


async def test_correction_by_another_person_shows_when_the_document_is_opened(read_scene: Scene) -> None:
    correct_field(job_dir(read_scene), "0002.txt", "number", "A-1", "mara")
    async with open_app(read_scene) as driver:
        await open_document(driver, "0002.txt")
        assert "* A-1" in driver.text
        assert "corrected by mara" in driver.text


async def test_failed_document_shows_its_reason_and_can_be_filled_in(read_scene: Scene) -> None:
    async with open_app(read_scene) as driver:
        await open_document(driver, "nothing.txt")
        assert "empty: the file holds only blanks" in driver.text
        assert "The job keeps no text of this document." in driver.text
        await driver.press("tab")
        assert driver.lines[-1].strip() == "the job keeps no text of this document"
        await driver.press("e", *"7", "enter")
        await driver.until("* 7")
    found = read_corrections(job_dir(read_scene), "nothing.txt")
    assert in_force(found, found[0].sha256)["number"].correction == "7"


async def test_brackets_go_to_the_neighbours_and_say_where_there_is_none(read_scene: Scene) -> None:
    async with open_app(read_scene) as driver:
        await open_document(driver, "0003.txt")
        await driver.press("right_square_bracket")
        await driver.until(lambda: driver.lines[2].startswith(" escapes.txt"))
        await driver.press("left_square_bracket")
        await driver.until(lambda: driver.lines[2].startswith(" 0003.txt"))
        for _ in range(5):
            await driver.press("right_square_bracket")
            await driver.until(lambda: all(worker.is_finished for worker in driver.app.workers))
        assert driver.lines[-1].strip() == "there is no further document in this list"


async def test_text_that_is_too_long_says_at_its_end_how_much_is_left_out(scene: Scene) -> None:
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.add_documents([FoundDocument(b"one-line.txt", 100, 1)])
    (document,) = ledger.pending(b"", 1)
    row = Row(document.name, "a" * 64, Route.LOCAL, "ab" * 32, {"number": "1"})
    ledger.record([Outcome(document, State.DONE, row, "word " * 2_000_000)])
    ledger.close()
    async with open_app(scene) as driver:
        await driver.open("archive")
        await driver.open("one-line.txt")
        assert "Tab Text" in driver.text
        await driver.press("tab", "G")
        assert "Tab Fields" in driver.text
        assert "... 9,800,000 characters more" in driver.text
        assert driver.fills


async def test_value_with_characters_that_cannot_be_shown_is_not_corrected_by_accident(read_scene: Scene) -> None:
    async with open_app(read_scene) as driver:
        await open_document(driver, "escapes.txt")
        await driver.press("e", *"9", "enter")
        assert "stands for a character that cannot be shown" in driver.text
        assert read_corrections(job_dir(read_scene), "escapes.txt") == []


async def test_confidence_of_a_corrected_value_is_not_shown(read_scene: Scene) -> None:
    correct_field(job_dir(read_scene), "0003.txt", "number", "A-1", "mara")
    async with open_app(read_scene) as driver:
        await open_document(driver, "0003.txt")
        assert "number: A-1   corrected by mara" in driver.text


@pytest.mark.parametrize("mark", Mark)
def test_marks_of_a_value_are_said_in_words_beside_how_programs_read_it(mark: Mark) -> None:
    row = Row(
        "a", "0" * 64, Route.LOCAL, "m", {"total": "1.234"}, normalised={"total": "1234"}, marks={"total": [mark]}
    )
    entry = DocumentEntry(1, b"a", "a", State.DONE, 0, None)
    text = confidence_text(OpenDocument(entry, row), ShownRow(Field("total")), marked=True)
    assert text.startswith("marked in the text, read as 1234, ")
    assert " " in text.rpartition(", ")[2]


def test_spans_follow_blanks_case_and_entries_of_a_list() -> None:
    text = "Total  due:\n12.50 EUR; paid by ALPHA and beta"
    assert [text[a:b] for a, b in evidence_spans("total due", 0, text)] == ["Total  due"]
    assert [text[a:b] for a, b in evidence_spans(["alpha", "beta"], 31, text)] == ["ALPHA", "beta"]
    assert evidence_spans("total due", None, text) == []
    assert evidence_spans(None, 0, text) == []
