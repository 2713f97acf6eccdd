"""Whose rows an output folder holds: a second job is refused before it works, and never writes over the first one's.

Beside rows lies a small file that names their job. Where rows have none, as an earlier version left them, the jobs of
this installation say which of them wrote there. A claim holds as long as the rows are there, or the job runs. Jobs of
one installation that start at the same time see each other; those of two are told apart when the first has written.
"""

import contextlib
import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import disk_errors, open_no_link, part_path, refuse_taken_part
from appliance.ground.json_text import json_text
from appliance.ground.locks import try_lock_for
from appliance.ground.users import current_user
from appliance.jobs.job import read_config
from appliance.jobs.locks import lock_holder

OWNER_NAME = ".stillroom-rows"
_ROWS = ("rows.jsonl", "rows.csv", "rows.parquet")
_VERSION = 1
_MOST_BYTES = 1 << 16
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class _Owner:
    """Who writes rows into a folder."""

    job: str
    """Id of the job; of joined shards a name that they always have."""
    folder: str
    """The job's folder, empty where there is none."""
    host: str


@contextmanager
def checked_output(out_dir: Path, job: str, directory: Path) -> Iterator[None]:
    """Around the beginning of a job's work: nobody else's rows are in its output folder, nor will be soon.

    Nothing is written: the folder appears with the first rows. Jobs of this installation take turns with this.

    Raises:
        UsageError: It holds the rows of another job, another job that is running will write there, or it is no folder.
        ResourceError: It may not be written, or something else has the name of a file that rows are written to.
    """
    _refuse_unwritable(out_dir)
    out_dir = Path(os.path.realpath(out_dir))
    with _locked(os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)):
        owner = _Owner(job, str(directory), socket.gethostname())
        if out_dir.is_dir():
            with disk_errors(out_dir):
                for name in _ROWS:  # Better before the work than after it.
                    refuse_taken_part(part_path(out_dir / name))
                _refuse_other(out_dir, owner, _noted_owner(out_dir) or _former_owner(out_dir, owner))
        _refuse_other(out_dir, owner, _running_owner(out_dir, owner))
        yield


def claim_output(out_dir: Path, job: str, directory: Path | None) -> None:
    """Makes the output folder where it is missing, and notes that its rows are those of this job.

    Args:
        directory: The job's folder; None where several jobs are joined.

    Raises:
        UsageError: It holds the rows of another job, or another job that is running writes there.
        ResourceError: It cannot be written, or something else has the name of the note.
    """
    owner = _Owner(job, "" if directory is None else str(directory), socket.gethostname())
    hint = "the rows are safe in the job; `stillroom jobs export` writes them elsewhere"
    with disk_errors(out_dir, hint if directory is not None else "check the free space and the permissions"):
        out_dir.mkdir(parents=True, exist_ok=True)
        with _held(out_dir / OWNER_NAME) as descriptor:
            present = _read(descriptor) or _former_owner(out_dir, owner)
            _refuse_other(out_dir, owner, present)
            if present != owner:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json_text({"version": _VERSION, **vars(owner)}).encode(), 0)
                os.fsync(descriptor)


def _refuse_unwritable(out_dir: Path) -> None:
    """Rows that nobody can write are better refused before the work than after it.

    Raises:
        UsageError: It, or what stands where a folder above it should be, is no folder.
        ResourceError: This user may not write there.
    """
    try:
        os.lstat(out_dir)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # It is made, or what stands in its way is named below.
    except OSError as error:
        raise _no_name(out_dir, error.strerror) from error
    present = out_dir
    while not os.path.lexists(present) and present != present.parent:
        present = present.parent
    if not present.is_dir():
        what = "a link that leads nowhere" if present.is_symlink() else "not a folder"
        raise UsageError(
            f"cannot write rows to {out_dir}: {present} is {what}", "name a folder, or a new one, with `--out`"
        )
    longest = os.statvfs(present).f_namemax
    if any(len(os.fsencode(part)) > longest for part in out_dir.relative_to(present).parts):
        raise _no_name(out_dir, f"a name has more than {longest} bytes")
    if not os.access(present, os.W_OK | os.X_OK, effective_ids=True):
        raise ResourceError(
            f"cannot write rows to {out_dir}: {current_user()} may not write into {present}",
            "give this user the right to, or name another folder with `--out`",
        )


