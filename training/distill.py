"""Distils a decoder: LoRA on every linear layer, loss on what the student writes, best epoch by validation."""

import contextlib
import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from appliance.ground.errors import UsageError
from appliance.ground.files import write_lines
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import data_hash, read_dataset, teacher_names
from training.base_model import base_hash, find_base, load_base
from training.checkpoint import Checkpoint, restore, save
from training.dataset import Batch, TokenExample, batch_plan, batches, build_examples, collate, fitting
from training.field_dropout import EmptiedRows, is_removable
from training.fused_lora import fused
from training.lora import adapter_weights, save_adapter, with_adapter
from training.losses import IGNORED, check_finite, masked_cross_entropy
from training.metrics import Clock, Measurement, Metrics
from training.options import (
    RUN_VERSION,
    DistillOptions,
    default_rate,
    read_options,
    resolve_precision,
    searched_rates,
)

if TYPE_CHECKING:
    from peft import PeftModel

    from appliance.tasks.task import Task

Log = Callable[[Measurement], None]

SEARCH_EXAMPLES = 64
SEARCH_EPOCHS = 3
LOWEST_RATE = 0.02
"""Share of the highest rate at the end of the cosine."""


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from."""

    train: list[TokenExample]
    validation: list[TokenExample]
    data_hash: str
    rows: int
    left_out: int
    """Rows longer than the context."""
    emptied: EmptiedRows | None = None
    """The rows of `train`, in its order, with values taken out; None where the task has no values to take out."""
    teacher: str = ""
    """Who answered the training rows."""


def read_training_data(task: "Task", task_folder: Path, base_dir: Path, max_tokens: int) -> TrainingData:
    """The task's dataset as token ids.

    Raises:
        UsageError: There is no dataset, or no row fits the context.
    """
    from appliance.engines.tokenizer import FileTokenizer

    tokenizer = FileTokenizer(base_dir / "tokenizer.json")
    rows = {name: read_dataset(TaskFolder(task_folder).split_path(name)) for name in ("train", "validation")}
    built = {name: build_examples(task, rows[name], tokenizer.form, tokenizer.encode) for name in rows}
    kept = {name: fitting(examples, max_tokens) for name, examples in built.items()}
    if not rows["train"]:
        raise UsageError("dataset/train.jsonl has no rows", "collect and curate answers first")
    if not kept["train"]:
        raise UsageError(
            f"none of the {len(rows['train'])} training rows fits into {max_tokens} tokens",
            "collect and curate more rows, or raise student.max_tokens",
        )
    left_out = sum(len(built[name]) - len(kept[name]) for name in built)
    emptied = None
    if any(is_removable(field) for field in task.output_fields):  # then every row is one example
        pairs = zip(rows["train"], built["train"], strict=True)
        fit_in = [row for row, example in pairs if len(example.input_ids) <= max_tokens]
        emptied = EmptiedRows(task, fit_in, tokenizer.form, tokenizer.encode)
    return TrainingData(
        kept["train"],
        kept["validation"],
        data_hash(rows["train"]),
        len(rows["train"]),
        left_out,
        emptied,
        teacher_names(rows["train"]),
    )


def value_logits(model: "PeftModel", batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Logits where loss is taken only: the head over a whole document would cost as much as two layers.

    Returns:
        Logits (values, vocab_size), labels (values,), weights (values,).
    """
    causal: Any = model.get_base_model()  # any architecture's
    hidden_states = causal.model(input_ids=batch.input_ids, use_cache=False).last_hidden_state
    places = batch.labels != IGNORED
    weights = batch.weights[:, None].expand_as(batch.labels)[places]
    return causal.lm_head(hidden_states[places]), batch.labels[places], weights


def computing(
    model: "PeftModel", options: DistillOptions, device: torch.device
) -> contextlib.AbstractContextManager[object]:
    """How the forward pass computes: bfloat16, or float32 with base and adapter as one product."""
    if options.adapter.precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return fused(model)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch where the model is."""
    return replace(
        batch, input_ids=batch.input_ids.to(device), labels=batch.labels.to(device), weights=batch.weights.to(device)
    )


def validate(model: "PeftModel", examples: Sequence[TokenExample], options: DistillOptions) -> Measurement:
    """Loss per written token and share of documents' values whose every token would be chosen; nothing for no rows."""
    if not examples:
        return {}
    device = next(model.parameters()).device
    model.eval()
    loss = tokens = right = values = 0.0
    with torch.inference_mode(), computing(model, options, device):
        for found_batch in batches(examples, options.batch_tokens):
            batch = to_device(found_batch, device)
            logits, labels, weights = value_logits(model, batch)
            loss += float(masked_cross_entropy(logits, labels, weights)) * float(weights.sum())
            tokens += float(weights.sum())
            found_right, found = _whole_values(batch.labels, (logits.argmax(-1) == labels))
            right, values = right + found_right, values + found
    model.train()
    return {"validation_loss": round(loss / tokens, 6), "validation_values": round(right / values, 6)}


