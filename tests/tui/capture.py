"""Writes the screens of the documentation: `python -m tests.tui.capture docs/screens`, in the root of the checkout.

The real program in a terminal of 80x24, over models with made-up names and jobs that really run, one of them while the
screen is taken.
"""

import sys
import tempfile
from pathlib import Path

from appliance.models.store import Store
from tests.tui.scenes import HOLD, TOO_LONG, Folder, Scene
from tests.tui.terminal import Program


def main() -> int:
    """Takes the screens."""
    target_dir = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as root:
        scene = Scene(Path(root))
        furnish(scene)
        running = at_work(scene)
        job = running.start(*running.run_arguments())
        running.wait_until_held()
        try:
            take(scene, target_dir)
        finally:
            running.release()
            job.communicate(timeout=60)
    return 0


def furnish(scene: Scene) -> None:
    """Models, a job that ended well, one with failures, and one that was interrupted."""
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


def at_work(scene: Scene) -> Folder:
    """A folder on which a job stops in the middle until it is told to go on."""
    folder = scene.folder("april")
    folder.write_orders(1200)
    folder.write("0007.txt", TOO_LONG)
    folder.write("0019.txt", "\n")
    folder.write("0860.txt", HOLD)
    return folder


def take(scene: Scene, target_dir: Path) -> None:
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
        program.press("1")
        program.see("delivery-notes-q8")
        program.press("G")
        program.see("active: answers task orders")
        save(program, target_dir / "models-80x24.txt")
        program.press("q")
        program.end()


def save(program: Program, path: Path) -> None:
    """Writes what the screen shows, once what was asked for has had time to arrive."""
    program.read(1.0)
    path.write_text(program.display.text + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
