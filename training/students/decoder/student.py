"""The decoder student: LoRA on every linear layer, loss on what the student writes, ranked by whole values."""

import contextlib
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
from appliance.ground.memory import available_memory_bytes
from appliance.models.model_config import folder_context
from training.base_kind import text_model
from training.base_model import base_hash, find_base
from training.batch_plan import packed_plan, split_packed
from training.distillation_options import DistillationOptions
from training.lora import trainable_weights
from training.losses import masked_cross_entropy
from training.memory_need import model_shape
from training.metrics import Measurement
from training.options import SMALL_BASE_WEIGHTS, Family, TrainingOptions
from training.preflight import check_base
from training.ranks import share, totals
from training.students.decoder.adapted import adapted_model, layers_of
from training.students.decoder.examples import Batch, TokenExample, pack
from training.students.decoder.forward import forward_context, value_logits, whole_values
from training.students.decoder.lower_states import LowerStates
from training.students.decoder.teaching import Teaching, open_teaching
from training.students.decoder.training_data import TrainingData, read_training_data

if TYPE_CHECKING:
    from peft import PeftModel

    from appliance.tasks.task import Task

STATES_SHARE = 0.25
"""Of the memory that is free, what kept states may take."""


class DecoderStudent:
    """A causal language model that learns to write a task's values, one a line."""

    family: ClassVar[Family] = "decoder"
    ranking: ClassVar[tuple[tuple[str, int], ...]] = (("validation_values", 1), ("validation_loss", -1))
    searched_examples: ClassVar[int] = 64

    def __init__(self, task: "Task", base_dir: Path, data: TrainingData, teaching: Teaching | None = None) -> None:
        self.base_hash = base_hash(base_dir)
        self._task, self._base_dir, self._data, self._teaching = task, base_dir, data, teaching
        self._base_weights = model_shape(base_dir).weights
        self._states: LowerStates | None = None

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
    def validation_tokens(self) -> int:
        """Of all validation rows."""
        return sum(len(example.input_ids) for example in self._data.validation)

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
        return student

    def new_model(self, options: TrainingOptions) -> "PeftModel":
        """The base with a fresh adapter."""
        model = adapted_model(self._base_dir, options)
        self._states = self._lower_states(model, options)
        return model

    def _lower_states(self, model: "PeftModel", options: TrainingOptions) -> LowerStates | None:
        """Where the layers below the first adapter are kept; None where all have one, or a process holds a part."""
        compute = options.compute
        # Layers that are computed again on the way back would not find the states in their place.
        if options.adapter.layers is None or not compute.cache_states or compute.shard_base or compute.checkpointing:
            return None
        layers = layers_of(model.get_base_model())
        if options.adapter.layers == len(layers):
            return None
        limit_bytes = round(STATES_SHARE * (available_memory_bytes() or 0))
        rows = [*self._data.train, *self._data.validation]
        return LowerStates(layers, len(layers) - options.adapter.layers, rows, limit_bytes)

    def _states_in_place(self, model: "PeftModel", batch: Batch) -> contextlib.AbstractContextManager[None]:
        return self._states.in_place(model, batch) if self._states else contextlib.nullcontext()

    def parameter_groups(self, model: "PeftModel", options: TrainingOptions) -> list[dict[str, Any]]:
        """One group: everything trained is the adapter's."""
        weights = list(trainable_weights(model).values())
        return [{"params": weights, "lr": options.learning_rate, "weight_decay": options.weight_decay}]

    def plan(self, options: TrainingOptions, generator: np.random.Generator) -> list[list[int]]:
        """The example numbers of each step of an epoch."""
        lengths = [len(example.input_ids) for example in self._data.train]
        return packed_plan(lengths, options.batch_tokens, options.batch_rows, generator)

    def passes(self, numbers: Sequence[int], options: TrainingOptions) -> list[list[int]]:
        """The passes through the model that a step is summed over."""
        lengths = [len(self._data.train[number].input_ids) for number in numbers]
        places_of_passes = split_packed(lengths, options.compute.pass_tokens(options.batch_tokens, self._base_weights))
        return [[numbers[place] for place in places] for places in places_of_passes]

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
            with forward_context(model, batch, options), self._states_in_place(model, batch):
                return self._teaching.loss(model, batch)
        with forward_context(model, batch, options), self._states_in_place(model, batch):
            # Kept states are those of whole examples.
            logits = value_logits(model, batch, may_share=self._states is None)
            return masked_cross_entropy(logits, batch.labels, batch.weights)

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
            plan = packed_plan(
                lengths, options.compute.pass_tokens(options.batch_tokens, self._base_weights), None, None
            )
            for numbers, counts in share(plan, evenly=options.compute.shard_base):
                batch = pack([examples[number] for number in numbers]).to(device)
                with forward_context(model, batch, options), self._states_in_place(model, batch):
                    logits = value_logits(model, batch, may_share=self._states is None)
                    batch_loss = masked_cross_entropy(logits, batch.labels, batch.weights)
                if not counts:
                    continue
                loss += float(batch_loss) * float(batch.weights.sum())
                tokens += float(batch.weights.sum())
                batch_right, batch_values = whole_values(batch.values, logits.argmax(-1) == batch.labels)
                right, values = right + batch_right, values + batch_values
        model.train()
        loss, tokens, right, values = totals(loss, tokens, right, values)
        return {"validation_loss": round(loss / tokens, 6), "validation_values": round(right / values, 6)}

    def finish(self, model: "PeftModel", options: TrainingOptions) -> Measurement:
        """Nothing changes after training."""
        return {}


def epoch_examples(data: TrainingData, epoch: int, options: TrainingOptions) -> list[TokenExample]:
    """What an epoch shows of each row: the row, or the row with some values taken out; by seed and epoch only."""
    examples = list(data.train)
    for number in range(len(data.emptied.rows)) if data.emptied else ():
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
    text_model(base_dir)
    data = read_training_data(task, task_folder, base_dir, reading_context(folder_context(base_dir)))
    teaching = open_teaching(task, task_folder, base_dir, data, distillation)
    return DecoderStudent(task, base_dir, data, teaching)
