"""A document with records: a row for each, its places in the text, and one record corrected without the others."""

from pathlib import Path

import pytest

from appliance.jobs.review import read_corrections
from appliance.models.manifest import write_artifact
from tests.appliance.jobs.test_record_jobs import TASK, page
from tests.noop_fixtures import noop_manifest
from tests.tui.app_driver import SIZES, open_app
from tests.tui.scenes import Scene
from tests.tui.test_document_screen import job_dir, open_document
from tui.widgets.text_pane import TextPane

LINES = [("hex bolt M8", "1.50"), ("pipe, 15 mm", "12.80"), ("hex bolt M8", "7.25")]


@pytest.fixture
def scene_with_records(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    folder = scene.folder("letters")
    folder.task_path.write_text(TASK.replace("LONG", "refuse"))
    files = {"task.toml": folder.task_path, "noop.json": folder.root / "noop.json"}
    write_artifact(folder.root / "with-records", noop_manifest(folder.task_path), files)
    folder.write("a.txt", page(LINES, net="30.00"))
    words = ["run", str(folder.task_path), str(folder.documents_dir), "--out", str(folder.out_dir)]
    assert folder.call(*words, "--model", str(folder.root / "with-records")).returncode == 0
    return scene


@pytest.mark.parametrize("size", SIZES)
async def test_records_have_a_row_each_and_are_marked_where_they_stand(
    scene_with_records: Scene, size: tuple[int, int]
) -> None:
    async with open_app(scene_with_records, size) as driver:
        await open_document(driver, "a.txt")
        assert "adds_up: sum(items.price) == net is not so: 21.55 and 30" in driver.text
        assert "3 records: what | price" in driver.text
        await driver.press("j", "j", "j", "j", "j")
        pane = driver.app.screen.query_one(TextPane)
        assert pane.marked == ["hex bolt M8", "7.25"]
        third = [line for line in driver.lines if line.startswith("> ")]
        assert len(third) == 1
        assert third[0].split("|")[0].split() == [">", "3", "hex", "bolt", "M8"]
        assert "items 3: hex bolt M8 | 7.25   confidence 1.00, marked in the text" in driver.text


async def test_one_record_is_corrected_and_the_others_stay(scene_with_records: Scene) -> None:
    async with open_app(scene_with_records, (120, 40)) as driver:
        await open_document(driver, "a.txt")
        await driver.press("j", "j", "j", "j", "e")
        assert "Correct value of items 2 (what | price" in driver.text
        await driver.press(*["backspace"] * 5, *"13.75", "enter")
        await driver.until("pipe, 15 mm | 13.75")
        (kept,) = read_corrections(job_dir(scene_with_records), "a.txt")
        assert kept.correction == [
            {"what": "hex bolt M8", "price": "1.50"},
            {"what": "pipe, 15 mm", "price": "13.75"},
            {"what": "hex bolt M8", "price": "7.25"},
        ]
        await driver.press("e")
        await driver.press("space", "|", "space", "9", "enter")
        await driver.until("not saved: a record has 3 cells, the columns are what | price")