def _no_name(out_dir: Path, reason: str | None) -> UsageError:
    return UsageError(f"cannot write rows to {out_dir}: {reason}", "name another folder with `--out`")


def _refuse_other(out_dir: Path, owner: _Owner, present: _Owner | None) -> None:
    if present is not None and present.job != owner.job and _is_in_use(out_dir, present):
        raise UsageError(_refusal(out_dir, present), _hint(out_dir, present))


def _noted_owner(out_dir: Path) -> _Owner | None:
    """Who the note names; None where there is none."""
    try:
        descriptor = open_no_link(str(out_dir / OWNER_NAME), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return _read(descriptor) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def _running_owner(out_dir: Path, owner: _Owner) -> _Owner | None:
    """Another job of this installation that is running now and will write there."""
    for directory in Path(owner.folder).parent.iterdir():
        if directory.name != owner.job and lock_holder(directory) is not None:
            with contextlib.suppress(ApplianceError):
                if _is_same(read_config(directory).out_dir, out_dir):
                    return _Owner(directory.name, str(directory), owner.host)
    return None


@contextmanager
def _held(path: Path) -> Iterator[int]:
    """The note, open and locked; made where it is missing, and never what a link leads to."""
    descriptor = open_no_link(str(path), os.O_RDWR | os.O_CREAT)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            raise ResourceError(f"{path} is no plain file of its own", "remove it, or name another folder")
    except BaseException:
        os.close(descriptor)
        raise
    with _locked(descriptor):
        yield descriptor


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Takes turns with others that have the same file or folder open, and closes it."""
    try:
        # On a network disk without locks two jobs that start in the same moment are not told apart.
        with contextlib.suppress(OSError):
            try_lock_for(descriptor, _PATIENCE_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> _Owner | None:
    """What the note says; None where it was cut short or says something else."""
    try:
        values = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
        if values["version"] != _VERSION:
            return None
        return _Owner(str(values["job"]), str(values["folder"]), str(values["host"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _former_owner(out_dir: Path, owner: _Owner) -> _Owner | None:
    """The job of this installation that wrote rows there, where no note says so; this one before all others."""
    if not owner.folder or not _has_rows(out_dir):
        return None
    writers = []
    for directory in Path(owner.folder).parent.iterdir():
        with contextlib.suppress(ApplianceError):
            if not directory.name.startswith(".") and _is_same(read_config(directory).out_dir, out_dir):
                writers.append(_Owner(directory.name, str(directory), owner.host))
    return next((writer for writer in writers if writer.job == owner.job), writers[0] if writers else None)


def _is_same(configured: str, out_dir: Path) -> bool:
    """Whether a job writes there; a folder may be spelled in more than one way."""
    return bool(configured) and os.path.realpath(configured) == os.path.realpath(out_dir)


def _has_rows(out_dir: Path) -> bool:
    return any(os.path.lexists(out_dir / name) for name in _ROWS)


def _is_in_use(out_dir: Path, owner: _Owner) -> bool:
    if _has_rows(out_dir) or owner.host != socket.gethostname():
        return True
    return bool(owner.folder) and lock_holder(Path(owner.folder)) is not None


def _refusal(out_dir: Path, owner: _Owner) -> str:
    """Who owns the folder, as far as that can be read here."""
    about = ""
    with contextlib.suppress(ApplianceError):
        config = read_config(Path(owner.folder))
        about = f" (documents {config.documents_dir}, model {config.model_name})"
    verb = "holds the rows" if _has_rows(out_dir) else "is in use"
    preposition = "of" if _has_rows(out_dir) else "by"
    where = "" if owner.host == socket.gethostname() else f" on {owner.host}"
    return f"the output folder {out_dir} {verb} {preposition} job {owner.job}{about}{where}"


def _hint(out_dir: Path, owner: _Owner) -> str:
    if owner.host != socket.gethostname():
        return f"name another folder with `--out`; if that job is gone, remove {out_dir / OWNER_NAME}"
    return "name another folder with `--out`, or move the rows of that job away first"
