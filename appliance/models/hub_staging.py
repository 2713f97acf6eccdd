"""The folder that files of a hub are fetched into: by one process at a time, and kept where the connection breaks."""

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.ground.errors import ResourceError
from appliance.ground.files import is_at
from appliance.ground.locks import try_lock
from appliance.ground.progress import OnProgress, Progress

STAGED_NAME = ".commit"
"""Within a folder that is not whole yet: the commit that its files are of."""
_WATCH_SECONDS = 0.25


class BrokenOff(ResourceError):
    """The connection broke while files were fetched: what arrived is of use to the next try."""


def folder_name(repository: str) -> str:
    """The folder of a repository's files: `owner--name`."""
    return repository.replace("/", "--")


@contextmanager
def staging(bases_dir: Path, repository: str, revision: str) -> Iterator[Path]:
    """The folder that files are fetched into; it stays for the next try where only the connection broke.

    Raises:
        ResourceError: Another process fetches into it, or it cannot be written.
    """
    work_dir = staging_folder(bases_dir, repository)
    staging_dir = work_dir / folder_name(repository)  # messages about its files name the repository
    descriptor = _open_staging(work_dir, repository)
    keep = False
    try:
        if not _is_of(work_dir, revision):
            _empty(work_dir)
            (work_dir / STAGED_NAME).write_text(revision, encoding="ascii")
        staging_dir.mkdir(exist_ok=True)
        yield staging_dir
    except (BrokenOff, KeyboardInterrupt):
        keep = True
        raise
    except OSError as error:
        raise ResourceError(f"cannot write {staging_dir}: {error.strerror or error}", "check the free space") from error
    finally:
        if not keep:
            shutil.rmtree(work_dir, ignore_errors=True)
        os.close(descriptor)


def staging_folder(bases_dir: Path, repository: str) -> Path:
    """Where the files of a repository are until it is whole."""
    return bases_dir / f".{folder_name(repository)}.part"


def broken_off(bases_dir: Path) -> dict[str, int]:
    """Repositories of which a part was fetched, and how many bytes of each."""
    parts = bases_dir.glob(".*.part") if bases_dir.is_dir() else ()
    names = {path: path.name[1:].removesuffix(".part").replace("--", "/", 1) for path in parts}
    return {name: bytes_in(path) for path, name in names.items() if (path / STAGED_NAME).is_file()}


def _open_staging(staging_dir: Path, repository: str) -> int:
    """Makes the folder and locks it for this process; the lock goes with the descriptor."""
    while True:
        try:
            staging_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(staging_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise ResourceError(
                f"cannot create {staging_dir}: {error.strerror}", "check the permissions of the home folder"
            ) from error
        if not try_lock(descriptor):
            os.close(descriptor)
            raise ResourceError(f"{repository} is being fetched by another process", "wait for it")
        if is_at(descriptor, staging_dir):
            return descriptor
        os.close(descriptor)  # the other process has put it in its place


def _is_of(staging_dir: Path, revision: str) -> bool:
    try:
        return (staging_dir / STAGED_NAME).read_text(encoding="ascii") == revision
    except (OSError, ValueError):
        return False


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def bytes_in(directory: Path) -> int:
    """Bytes of all files below; those that come and go meanwhile do not matter."""
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


@contextmanager
def watched(staging_dir: Path, total: int, on_progress: OnProgress) -> Iterator[None]:
    """Reports how much has arrived while the client fetches: its own bars go to no callback."""
    ended, before = threading.Event(), bytes_in(staging_dir)

    def watch() -> None:
        while not ended.wait(_WATCH_SECONDS):
            on_progress(Progress(min(total, bytes_in(staging_dir)), total, "byte", "fetching", before=before))

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    on_progress(Progress(total, total, "byte", "fetching", before=before))
