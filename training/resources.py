"""Whether this machine can train a base, merge it and export it: computed and compared before anything is loaded."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.errors import ResourceError
from appliance.ground.memory import available_memory_bytes
from appliance.ground.text import human_size
from training.memory_need import MemoryNeed, ModelShape, TrainingPlan, memory_need, model_shape, training_bytes
from training.precision import resolve_precision
from training.ranks import rank_count

if TYPE_CHECKING:
    from training.options import Family, TrainingOptions

PASSES_TRIED = (2048, 1024, 512, 256)
"""Tokens of a pass that a remedy may name; fewer save next to nothing."""
MERGED_BYTES = 2
"""Of a weight on the disk after the merge."""
LEAST_EXPORT = 2.5
"""Disk that an export takes for a while, as a multiple of the merged weights; its own check knows each target."""
SPARE_BYTES = 200_000_000


class TooLarge(ResourceError):
    """The machine cannot hold what a run would need; nothing was begun."""


@dataclass(frozen=True)
class Machine:
    """What a run may take."""

    memory_bytes: int | None
    """Of the main memory, within the limits of control groups; None where it is not known."""
    gpu_bytes: int | None
    """Free on the GPU that trains; None without one."""
    disk_bytes: int
    """Free where runs lie."""


def read_machine(folder: Path) -> Machine:
    """This machine, with the disk that `folder` lies on; of its main memory, one rank's share."""
    import torch

    gpu_bytes = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else None
    available = available_memory_bytes()
    if available is not None and gpu_bytes is None:
        available //= rank_count()
    return Machine(available, gpu_bytes, shutil.disk_usage(folder).free)


def plan_of(options: "TrainingOptions", family: "Family", weights: int) -> TrainingPlan:
    """What the options mean for memory with a base of so many weights."""
    whole_steps = options.compute.micro_batch_tokens or options.batch_tokens
    pass_tokens = options.compute.pass_tokens(options.batch_tokens, weights)
    return TrainingPlan(
        family=family,
        precision=resolve_precision(options.adapter.precision, family, weights),
        rank=options.adapter.rank,
        pass_tokens=pass_tokens if family == "decoder" else whole_steps,
        most_rows=options.batch_rows or 0,
        checkpointing=options.compute.checkpointing,
        load_in_4bit=options.compute.load_in_4bit,
        teacher_bytes=_teacher_bytes(options.distillation.teacher_model),
    )


def _teacher_bytes(name: str) -> int:
    """Of a local teacher's weights, which are held as they are stored; 0 where there is none."""
    if not name:
        return 0
    from training.local_teacher import find_teacher

    return model_shape(find_teacher(name)).stored_bytes


def check_resources(base_dir: Path, plan: TrainingPlan, machine: Machine, *, is_loaded: bool = False) -> MemoryNeed:
    """Refuses a run that cannot come to its end on this machine: in training, in the merge, in every export.

    Args:
        machine: As it was before anything was loaded.
        is_loaded: Whether only the training is looked at, now that the length of the rows is known.

    Returns:
        What each phase will need.

    Raises:
        TooLarge: Says what needs how much, what there is, and which options need less.
    """
    shape = model_shape(base_dir)
    need = memory_need(shape, plan)
    _check_training(base_dir.name, shape, plan, machine)
    if is_loaded:
        return need
    if machine.memory_bytes is not None:
        _check_later(base_dir.name, need, machine.memory_bytes)
    _check_disk(base_dir.name, shape, plan, machine.disk_bytes)
    return need


def _check_training(name: str, shape: ModelShape, plan: TrainingPlan, machine: Machine) -> None:
    limit = machine.memory_bytes if machine.gpu_bytes is None else machine.gpu_bytes
    need = training_bytes(shape, plan)
    if limit is None or need <= limit:
        return
    where = "this machine has" if machine.gpu_bytes is None else "the GPU has"
    raise TooLarge(
        f"training {name} needs {human_size(need)} with {_described(plan)}, {where} {human_size(limit)} free",
        _remedy(shape, plan, limit, on_gpu=machine.gpu_bytes is not None),
    )


def _described(plan: TrainingPlan) -> str:
    parts = [f"{plan.most_tokens:,} tokens a pass", plan.precision]
    parts += ["checkpointing"] if plan.checkpointing else []
    parts += ["the base in 4 bit"] if plan.load_in_4bit else []
    return ", ".join(parts)


def _remedy(shape: ModelShape, plan: TrainingPlan, limit: int, *, on_gpu: bool) -> str:
    """The fewest options with which the training fits, or what to do where none help."""
    tried: list[str] = []
    least = training_bytes(shape, plan)
    for option, changed in _cheaper(plan, on_gpu=on_gpu):
        tried = [*(kept for kept in tried if kept.split()[0] != option.split()[0]), option]
        least = training_bytes(shape, changed)
        if least <= limit:
            return f"add {' '.join(tried)} to the command: it then needs {human_size(least)}"
    return f"choose a smaller base: with every option that saves memory, this one still needs {human_size(least)}"


def _cheaper(plan: TrainingPlan, *, on_gpu: bool) -> Iterator[tuple[str, TrainingPlan]]:
    """Options that save memory, one after the other, those that cost least first; each with all before it."""
    for tokens in PASSES_TRIED if plan.family == "decoder" else ():
        if plan.longest_tokens <= tokens < plan.pass_tokens:
            plan = replace(plan, pass_tokens=tokens)
            yield f"--micro-batch-tokens {tokens}", plan
    if plan.precision != "bfloat16":
        plan = replace(plan, precision="bfloat16")
        yield "--precision bfloat16", plan
    if not plan.checkpointing and plan.family == "decoder":
        plan = replace(plan, checkpointing=True)
        yield "--checkpointing", plan
    if on_gpu and not plan.load_in_4bit and plan.family == "decoder":
        plan = replace(plan, load_in_4bit=True)
        yield "--load-in-4bit", plan


def _check_later(name: str, need: MemoryNeed, limit: int) -> None:
    """Merge and export come after hours of training: what they cannot do is told before."""
    if need.merge > limit:
        raise TooLarge(
            f"merging {name} after its training would need {human_size(need.merge)}, this machine has"
            f" {human_size(limit)} free",
            "free some memory, choose a smaller base, or train where there is more",
        )
    target, least = smallest_export(need.exports)
    if least > limit:
        raise TooLarge(
            f"no export of {name} would fit: the smallest, {target}, needs {human_size(least)}, this machine has"
            f" {human_size(limit)} free",
            "free some memory, choose a smaller base, or train where there is more",
        )


def smallest_export(exports: Mapping[str, int]) -> tuple[str, int]:
    """The target that needs least, and how much."""
    return min(exports.items(), key=lambda entry: entry[1])


def _check_disk(name: str, shape: ModelShape, plan: TrainingPlan, free: int) -> None:
    """Room for checkpoints, the merged weights and the smallest export of them."""
    merged = shape.weights * (MERGED_BYTES if plan.family == "decoder" else 4)
    checkpoints = shape.matrix_edges * plan.rank * 4 * 6  # adapter and moments, and the next ones beside them
    need = checkpoints + round(merged * (1 + LEAST_EXPORT)) + SPARE_BYTES
    if free < need:
        raise TooLarge(
            f"a run on {name} with its merge and an export needs {human_size(need)} of disk with a reserve of"
            f" {human_size(SPARE_BYTES)}, {human_size(free)} are free where it would lie",
            "free some space, or lay the task folder on a larger disk",
        )
