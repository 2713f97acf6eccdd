"""Rows of a task folder: a document's text with an answer, as `collect` and `curate` write them."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from appliance.ground.errors import UsageError
from appliance.ground.files import disk_errors, sync_file
from appliance.tasks.linecode import Answer

Source = Literal["teacher", "person"]


@dataclass(frozen=True)
class Row:
    """One document with what the teacher, or a person, says about it."""

    document: str
    """Path of the document below its folder, or the caller's own name for a text."""
    sha256: str
    """Of the document's bytes; of the UTF-8 text where there is no file."""
    text: str
    answer: Answer
    labels: dict[str, float] | None = None
    """For a classification: the share of each label, if the teacher gave more than one."""
    teacher: str = ""
    group: str | None = None
    """Rows of one group (one customer, one template) never fall into different splits."""
    source: Source = "teacher"


def text_hash(text: str) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def row_from(record: dict[str, object], where: str) -> Row:
    """A row from its stored form.

    Raises:
        UsageError: The record is not a row; the message starts with `where`.
    """
    known = {key: record[key] for key in Row.__dataclass_fields__ if key in record}
    missing = [key for key in ("document", "sha256", "text", "answer") if key not in known]
    if missing:
        raise UsageError(
            f"{where}: the row has no {missing[0]}", "run `stillroom collect` and `stillroom curate` again"
        )
    for key, kind in (("document", str), ("sha256", str), ("text", str), ("answer", dict), ("labels", dict | None)):
        if not isinstance(known.get(key), kind):
            raise UsageError(
                f"{where}: {key} is of the wrong kind", "run `stillroom collect` and `stillroom curate` again"
            )
    return Row(**known)  # type: ignore[arg-type]


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Line numbers and objects of a JSON Lines file; empty lines are skipped.

    Raises:
        UsageError: A line is not a JSON object, or the file cannot be read.
    """
    try:
        # A file from Windows begins with a mark; a name on disk that is no UTF-8 becomes half a pair of surrogates.
        lines = path.read_bytes().decode("utf-8-sig", "surrogatepass").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "give a JSON Lines file in UTF-8") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{path}:{number}: not JSON: {error}", "write one JSON object on each line") from error
        if not isinstance(record, dict):
            raise UsageError(f"{path}:{number}: not a JSON object", "write one JSON object on each line")
        yield number, record


def read_rows(path: Path) -> list[Row]:
    """All rows of a file that `collect` or `curate` wrote.

    Raises:
        UsageError: The file is missing or holds something else.
    """
    if not path.is_file():
        raise UsageError(
            f"{path.parent.name}/{path.name} is missing",
            "run `stillroom collect`, then `stillroom curate` on the task folder",
        )
    return [row_from(record, f"{path}:{number}") for number, record in read_json_lines(path)]


def row_line(row: Row, **more: object) -> str:
    """A row as one line of JSON, keys in fixed order."""
    return json.dumps({**asdict(row), **more}, ensure_ascii=False)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes a file so that it appears whole or not at all.

    Raises:
        ResourceError: It cannot be written.
    """
    beside = path.with_name(path.name + ".part")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("w", encoding="utf-8", errors="surrogatepass") as file:
                file.writelines(line + "\n" for line in lines)
            sync_file(beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def teachers(rows: Iterable[Row]) -> str:
    """The teachers of rows, by name."""
    return ", ".join(sorted({row.teacher for row in rows if row.teacher}))


def data_hash(rows: Iterable[Row]) -> str:
    """SHA-256 of what a student learns from: each row's document hash, answer and label shares, in any order."""
    parts = sorted(
        json.dumps([row.sha256, text_hash(row.text), row.answer, row.labels], sort_keys=True, ensure_ascii=True)
        for row in rows
    )
    return hashlib.sha256("\n".join(parts).encode("ascii")).hexdigest()
