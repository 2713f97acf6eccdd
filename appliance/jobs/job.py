"""A job: what is asked of which folder with which model, and the folder that holds its state."""

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import write_file
from appliance.ground.json_text import json_text
from appliance.ground.settings import Settings
from appliance.tasks.folder import TASK_FILE

JOB_VERSION = 2
DEFAULT_WORKERS = 2
DEFAULT_SETTLE_SECONDS = 2.0
REMOVED_PREFIX = ".removed-"
"""A job's folder is renamed to this before its files go, so that a removal that is cut short is finished later."""
LEDGER_NAME = "job.db"
_CONFIG_NAME = "job.toml"
_DOCUMENTS_NAME = "documents.list"


@dataclass(frozen=True)
class FallbackConfig:
    """Who is asked where the local model is not sure; resolved, and part of what makes the job this one."""

    name: str
    """Of the frontier in `config.toml`."""
    threshold: float
    """Fields whose confidence is below it go out."""
    model: str
    """Identity of the frontier."""
    policy: str
    """SHA-256 of the policy that lets documents leave."""
    cap_documents: int = 0
    """At most so many documents leave in one run; 0 means no cap, as with the others."""
    cap_tokens: int = 0
    cap_money: float = 0.0

    def variant(self) -> str:
        """What makes a job with this fallback another one than without; caps do not."""
        return f"fallback {self.name} {self.model} below {self.threshold!r} by policy {self.policy}"


@dataclass(frozen=True)
class JobConfig:
    """The resolved configuration of a job, kept as `job.toml`."""

    id: str
    task_hash: str
    documents_dir: str
    artifact_dir: str
    """Of the local model; empty where a frontier answers."""
    model: str
    """Model identity; a job never changes its model."""
    model_name: str
    unsafe: bool
    """No gate found the model READY where the job runs."""
    keep_text: str
    """`all` keeps the text of every document in the ledger, `none` keeps no text."""
    out_dir: str
    """Where the rows are written; empty where they stay in the job."""
    output_format: str
    limit: int
    """Only the first so many documents of the folder, in path order; 0 means all."""
    workers: int = DEFAULT_WORKERS
    """Reader processes."""
    settle_seconds: float = DEFAULT_SETTLE_SECONDS
    """A file that changed less than this long ago is looked at twice before it is read."""
    shard: str = ""
    """`K/N`: only the documents of this part of the folder; empty means all of them."""
    frontier: str = ""
    """Frontier of `config.toml` that answers in place of a local model, which then has no artifact."""
    effort: str = ""
    """Reasoning effort that it is asked with in place of the configured one."""
    documents: str = ""
    """SHA-256 of the list of documents that the job is about; empty means those of the whole folder."""
    fallback: FallbackConfig | None = None
    """Who is asked where the local model is not sure; the documents stay on this machine where there is neither
    fallback nor frontier."""
    keep_working: bool = False
    """Rows have what a model wrote before its answer, where it writes such."""
    review_below: float = 0.0
    """Rows with a field whose confidence is below it are for a person; 0 means none is for that."""
    version: int = JOB_VERSION


def job_id(task_name: str, task_hash: str, model: str, documents_dir: Path, variant: tuple[str, ...] = ()) -> str:
    """The id: the same task, model and folder are the same job, so that a re-run continues it.

    Args:
        variant: What else makes it another job, such as a shard of the folder; empty for a plain run.
    """
    digest = hashlib.sha256(
        json_text([task_hash, model, str(documents_dir), *variant], ascii_only=True).encode()
    ).hexdigest()
    return f"{re.sub('[^a-z0-9]+', '-', task_name.lower()).strip('-')[:24] or 'job'}-{digest[:10]}"


def job_dir(settings: Settings, identifier: str) -> Path:
    """The folder of the job with this id or unambiguous start of an id.

    Raises:
        UsageError: No job or several jobs are called so.
    """
    if not identifier:
        # What a script hands over whose variable is not set would begin the id of every job.
        raise UsageError("the id of the job is empty; is a variable not set?", "`stillroom jobs list` shows all ids")
    known = [path.name for path in job_dirs(settings)]
    matching = [identifier] if identifier in known else [name for name in known if name.startswith(identifier)]
    if len(matching) == 1:
        return settings.jobs_dir / matching[0]
    problem = f"{len(matching)} jobs begin with {identifier}" if matching else f"there is no job {identifier}"
    raise UsageError(problem, "`stillroom jobs list` shows all ids")


def job_dirs(settings: Settings) -> list[Path]:
    """Folders of all jobs, by id."""
    try:
        with os.scandir(settings.jobs_dir) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    root = os.fspath(settings.jobs_dir)
    return [settings.jobs_dir / name for name in names if _is_job(f"{root}/{name}/{_CONFIG_NAME}")]


