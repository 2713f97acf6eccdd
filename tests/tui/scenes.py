"""Homes to look at: models that look like exported ones, and jobs that really ran, with the no-op engine."""

import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from gguf_files import tiny_gguf

from appliance.ground.settings import Settings, load_settings
from appliance.jobs.job import JobConfig
from appliance.jobs.ledger_writer import Ledger
from appliance.models.compute_class import compute_class
from appliance.models.manifest import Manifest, rewrite_manifest, write_artifact
from appliance.models.manifest_json import JSON
from appliance.models.store import Store
from appliance.models.verdict import Verdict, sealed
from appliance.tasks.task import task_hash
from appliance.tasks.taskfile import load_task
from tests.appliance.batch_fixtures import TASK, Bench, job_dir_of

HOLD = "HOLD THE ENGINE\nnumber: 1\n"
KILL = "KILL THE ENGINE\n"
TOO_LONG = "word " * 1001

HOSTILE_NAMES = (
    b"a[/b].txt",
    b"[red]not red[/red].txt",
    b"\x1b[2J\x1b]0;owned\x07clear.txt",
    b"\x1b]52;c;b3duZWQ=\x07clipboard.txt",
    b"line\nbreak\r\ttab.txt",
    b"bad-\xff\xfe.txt",
    "right\u202eexe.txt".encode(),
    "\N{ZERO WIDTH JOINER}\N{SOFT HYPHEN}hidden\u2028line.txt".encode(),
    "\u9818\u53ce\u66f8\u3001\u5c0f\u8a08\u3068\u5408\u8a08\u306e\u63a7\u3048\u3068\u6ce8\u6587\u66f8\u306e\u5199\u3057"
    "\u306e\u9577\u3044\u540d\u524d\u306e\u6587\u66f8.txt".encode(),
    "e\u0301clair \N{GRINNING FACE}.txt".encode(),
    b"\xc2\x9b2Jc1.txt",
    b"folder/" + b"very-long-name-" * 12 + b"end.txt",
)


@dataclass
class Folder(Bench):
    """A folder of documents in a home that it shares with others."""

    home: Path = field(default_factory=Path)
    name: str = "documents"

    @property
    def documents_dir(self) -> Path:
        return self.root / self.name

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "STILLROOM_HOME": str(self.home)}


@dataclass
class Scene:
    """A home folder, and a place beside it for documents."""

    root: Path

    @property
    def home_dir(self) -> Path:
        return self.root / "house"

    @property
    def settings(self) -> Settings:
        return load_settings({"STILLROOM_HOME": str(self.home_dir)})

    def folder(self, name: str) -> Folder:
        """A new folder of documents."""
        return Folder(self.root / f"work-{name}", home=self.home_dir, name=name)

    def add_model(self, name: str, adapter_hash: str, verdict: str = "", size_bytes: int = 1000, **facts: str) -> str:
        """Installs a model, with a verdict if one is given; gives its identity."""
        task_path = self.root / "task.toml"
        task_path.write_text(TASK)
        metrics: dict[str, JSON] = {
            "field_accuracy": 0.9417,
            "documents": 240,
            "fields": {"number": 0.975, "total": 0.9083},
            "losses": [float(step) for step in range(20)],
        }
        manifest = Manifest(
            identity="",
            name=name,
            family=facts.get("family", "decoder"),
            format=facts.get("format", "gguf"),
            task_name=facts.get("task", "orders"),
            task_hash="ab12" * 16,
            quantization=facts.get("quantization", "Q8_0"),
            target=facts.get("target", "cpu"),
            prompt_form="stillroom-1",
            lineage={"teacher": "gpt-4", "base": "stillroom-base-6m", "base_hash": "b" * 64, "run": "0007"}
            | {"adapter_hash": adapter_hash},
            licence="Apache-2.0",
            metrics=metrics if verdict else {},
            created="2026-11-20T09:00:00Z",
        )
        source_dir = self.root / "artifacts" / name
        weights_path = self.root / "weights"
        # Zeros are no weights that an engine opens or that the store adds: a size of 0 asks for real ones.
        weights_path.write_bytes(bytes(size_bytes) or tiny_gguf())
        file_name = "model.onnx" if manifest.format == "onnx" else "model.gguf"
        manifest = write_artifact(source_dir, manifest, {file_name: weights_path, "task.toml": task_path})
        if verdict:
            judged = Verdict(
                verdict, "teacher", -0.004, -0.011, -0.02, 240, 2400, "d" * 64, "2026-11-20T10:00:00Z",
                manifest.identity, compute_class(manifest),
            )  # fmt: skip
            rewrite_manifest(source_dir, replace(manifest, verdict=sealed(judged)))
        shutil.copytree(source_dir, self.settings.models_dir / name)
        return manifest.identity

    def add_working_model(self, name: str, adapter_hash: str, pipes_dir: Path | None = None, misread: str = "") -> Path:
        """Installs a model of the engine without a model, which really answers; gives the folder it came from.

        Args:
            pipes_dir: Root of the folder whose pipes hold the engine.
            misread: Documents with this text get a wrong first value.
        """
        task_path = self.root / "task.toml"
        task_path.write_text(TASK)
        behaviour = {"misread": misread} if misread else {}
        if pipes_dir is not None:
            behaviour |= {"hold": "HOLD THE ENGINE", "reached_pipe": str(pipes_dir / "reached")}
            behaviour["release_pipe"] = str(pipes_dir / "release")
        behaviour_path = self.root / f"{name}.json"
        behaviour_path.write_text(json.dumps(behaviour))
        task = load_task(task_path)
        manifest = Manifest(
            "", name, "noop", "noop", task.name, task_hash(task), licence="Apache-2.0",
            lineage={"adapter_hash": adapter_hash},
            created="2026-11-20T09:00:00Z",
        )  # fmt: skip
        source_dir = self.root / "artifacts" / name
        write_artifact(source_dir, manifest, {"noop.json": behaviour_path, "task.toml": task_path})
        Store(self.settings).add(source_dir)
        return source_dir

    def break_model(self, name: str) -> None:
        """Cuts the manifest of an installed model."""
        path = self.settings.models_dir / name / "manifest.json"
        path.write_bytes(path.read_bytes()[:40])

    def break_job(self, identifier: str) -> None:
        """Fills the ledger of a job with something else."""
        directory = self.settings.jobs_dir / identifier
        for path in directory.glob("job.db*"):
            path.unlink()
        (directory / "job.db").write_bytes(b"\x1b[2J no database, whatever its name says\n" * 100)

    def write_ledger(self, identifier: str, name: str = "orders archive") -> tuple[Path, Ledger]:
        """A job without a process: its folder and the writing side of its ledger."""
        config = JobConfig(
            identifier, "ab12" * 16, "/srv/archive", "/srv/models/orders", "cd" * 32, "orders-q8", False, "all",
            "/srv/rows", "jsonl", 0,
        )  # fmt: skip
        directory = job_dir_of(self.settings, config, TASK.encode())
        return directory, Ledger(directory, identifier, name, "orders", "cd" * 32)
