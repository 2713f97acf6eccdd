"""What an exported decoder is checked on: the task's validation rows as prompts with answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.engines.tokenizer import FileTokenizer, model_tokenizer
from appliance.tasks.folder import TASK_FILE, TaskFolder
from appliance.tasks.labels import LabelledRow, read_dataset
from appliance.tasks.prompt import render_example
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task

MOST_SAMPLES = 64
"""Validation rows that are checked: some hundred written tokens, in seconds."""
BATCH_TOKENS = 4096
"""Of one pass, padding included; logits of all columns are held at once."""
RANDOM_LENGTHS = (3, 1, 9, 24, 17, 32)


@dataclass(frozen=True)
class Sample:
    """A prompt with its answer."""

    input_ids: list[int]
    is_value: list[bool]
    """Which tokens the student writes; the others are given to it."""


def read_samples(task_folder: Path, merged_dir: Path, context_length: int) -> tuple[list[Sample], bool]:
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
    fitting = [sample for sample in samples if len(sample.input_ids) <= context_length]
    return (fitting, True) if fitting else (random_samples(tokenizer.vocab_size), False)


def sample_of(task: Task, row: LabelledRow, tokenizer: FileTokenizer) -> Sample:
    """One row of a dataset as the student sees it."""
    values = [row.answer.get(field.name) for field in task.output_fields]
    example = render_example(task.prompt_spec(), row.text, values, tokenizer.template, tokenizer.encode)
    return Sample(example.input_ids, example.is_value)


def random_samples(vocab_size: int) -> list[Sample]:
    """Token ids of different lengths, the same each time; every token but the first counts as written."""
    generator = np.random.default_rng(0)
    rows = [generator.integers(0, vocab_size, length).tolist() for length in RANDOM_LENGTHS]
    return [Sample(input_ids, [False] + [True] * (len(input_ids) - 1)) for input_ids in rows]


def padded_batches(
    samples: Sequence[Sample],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
    """Token ids, attention mask and written tokens as (batch, columns), padded on the left, unlike lengths together."""
    rows = max(2, BATCH_TOKENS // max(len(sample.input_ids) for sample in samples))
    for start in range(0, len(samples), rows):
        batch = samples[start : start + rows]
        columns = max(len(sample.input_ids) for sample in batch)
        input_ids = np.zeros((len(batch), columns), dtype=np.int64)
        mask, is_value = np.zeros_like(input_ids), np.zeros((len(batch), columns), dtype=np.bool_)
        for row, sample in enumerate(batch):
            begin = columns - len(sample.input_ids)
            input_ids[row, begin:], mask[row, begin:], is_value[row, begin:] = sample.input_ids, 1, sample.is_value
        yield input_ids, mask, is_value
