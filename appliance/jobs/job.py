"""A job: what is asked of which folder with which model, and the folder that holds its state."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from appliance.errors import ApplianceError, ResourceError, UsageError
from appliance.settings import Settings

JOB_VERSION = 1
LEDGER_NAME = "job.db"
_CONFIG_NAME = "job.toml"
_TASK_NAME = "task.toml"
_LOCK_NAME = "lock"


@dataclass(frozen=True)
class JobConfig:
    """The resolved configuration of a job, kept as `job.toml`."""

    id: str
    task_hash: str
    documents_dir: str
    artifact_dir: str
    model: str
    """Model identity; a job never changes its model."""
    model_name: str
    unsafe: bool
    """No gate found the model READY."""
    keep_text: str
    """`all` keeps the text of every document in the ledger, `none` keeps no text."""
    out_dir: str
    output_format: str
    limit: int
    """Only the first so many documents of the folder, in path order; 0 means all."""
    version: int = JOB_VERSION


def job_id(task_name: str, task_hash: str, model: str, documents_dir: Path) -> str:
    """The id: the same task, model and folder are the same job, so that a re-run continues it."""
    digest = hashlib.sha256(json.dumps([task_hash, model, str(documents_dir)]).encode()).hexdigest()
    return f"{re.sub('[^a-z0-9]+', '-', task_name.lower()).strip('-')[:24] or 'job'}-{digest[:10]}"


def job_dir(settings: Settings, identifier: str) -> Path:
    """The folder of the job with this id or unambiguous start of an id.

    Raises:
        UsageError: No job or several jobs are called so.
    """
    known = [path.name for path in job_dirs(settings)]
    matching = [identifier] if identifier in known else [name for name in known if name.startswith(identifier)]
    if len(matching) == 1:
        return settings.jobs_dir / matching[0]
    problem = f"{len(matching)} jobs are called {identifier}..." if matching else f"no job is called {identifier}"
    raise UsageError(problem, "`stillroom jobs list` shows all ids")


def job_dirs(settings: Settings) -> list[Path]:
    """Folders of all jobs, by id."""
    if not settings.jobs_dir.is_dir():
        return []
    return sorted(path for path in settings.jobs_dir.iterdir() if (path / _CONFIG_NAME).is_file())


def open_job_dir(settings: Settings, config: JobConfig, task_text: bytes) -> Path:
    """Makes the job's folder, or finds the one that a former run of the same job has left."""
    directory = settings.jobs_dir / config.id
    for made in (settings.jobs_dir, directory):
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(directory / _TASK_NAME, task_text)
    write_whole(directory / _CONFIG_NAME, config_text(config).encode())
    return directory


def task_path(directory: Path) -> Path:
    """The job's own copy of its task file."""
    return directory / _TASK_NAME


def config_text(config: JobConfig) -> str:
    """The configuration as TOML."""
    lines = ["# Written by `stillroom run`; what this job does and may not change any more"]
    for described in fields(config):
        value = getattr(config, described.name)
        if isinstance(value, str):
            # JSON's string rules are TOML's, but for DEL.
            lines.append(f"{described.name} = " + json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f"))
        else:
            lines.append(f"{described.name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def read_config(directory: Path) -> JobConfig:
    """Reads `job.toml`.

    Raises:
        ApplianceError: The file is missing, broken or of another version.
    """
    path = directory / _CONFIG_NAME
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ApplianceError(
            f"{path} cannot be read: {error}", "`stillroom jobs remove` takes broken jobs away"
        ) from error
    if values.get("version") != JOB_VERSION:
        raise ApplianceError(
            f"job {directory.name} has version {values.get('version')}, this program knows {JOB_VERSION}",
            "use the program that made the job, or run it again as a new one",
        )
    known = {described.name for described in fields(JobConfig)}
    if set(values) != known:
        raise ApplianceError(f"{path} has other keys than a job: {', '.join(sorted(set(values) ^ known))}")
    return JobConfig(**values)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that appears whole or not at all, and stays after a power cut."""
    beside = path.with_name(f".{path.name}.part")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        sync_directory(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ResourceError(f"cannot write {path}: {error.strerror}", "check the free space and the rights") from error


def sync_directory(directory: Path) -> None:
    """Makes a rename in the folder durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def take_lock(directory: Path) -> int:
    """Holds the job for this process until the descriptor is closed or the process ends.

    Raises:
        ResourceError: Another process runs the job.
    """
    descriptor = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise ResourceError(
            f"job {directory.name} is running in another process",
            "wait for it; `stillroom jobs show` tells how far it is",
        ) from error
    return descriptor


def remove_job(settings: Settings, identifier: str) -> str:
    """Deletes a job and everything it kept of the documents; gives its id.

    Raises:
        ResourceError: The job is running.
    """
    directory = job_dir(settings, identifier)
    lock = take_lock(directory)
    try:
        # The configuration goes last: a removal that is cut short still shows in the list and can be repeated.
        for path in sorted(directory.iterdir(), key=lambda path: path.name == _CONFIG_NAME):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        directory.rmdir()
    finally:
        os.close(lock)
    return directory.name


def process_mark(pid: int) -> str:
    """Names one process for good: pid, start time and boot, as pids are used again; empty if it is gone."""
    try:
        start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, IndexError):
        return ""
    return f"{pid} {start} {boot}"
