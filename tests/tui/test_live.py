"""The screens while another process writes the ledger."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from appliance.jobs.ledger import list_jobs
from appliance.jobs.states import State
from tests.tui.app_driver import open_app
from tests.tui.scenes import HOLD, Folder, Scene


@pytest.fixture
def held(scene: Scene) -> Folder:
    """A folder of which the engine will hold the third quarter's first document."""
    folder = scene.folder("receipts")
    folder.write_orders(40)
    folder.write("0030.txt", HOLD)
    return folder


@pytest.fixture
def job(held: Folder) -> "Iterator[subprocess.Popen[str]]":
    """The job of that folder, at work in a process of its own, with the document in its engine."""
    process = held.start(*held.run_arguments())
    held.wait_until_held()
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=60)


async def test_list_follows_a_job_of_another_process_to_its_end(
    scene: Scene, held: Folder, job: "subprocess.Popen[str]"
) -> None:
    async with open_app(scene) as driver:
        await driver.until("1 job in progress")
        await driver.until("running      orders receipts")
        assert "40/40" not in driver.text
        held.release()
        await driver.until("40/40")
        await driver.until("done         orders receipts")
        await driver.until("no job in progress")


async def test_job_page_follows_the_job_and_its_documents(
    scene: Scene, held: Folder, job: "subprocess.Popen[str]"
) -> None:
    async with open_app(scene) as driver:
        await driver.open("receipts")
        await driver.until("orders receipts   running")
        await driver.press("G")
        await driver.until("queued       0039.txt")
        held.release()
        await driver.until("done         0039.txt")
        await driver.until("[########################] 40 of 40 done, 0 failed")
        await driver.until("orders receipts   done")


async def test_killed_job_shows_as_interrupted_with_the_command_that_goes_on(
    scene: Scene, held: Folder, job: "subprocess.Popen[str]"
) -> None:
    async with open_app(scene) as driver:
        await driver.until("1 job in progress")
        os.kill(job.pid, signal.SIGKILL)
        job.communicate(timeout=60)
        await driver.until("interrupted  orders receipts")
        await driver.until("$ stillroom jobs resume orders-")
        await driver.until("no job in progress")


async def test_second_job_waits_for_the_engine_and_shows_as_queued(
    scene: Scene, held: Folder, job: "subprocess.Popen[str]"
) -> None:
    second = scene.folder("delivery-notes")
    second.write_orders(3)
    waiting = second.start(*second.run_arguments())
    async with open_app(scene) as driver:
        await driver.until("2 jobs in progress")
        await driver.open("delivery-notes")
        await driver.until("waiting for the engine")
        held.release()
        await driver.until("3 of 3 done")
    _, message_of = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, message_of


@pytest.mark.parametrize("way", ["", "enter+i", "enter+enter", "slash"])
async def test_screens_can_be_closed_anywhere_and_the_job_runs_on(
    scene: Scene, held: Folder, job: "subprocess.Popen[str]", way: str
) -> None:
    async with open_app(scene) as driver:
        for key in filter(None, way.split("+")):
            await driver.press(key)
        await driver.press("ctrl+c")
        await driver.until(lambda: not driver.app.is_running)
    assert [summary.state for summary in list_jobs(scene.settings)] == [State.RUNNING]
    held.release()
    _, message_of = job.communicate(timeout=60)
    assert job.returncode == 0, message_of
