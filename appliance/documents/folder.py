"""A folder as a list of documents, in path order, whatever the files are called and whatever happens meanwhile.

The folder is held by a descriptor, and everything below it is listed, looked at and opened through that one without
following links: a folder that is exchanged for a link in the middle of the work leads nowhere.
"""

import errno
import hashlib
import math
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from appliance.documents.beneath import open_beneath, stat_beneath
from appliance.documents.left_out import LeftOut, left_out_by_name
from appliance.documents.problems import DocumentError, Problem
from appliance.ground.errors import UsageError
from appliance.ground.text import is_storable

_HASH_CHUNK_BYTES = 1 << 20
_OPEN_FOLDERS = 64
"""Descriptors that a walk holds at most; a folder may be deeper than a process may have files open."""
_LIST_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK
_LIKE_A_BYTE = re.compile(rb"\\(?=x[0-9a-f]{2})")
_WRITTEN_BYTE = re.compile(rb"\\x([0-9a-f]{2})")
_NOT_SPELLED_BY_JSON = re.compile("[\x7f-\U0010ffff]")
_MOST, _LEAST = (1 << 63) - 1, -(1 << 63)
"""The numbers that a database holds."""


@dataclass(frozen=True)
class FoundDocument:
    """One file of the folder."""

    path: bytes
    """Relative to the folder, as the file system spells it; what the ledger knows the document by."""
    size_bytes: int
    modified_ns: int
    problem: str = ""
    """Why size and time are not known: the file cannot be looked at, or the path ends in a slash and is a folder that
    cannot be listed. Reading it says the same."""

    @property
    def name(self) -> str:
        """The path as text, as `document_name` writes it."""
        return document_name(self.path)


def document_name(path: bytes) -> str:
    """A path as text that any database and JSON can hold; two paths never have the same.

    Bytes that are not UTF-8 are written as `\\xNN`, and so is a backslash that would look like the beginning of one,
    and what JSON leaves as it is and no row can hold: the sign for deleting, and code points that are no characters.
    """
    name = _LIKE_A_BYTE.sub(rb"\\x5c", path).decode("utf-8", "backslashreplace")
    return name if is_storable(name) else _NOT_SPELLED_BY_JSON.sub(_storable_character, name)


def _storable_character(character: re.Match[str]) -> str:
    if is_storable(character[0]):
        return character[0]
    return "".join(f"\\x{byte:02x}" for byte in character[0].encode())


def document_path(name: str) -> bytes:
    """The path that `document_name` gave this name."""
    return _WRITTEN_BYTE.sub(lambda written: bytes.fromhex(written[1].decode()), os.fsencode(name))


def storable_number(number: int) -> int:
    """A size or time of the file system as a database can hold it: what is beyond ends at the last one that it can."""
    return max(_LEAST, min(_MOST, number))


@dataclass
class _Level:
    """One folder of a walk, from the outermost to the one that is looked at."""

    path: bytes
    """Empty for the whole folder, else with a slash at its end."""
    names: Iterator[bytes] = field(default_factory=lambda: iter(()))
    descriptor: int | None = None
    """None where it was closed to have room; it is opened again from the root."""

    @property
    def listing(self) -> int:
        """The descriptor of a folder that is open."""
        assert self.descriptor is not None
        return self.descriptor


