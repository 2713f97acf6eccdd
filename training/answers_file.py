"""The file of a task's answers: held by one call at a time, added to, and read whatever a killed call left in it."""

import hashlib
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from appliance.ground.errors import UsageError
from appliance.ground.files import disk_errors, write_lines
from appliance.ground.json_text import json_text
from appliance.ground.locks import open_lock, try_lock
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import LabelledRow, read_dataset, text_hash


@contextmanager
def alone(folder: TaskFolder) -> Iterator[None]:
    """Holds the answers of a task folder; what a killed call did not finish in them is taken away.

    Raises:
        UsageError: Another process holds them.
    """
    path = folder.answers_path
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = open_lock(path.with_name("collect.lock"))
    try:
        if not try_lock(descriptor):
            raise UsageError(
                f"another `stillroom collect` writes the answers of {folder.path.name}", "wait for its end, or stop it"
            )
        _mend(path)
        yield
    finally:
        os.close(descriptor)


def _mend(path: Path) -> None:
    """Takes a line away that a killed call did not finish; its reply is kept elsewhere."""
    if not path.is_file():
        return
    with disk_errors(path), open(path, "r+b") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)


def read_answers(path: Path) -> list[LabelledRow]:
    """All answers, but for one that is not written to its end: a call may be at work. None where there is no file.

    Raises:
        UsageError: A line is something else; named by file and line.
    """
    return read_dataset(path, is_growing=True) if path.is_file() else []


def provenance_number(row: LabelledRow, key: str, default: float = 0.0) -> float:
    """A number that a row says of its answer, such as its tokens; the default where it says none, or nonsense."""
    try:
        number = float(row.provenance.get(key, default))
    except ValueError:
        return default
    return number if math.isfinite(number) else default


def content_key(row: LabelledRow) -> str:
    """SHA-256 of what makes an answer: document, text, teacher and what the teacher said."""
    content = [row.document, row.sha256, text_hash(row.text), row.teacher, row.answer, row.labels]
    content += [row.working] if row.working else []
    return hashlib.sha256(json_text(content, sort_keys=True, ascii_only=True).encode()).hexdigest()


def add_answers(path: Path, rows: Iterable[LabelledRow]) -> tuple[int, int]:
    """Adds the answers that are not there yet, for whoever holds the file.

    Returns:
        How many were added, and how many were there already.
    """
    before = read_answers(path)
    keys = {content_key(row) for row in before}
    new: list[LabelledRow] = []
    known = 0
    for row in rows:
        if (key := content_key(row)) in keys:
            known += 1
        else:
            keys.add(key)
            new.append(row)
    if new or not path.is_file():
        write_lines(path, map(LabelledRow.line, [*before, *new]))
    return len(new), known


def known_documents(path: Path, identity: str) -> set[str]:
    """SHA-256 of the documents that a teacher of this identity has answered for this task."""
    return {row.sha256 for row in read_answers(path) if row.provenance.get("identity") == identity}


@contextmanager
def appended_answers(path: Path) -> Iterator[BinaryIO]:
    """The file to add to; on the disk when this ends."""
    with disk_errors(path), open(path, "ab") as file:
        try:
            yield file
        finally:
            file.flush()
            os.fsync(file.fileno())
