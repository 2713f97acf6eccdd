"""Installed models: `models/<name>/` of the home folder, and which one answers each task."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.ground.errors import ApplianceError, NotAllGood, ResourceError, UsageError
from appliance.ground.files import put_in_place
from appliance.ground.locks import exclusive_lock
from appliance.ground.progress import OnProgress, ProgressCounter, ignore_progress
from appliance.ground.settings import Settings
from appliance.ground.spelling import nearest
from appliance.ground.text import human_size
from appliance.models.active import ACTIVE_NAME, read_active, write_active
from appliance.models.approval import how_to_approve, why_not_approved
from appliance.models.manifest import (
    MANIFEST_NAME,
    NAMES_ALONE_VERSION,
    Manifest,
    read_manifest,
    rewrite_manifest,
    verify_artifact,
    write_artifact,
)
from appliance.models.weights import check_weights

SHORTEST_PREFIX = 4
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
        active = read_active(self._models_dir)
        models = []
        for directory in self._folders():
            if directory.name.startswith(".") or not (directory / MANIFEST_NAME).is_file():
                continue
            try:
                manifest = read_manifest(directory)
            except ApplianceError:
                continue
            is_active = active.is_active(directory.name, manifest)
            models.append(InstalledModel(directory.name, directory, manifest, is_active))
        return tuple(models)

    def broken(self) -> tuple[str, ...]:
        """Names of folders whose manifest cannot be read, or does not fit together."""
        good = {model.name for model in self.list()}
        names = (path.name for path in self._folders() if path.is_dir() and not path.name.startswith("."))
        return tuple(sorted(name for name in names if name not in good))

    def problem_of(self, name: str) -> str:
        """What is wrong with the manifest of a broken model, in one line."""
        try:
            read_manifest(self._models_dir / name)
        except ApplianceError as error:
            return error.message
        return ""

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
        """Verifies an artifact folder and copies it into the store.

        The same model again mends its files, and takes a newer verdict over. Another one never takes its place.

        Args:
            on_progress: Bytes; each file is read three times. What it raises ends the work.

        Raises:
            ArtifactError: A file differs from the manifest, or no engine runs this kind of model.
            GgufError, OnnxError: The weights are none that an engine may open.
            UsageError: The name is taken by another model.
            ResourceError: The disk has no room.
        """
        read = ProgressCounter(on_progress, 3 * read_manifest(source_dir).size_bytes, "byte", "checking and copying")
        manifest = verify_artifact(source_dir, read.add)
        check_weights(source_dir, manifest)
        name = name or manifest.name
        check_name(name)
        with self._changing():
            directory = self._models_dir / name
            self.check_free(name, manifest)
            self._check_space(manifest)
            files = {entry: source_dir / entry for entry in manifest.files}
            write_artifact(directory, self._with_newer_verdict(directory, manifest), files, read.add, exact=True)
        return self.get(name)

    def check_free(self, name: str, manifest: Manifest) -> InstalledModel | None:
        """Whether the name is free for this model; gives the installed one where it is this model itself.

        Raises:
            UsageError: Another model has the name, or has it in other capital letters.
        """
        hint = "choose another name with `--name`"
        for model in self.list() if len(name) >= SHORTEST_PREFIX else ():
            if model.manifest.identity.startswith(name.lower()) and model.manifest.identity != manifest.identity:
                raise UsageError(f"the name {name} begins the identity of the installed model {model.name}", hint)
        directory, active = self._models_dir / name, read_active(self._models_dir)
        try:
            installed = read_manifest(directory)
        except ApplianceError as error:
            # Whose place it would take can no longer be read, but which model was activated still can.
            if active.has(name) and active.identities.get(name) != manifest.identity:
                problem = error.message if os.path.lexists(directory) else "its folder is missing"
                raise UsageError(
                    f"the name {name} is that of a model which answers or answered a task, and is damaged: {problem}",
                    "add that very model again to mend it, or this one under another name with `--name`",
                ) from error
            similar = [path.name for path in self._folders() if path.name.lower() == name.lower() and path.name != name]
            if similar and not os.path.lexists(directory):
                raise UsageError(
                    f"the name {name} differs from the installed {similar[0]} in capitals only", hint
                ) from error
            return None
        if installed.identity != manifest.identity:
            raise UsageError(f"the name {name} is taken by model {installed.identity[:16]}", hint)
        return InstalledModel(name, directory, installed, active.is_active(name, installed))

    def _with_newer_verdict(self, directory: Path, manifest: Manifest) -> Manifest:
        """The manifest with the later verdict of the two, where the same model is installed already."""
        try:
            installed = read_manifest(directory)
        except ApplianceError:
            return manifest
        theirs, ours = manifest.verdict, installed.verdict
        if ours is None or installed.version == NAMES_ALONE_VERSION:
            return manifest
        if theirs is not None and theirs.is_same_as(ours):
            return replace(manifest, verdict=theirs.carried_with(ours))
        if theirs is not None and theirs.last_judged >= ours.last_judged:
            return manifest
        return replace(manifest, verdict=ours, metrics=installed.metrics)

    def take_verdict(self, judged: Manifest) -> tuple[str, ...]:
        """Gives the verdict on an artifact to the installed models that are this artifact, unless theirs is newer.

        Returns:
            The names of the models that have this verdict now.
        """
        same = [model for model in self.list() if model.manifest.identity == judged.identity]
        if not same or judged.verdict is None or judged.version == NAMES_ALONE_VERSION:
            return ()
        names = []
        with self._changing():
            for model in same:
                newer = self._with_newer_verdict(model.directory, judged)
                if newer.verdict is not None and newer.verdict.is_same_as(judged.verdict):
                    names.append(model.name)
                    installed = replace(
                        read_manifest(model.directory), version=newer.version,
                        verdict=newer.verdict, metrics=newer.metrics,
                    )  # fmt: skip
                    rewrite_manifest(model.directory, installed)
        return tuple(names)

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
            NotAllGood: No gate found it READY on processors and libraries like these, and `unsafe` is not set.
            ArtifactError: A file differs from the manifest.
        """
        model = self.verify(name, on_progress)
        if (reason := why_not_approved(model.manifest)) and not unsafe:
            raise NotAllGood(
                f"model {model.name} cannot be activated: {reason}",
                f"{how_to_approve(model.manifest, model.name)}, or activate it with `--unsafe`;"
                " every row will then say so",
            )
        with self._changing():
            active = read_active(self._models_dir)
            write_active(self._models_dir, active.with_active(model.name, model.manifest))
        return self.get(model.name)

    def active(self, task_name: str) -> InstalledModel | None:
        """The model that answers the task, if one was activated.

        Raises:
            ArtifactError: What has its name now is another model.
        """
        active = read_active(self._models_dir)
        name = active.first(task_name)
        if name is None:
            return None
        if not os.path.lexists(self._models_dir / name):
            raise UsageError(
                f"model {name}, which answers the task {task_name}, is no longer installed",
                "add it again, or activate another one: `stillroom models list` shows all",
            )
        manifest = read_manifest(self._models_dir / name)
        active.check_activated(name, manifest)
        return InstalledModel(name, self._models_dir / name, manifest, active.is_active(name, manifest))

    def problems_of_active(self) -> tuple[str, ...]:
        """What keeps activated models from answering: one is missing, damaged, or another one has its place."""
        problems = []
        for task_name in read_active(self._models_dir).tasks:
            try:
                self.active(task_name)
            except ApplianceError as error:
                problems.append(error.message)
        return tuple(problems)

    def previous(self, task_name: str) -> str | None:
        """The model that `roll_back` would make active."""
        names = read_active(self._models_dir).tasks.get(task_name, ())[1:]
        return next((name for name in names if (self._models_dir / name).is_dir()), None)

    def roll_back(self, task_name: str) -> InstalledModel:
        """Makes the model active that answered the task before the present one.

        Raises:
            UsageError: None was active before.
            ArtifactError: It is damaged, or another one than it was.
        """
        with self._changing():
            active = read_active(self._models_dir)
            names = active.tasks.get(task_name, ())[1:]
            names = tuple(name for name in names if (self._models_dir / name).is_dir())
            if not names:
                raise UsageError(
                    f"task {task_name} has no earlier model to go back to", "`stillroom models list` shows all models"
                )
            active.check_activated(names[0], verify_artifact(self._models_dir / names[0]))
            write_active(self._models_dir, replace(active, tasks={**active.tasks, task_name: names}))
        return self.get(names[0])

    def remove(self, name: str) -> InstalledModel:
        """Removes a model that is not active; whether a job still needs it is for `remove_model` of jobs to say.

        Raises:
            UsageError: It is active.
        """
        with self._changing():
            model = self.get(name)
            self._remove(model.name)
        return model

    def remove_broken(self, name: str) -> None:
        """Removes a folder whose manifest cannot be read.

        Raises:
            UsageError: It has the name of an active model, or is a model that can be read.
        """
        with self._changing():
            if name not in self.broken():
                raise UsageError(f"{name} is no model that cannot be read", "`stillroom models list` shows all")
            self._remove(name)

    def _remove(self, name: str) -> None:
        active = read_active(self._models_dir)
        if tasks := active.tasks_of(name):
            raise UsageError(
                f"model {name} is active for the task {tasks[0]}",
                "activate another model for this task, or roll back, before you remove it",
            )
        if active.has(name):
            write_active(self._models_dir, active.without(name))
        directory, removed_dir = self._models_dir / name, self._models_dir / f".{name}.deleted"
        _discard(removed_dir)
        # First out of sight, so that a removal that is cut short leaves no half model behind.
        put_in_place(directory, removed_dir)
        _discard(removed_dir)

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
                _discard(leftover)


def _discard(path: Path) -> None:
    """Removes a folder, or the link to one that lies elsewhere, and not what it leads to."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)