def _is_job(config_path: str) -> bool:
    """Whether the folder is a job's; one that this user may not look into is no reason to say that there are none."""
    try:
        return stat.S_ISREG(os.stat(config_path).st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def job_folder(settings: Settings, config: JobConfig) -> Path:
    """Makes the job's folder where it is missing; gives its path."""
    directory = settings.jobs_dir / config.id
    try:
        for made in (settings.jobs_dir, directory):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"cannot make {directory}: {error.strerror}", "check the free space and the rights of the home folder"
        ) from error
    return directory


def write_job(directory: Path, config: JobConfig, task_text: bytes, documents: bytes | None = None) -> None:
    """Writes what the job is about; only the holder of the job's lock may call this.

    Args:
        documents: The list of `documents_list`, where the job is about some documents of the folder only.
    """
    if documents is not None:
        write_file(directory / _DOCUMENTS_NAME, documents)
    write_file(directory / TASK_FILE, task_text)
    write_file(directory / _CONFIG_NAME, config_text(config).encode())


def documents_list(paths: Iterable[bytes]) -> bytes:
    """Paths in the folder as the bytes that a job keeps: a zero byte is the only one that no path holds."""
    return b"".join(path + b"\0" for path in sorted(set(paths)))


def read_documents_list(directory: Path, config: JobConfig) -> frozenset[bytes] | None:
    """The documents that the job is about; None where those of the whole folder are.

    Raises:
        ApplianceError: The list is missing or is another one.
    """
    if not config.documents:
        return None
    path = directory / _DOCUMENTS_NAME
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ApplianceError(f"cannot read {path}: {error.strerror}", _remove_and_run(directory)) from error
    if hashlib.sha256(data).hexdigest() != config.documents:
        raise ApplianceError(f"{path} is not the list that the job was made with", _remove_and_run(directory))
    return frozenset(data.split(b"\0")[:-1])


def _remove_and_run(directory: Path) -> str:
    return f"`stillroom jobs remove {directory.name}`, then run it again"


def finish_removals(settings: Settings) -> None:
    """Deletes what is left of jobs whose removal was cut short."""
    for directory in settings.jobs_dir.glob(REMOVED_PREFIX + "*"):
        with contextlib.suppress(OSError):
            delete_removed(directory, ignore_errors=True)


def delete_removed(directory: Path, ignore_errors: bool = False) -> None:
    """Deletes what is left of one removed job, also where its folder is a link, as to another disk.

    Raises:
        OSError: Something of it cannot be deleted.
    """
    content_dir = os.path.realpath(directory)
    shutil.rmtree(content_dir, ignore_errors)
    if directory.is_symlink() and not os.path.lexists(content_dir):
        directory.unlink()


def task_path(directory: Path) -> Path:
    """The job's own copy of its task file."""
    return directory / TASK_FILE


def job_file(directory: Path) -> Path:
    """The job's configuration; a folder without one is no job."""
    return directory / _CONFIG_NAME


def config_text(config: JobConfig) -> str:
    """The configuration as TOML."""
    lines = ["# Written by `stillroom run`; what this job does and may not change any more", *_entries(config)]
    if config.fallback is not None:
        lines += ["", "[fallback]", *_entries(config.fallback)]
    return "\n".join(lines) + "\n"


def _entries(config: JobConfig | FallbackConfig) -> list[str]:
    lines = []
    for described in fields(config):
        value = getattr(config, described.name)
        if isinstance(value, str):
            # JSON's string rules are TOML's, but for DEL.
            lines.append(f"{described.name} = " + json_text(value).replace("\x7f", "\\u007f"))
        elif isinstance(value, bool):
            lines.append(f"{described.name} = {json_text(value, ascii_only=True)}")
        elif isinstance(value, int | float):
            # Not JSON's spelling: it writes `Infinity`, which TOML cannot read.
            lines.append(f"{described.name} = {value!r}")
    return lines


def read_config(directory: Path) -> JobConfig:
    """Reads `job.toml`.

    Raises:
        ApplianceError: The file is missing, broken or of another version.
    """
    path = directory / _CONFIG_NAME
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ApplianceError(f"{path} cannot be read: {error}", _remove_and_run(directory)) from error
    if values.get("version") == 1:
        # Without the keys that came later, whose defaults say what it did.
        values["version"] = JOB_VERSION
    if values.get("version") != JOB_VERSION:
        raise ApplianceError(
            f"job {directory.name} has version {values.get('version')}, this program knows {JOB_VERSION}",
            "use the version of Stillroom that made the job, or run it again as a new one",
        )
    known = {described.name: described.default is MISSING for described in fields(JobConfig)}
    wrong = set(values) - set(known) | {name for name, needed in known.items() if needed and name not in values}
    if wrong:
        raise ApplianceError(
            f"{path} has unknown or missing keys: {', '.join(sorted(wrong))}",
            f"use the version of Stillroom that made the job, or {_remove_and_run(directory)}",
        )
    try:
        fallback = FallbackConfig(**values["fallback"]) if "fallback" in values else None
    except TypeError as error:
        raise ApplianceError(
            f"[fallback] in {path} has unknown or missing keys: {error}",
            "use the version of Stillroom that made the job",
        ) from error
    return JobConfig(**{**values, "fallback": fallback})
