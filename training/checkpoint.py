"""Where a run stands, as one safetensors file: written whole, read back bit by bit."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from appliance.ground.errors import ApplianceError
from appliance.ground.json_text import json_text
from appliance.tasks.folder import RunFolder
from training.lora import trainable_weights
from training.tensor_files import save_tensors

_COUNTERS = (
    "epoch",
    "step",
    "tokens",
    "seconds",
    "losses",
    "learning_rate",
    "epochs_without_gain",
    "best",
    "returns",
    "rate_factor",
    "closing_seconds",
    "watch",
)


class BrokenCheckpoint(ApplianceError):
    """A checkpoint is not what was written."""


@dataclass
class Checkpoint:
    """How far a run is, and its best weights."""

    epoch: int = 0
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    """Of the steps of the epoch that is under way."""
    learning_rate: float = 0.0
    """Of the last step."""
    epochs_without_gain: int = 0
    best: dict[str, float | int] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    returns: int = 0
    """How often the run went astray and back to its best state."""
    rate_factor: float = 1.0
    """On all rates, since the last return."""
    closing_seconds: float = 0.0
    """What the last validation took, with what follows it."""
    watch: dict[str, Any] = field(default_factory=dict)
    """What `loss_watch.py` keeps."""

    def count_step(self, loss: float, tokens: int, learning_rate: float) -> None:
        """Counts a step."""
        self.step, self.tokens = self.step + 1, self.tokens + tokens
        self.learning_rate = learning_rate
        self.losses.append(loss)

    def end_epoch(self, seconds: float, gained: bool) -> None:
        """Counts an epoch; `gained` says whether its validation is the best so far."""
        self.epoch, self.losses, self.seconds = self.epoch + 1, [], seconds
        self.epochs_without_gain = 0 if gained else self.epochs_without_gain + 1

    def go_back(self, lowered: float) -> None:
        """Puts the counters where the best weights were reached, or to the start, with lower rates from here on."""
        self.step, self.epoch = int(self.best.get("step", 0)), int(self.best.get("epoch", 0))
        self.losses, self.watch, self.epochs_without_gain = [], {}, 0
        self.returns, self.rate_factor = self.returns + 1, self.rate_factor * lowered


def save(run_dir: Path, state: Checkpoint, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Writes weights, optimizer and counters beside the last checkpoint and puts them in its place.

    Raises:
        ResourceError: They cannot be written.
    """
    tensors = {f"weights/{name}": weights.detach() for name, weights in trainable_weights(model).items()}
    tensors |= {f"best/{name}": weights for name, weights in state.best_weights.items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{key}": value for key, value in moments.items()}
    counters = {name: getattr(state, name) for name in _COUNTERS}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_tensors(contiguous, RunFolder(run_dir).checkpoint_path, {"state": json_text(counters, ascii_only=True)})


def restore(run_dir: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Checkpoint | None:
    """Puts the last checkpoint of a run into model and optimizer; None where there is none.

    Raises:
        BrokenCheckpoint: The file is damaged.
    """
    path = RunFolder(run_dir).checkpoint_path
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            counters = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BrokenCheckpoint(
            f"the checkpoint of {run_dir.name} is damaged: {error}",
            "start a new run with `stillroom train` without --resume",
        ) from error
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition("/")
        parts[kind][rest] = tensor
    model.load_state_dict(parts["weights"], strict=False)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        number, _, key = name.partition("/")
        moments.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return Checkpoint(**counters, best_weights=parts["best"])
