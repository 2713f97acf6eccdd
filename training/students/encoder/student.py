"""The encoder student: LoRA on every linear layer and a full head, hard or soft labels, ranked by accuracy."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from peft import LoraConfig, PeftModel
from tokenizers import Tokenizer
from torch import Tensor, nn

from appliance.ground.errors import UsageError
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import data_hash, read_dataset, teacher_names
from appliance.tasks.task import LongDocumentPolicy
from training.batch_plan import batch_plan, split_padded
from training.lora import add_lora, trainable_weights
from training.losses import label_cross_entropy, soft_cross_entropy
from training.metrics import Measurement
from training.options import Family, TrainingOptions
from training.preflight import check_base
from training.students.encoder.examples import Batch, Examples, build_examples, class_labels, pad
from training.students.encoder.model import (
    EncoderBase,
    EncoderClassifier,
    find_base,
    linear_names,
    load_encoder,
    load_tokenizer,
    longest_text,
    pooling_of,
    refuse_odd_encoder,
    start_head,
)

if TYPE_CHECKING:
    from appliance.tasks.task import Task

MAX_TOKENS = 128
"""Texts are cut here while training; the task's `student.max_tokens` replaces it when set."""
DEFAULT_RATE = 5e-4
HEAD = "classifier"


@dataclass(frozen=True)
class TrainingData:
    """A task's dataset as token ids and label distributions."""

    train: Examples
    validation: Examples
    data_hash: str
    teacher: str
    """Who answered the training rows."""


def read_training_data(task: "Task", task_folder: Path, tokenizer: Tokenizer, labels: Sequence[str]) -> TrainingData:
    """The task's dataset as token ids and label distributions, long texts in the pieces in which `run` reads them.

    Raises:
        UsageError: The dataset is missing, empty, or names a label that the task does not have.
    """
    rows = {name: read_dataset(TaskFolder(task_folder).split_path(name)) for name in ("train", "validation")}
    if not rows["train"]:
        raise UsageError("dataset/train.jsonl has no rows", "collect and curate answers first")
    in_pieces = task.input.long is not LongDocumentPolicy.REFUSE
    train, validation = (
        build_examples(rows[name], tokenizer, labels, task.multi_label, in_pieces) for name in ("train", "validation")
    )
    return TrainingData(train, validation, data_hash(rows["train"]), teacher_names(rows["train"]))