def _whole_values(labels: Tensor, token_right: Tensor) -> tuple[int, int]:
    """How many runs of written tokens are right as a whole, and how many there are."""
    places = labels != IGNORED
    starts = places.clone()
    starts[:, 1:] &= ~places[:, :-1]
    number = starts.flatten().cumsum(0)[places.flatten()] - 1
    count = int(starts.sum())
    wrong = torch.zeros(count, dtype=torch.bool, device=labels.device)
    wrong[number[~token_right]] = True
    return count - int(wrong.sum()), count


def rate_at(progress: float, warm_up: float) -> float:
    """Factor on the highest rate at a share of the run from 0 to 1: linear warm-up, then cosine."""
    if progress < warm_up:
        return progress / warm_up
    rest = min(1.0, (progress - warm_up) / (1 - warm_up))
    return LOWEST_RATE + (1 - LOWEST_RATE) * 0.5 * (1 + math.cos(math.pi * rest))


def better(found: Mapping[str, float | int], best: Mapping[str, float | int]) -> bool:
    """Whether one validation beats another: whole values first, then loss."""
    if not best:
        return True
    order = ("validation_values", -1), ("validation_loss", 1)
    return [sign * found.get(key, 0) for key, sign in order] < [sign * best.get(key, 0) for key, sign in order]


def epoch_batches(material: TrainingData, options: DistillOptions, epoch: int) -> list[list[int]]:
    """The batches of an epoch; they depend on seed and epoch only, so a resumed run sees the same."""
    generator = np.random.default_rng([options.adapter.seed, epoch])
    return batch_plan([len(example.input_ids) for example in material.train], options.batch_tokens, generator)


def epoch_examples(material: TrainingData, options: DistillOptions, epoch: int) -> list[TokenExample]:
    """What an epoch shows of each row: the row, or the row with some values taken out; by seed and epoch only."""
    shown = list(material.train)
    for number in range(len(shown)) if material.emptied else ():
        rng = random.Random(f"{options.adapter.seed}/{epoch}/{number}")
        if material.emptied and rng.random() < options.absent_share:
            shown[number] = material.emptied.example(number, rng) or shown[number]
    return shown


def fit(
    model: "PeftModel",
    material: TrainingData,
    options: DistillOptions,
    run_dir: Path | None = None,
    log: Log | None = None,
) -> Measurement:
    """Trains in place and leaves the weights of the best epoch; resumes where `run_dir` has a checkpoint.

    Returns:
        The best epoch's measurement.
    """
    assert isinstance(options.learning_rate, float)
    device = next(model.parameters()).device
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.98)
    )
    plans = [epoch_batches(material, options, epoch) for epoch in range(options.epochs)]
    starts = list(accumulate((len(plan) for plan in plans), initial=0))
    state = restore(run_dir, model, optimizer) if run_dir else None
    state = state or Checkpoint(best_weights=adapter_weights(model))
    metrics = Metrics(run_dir, state.step)
    clock = Clock(options.seconds, starts[-1], time.monotonic() - state.seconds, state.seconds)
    model.train()
    while state.epoch < options.epochs and state.epochs_without_gain < options.patience and not clock.over:
        examples = epoch_examples(material, options, state.epoch)
        for numbers in plans[state.epoch][state.step - starts[state.epoch] :]:
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * rate_at(clock.progress(state.step + 1), options.warm_up)
            batch = to_device(collate([examples[number] for number in numbers]), device)
            with computing(model, options, device):
                loss = masked_cross_entropy(*value_logits(model, batch))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            check_finite(float(torch.nn.utils.clip_grad_norm_(trained, options.clip)), state.step)
            optimizer.step()
            state.take(float(loss.detach()), batch.tokens)
            state.seconds = clock.elapsed
            metrics.step(state, optimizer.param_groups[0]["lr"])
            if clock.over:
                break
            if run_dir and clock.save_due(state.seconds):
                save(run_dir, state, optimizer, model)
        found = {**metrics.measured(state, optimizer.param_groups[0]["lr"]), "steps": starts[-1]}
        found |= {"epoch": state.epoch + 1, **validate(model, material.validation, options)}
        found["seconds"] = round(clock.elapsed, 3)
        gained = better(found, state.best) if material.validation else True
        state.end_epoch(clock.elapsed, gained)
        if gained:
            state.best, state.best_weights = found, adapter_weights(model)
        metrics.write(found)
        if run_dir:
            save(run_dir, state, optimizer, model)
        if log:
            log(found)
    model.load_state_dict(state.best_weights, strict=False)
    return state.best


