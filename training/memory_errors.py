"""Memory that ran out while a student is trained, as an error that names the setting to change."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from appliance.ground.errors import ResourceError
from appliance.ground.text import human_size

if TYPE_CHECKING:
    from training.options import TrainingOptions

LEAST_PASS = 128
"""Tokens; a pass of fewer saves next to nothing."""
_SIZE = re.compile(r"allocate ([\d.]+) ?(bytes|KiB|MiB|GiB)")
_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class OutOfMemory(ResourceError):
    """The machine's memory, or the GPU's, does not hold what a step needs."""


@contextmanager
def named_memory_errors(options: "TrainingOptions") -> Iterator[None]:
    """Around the training.

    Raises:
        OutOfMemory: Python, torch or CUDA had no memory left; says how much was asked for and which options need less.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, MemoryError) and not is_out_of_memory(error):
            raise
        where = "the GPU" if "CUDA" in text or "HIP" in text else "this machine"
        size = _SIZE.search(text)
        amount = f": {human_size(round(float(size[1]) * _UNITS[size[2]]))} more could not be had" if size else ""
        raise OutOfMemory(f"the memory of {where} ran out while training{amount}", remedy(options)) from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether it says that memory ran out; on a processor torch has no class of its own for that."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in ("can't allocate memory", "not enough memory", "out of memory")
    )


def remedy(options: "TrainingOptions") -> str:
    """Which options need less memory than these, those that cost least first."""
    tokens = options.compute.pass_tokens(options.batch_tokens)
    ways = [f"--micro-batch-tokens {tokens // 2}"] if tokens >= 2 * LEAST_PASS else []
    ways += [] if options.compute.checkpointing else ["--checkpointing"]
    ways += [] if options.adapter.precision == "bfloat16" else ["--precision bfloat16 (in a new run)"]
    if not ways:
        return "choose a smaller base, or a machine with more memory"
    return "use " + ", or ".join(ways)
