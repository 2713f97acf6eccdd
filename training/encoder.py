"""Distils a classifier into an encoder: LoRA on every linear layer, a full head, hard or soft labels."""

import json
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from appliance.ground.errors import UsageError
from appliance.ground.files import disk_errors, write_lines
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import data_hash, read_dataset, teacher_names
from training.base_model import BaseMismatch
from training.encoder_model import (
    EncoderBase,
    EncoderClassifier,
    find_base,
    load_bert,
    load_tokenizer,
    pad,
    start_head,
    write_config,
)
from training.encoder_rows import Examples, batches, class_labels, read_examples
from training.losses import check_finite
from training.options import RUN_VERSION, AdapterOptions, read_options, resolve_precision
from training.writing import save_tensors, tensor_disk_errors

if TYPE_CHECKING:
    from appliance.tasks.task import Task

TARGET_MODULES = ["query", "key", "value", "dense"]


class Log(Protocol):
    """Takes one measurement of a run, for a progress line."""

    def __call__(self, measurement: Mapping[str, float | int]) -> None:
        """Called after each epoch."""
        ...


@dataclass(frozen=True)
class EncoderOptions:
    """How an encoder student is trained."""

    epochs: int = 6
    """Passes over the rows; with a teacher that errs, ten were no better."""
    rate: float = 5e-4
    """Highest learning rate of the adapter; warm-up over a tenth of the steps, then linear to zero."""
    head_rate: float = 5e-2
    """The same for the head; it starts from the label names and has far to go."""
    dropout: float = 0.1
    """Inside the encoder, while training."""
    label_smoothing: float = 0.0
    """Share of each target that goes to all labels alike; 0.1 gained nothing."""
    balance: float = 0.0
    """How far the labels' shares in the training rows are taken out of the head: 0 not at all, 1 wholly."""
    batch_rows: int = 32
    """Rows per step."""
    max_tokens: int = 128
    """Texts are cut here while training; the task's `student.max_tokens` replaces it when set."""
    adapter: AdapterOptions = field(default_factory=AdapterOptions)
    """What is trained beside the head."""

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_rows) < 1 or not 0 <= self.label_smoothing < 1:
            raise UsageError("epochs and batch rows are at least 1, label smoothing is in [0, 1)")
        if not 0 <= self.balance <= 2:
            raise UsageError(f"balance is {self.balance}, it goes from 0 to 2", "1 treats all labels alike")


def soft_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy to label distributions, in nats; with one-hot targets the usual one."""
    targets = (1 - smoothing) * targets + smoothing / targets.shape[1]
    return -(targets * torch.log_softmax(logits.float(), dim=1)).sum(1).mean()


def predict_logits(model: nn.Module, token_ids: Sequence[Sequence[int]], batch_rows: int = 64) -> Tensor:
    """Logits of each text, (texts, labels), in the given order, without dropout."""
    was_training = model.training
    model.eval()
    order = sorted(range(len(token_ids)), key=lambda row: len(token_ids[row]))
    parts: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(order), batch_rows):
            parts.append(model(*pad([token_ids[row] for row in order[start : start + batch_rows]])))
    model.train(was_training)
    return torch.cat(parts)[torch.argsort(torch.tensor(order))]


def agreement(model: nn.Module, examples: Examples) -> float:
    """Share of rows whose most likely label is the target's; 0 for no rows."""
    if not len(examples):
        return 0.0
    same = predict_logits(model, examples.token_ids).argmax(1) == examples.targets.argmax(1)
    return float(same.float().mean())


