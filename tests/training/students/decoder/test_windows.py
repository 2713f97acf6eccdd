"""Long documents in training: the windows of `run`, with what stands in each, and what is left out told."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from decoder_fixtures import TASK, order, order_row, write_base, write_rows, write_task_folder

from appliance.engines.answer_room import answer_room
from appliance.engines.engine import Request, Result
from appliance.engines.long_documents import WindowedEngine
from appliance.engines.tokenizer import FileTokenizer
from appliance.ground.errors import UsageError
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import LabelledRow, text_hash
from appliance.tasks.linecode import Answer
from appliance.tasks.prompt import ExampleAnswer, render_example
from appliance.tasks.task import Field, FieldType, InputLimits, LongDocumentPolicy, Task
from appliance.tasks.taskfile import load_task
from appliance.tasks.window_answer import PlacedAnswer
from training.options import DECODER_DEFAULTS
from training.row_notes import row_notes
from training.students.decoder import windows as decoder_windows
from training.students.decoder.student import epoch_examples
from training.students.decoder.training_data import read_training_data
from training.students.decoder.windows import as_read

FILLER = "nothing to see on this line, really nothing\n"
CONTEXT = 256


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture(scope="module")
def tokenizer(base_dir: Path) -> FileTokenizer:
    return FileTokenizer(base_dir / "tokenizer.json")


@pytest.fixture(params=["window", "split"])
def task(request: pytest.FixtureRequest, tmp_path: Path) -> Task:
    (tmp_path / "task.toml").write_text(TASK.format(base="b") + f'\n[input]\nlong = "{request.param}"\n')
    return load_task(tmp_path / "task.toml")


def long_row(number: int, before: int = 30, after: int = 30) -> LabelledRow:
    text, answer = order(number)
    text = FILLER * before + text + "\n" + FILLER * after
    return LabelledRow(f"{number}.txt", text, answer, text_hash(text), teacher="t")


def example_tokens(task: Task, tokenizer: FileTokenizer, row: LabelledRow) -> int:
    values = [row.answer.get(field.name) for field in task.output_fields]
    return len(
        render_example(
            task.prompt_spec(), row.text, ExampleAnswer(values), tokenizer.template, tokenizer.encode
        ).input_ids
    )


def right_about(task: Task, answer: Answer, text: str) -> Answer:
    return PlacedAnswer(task, answer, text).within(0, len(text))


class Knowing:
    """An engine that says what is right about any text, and refuses as the real ones do."""

    identity, context_length = "e" * 64, CONTEXT

    def __init__(self, task: Task, tokenizer: FileTokenizer, row: LabelledRow) -> None:
        self.answer_tokens = answer_room(task, tokenizer)
        self.texts: list[str] = []
        self._task, self._tokenizer, self._row = task, tokenizer, row

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        for request in requests:
            answer = right_about(self._task, self._row.answer, request.text)
            row = replace(self._row, text=request.text, answer=answer)
            spec, template = self._task.prompt_spec(), self._tokenizer.template
            prompt_tokens = render_example(
                spec, request.text, ExampleAnswer([]), template, self._tokenizer.encode
            ).prompt_tokens
            if example_tokens(self._task, self._tokenizer, row) > CONTEXT:
                yield Result(request.key, None, prompt_tokens=prompt_tokens, error="too_long")
            else:
                self.texts.append(request.text)
                yield Result(request.key, answer, dict.fromkeys(answer, 0.5), prompt_tokens=prompt_tokens)

    def close(self) -> None:
        """Nothing to free."""


@pytest.mark.parametrize("before", [0, 7, 31], ids=lambda lines: f"{lines} lines before")
def test_a_document_is_trained_in_the_windows_in_which_it_is_read(
    task: Task, tokenizer: FileTokenizer, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_windows, "EMPTY_WINDOWS", 1e9)
    row = long_row(4, before)
    engine = Knowing(task, tokenizer, row)
    (result,) = WindowedEngine(engine, task, lambda: None).answer([Request("a", row.text)])
    read = as_read(task, [row], tokenizer, lambda each: example_tokens(task, tokenizer, each), CONTEXT)
    assert sorted(engine.texts) == sorted(window.text for window in read.rows)
    assert len(read.rows) > 3
    assert (read.windows.documents, read.windows.windows) == (1, len(read.rows))
    if task.input.long is LongDocumentPolicy.WINDOW:
        assert result.answer == row.answer
        assert read.windows.values_in_no_window == 0


def test_a_window_says_what_stands_in_it_and_nothing_else(task: Task) -> None:
    row = LabelledRow("a", "", {"order_number": "17", "customer": "Ann Miller", "total": None})
    texts = ["Order 17 of", "Ann Miller\nsays 171", "of Ann", "ANN  MILLER ordered 17", "total 5"]
    answers = [right_about(task, row.answer, text) for text in texts]
    assert [list(answer.values()) for answer in answers] == [
        ["17", None, None],
        [None, "Ann Miller", None],
        [None, None, None],
        ["17", "Ann Miller", None],
        [None, None, None],
    ]


def test_entries_of_lists_belong_to_the_windows_that_print_them_and_what_is_derived_to_all(task: Task) -> None:
    fields = (
        Field("parties", FieldType.LIST),
        Field("kind", FieldType.ENUM, True, values=("sale", "lease")),
        Field("summary", evidence="derived"),
    )
    answer = {"parties": ["Ann", "Bo"], "kind": "sale", "summary": "good"}
    task = replace(task, fields=fields)
    assert right_about(task, answer, "Bo sells") == {"parties": ["Bo"], "kind": "sale", "summary": "good"}
    assert right_about(task, answer, "nobody") == {"parties": None, "kind": "sale", "summary": "good"}


def test_a_value_across_the_edge_of_two_parts_is_told(tokenizer: FileTokenizer, task: Task) -> None:
    row = long_row(4)
    long_value = " ".join(f"word{number}" for number in range(60))
    row = replace(row, text=row.text + long_value, answer={**row.answer, "customer": long_value})
    read = as_read(task, [row], tokenizer, lambda each: example_tokens(task, tokenizer, each), CONTEXT)
    assert read.windows.values_in_no_window == 1
    assert read.windows.values == 3
    facts = {"splits": {"train": {"rows": 1, "too_long": 0, **read.windows.record}}, "max_tokens": CONTEXT}
    assert "train: 1 of 3 values (33%) is whole in no window and not taught" in list(row_notes(facts))


def long_folder(folder: Path, base_dir: Path, long: str, more: str = "") -> Path:
    write_task_folder(folder, base_dir)
    text = (folder / "task.toml").read_text()
    (folder / "task.toml").write_text(f'{text}{more}\n[input]\nlong = "{long}"\n')
    for name in ("train", "validation"):
        path = TaskFolder(folder).split_path(name)
        write_rows(path, [order_row(number) if number % 2 else long_row(number) for number in range(8)])
    return folder


def test_some_windows_without_a_value_are_left_out_and_told(base_dir: Path, tmp_path: Path) -> None:
    folder = long_folder(tmp_path / "task", base_dir, "window")
    data = read_training_data(load_task(folder), folder, base_dir, CONTEXT)
    counts = data.facts["train"].windows
    assert counts.documents == 4
    valued = counts.windows - counts.empty
    assert counts.empty - counts.empty_left_out == 2 * valued < counts.empty
    assert len(data.train) == 4 + 3 * valued
    assert data.emptied is not None
    assert [row.document for row in data.emptied.rows] == [f"order-00{number}.txt" for number in (1, 3, 5, 7)], (
        "no window"
    )
    shown = epoch_examples(data, 0, replace(DECODER_DEFAULTS, field_dropout=1.0))
    assert all(one != other for one, other in zip(shown[:4], data.train, strict=False))
    assert shown[4:] == data.train[4:]
    assert data.train == read_training_data(load_task(folder), folder, base_dir, CONTEXT).train, "the same ones again"
    facts = {"splits": {name: each.record for name, each in data.facts.items()}, "max_tokens": CONTEXT}
    notes = "\n".join(row_notes(facts))
    assert f"train: 4 of 8 documents (50%) are read in {counts.windows} windows" in notes
    assert f"without a value, of which {2 * valued} are trained on" in notes
    assert "validation: 4 of 8 documents (50%) are read in" in notes


def test_rows_that_are_too_long_for_a_task_without_windows_are_told(base_dir: Path, tmp_path: Path) -> None:
    folder = long_folder(tmp_path / "task", base_dir, "refuse")
    data = read_training_data(load_task(folder), folder, base_dir, CONTEXT)
    assert (len(data.train), data.left_out) == (4, 8)
    facts = {"splits": {name: each.record for name, each in data.facts.items()}, "max_tokens": CONTEXT}
    (train, validation) = row_notes(facts)
    assert train.startswith("train: 4 of 8 rows (50%) are left out: longer than 256 tokens with the answer")
    assert validation.startswith("validation: 4 of 8 rows (50%) are left out")


@pytest.mark.parametrize(
    ("long", "more", "hint"),
    [
        ("refuse", "", 'set `long = "window"`'),
        ("refuse", "max_tokens = 20", "raise student.max_tokens"),
        ("window", "max_tokens = 20", "set input.max_tokens for shorter windows"),
    ],
)
def test_rows_of_which_none_fits_are_refused_with_what_to_change(
    base_dir: Path, tmp_path: Path, long: str, more: str, hint: str
) -> None:
    folder = long_folder(tmp_path / "task", base_dir, long, more)
    write_rows(TaskFolder(folder).split_path("train"), [long_row(1), long_row(2)])
    with pytest.raises(UsageError, match="none of the 2 training rows fits") as refused:
        read_training_data(load_task(folder), folder, base_dir, CONTEXT)
    assert hint in refused.value.hint


def test_the_longest_document_of_the_task_bounds_the_windows(tokenizer: FileTokenizer, task: Task) -> None:
    task = replace(task, input=InputLimits(100, LongDocumentPolicy.WINDOW))
    read = as_read(task, [long_row(4)], tokenizer, lambda each: example_tokens(task, tokenizer, each), 4096)
    lengths = [len(tokenizer.encode(window.text, False)) for window in read.rows]
    assert len(lengths) > 4
    assert max(lengths) < 130


def test_a_document_in_too_many_windows_is_left_out_and_told(
    tokenizer: FileTokenizer, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.engines.windows.MOST_WINDOWS", 3)
    read = as_read(task, [long_row(4)], tokenizer, lambda each: example_tokens(task, tokenizer, each), CONTEXT)
    assert (read.rows, read.windows.unread) == ([], 1)
    facts = {"splits": {"train": {"rows": 1, "too_long": 0, **read.windows.record}}, "max_tokens": CONTEXT}
    assert list(row_notes(facts)) == ["train: 1 of 1 row (100%) is left out: no window of it leaves room for an answer"]
