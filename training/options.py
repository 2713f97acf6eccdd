"""How students are trained: options, checked, written beside every run and read back when it is resumed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.files import write_lines
from appliance.ground.json_text import json_text
from training.distillation_options import OPTION_NAMES, DistillationOptions, distillation_options

Precision = Literal["auto", "float32", "bfloat16"]
Family = Literal["decoder", "encoder"]
LearningRate = float | Literal["default", "auto"]

RUN_VERSION = 4
"""Of a run's `config.json`; a run that another version began is not resumed."""

RATE_FACTORS = (0.4, 1.0, 2.0)
"""What `auto` tries: these multiples of the default rate, lowest first."""


@dataclass(frozen=True)
class AdapterOptions:
    """What is trained beside the frozen base."""

    rank: int = 16
    """Of the adapter; 64 was no better on a base of 6 million weights."""
    alpha: int = 32
    """The adapter's output is scaled by alpha / rank."""
    dropout: float = 0.0
    """Share of activations set to zero while training: a decoder's before its adapter, an encoder's in its layers."""
    seed: int = 0
    """Of the adapter, the order of rows and whatever else is drawn."""
    precision: Precision = "auto"
    """Of the forward pass; `auto` takes bfloat16 where the processor computes it faster."""
    layers: int | None = None
    """Layers that get an adapter, counted from the last; None means all. Those below are computed, not trained."""

    def __post_init__(self) -> None:
        if min(self.rank, self.alpha) < 1:
            raise UsageError(f"rank is {self.rank} and alpha {self.alpha}; both must be at least 1", "try 16 and 32")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {self.dropout}; it must be at least 0 and below 1", "try 0.1")
        if self.layers is not None and self.layers < 1:
            raise UsageError(f"{self.layers} layers cannot be trained", "leave --train-layers out to train all")
        if self.seed < 0:
            raise UsageError(f"the seed is {self.seed}; it must be at least 0", "any other whole number will do")


@dataclass(frozen=True)
class HeadOptions:
    """The classification head of an encoder, which is trained whole."""

    learning_rate: float = 5e-2
    """Highest rate; the head starts from the label names and has far to go."""
    logit_adjustment: float = 0.0
    """How far the labels' shares in the training rows are taken out of the logits: 0 not at all, 1 wholly."""

    def __post_init__(self) -> None:
        if not 0 <= self.logit_adjustment <= 2:
            raise UsageError(
                f"logit adjustment is {self.logit_adjustment}; it must be between 0 and 2",
                "1 makes all labels equally likely",
            )


@dataclass(frozen=True)
class ComputeOptions:
    """How a run uses the machine; but for rounding, what a step learns stays the same."""

    micro_batch_tokens: int | None = None
    """Tokens of one pass through the model, at most; a step of more is summed over several. None: see `pass_tokens`."""
    checkpointing: bool = False
    """Whether each layer is computed again on the way back rather than kept: about a fifth slower."""
    load_in_4bit: bool = False
    """Decoder on a GPU: the frozen base in NF4, by bitsandbytes."""
    shard_base: bool = False
    """Decoder: each process holds a part of the frozen base, for bases that no single GPU holds."""
    cache_states: bool = True
    """Decoder: what layers below the first adapter make of a row is kept from epoch to epoch where memory allows."""

    def __post_init__(self) -> None:
        if self.micro_batch_tokens is not None and self.micro_batch_tokens < 1:
            raise UsageError(
                f"a pass of {self.micro_batch_tokens} tokens holds nothing", "leave --micro-batch-tokens out"
            )

    def pass_tokens(self, batch_tokens: int, weights: int = 0) -> int:
        """Tokens of one pass: on a processor few, as their activations take memory and larger passes are no faster.

        A base of few weights has small products, which are faster in larger passes.

        Args:
            batch_tokens: Of a step.
            weights: Of the base; 0 where nothing is known of it.
        """
        if self.micro_batch_tokens is not None:
            return min(self.micro_batch_tokens, batch_tokens)
        import torch

        if torch.cuda.is_available():
            return batch_tokens
        is_small = 0 < weights <= SMALL_BASE_WEIGHTS
        return min(SMALL_BASE_PASS_TOKENS if is_small else CPU_PASS_TOKENS, batch_tokens)


