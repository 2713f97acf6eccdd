"""What is done with models from the screens: verify, activate, roll back, delete, import; each with its command."""

from pathlib import Path

import pytest

from appliance.jobs.states import State
from appliance.models.store import Store
from tests.tui.app_driver import SIZES, AppDriver, open_app
from tests.tui.scenes import Scene


async def choose(driver: AppDriver, name: str) -> None:
    """Moves to the model of this name."""
    await driver.press("home")
    for _ in range(20):
        if any(line.startswith(">") and name in line for line in driver.lines):
            return
        await driver.press("j")
    raise AssertionError(driver.text)


@pytest.fixture
def stocked(scene: Scene) -> Scene:
    """Two READY models and one that no gate judged."""
    scene.add_model("orders-q8", "9f2c41d0" * 8, "READY")
    scene.add_model("orders-q4", "1a2b3c4d" * 8, "READY", quantization="Q4_K_M")
    scene.add_model("fresh", "abcdabcd" * 8)
    Store(scene.settings).activate("orders-q8")
    return scene


@pytest.mark.parametrize("size", SIZES)
async def test_verify_reads_every_file_and_says_how_it_ended(stocked: Scene, size: tuple[int, int]) -> None:
    async with open_app(stocked, size, tab="1") as driver:
        await choose(driver, "orders-q4")
        await driver.press("v")
        await driver.until("The model is intact:")
        assert "$ stillroom models verify orders-q4" in driver.text
        await driver.press("escape")
        weights_path = stocked.settings.models_dir / "orders-q4" / "model.gguf"
        weights_path.write_bytes(b"\x01" + weights_path.read_bytes()[1:])
        await driver.press("v")
        await driver.until("the manifest says")
        assert "export the model again or copy it again" in " ".join(driver.text.split())
        assert driver.fills


async def test_ready_model_is_activated_and_rolled_back_with_one_key_each(stocked: Scene) -> None:
    async with open_app(stocked, tab="1") as driver:
        await choose(driver, "orders-q4")
        await driver.press("b")
        assert "the task orders has no previous model" in driver.text
        await driver.press("a")
        assert "At present orders-q8 does" in " ".join(driver.text.split())
        assert "$ stillroom models activate orders-q4" in driver.text
        assert "--unsafe" not in driver.text
        await driver.press("enter")
        await driver.until("now answers the task orders")
        await driver.press("escape")
        await driver.until("* orders-q4")
        await driver.press("a")
        assert "it already answers the task orders" in driver.text
        await driver.press("b")
        assert "orders-q8 will answer the task orders again" in driver.text
        await driver.press("enter")
        await driver.until("orders-q8 answers the task orders again")
    active = Store(stocked.settings).active("orders")
    assert active is not None
    assert active.name == "orders-q8"


async def test_model_that_is_not_ready_needs_the_typed_word(stocked: Scene) -> None:
    async with open_app(stocked, tab="1") as driver:
        await choose(driver, "fresh")
        await driver.press("a")
        await driver.until("type unsafe and press Enter")
        assert "Not approved: no gate has judged it" in driver.text
        assert "$ stillroom models activate fresh --unsafe" in driver.text
        await driver.press("enter")
        assert "type unsafe to continue" in driver.text
        await driver.press(*"yes", "enter")
        active = Store(stocked.settings).active("orders")
        assert active is not None
        assert active.name == "orders-q8"
        await driver.press(*["backspace"] * 3, *"unsafe", "enter")
        await driver.until("fresh now answers the task orders")


async def test_remove_asks_and_only_y_removes(stocked: Scene) -> None:
    async with open_app(stocked, tab="1") as driver:
        await choose(driver, "orders-q8")
        await driver.press("D")
        assert "activate another one or roll back first" in driver.text
        await choose(driver, "fresh")
        await driver.press("D", "enter")
        assert "This cannot be undone." in driver.text
        assert (stocked.settings.models_dir / "fresh").is_dir()
        await driver.press("escape", "D", "y")
        await driver.until("fresh was removed.")
        assert not (stocked.settings.models_dir / "fresh").exists()
        await driver.press("y")
        assert "already done" in driver.text


