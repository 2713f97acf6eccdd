"""A comparison on disk: `$STILLROOM_HOME/comparisons/<id>/` with its configuration, its task and what came of it.

```
comparison.json    what is compared; written once
task.toml          the task as it was
answers.db         documents, texts and the answers of every side; one writer
judgements.db      what people said; made with the first judgement
```
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import write_file
from appliance.ground.locks import exclusive_lock
from appliance.ground.settings import Settings

COMPARISON_VERSION = 1
CONFIG_NAME = "comparison.json"
TASK_NAME = "task.toml"
ANSWERS_NAME = "answers.db"
JUDGEMENTS_NAME = "judgements.db"
_LOCK_NAME = "lock"

LOCAL, FRONTIER = "local", "frontier"


@dataclass(frozen=True)
class Side:
    """One of the models that are compared."""

    name: str
    """As people call it; unique in a comparison."""
    kind: str
    """`local` or `frontier`."""
    identity: str
    """Model identity; for a frontier, a hash of its name, address, model and effort."""
    artifact_dir: str = ""
    """Of a local model."""
    frontier: str = ""
    """The configured name of a frontier."""
    effort: str | None = None
    """Reasoning effort that replaces the configured one."""
    input_price: float = 0.0
    """Money per million prompt tokens."""
    output_price: float = 0.0
    """Money per million completion tokens, reasoning tokens among them."""
    price_per_hour: float = 0.0
    """Of the machine, for a local model."""
    currency: str = "USD"


@dataclass(frozen=True)
class ComparisonConfig:
    """What is compared on what."""

    id: str
    task_name: str
    task_hash: str
    documents_dir: str
    documents: int
    """In the comparison; chosen at random where a sample was asked for."""
    folder_documents: int
    """In the folder when the comparison was made."""
    sides: tuple[Side, ...]
    """The first is what the others are compared with."""
    margin: float
    """Share by which a side may be worse and still counts as good as the other."""
    gold_path: str
    """Where the right answers came from; empty without them."""
    keep_text: str
    """`all` keeps the documents' text for the screens, `none` deletes it when all sides have answered."""
    created: str
    version: int = COMPARISON_VERSION


def comparison_id(task_name: str, parts: object) -> str:
    """The id: the same task, sides and documents are the same comparison, so that a re-run continues it."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{re.sub('[^a-z0-9]+', '-', task_name.lower()).strip('-')[:24] or 'comparison'}-{digest[:10]}"


def comparisons_dir(settings: Settings) -> Path:
    """Where all comparisons are."""
    return settings.home_dir / "comparisons"


def comparison_dirs(settings: Settings) -> list[Path]:
    """Folders of all comparisons, by id."""
    root = comparisons_dir(settings)
    return sorted(path for path in root.iterdir() if (path / CONFIG_NAME).is_file()) if root.is_dir() else []


def comparison_dir(settings: Settings, identifier: str) -> Path:
    """The folder of the comparison with this id or unambiguous start of an id.

    Raises:
        UsageError: None or several are called so.
    """
    known = [path.name for path in comparison_dirs(settings)]
    matching = [identifier] if identifier in known else [name for name in known if name.startswith(identifier)]
    if len(matching) == 1:
        return comparisons_dir(settings) / matching[0]
    problem = (
        f"{len(matching)} comparisons are called {identifier}..."
        if matching
        else f"no comparison is called {identifier}"
    )
    raise UsageError(problem, "`stillroom comparisons list` shows all ids")


def make_comparison_dir(settings: Settings, config: ComparisonConfig, task_text: bytes) -> Path:
    """Makes the folder with its configuration; the configuration comes last and makes it a comparison.

    Raises:
        ResourceError: It cannot be written.
    """
    directory = comparisons_dir(settings) / config.id
    try:
        for made in (directory.parent, directory):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"cannot make {directory}: {error.strerror}", "check the free space and rights") from error
    write_file(directory / TASK_NAME, task_text)
    write_file(directory / CONFIG_NAME, (json.dumps(asdict(config), indent=2) + "\n").encode())
    return directory


def read_comparison(directory: Path) -> ComparisonConfig:
    """Reads `comparison.json`.

    Raises:
        ApplianceError: The file is missing, broken or of another version.
    """
    path = directory / CONFIG_NAME
    hint = "`stillroom comparisons remove` takes broken comparisons away"
    try:
        values = json.loads(path.read_text("utf-8"))
        version = values["version"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ApplianceError(f"{path} cannot be read: {error}", hint) from error
    if version != COMPARISON_VERSION:
        raise ApplianceError(
            f"comparison {directory.name} has version {version}, this program knows {COMPARISON_VERSION}",
            "use the program that made it, or compare again",
        )
    try:
        return ComparisonConfig(**{**values, "sides": tuple(Side(**side) for side in values["sides"])})
    except (TypeError, KeyError) as error:
        raise ApplianceError(f"{path} has other keys than a comparison: {error}", hint) from error


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Holds the comparison for this process.

    Raises:
        ResourceError: Another process runs it.
    """
    busy = ResourceError(
        f"comparison {directory.name} is running in another process",
        "wait for it; `stillroom comparisons show` tells how far it is",
    )
    with exclusive_lock(directory / _LOCK_NAME, busy):
        yield


def remove_comparison(settings: Settings, identifier: str) -> str:
    """Deletes a comparison with its texts, answers and judgements; gives its id.

    Raises:
        ResourceError: It is running.
    """
    directory = comparison_dir(settings, identifier)
    with held(directory):
        # The configuration goes last: a removal that is cut short still shows in the list and can be repeated.
        for path in sorted(directory.iterdir(), key=lambda path: path.name == CONFIG_NAME):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        directory.rmdir()
    return directory.name
