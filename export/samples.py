"""What an exported decoder is checked on: the task's validation rows as prompts with answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from appliance.engines.answer_room import longest_answer_room
from appliance.engines.engine import reading_context
from appliance.engines.tokenizer import FileTokenizer, model_tokenizer
from appliance.engines.windows import Span, WindowRules, can_window, windows_of
from appliance.models.model_config import context_of
from appliance.tasks.folder import TASK_FILE, TaskFolder
from appliance.tasks.labels import LabelledRow, read_dataset
from appliance.tasks.prompt import ExampleAnswer, document_segments, join_ids, render_example
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task
from appliance.tasks.window_answer import PlacedAnswer

MOST_SAMPLES = 64
"""Validation rows that are checked: some hundred written tokens."""
MOST_TOKENS = 2048
"""Of all rows that are checked: a student of 135 million weights reads them in some ten seconds on two cores."""
LEAST_SAMPLES = 4
"""Rows that are checked however long they are, where there are so many."""
RANDOM_LENGTHS = (3, 1, 9, 24, 17, 32)


@dataclass(frozen=True)
class Sample:
    """A prompt with its answer."""

    input_ids: list[int]
    is_value: list[bool]
    """Which tokens the student writes; the others are given to it."""


def read_samples(task_folder: Path, merged_dir: Path) -> tuple[list[Sample], bool]:
    """Validation rows of the task, and whether there are any: else random tokens stand in.

    A row that is too long is read in the windows in which `run` reads it, or not at all where the task refuses it.

    Args:
        merged_dir: Its task file counts where it has one: the student was taught that one.
    """
    tokenizer = model_tokenizer(merged_dir)
    path = TaskFolder(task_folder).split_path("validation")
    samples: list[Sample] = []
    if path.is_file():
        task = load_task(merged_dir if (merged_dir / TASK_FILE).is_file() else task_folder)
        config = json.loads((merged_dir / "config.json").read_text(encoding="utf-8"))
        context = reading_context(context_of(config))
        rules = WindowRules(task, context, longest_answer_room(task, tokenizer, context))
        for row in read_dataset(path)[:MOST_SAMPLES]:
            if len(samples) < MOST_SAMPLES:
                samples += _samples_as_read(rules, row, tokenizer)
    chosen = within_budget(samples)
    return (chosen, True) if chosen else (random_samples(tokenizer.vocab_size), False)


def _samples_as_read(rules: WindowRules, row: LabelledRow, tokenizer: FileTokenizer) -> list[Sample]:
    """A row as a whole; a long one in those of its windows in which a value stands, or in its first one."""
    task = rules.task
    placed = PlacedAnswer(task, row.answer, row.text)

    def window(span: Span) -> LabelledRow:
        text = row.text[span[0] : span[1]]
        return replace(row, text=text, answer=placed.within(*span), working="")

    def is_too_long(part: LabelledRow) -> bool:
        limit = task.input.max_tokens
        document_ids = join_ids(document_segments(part.text, tokenizer.template), tokenizer.encode) if limit else []
        return len(document_ids) > limit or len(sample_of(task, part, tokenizer).input_ids) > rules.context_length

    if not is_too_long(row):
        return [sample_of(task, row, tokenizer)]
    if not can_window(task):
        return []
    whole_tokens = len(sample_of(task, row, tokenizer).input_ids)
    spans = windows_of(row.text, rules, whole_tokens, lambda span: is_too_long(window(span)))
    windows = list(map(window, spans or []))
    with_values = [part for part in windows if any(part.answer.values())]
    return [sample_of(task, part, tokenizer) for part in with_values or windows[:1]]


def within_budget(samples: Sequence[Sample]) -> list[Sample]:
    """The rows that are checked: as many as the budget holds, short ones before long ones, in their order."""
    order = sorted(range(len(samples)), key=lambda number: len(samples[number].input_ids))
    tokens, chosen = 0, list[int]()
    for number in order:
        tokens += len(samples[number].input_ids)
        if tokens > MOST_TOKENS and len(chosen) >= LEAST_SAMPLES:
            break
        chosen.append(number)
    return [samples[number] for number in sorted(chosen)]


def sample_of(task: Task, row: LabelledRow, tokenizer: FileTokenizer) -> Sample:
    """One row of a dataset as the student sees it."""
    values = [row.answer.get(field.name) for field in task.output_fields]
    example = render_example(
        task.prompt_spec(), row.text, ExampleAnswer(values, row.working), tokenizer.template, tokenizer.encode
    )  # fmt: skip
    return Sample(example.input_ids, example.is_value)


def random_samples(vocab_size: int) -> list[Sample]:
    """Token ids of different lengths, the same each time; every token but the first counts as written."""
    generator = np.random.default_rng(0)
    rows = [generator.integers(0, vocab_size, length).tolist() for length in RANDOM_LENGTHS]
    return [Sample(input_ids, [False] + [True] * (len(input_ids) - 1)) for input_ids in rows]
