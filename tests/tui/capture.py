"""Writes the screens of the documentation, in the root of the checkout:

    PYTHONPATH=tests python -m tests.tui.capture docs/screens

The real program in a terminal of 80x24, over models with made-up names and jobs that really run, one of them while the
screen is taken.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

from appliance.comparison.request import CompareRequest, prepare_comparison
from appliance.comparison.run import run_comparison
from appliance.models.manifest import write_artifact
from appliance.models.store import Store
from appliance.review.queue import Kind, QueueEntry, write_queue
from appliance.tasks.collect_progress import CollectProgress, write_collect_progress
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import LabelledRow
from tests.appliance.jobs.test_record_jobs import TASK, page
from tests.noop_fixtures import noop_manifest
from tests.tui.scenes import HOLD, TOO_LONG, Folder, Scene
from tests.tui.terminal import Program

DELIVERIES = """version = 2
name = "deliveries"
kind = "extract"
instruction = "Read the delivery note"

[[fields]]
name = "number"

[[fields]]
name = "sender"

[[fields]]
name = "net_weight"
"""


def main() -> int:
    """Takes the screens."""
    target_dir = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as root:
        scene = Scene(Path(root))
        furnish(scene)
        running = at_work(scene)
        job = running.start(*running.run_arguments())
        running.wait_until_held()
        try:
            take_screens(scene, target_dir)
        finally:
            running.release()
            job.communicate(timeout=60)
        take_records(Scene(Path(root) / "lines"), target_dir)
        take_teaching(Scene(Path(root) / "teacher"), target_dir)
    return 0


def take_records(scene: Scene, target_dir: Path) -> None:
    """A document whose lines do not add up."""
    scene.root.mkdir()
    folder = scene.folder("orders")
    folder.task_path.write_text(TASK.replace("LONG", "window"))
    files = {"task.toml": folder.task_path, "noop.json": folder.root / "noop.json"}
    write_artifact(folder.root / "order-lines", noop_manifest(folder.task_path), files)
    lines = [("ball valve", "12.50"), ("copper pipe 15 mm", "8.40"), ("hex bolt M8", "0.90"), ("pipe clamp", "3.20")]
    folder.write("order-0117.txt", page(lines, net="27.50"))
    words = ["run", str(folder.task_path), str(folder.documents_dir), "--out", str(folder.out_dir)]
    folder.call(*words, "--model", str(folder.root / "order-lines"))
    with Program("tui", environment={"STILLROOM_HOME": str(scene.home_dir)}) as program:
        program.see("orders")
        program.press("\r")
        program.see("order-0117.txt")
        program.press("\r")
        program.see("marked in the text")
        program.press("jjjj")
        program.see("items 2: copper pipe 15 mm")
        save(program, target_dir / "records-80x24.txt")
        program.press("q")
        program.end()


def take_teaching(scene: Scene, target_dir: Path) -> None:
    """A teacher that is asked, and one of its answers that is likely wrong."""
    folder = TaskFolder(scene.root / "deliveries")
    folder.path.mkdir(parents=True)
    folder.task_path.write_text(DELIVERIES)
    write_collect_progress(
        folder.collect_progress_path,
        CollectProgress(
            "large", 800, 120, 311, 4, {"refused": 1, "truncated": 2}, 0,
            "the frontier refused to answer: the document may hold personal data", 1.84, 4.07, "EUR", 540.0,
        ),
    )  # fmt: skip
    entries = [delivery(1042, "Ostwald Mills", "24.5"), delivery(1043, "Brenner & Sons", "18")]
    write_queue(folder.queue_path, entries)
    # Started beside the folder, so that the commands name it as a person does, not where it lies on this machine.
    with (
        contextlib.chdir(scene.root),
        Program("tui", "--task", folder.path.name, environment={"STILLROOM_HOME": str(scene.home_dir)}) as program,
    ):
        program.see("434 of 800")
        save(program, target_dir / "teach-80x24.txt")
        program.press("r")
        program.see("note-1042.txt")
        save(program, target_dir / "review-80x24.txt")
        program.press("q")
        program.end()


def delivery(number: int, sender: str, gross: str) -> QueueEntry:
    """A delivery note whose teacher took the gross weight for the net weight."""
    text = (
        f"DELIVERY NOTE   DN-{number}\n\nFrom       {sender}\nTo         Harbour Store, Quay 4\n"
        f"Date       3 March 2026\n\nGross weight   {gross} kg\nNet weight     6.9 kg\n\n"
        "Goods were received complete and undamaged.\n"
    )
    row = LabelledRow(
        f"note-{number}.txt", text, {"number": f"DN-{number}", "sender": sender, "net_weight": gross}
    )  # fmt: skip
    return QueueEntry(row, 1.0, Kind.RANKED, {"net_weight": "truth: net_weight is likelier '6.9'"})


def furnish(scene: Scene) -> None:
    """Models, a job that ended well, one with failures, one that was interrupted, and a comparison."""
    scene.add_model("orders-q8", "9f2c41d07a55e0b3" * 4, "READY", 7_800_000)
    scene.add_model("orders-q4", "41be90cc25d1f7a8" * 4, "NEED 180 MORE", 4_600_000, quantization="Q4_K_M")
    scene.add_model(
        "enquiries-int8", "c07e5512b4a9d386" * 4, "NOT READY", 23_400_000,
        family="encoder", format="onnx", quantization="int8", task="enquiries",
    )  # fmt: skip
    scene.add_model("delivery-notes-q8", "5d83fa1067cc92e4" * 4, "", 7_800_000, task="delivery-notes")
    Store(scene.settings).activate("orders-q8")
    march = scene.folder("march")
    march.write_orders(480)
    march.run()
    scans = scene.folder("scans")
    scans.write_orders(160)
    scans.write("0012.pdf", "%PDF-1.4 no page in here")
    scans.write("0047.txt", "\n")
    scans.write("0101.txt", TOO_LONG)
    scans.write("copies/0047 [second copy].txt", "\n")
    scans.run()
    compare(scene)


def compare(scene: Scene) -> None:
    """Two models that really answer, one of which misreads some documents."""
    scene.add_working_model("orders-a", "aa11" * 16)
    scene.add_working_model("orders-b", "bb22" * 16, misread="rush order")
    may = scene.folder("may")
    may.write_orders(180)
    for number in range(20):
        may.write(f"rush-{number:02}.txt", f"rush order\nnumber: R-{number:04}\ntotal: {number}.00\n")
    task_path = scene.settings.models_dir / "orders-a" / "task.toml"
    request = CompareRequest(task_path, may.documents_dir, ("orders-a", "orders-b"))
    run_comparison(scene.settings, prepare_comparison(scene.settings, request), lambda _progress: None)


def at_work(scene: Scene) -> Folder:
    """A folder on which a job stops in the middle until it is released."""
    folder = scene.folder("april")
    folder.write_orders(1200)
    folder.write("0007.txt", TOO_LONG)
    folder.write("0019.txt", "\n")
    folder.write("0860.txt", HOLD)
    return folder


def take_screens(scene: Scene, target_dir: Path) -> None:
    """The screens, one after the other."""
    with Program("tui", environment={"STILLROOM_HOME": str(scene.home_dir)}) as program:
        program.see("running      orders april")
        program.see("~")
        save(program, target_dir / "jobs-80x24.txt")
        program.press("\r")
        program.see("of 1,200 done")
        program.press("jjjjjjj")
        program.see("too_long: the document")
        save(program, target_dir / "job-80x24.txt")
        program.press("k\r")
        program.see("marked in the text")
        save(program, target_dir / "document-80x24.txt")
        take_models(program, target_dir)
        take_comparison(program, target_dir)
        take_new_job(scene, program, target_dir)
        program.press("q")
        program.end()


def take_models(program: Program, target_dir: Path) -> None:
    """The list of models, and the question before one that is not READY is activated."""
    program.press("1")
    program.see("delivery-notes-q8")
    program.press("G")
    program.see("active: answers task orders")
    save(program, target_dir / "models-80x24.txt")
    program.press("ka")
    program.see("type unsafe and press Enter")
    save(program, target_dir / "activate-80x24.txt")
    program.press("\x1b")
    program.see("i Import")


def take_comparison(program: Program, target_dir: Path) -> None:
    """Totals, and one of the documents that differ."""
    program.press("3")
    program.see("orders-a | orders-b")
    program.press("\r")
    program.see("money per 1,000")
    save(program, target_dir / "comparison-80x24.txt")
    program.press("\r")
    program.see("1 of 20")
    save(program, target_dir / "differing-80x24.txt")


def take_new_job(scene: Scene, program: Program, target_dir: Path) -> None:
    """The form."""
    program.press("2")
    program.see("marked in the text")
    program.press("2")
    program.see("n New job")
    program.press("n")
    program.see("Type the folder with the documents")
    program.press(str(scene.root / "work-may" / "may"))
    program.see("200 documents")
    save(program, target_dir / "new-job-80x24.txt")
    program.press("\x1b")
    program.see("n New job")


def save(program: Program, path: Path) -> None:
    """Writes what the screen shows, once what was asked for has had time to arrive."""
    program.read(1.0)
    path.write_text(program.display.text + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
