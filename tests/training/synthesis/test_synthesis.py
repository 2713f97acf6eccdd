"""`stillroom synthesize` with a scripted teacher on loopback that writes real variety, and plants faults."""

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from decoder_fixtures import order

from appliance.ground.errors import UsageError
from appliance.tasks.folder import ANSWERS_FILE, TaskFolder
from appliance.tasks.labels import LabelledRow, read_dataset, text_hash
from appliance.tasks.task import Field, FieldType, Task, TaskKind
from tests.training.test_collect_live import Collecting, collecting
from training.curate.pipeline import CurationOptions, curate
from training.synthesis.brief import brief, writing_task
from training.synthesis.checks import written_problem
from training.synthesis.plans import draw_plan
from training.synthesis.synthesise import SynthesisOutcome, SynthesisRequest, seeds_of, synthesise

TASK = """version = 2
name = "orders"
kind = "extract"
instruction = "Read the order"
data_class = "internal"

[[fields]]
name = "order_number"
required = true

[[fields]]
name = "customer"

[[fields]]
name = "total"
type = "amount"
"""
_VALUE = re.compile(r"^- ([a-z ]+?): (.*)$", re.MULTILINE)
FAULTS = ("", "", "", "drops a value", "changes a digit", "copies a seed", "adds a missing value", "writes nothing")


class Writer(Mapping[str, object]):
    """A teacher: writes documents for briefs, and reads documents; some of what it writes is wrong."""

    def __init__(self, faults: tuple[str, ...] = ("",)) -> None:
        self.faults, self.planted = faults, dict[str, int]()
        self.said: dict[str, dict[str, str | None]] = {}

    def __getitem__(self, text: str) -> object:
        if "Values of the new document:" in text:
            return {"text": self._write(text)}
        return self._read(text)

    def get(self, text: str, default: object = None) -> object:  # type: ignore[override]
        return self[text]

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def _write(self, text: str) -> str:
        rng = random.Random(text)
        listed = text.rpartition("Values of the new document:")[2]
        values = {name: value for name, value in _VALUE.findall(listed) if value != "missing"}
        missing = [name for name, value in _VALUE.findall(listed) if value == "missing"]
        fault = rng.choice(self.faults)
        self.planted[fault] = self.planted.get(fault, 0) + 1
        if fault == "writes nothing":
            return "Sorry."
        if fault == "copies a seed":
            return re.search(r"Example 1:\n(.*?)\n\nExample 2:", text, re.DOTALL)[1]  # type: ignore[index]
        if fault == "drops a value" and len(values) > 1:
            values.pop(rng.choice(sorted(values)))
        if fault == "changes a digit":
            values = {
                name: re.sub(r"\d", lambda m: str((int(m[0]) + 1) % 10), value, count=1)
                for name, value in values.items()
            }
        if fault == "adds a missing value" and missing:
            values |= {rng.choice(missing): "Zed Other 17"}
        filler = " ".join(rng.choice(WORDS) for _ in range(rng.randrange(8, 30)))
        lines = [f"{name.title()}: {value}" for name, value in values.items()]
        rng.shuffle(lines)
        return "\n".join(
            [f"To whom it may concern, {filler}", *lines, f"Yours, {rng.choice(WORDS)} {rng.random():.6f}"]
        )

    def _read(self, text: str) -> dict[str, str | None]:
        answer: dict[str, str | None] = {"order_number": None, "customer": None, "total": None}
        for name, value in re.findall(r"^([A-Z][A-Za-z ]+): (.*)$", text, re.MULTILINE):
            key = name.lower().replace(" ", "_")
            if key in answer:
                answer[key] = value
        return answer


def _next_digit(value: str) -> str:
    return re.sub(r"\d", lambda match: str((int(match[0]) + 1) % 10), value, count=1)


WORDS = [f"{a}{b}" for a in ("al", "be", "cor", "dun", "el", "far", "gin") for b in ("on", "ette", "ish", "um", "ara")]


def seed_rows(count: int = 12) -> list[LabelledRow]:
    rows = []
    for number in range(count):
        text, answer = order(number)
        values = {"order_number": answer["order_number"], "customer": answer["customer"], "total": answer["total"]}
        rows.append(LabelledRow(f"{number}.txt", text, values, text_hash(text), source="person"))
    return rows


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def teacher(tmp_path: Path, writer: Writer) -> Iterator[Collecting]:
    with collecting(tmp_path, writer) as made:  # type: ignore[arg-type]
        made.write_task(TASK)
        path = made.folder / ANSWERS_FILE
        path.parent.mkdir()
        path.write_text("".join(row.line() + "\n" for row in seed_rows()))
        yield made


def synthesised(teacher: Collecting, count: int, **more: object) -> SynthesisOutcome:
    task = teacher.request().task
    values = {"accepts_unknown_licence": True, "system_dir": teacher.bench.system_dir, **more}
    request = SynthesisRequest(task, TaskFolder(teacher.folder), "recorded", count, **values)  # type: ignore[arg-type]
    return synthesise(teacher.bench.settings, request)


def made_rows(teacher: Collecting) -> list[LabelledRow]:
    return [row for row in teacher.rows() if "synthetic" in row.provenance]