def search_rate(base_dir: Path, material: TrainingData, options: DistillOptions) -> float:
    """The best of three rates after a few epochs on some of the rows, by validation."""
    model = load_base(base_dir)
    rates = searched_rates(sum(weights.numel() for weights in model.parameters()))
    if not material.validation:
        return rates[1]
    short = replace(material, train=material.train[:SEARCH_EXAMPLES])
    best_rate, best_found = rates[0], Measurement()
    for rate in rates:
        trial = replace(options, learning_rate=rate, epochs=SEARCH_EPOCHS, seconds=None)
        found = fit(with_adapter(load_base(base_dir), trial.adapter), short, trial)
        if better(found, best_found):
            best_rate, best_found = rate, found
    return best_rate


def resolve(base_dir: Path, material: TrainingData, options: DistillOptions, weights: int) -> DistillOptions:
    """Options with every `auto` and `default` replaced."""
    precision = resolve_precision(options.adapter.precision, "decoder")
    options = replace(options, adapter=replace(options.adapter, precision=precision))
    if options.learning_rate == "auto":
        return replace(options, learning_rate=search_rate(base_dir, material, options))
    if options.learning_rate == "default":
        return replace(options, learning_rate=default_rate(weights))
    return options


def resumed_options(config_path: Path, base_digest: str, data_digest: str) -> DistillOptions:
    """What the run resolved when it began; it goes on with these, on the same base and rows only.

    Raises:
        UsageError: The base or the training rows are others now, or another version of Stillroom began the run.
    """
    options = DistillOptions(**read_options(config_path))
    config = json.loads(config_path.read_text(encoding="utf-8"))
    for key, found, thing in (("base_hash", base_digest, "base"), ("data_hash", data_digest, "training rows")):
        if config[key] != found:
            raise UsageError(
                f"the {thing} of {config_path.parent.name} had the hash {config[key][:16]}, now it is {found[:16]}",
                "start a new run with `stillroom train` without --resume",
            )
    return options


def distil(
    task: "Task", task_folder: Path, run_dir: Path, options: DistillOptions, log: Log | None = None
) -> Measurement:
    """Trains on `dataset/train.jsonl`; writes config, metrics, checkpoint and adapter into `run_dir`.

    Returns:
        The best epoch's measurement.
    """
    base_dir = find_base(task.student.base)
    model = load_base(base_dir)
    context_length = int(model.config.max_position_embeddings)
    max_tokens = min(task.student.max_tokens or context_length, context_length)
    material = read_training_data(task, task_folder, base_dir, max_tokens)
    base_digest = base_hash(base_dir)
    config_path = run_dir / "config.json"
    if config_path.is_file():
        options = resumed_options(config_path, base_digest, material.data_hash)
    else:
        options = resolve(base_dir, material, options, sum(weights.numel() for weights in model.parameters()))
    settings = {
        "version": RUN_VERSION,
        "family": "decoder",
        "base": task.student.base,
        "base_hash": base_digest,
        "data_hash": material.data_hash,
        "teacher": material.teacher,
        "rows": material.rows,
        "validation_rows": len(material.validation),
        "left_out": material.left_out,
        "max_tokens": max_tokens,
        "options": asdict(options),
    }
    write_lines(config_path, [json.dumps(settings, indent=2)])
    adapted = with_adapter(model, options.adapter)
    if torch.cuda.is_available():
        adapted = adapted.to("cuda")
    best = fit(adapted, material, options, run_dir, log)
    save_adapter(adapted, base_digest, run_dir / "adapter")
    return best