def with_adapter(model: EncoderClassifier, options: EncoderOptions) -> PeftModel:
    """The model with LoRA on the encoder's linear layers; the head is trained and saved whole."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = options.dropout
    config = LoraConfig(
        r=options.adapter.rank,
        lora_alpha=options.adapter.alpha,
        target_modules=TARGET_MODULES,
        modules_to_save=["classifier"],
    )
    with warnings.catch_warnings():
        # peft reads a property of transformers that has a new name there.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        return get_peft_model(model, config)


def learning_rate_factor(step: int, steps: int) -> float:
    """Warm-up over the first tenth, then linear to zero."""
    warm_up = max(1, steps // 10)
    return (step + 1) / warm_up if step < warm_up else (steps - step) / max(1, steps - warm_up)


def make_optimizer(model: nn.Module, options: EncoderOptions) -> torch.optim.Optimizer:
    """AdamW with one rate for the adapter and one for the head."""
    trained = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
    head = [weights for name, weights in trained.items() if "classifier" in name]
    adapter = [weights for name, weights in trained.items() if "classifier" not in name]
    groups = [
        {"params": adapter, "lr": options.rate, "initial_lr": options.rate, "weight_decay": 0.01},
        {"params": head, "lr": options.head_rate, "initial_lr": options.head_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups)


def fit(
    model: PeftModel,
    train: Examples,
    validation: Examples,
    options: EncoderOptions,
    metrics_path: Path,
    log: Log | None,
) -> dict[str, float | int]:
    """Trains in place; one line of `metrics_path` per epoch, the last one is returned."""
    generator = np.random.default_rng(options.adapter.seed)
    optimizer = make_optimizer(model, options)
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    steps = options.epochs * math.ceil(len(train) / options.batch_rows)
    began, step, tokens = time.monotonic(), 0, 0
    measurement: dict[str, float | int] = {}
    model.train()
    with metrics_path.open("w", encoding="utf-8") as metrics:
        for epoch in range(options.epochs):
            losses: list[float] = []
            for rows in batches(train, options.batch_rows, generator):
                for group in optimizer.param_groups:
                    group["lr"] = group["initial_lr"] * learning_rate_factor(step, steps)
                input_ids, attention_mask = pad([train.token_ids[row] for row in rows])
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.adapter.precision == "bfloat16"):
                    logits = model(input_ids, attention_mask)
                loss = soft_cross_entropy(logits, train.targets[rows], options.label_smoothing)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                check_finite(float(nn.utils.clip_grad_norm_(trained, 1.0)), step)
                optimizer.step()
                step += 1
                tokens += int(attention_mask.sum())
                losses.append(float(loss.detach()))
            measurement = {
                "step": step,
                "epoch": epoch + 1,
                "tokens": tokens,
                "loss": round(sum(losses) / len(losses), 6),
                "lr": optimizer.param_groups[0]["lr"],
                "validation_accuracy": round(agreement(model, validation), 6),
                "seconds": round(time.monotonic() - began, 3),
            }
            with disk_errors(metrics_path):
                metrics.write(json.dumps(measurement) + "\n")
                metrics.flush()
            if log is not None:
                log(measurement)
    return measurement


def balance_head(model: PeftModel, targets: Tensor, strength: float) -> None:
    """Takes the labels' shares in the training rows out of the logits: minus `strength` times their logarithm.

    A teacher that names some labels too often passes that on, and a student trained on its answers leans to the
    frequent labels further. One row is added to each label, so that one without rows has a share.

    Source: Menon et al. 2021, Long-tail learning via logit adjustment, section 4.1.
    """
    shares = (targets.sum(0) + 1) / (targets.sum() + targets.shape[1])
    for name, weights in model.named_parameters():
        if weights.requires_grad and name.endswith("classifier.modules_to_save.default.bias"):
            with torch.no_grad():
                weights.sub_(strength * shares.log())


def begin_run(task: "Task", run_dir: Path, options: EncoderOptions) -> tuple[dict[str, object], EncoderOptions]:
    """The settings of a run and its options, which are those it began with where it was interrupted.

    An encoder trains in minutes, so an interrupted run starts over.
    """
    base = find_base(task.student.base)
    config_path = run_dir / "config.json"
    if config_path.is_file():
        options = EncoderOptions(**read_options(config_path))
    precision = resolve_precision(options.adapter.precision, "encoder")
    options = replace(options, adapter=replace(options.adapter, precision=precision))
    settings: dict[str, object] = {
        "version": RUN_VERSION,
        "family": "encoder",
        "base": task.student.base,
        "base_hash": base.weights_sha256,
        "labels": class_labels(task.labels, task.abstain),
        "max_tokens": task.student.max_tokens or options.max_tokens,
        "options": asdict(options),
    }
    return settings, options


def train_encoder(
    task: "Task", task_folder: Path, run_dir: Path, options: EncoderOptions, log: Log | None = None
) -> dict[str, float | int]:
    """Trains on `dataset/train.jsonl` of a task folder; writes config, metrics and adapter into `run_dir`.

    Returns:
        The last epoch's measurement; its validation accuracy is that of the saved weights.

    Raises:
        UsageError: The dataset is missing, empty, or names a label that the task does not have.
    """
    base, labels = find_base(task.student.base), class_labels(task.labels, task.abstain)
    settings, options = begin_run(task, run_dir, options)
    tokenizer = load_tokenizer(base.directory, task.student.max_tokens or options.max_tokens)
    train = read_examples(TaskFolder(task_folder).split_path("train"), tokenizer, labels)
    validation = read_examples(TaskFolder(task_folder).split_path("validation"), tokenizer, labels)
    if not len(train):
        raise UsageError("dataset/train.jsonl has no rows", "collect and curate answers first")
    rows = read_dataset(TaskFolder(task_folder).split_path("train"))
    settings |= {"data_hash": data_hash(rows), "teacher": teacher_names(rows)}
    settings |= {"rows": len(train), "validation_rows": len(validation)}
    write_lines(run_dir / "config.json", [json.dumps(settings, indent=2)])
    torch.manual_seed(options.adapter.seed)
    model = EncoderClassifier(load_bert(base.directory), len(labels))
    model.eval()  # no dropout in the vectors that the head starts from
    start_head(model, tokenizer, labels)
    adapted = with_adapter(model, options)
    measurement = fit(adapted, train, validation, options, run_dir / "metrics.jsonl", log)
    if options.balance:
        balance_head(adapted, train.targets, options.balance)
        measurement["validation_accuracy"] = round(agreement(adapted, validation), 6)
    save_adapter(adapted, base, run_dir / "adapter")
    return measurement


def save_adapter(model: PeftModel, base: EncoderBase, adapter_dir: Path) -> None:
    """Writes the adapter in peft's format, with the hash of the base that it belongs to."""
    # Without the explicit False peft asks the hub for the base's configuration.
    with tensor_disk_errors(adapter_dir):
        model.save_pretrained(str(adapter_dir), save_embedding_layers=False)
        (adapter_dir / "base_hash").write_text(base.weights_sha256 + "\n", encoding="utf-8")


