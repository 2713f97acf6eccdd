"""One of several processes that train together: what it ends with is compared with one process alone.

    python rank_worker.py TASK_FOLDER OUT [option=value ...]

The environment says which rank it is, as torchrun does; rank 0 writes the trained weights to OUT.
"""

import sys
from pathlib import Path

from safetensors.torch import save_file

from appliance.tasks.taskfile import load_task
from training.loop import fit
from training.lora import copy_weights
from training.options import options_for
from training.ranks import leave_ranks, rank
from training.students.families import open_student


def main() -> None:
    task_folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    requested = {"epochs": 1, "rate": 5e-3, "rank": 4, "batch_tokens": 512, "micro_batch_tokens": 128, "seed": 1}
    task = load_task(task_folder)
    for number, changes in enumerate(({}, {"shard_base": True})):
        options = options_for("decoder", {**requested, "precision": "float32", **changes})
        student = open_student(task, task_folder, options.distillation)
        model, best = fit(student, options)
        if rank() == 0:
            metadata = {name: str(best[name]) for name in ("loss", "validation_loss", "tokens")}
            save_file(copy_weights(model), str(out / f"{number}.safetensors"), metadata)
    leave_ranks()


if __name__ == "__main__":
    main()
