"""Jobs from the screens: the form with its preview, start, pause, resume, cancel, retry, remove."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.jobs.control import cancel_job
from appliance.jobs.job import job_dirs
from appliance.jobs.ledger import list_jobs
from appliance.jobs.states import State
from tests.tui.app_driver import AppDriver, open_app
from tests.tui.scenes import HOLD, TOO_LONG, Folder, Scene
from tui.widgets.bar import Bar

IDENTITY = "ab12" * 16


@pytest.fixture
def letters(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder of documents and an installed model; the form names both relative to the working folder."""
    folder = scene.folder("letters")
    scene.add_working_model("orders-a", IDENTITY, folder.root)
    monkeypatch.chdir(scene.root)
    # The job is started from here: it must find the same packages.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).resolve().parents[2])]))
    return folder


def job_id(scene: Scene) -> str:
    (directory,) = job_dirs(scene.settings)
    return directory.name


@contextmanager
def at_work(folder: Folder, *options: str) -> "Iterator[subprocess.Popen[str]]":
    """The job of a folder in a process of its own, which holds the document that holds the engine."""
    job = folder.start(*folder.run_arguments(*options))
    folder.wait_until_held()
    try:
        yield job
    finally:
        if job.poll() is None:
            job.kill()
        job.communicate(timeout=60)


async def fill_form(driver: AppDriver, path: str) -> None:
    await driver.press("n")
    await driver.until("Type the folder with the documents")
    await driver.paste(path)


@pytest.mark.slow
async def test_form_counts_the_folder_shows_three_answers_and_starts_the_job(scene: Scene, letters: Folder) -> None:
    letters.write_orders(12)
    letters.write("page.html", "<html><body>number: 7</body></html>")
    letters.write("strange.bin", "\x7fELF nothing that a reader knows")
    async with open_app(scene) as driver:
        await fill_form(driver, "work-letters/letters")
        await driver.until("14 documents")
        assert "12 text" in driver.text
        assert "1 html" in driver.text
        assert "1 other" in driver.text
        assert "not approved: no gate has judged it; each row will say so" in driver.text
        assert "work-letters/letters-rows" in driver.text
        folder = letters.documents_dir
        assert driver.command.endswith(f" {folder} --out {folder}-rows --model orders-a --detach")
        await driver.press("enter", "enter", "enter", "enter")
        await driver.until("Preview of 3 documents; nothing of it is stored.")
        assert job_dirs(scene.settings) == []
        assert driver.text.count("confidence 1.00") == 6
        assert "0002.txt" in driver.text
        await driver.press("enter")
        await driver.until("orders letters   done")
        assert "13 of 14 done, 1 failed" in driver.text
        assert driver.lines[0].startswith("  1 Models  [2 Jobs]")
    rows = (scene.root / "work-letters" / "letters-rows" / "rows.jsonl").read_text().splitlines()
    assert len(rows) == 14
    assert {json.loads(row)["unsafe"] for row in rows} == {True}


async def test_form_says_what_is_missing_and_starts_nothing(scene: Scene, letters: Folder) -> None:
    async with open_app(scene) as driver:
        await fill_form(driver, "nowhere")
        await driver.until("no folder of documents at")
        await driver.press("enter", "enter", "enter", "backspace", "0", "enter")
        said = driver.app.screen.query_one("#keys", Bar).text.replace("\n", "")
        assert said == f"no folder of documents at {scene.root}/nowhere"
        await driver.press("up", "up", "up", *["backspace"] * 7)
        await driver.paste("work-letters/letters")
        await driver.until("0 documents")
        assert "workers is a number from 1 to 64" in driver.text
        await driver.press("down", "down", "down", "backspace", "2", "enter")
        await driver.until("Preview of 0 documents")
        await driver.press("enter")
        assert driver.lines[-1].strip() == "the folder holds no documents"
    assert job_dirs(scene.settings) == []