class DocumentFolder:
    """A folder of documents, held open; close it, or use it with `with`."""

    def __init__(self, path: Path) -> None:
        """Opens the folder; only `walk` needs the right to list it.

        Raises:
            UsageError: It is missing, is no folder, or may not be looked at.
        """
        try:
            # The folder itself may be given by a link; what is below it may not.
            self._root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UsageError(f"no folder of documents at {path}", "name a folder that holds the documents") from error
        except OSError as error:
            raise _unlistable(path, error) from error
        self._path = path

    def close(self) -> None:
        """Lets the folder go."""
        if self._root >= 0:
            os.close(self._root)
        self._root = -1

    def __enter__(self) -> "DocumentFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def walk(self, left_out: "Counter[LeftOut] | None" = None) -> Iterator[FoundDocument]:
        """Regular files below the folder in the byte order of their paths.

        What cannot be looked at or listed is a document with a problem: it must not vanish silently. Only what is
        gone is passed over.

        Args:
            left_out: Counts what is left out: links, hidden files, files that programs keep for themselves.

        Raises:
            UsageError: The folder itself cannot be listed.
        """
        counts: Counter[LeftOut] = Counter() if left_out is None else left_out
        levels: list[_Level] = []
        try:
            try:
                levels.append(_Level(b"", descriptor=os.open(b".", _LIST_FLAGS, dir_fd=self._root)))
                levels[0].names = iter(_names(levels[0].listing, counts))
            except OSError as error:
                raise _unlistable(self._path, error) from error
            # A stack rather than recursion: a hostile folder is deeper than the interpreter's limit.
            while levels:
                level = levels[-1]
                name = next(level.names, None)
                if name is None:
                    self._leave(levels.pop())
                elif (document := self._look(levels, name, counts)) is not None:
                    yield document
        finally:
            for level in levels:
                self._leave(level)

    def _look(self, levels: list[_Level], name: bytes, counts: "Counter[LeftOut]") -> FoundDocument | None:
        """The document of this name in the innermost folder; a folder becomes the innermost one."""
        level = levels[-1]
        path = level.path + name
        try:
            if level.descriptor is None:
                level.descriptor = open_beneath(self._root, level.path.rstrip(b"/"), _LIST_FLAGS)
            if not name.endswith(b"/"):
                facts = os.stat(name, dir_fd=level.listing, follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    return _document(path, facts)
                counts[LeftOut.LINKS if stat.S_ISLNK(facts.st_mode) else LeftOut.SPECIAL] += 1
                return None
            below = _Level(path, descriptor=open_beneath(level.listing, name[:-1], _LIST_FLAGS))
            levels.append(below)
            below.names = iter(_names(below.listing, counts))
            if len(levels) > _OPEN_FOLDERS:
                self._leave(levels[-_OPEN_FOLDERS])
            return None
        except OSError as error:
            if is_gone(error):
                return None
            if error.errno == errno.ELOOP:  # It became a link while the folder was listed.
                counts[LeftOut.LINKS] += 1
                return None
            what = "the folder cannot be listed" if name.endswith(b"/") else "the file cannot be looked at"
            return FoundDocument(path, 0, 0, f"{what}: {error.strerror}")

    def _leave(self, level: _Level) -> None:
        if level.descriptor is not None:
            os.close(level.descriptor)
            level.descriptor = None

    def facts(self, path: bytes) -> FoundDocument | None:
        """Size and time of a document as they are now; None where no regular file is there.

        Raises:
            DocumentError: It cannot be looked at, so that nothing is known of it.
        """
        try:
            facts = stat_beneath(self._root, path.rstrip(b"/"))
        except OSError as error:
            if is_gone(error):
                return None
            raise DocumentError(Problem.UNREADABLE, f"the file cannot be looked at: {_reason(error)}") from error
        return _document(path, facts) if stat.S_ISREG(facts.st_mode) else None

    def why_missing(self, path: bytes) -> str:
        """Why the path is no document of the folder any more; empty where it is one, or where that cannot be known."""
        try:
            mode = stat_beneath(self._root, path.rstrip(b"/")).st_mode
        except OSError as error:
            if is_gone(error):
                return "the file left the folder"
            return "a link stands in its way" if error.errno == errno.ELOOP else ""
        if stat.S_ISREG(mode):
            return ""
        return "a link stands in its place" if stat.S_ISLNK(mode) else "what stands in its place is no file"

    def open(self, path: bytes) -> int:
        """A descriptor of the document, open for reading; never a link, a device or a pipe.

        Raises:
            DocumentError: The file is gone, may not be read, is no regular file, or is a folder that cannot be listed.
        """
        if path.endswith(b"/"):
            raise DocumentError(Problem.UNREADABLE, self._listing_problem(path.rstrip(b"/")))
        try:
            descriptor = open_beneath(self._root, path, _READ_FLAGS)
        except OSError as error:
            if is_gone(error):
                raise DocumentError(Problem.MISSING, "the file left the folder before it was read") from error
            raise DocumentError(Problem.UNREADABLE, f"the file cannot be opened: {_reason(error)}") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise DocumentError(Problem.UNREADABLE, "this is not a regular file")
        return descriptor

    def _listing_problem(self, path: bytes) -> str:
        try:
            descriptor = open_beneath(self._root, path, _LIST_FLAGS)
            try:
                with os.scandir(descriptor) as entries:
                    for _ in entries:
                        pass
            finally:
                os.close(descriptor)
        except OSError as error:
            return f"the folder cannot be listed: {_reason(error)}"
        return "the folder could not be listed; it can be now, and the next run reads it"


def _unlistable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot list {document_name(os.fsencode(path))}: {error.strerror}",
        "give this user the right to read the folder",
    )


def walk(folder: Path) -> Iterator[FoundDocument]:
    """The documents of a folder, as `DocumentFolder.walk` gives them.

    Raises:
        UsageError: The folder is missing, is no folder, or cannot be listed.
    """
    with DocumentFolder(folder) as opened:
        yield from opened.walk()


def is_gone(error: OSError) -> bool:
    """Whether there is nothing at the path; any other error says nothing about that."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR)


def _names(descriptor: int, counts: "Counter[LeftOut]") -> list[bytes]:
    """What is walked in one folder, in order; only names are kept, as a folder may hold a million files."""
    names = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if (reason := left_out_by_name(name)) is not None:
                counts[reason] += 1
            else:
                # A folder sorts as if its name ended in a slash: so the whole walk is in the order of full paths.
                names.append(name + b"/" if _is_folder(entry) else name)
    return sorted(names)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # Some file systems tell the kind only by a look at the file; that look will say what is wrong.
        return False


def _document(path: bytes, facts: os.stat_result) -> FoundDocument:
    return FoundDocument(path, storable_number(facts.st_size), storable_number(facts.st_mtime_ns))


def _reason(error: OSError) -> str:
    return "a link stands in its way" if error.errno == errno.ELOOP else error.strerror or str(error)


def hash_descriptor(descriptor: int, deadline: float = math.inf) -> str:
    """SHA-256 of the open file, in hex; the read position stays where it was.

    Args:
        deadline: By the monotonic clock; a large file on a slow disk may take too long.

    Raises:
        DocumentError: The disk cannot deliver the bytes.
        TimeoutError: The deadline is over.
    """
    digest = hashlib.sha256()
    position = 0
    # One buffer, cleared at the end: the reader process must not hand a document's bytes on to what it forks.
    buffer = bytearray(max(1, min(os.fstat(descriptor).st_size, _HASH_CHUNK_BYTES)))
    view = memoryview(buffer)
    try:
        while size := os.preadv(descriptor, [buffer], position):
            digest.update(view[:size])
            position += size
            if time.monotonic() > deadline:
                raise TimeoutError
    except TimeoutError:
        raise
    except OSError as error:
        raise DocumentError(Problem.UNREADABLE, f"the file cannot be read: {error.strerror}") from error
    finally:
        view[:] = bytes(len(buffer))
    return digest.hexdigest()