def predict_logits(model: nn.Module, token_ids: Sequence[Sequence[int]], batch_rows: int = 64) -> Tensor:
    """Logits of each text, (texts, labels) float32 on the CPU, in the given order, without dropout."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    order = sorted(range(len(token_ids)), key=lambda row: len(token_ids[row]))
    parts: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(order), batch_rows):
            input_ids, attention_mask = pad([token_ids[row] for row in order[start : start + batch_rows]])
            parts.append(model(input_ids.to(device), attention_mask.to(device)).float().cpu())
    model.train(was_training)
    return torch.cat(parts)[torch.argsort(torch.tensor(order))]


def validation_figures(model: nn.Module, examples: Examples, multi_label: bool = False) -> Measurement:
    """Mean loss, and the share of rows whose most likely label, or all whose labels, are right; nothing for no rows."""
    if not len(examples):
        return {}
    logits = predict_logits(model, examples.token_ids)
    if examples.pieces_of_documents:
        return _figures_of_pieces(logits, examples, multi_label)
    if multi_label:
        same = ((logits > 0) == (examples.targets > 0.5)).all(1)
        loss = label_cross_entropy(logits, examples.targets)
    else:
        same = logits.argmax(1) == examples.targets.argmax(1)
        loss = soft_cross_entropy(logits, examples.targets)
    return {"validation_loss": round(float(loss), 6), "validation_accuracy": round(float(same.float().mean()), 6)}


def _figures_of_pieces(logits: Tensor, examples: Examples, multi_label: bool) -> Measurement:
    """As `validation_figures`, with one prediction for each row: what `run` makes of its pieces."""
    pieces: dict[int, list[int]] = {}
    for piece, row in enumerate(examples.row_numbers):
        pieces.setdefault(row, []).append(piece)
    targets = examples.targets[[numbers[0] for numbers in pieces.values()]]
    if multi_label:
        shares = torch.stack([logits[numbers].sigmoid().amax(0) for numbers in pieces.values()])
        same = ((shares > 0.5) == (targets > 0.5)).all(1)
        loss = nn.functional.binary_cross_entropy(shares, targets)
    else:
        lengths = torch.tensor([float(len(ids)) for ids in examples.token_ids])
        shares = torch.stack(
            [lengths[numbers] / lengths[numbers].sum() @ logits[numbers].softmax(1) for numbers in pieces.values()]
        )
        same = shares.argmax(1) == targets.argmax(1)
        loss = soft_cross_entropy(shares.clamp(min=1e-30).log(), targets)
    return {"validation_loss": round(float(loss), 6), "validation_accuracy": round(float(same.float().mean()), 6)}


def adjust_logits(model: PeftModel, targets: Tensor, strength: float) -> None:
    """Takes the labels' shares in the training rows out of the logits: minus `strength` times their logarithm.

    A teacher that names some labels too often passes that on, and a student trained on its answers leans to the
    frequent labels further. One row is added to each label, so that one without rows has a share.

    Args:
        targets: (rows, labels) float32 distributions of the training rows.

    Source: Menon et al. 2021, Long-tail learning via logit adjustment, section 4.1.
    """
    shares = (targets.sum(0) + 1) / (targets.sum() + targets.shape[1])
    bias = trainable_weights(model)[f"base_model.model.{HEAD}.modules_to_save.default.bias"]
    with torch.no_grad():
        bias.sub_(strength * shares.log().to(bias.device))


class EncoderStudent:
    """A sentence encoder that learns to tell a task's labels apart."""

    family: ClassVar[Family] = "encoder"
    ranking: ClassVar[tuple[tuple[str, int], ...]] = (("validation_accuracy", 1), ("validation_loss", -1))
    searched_examples: ClassVar[int] = 512

    def __init__(self, task: "Task", base: EncoderBase, data: TrainingData, max_tokens: int) -> None:
        self.base_hash = base.weights_sha256
        self._task, self._base, self._data = task, base, data
        self._labels = class_labels(task.labels, task.abstain)
        self._max_tokens = max_tokens

    @property
    def facts(self) -> dict[str, object]:
        """What `config.json` says about base and rows."""
        return {
            "base": self._task.student.base,
            "base_hash": self.base_hash,
            "data_hash": self._data.data_hash,
            "teacher": self._data.teacher,
            "rows": self._data.train.rows,
            "validation_rows": self._data.validation.rows,
            "splits": {"train": _facts_of(self._data.train), "validation": _facts_of(self._data.validation)},
            "max_tokens": self._max_tokens,
            "labels": self._labels,
            **({"multi_label": True} if self._task.multi_label else {}),
        }

    @property
    def longest_tokens(self) -> int:
        """Of the longest training example."""
        return max(map(len, self._data.train.token_ids))

    @property
    def validation_tokens(self) -> int:
        """Of all validation rows."""
        return sum(map(len, self._data.validation.token_ids))

    @property
    def has_validation(self) -> bool:
        """Whether there are rows to choose the epoch by."""
        return len(self._data.validation) > 0

    @property
    def default_rate(self) -> float:
        """Of the adapter; the head has its own."""
        return DEFAULT_RATE

    def first(self, examples: int) -> "EncoderStudent":
        """The same student with this many of its training examples."""
        student = copy.copy(self)
        student._data = replace(self._data, train=self._data.train.first(examples))
        return student

    def new_model(self, options: TrainingOptions) -> PeftModel:
        """The base with a fresh LoRA on its linear layers, and a head that starts from the label names."""
        torch.manual_seed(options.adapter.seed)
        directory = self._base.directory
        model = EncoderClassifier(load_encoder(directory), len(self._labels), pooling_of(directory))
        model.eval()  # no dropout in the vectors that the head starts from
        refuse_odd_encoder(model, directory.name, self._max_tokens)
        start_head(model, load_tokenizer(directory, self._max_tokens), self._labels, self._task.multi_label)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = options.adapter.dropout
        config = LoraConfig(
            r=options.adapter.rank,
            lora_alpha=options.adapter.alpha,
            target_modules=linear_names(model.bert),
            modules_to_save=[HEAD],
        )
        return add_lora(model, config)

    def parameter_groups(self, model: PeftModel, options: TrainingOptions) -> list[dict[str, Any]]:
        """The adapter, and the head with its own rate and no decay."""
        weights = trainable_weights(model)
        adapter = [tensor for name, tensor in weights.items() if HEAD not in name]
        head = [tensor for name, tensor in weights.items() if HEAD in name]
        return [
            {"params": adapter, "lr": options.learning_rate, "weight_decay": options.weight_decay},
            {"params": head, "lr": options.head.learning_rate, "weight_decay": 0.0},
        ]

    def plan(self, options: TrainingOptions, generator: np.random.Generator) -> list[list[int]]:
        """The example numbers of each step of an epoch."""
        lengths = [len(ids) for ids in self._data.train.token_ids]
        return batch_plan(lengths, options.batch_tokens, options.batch_rows, generator)

    def passes(self, numbers: Sequence[int], options: TrainingOptions) -> list[list[int]]:
        """The passes through the model that a step is summed over."""
        lengths = [len(self._data.train.token_ids[number]) for number in numbers]
        places_of_passes = split_padded(lengths, options.compute.micro_batch_tokens or options.batch_tokens)
        return [[numbers[place] for place in places] for places in places_of_passes]

    def batches(self, plan: Sequence[Sequence[int]], epoch: int, options: TrainingOptions) -> Iterator[Batch]:
        """The batches of these example numbers; every epoch shows the same texts."""
        for numbers in plan:
            input_ids, attention_mask = pad([self._data.train.token_ids[number] for number in numbers])
            targets = self._data.train.targets[list(numbers)]
            yield Batch(input_ids, attention_mask, targets, int(attention_mask.sum()))

    def loss(self, model: PeftModel, batch: Batch, options: TrainingOptions) -> Tensor:
        """Mean cross entropy to the targets, () float32."""
        bfloat16 = options.adapter.precision == "bfloat16"
        device_type = batch.input_ids.device.type
        with torch.autocast(device_type, dtype=torch.bfloat16) if bfloat16 else contextlib.nullcontext():
            logits = model(batch.input_ids, batch.attention_mask)
        return (label_cross_entropy if self._task.multi_label else soft_cross_entropy)(logits, batch.targets)

    def validate(self, model: PeftModel, options: TrainingOptions) -> Measurement:
        """Loss and accuracy in float32, as the exports compute."""
        return validation_figures(model, self._data.validation, self._task.multi_label)

    def finish(self, model: PeftModel, options: TrainingOptions) -> Measurement:
        """Adjusts the logits where the options say so."""
        if not options.head.logit_adjustment:
            return {}
        if self._task.multi_label:
            raise UsageError("--logit-adjustment is for tasks in which a document has one label", "leave it out")
        adjust_logits(model, self._data.train.targets, options.head.logit_adjustment)
        return validation_figures(model, self._data.validation)