def test_documents_say_what_was_drawn_and_are_marked(teacher: Collecting) -> None:
    outcome = synthesised(teacher, 20)
    assert (outcome.kept, outcome.rejected) == (20, {})
    rows = made_rows(teacher)
    assert len({row.text for row in rows}) == 20
    assert len({row.provenance["manner"] for row in rows}) > 10
    for row in rows:
        assert row.source == "teacher"
        assert all(str(value) in row.text for value in row.answer.values() if value)
    assert any(row.answer["customer"] is None for row in rows)
    seeds = {row.text for row in seed_rows()}
    assert not any(row.text in seeds for row in rows)


def test_the_same_call_goes_on_and_pays_for_nothing_twice(teacher: Collecting) -> None:
    synthesised(teacher, 5)
    asked = teacher.asked
    assert synthesised(teacher, 5).kept == 0
    assert teacher.asked == asked
    assert synthesised(teacher, 8).kept == 3
    assert len(made_rows(teacher)) == 8


def test_planted_faults_are_found_and_others_are_written_in_their_place(teacher: Collecting, writer: Writer) -> None:
    writer.faults = FAULTS
    outcome = synthesised(teacher, 30)
    assert outcome.kept == 30
    wrong = sum(count for fault, count in writer.planted.items() if fault)
    assert sum(outcome.rejected.values()) >= 0.6 * wrong
    assert {"missing", "copy", "short", "ambiguous"} <= set(outcome.rejected)
    for row in made_rows(teacher):
        assert all(str(value) in row.text for value in row.answer.values() if value)
        assert "Zed Other 17" not in row.text


def test_synthetic_rows_train_within_their_share_and_are_never_judged_by(teacher: Collecting) -> None:
    synthesised(teacher, 40)
    task = teacher.request().task
    curated = curate(task, teacher.folder)
    train = [row for row in curated.splits["train"] if "synthetic" in row.provenance]
    assert curated.report.synthetic == len(train)
    assert 0 < len(train) <= 0.7 * curated.report.train
    assert not any("synthetic" in row.provenance for name in ("validation", "test") for row in curated.splits[name])  # type: ignore[index]
    assert any("cap: more than 70%" in reasons[0] for _, reasons in curated.rejected)
    more = curate(task, teacher.folder, CurationOptions(synthetic_share=1.0)).report
    assert more.synthetic == 40


def test_few_seeds_are_refused(teacher: Collecting) -> None:
    (teacher.folder / ANSWERS_FILE).write_text("".join(row.line() + "\n" for row in seed_rows(4)))
    with pytest.raises(UsageError, match="4 seed documents with answers"):
        seeds_of(TaskFolder(teacher.folder))
    assert len(read_dataset(teacher.folder / ANSWERS_FILE)) == 4


def test_a_plan_follows_from_its_number_and_draws_rare_values() -> None:
    colour = Field("colour", FieldType.ENUM, values=("red", "green", "blue"), evidence="derived")
    task = Task(2, "t", TaskKind.EXTRACT, "Read", fields=(Field("number", pattern="[A-Z]{2}[0-9]{3}"), colour))
    seeds = [LabelledRow(str(n), f"text {n}", {"number": f"AB{n:03}", "colour": "red"}) for n in range(10)]
    plans = [draw_plan(task, seeds, number) for number in range(200)]
    assert plans == [draw_plan(task, seeds, number) for number in range(200)]
    numbers = [str(plan.answer["number"]) for plan in plans if plan.answer["number"]]
    assert all(re.fullmatch("[A-Z]{2}[0-9]{3}", number) for number in numbers)
    assert len(set(numbers)) > 100
    colours = [plan.answer["colour"] for plan in plans if plan.answer["colour"]]
    assert min(colours.count(name) for name in colour.values) > 30
    assert any(plan.answer["number"] is None for plan in plans)


def test_every_label_is_written_for() -> None:
    task = Task(2, "t", TaskKind.CLASSIFY, "Which?", labels=("card_lost", "loan"), abstain="other")
    seeds = [LabelledRow(str(n), f"text {n}", {"label": ("card_lost", "loan")[n % 2]}) for n in range(10)]
    plans = [draw_plan(task, seeds, number) for number in range(30)]
    assert {str(plan.answer["label"]) for plan in plans} == {"card_lost", "loan", "other"}
    plan = next(plan for plan in plans if plan.answer["label"] == "loan")
    assert plan.seeds[0].answer["label"] == "loan"
    assert "All labels:" in brief(task, plan)
    assert writing_task(task).kind is TaskKind.GENERATE
    named = next(plan for plan in plans if plan.answer["label"] == "card_lost")
    assert written_problem(task, named, "my card_lost is gone and I want another", [], []).startswith("tells")
    assert written_problem(task, named, "my card is gone and I want another", [], []) == ""


def test_a_brief_lists_values_and_what_is_missing() -> None:
    task = Task(2, "t", TaskKind.EXTRACT, "Read", fields=(Field("number"), Field("customer", description="who pays")))
    seeds = [LabelledRow(str(n), f"text {n}", {"number": str(n), "customer": None}) for n in range(10)]
    plan = replace(draw_plan(task, seeds, 1), answer={"number": "17", "customer": None})
    text = brief(task, plan)
    assert "- number: 17\n- customer (who pays): missing" in text
    assert json.dumps(text)
