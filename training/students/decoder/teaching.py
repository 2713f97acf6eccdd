"""What a decoder learns from beside its labels, opened once for a run: a teacher's weights, or what it stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from appliance.engines.tokenizer import FileTokenizer
from appliance.ground.errors import UsageError
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import read_dataset
from appliance.tasks.prompt import join_ids, prefix_segments
from training.base_model import stored_precision
from training.divergences import TopTokens, VocabularyMismatch
from training.local_teacher import LocalTeacher, base_tokenizer, open_teacher
from training.stored_logits import StoredLogits, example_hash, open_logits, tokenizer_hash
from training.students.decoder.adapted import hold_as_stored
from training.students.decoder.attention import use_attention_by_document
from training.students.decoder.examples import Batch, TokenExample, pack
from training.students.decoder.on_policy import Writer
from training.students.decoder.teacher_loss import StoredPlaces, live_loss, stored_loss

if TYPE_CHECKING:
    from appliance.tasks.task import Task
    from training.distillation_options import DistillationOptions
    from training.students.decoder.training_data import TrainingData


@dataclass(frozen=True)
class Teaching:
    """A teacher or what was stored of it, and what the student needs to write for it."""

    source: LocalTeacher | StoredLogits
    writer: Writer
    options: "DistillationOptions"

    @property
    def facts(self) -> dict[str, object]:
        """What `config.json` says of the teacher."""
        if isinstance(self.source, StoredLogits):
            stored = self.source.facts
            loss = f"{self.options}, top {self.source.top_k} stored"
            return {"teacher_model": stored.teacher_model, "teacher_hash": self.source.sha256, "loss": loss}
        name, weights_sha256 = self.source.name, self.source.weights_sha256
        return {"teacher_model": name, "teacher_hash": weights_sha256, "loss": str(self.options)}

    def batch_to_learn(self, model: nn.Module, batch: Batch) -> Batch:
        """The batch, or in its place what the student writes to the same prompts."""
        if batch.sampling_seed is None:
            return batch
        examples = self.writer.write(model, batch.examples, batch.sampling_seed)
        return pack(examples, batch.sampling_seed).to(batch.input_ids.device) if examples else batch

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean loss over the batch's written tokens, () float32.

        Raises:
            NotFinite: The teacher computes what is no number.
        """
        vocab_size = self.writer.tokenizer.vocab_size
        if isinstance(self.source, LocalTeacher):
            return live_loss(model, batch, self.source, vocab_size, self.options)
        top, known = self.source.read(written_places(batch.examples))
        device = batch.input_ids.device
        on_device = TopTokens(top.ids.to(device), top.log_probabilities.to(device), top.log_rest.to(device))
        return stored_loss(model, batch, StoredPlaces(on_device, known.to(device)), vocab_size, self.options)


def written_places(examples: Sequence[TokenExample]) -> list[tuple[bytes, int]]:
    """Of each example what it is known by, and how many tokens are written in it."""
    return [(example_hash(each.input_ids, each.is_value), sum(each.is_value[1:])) for each in examples]


def open_teaching(
    task: "Task", task_folder: Path, base_dir: Path, data: "TrainingData", options: "DistillationOptions"
) -> Teaching | None:
    """The teacher that the options name; None where they name none.

    Args:
        base_dir: The student's base.
        data: What it is trained on.

    Raises:
        UsageError: The teacher does not fit the student, or was not asked about its rows.
        NotFinite: One of its weights is no number.
    """
    if not options.has_teacher:
        return None
    tokenizer = base_tokenizer(base_dir)
    prefix = join_ids(prefix_segments(task.prompt_spec(), tokenizer.template), tokenizer.encode)
    writer = Writer(task, tokenizer, len(prefix), data.max_tokens)
    if options.teacher_logits:
        stored = open_logits(Path(options.teacher_logits))
        refuse_other_rows(stored, tokenizer, data.train)
        return Teaching(stored, writer, replace(options, temperature=stored.facts.temperature))
    return Teaching(fitting_teacher(task, task_folder, base_dir, data, options), writer, options)


def fitting_teacher(
    task: "Task", task_folder: Path, base_dir: Path, data: "TrainingData", options: "DistillationOptions"
) -> LocalTeacher:
    """The teacher's weights, once they can score whatever the student reads and writes.

    Raises:
        UsageError: The teacher does not fit the student.
        NotFinite: One of its weights is no number.
    """
    texts = (row.text for row in read_dataset(TaskFolder(task_folder).split_path("train")))
    teacher = open_teacher(options.teacher_model, task, base_dir, texts)
    longest = data.max_tokens if options.on_policy else max(len(example.input_ids) for example in data.train)
    if longest > teacher.context_length:
        raise UsageError(
            f"the teacher {teacher.name} reads {teacher.context_length} tokens, the longest training example has"
            f" {longest}",
            f"set student.max_tokens = {teacher.context_length}, or name a teacher with a longer context",
        )
    hold_as_stored(teacher.model, getattr(torch, stored_precision(teacher.directory)))
    use_attention_by_document(teacher.model)
    return teacher


def refuse_other_rows(stored: StoredLogits, tokenizer: FileTokenizer, examples: Sequence[TokenExample]) -> None:
    """Refuses stored distributions that are of other tokens, another prompt or other rows.

    Raises:
        VocabularyMismatch: The teacher wrote with other tokens.
        UsageError: Some of the training examples are not among the stored ones.
    """
    facts, hint = stored.facts, "run `stillroom score` again on this task folder"
    if facts.vocab_size != tokenizer.vocab_size or facts.tokenizer_hash != tokenizer_hash(tokenizer):
        raise VocabularyMismatch(
            f"the stored logits {stored.path.name} are of a vocabulary of {facts.vocab_size:,} tokens that is not the"
            f" student's, which has {tokenizer.vocab_size:,}",
            hint,
        )
    if facts.prompt_form != tokenizer.prompt_form:
        raise UsageError(
            f"the stored logits {stored.path.name} are of prompts of the form {facts.prompt_form}, the student reads"
            f" those of the form {tokenizer.prompt_form}",
            hint,
        )
    missing = sum(digest not in stored.places_of for digest, _ in written_places(examples))
    if missing:
        raise UsageError(
            f"{missing} of {len(examples)} training examples are not among those of the stored logits"
            f" {stored.path.name}: rows, instruction or fields have changed since",
            hint,
        )
