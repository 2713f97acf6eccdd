"""Comparisons from the screens: the form, totals, the documents that differ, judgements that the verdict uses."""

import os
from pathlib import Path

import pytest
from rich.cells import cell_len

from appliance.comparison.render_text import seconds
from appliance.comparison.request import CompareRequest, prepare_comparison
from appliance.comparison.run import run_comparison
from appliance.comparison.view import list_comparisons, open_comparison
from appliance.jobs.states import State
from appliance.quality.judgements import Choice
from tests.tui.app_driver import SIZES, SMALL, AppDriver, open_app
from tests.tui.scenes import Scene
from tui.widgets.line_view import LineView
from tui.widgets.text_pane import TextPane

FIRST, SECOND = "aa11" * 16, "bb22" * 16


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A comparison of two models that differ on some documents."""
    scene = Scene(tmp_path_factory.mktemp("compared"))
    scene.add_working_model("orders-a", FIRST)
    scene.add_working_model("orders-b", SECOND, misread="hard")
    folder = scene.folder("letters")
    folder.write_orders(8)
    for number in range(4):
        folder.write(f"hard-{number}.txt", f"a hard one\nnumber: H-{number}\ntotal: 3\n")
    folder.write("[b]odd[/b]\x1b.txt", "hard\nnumber: \x1bcred\ntotal: 4\n")
    request = CompareRequest(
        scene.settings.models_dir / "orders-a" / "task.toml", folder.documents_dir, ("orders-a", "orders-b")
    )
    run_comparison(scene.settings, prepare_comparison(scene.settings, request), lambda _progress: None)
    return scene


def identifier(scene: Scene) -> str:
    (found,) = list_comparisons(scene.settings)
    return found.id


async def open_totals(driver: AppDriver) -> None:
    await driver.until("orders-a | orders-b")
    await driver.press("enter")
    await driver.until("money per 1,000")


@pytest.mark.parametrize("size", SIZES)
async def test_totals_stand_with_interval_and_sample_size(compared: Scene, size: tuple[int, int]) -> None:
    async with open_app(compared, size, tab="3") as driver:
        await open_totals(driver)
        words = " ".join(driver.text.split())
        assert "A orders-a B orders-b" in words
        assert "answered 13 of 13 13 of 13" in words
        for measure in ("documents/s", "latency p50", "latency p95", "prompt tokens", "reasoning tokens"):
            (line,) = (line for line in driver.lines if line.startswith(f" {measure}"))
            assert line.rstrip().endswith("n 13")
        assert "same answer 61.5 % (35.5 to 82.3), n 13; 5 differ" in words
        assert f"$ stillroom comparisons show {identifier(compared)}" in driver.text
        assert driver.fills


@pytest.mark.parametrize("size", [(60, 24), (80, 24), (100, 30)], ids=["60", "80", "100"])
async def test_no_interval_is_cut_however_narrow_the_terminal(compared: Scene, size: tuple[int, int]) -> None:
    async with open_app(compared, size, tab="3") as driver:
        await driver.until("orders-a")
        await driver.press("enter")
        await driver.until("latency p50")
        shown = driver.app.screen.query_one(LineView)
        assert max(sum(cell_len(cell.text) for cell in line) for line in shown.lines[3:14]) <= size[0] - 2
        with open_comparison(compared.settings, identifier(compared)) as view:
            sides = view.figures().sides
        words = ["".join(cell.text for cell in line) for line in shown.lines]
        for side in sides:
            assert any(seconds(side.latency_p50) in line for line in words)
            assert any(seconds(side.latency_p95) in line for line in words)


async def test_judgements_are_kept_and_change_the_verdict(compared: Scene) -> None:
    async with open_app(compared, SMALL, tab="3") as driver:
        await open_totals(driver)
        assert "nothing says who is right on the" in driver.text
        await driver.press("enter")
        await driver.until("1 of 5")
        assert any(line.startswith(">! number") and "misread" in line for line in driver.lines)
        for number, key in enumerate("aabos"):
            await driver.until(f"{number + 1} of 5")
            await driver.until(lambda: all(worker.is_finished for worker in driver.app.workers))
            await driver.press(key)
        await driver.until("judged: skip")
        assert driver.fills
        with open_comparison(compared.settings, identifier(compared)) as view:
            said = [found.choice for found in view.judgements()]
        assert said == [Choice.A, Choice.A, Choice.B, Choice.BOTH, Choice.SKIP]
        await driver.press("escape")
        await driver.until("4 judged documents")
        assert "nothing says who is right" not in driver.text


async def test_hostile_document_is_shown_safe_with_the_values_marked(compared: Scene) -> None:
    async with open_app(compared, SMALL, tab="3") as driver:
        await open_totals(driver)
        await driver.press("enter")
        await driver.until("of 5")
        for _ in range(5):
            if "[b]odd[/b]\N{REPLACEMENT CHARACTER}.txt" in driver.lines[2]:
                break
            before = driver.lines[2]
            await driver.press("right_square_bracket")
            await driver.until(lambda before=before: driver.lines[2] != before or "no further" in driver.text)
            if "no further" in driver.text:
                for _ in range(4):
                    before = driver.lines[2]
                    await driver.press("left_square_bracket")
                    await driver.until(lambda before=before: driver.lines[2] != before)
        assert "[b]odd[/b]\N{REPLACEMENT CHARACTER}.txt" in driver.text
        assert driver.app.screen.query_one(TextPane).marked == ["\N{REPLACEMENT CHARACTER}cred"]
        assert driver.fills


@pytest.mark.slow
async def test_form_starts_a_comparison_in_a_process_of_its_own(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.add_working_model("orders-a", FIRST)
    scene.add_working_model("orders-b", SECOND, misread="number: 3030")
    folder = scene.folder("letters")
    folder.write_orders(6)
    monkeypatch.chdir(scene.root)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).resolve().parents[2])]))
    async with open_app(scene, tab="3") as driver:
        assert "No comparisons yet" in driver.text
        await driver.press("n")
        await driver.until("Type the folder with the documents")
        await driver.paste("work-letters/letters")
        await driver.until("6 documents")
        await driver.press("enter", "enter", "right")
        await driver.press("enter", *["backspace"] * 3, "4", "enter")
        await driver.until("--sample 4 --detach")
        await driver.paste("nothing.jsonl")
        await driver.press("enter")
        await driver.until("A and B are the same model")
        await driver.press("up", "up", "left", "down", "down")
        await driver.until("Still missing: there is no file nothing.jsonl")
        await driver.press("ctrl+u")
        await driver.until(lambda: "Still missing" not in driver.text)
        await driver.press("enter")
        await driver.until("4 documents drawn at random will be answered by both")
        await driver.press("enter")
        await driver.until("same answer")
        await driver.press("escape")
        await driver.press("3")
        await driver.until("done         orders")
        await driver.press("D", "y")
        await driver.until("was removed.")
        await driver.press("escape")
        await driver.until("No comparisons yet")
    assert list_comparisons(scene.settings) == []


async def test_frontier_as_second_side_shows_what_leaves_and_needs_the_typed_word(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.add_working_model("orders-a", FIRST)
    folder = scene.folder("letters")
    folder.write_orders(3)
    monkeypatch.chdir(scene.root)
    config_path = scene.settings.home_dir / "config.toml"
    config_path.write_text('[frontier.big]\nurl = "http://127.0.0.1:9/v1"\nmodel = "big-1"\n')
    async with open_app(scene, tab="3") as driver:
        await driver.press("n")
        await driver.until("Type the folder with the documents")
        await driver.paste("work-letters/letters")
        await driver.press("enter", "enter", "right")
        await driver.until("frontier big: documents leave this machine")
        assert "--frontier big" in " ".join(driver.text.split())
        await driver.press("enter", "enter", "enter")
        await driver.until("type send and press Enter")
        assert "Documents leave this machine: up to 3, to 127.0.0.1:9." in driver.text
        await driver.press("enter")
        assert "type send to continue" in driver.text
        await driver.press("escape")
    assert list_comparisons(scene.settings) == []


@pytest.mark.slow
async def test_interrupted_comparison_shows_its_reason_and_is_resumed(scene: Scene) -> None:
    scene.add_working_model("orders-a", FIRST)
    scene.add_working_model("orders-b", SECOND)
    folder = scene.folder("letters")
    folder.write_orders(3)
    task_path = scene.settings.models_dir / "orders-a" / "task.toml"
    request = CompareRequest(task_path, folder.documents_dir, ("orders-a", "orders-b"))
    prepare_comparison(scene.settings, request)
    async with open_app(scene, tab="3") as driver:
        await driver.until("interrupted  orders")
        await driver.press("enter")
        await driver.until("0 of 3 documents answered by all")
        assert "`r` in the list of comparisons resumes it." in driver.text
        await driver.press("enter")
        assert "not every side has answered yet" in driver.text
        await driver.press("escape", "r")
        assert "3 documents are still to be answered" in driver.text
        await driver.press("enter")
        await driver.until("The comparison continues.")
        await driver.press("escape")
        await driver.until("done         orders")
    assert [found.state for found in list_comparisons(scene.settings)] == [State.DONE]