def load_adapter(run_dir: Path, base: EncoderBase) -> PeftModel:
    """The run's adapter on its base.

    Raises:
        BaseMismatch: The adapter was trained on other weights.
    """
    expected = (run_dir / "adapter" / "base_hash").read_text(encoding="utf-8").strip()
    if expected != base.weights_sha256:
        raise BaseMismatch(
            f"the adapter of {run_dir.name} belongs to base weights {expected[:16]}, "
            f"these are {base.weights_sha256[:16]}",
            "give the base that the run was trained on, or train again",
        )
    settings = json.loads((run_dir / "config.json").read_text(encoding="utf-8"))
    model = EncoderClassifier(load_bert(base.directory), len(settings["labels"]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        adapted = PeftModel.from_pretrained(model, str(run_dir / "adapter"))
    return adapted.eval()


def merge_encoder(run_dir: Path, merged_dir: Path) -> dict[str, str]:
    """Folds the run's adapter into its base: one set of 32-bit weights with config and tokenizer.

    Returns:
        Lineage: `base`, `base_hash`, `merge_method`.
    """
    settings = json.loads((run_dir / "config.json").read_text(encoding="utf-8"))
    base = find_base(settings["base"])
    merged = load_adapter(run_dir, base).merge_and_unload()
    if not isinstance(merged, EncoderClassifier):
        raise TypeError(f"merging gave a {type(merged).__name__}")
    merged_dir.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in merged.bert.state_dict().items()}
    weights |= {f"classifier.{name}": value.contiguous() for name, value in merged.classifier.state_dict().items()}
    save_tensors(weights, merged_dir / "model.safetensors", {"format": "pt"})
    write_config(merged, settings["labels"], settings["max_tokens"], merged_dir / "config.json")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (base.directory / name).is_file():
            (merged_dir / name).write_bytes((base.directory / name).read_bytes())
    name = Path(settings["base"]).name if Path(settings["base"]).is_dir() else settings["base"]
    return {"base": name, "base_hash": base.weights_sha256, "merge_method": "lora-fp32"}
