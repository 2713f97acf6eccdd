"""Labelled rows: a document's text with what a teacher or a person says about it. One type, one reader, one writer.

`teacher/answers.jsonl`, the files of `dataset/`, and the files that a person hands to the gate, to the choice of a
threshold and to a comparison are all JSON Lines of such rows.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from appliance.ground.errors import UsageError
from appliance.ground.json_input import NotJson, RefusedJson, parse_json
from appliance.ground.json_text import json_text
from appliance.ground.spelling import nearest
from appliance.tasks.answer_json import WrittenNumber, answer_of_json, flat_values, is_finite_number
from appliance.tasks.canonical_text import canonical
from appliance.tasks.linecode import Answer, Value, is_records

if TYPE_CHECKING:
    from appliance.tasks.task import Field, Task

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_HINT = "write one JSON object on each line"
_ROW_HINT = 'write {"text": "...", "answer": {...}} on each line; "document" in place of a text needs `--documents`'
_ANSWER_HINT = 'write {"document": "a.txt", "answer": {...}} on each line'
_DATASET_HINT = "run `stillroom collect` and `stillroom curate` again"


@dataclass(frozen=True)
class LabelledRow:
    """One document with its right answer."""

    document: str
    """Path of the document below its folder, or the caller's own name for a text."""
    text: str
    answer: Answer
    sha256: str = ""
    """Of the document's bytes; of the UTF-8 text where there is no file; empty in rows that a person wrote."""
    labels: dict[str, float] | None = None
    """For a classification: the share of each label, if the teacher gave more than one."""
    teacher: str = ""
    """Name of the teacher."""
    group: str | None = None
    """Rows of one group (one customer, one template) never fall into different splits."""
    source: str = "teacher"
    """Whose answer it is: `person`, or `teacher` where nobody has looked at the teacher's answer."""
    teacher_answer: Answer | None = None
    """What the teacher said, where a person's answer is the right one, or where the document prints it otherwise."""
    working: str = ""
    """What led the teacher to its answer, where it said so."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Of an answer that was asked for: identity, served model, fingerprint, date and licence of the teacher."""
    untrusted: dict[str, str] = field(default_factory=dict)
    """Field -> why its value is neither learnt from nor judged by."""
    agreement: dict[str, float] = field(default_factory=dict)
    """Field -> share of the teacher's answers to this document that say the same, where it was asked several times."""
    line_number: int = field(default=0, compare=False)
    """Of the file that the row was read from; 0 where it was not."""

    def line(self, **more: object) -> str:
        """The row as one line of JSON as it is stored in a task folder, keys in fixed order."""
        stored = {
            "document": self.document, "sha256": self.sha256, "text": self.text, "answer": self.answer,
            "labels": self.labels, "teacher": self.teacher, "group": self.group, "source": self.source,
        }  # fmt: skip
        given = {
            "teacher_answer": self.teacher_answer, "working": self.working, "provenance": self.provenance,
            "untrusted": self.untrusted, "agreement": self.agreement,
        }  # fmt: skip
        return json_text({**stored, **{key: value for key, value in given.items() if value}, **more})


def text_hash(text: str) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_json_lines(
    path: Path,
    hint: str = "name a file of JSON Lines in UTF-8",
    on_broken: Callable[[int, UsageError], None] | None = None,
) -> Iterator[tuple[int, dict[str, object]]]:
    """Line numbers and objects of a JSON Lines file; empty lines are skipped.

    Lines end at a newline and nowhere else: JSON strings may hold U+2028, U+0085 and their like as they are.

    Args:
        hint: What to do where there is no such file.
        on_broken: Called with the number of a line that is no JSON object, and what is wrong with it; the other lines
            are read all the same. Without it the first such line is an error.

    Raises:
        UsageError: A line is not a JSON object in UTF-8, or the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    start = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
                    record = _json_object(start, f"{path}:{number}")
                except UsageError as error:
                    if on_broken is None:
                        raise
                    on_broken(number, error)
                    continue
                if record is not None:
                    yield number, record
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint) from error


def _json_object(line: bytes, where: str) -> dict[str, object] | None:
    try:
        # A file name that is no UTF-8 on disk becomes half pairs of surrogates, and is stored as such.
        text = line.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        kind = "UTF-16" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else f"not UTF-8: {error.reason}"
        raise UsageError(f"{where}: {kind}", "save the file as UTF-8") from error
    if not text.strip():
        return None
    try:
        record = parse_json(text, parse_float=WrittenNumber)
    except NotJson as error:
        raise UsageError(f"{where}: not JSON: {error}", _LINE_HINT) from error
    except RefusedJson as error:
        raise UsageError(f"{where}: not JSON that can be read: {error}", "correct the line") from error
    if not isinstance(record, dict):
        raise UsageError(f"{where}: not a JSON object", _LINE_HINT)
    return record


def read_dataset(path: Path, is_growing: bool = False) -> list[LabelledRow]:
    """All rows of a file that `collect` or `curate` wrote.

    Args:
        is_growing: Whether somebody may be adding to it: a last line without its end is passed over.

    Raises:
        UsageError: The file is missing or holds something else; named by file and line.
    """
    if not path.is_file():
        raise UsageError(
            f"{path.parent.name}/{path.name} is missing",
            "run `stillroom collect`, then `stillroom curate` on the task folder",
        )
    rows, broken = [], dict[int, UsageError]()
    for number, record in read_json_lines(path, on_broken=broken.__setitem__):
        where = f"{path}:{number}"
        for key, type_ in (("document", str), ("sha256", str), ("text", str), ("answer", dict)):
            if key not in record:
                raise UsageError(f"{where}: the row has no {key}", _DATASET_HINT)
            if not isinstance(record[key], type_):
                raise UsageError(f"{where}: {key} is not {'a string' if type_ is str else 'an object'}", _DATASET_HINT)
        labels = record.get("labels")
        if labels is not None and not _is_shares(labels):
            raise UsageError(f"{where}: labels does not give each label a number", _DATASET_HINT)
        rows.append(read_row(record, where, "teacher"))
    if broken and not (is_growing and len(broken) == 1 and _ends_within(path, *broken)):
        raise next(iter(broken.values()))
    return rows


def _ends_within(path: Path, number: int) -> bool:
    """Whether a file's last line is this one, and has no end."""
    data = path.read_bytes()
    return not data.endswith(b"\n") and data.count(b"\n") + 1 == number


