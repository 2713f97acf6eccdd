"""The processes that train one run together: which of them this is, and how their sums meet.

Every process holds the whole adapter and draws the same plan; a step's passes are dealt out among them and the sums of
the gradients meet once a step. Rank 0 alone writes.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from appliance.ground.errors import ResourceError

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

T = TypeVar("T")
LAUNCHED_VARIABLE = "STILLROOM_LAUNCHED"
"""Set in processes that `train --processes` started, to the path of a file in which they find one another: torch's
usual meeting place is a port that listens on every interface and takes whoever comes."""
LONGEST_WAIT = timedelta(minutes=30)
"""For the slowest process of a run: it may read a large base from a disk that all of them read."""


class RankLost(ResourceError):
    """Another process of the run has ended, so that this one cannot go on."""


def rank() -> int:
    """The number of this process among those of the run, from zero."""
    return int(os.environ.get("RANK") or 0)


def rank_count() -> int:
    """Processes of the run; `torchrun`, `accelerate launch` and `train --processes` say how many."""
    return max(1, int(os.environ.get("WORLD_SIZE") or 1))


def join_ranks() -> "Accelerator":
    """Joins the other processes of the run and takes the device of this one.

    Raises:
        RankLost: Not all of them came.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs

    on_gpu = torch.cuda.is_available()
    if rank_count() > 1 and not on_gpu:
        threads = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE") or rank_count()))
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # accelerate chooses with a warning
    with _lost_ranks():
        meeting_path = os.environ.get(LAUNCHED_VARIABLE)
        if meeting_path and not torch.distributed.is_initialized():
            torch.distributed.init_process_group(
                "nccl" if on_gpu else "gloo",
                init_method=f"file://{meeting_path}",
                rank=rank(),
                world_size=rank_count(),
                timeout=LONGEST_WAIT,
            )
        # A student knows where its forward pass may be in bfloat16.
        waiting = InitProcessGroupKwargs(timeout=LONGEST_WAIT)
        return Accelerator(mixed_precision="no", cpu=not on_gpu, kwargs_handlers=[waiting])


def share(parts: Sequence[T], *, evenly: bool = False) -> list[tuple[T, bool]]:
    """Those of the parts that this process works on, each with whether it counts.

    Args:
        evenly: Whether all processes get as many, because they compute together; what fills one up does not count.
    """
    own = [(part, True) for part in parts[rank() :: rank_count()]]
    missing = -(-len(parts) // rank_count()) - len(own) if evenly else 0
    return own + [(parts[0], False)] * missing


def add_over_ranks(tensors: "Iterable[Tensor]") -> None:
    """Replaces each tensor by the sum over all processes, in place.

    Raises:
        RankLost: Another process has ended.
    """
    if rank_count() == 1:
        return
    import torch

    with _lost_ranks():
        for tensor in tensors:
            torch.distributed.all_reduce(tensor)


def totals(*numbers: float) -> list[float]:
    """Each number summed over all processes.

    Raises:
        RankLost: Another process has ended.
    """
    if rank_count() == 1:
        return list(numbers)
    import torch

    device = f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    summed = torch.tensor(numbers, dtype=torch.float64, device=device)
    add_over_ranks([summed])
    return summed.tolist()


def of_first_rank(text: str) -> str:
    """The text that rank 0 passes here, in every process.

    Raises:
        RankLost: Rank 0 has ended.
    """
    if rank_count() == 1:
        return text
    import torch

    texts = [text]
    join_ranks()
    with _lost_ranks():
        torch.distributed.broadcast_object_list(texts)
    return texts[0]


def leave_ranks() -> None:
    """Parts from the other processes of the run."""
    if rank_count() == 1:
        return
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def _lost_ranks() -> Iterator[None]:
    """Names what the libraries report as a broken connection."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if rank_count() == 1:
            raise
        reason = " ".join(str(error).split())[:200]
        raise RankLost(
            f"another of the {rank_count()} processes of this run has ended, so that process {rank() + 1} cannot go on"
            f" ({reason})",
            "look at what that process said",
        ) from error
