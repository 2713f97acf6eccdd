"""One of several processes that train together: what it ends with is compared with one process alone.

    python rank_worker.py TASK_FOLDER OUT

The environment says which rank it is, as torchrun does; rank 0 writes the trained weights to OUT.
"""

import sys
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from appliance.tasks.taskfile import load_task
from training.loop import fit
from training.lora import copy_weights
from training.metrics import Measurement
from training.options import options_for
from training.ranks import leave_ranks, rank
from training.students.families import open_student

REQUESTED = {
    "epochs": 1, "rate": 5e-3, "rank": 4, "batch_tokens": 512, "micro_batch_tokens": 128, "seed": 1,
    "precision": "float32",
}  # fmt: skip


def train_once(task_folder: Path, **changes: object) -> tuple[dict[str, Tensor], Measurement]:
    """The trained weights and the measurement of one epoch."""
    task = load_task(task_folder)
    options = options_for("decoder", {**REQUESTED, **changes})
    student = open_student(task, task_folder, options.distillation)
    model, best = fit(student, options)
    return copy_weights(model), best


def main() -> None:
    task_folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    for name, changes in (("whole", {}), ("sharded", {"shard_base": True})):
        weights, best = train_once(task_folder, **changes)
        if rank() == 0:
            save_file(weights, str(out / f"{name}.safetensors"), {"loss": str(best["validation_loss"])})
    leave_ranks()


if __name__ == "__main__":
    main()