def read_labels(path: Path, texts: Mapping[str, str] | None = None) -> list[LabelledRow]:
    """Rows with `text` and `answer`, perhaps `document` and `teacher_answer`, as a person writes them.

    Args:
        texts: Document -> text, for rows that give a document in place of a text.

    Raises:
        UsageError: The file cannot be read, has no rows, or a line is something else; named by file and line.
    """
    rows = []
    hint = "name a file with `--labels`, or set rows aside with `stillroom curate --test`"
    for number, record in read_json_lines(path, hint):
        where = f"{path}:{number}"
        if texts is not None and not isinstance(record.get("text"), str):
            record["text"] = texts.get(str(record.get("document")))
        if not isinstance(record.get("text"), str) or not isinstance(record.get("answer"), dict):
            raise UsageError(f"{where}: a row needs text and answer", _ROW_HINT)
        row = read_row({**record, "document": str(record.get("document") or number)}, where, "person")
        rows.append(replace(row, line_number=number))
    if not rows:
        raise UsageError(f"{path} has no rows", _ROW_HINT)
    return rows


def read_answers_by_document(path: Path, task: "Task") -> dict[str, Answer]:
    """Document -> its right answer, from rows with `document` and `answer`.

    Raises:
        UsageError: A line is something else, an answer does not fit the task, or a document has two different answers.
    """
    from appliance.tasks.answer_findings import answer_findings

    answers: dict[str, Answer] = {}
    known = sorted(field.name for field in task.output_fields)
    for number, record in read_json_lines(path):
        where = f"{path}:{number}"
        document, values = record.get("document"), record.get("answer")
        if not isinstance(document, str) or not isinstance(values, dict):
            raise UsageError(f"{where}: a row needs document and answer", _ANSWER_HINT)
        if unknown := sorted(set(flat_values(values)) - set(known)):
            raise UsageError(f"{where}: {unknown[0]} is not a field of the task", f"known: {', '.join(known)}")
        _refuse_half_pairs(values, where)
        answer = answer_of_json(values, where)
        # A value that is missing is right where the document has none, whatever the task requires of answers; and what
        # a person says is right, whatever rule it breaks.
        problems = [finding.message for finding in answer_findings(task, answer) if finding.code == "form"]
        if problems:
            raise UsageError(f"{where}: {problems[0]}", "correct the row")
        if answers.get(document, answer) != answer:
            raise UsageError(f"{where}: {document} has two different answers", "keep one of them")
        answers[document] = answer
    if not answers:
        raise UsageError(f"{path} has no rows", _ANSWER_HINT)
    return answers


def read_row(record: Mapping[str, Any], where: str, default_source: str = "teacher") -> LabelledRow:
    """The row of a record that has a text and an answer; what a person's row says beside them may be anything.

    Raises:
        UsageError: A part of it is of the wrong kind; `where` names it.
    """
    text, labels, teacher, group = record["text"], record.get("labels"), record.get("teacher"), record.get("group")
    teacher_answer = record.get("teacher_answer")
    if not isinstance(teacher_answer, dict | None):
        raise UsageError(f"{where}: teacher_answer is not an object", 'write {"field": "value", ...} or leave it out')
    # A name may hold them: it is that of a file that is no UTF-8 on disk.
    _refuse_half_pairs({key: value for key, value in record.items() if key != "document"}, where)
    return LabelledRow(
        record["document"],
        text,
        answer_of_json(record["answer"], f"{where}: answer"),
        str(record.get("sha256") or ""),
        {label: float(share) for label, share in labels.items()} if _is_shares(labels) else None,
        teacher if isinstance(teacher, str) else "",
        None if group is None else str(group),
        str(record.get("source") or default_source),
        None if teacher_answer is None else answer_of_json(teacher_answer, f"{where}: teacher_answer"),
        working if isinstance(working := record.get("working"), str) else "",
        _texts(record.get("provenance")),
        _texts(record.get("untrusted")),
        dict(agreement) if _is_shares(agreement := record.get("agreement")) else {},
    )


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}


