"""What Stillroom itself costs per document: many small documents and an engine that answers at once.

    python benchmarks/ledger.py --documents 100000 --json

The real command runs over a folder of generated orders with the no-op engine. The supervisor is a process of its own,
so its processor time and its memory are those of walking, hashing, handing out, checking and writing down, without the
readers and the engine. Then a thousand jobs of that size are listed, first without an index and then with it: their
ledgers are links to the one that the run made.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from appliance.ground.errors import ApplianceError
from appliance.ground.progress import Progress
from appliance.ground.settings import Settings, load_settings
from appliance.jobs.job_plan import JobRequest
from appliance.jobs.job_run import run_request
from appliance.jobs.ledger import list_jobs
from appliance.models.manifest import Manifest, write_artifact
from appliance.tasks.task import task_hash
from appliance.tasks.taskfile import load_task

LIMIT_MS = 2.0
LIMIT_MB = 200.0
LISTED_JOBS = 1000
LIMIT_LIST_MS = 50.0
_PER_FOLDER = 1000
_TASK = """version = 1
name = "orders"
kind = "extract"
instruction = "Read the order"

[[fields]]
name = "number"
type = "text"

[[fields]]
name = "total"
type = "amount"
"""


@dataclass(frozen=True)
class Bench:
    """Where everything of one measurement lies."""

    root: Path

    @property
    def settings(self) -> Settings:
        """Settings of a home folder of its own."""
        return load_settings({"STILLROOM_HOME": str(self.root / "home")})

    @property
    def request(self) -> JobRequest:
        """The run that is measured."""
        artifact_dir = str(self.root / "orders-noop")
        return JobRequest(self.root / "task.toml", self.root / "documents", self.root / "out", artifact_dir)


def prepare(bench: Bench, documents: int) -> None:
    """Writes the documents, a task, and an artifact of the no-op engine."""
    for number in range(documents):
        path = bench.root / "documents" / f"{number // _PER_FOLDER:04}" / f"{number:07}.txt"
        if number % _PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_text(f"Order\nnumber: A-{number}\ntotal: {number % 997}.{number % 100:02}\nWe thank you for it.\n")
    task_path, behaviour_path = bench.root / "task.toml", bench.root / "noop.json"
    task_path.write_text(_TASK)
    behaviour_path.write_text("{}")
    task = load_task(task_path)
    manifest = Manifest(
        identity="", name="orders-noop", family="noop", format="noop", task_name=task.name,
        task_hash=task_hash(task),
    )  # fmt: skip
    write_artifact(bench.root / "orders-noop", manifest, {"task.toml": task_path, "noop.json": behaviour_path})


def supervise(bench: Bench) -> dict[str, float]:
    """Runs the job in this process; its own processor time and memory, children apart."""
    seen: list[float] = []

    def watch(progress: Progress) -> None:
        if not seen and progress.done * 10 >= progress.total:
            seen.append(memory_mb("VmRSS"))

    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.monotonic()
    outcome = run_request(bench.settings, bench.request, watch)
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "done": outcome.summary.done,
        "cpu_seconds": cpu_seconds,
        "seconds": seconds,
        "mb_at_tenth": seen[0] if seen else 0.0,
        "peak_mb": memory_mb("VmHWM"),
    }


def memory_mb(name: str) -> float:
    """A figure of this process's memory, in MB of 10^6 bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def time_of_list(bench: Bench) -> tuple[float, float]:
    """Milliseconds to list a thousand jobs without and with the index."""
    settings = bench.settings
    (directory,) = (path for path in settings.jobs_dir.iterdir() if not path.name.startswith("."))
    for number in range(1, LISTED_JOBS):
        copy = directory.with_name(f"{directory.name}-{number:04}")
        copy.mkdir()
        for name in ("job.db", "job.toml", "task.toml"):
            os.link(directory / name, copy / name)
    # Only ledgers that are at rest are kept in the index.
    at = time.time() - 60
    os.utime(directory / "job.db", (at, at))
    took = []
    for _ in range(4):
        started = time.perf_counter()
        listed = list_jobs(settings)
        took.append(1000 * (time.perf_counter() - started))
        if len(listed) != LISTED_JOBS:
            raise ApplianceError(f"{len(listed)} jobs were listed, {LISTED_JOBS} are there")
    return took[0], min(took[1:])


def measure(documents: int, work_dir: Path) -> dict[str, object]:
    """All figures."""
    bench = Bench(work_dir)
    prepare(bench, documents)
    run = subprocess.run(
        [sys.executable, __file__, "--supervise", str(work_dir)], stdout=subprocess.PIPE, text=True, check=False
    )
    if run.returncode:
        raise ApplianceError("the measured run failed; what it said is above")
    figures: dict[str, float] = json.loads(run.stdout)
    if figures["done"] != documents:
        raise ApplianceError(f"{figures['done']} of {documents} documents have an answer")
    cold_ms, list_ms = time_of_list(bench)
    return {
        "documents": documents,
        "ms_per_document": round(1000 * figures["cpu_seconds"] / documents, 3),
        "peak_mb": round(figures["peak_mb"], 1),
        "mb_at_tenth": round(figures["mb_at_tenth"], 1),
        "documents_per_second": round(documents / figures["seconds"], 1),
        "listed_jobs": LISTED_JOBS,
        "list_ms": round(list_ms, 1),
        "list_without_index_ms": round(cold_ms, 1),
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
    }


def print_table(result: dict[str, object]) -> None:
    """The figures beside what they may be."""
    print(f"{result['documents']:,} documents of 80 bytes, no-op engine, {result['cores']} cores")
    for name, told, limit in (
        ("ms_per_document", "supervisor's processor time per document", f"at most {LIMIT_MS} ms"),
        ("peak_mb", "supervisor's memory, highest", f"at most {LIMIT_MB:.0f} MB"),
        ("mb_at_tenth", "the same after a tenth of the documents", "about the same"),
        ("documents_per_second", "documents/s, everything together", ""),
        ("list_ms", f"list of {LISTED_JOBS:,} such jobs, ms", f"at most {LIMIT_LIST_MS:.0f} ms"),
        ("list_without_index_ms", "the same without an index, ms", ""),
    ):
        print(f"  {told:44}{result[name]:>12}   {limit}")


def main() -> int:
    """Measures; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object, after the table")
    parser.add_argument("--supervise", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.supervise:
        print(json.dumps(supervise(Bench(arguments.supervise))))
        return 0
    work_dir = Path(tempfile.mkdtemp(prefix="ledger-"))
    try:
        result = measure(arguments.documents, work_dir)
    except ApplianceError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)
    print_table(result)
    if arguments.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
