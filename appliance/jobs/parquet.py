"""Rows as Parquet: one column per field with its confidence and its place, in groups of rows that bound the memory."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, BinaryIO

from appliance.jobs.corrected_rows import CORRECTION_COLUMNS, Corrector
from appliance.jobs.rows import ROW_COLUMNS, Row, column_name
from appliance.tasks.linecode import Value, display_value, is_records
from appliance.tasks.task import Field, FieldType

_GROUP = 10_000
_BEFORE_FIELDS = 4


def write_parquet(
    rows: Iterable[Row], output_fields: Sequence[Field], file: BinaryIO, corrector: Corrector | None = None
) -> None:
    """Writes the rows; values stay text as the model wrote them, as in the other formats.

    A field called `total` has the columns `total`, `total confidence`, `total evidence`, `total normalised` and
    `total marks`. A field that is called like a column of the row, such as `document`, gets `field ` before its name.
    With corrections come `total answered`, `total corrected by` and `total corrected at`.
    """
    import pyarrow
    from pyarrow import parquet

    schema = _schema(output_fields, corrector is not None)
    source = iter(rows)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(source, _GROUP)):
            columns = zip(*(_values(row, output_fields, corrector) for row in group), strict=True)
            arrays = [pyarrow.array(column, type=kind) for column, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _schema(output_fields: Sequence[Field], with_corrections: bool) -> Any:
    import pyarrow

    kinds = {
        "unsafe": pyarrow.bool_(), "prompt_tokens": pyarrow.int64(), "completion_tokens": pyarrow.int64(),
        "reasoning_tokens": pyarrow.int64(), "seconds": pyarrow.float64(), "version": pyarrow.int32(),
        "escalated": pyarrow.list_(pyarrow.string()), "reasons": pyarrow.list_(pyarrow.string()),
    }  # fmt: skip
    columns = [(name, kinds.get(name, pyarrow.string())) for name in ROW_COLUMNS]
    fields = []
    for field in output_fields:
        name = column_name(field.name)
        kind = _kind(field)
        fields += [(name, kind), (f"{name} confidence", pyarrow.float64()), (f"{name} evidence", pyarrow.int64())]
        fields += [(f"{name} normalised", kind), (f"{name} marks", pyarrow.list_(pyarrow.string()))]
        if with_corrections:
            answered, by, at = (f"{name} {column}" for column in CORRECTION_COLUMNS)
            fields += [(answered, kind), (by, pyarrow.string()), (at, pyarrow.string())]
    return pyarrow.schema([*columns[:_BEFORE_FIELDS], *fields, *columns[_BEFORE_FIELDS:]])


def _kind(field: Field) -> Any:
    """The type of a field's values: of records a list of structures with their columns."""
    import pyarrow

    if field.columns:
        return pyarrow.list_(pyarrow.struct([(name, pyarrow.string()) for name in field.column_names]))
    return pyarrow.list_(pyarrow.string()) if field.type is FieldType.LIST else pyarrow.string()


def _values(answered: Row, output_fields: Sequence[Field], corrector: Corrector | None) -> list[object]:
    row = corrector.corrected(answered) if corrector else answered
    plain: list[object] = [getattr(row, name) for name in ROW_COLUMNS]
    cells: list[object] = []
    for field in output_fields:
        value = _of_kind(field, (row.fields or {}).get(field.name))
        cells += [value, row.confidence.get(field.name), row.evidence.get(field.name)]
        cells += [_of_kind(field, row.normalised.get(field.name)), row.marks.get(field.name)]
        if corrector:
            model_value, user, moment = corrector.cells(answered, field)
            cells += [_of_kind(field, model_value), user, moment]
    return [*plain[:_BEFORE_FIELDS], *cells, *plain[_BEFORE_FIELDS:]]


def _of_kind(field: Field, value: Value) -> Value:
    """The value as the column's type has it."""
    if field.columns:
        return value if is_records(value) else None
    if field.type is FieldType.LIST and isinstance(value, str):
        return [value]
    if field.type is not FieldType.LIST and isinstance(value, list):
        return display_value(value)
    return value
