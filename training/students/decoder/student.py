"""The decoder student: LoRA on every linear layer, loss on what the student writes, ranked by whole values."""

import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from appliance.engines.engine import reading_context
from training.base_model import base_hash, find_base, load_base
from training.batch_plan import packed_plan
from training.distillation_options import DistillationOptions
from training.lora import add_lora, trainable_weights
from training.losses import masked_cross_entropy
from training.metrics import Measurement
from training.options import AdapterOptions, Family, TrainingOptions
from training.preflight import check_base
from training.students.decoder.attention import use_attention_by_document
from training.students.decoder.examples import Batch, TokenExample, pack
from training.students.decoder.forward import forward_context, value_logits, whole_values
from training.students.decoder.teaching import Teaching, open_teaching
from training.students.decoder.training_data import TrainingData, read_training_data

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from appliance.tasks.task import Task

SMALL_BASE_WEIGHTS = 60_000_000


def new_adapter(base: "PreTrainedModel", options: AdapterOptions) -> "PeftModel":
    """The base with a fresh LoRA on every linear layer but the head, the same for the same seed."""
    from peft import LoraConfig

    torch.manual_seed(options.seed)
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return add_lora(base, config)


class DecoderStudent:
    """A causal language model that learns to write a task's values, one a line."""

    family: ClassVar[Family] = "decoder"
    ranking: ClassVar[tuple[tuple[str, int], ...]] = (("validation_values", 1), ("validation_loss", -1))
    searched_examples: ClassVar[int] = 64

    def __init__(
        self,
        task: "Task",
        base_dir: Path,
        base: "PreTrainedModel",
        data: TrainingData,
        teaching: Teaching | None = None,
    ) -> None:
        """`base` is the model of `base_dir` and becomes the first `new_model`; later ones are loaded again."""
        self.base_hash = base_hash(base_dir)
        self._task, self._base_dir, self._data, self._teaching = task, base_dir, data, teaching
        self._base: PreTrainedModel | None = base
        self._base_weights = sum(weights.numel() for weights in base.parameters())

    @property
    def facts(self) -> dict[str, object]:
        """What `config.json` says about base and rows."""
        return {
            "base": self._task.student.base,
            "base_hash": self.base_hash,
            "data_hash": self._data.data_hash,
            "teacher": self._data.teacher,
            "prompt_form": self._data.prompt_form,
            "rows": self._data.rows,
            "validation_rows": len(self._data.validation),
            "left_out": self._data.left_out,
            "splits": {name: facts.record for name, facts in self._data.facts.items()},
            "max_tokens": self._data.max_tokens,
            **(self._teaching.facts if self._teaching else {}),
        }

    @property
    def longest_tokens(self) -> int:
        """Of the longest training example."""
        return max(len(example.input_ids) for example in self._data.train)

    @property
    def has_validation(self) -> bool:
        """Whether there are rows to choose the epoch by."""
        return bool(self._data.validation)

    @property
    def default_rate(self) -> float:
        """Small bases want far more than the usual 2e-4."""
        if self._base_weights <= SMALL_BASE_WEIGHTS:
            return 5e-3
        return 1e-3 if self._base_weights <= 10 * SMALL_BASE_WEIGHTS else 2e-4

    def first(self, examples: int) -> "DecoderStudent":
        """The same student with this many of its training examples."""
        student = copy.copy(self)
        student._data = replace(self._data, train=self._data.train[:examples])
        student._base = None  # an adapter changes the model that it is added to
        return student

    def new_model(self, options: TrainingOptions) -> "PeftModel":
        """The base in float32 with a fresh adapter."""
        base, self._base = self._base or load_base(self._base_dir), None
        use_attention_by_document(base)
        return new_adapter(base, options.adapter)

    def parameter_groups(self, model: "PeftModel", options: TrainingOptions) -> list[dict[str, Any]]:
        """One group: everything trained is the adapter's."""
        weights = list(trainable_weights(model).values())
        return [{"params": weights, "lr": options.learning_rate, "weight_decay": options.weight_decay}]

    def plan(self, options: TrainingOptions, generator: np.random.Generator) -> list[list[int]]:
        """The example numbers of each step of an epoch."""
        lengths = [len(example.input_ids) for example in self._data.train]
        return packed_plan(lengths, options.batch_tokens, options.batch_rows, generator)

    def batches(self, plan: Sequence[Sequence[int]], epoch: int, options: TrainingOptions) -> Iterator[Batch]:
        """The batches of these example numbers as this epoch shows them."""
        examples = epoch_examples(self._data, epoch, options)
        for numbers in plan:
            seed = sampling_seed(numbers, epoch, options) if self._teaching else None
            yield pack([examples[number] for number in numbers], seed)

    def loss(self, model: "PeftModel", batch: Batch, options: TrainingOptions) -> Tensor:
        """Mean loss per written token, () float32: cross entropy, or what the options say of the teacher."""
        if self._teaching:
            batch = self._teaching.batch_to_learn(model, batch)
            with forward_context(model, batch, options):
                return self._teaching.loss(model, batch)
        with forward_context(model, batch, options):
            return masked_cross_entropy(value_logits(model, batch), batch.labels, batch.weights)

    def validate(self, model: "PeftModel", options: TrainingOptions) -> Measurement:
        """Loss per written token, and the share of values of which every token would be chosen."""
        examples = self._data.validation
        if not examples:
            return {}
        device = next(model.parameters()).device
        lengths = [len(example.input_ids) for example in examples]
        loss = tokens = right = values = 0.0
        model.eval()
        with torch.inference_mode():
            for numbers in packed_plan(lengths, options.batch_tokens, None, None):
                batch = pack([examples[number] for number in numbers]).to(device)
                with forward_context(model, batch, options):
                    logits = value_logits(model, batch)
                    batch_loss = masked_cross_entropy(logits, batch.labels, batch.weights)
                loss += float(batch_loss) * float(batch.weights.sum())
                tokens += float(batch.weights.sum())
                batch_right, batch_values = whole_values(batch.values, logits.argmax(-1) == batch.labels)
                right, values = right + batch_right, values + batch_values
        model.train()
        return {"validation_loss": round(loss / tokens, 6), "validation_values": round(right / values, 6)}

    def finish(self, model: "PeftModel", options: TrainingOptions) -> Measurement:
        """Nothing changes after training."""
        return {}


