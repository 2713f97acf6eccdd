"""What a field of `task.toml` may say."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from appliance.ground.tables import Name, Problem, Table, Text, Texts, wrong
from appliance.tasks import task as domain
from appliance.tasks.dates import DateOrder

TypeWord = Literal["text", "date", "amount", "number", "integer", "boolean", "enum", "list", "records", "object"]
ComparatorWord = Literal["exact", "text", "amount", "date", "number", "integer", "boolean", "enum", "list", "records"]
DateOrderWord = Literal["day_first", "month_first", "year_first"]
NEW_TYPES = ("integer", "boolean", "records", "object")
NEW_KEYS = ("description", "examples", "pattern", "fields")
"""What version 1 of a task file does not have, beside these types."""
MOST_COLUMNS = 24
DEEPEST = 4
"""Objects within objects."""
_OWN_COMPARATOR = ("list", "enum", "boolean", "records")
"""Types whose comparator serves nothing else."""


def _known_locale(name: str) -> str:
    from appliance.tasks.locales import locale_rules

    try:
        locale_rules(name)
    except ValueError as error:
        raise wrong(
            str(error), 'write a language, or language and country, such as locale = "de" or "en_GB"'
        ) from error
    return name


def _usable_pattern(pattern: str) -> str:
    from appliance.tasks.patterns import pattern_problem

    if problem := pattern_problem(pattern):
        raise wrong(
            f"cannot be used: {problem}",
            "write a regular expression without look-around and back-references, such as pattern = '[A-Z]{2}[0-9]+'",
        )
    return pattern


LocaleName = Annotated[str, AfterValidator(_known_locale)]
Pattern = Annotated[str, Field(min_length=1), AfterValidator(_usable_pattern)]


class ValueTable(Table):
    """One value of an enum, with what it means."""

    value: Text = Field(description="As the answer has it.")
    description: str = Field(default="", description="What it means.")


def _value_table(value: object) -> object:
    if isinstance(value, str):
        if not value.strip():
            raise wrong("one of the strings is empty", 'write ["...", "..."]')
        return {"value": value}
    return value


def _different_values(values: list[ValueTable]) -> list[ValueTable]:
    words = [each.value for each in values]
    if twice := next((word for number, word in enumerate(words) if word in words[:number]), ""):
        raise wrong(f'holds "{twice}" twice', "name each only once")
    return values


ValueTables = Annotated[
    list[Annotated[ValueTable, BeforeValidator(_value_table, json_schema_input_type=str | ValueTable)]],
    AfterValidator(_different_values),
]
"""Words, or tables with what they mean."""


class FieldTable(Table):
    """One value that is asked for."""

    name: Name = Field(description="Key of the value in answers and rows.")
    type: TypeWord = Field(
        default="text",
        description="What the value is. records: the lines of a table, each with the columns in fields; object: values"
        " that belong together, asked for one by one.",
    )
    description: str = Field(default="", description="What the value is, for people and for models that read a schema.")
    examples: Texts = Field(default=[], description="Values that a document may have, for the same.")
    required: bool = Field(default=False, description="An answer without it goes to a person.")
    evidence: domain.Evidence | None = Field(
        default=None,
        description="literal: the value stands in the document as it is written; derived: it follows from the"
        " document. The default is derived for an enum, a boolean and a closed list, and literal for all others.",
    )
    comparator: ComparatorWord | None = Field(
        default=None, description="When two values count as the same. The default is that of the type."
    )
    weight: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=1.0,
        description="What a mistake in it costs, against the other fields: reports name the costliest first.",
    )
    phrase: str = Field(
        default="", description="How the model is asked for it; by default the name, with spaces for underscores."
    )
    values: ValueTables = Field(
        default=[],
        description="The values of an enum, or those that entries of a list may have: words, or tables with value and"
        " description.",
        examples=[["EUR", "USD"]],
    )
    pattern: Pattern | None = Field(
        default=None,
        description="Regular expression that the whole value matches; an answer that does not goes to a person.",
        examples=["[A-Z]{2}[0-9]{6}"],
    )
    locale: LocaleName | None = Field(default=None, description="As of the task, for this field.", examples=["de"])
    date_order: DateOrderWord | None = Field(default=None, description="As of the task, for this field.")
    fields: "list[FieldTable]" = Field(
        default=[], description="Of records their columns, of an object its fields; a column has one value."
    )

    @property
    def words(self) -> list[str]:
        """The values, without what they mean."""
        return [each.value for each in self.values]

    def problems(self) -> list[Problem]:
        """Values belong to enums and closed lists; columns to records."""
        problems = blank_words("values", self.words)
        if self.type == "enum" and not self.values:
            problems.append(("values", "missing, and an enum needs them", 'write values = ["...", "..."]'))
        if self.values and self.type not in ("enum", "list"):
            problem = f"given, but the type is {self.type}"
            problems.append(("values", problem, 'write type = "enum" and values = ["...", "..."]'))
        if self.comparator and not self._comparator_fits():
            problem = f'"{self.comparator}" is given, but the type is {self.type}'
            problems.append(("comparator", problem, f'write comparator = "{self.type}"'))
        if self.pattern and self.type in ("enum", "boolean", "records", "object"):
            problems.append(("pattern", f"given, but the type is {self.type}", "leave it out"))
        return [*problems, *self._problems_within()]

    def _problems_within(self) -> list[Problem]:
        has_fields = self.type in ("records", "object")
        if has_fields != bool(self.fields):
            problem = f"given, but the type is {self.type}" if self.fields else f"missing, and {self.type} needs them"
            return [
                ("fields", problem, 'write type = "records" and [[fields.fields]] with name = "..." for each column')
            ]
        names = [each.name for each in self.fields]
        problems = [
            (f"fields[{number}].name", f'"{name}" is given twice', "give each its own name")
            for number, name in enumerate(names, 1)
            if name in names[: number - 1]
        ]
        if self.type == "records" and "evidence" in self.model_fields_set:
            problems.append(("evidence", "given, but records are looked up cell by cell", "write it in the columns"))
        if self.type == "object":
            ignored = [
                key for key in ("required", "comparator", "evidence", "examples") if key in self.model_fields_set
            ]
            return problems + [
                (key, "given, but an object is asked for by its fields", "write it in one of the fields")
                for key in ignored
            ]
        for number, each in enumerate(self.fields, 1):
            if each.type in ("list", "records", "object"):
                problem = f"a column cannot be of the type {each.type}"
                problems.append((f"fields[{number}].type", problem, "give it one value, or make it a field of its own"))
        if len(self.fields) > MOST_COLUMNS:
            problems.append(("fields", f"{len(self.fields)} columns, at most {MOST_COLUMNS}", "leave some out"))
        return problems

    def _comparator_fits(self) -> bool:
        """Lists and enums have comparators of their own, which serve nothing else; an enum may be compared exactly."""
        if self.comparator == self.type:
            return True
        if self.comparator in _OWN_COMPARATOR or self.type in ("list", "records", "boolean", "object"):
            return False
        return self.type != "enum" or self.comparator == "exact"

    def leaves(self, path: Sequence[str] = ()) -> "Iterator[tuple[tuple[str, ...], FieldTable]]":
        """The fields that are asked for, each with its path: itself, or those of the object."""
        if self.type != "object":
            yield (*path, self.name), self
            return
        for each in self.fields:
            yield from each.leaves((*path, self.name))

    def depth(self) -> int:
        """How many objects lie within one another."""
        return 1 + max((each.depth() for each in self.fields), default=0)

    def field(self, locale: str | None, date_order: DateOrderWord | None, path: Sequence[str] = ()) -> domain.Field:
        """The field that the program passes around, with what the task states for all fields.

        Args:
            path: Names of the objects that it lies in, and its own; of a column its own alone.
        """
        order = self.date_order or (None if self.locale else date_order)
        is_choice = self.type in ("enum", "boolean") or bool(self.values)
        meanings = tuple(each.description for each in self.values)
        return domain.Field(
            ".".join(path) or self.name,
            domain.FieldType(self.type),
            self.required,
            self.evidence or ("derived" if is_choice else "literal"),
            domain.Comparator(self.comparator or self.type),
            self.weight,
            " ".join(self.phrase.split()) or " ".join(path).replace("_", " ") * (len(path) > 1),
            (domain.YES, domain.NO) if self.type == "boolean" else tuple(self.words),
            self.locale or locale or "",
            DateOrder(order) if order else None,
            " ".join(self.description.split()),
            tuple(self.examples),
            meanings if any(meanings) else (),
            self.pattern or "",
            tuple(each.field(self.locale or locale, self.date_order or date_order) for each in self.fields),
        )


def blank_words(key: str, words: list[str]) -> list[Problem]:
    """Words that a model could not write as they stand here."""
    hint = f"write {key} without spaces at the ends and without line breaks"
    return [
        (key, f"{word!r} begins or ends with a space, or has characters that cannot be printed", hint)
        for word in words
        if word != word.strip() or not word.isprintable()
    ]
