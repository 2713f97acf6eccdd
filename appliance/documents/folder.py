"""A folder as a list of documents, in path order, whatever the files are called."""

import hashlib
import math
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.documents.problems import DocumentError, Problem
from appliance.ground.errors import UsageError

_HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class FoundDocument:
    """One file of the folder."""

    path: bytes
    """Relative to the folder, as the file system spells it; what the ledger knows the document by."""
    size_bytes: int
    modified_ns: int

    @property
    def name(self) -> str:
        """The path as text: bytes that are not UTF-8 are written as `\\xNN`."""
        return document_name(self.path)


def document_name(path: bytes) -> str:
    """A path as text that any database and JSON can hold."""
    return path.decode("utf-8", "backslashreplace")


def walk(folder: Path) -> Iterator[FoundDocument]:
    """Regular files below the folder in the byte order of their paths; links and hidden files are left out.

    Raises:
        UsageError: The folder is missing or is no folder.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder of documents at {folder}", "name a folder that holds the documents")
    root = os.fsencode(folder)
    try:
        opened = [(b"", iter(_names(root)))]
    except OSError as error:
        raise UsageError(
            f"cannot list {document_name(root)}: {error.strerror}", "give this user the right to read the folder"
        ) from error
    # A stack rather than recursion: a hostile folder is deeper than the interpreter's limit.
    while opened:
        below, names = opened[-1]
        name = next(names, None)
        if name is None:
            opened.pop()
        elif not name.endswith(b"/"):
            if (document := _facts(root, below + name)) is not None:
                yield document
        else:
            try:
                opened.append((below + name, iter(_names(os.path.join(root, below + name)))))
            except OSError:
                # What cannot be looked into must not vanish silently: it becomes one document that cannot be read.
                yield FoundDocument(below + name, 0, 0)


def _names(directory: bytes) -> list[bytes]:
    """What is walked in one folder, in order; only names are kept, as a folder may hold a million files."""
    with os.scandir(directory) as entries:
        # A folder sorts as if its name ended in a slash: so the whole walk is in the order of full paths.
        return sorted(
            entry.name + (b"/" if entry.is_dir(follow_symlinks=False) else b"")
            for entry in entries
            if not entry.name.startswith(b".") and _is_walked(entry)
        )


def _is_walked(entry: "os.DirEntry[bytes]") -> bool:
    return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)


def _facts(root: bytes, path: bytes) -> FoundDocument | None:
    try:
        facts = os.stat(root + b"/" + path, follow_symlinks=False)
    except OSError:  # It went while the folder was listed.
        return None
    return FoundDocument(path, facts.st_size, facts.st_mtime_ns) if stat.S_ISREG(facts.st_mode) else None


def document_facts(folder: Path, path: bytes) -> FoundDocument | None:
    """Size and time of a document as they are now; None where no regular file is there."""
    return _facts(os.fsencode(folder), path)


def open_document(folder: Path, path: bytes) -> int:
    """A descriptor of the document, open for reading; never a link, a device or a pipe.

    Raises:
        DocumentError: The file is gone, may not be read, or is no regular file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(os.path.join(os.fsencode(folder), path), flags)
    except OSError as error:
        raise DocumentError(Problem.UNREADABLE, f"the file cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DocumentError(Problem.UNREADABLE, "this is not a regular file")
    return descriptor


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
