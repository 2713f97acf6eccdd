"""Long documents in windows: what is cut where, whose value counts, and that each document still has one answer."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from decoder_fixtures import exported_run, order

from appliance.engines.engine import Request, Result
from appliance.engines.long_documents import Window, WindowedEngine, join
from appliance.engines.open import open_engine
from appliance.engines.windows import LEAST_CHARACTERS, MOST_WINDOWS, can_window, cut
from appliance.ground.errors import UsageError
from appliance.jobs.job_plan import JobRequest, plan
from appliance.models.manifest import Manifest, write_artifact
from appliance.tasks.task import InputLimits, LongDocumentPolicy, Task, task_hash
from appliance.tasks.taskfile import load_task
from appliance.tasks.values import find
from tests.appliance.batch_fixtures import TASK, Bench

FILLER = "word " * 20 + "\n"
LIST_FIELD = '\n[[fields]]\nname = "item"\ntype = "list"\n'


def long_task(path: Path, long: str, more: str = "") -> Task:
    path.write_text(f'{TASK}{more}\n[input]\nlong = "{long}"\n')
    return load_task(path)


def artifact(bench: Bench, task: Task) -> Path:
    """The bench's artifact for another task."""
    directory = bench.root / f"for-{task_hash(task)[:8]}"
    manifest = Manifest(
        identity="", name="orders-long", family="noop", format="noop", task_name=task.name,
        task_hash=task_hash(task),
    )  # fmt: skip
    files = {"task.toml": bench.task_path, "noop.json": bench.root / "noop.json"}
    write_artifact(directory, manifest, files)
    return directory


def answers(bench: Bench, task: Task, texts: Iterable[str]) -> dict[str, Result]:
    engine = open_engine(artifact(bench, task), task, 1)
    results = list(engine.answer(Request(str(number), text) for number, text in enumerate(texts)))
    assert len({result.key for result in results}) == len(results)
    return {result.key: replace(result, seconds=0.0) for result in results}


