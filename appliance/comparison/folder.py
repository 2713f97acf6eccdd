"""A comparison on disk: `$STILLROOM_HOME/comparisons/<id>/`. The answers lie in the jobs of its sides.

```
comparison.json    what is compared, and which job answers for each side; written once
task.toml          the task as it was
documents.jsonl    the documents, and their right answers where they are known
judgements.db      what people said; made with the first judgement
differences.db     which documents the sides answer differently: derived from the jobs' rows, and made anew
```
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.documents.folder import document_name
from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.files import disk_errors, write_file
from appliance.ground.json_text import json_text
from appliance.ground.settings import Settings
from appliance.jobs.control import remove_job
from appliance.jobs.job import job_file
from appliance.jobs.locks import Purpose, take_lock
from appliance.jobs.needs import drop_need, needed_by
from appliance.tasks.linecode import Answer

COMPARISON_VERSION = 2
TASK_NAME = "task.toml"
JUDGEMENTS_NAME = "judgements.db"
DIFFERENCES_NAME = "differences.db"
_CONFIG_NAME = "comparison.json"
_DOCUMENTS_NAME = "documents.jsonl"

LOCAL, FRONTIER = "local", "frontier"


@dataclass(frozen=True)
class Side:
    """One of the models that are compared."""

    name: str
    """As people call it; unique in a comparison."""
    kind: str
    """`local` or `frontier`."""
    identity: str
    """Model identity; for a frontier, a hash of its address, model, parameters and task."""
    job: str
    """Id of the job whose rows are this side's answers."""
    is_own: bool
    """Whether the job was made for comparisons, and goes with the last of them."""
    effort: str | None = None
    """Reasoning effort of a frontier."""
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
    """In the comparison; drawn at random where a sample was asked for."""
    folder_documents: int
    """In the folder when the comparison was made."""
    sides: tuple[Side, ...]
    """The first is what the others are compared with."""
    margin: float
    """Share by which a side may be worse and still counts as good as the other."""
    gold_path: str
    """Where the right answers came from; empty without them."""
    created: str
    version: int = COMPARISON_VERSION


@dataclass(frozen=True)
class LabelledDocument:
    """A document of the comparison, with its right answer where that is known."""

    path: bytes
    """Relative to the folder."""
    gold: Answer | None

    @property
    def name(self) -> str:
        """The path as text."""
        return document_name(self.path)


def draw_number(path: bytes) -> int:
    """A number that looks random and only depends on the path: 62 bits, as SQLite's integers are signed."""
    return int.from_bytes(hashlib.sha256(path).digest()[:8]) >> 2


def comparison_id(task_name: str, parts: object) -> str:
    """The id: the same task, sides and documents are the same comparison, so that a re-run continues it."""
    digest = hashlib.sha256(
        json_text([COMPARISON_VERSION, parts], sort_keys=True, ascii_only=True).encode()
    ).hexdigest()
    return f"{re.sub('[^a-z0-9]+', '-', task_name.lower()).strip('-')[:24] or 'comparison'}-{digest[:10]}"


def comparisons_dir(settings: Settings) -> Path:
    """Where all comparisons are."""
    return settings.home_dir / "comparisons"


def comparison_dirs(settings: Settings) -> list[Path]:
    """Folders of all comparisons, by id."""
    root = comparisons_dir(settings)
    return sorted(path for path in root.iterdir() if (path / _CONFIG_NAME).is_file()) if root.is_dir() else []


def comparison_dir(settings: Settings, identifier: str) -> Path:
    """The folder of the comparison with this id or unambiguous start of an id.

    Raises:
        UsageError: None or several are called so.
    """
    if not identifier:
        hint = "`stillroom comparisons list` shows all ids"
        raise UsageError("the id of the comparison is empty; is a variable not set?", hint)
    known = [path.name for path in comparison_dirs(settings)]
    matching = [identifier] if identifier in known else [name for name in known if name.startswith(identifier)]
    if len(matching) == 1:
        return comparisons_dir(settings) / matching[0]
    problem = (
        f"{len(matching)} comparisons have ids that begin with {identifier}"
        if matching
        else f"no comparison has an id that begins with {identifier}"
    )
    raise UsageError(problem, "`stillroom comparisons list` shows all ids")


