"""A student the way a user makes one: `train`, `merge` and `export`, then answers by the artifact's engine."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import packages_first  # noqa: F401  # before `appliance`

from appliance.engines.engine import Request
from appliance.engines.open import open_engine
from appliance.ground.errors import ApplianceError
from appliance.tasks.folder import TaskFolder
from appliance.tasks.linecode import Answer
from appliance.tasks.taskfile import load_task

ROOT = Path(__file__).resolve().parents[1]


class CommandFailed(ApplianceError):
    """A command ended with this status, having said why."""

    def __init__(self, verb: str, status: int) -> None:
        super().__init__(f"`stillroom {verb}` ended with {status}", "its message is above")
        self.exit_code = status


def stillroom(*words: str, seconds: float | None = None) -> bool:
    """Runs a command of Stillroom; its screen goes to the error stream.

    Args:
        seconds: After so many it is interrupted as with Ctrl-C, so that it can be resumed.

    Returns:
        Whether it ended by itself.

    Raises:
        CommandFailed: It failed.
    """
    command = [sys.executable, "-P", "-m", "appliance.cli", *words]
    process = subprocess.Popen(command, stdout=sys.stderr, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()
        return False
    if status:
        raise CommandFailed(words[0], status)
    return True


def finished_run(folder: Path, words: Sequence[str], seconds: float | None = None, processes: int = 1) -> Path | None:
    """The task folder's run, trained with these words or trained on; None where its time ended first."""
    runs = TaskFolder(folder).runs()
    if done := [run.path for run in runs if run.is_finished]:
        return done[-1]
    together = ["--processes", str(processes)] if processes > 1 else []
    if not stillroom("train", str(folder), *(["--resume"] if runs else words), *together, seconds=seconds):
        return None
    return TaskFolder(folder).runs()[-1].path


def exported(run_dir: Path, target: str) -> Path:
    """The run's artifact."""
    artifact = run_dir / "export" / target
    if not artifact.is_dir():
        if not (run_dir / "merged").is_dir():
            stillroom("merge", str(run_dir))
        stillroom("export", str(run_dir), "--target", target)
    return artifact


@dataclass(frozen=True)
class KeptAnswer:
    """What a student said about one document."""

    answer: Answer
    confidence: dict[str, float]
    seconds: float = 0.0


def answers_of(artifact: Path, texts: Mapping[str, str], threads: int, kept: Path) -> dict[str, KeptAnswer]:
    """What the student says about each text, nothing where it fails; each answer is kept as soon as it is there."""
    answers: dict[str, KeptAnswer] = {}
    if kept.is_file():
        lines = map(json.loads, kept.read_text(encoding="utf-8").splitlines())
        answers = {key: KeptAnswer(**values) for key, values in lines}
    missing = {key: text for key, text in texts.items() if key not in answers}
    if not missing:
        return answers
    engine = open_engine(artifact, load_task(artifact), threads)
    try:
        with kept.open("a", encoding="utf-8") as file:
            for result in engine.answer(Request(key, text) for key, text in missing.items()):
                answer = KeptAnswer(result.answer or {}, result.confidence, result.seconds)
                answers[result.key] = answer
                file.write(json.dumps([result.key, asdict(answer)]) + "\n")
                file.flush()
    finally:
        engine.close()
    return answers