SMALL_BASE_WEIGHTS = 60_000_000
SMALL_BASE_PASS_TOKENS = 1024
CPU_PASS_TOKENS = 512


@dataclass(frozen=True)
class TrainingOptions:
    """Settings of one training run; the defaults are a decoder's."""

    epochs: int = 10
    """Passes over the rows, at most; validation or the time budget may end the run earlier."""
    learning_rate: LearningRate = "default"
    """Highest rate of the adapter. `default` follows the base, `auto` tries three on the validation rows."""
    seconds: float | None = None
    """Time budget; the rate falls with whichever runs out first, time or epochs. None means no limit."""
    batch_tokens: int = 2048
    """Tokens of a step; small, because small data wants many steps. An encoder's padding counts."""
    batch_rows: int | None = 8
    """Rows of a step, at most; None means that tokens alone limit it. 2,048 tokens hold twenty short documents, which
    would leave small data with a few dozen steps."""
    warm_up: float = 0.06
    """Share of the steps until the highest rate."""
    weight_decay: float = 0.0
    """Of the adapter; it is small and trained briefly."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    patience: int = 4
    """Epochs without a better validation before the run ends."""
    field_dropout: float = 0.35
    """Decoder: share of the rows that an epoch shows with values taken out (`students/decoder/field_dropout.py`)."""
    adapter: AdapterOptions = field(default_factory=AdapterOptions)
    """What is trained."""
    head: HeadOptions = field(default_factory=HeadOptions)
    """Encoder: what is trained beside the adapter."""
    distillation: DistillationOptions = field(default_factory=DistillationOptions)
    """What is learnt beside the labels."""
    compute: ComputeOptions = field(default_factory=ComputeOptions)
    """How the machine is used."""

    def __post_init__(self) -> None:
        counts = {"epochs": self.epochs, "batch tokens": self.batch_tokens, "patience": self.patience}
        for name, count in (counts | {"batch rows": 1 if self.batch_rows is None else self.batch_rows}).items():
            if count < 1:
                raise UsageError(f"{name}: {count} is less than 1", "leave it out for the default")
        if not 0 <= self.field_dropout <= 1:
            raise UsageError(
                f"field dropout is {self.field_dropout}; it must be between 0 and 1", "0.35 is the default"
            )
        if self.distillation.on_policy and self.compute.shard_base:
            raise UsageError(
                "--on-policy and --shard-base exclude each other: the processes of a sharded base compute in step, and"
                " what they write has different lengths",
                "leave --on-policy out, or let each process hold the base",
            )
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError(f"a time budget of {self.seconds} seconds leaves no time to train", "give more --seconds")
        if isinstance(self.learning_rate, float) and not 0 < self.learning_rate < 1:
            raise UsageError(
                f"the learning rate {self.learning_rate} is not between 0 and 1",
                "leave --rate out for the default, or try --rate auto",
            )


DECODER_DEFAULTS = TrainingOptions()
ENCODER_DEFAULTS = TrainingOptions(
    epochs=6,  # with a teacher that errs, ten were no better
    batch_tokens=8192,  # 32 of the longest texts that are trained by default are half of it
    batch_rows=32,
    warm_up=0.1,
    weight_decay=0.01,
    adapter=AdapterOptions(dropout=0.1),
)
ADAPTER_NAMES = frozenset({"rank", "alpha", "dropout", "seed", "precision", "layers"})
COMPUTE_NAMES = frozenset({"micro_batch_tokens", "checkpointing", "load_in_4bit", "shard_base", "cache_states"})
RESUMABLE_NAMES = frozenset({"micro_batch_tokens", "checkpointing", "cache_states"})
"""Options that may be given to a run that is resumed."""
FIELD_OF: Mapping[str, str] = {"rate": "learning_rate", "train_layers": "layers"}
"""Options whose field has another name."""
FAMILY_OF: Mapping[str, Family] = {
    "field_dropout": "decoder",
    "logit_adjustment": "encoder",
    **dict.fromkeys(OPTION_NAMES, "decoder"),
    **dict.fromkeys(("train_layers", "load_in_4bit", "shard_base", "cache_states"), "decoder"),
}
"""Options that one family alone has."""


def options_for(family: Family, requested: Mapping[str, Any]) -> TrainingOptions:
    """The family's defaults with the options that were requested, by their names on the command line.

    Raises:
        UsageError: An option belongs to the other family, or its value is invalid.
    """
    for name in requested:
        if FAMILY_OF.get(name, family) != family:
            option = name.replace("_", "-")
            raise UsageError(
                f"--{option} is for {FAMILY_OF[name]} students; the task's family is {family}", "leave it out"
            )
    check_compute(requested)
    defaults = DECODER_DEFAULTS if family == "decoder" else ENCODER_DEFAULTS
    distillation = distillation_options(requested)
    changes = {FIELD_OF.get(name, name): value for name, value in requested.items() if name not in OPTION_NAMES}
    adapter = replace(defaults.adapter, **{name: changes.pop(name) for name in ADAPTER_NAMES & changes.keys()})
    compute = ComputeOptions(**{name: changes.pop(name) for name in COMPUTE_NAMES & changes.keys()})
    head = defaults.head
    if "logit_adjustment" in changes:
        head = replace(head, logit_adjustment=changes.pop("logit_adjustment"))
    return replace(defaults, adapter=adapter, head=head, compute=compute, distillation=distillation, **changes)


def check_compute(requested: Mapping[str, Any]) -> None:
    """Refuses options that this machine or installation cannot follow, before anything is loaded.

    Raises:
        UsageError: There is no GPU for them.
        ResourceError: bitsandbytes is not installed.
    """
    if requested.get("load_in_4bit"):
        if find_spec("bitsandbytes") is None:
            raise ResourceError(
                "--load-in-4bit needs bitsandbytes, which is not installed", "run `pip install bitsandbytes`"
            )
        import torch

        if not torch.cuda.is_available():
            raise UsageError("--load-in-4bit needs a GPU, and this machine has none", "leave it out")
        if requested.get("shard_base"):
            raise UsageError("--load-in-4bit and --shard-base exclude each other", "a base in 4 bit needs no sharding")


def change_compute(config_path: Path, requested: Mapping[str, Any]) -> None:
    """Puts options that a resumed run may change into the `config.json` that it goes on with.

    Args:
        requested: By their names on the command line.

    Raises:
        UsageError: A value is invalid, or another version of Stillroom began the run.
    """
    compute = replace(read_options(config_path).compute, **requested)
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config["options"]["compute"] = asdict(compute)
    write_lines(config_path, [json_text(config, ascii_only=True, indent=2)])


def read_options(config_path: Path) -> TrainingOptions:
    """The options in the `config.json` of a run that is resumed.

    Raises:
        UsageError: Another version of Stillroom began the run.
    """
    config: Mapping[str, Any] = json.loads(config_path.read_text(encoding="utf-8"))
    if config.get("version") != RUN_VERSION:
        raise UsageError(
            f"the run {config_path.parent.name} was begun by another version of Stillroom",
            "start a new run with `stillroom train` without --resume",
        )
    stored = dict(config["options"])
    adapter, head = AdapterOptions(**stored.pop("adapter")), HeadOptions(**stored.pop("head"))
    distillation = DistillationOptions(**stored.pop("distillation", {}))
    compute = ComputeOptions(**stored.pop("compute", {}))
    return TrainingOptions(**stored, adapter=adapter, head=head, compute=compute, distillation=distillation)
