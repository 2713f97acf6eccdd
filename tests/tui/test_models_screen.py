"""The screens of models: the list, one model, and what is broken."""

import json

import pytest

from appliance.models.store import Store
from tests.tui.app_driver import LARGE, SIZES, SMALL, open_app
from tests.tui.scenes import Scene


@pytest.mark.parametrize("size", SIZES)
async def test_list_shows_every_model_with_its_verdict_uncut(lived_in: Scene, size: tuple[int, int]) -> None:
    async with open_app(lived_in, size, tab="1") as driver:
        rows = {line[3:].split(" ")[0]: line for line in driver.lines}
        assert driver.lines[0].startswith(" [1 Models]  2 Jobs ")
        assert driver.lines[2].split()[:6] == ["Model", "Kind", "Format", "Target", "Size", "Verdict"]
        assert "* receipts-q8" in driver.text
        assert "READY" in rows["receipts-q8"]
        assert "gguf Q4_K_M" in rows["receipts-q4"]
        assert "NEED 12400 MORE" in rows["receipts-q4"]
        assert "NOT READY" in rows["enquiries-int8"]
        assert "not judged" in driver.text
        assert "broken" in rows["cut"]
        keys = " ".join(" ".join(driver.lines[-2:]).split())
        assert keys.endswith("i Import n New job v Verify a Activate b Roll back D Remove / Filter ? Help q Quit")
        assert driver.fills


async def test_wide_screen_shows_task_and_identity_too(lived_in: Scene) -> None:
    identity = Store(lived_in.settings).get("receipts-q8").manifest.identity
    async with open_app(lived_in, LARGE, tab="1") as driver:
        assert driver.lines[2].split()[6:] == ["Task", "Identity"]
        assert identity[:16] in next(line for line in driver.lines if "* receipts-q8" in line)


async def test_facts_give_the_full_name_of_the_chosen_model_and_the_command(lived_in: Scene) -> None:
    async with open_app(lived_in, tab="1") as driver:
        await driver.press("j")
        assert "fresh-with-a-name-that-is-longer-than-its-column-at-eighty   not active" in driver.text
        assert "$ stillroom models show fresh-with-a-name" in driver.text
        await driver.press("G", "k")
        assert "receipts-q8   active: answers task orders" in driver.text


@pytest.mark.parametrize("size", SIZES)
async def test_model_shows_lineage_files_measurements_and_commands(lived_in: Scene, size: tuple[int, int]) -> None:
    identity = Store(lived_in.settings).get("receipts-q8").manifest.identity
    async with open_app(lived_in, size, tab="1") as driver:
        await driver.open("receipts-q8")
        assert f"identity     {identity}" in driver.text
        assert "difference to the teacher -0.4 points" in driver.text
        assert "stillroom models roll-back orders" in driver.text
        await driver.press("G")
        assert "  sha256     " in driver.text
        assert "losses         20 values" in driver.text
        assert "fields.total   0.9083" in driver.text


async def test_text_longer_than_the_screen_says_which_lines_are_in_sight(lived_in: Scene) -> None:
    async with open_app(lived_in, SMALL, tab="1") as driver:
        await driver.open("receipts-q8")
        assert driver.lines[-1].rstrip().endswith(tuple("0123456789"))
        assert "lines 1-21 of " in driver.lines[-1]
        await driver.press("j")
        assert "lines 2-22 of " in driver.lines[-1]


async def test_broken_manifest_shows_its_reason_and_what_to_do(lived_in: Scene) -> None:
    async with open_app(lived_in, tab="1") as driver:
        await driver.open("cut")
        assert "cut   broken" in driver.text
        assert "cannot be read" in driver.text
        assert "stillroom models add FOLDER" in driver.text


async def test_manifest_with_other_types_than_expected_shows_as_broken(scene: Scene) -> None:
    for key, value in (
        ("identity", 5),
        ("verdict", {"verdict": 7}),
        ("files", {"a": {"size_bytes": "x", "sha256": 1}}),
    ):
        scene.add_model(f"odd-{key}", "ab" * 32)
        path = scene.settings.models_dir / f"odd-{key}" / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    async with open_app(scene, tab="1") as driver:
        assert driver.text.count(" broken ") >= 3
        for key in ("identity", "verdict", "files"):
            await driver.open(f"odd-{key}")
            assert "is not a valid manifest" in " ".join(driver.text.split())
            await driver.press("escape")


async def test_broken_list_of_active_models_does_not_hide_the_jobs(scene: Scene) -> None:
    scene.add_model("receipts-q8", "ab" * 32)
    (scene.settings.models_dir / "active.json").write_text("{")
    _, ledger = scene.write_ledger("orders-0123456789")
    ledger.close()
    async with open_app(scene) as driver:
        assert "orders archive" in driver.text
        await driver.press("1")
        assert "cannot be read: Expecting property name" in driver.text
        assert "delete the file and activate the models again" in driver.text


async def test_hostile_words_of_a_manifest_are_shown_as_they_are_but_for_control_characters(scene: Scene) -> None:
    scene.add_model("odd", "ab" * 32, task="[bold]a[/b]\x1b[2J")
    async with open_app(scene, LARGE, tab="1") as driver:
        assert "[bold]a[/b]\N{REPLACEMENT CHARACTER}" in driver.text
        await driver.open("odd")
        assert "[bold]a[/b]\N{REPLACEMENT CHARACTER}[2J" in driver.text


async def test_model_that_is_added_and_removed_shows_within_a_refresh(scene: Scene) -> None:
    async with open_app(scene, tab="1") as driver:
        assert "No models yet" in driver.text
        scene.add_model("receipts-q8", "ab" * 32)
        await driver.until("receipts-q8")
        await driver.open("receipts-q8")
        assert "identity" in driver.text
        await driver.press("escape")
        for path in sorted(scene.settings.models_dir.glob("receipts-q8/*")):
            path.unlink()
        (scene.settings.models_dir / "receipts-q8").rmdir()
        await driver.until("No models yet")