def _facts_of(examples: Examples) -> dict[str, int]:
    """What became of a split's rows."""
    pieces = examples.pieces_of_documents
    return {
        "rows": examples.rows + examples.unread,
        "cut": examples.cut,
        "documents": len(pieces),
        "windows": sum(pieces),
        "unread": examples.unread,
    }


def _max_tokens(task: "Task", base: EncoderBase) -> int:
    longest = longest_text(base.directory)
    if task.student.max_tokens > longest:
        raise UsageError(
            f"student.max_tokens is {task.student.max_tokens:,}, and {task.student.base} reads {longest:,} tokens",
            f"write max_tokens = {longest}, or choose a base that reads more",
        )
    return task.student.max_tokens or min(MAX_TOKENS, longest)


def open_encoder(task: "Task", task_folder: Path) -> EncoderStudent:
    """The student of a task folder.

    Raises:
        UsageError: Base or dataset are missing, the base is unfit, or a row names a label that the task does not have.
    """
    base = find_base(task.student.base)
    check_base(base.directory)
    max_tokens = _max_tokens(task, base)
    tokenizer = load_tokenizer(base.directory, max_tokens)
    data = read_training_data(task, task_folder, tokenizer, class_labels(task.labels, task.abstain))
    return EncoderStudent(task, base, data, max_tokens)
