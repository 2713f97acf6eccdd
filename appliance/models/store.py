"""Installed models: `models/<name>/` of the home folder, and which one answers each task."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.ground.errors import ApplianceError, NotAllGood, ResourceError, UsageError
from appliance.ground.files import put_in_place, write_file
from appliance.ground.json_text import json_text
from appliance.ground.locks import exclusive_lock
from appliance.ground.progress import OnProgress, ProgressCounter, ignore_progress
from appliance.ground.settings import Settings
from appliance.ground.spelling import nearest
from appliance.ground.text import human_count, human_size
from appliance.models.manifest import (
    MANIFEST_NAME,
    Manifest,
    read_manifest,
    verify_artifact,
    write_artifact,
)

ACTIVE_NAME = "active.json"
ACTIVE_VERSION = 1
SHORTEST_PREFIX = 4
MOST_FORMER = 20
"""Previous models of a task that can be rolled back to."""
SPARE_BYTES = 50_000_000
"""Space that adding a model leaves free."""


@dataclass(frozen=True)
class InstalledModel:
    """A model of the store."""

    name: str
    directory: Path
    manifest: Manifest
    active: bool
    """Whether it answers its task."""


def check_name(name: str) -> None:
    """Refuses what is no name for a model in the store."""
    if name == ACTIVE_NAME or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}", name):
        raise UsageError(f"{name!r} is not a valid model name", "use up to 100 letters, digits, _ . + and -")


class Store:
    """The models of one home folder. Changes are made under a lock and appear whole."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models_dir = settings.models_dir

    def list(self) -> tuple[InstalledModel, ...]:
        """All models whose manifest can be read, by name."""
        current = self._read_active()
        models = []
        for directory in self._folders():
            if directory.name.startswith(".") or not (directory / MANIFEST_NAME).is_file():
                continue
            try:
                manifest = read_manifest(directory)
            except ApplianceError:
                continue
            names = current.get(manifest.task_name, ())
            models.append(InstalledModel(directory.name, directory, manifest, directory.name in names[:1]))
        return tuple(models)

    def broken(self) -> tuple[str, ...]:
        """Names of folders whose manifest cannot be read."""
        good = {model.name for model in self.list()}
        names = (path.name for path in self._folders() if path.is_dir() and not path.name.startswith("."))
        return tuple(sorted(name for name in names if name not in good))

    def _folders(self) -> tuple[Path, ...]:
        """What lies in the store, in order of names."""
        try:
            return tuple(sorted(self._models_dir.iterdir()))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise ResourceError(
                f"cannot look into {self._models_dir}: {error.strerror}", "check its owner and permissions"
            ) from error

    def get(self, name: str) -> InstalledModel:
        """The model with this name, or with an identity that begins so.

        Raises:
            UsageError: No model or several models match.
            ArtifactError: The model's manifest cannot be read.
        """
        models = self.list()
        for model in models:
            if model.name == name:
                return model
        matching = [m for m in models if len(name) >= SHORTEST_PREFIX and m.manifest.identity.startswith(name.lower())]
        if len(matching) == 1:
            return matching[0]
        if matching:
            raise UsageError(f"{len(matching)} models have an identity that begins with {name}", "use the model's name")
        if name in self.broken():
            read_manifest(self._models_dir / name)
        similar = nearest(name, [model.name for model in models])
        hint = f"did you mean {similar}? " if similar else ""
        raise UsageError(f"no model {name} is installed", f"{hint}`stillroom models list` shows all")

    def add(
        self, source_dir: Path, name: str | None = None, on_progress: OnProgress = ignore_progress
    ) -> InstalledModel:
        """Verifies an artifact folder and copies it into the store; the same model again changes nothing.

        Args:
            on_progress: Bytes; each file is read three times. What it raises ends the work.

        Raises:
            ArtifactError: A file differs from the manifest.
            UsageError: The name is taken by another model.
            ResourceError: The disk has no room.
        """
        read = ProgressCounter(on_progress, 3 * read_manifest(source_dir).size_bytes, "byte", "checking and copying")
        manifest = verify_artifact(source_dir, read.add)
        name = name or manifest.name
        check_name(name)
        with self._changing():
            directory = self._models_dir / name
            self._check_name(directory, manifest)
            self._check_space(manifest)
            files = {entry: source_dir / entry for entry in manifest.files}
            write_artifact(directory, manifest, files, read.add, exact=True)
        return self.get(name)

    def verify(self, name: str, on_progress: OnProgress = ignore_progress) -> InstalledModel:
        """Compares every file of the model with its manifest.

        Raises:
            ArtifactError: A file differs.
        """
        model = self.get(name)
        read = ProgressCounter(on_progress, model.manifest.size_bytes, "byte", f"verifying {model.name}")
        verify_artifact(model.directory, read.add)
        return model

    def activate(self, name: str, unsafe: bool = False, on_progress: OnProgress = ignore_progress) -> InstalledModel:
        """Makes the model the one that answers its task.

        Raises:
            NotAllGood: No gate found it READY, and `unsafe` is not set.
            ArtifactError: A file differs from the manifest.
        """
        model = self.verify(name, on_progress)
        if not model.manifest.ready and not unsafe:
            verdict = model.manifest.verdict
            documents = human_count(verdict.documents, "document") if verdict else ""
            reason = f"its verdict on {documents} is {verdict.verdict}" if verdict else "no gate has judged it"
            raise NotAllGood(
                f"model {model.name} cannot be activated: {reason}",
                ("correct what the gate found, or" if verdict else "run `stillroom gate` first, or")
                + " activate it with `--unsafe`; every row will then say so",
            )
        with self._changing():
            current = self._read_active()
            names = current.get(model.manifest.task_name, ())
            if names[:1] != (model.name,):
                current[model.manifest.task_name] = (model.name, *names)[: MOST_FORMER + 1]
                self._write_active(current)
        return self.get(model.name)

    def active(self, task_name: str) -> InstalledModel | None:
        """The model that answers the task, if one was activated."""
        names = self._read_active().get(task_name, ())
        return self.get(names[0]) if names else None

    def previous(self, task_name: str) -> str | None:
        """The model that `roll_back` would make active."""
        names = self._read_active().get(task_name, ())[1:]
        return next((name for name in names if (self._models_dir / name).is_dir()), None)

    def roll_back(self, task_name: str) -> InstalledModel:
        """Makes the model active that answered the task before the present one.

        Raises:
            UsageError: None was active before.
        """
        with self._changing():
            current = self._read_active()
            names = [name for name in current.get(task_name, ())[1:] if (self._models_dir / name).is_dir()]
            if not names:
                raise UsageError(
                    f"task {task_name} has no earlier model to go back to", "`stillroom models list` shows all models"
                )
            verify_artifact(self._models_dir / names[0])
            current[task_name] = tuple(names)
            self._write_active(current)
        return self.get(names[0])

    def remove(self, name: str) -> InstalledModel:
        """Removes a model that is not active; whether a job still needs it is for `remove_model` of jobs to say.

        Raises:
            UsageError: It is active.
        """
        with self._changing():
            model = self.get(name)
            if model.active:
                raise UsageError(
                    f"model {model.name} is active for the task {model.manifest.task_name}",
                    "activate another model for this task, or roll back, before you remove it",
                )
            self._forget(model.name)
            removed_dir = self._models_dir / f".{model.name}.deleted"
            shutil.rmtree(removed_dir, ignore_errors=True)
            # First out of sight, so that a removal that is cut short leaves no half model behind.
            put_in_place(model.directory, removed_dir)
            shutil.rmtree(removed_dir)
        return model

    def _check_name(self, directory: Path, manifest: Manifest) -> None:
        """Refuses the name of another model; a model that cannot be read is replaced and must be activated anew."""
        if not directory.exists():
            return
        try:
            installed = read_manifest(directory)
        except ApplianceError:
            self._forget(directory.name)
            return
        if installed.identity != manifest.identity:
            raise UsageError(
                f"the name {directory.name} is taken by model {installed.identity[:16]}", "choose another with `--name`"
            )

    def _forget(self, name: str) -> None:
        """Takes a model from the lists of active and previous ones."""
        current = self._read_active()
        remaining = {task: tuple(other for other in names if other != name) for task, names in current.items()}
        if remaining != current:
            self._write_active(remaining)

    def _check_space(self, manifest: Manifest) -> None:
        free_bytes = shutil.disk_usage(self._models_dir).free
        if free_bytes < manifest.size_bytes + SPARE_BYTES:
            needed, free = human_size(manifest.size_bytes), human_size(free_bytes)
            raise ResourceError(
                f"model {manifest.name} needs {needed} and a reserve of {human_size(SPARE_BYTES)},"
                f" {self._models_dir} has {free} free",
                "remove models that are not used with `stillroom models remove`",
            )

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Holds the store for one change; another process waits."""
        try:
            self._models_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"cannot write in {self._models_dir}: {error.strerror}", "check its owner") from error
        with exclusive_lock(self._models_dir / ".lock"):
            self._clear_away()
            yield

    def _clear_away(self) -> None:
        """Removes what a change that was killed left; nobody else changes anything now."""
        for former in self._models_dir.glob(".*.former"):
            name = former.name.removeprefix(".").removesuffix(".former")
            if not os.path.lexists(self._models_dir / name):
                os.rename(former, self._models_dir / name)
        for pattern in (".*.former", ".*.part", ".*.deleted"):
            for leftover in self._models_dir.glob(pattern):
                shutil.rmtree(leftover, ignore_errors=True)

    def _read_active(self) -> dict[str, tuple[str, ...]]:
        """Task name -> the active model and the ones before it, latest first."""
        path = self._models_dir / ACTIVE_NAME
        try:
            values = json.loads(path.read_text("utf-8"))
            if values["version"] != ACTIVE_VERSION:
                raise ApplianceError(f"{path} has version {values['version']}", "use the program that wrote it")
            return {str(task): tuple(map(str, names)) for task, names in values["tasks"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ResourceError(f"cannot read {path}: {error.strerror}", "check its owner and permissions") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ApplianceError(
                f"{path} cannot be read: {error}", "delete the file and activate the models again"
            ) from error

    def _write_active(self, current: dict[str, tuple[str, ...]]) -> None:
        path = self._models_dir / ACTIVE_NAME
        text = json_text(
            {"version": ACTIVE_VERSION, "tasks": {t: n for t, n in current.items() if n}}, indent=2, ascii_only=True
        )
        write_file(path, f"{text}\n".encode())
