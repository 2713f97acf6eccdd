"""What an exported decoder is checked on: the task's validation rows as prompts with answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from appliance.engines.tokenizer import FileTokenizer, model_tokenizer
from appliance.models.model_config import context_of
from appliance.tasks.folder import TASK_FILE, TaskFolder
from appliance.tasks.labels import LabelledRow, read_dataset
from appliance.tasks.prompt import render_example
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task

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
    """Validation rows of the task that fit the context, and whether there are any: else random tokens stand in.

    Args:
        merged_dir: Its task file counts where it has one: the student was taught that one.
    """
    tokenizer = model_tokenizer(merged_dir)
    path = TaskFolder(task_folder).split_path("validation")
    samples = []
    if path.is_file():
        task = load_task(merged_dir if (merged_dir / TASK_FILE).is_file() else task_folder)
        samples = [sample_of(task, row, tokenizer) for row in read_dataset(path)[:MOST_SAMPLES]]
    context_length = context_of(json.loads((merged_dir / "config.json").read_text(encoding="utf-8")))
    fitting = within_budget([sample for sample in samples if len(sample.input_ids) <= context_length])
    return (fitting, True) if fitting else (random_samples(tokenizer.vocab_size), False)


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
    example = render_example(task.prompt_spec(), row.text, values, tokenizer.template, tokenizer.encode, row.working)
    return Sample(example.input_ids, example.is_value)


def random_samples(vocab_size: int) -> list[Sample]:
    """Token ids of different lengths, the same each time; every token but the first counts as written."""
    generator = np.random.default_rng(0)
    rows = [generator.integers(0, vocab_size, length).tolist() for length in RANDOM_LENGTHS]
    return [Sample(input_ids, [False] + [True] * (len(input_ids) - 1)) for input_ids in rows]
