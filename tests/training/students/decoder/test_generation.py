from dataclasses import replace

import pytest
from decoder_fixtures import TASK, order, write_base

from appliance.engines.tokenizer import FileTokenizer
from appliance.tasks.taskfile import load_task
from training.base_model import load_base
from training.students.decoder.generation import generate, generate_each


@pytest.fixture
def base(tmp_path):
    directory = write_base(tmp_path / "base")
    return load_base(directory), FileTokenizer(directory / "tokenizer.json")


@pytest.fixture
def task(tmp_path):
    (tmp_path / "task.toml").write_text(TASK.format(base=tmp_path / "base"))
    return load_task(tmp_path / "task.toml")


def test_an_answer_does_not_depend_on_the_other_documents_and_tasks_of_a_batch(base, task):
    model, tokenizer = base
    short = replace(task, instruction="", fields=task.fields[1:])
    texts = [order(number)[0] for number in range(6)]
    tasks = [short if number % 2 else task for number in range(6)]
    together = generate_each(model, tasks, tokenizer, texts, 256)
    for number, (one, text) in enumerate(zip(tasks, texts, strict=True)):
        (alone,) = generate(model, one, tokenizer, [text], 256)
        assert together[number].answer == alone.answer
        assert set(together[number].answer) == {field.name for field in one.fields}


def test_a_document_without_room_for_an_answer_is_too_long(base, task):
    model, tokenizer = base
    found = generate(model, task, tokenizer, [order(1)[0], "Total 1 " * 200], 256)
    assert [result.error for result in found] == [None, "too_long"]