def _is_shares(value: object) -> TypeGuard[dict[str, float]]:
    return isinstance(value, dict) and all(map(is_finite_number, value.values()))


def _refuse_half_pairs(value: object, where: str) -> None:
    try:
        json_text(value).encode()
    except UnicodeEncodeError as error:
        hint = "remove it"
        raise UsageError(
            f"{where}: a value contains half of a surrogate pair, which is not a character", hint
        ) from error


def without_training_rows(rows: Sequence[LabelledRow], train_path: Path) -> list[LabelledRow]:
    """The rows whose text, blanks, case and codes aside, is no training row's: a student knows those by heart.

    Raises:
        UsageError: None is left.
    """
    training = read_json_lines(train_path) if train_path.is_file() else ()
    training_texts = {_folded(str(record.get("text"))) for _, record in training}
    others = [row for row in rows if _folded(row.text) not in training_texts]
    if not others:
        raise UsageError(
            f"every labelled row is a training row of {train_path}",
            "judge on documents that the student was not trained on, such as dataset/test.jsonl",
        )
    return others


def _folded(text: str) -> str:
    return canonical(text)


def check_rows(task: "Task", rows: Iterable[LabelledRow]) -> None:
    """Refuses rows that no student could answer as they want it: with a field that the task lacks, or a wrong value.

    Raises:
        UsageError: With the nearest field, or the values that the field has.
    """
    known = {field.name: field for field in task.output_fields}
    for row in rows:
        for name in (*row.answer, *(row.teacher_answer or ())):
            if name not in known:
                meant = nearest(name, list(known))
                raise UsageError(
                    f"the labelled row of {row.document} names the field {name}, which the task {task.name} lacks",
                    f"{f'did you mean {meant}? ' if meant else ''}known fields: {', '.join(known)}",
                )
        for name, value in row.answer.items():
            if value and (problem := _form_problem(known[name], value)):
                where = f"line {row.line_number}" if row.line_number else f"the labelled row of {row.document}"
                raise UsageError(f"{where}: {name} {problem[0]}", problem[1])


def _form_problem(field: "Field", value: Value) -> tuple[str, str] | None:
    """What is wrong with the form of a right value, and what to write instead."""
    from appliance.tasks.task import FieldType

    if field.type is FieldType.RECORDS:
        return _records_problem(field, value)
    if is_records(value):
        return "is a list of records, and the field is none", 'write "..." or null'
    if isinstance(value, list) != (field.type is FieldType.LIST):
        if isinstance(value, list):
            return "is a list, and the field has one value", 'write "..." or null'
        return "is no list, and the field is one", 'write ["...", "..."] or null'
    known = f"known values: {', '.join(field.values)}"
    if isinstance(value, list):
        others = [entry for entry in value if field.values and entry not in field.values]
        return (f"has {str(others[0])[:40]!r}, which is not one of its values", known) if others else None
    return _choice_problem(field, value)


def _records_problem(field: "Field", value: Value) -> tuple[str, str] | None:
    columns = ", ".join(field.column_names)
    if not is_records(value):
        return "is no list of records, and the field is one", f'write [{{"column": "..."}}] or null; columns: {columns}'
    for number, record in enumerate(value, 1):
        if unknown := [name for name in record if name not in field.column_names]:
            meant = nearest(unknown[0], field.column_names)
            hint = f"{f'did you mean {meant}? ' if meant else ''}columns: {columns}"
            return f"has the column {unknown[0]!r} in record {number}, which the task lacks", hint
        for column in field.columns:
            if problem := _choice_problem(column, record.get(column.name)):
                return f"in record {number}: {column.name} {problem[0]}", problem[1]
    return None


def _choice_problem(field: "Field", value: "str | None") -> tuple[str, str] | None:
    from appliance.tasks.values import same

    if not value or not field.values or any(same(field, value, choice) for choice in field.values):
        return None
    return f"is {value[:40]!r}, which is not one of its values", f"known values: {', '.join(field.values)}"


def teacher_names(rows: Iterable[LabelledRow]) -> str:
    """The teachers of rows, sorted and joined by commas."""
    return ", ".join(sorted({row.teacher for row in rows if row.teacher}))


def data_hash(rows: Iterable[LabelledRow]) -> str:
    """SHA-256 of what a student learns from: each row's document hash, answer, shares and so on, in any order."""
    parts = sorted(
        json_text(
            [
                row.sha256,
                text_hash(row.text),
                row.answer,
                row.labels,
                *([row.working] if row.working else []),
                *([sorted(row.untrusted)] if row.untrusted else []),
            ],
            sort_keys=True,
            ascii_only=True,
        )
        for row in rows
    )
    return hashlib.sha256("\n".join(parts).encode("ascii")).hexdigest()
