"""The demo's course: every verb once, on generated documents, in a folder of its own."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.documents.sandbox import read_files
from appliance.ground.errors import ApplianceError, NotAllGood, UsageError
from appliance.ground.json_text import json_text
from appliance.ground.output import note
from appliance.ground.text import human_duration
from appliance.tasks.folder import TASK_FILE, TaskFolder
from appliance.tasks.linecode import Answer
from training.demo.files import write_documents
from training.demo.utility import draw_bills, teacher_rows, truth_of
from training.target_check import target_problems
from training.verb_call import call_verb

MARKER = ".stillroom-demo"
TEACHER = "recorded-teacher"
OWN_BASE = "stillroom-base"
TARGETS = ("gguf-q8_0", "onnx")


@dataclass(frozen=True)
class Size:
    """How much a demo does."""

    taught: int
    """Documents with a recorded teacher answer."""
    scored: int
    compared: int
    """Scored documents on which the formats are compared."""
    train_options: tuple[str, ...]


FULL = Size(400, 200, 60, ("--epochs", "8", "--seconds", "180"))
QUICK = Size(120, 40, 10, ("--epochs", "4", "--seconds", "18"))
OTHER_BASE = Size(160, 60, 8, ("--epochs", "3", "--seconds", "420"))
"""For a base of some hundred million weights, which two cores train at some hundred tokens a second."""
QUICK_OTHER_BASE = Size(40, 12, 3, ("--epochs", "2", "--seconds", "90"))


@dataclass
class Course:
    """A demo's folders, steps and messages."""

    folder: Path
    size: Size
    seed: int
    base_dir: Path | None = None
    """Another base than the task's own."""
    steps: int = 9
    step: int = 0

    @property
    def task_dir(self) -> Path:
        """The task folder."""
        return self.folder / "task"

    @property
    def documents_dir(self) -> Path:
        """The documents that are scored."""
        return self.folder / "documents"

    @property
    def taught_dir(self) -> Path:
        """The documents that the teacher answered."""
        return self.folder / "taught"

    @property
    def home_dir(self) -> Path:
        """The demo's own store and jobs."""
        return self.folder / "home"

    @contextlib.contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Says which step runs and how long it took."""
        self.step += 1
        note(f"[{self.step}/{self.steps}] {what}")
        began = time.monotonic()
        yield
        note(f"      {human_duration(time.monotonic() - began)}")


def open_folder(folder: Path) -> None:
    """An empty folder; what an earlier demo left there goes away.

    Raises:
        UsageError: The folder holds something else.
    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise UsageError(f"{folder} is not empty and no demo made it", "name another folder with --work")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text("This folder belongs to `stillroom demo` and is emptied by the next one.\n")


def targets_of(base_dir: Path) -> tuple[str, ...]:
    """What a student of this base is exported to: one target of each format that it can become.

    Raises:
        UsageError: It can become none.
    """
    problems = target_problems(base_dir, TARGETS, "decoder")
    formats = {target.partition("-")[0] for target in problems}
    targets = tuple(target for target in TARGETS if target.partition("-")[0] not in formats)
    if not targets:
        target, (problem, hint) = next(iter(problems.items()))
        raise UsageError(f"a student of {base_dir.name} cannot become {target}: {problem}", hint)
    return targets


def write_inputs(course: Course) -> dict[str, Answer]:
    """Task folder, documents, recorded answers; returns the truth of the scored documents by file name."""
    course.task_dir.mkdir()
    task_text = Path(__file__).with_name(TASK_FILE).read_text(encoding="utf-8")
    if course.base_dir is not None:
        task_text = task_text.replace(f'base = "{OWN_BASE}"', f"base = {json_text(str(course.base_dir))}")
    TaskFolder(course.task_dir).task_path.write_text(task_text, encoding="utf-8")
    scored = draw_bills(course.seed, course.size.scored, "test")
    paths = write_documents(course.documents_dir, [bill.text for bill in scored], "Utility bill")
    taught = draw_bills(course.seed, course.size.taught, "train")
    taught_paths = write_documents(course.taught_dir, [bill.text for bill in taught], "Utility bill")
    recorded, planted = [], []
    for path, row in zip(taught_paths, teacher_rows(course.seed, [truth_of(bill) for bill in taught]), strict=True):
        recorded.append(json_text({"document": path.name, "answer": row.answer}))
        planted.append(json_text({"document": path.name, "mistake": row.mistake}, ascii_only=True))
    (course.folder / "recorded.jsonl").write_text("\n".join(recorded) + "\n", encoding="utf-8")
    (course.folder / "planted.jsonl").write_text("\n".join(planted) + "\n", encoding="utf-8")
    golds: dict[str, Answer] = {path.name: dict(truth_of(bill)) for path, bill in zip(paths, scored, strict=True)}
    lines = [json_text({"document": name, "answer": gold}) for name, gold in golds.items()]
    (course.folder / "truth.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return golds


def read_scored(course: Course) -> dict[str, str]:
    """Texts of the scored documents by file name, through the confined readers of `stillroom run`.

    Raises:
        ApplianceError: One of them cannot be read.
    """
    names = sorted(path.name for path in course.documents_dir.iterdir())
    texts = {}
    for path, reply in read_files(course.documents_dir, map(os.fsencode, names)):
        if reply.problem is not None:
            raise ApplianceError(f"{os.fsdecode(path)} of the demo cannot be read: {reply.message}")
        texts[os.fsdecode(path)] = reply.text
    return texts


def collect_and_curate(course: Course) -> dict[str, object]:
    """Imports the recorded answers and filters them; returns the curation's report."""
    task = str(course.task_dir)
    recorded, taught = str(course.folder / "recorded.jsonl"), str(course.taught_dir)
    with contextlib.suppress(NotAllGood):  # answers of a wrong form are rejected here or by the curation
        call_verb("collect", task, "--recorded", recorded, "--documents", taught, "--teacher", TEACHER, "--json")
    # The scored documents judge the student: only a small share is kept back to choose the epoch.
    report: dict[str, object] = json.loads(call_verb("curate", task, "--validation", "0.08", "--test", "0", "--json"))
    return report


def run_folder(course: Course, model: Path) -> dict[str, object]:
    """`stillroom run` in a process of its own, with its progress on this terminal; returns its summary."""
    out = course.folder / "rows"
    # -P: never a module of the folder that somebody happened to stand in.
    command = [sys.executable, "-P", "-m", "appliance.cli", "run", str(course.task_dir), str(course.documents_dir)]
    command += ["--out", str(out), "--model", str(model), "--json"]
    environ = {**os.environ, "STILLROOM_HOME": str(course.home_dir)}
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, NotAllGood.exit_code):
        raise ApplianceError(f"the run over {course.documents_dir} failed", "its message is above")
    summary: dict[str, object] = json.loads(done.stdout)
    return summary
