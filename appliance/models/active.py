"""`active.json` of the store: which model answers each task, which ones did before, and which bytes each name meant."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.files import write_file
from appliance.ground.json_text import json_text
from appliance.models.manifest import ArtifactError, Manifest
from appliance.models.manifest_json import JSON, object_of, read_json_file

ACTIVE_NAME = "active.json"
ACTIVE_VERSION = 1
MOST_FORMER = 20
"""Previous models of a task that can be rolled back to."""


@dataclass(frozen=True)
class ActiveModels:
    """The models that answer, and those that did."""

    tasks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Task name -> the active model and the ones before it, latest first."""
    identities: dict[str, str] = field(default_factory=dict)
    """Name -> the identity that was activated; a list that an earlier version wrote has none."""

    def first(self, task_name: str) -> str | None:
        """The model that answers the task."""
        return next(iter(self.tasks.get(task_name, ())), None)

    def has(self, name: str) -> bool:
        """Whether the model answers or answered any task."""
        return any(name in names for names in self.tasks.values())

    def tasks_of(self, name: str) -> tuple[str, ...]:
        """The tasks that the model answers now."""
        return tuple(task for task, names in self.tasks.items() if names[:1] == (name,))

    def is_active(self, name: str, manifest: Manifest) -> bool:
        """Whether the model of this name answers its task, and is the one that was activated."""
        identity = self.identities.get(name, manifest.identity)
        return self.first(manifest.task_name) == name and identity == manifest.identity

    def check_activated(self, name: str, manifest: Manifest) -> None:
        """Refuses what has the name of a model that was activated, and is another one.

        Raises:
            ArtifactError: It has another identity.
        """
        identity = self.identities.get(name, manifest.identity)
        if identity != manifest.identity:
            raise ArtifactError(
                f"model {name} is not the one that was activated: it is {manifest.identity[:16]}, activated was"
                f" {identity[:16]}",
                f"`stillroom models activate {name}` puts this one to work; or add the former one under another name",
            )

    def with_active(self, name: str, manifest: Manifest) -> "ActiveModels":
        """The same, with this model answering its task."""
        names = self.tasks.get(manifest.task_name, ())
        if names[:1] != (name,):
            names = (name, *names)[: MOST_FORMER + 1]
        return ActiveModels(
            {**self.tasks, manifest.task_name: names}, {**self.identities, name: manifest.identity}
        )  # fmt: skip

    def without(self, name: str) -> "ActiveModels":
        """The same, as if the model had never answered."""
        tasks = {task: tuple(other for other in names if other != name) for task, names in self.tasks.items()}
        return replace(self, tasks=tasks)


def read_active(models_dir: Path) -> ActiveModels:
    """The list of a store; an empty one where nothing was ever activated.

    Raises:
        ApplianceError: It is broken, or of another version.
        ResourceError: It cannot be read.
    """
    path = models_dir / ACTIVE_NAME
    try:
        values = read_json_file(path)
        if not isinstance(values, dict):
            raise TypeError("it holds no object")
        if values["version"] != ACTIVE_VERSION:
            raise ApplianceError(f"{path} has version {values['version']}", "use the program that wrote it")
        tasks = {task: _names(task, names) for task, names in object_of(values, "tasks").items()}
        identities = {name: str(identity) for name, identity in object_of(values, "identities").items()}
        return ActiveModels(tasks, identities)
    except FileNotFoundError:
        return ActiveModels()
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror}", "check its owner and permissions") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ApplianceError(
            f"{path} cannot be read: {error}", "delete the file and activate the models again"
        ) from error


def _names(task: str, names: JSON) -> tuple[str, ...]:
    """Names of models, each of which is a folder of the store and of no other place."""
    if not isinstance(names, list):
        raise TypeError(f"the models of {task} are no list")
    for name in names:
        if not isinstance(name, str) or not name or name.startswith(".") or name != Path(name).name:
            raise TypeError(f"{str(name)[:40]!r} is no name of a model")
    return tuple(map(str, names))


def write_active(models_dir: Path, active: ActiveModels) -> None:
    """Writes the list whole; only the holder of the store's lock may call this."""
    tasks = {task: names for task, names in active.tasks.items() if names}
    identities = {name: identity for name, identity in active.identities.items() if active.has(name)}
    text = json_text({"version": ACTIVE_VERSION, "tasks": tasks, "identities": identities}, indent=2)
    write_file(models_dir / ACTIVE_NAME, f"{text}\n".encode())
