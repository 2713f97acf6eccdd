"""A local teacher's distributions for a task's training rows, computed once and stored beside them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from appliance.engines.engine import reading_context
from appliance.ground.errors import UsageError
from appliance.ground.progress import OnProgress, ProgressCounter, ignore_progress
from appliance.models.model_config import folder_context
from appliance.tasks.folder import TaskFolder
from training.base_model import find_base
from training.batch_plan import packed_plan
from training.distillation_options import DEFAULT_DIVERGENCE, DistillationOptions
from training.divergences import TopTokens, top_tokens
from training.local_teacher import LocalTeacher, base_tokenizer, check_logits
from training.stored_logits import MOST_TOP_TOKENS, LogitsFacts, tokenizer_hash, write_logits
from training.students.decoder.examples import TokenExample, pack
from training.students.decoder.output_head import chunk_positions, head_logits, written_states
from training.students.decoder.teaching import fitting_teacher, written_places
from training.students.decoder.training_data import read_training_data

if TYPE_CHECKING:
    from appliance.tasks.task import Task

PASS_TOKENS = 2048
"""Tokens that the teacher reads in one pass."""


@dataclass(frozen=True)
class ScoreReport:
    """What was stored."""

    path: Path
    teacher_model: str
    examples: int
    places: int
    """Written tokens, each with a distribution."""
    top_k: int
    missing_mass: float
    """Mean share of a distribution that the likeliest tokens do not have."""
    size_bytes: int


def score(
    task: "Task",
    task_folder: Path,
    teacher_model: str,
    top_k: int = 64,
    temperature: float = 1.0,
    on_progress: OnProgress = ignore_progress,
) -> ScoreReport:
    """Writes `dataset/train.logits.safetensors`: the teacher's likeliest tokens at each token that a student writes.

    Args:
        teacher_model: As of `train --teacher-model`.
        top_k: Tokens of each distribution; at most one less than the vocabulary has.
        temperature: Of the distributions.

    Raises:
        UsageError: The task has no decoder or no rows, or the teacher does not fit its student.
        NotFinite: The teacher computes what is no number.
        ResourceError: The file cannot be written.
    """
    if task.student.family != "decoder":
        raise UsageError(
            f"the student of {task.name} is an encoder, which writes no tokens", "give the rows' `labels` as shares"
        )
    if not 1 <= top_k <= MOST_TOP_TOKENS:
        raise UsageError(f"{top_k} tokens of each distribution cannot be stored", f"try 64; at most {MOST_TOP_TOKENS}")
    options = DistillationOptions(teacher_model, loss=DEFAULT_DIVERGENCE, temperature=temperature)
    base_dir = find_base(task.student.base)
    context_length = reading_context(folder_context(base_dir))
    data = read_training_data(task, task_folder, base_dir, context_length)
    teacher = fitting_teacher(task, task_folder, base_dir, data, options)
    tokenizer = base_tokenizer(base_dir)
    top_k = min(top_k, tokenizer.vocab_size - 1)
    facts = LogitsFacts(
        teacher.name,
        teacher.weights_sha256,
        tokenizer_hash(tokenizer),
        tokenizer.prompt_form,
        temperature,
        tokenizer.vocab_size,
    )
    path, masses = TaskFolder(task_folder).logits_path, list[float]()
    distributions = _distributions(teacher, data.train, facts, top_k, masses, on_progress)
    examples = written_places(data.train)
    size_bytes = write_logits(path, facts, examples, top_k, distributions)
    places = sum(count for _, count in examples)
    return ScoreReport(path, teacher.name, len(examples), places, top_k, sum(masses) / max(1, places), size_bytes)


def _distributions(
    teacher: LocalTeacher,
    examples: Sequence[TokenExample],
    facts: LogitsFacts,
    top_k: int,
    masses: list[float],
    on_progress: OnProgress,
) -> Iterator[tuple[int, TopTokens]]:
    """Every example's number with its distributions; adds the missing mass of each pass to `masses`."""
    counter = ProgressCounter(on_progress, len(examples), "row", f"scoring with {teacher.name}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher.model.to(device)  # type: ignore[arg-type]
    size = chunk_positions(teacher.model)
    for numbers in packed_plan([len(each.input_ids) for each in examples], PASS_TOKENS, None, None):
        batch = pack([examples[number] for number in numbers]).to(device)
        parts: list[TopTokens] = []
        with torch.no_grad():
            states = written_states(teacher.model, batch)
            for start in range(0, len(states), size):
                logits = head_logits(teacher.model, states[start : start + size])[:, : facts.vocab_size]
                check_logits(teacher.name, logits)
                parts.append(top_tokens(logits, top_k, facts.temperature))
        columns = zip(*((part.ids, part.log_probabilities, part.log_rest) for part in parts), strict=True)
        ids, log_probabilities, log_rest = (torch.cat(column).cpu() for column in columns)
        masses.append(float(log_rest.exp().sum()))
        at = 0
        for number in numbers:
            places = slice(at, at := at + sum(examples[number].is_value[1:]))
            yield number, TopTokens(ids[places], log_probabilities[places], log_rest[places])
        counter.add(len(numbers))
