"""The terminal UI in a real pseudo terminal: first paint, bytes when idle and live, a thousand jobs, a huge job.

    python benchmarks/tui.py [--json] [--documents 1000000]

Everything is the program as a person starts it, in a terminal of 80x24; what it sends is counted and drawn on a screen
of our own, so "painted" means that the text can be read. The live figure watches the page of a job that really runs,
with the engine without a model, for twenty seconds. Run it on a quiet machine: first paint is mostly imports.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))

from appliance.documents.folder import FoundDocument  # noqa: E402 - after the path to the checkout
from appliance.jobs.ledger_writer import Ledger  # noqa: E402
from appliance.jobs.states import State  # noqa: E402
from tests.tui.scenes import Folder, Scene  # noqa: E402
from tests.tui.terminal import Program  # noqa: E402

STARTS = 7
IDLE_SECONDS = 20.0
LIVE_DOCUMENTS = 50_000
"""So many that the job is at work as long as it is watched."""
LIVE_SECONDS = 20.0
JUMPS = 9
JOBS = 1000
_BATCH = 10_000
TARGETS = {
    "first_paint_seconds": 0.7,
    "thousand_jobs_seconds": 0.7,
    "idle_bytes_per_second": 0.0,
    "live_bytes_per_second": 10_000.0,
    "open_million_ms": 250.0,
}
"""Of a thousand jobs, until their list can be read. The last one is what a person still feels as at once."""


def program(scene: Scene) -> Program:
    """The program over this home."""
    return Program("tui", environment={"STILLROOM_HOME": str(scene.home_dir)})


def first_paint(scene: Scene, wanted: str = "q Quit") -> list[float]:
    """Seconds from the start of the process to the first screen, of several starts; the first one is a warm-up.

    Args:
        wanted: What the screen shows by then.
    """
    seconds = []
    for _ in range(STARTS + 1):
        with program(scene) as started:
            begun = time.perf_counter()
            started.see(wanted)
            seconds.append(time.perf_counter() - begun)
            started.press("q")
            started.end()
    return seconds[1:]


def furnish(scene: Scene, jobs: int) -> None:
    """Makes so many jobs that ended long ago; their ledgers are links to one."""
    directory, ledger = scene.write_ledger("orders-0123456789", "orders archive")
    add_documents(ledger, 1000)
    ledger.end_run(State.DONE)
    ledger.close()
    for number in range(1, jobs):
        copy = directory.with_name(f"{directory.name}-{number:04}")
        copy.mkdir()
        for name in ("job.db", "job.toml", "task.toml"):
            os.link(directory / name, copy / name)
    # Only ledgers that are at rest are kept in the index.
    at = time.time() - 60
    os.utime(directory / "job.db", (at, at))


def idle(scene: Scene) -> float:
    """Bytes a second on a screen on which nothing happens."""
    with program(scene) as started:
        started.press("1")
        started.see("receipts-q8")
        started.read(2.0)
        sent = started.read(IDLE_SECONDS)
        started.press("q")
        started.end()
    return sent / IDLE_SECONDS


def live(scene: Scene, folder: Folder) -> tuple[float, int]:
    """Bytes a second on the page of a job that runs, and how many documents it did meanwhile."""
    job = folder.start(*folder.run_arguments())
    try:
        with program(scene) as started:
            started.see("running      orders letters")
            started.press("\r")
            started.see("documents/s")
            started.read(2.0)
            before = done(started)
            sent = started.read(LIVE_SECONDS)
            after = done(started)
            started.press("q")
            started.end()
    finally:
        job.terminate()
        job.communicate(timeout=60)
    return sent / LIVE_SECONDS, after - before


def done(started: Program) -> int:
    """How many documents the page says are done."""
    line = next(line for line in started.display.lines if " done, " in line)
    return int(line.split("]")[1].split(" of ")[0].replace(",", ""))


def fill(scene: Scene, documents: int) -> None:
    """Writes the ledger of a job with so many documents."""
    _, ledger = scene.write_ledger("orders-0123456789", "orders million")
    add_documents(ledger, documents)
    ledger.close()


def add_documents(ledger: Ledger, documents: int) -> None:
    """Adds documents in batches."""
    for start in range(0, documents, _BATCH):
        last = min(start + _BATCH, documents)
        ledger.add_documents(FoundDocument(f"{number:08}.txt".encode(), 100, 1) for number in range(start, last))


def jumps(scene: Scene, documents: int) -> list[float]:
    """Milliseconds from a key to the drawn screen: opening the job, then to its end and back to its start."""
    took = []
    last = f"{documents - 1:08}.txt"
    with program(scene) as started:
        started.see("orders million")
        for key, wanted in [("\r", "00000000.txt"), *[("G", last), ("g", "00000000.txt")] * (JUMPS // 2)]:
            begun = time.perf_counter()
            started.press(key)
            started.see(lambda screen, wanted=wanted: is_chosen(screen.lines, wanted))
            took.append(1000 * (time.perf_counter() - begun))
        started.press("q")
        started.end()
    return took


def is_chosen(lines: list[str], name: str) -> bool:
    """Whether the screen shows this document as the chosen one."""
    return any(line.startswith(">") and name in line for line in lines)


def measure(documents: int) -> dict[str, float]:
    """All figures."""
    with tempfile.TemporaryDirectory() as root:
        scene = Scene(Path(root))
        scene.add_model("receipts-q8", "9f2c41d0" * 8, "READY")
        painted = first_paint(scene)
        idle_bytes = idle(scene)
        folder = scene.folder("letters")
        folder.write_orders(LIVE_DOCUMENTS)
        live_bytes, watched = live(scene, folder)
    with tempfile.TemporaryDirectory() as root:
        # A home of its own: the list has one job, and it is chosen.
        scene = Scene(Path(root))
        fill(scene, documents)
        took = jumps(scene, documents)
    with tempfile.TemporaryDirectory() as root:
        scene = Scene(Path(root))
        furnish(scene, JOBS)
        # The warm-up makes the index of the jobs; the starts that count find it.
        many = first_paint(scene, "orders archive")
    return {
        "first_paint_seconds": round(statistics.median(painted), 3),
        "first_paint_worst_seconds": round(max(painted), 3),
        "thousand_jobs_seconds": round(statistics.median(many), 3),
        "idle_bytes_per_second": round(idle_bytes, 1),
        "live_bytes_per_second": round(live_bytes, 1),
        "live_documents": watched,
        "open_million_ms": round(statistics.median(took), 1),
        "open_million_worst_ms": round(max(took), 1),
        "documents": documents,
    }


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Measures the terminal UI.")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    parser.add_argument("--documents", type=int, default=1_000_000, help="of the large job")
    arguments = parser.parse_args()
    figures = measure(arguments.documents)
    if not arguments.json:
        print(f"{'figure':26} {'measured':>10}  {'at most':>10}")
        for name, value in figures.items():
            limit = f"{TARGETS[name]:>10,g}" if name in TARGETS else " " * 10
            print(f"{name:26} {value:>10,g}  {limit}")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