@pytest.mark.slow
async def test_job_is_paused_resumed_and_goes_to_its_end(scene: Scene, letters: Folder) -> None:
    letters.write_orders(120)
    letters.write("0000.txt", HOLD)
    # With one reader the document that holds the engine is the first in it.
    with at_work(letters, "--workers", "1") as job:
        await pause_and_resume(scene, letters, job)
    assert [(found.state, found.done) for found in list_jobs(scene.settings)] == [(State.DONE, 120)]


async def pause_and_resume(scene: Scene, letters: Folder, job: "subprocess.Popen[str]") -> None:
    async with open_app(scene) as driver:
        await driver.until("running      orders letters")
        await driver.press("r")
        assert "it is already in progress" in driver.text
        await driver.press("D")
        assert "X cancels it first" in driver.text
        request_path = scene.settings.jobs_dir / job_id(scene) / "stop-request"
        # The job stands still until it was asked, and goes on only when it knows.
        os.kill(job.pid, signal.SIGSTOP)
        await driver.press("p")
        await driver.until(request_path.exists)
        os.kill(job.pid, signal.SIGCONT)
        await driver.until(lambda: not request_path.exists())
        letters.release()
        await driver.until("paused       orders letters")
        job.communicate(timeout=60)
        await driver.until(f"stillroom jobs resume {job_id(scene)}")
        letters.write("0000.txt", "number: 7\n")
        await driver.press("p")
        assert "only a running or queued job can be paused" in driver.text
        await driver.press("r")
        await driver.until("done         orders letters")


async def test_job_is_cancelled_only_after_y(scene: Scene, letters: Folder) -> None:
    letters.write_orders(30)
    letters.write("0010.txt", HOLD)
    with at_work(letters):
        await cancel_it(scene)


async def cancel_it(scene: Scene) -> None:
    async with open_app(scene) as driver:
        await driver.until("running      orders letters")
        await driver.press("X", "enter")
        assert f"$ stillroom jobs cancel {job_id(scene)}" in driver.text
        assert list_jobs(scene.settings)[0].state is State.RUNNING
        await driver.press("y")
        await driver.until("The job is cancelled.")
        await driver.press("escape")
        await driver.until("cancelled    orders letters")
        await driver.press("X")
        assert "there is nothing to cancel" in driver.text


@pytest.mark.slow
async def test_failed_documents_are_tried_again_and_a_job_is_removed_after_y(scene: Scene, letters: Folder) -> None:
    letters.write_orders(3)
    letters.write("long.txt", TOO_LONG)
    assert letters.run().returncode == 3
    async with open_app(scene) as driver:
        await driver.open("letters")
        await driver.until("3 of 4 done, 1 failed")
        letters.write("long.txt", "number: 7\ntotal: 1\n")
        await driver.press("t")
        assert "1 document without an answer will be tried again" in " ".join(driver.text.split())
        assert f"$ stillroom jobs retry {job_id(scene)} --detach" in driver.text
        await driver.press("enter")
        await driver.until("1 document will be tried again")
        await driver.press("escape")
        await driver.until("4 of 4 done, 0 failed")
        await driver.press("t")
        assert "no document of this job failed" in driver.text
        await driver.until("orders letters   done")
        await driver.press("D", "y")
        await driver.until("was removed.")
        await driver.press("escape")
        await driver.until("This job was removed")
    assert job_dirs(scene.settings) == []


@pytest.mark.slow
async def test_preview_while_a_job_has_the_engine_says_so_and_the_job_may_still_wait(
    scene: Scene, letters: Folder
) -> None:
    letters.write_orders(4)
    letters.write("0001.txt", HOLD)
    job = letters.start(*letters.run_arguments())
    letters.wait_until_held()
    other = scene.folder("more")
    other.write_orders(2)
    async with open_app(scene) as driver:
        await fill_form(driver, "work-more/more")
        await driver.until("2 documents")
        assert "in use by another job; this one will wait" in driver.text
        await driver.press("enter", "enter", "enter", "enter")
        await driver.until("No preview is possible now.")
        await driver.press("enter")
        await driver.until("waiting for the engine")
        letters.release()
        await driver.until("2 of 2 done")
    job.communicate(timeout=60)
    for found in list_jobs(scene.settings):
        cancel_job(scene.settings, found.id)