async def test_removal_of_a_model_that_a_job_uses_is_refused_with_the_job(scene: Scene) -> None:
    scene.add_model("orders", "abcdabcd" * 8)
    directory, ledger = scene.write_ledger("orders-0123456789")
    ledger.end_run(State.PAUSED)
    ledger.close()
    path = directory / "job.toml"
    place = str(scene.settings.models_dir / "orders")
    path.write_text(path.read_text().replace("/srv/models/orders", place))
    async with open_app(scene, tab="1") as driver:
        await driver.press("D", "y")
        await driver.until("is used by 1 unfinished job: orders-0123456789")
        assert "stillroom jobs cancel orders-0123456789" in " ".join(driver.text.split())
    assert (scene.settings.models_dir / "orders").is_dir()


async def test_import_checks_every_model_below_a_folder_and_copies_the_chosen_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene.add_working_model("orders-a", "aa11" * 16)
    scene.add_model("orders-q8", "9f2c41d0" * 8, "READY", size_bytes=0)
    for name in ("orders-a", "orders-q8"):
        Store(scene.settings).remove(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tui.screens.import_model.mounted_disks", list)
    async with open_app(scene, tab="1") as driver:
        await driver.press("i")
        await driver.until("Type the folder of a model")
        await driver.press(*"artifacts", "enter")
        await driver.until("No check failed")
        await driver.until("orders-a   < 1 of 2 >")
        for check in ("format", "licence", "disk", "memory", "hash"):
            assert any(line.startswith(f" {check}") for line in driver.lines), driver.text
        await driver.press("up", "right")
        await driver.until("READY on 240 documents")
        assert driver.command == f"stillroom models add {tmp_path}/artifacts/orders-q8"
        await driver.press("enter", "enter")
        await driver.until("orders-q8 is installed.")
    assert [model.name for model in Store(scene.settings).list()] == ["orders-q8"]


async def test_import_of_a_damaged_model_is_refused_before_anything_is_copied(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene.add_model("orders-q8", "9f2c41d0" * 8, "READY")
    Store(scene.settings).remove("orders-q8")
    (scene.root / "artifacts" / "orders-q8" / "model.gguf").write_bytes(b"x" * 1000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tui.screens.import_model.mounted_disks", list)
    async with open_app(scene, tab="1") as driver:
        await driver.press("i", *"artifacts", "enter")
        await driver.until("This model cannot be imported.")
        await driver.press("enter")
        assert "this model cannot be imported: see what is bad" in driver.text
        await driver.press("up", *["backspace"] * 9, *"nowhere")
        await driver.until("no folder at")
        assert driver.command == f"stillroom models add {tmp_path}/nowhere"
    assert Store(scene.settings).list() == ()


@pytest.mark.slow
@pytest.mark.parametrize("keys", ["1 i", "2 n", "3 n"])
async def test_home_folder_of_nobody_is_a_folder_that_is_not_there(scene: Scene, keys: str) -> None:
    async with open_app(scene) as driver:
        await driver.press(*keys.split(), *"~no-such-user/x")
        await driver.until("no folder")
        assert "~no-such-user/x" in driver.command


async def test_activating_the_first_model_of_a_task_promises_no_way_back(scene: Scene) -> None:
    scene.add_model("orders", "abcdabcd" * 8)
    async with open_app(scene, tab="1") as driver:
        await driver.press("a")
        await driver.until("type unsafe and press Enter")
        assert "the previous one" not in " ".join(driver.text.split())
        await driver.press("x", "enter")
        assert "type unsafe to continue" in driver.text
        await driver.press("backspace", *"unsafe", "enter")
        await driver.until("now answers the task orders")
        assert "type unsafe to continue" not in driver.text
