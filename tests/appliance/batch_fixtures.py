"""A task, a folder and an artifact of the no-op engine, and the real command line in a process of its own."""

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from appliance.ground.settings import Settings, load_settings
from appliance.jobs.job import JobConfig, job_folder, write_job
from appliance.models.manifest import read_manifest, write_artifact
from tests.noop_fixtures import TASK, noop_manifest

__all__ = ("TASK", "Bench", "job_dir_of")


def job_dir_of(settings: Settings, config: JobConfig, task_text: bytes) -> Path:
    """The folder of a job that nobody has run, with its files."""
    directory = job_folder(settings, config)
    write_job(directory, config, task_text)
    return directory


HELD_WITHIN_SECONDS = 120


@dataclass
class Bench:
    """Everything that one run of `stillroom run` needs, in one temporary folder."""

    root: Path
    behaviour: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for directory in (self.home_dir, self.documents_dir):
            directory.mkdir(parents=True)
        self.task_path.write_text(TASK)
        for pipe in ("reached", "release"):
            os.mkfifo(self.root / pipe)
        behaviour = {
            "kill": "KILL THE ENGINE",
            "hold": "HOLD THE ENGINE",
            "reached_pipe": str(self.root / "reached"),
            "release_pipe": str(self.root / "release"),
        }
        behaviour_path = self.root / "noop.json"
        behaviour_path.write_text(json.dumps(behaviour))
        files = {"task.toml": self.task_path, "noop.json": behaviour_path}
        write_artifact(self.artifact_dir, noop_manifest(self.task_path), files)

    @property
    def home_dir(self) -> Path:
        return self.root / "home"

    @property
    def documents_dir(self) -> Path:
        return self.root / "documents"

    @property
    def task_path(self) -> Path:
        return self.root / "orders.toml"

    @property
    def artifact_dir(self) -> Path:
        return self.root / "orders-noop"

    @property
    def identity(self) -> str:
        return read_manifest(self.artifact_dir).identity

    @property
    def out_dir(self) -> Path:
        return self.root / "out"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "STILLROOM_HOME": str(self.home_dir),
            "STILLROOM_SETTLE_SECONDS": "0",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }

    @property
    def settings(self) -> Settings:
        return load_settings(self.environment)

    def write(self, name: str | bytes, text: str = "") -> None:
        """Writes a document; without a text, an order whose number is its name."""
        raw = os.path.join(os.fsencode(self.documents_dir), os.fsencode(name))
        os.makedirs(os.path.dirname(raw), exist_ok=True)
        with open(raw, "w", encoding="utf-8") as file:
            file.write(text or f"an order\nnumber: {os.fsencode(name).hex()}\ntotal: 12.50\n")

    def write_orders(self, count: int) -> None:
        """Writes so many orders with numbers as names."""
        for number in range(count):
            self.write(f"{number:04}.txt")

    def run_arguments(self, *options: str) -> list[str]:
        """The words of `stillroom run` for this bench."""
        return [
            "run", str(self.task_path), str(self.documents_dir), "--out", str(self.out_dir),
            "--model", str(self.artifact_dir), *options,
        ]  # fmt: skip

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts the command line."""
        return subprocess.Popen(
            [sys.executable, "-c", "import sys; from appliance.cli import main; sys.exit(main())", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs the command line to its end."""
        process = self.start(*arguments)
        stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def run(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """Runs `stillroom run` to its end."""
        return self.call(*self.run_arguments(*options))

    def rows(self) -> list[dict[str, object]]:
        """The rows in the output folder."""
        text = (self.out_dir / "rows.jsonl").read_text("utf-8")
        return [json.loads(line) for line in text.split("\n") if line]

    def wait_until_held(self) -> None:
        """Returns when the engine has the document that holds it in work."""
        descriptor = os.open(self.root / "reached", os.O_RDONLY | os.O_NONBLOCK)
        try:
            reached = select.poll()
            reached.register(descriptor, select.POLLIN)
            # A job that died never opens the pipe.
            assert reached.poll(HELD_WITHIN_SECONDS * 1000), "no engine holds a document"
            os.set_blocking(descriptor, True)
            # To its end: a writer that is killed while it still holds the pipe would answer the next call too.
            while os.read(descriptor, 1024):
                pass
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Lets the held engine go on."""
        with open(self.root / "release", "wb"):
            pass