def write_comparison(
    directory: Path, config: ComparisonConfig, task_text: bytes, documents: Iterable[LabelledDocument]
) -> None:
    """Writes what is compared; the configuration comes last and makes the folder a comparison.

    Raises:
        ResourceError: It cannot be written.
    """
    lines = (
        # As JSON escapes them, names that are not UTF-8 come back byte for byte.
        json_text({"path": os.fsdecode(document.path), "gold": document.gold}, ascii_only=True) + "\n"
        for document in documents
    )
    write_file(directory / TASK_NAME, task_text)
    write_file(directory / _DOCUMENTS_NAME, "".join(lines).encode(), private=True)
    write_file(directory / _CONFIG_NAME, (json_text(asdict(config), ascii_only=True, indent=2) + "\n").encode())


def read_comparison(directory: Path) -> ComparisonConfig:
    """Reads `comparison.json`.

    Raises:
        ApplianceError: The file is missing, broken or of another version.
    """
    path = directory / _CONFIG_NAME
    hint = f"`stillroom comparisons remove {directory.name}`, then compare again"
    try:
        values = json.loads(path.read_text("utf-8"))
        version = values["version"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ApplianceError(f"{path} cannot be read: {error}", hint) from error
    if version == 1:
        judgements = " and its judgements" if (directory / JUDGEMENTS_NAME).exists() else ""
        raise ApplianceError(
            f"comparison {directory.name} was made by an earlier version; its answers{judgements} lie in {directory}",
            f"compare again; copy that folder before `stillroom comparisons remove {directory.name}`",
        )
    if version != COMPARISON_VERSION:
        raise ApplianceError(
            f"comparison {directory.name} has version {version}, this program knows {COMPARISON_VERSION}",
            "use the version of Stillroom that made it, or compare again",
        )
    try:
        return ComparisonConfig(**{**values, "sides": tuple(Side(**side) for side in values["sides"])})
    except (TypeError, KeyError) as error:
        raise ApplianceError(f"{path} has unknown or missing keys: {error}", hint) from error


def read_documents(directory: Path) -> list[LabelledDocument]:
    """The documents of a comparison, in path order.

    Raises:
        ApplianceError: The list is missing or broken.
    """
    path = directory / _DOCUMENTS_NAME
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
        return [LabelledDocument(os.fsencode(row["path"]), row["gold"]) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ApplianceError(
            f"{path} cannot be read: {error}", f"`stillroom comparisons remove {directory.name}`, then compare again"
        ) from error


def remove_comparison(settings: Settings, identifier: str) -> str:
    """Deletes a comparison with its judgements, and the jobs that were made for it alone; gives its id.

    Raises:
        ResourceError: It is running, or its files cannot be deleted.
    """
    directory = comparison_dir(settings, identifier)
    with take_lock(directory, Purpose.CHANGE, "comparison"):
        for side in _sides(directory):
            job_dir = settings.jobs_dir / side.job
            drop_need(job_dir, directory)
            if side.is_own and job_file(job_dir).exists() and not needed_by(job_dir):
                remove_job(settings, side.job)
        with disk_errors(directory, "check the rights of its folder"):
            # The configuration goes last: a removal that is cut short still shows in the list and can be repeated.
            for path in sorted(directory.iterdir(), key=lambda path: path.name == _CONFIG_NAME):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            directory.rmdir()
    return directory.name


def _sides(directory: Path) -> Iterator[Side]:
    """Those of a comparison that can be read; a broken one has none that anybody knows."""
    try:
        yield from read_comparison(directory).sides
    except ApplianceError:
        return