@pytest.mark.parametrize("overlap", [0, 1], ids=["split", "window"])
def test_parts_cover_the_text_and_cut_no_word(overlap: int) -> None:
    chance = random.Random(7)
    for _ in range(300):
        words = ["".join(chance.choices("ab1", k=chance.randrange(1, 9))) for _ in range(chance.randrange(1, 300))]
        text = "".join(word + chance.choice("  \n") for word in words)
        size = chance.randrange(LEAST_CHARACTERS, 400)
        spans = cut(text, size, overlap * size // 4)
        assert (spans[0][0], spans[-1][1]) == (0, len(text))
        assert all(0 < end - start <= size for start, end in spans)
        for (start, end), (then, _) in pairwise(spans):
            assert start < then <= end
            assert then == end or overlap
            assert {text[then - 1], text[end - 1]} <= {" ", "\n"}


def test_text_without_blanks_is_cut_outside_of_numbers() -> None:
    text = "合計金額は12345円です。" * 200
    for size in range(80, 120):
        spans = cut(text, size, size // 4)
        assert all(not (text[end - 1].isdigit() and text[end].isdigit()) for _, end in spans[:-1])
        assert all(not (text[start - 1].isdigit() and text[start].isdigit()) for start, _ in spans[1:])
        assert {place for start, end in spans for place in range(start, end)} == set(range(len(text)))


def test_long_document_gets_one_answer_of_its_windows(bench: Bench) -> None:
    task = long_task(bench.task_path, "window")
    text = "number: A-7\n" + FILLER * 200 + "total: 12.50\n" + FILLER * 30
    found = answers(bench, task, ["number: 1\ntotal: 2", text, "number: 3"])
    assert found["0"] == Result("0", {"number": "1", "total": "2"}, {"number": 1.0, "total": 1.0}, "1\n2", 4, 2)
    assert found["2"].answer == {"number": "3", "total": None}
    long = found["1"]
    assert long.answer == {"number": "A-7", "total": "12.50"}
    assert long.confidence == {"number": 1.0, "total": 1.0}
    assert text[long.window_starts["total"] :].startswith("word")
    assert long.prompt_tokens > len(text.split()), "windows overlap"
    assert "[window 2 of " in long.raw
    assert long.error is None


def test_same_document_has_the_same_answer_whatever_is_asked_beside_it(bench: Bench) -> None:
    task = long_task(bench.task_path, "window")
    text = FILLER * 90 + "number: A-7\n" + FILLER * 90
    alone = answers(bench, task, [text])["0"]
    beside = answers(bench, task, [text, *["number: 1"] * 9, text])
    assert beside["0"] == alone
    assert replace(beside["10"], key="0") == alone


def test_value_whose_label_stands_at_an_edge_is_found_in_the_overlap(bench: Bench) -> None:
    task = long_task(bench.task_path, "window")
    for lines in range(36, 56):
        text = FILLER * lines + "number: A-7\n" + FILLER * 60
        assert answers(bench, task, [text])["0"].answer == {"number": "A-7", "total": None}


def test_lists_of_split_documents_are_joined_without_repetition(bench: Bench) -> None:
    text = "".join(f"item: {name}\n" + FILLER * 50 for name in ("nut", "bolt", "nut", "gear"))
    split = answers(bench, long_task(bench.task_path, "split", LIST_FIELD), [text])["0"]
    window = answers(bench, long_task(bench.task_path, "window", LIST_FIELD), [text])["0"]
    assert split.answer is not None
    assert window.answer is not None
    assert split.answer["item"] == ["nut", "bolt", "gear"]
    assert window.answer["item"] == ["nut", "bolt", "gear"]
    assert split.prompt_tokens == len(text.split()), "parts do not overlap"


def test_task_that_refuses_long_documents_has_no_windows(bench: Bench) -> None:
    task = long_task(bench.task_path, "refuse")
    (result,) = answers(bench, task, [FILLER * 60]).values()
    assert (result.answer, result.error) == (None, "too_long")


class Refusing:
    """An engine that finds nothing in any text, refuses longer ones, and breaks on some."""

    identity, context_length, answer_tokens = "e" * 64, 1000, 125

    def __init__(self, most_words: int, broken: str = "\0") -> None:
        self.asked: list[int] = []
        """Words of each text that it was given."""
        self._most_words, self._broken = most_words, broken

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        for request in requests:
            words = len(request.text.split())
            self.asked.append(words)
            error = "broken" if self._broken in request.text else "too_long" if words > self._most_words else None
            if error:
                yield Result(request.key, None, prompt_tokens=words, error=error, error_message="no luck")
            else:
                confidence = {"number": 0.5 if words < 100 else 0.75, "total": 0.25}
                yield Result(request.key, {"number": None, "total": None}, confidence, "\n", words)

    def close(self) -> None:
        """Nothing to free."""


def read_by(engine: Refusing, task: Task, text: str, working: list[int] | None = None) -> Result:
    """The answer to the text through windows over this engine."""
    heard: list[int] = [] if working is None else working
    (result,) = WindowedEngine(engine, task, lambda: heard.append(1)).answer([Request("a", text)])
    return result


@pytest.fixture
def task(bench: Bench) -> Task:
    return long_task(bench.task_path, "window")


def test_longest_document_of_the_task_bounds_a_window(task: Task) -> None:
    engine = Refusing(200)
    result = read_by(engine, replace(task, input=InputLimits(200, LongDocumentPolicy.WINDOW)), FILLER * 100)
    assert result.error is None
    assert max(engine.asked[1:]) <= 200
    assert len(engine.asked) < 20


def test_window_that_is_still_too_long_is_cut_again(task: Task) -> None:
    engine = Refusing(150)
    heard: list[int] = []
    result = read_by(engine, task, FILLER * 100, heard)
    assert (result.answer, result.error) == ({"number": None, "total": None}, None)
    assert result.confidence == {"number": 0.5, "total": 0.25}, "nothing is there, as sure as the least sure window"
    assert len(heard) == len(engine.asked) - 1, "whoever waits hears of every window"


def test_question_that_leaves_no_room_is_too_long_in_bounded_time(task: Task) -> None:
    engine = Refusing(0)
    result = read_by(engine, task, FILLER * 5)
    assert (result.key, result.answer, result.error) == ("a", None, "too_long")
    assert "in one of its windows" in result.error_message
    assert len(engine.asked) < 50


def test_window_that_fails_fails_its_document_alone(task: Task) -> None:
    engine = Refusing(300, broken="BROKEN")
    texts = [FILLER * 40 + "BROKEN " + FILLER * 40, FILLER * 40, "short"]
    found = {
        result.key: result
        for result in WindowedEngine(engine, task, lambda: None).answer(
            Request(str(number), text) for number, text in enumerate(texts)
        )
    }
    assert [found[str(number)].error for number in range(3)] == ["broken", None, None]
    assert found["0"].answer is None


def test_document_without_bounds_is_refused_rather_than_read_for_days(task: Task) -> None:
    result = read_by(Refusing(3), replace(task, input=InputLimits(3, LongDocumentPolicy.WINDOW)), FILLER * 9000)
    assert result.error == "too_long"
    assert f"at most {MOST_WINDOWS} are read" in result.error_message


def test_empty_and_tiny_texts_that_do_not_fit_are_too_long(task: Task) -> None:
    assert read_by(Refusing(-1), task, "").error == "too_long"
    assert read_by(Refusing(-1), task, "x" * LEAST_CHARACTERS).error == "too_long"


def windows(*told: tuple[str | None, float]) -> tuple[str, list[Window]]:
    """A text of windows that hold their values, with what was said of each about `number`."""
    text, found = "", []
    for value, sure in told:
        start = len(text)
        text += f"x {value or ''} x\n"
        result = Result("", {"number": value, "total": None}, {"number": sure, "total": 1.0})
        found.append(Window(start, len(text), result))
    return text, found


@pytest.mark.parametrize(
    ("told", "value", "sure", "place"),
    [
        ([(None, 0.99), ("A", 0.4)], "A", 0.4, 5),
        ([("A", 0.4), ("B", 0.6), ("C", 0.6)], "B", 0.6, 6),
        ([(None, 0.9), (None, 0.7)], None, 0.7, None),
    ],
    ids=["a-value-before-none", "the-surest-and-of-equals-the-first", "none-as-sure-as-the-least"],
)
def test_value_of_a_field_is_the_surest(
    task: Task, told: list[tuple[str | None, float]], value: str | None, sure: float, place: int | None
) -> None:
    joined = join(task, *windows(*told))
    assert joined.answer == {"number": value, "total": None}
    assert joined.confidence["number"] == sure
    assert joined.window_starts.get("number") == place


def test_value_that_stands_in_the_text_counts_before_one_that_does_not(task: Task) -> None:
    text, (first, second) = windows(("A", 0.9), ("B", 0.2))
    elsewhere = Window(second.start, second.end, first.result)
    assert join(task, text, [elsewhere, second]).answer == {"number": "B", "total": None}


def test_label_is_the_one_with_the_most_confidence_over_the_length(tmp_path: Path) -> None:
    path = tmp_path / "task.toml"
    path.write_text(
        'version = 1\nname = "kinds"\nkind = "classify"\ninstruction = "Say the kind"\nlabels = ["a", "b"]\n'
        '[input]\nlong = "window"\n'
    )
    told = [(0, 100, "a", 0.9), (100, 200, "b", 0.6), (200, 300, "b", 0.6)]
    parts = [Window(start, end, Result("", {"label": label}, {"label": sure})) for start, end, label, sure in told]
    joined = join(load_task(path), "x" * 300, parts)
    assert joined.answer == {"label": "b"}
    assert joined.confidence["label"] == pytest.approx(0.4)


def run_request(bench: Bench, task: Task) -> JobRequest:
    return JobRequest(bench.task_path, bench.documents_dir, bench.out_dir, str(artifact(bench, task)))


def test_run_gives_a_long_document_one_row_with_its_places_in_the_whole_text(bench: Bench, task: Task) -> None:
    bench.write("0.txt", "12.50 is no total\n" + FILLER * 150 + "number: A-7\ntotal: 12.50\n")
    words = [*bench.run_arguments(), "--model", str(artifact(bench, task))]
    done = bench.call(*words)
    assert done.returncode == 0, done.stderr
    (row,) = bench.rows()
    text = (bench.documents_dir / "0.txt").read_text()
    assert row["fields"] == {"number": "A-7", "total": "12.50"}
    assert row["evidence"] == {"number": text.index("A-7"), "total": text.rindex("12.50")}


def test_generated_text_of_parts_is_refused_before_any_work(bench: Bench) -> None:
    text = TASK[: TASK.index("[[fields]]")].replace("extract", "generate")
    bench.task_path.write_text(f'{text}\n[input]\nlong = "split"\n')
    task = load_task(bench.task_path)
    assert not can_window(task)
    with pytest.raises(UsageError, match="cannot be joined"):
        plan(bench.settings, run_request(bench, task))


@pytest.mark.slow
def test_student_on_its_own_tokens_reads_what_its_context_does_not_hold(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A tiny student of the true architecture with a context of 256 tokens, over documents of some 1000."""
    run_dir = exported_run(tmp_path_factory.getbasetemp())
    path = tmp_path / "task.toml"
    path.write_text((run_dir / "task.toml").read_text() + '\n[input]\nlong = "window"\n')
    task = load_task(path)
    texts = ["\n".join(order(number)[0] for number in range(first, first + 16)) for first in (0, 40)]
    engine = open_engine(run_dir / "export" / "onnx-fp32", task, 1)
    requests = [Request(str(number), text) for number, text in enumerate([*texts, order(33)[0]])]
    found = {result.key: result for result in engine.answer(requests)}
    short = {result.key: result for result in engine.answer(requests[2:])}
    engine.close()
    assert {**found["2"].__dict__, "seconds": 0.0} == {**short["2"].__dict__, "seconds": 0.0}
    for number, text in enumerate(texts):
        result = found[str(number)]
        assert result.error is None
        assert result.answer is not None
        assert result.prompt_tokens > engine.context_length
        for value in filter(None, result.answer.values()):
            assert find(str(value), text) is not None