def epoch_examples(data: TrainingData, epoch: int, options: TrainingOptions) -> list[TokenExample]:
    """What an epoch shows of each row: the row, or the row with some values taken out; by seed and epoch only."""
    examples = list(data.train)
    for number in range(len(examples)) if data.emptied else ():
        rng = random.Random(f"{options.adapter.seed}/{epoch}/{number}")
        if data.emptied and rng.random() < options.field_dropout:
            examples[number] = data.emptied.example(number, rng) or examples[number]
    return examples


def sampling_seed(numbers: Sequence[int], epoch: int, options: TrainingOptions) -> int | None:
    """Of the answers that the student writes itself in a step with these examples; None where it writes none."""
    rng = random.Random(f"{options.adapter.seed}/on-policy/{epoch}/{','.join(map(str, numbers))}")
    return rng.getrandbits(63) if rng.random() < options.distillation.on_policy else None


def open_decoder(task: "Task", task_folder: Path, distillation: DistillationOptions) -> DecoderStudent:
    """The student of a task folder.

    Raises:
        UsageError: Base or dataset are missing, the base is unfit, no row fits the context, or the teacher does not fit
            the student.
    """
    base_dir = find_base(task.student.base)
    check_base(base_dir)
    base = load_base(base_dir)
    data = read_training_data(task, task_folder, base_dir, reading_context(int(base.config.max_position_embeddings)))
    teaching = open_teaching(task, task_folder, base_dir, data, distillation)
    return DecoderStudent(task, base_dir, base, data, teaching)
