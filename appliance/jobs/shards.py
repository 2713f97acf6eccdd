"""Shards: one folder of documents divided over N independent jobs, each with a ledger of its own.

A document belongs to a shard by the hash of its path in the folder, so a growing folder never moves a document. A
shard leaves a copy of its ledger in its output folder. There `jobs join` finds it, and there another machine finds it
that goes on with the shard. The copy is made beside the ledger and then copied as one file: SQLite never opens a
database on a network disk.
"""

import contextlib
import hashlib
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.documents.folder import FoundDocument
from appliance.ground.database import make_private, open_writer
from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import part_of, write_file
from appliance.jobs.job import LEDGER_NAME, JobConfig, config_text, task_path
from appliance.jobs.ledger import connect, ledger_error, open_readonly
from appliance.tasks.folder import TASK_FILE

MAX_SHARDS = 500
"""A join holds the ledger of every shard open."""
_PUBLISHED_PART = f".{LEDGER_NAME}.shard.part"


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a folder; numbers start at 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def folder_name(self) -> str:
        """Name of the shard's own folder in the output folder that all shards share."""
        return f"shard-{self.number}-of-{self.count}"

    def holds(self, path: bytes) -> bool:
        """Whether the document with this path, relative to the folder, belongs to this shard."""
        return shard_number(path, self.count) == self.number

    def has(self, document: FoundDocument) -> bool:
        """Whether the document belongs to this shard."""
        return self.holds(document.path)


def shard_number(path: bytes, count: int) -> int:
    """The shard, from 1 to `count`, that a document belongs to."""
    return int.from_bytes(hashlib.sha256(path).digest()[:8]) % count + 1


def parse_shard(text: str) -> Shard:
    """The shard that `K/N` names.

    Raises:
        UsageError: This names no shard.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a shard", "write K/N, such as `--shard 1/4` for the first of four")
    number, count = int(match[1]), int(match[2])
    if not 1 <= number <= count <= MAX_SHARDS:
        raise UsageError(
            f"there is no shard {number} of {count}", f"K of K/N is from 1 to N, and N is at most {MAX_SHARDS}"
        )
    return Shard(number, count)


def shard_out_dir(out_dir: Path, shard: str) -> Path:
    """The shard's own folder in the output folder that all shards share.

    Raises:
        UsageError: This names no shard.
    """
    return out_dir / parse_shard(shard).folder_name


@contextmanager
def shared_shard(directory: Path, config: JobConfig) -> Iterator[None]:
    """Goes on from what the shard left in its output folder, and leaves there what it comes to.

    A job that is not a shard is left alone. Where the work itself fails, that error is the one to show.
    """
    if not config.shard:
        yield
        return
    adopt_published(directory, config)
    try:
        yield
    except BaseException:
        with contextlib.suppress(ApplianceError):
            publish_shard(directory, config)
        raise
    publish_shard(directory, config)


def publish_shard(directory: Path, config: JobConfig) -> None:
    """Copies the job's configuration and ledger, without the texts of documents, into its output folder.

    Raises:
        ResourceError: One of the two disks is full or not writable.
    """
    out_dir, part = Path(config.out_dir), directory / _PUBLISHED_PART
    try:
        out_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(out_dir / TASK_FILE, task_path(directory).read_bytes())
        write_file(out_dir / "job.toml", config_text(config).encode())
        _copy_ledger(directory, part)
        _copy_whole(part, out_dir / LEDGER_NAME)
    except OSError as error:
        raise ResourceError(
            f"cannot copy the ledger of shard {config.shard} to {out_dir}: {error.strerror}",
            f"check the free space and the rights, then `stillroom jobs resume {config.id}`",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def adopt_published(directory: Path, config: JobConfig) -> bool:
    """Takes over the ledger that the same shard left in its output folder, if it is further than the one here.

    Only the holder of the job's lock may call this.

    Raises:
        ResourceError: The disk is full or not writable.
    """
    published, ledger_path = Path(config.out_dir) / LEDGER_NAME, directory / LEDGER_NAME
    (directory / _PUBLISHED_PART).unlink(missing_ok=True)
    if not published.is_file() or _written(Path(config.out_dir), config.id) <= _written(directory, config.id):
        return False
    try:
        # The log belongs to the ledger that goes: beside another one it would damage it.
        for name in (f"{LEDGER_NAME}-wal", f"{LEDGER_NAME}-shm", LEDGER_NAME):
            (directory / name).unlink(missing_ok=True)
        _copy_whole(published, ledger_path)
    except OSError as error:
        raise ResourceError(
            f"cannot copy the ledger of shard {config.shard} from {published}: {error.strerror}",
            "check the free space and the rights",
        ) from error
    return True


def _written(directory: Path, identifier: str) -> int:
    """Rows that were ever written in the ledger there; -1 where there is no sound ledger of this job.

    Superseded ones count: a ledger in which failed documents are to be tried again is no less far than before.
    """
    if not (directory / LEDGER_NAME).is_file():
        return -1
    try:
        with open_readonly(directory) as reader:
            if reader.summary().id != identifier or reader.damage() is not None:
                return -1
            return reader.written_rows()
    except (ApplianceError, sqlite3.Error):
        return -1


def _copy_ledger(directory: Path, part: Path) -> None:
    """A compact copy of a closed or open ledger, as one file without a log and without documents' texts."""
    part.unlink(missing_ok=True)
    try:
        make_private(part)
        # Only reading: closing a writer would fold a log in that a failing disk made doubtful.
        source = connect(directory, "mode=ro")
        try:
            source.execute("VACUUM INTO ?", (str(part),))
        finally:
            source.close()
        copy = open_writer(part, log=False)
        try:
            copy.execute("PRAGMA journal_mode = MEMORY")
            copy.execute("DELETE FROM texts")
            copy.execute("VACUUM")
        finally:
            copy.close()
    except sqlite3.Error as error:
        raise ledger_error(directory.name, error) from error


def _copy_whole(source: Path, target: Path) -> None:
    with open(source, "rb") as reading, part_of(target, private=True) as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
