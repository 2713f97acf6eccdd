"""How far some work is: one type for runs, comparisons, checks, imports, threshold choices and gates."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """How far some work is."""

    done: int
    """So many of the unit, with those that were done before."""
    total: int
    """0 where it is not known."""
    unit: Literal["document", "row", "byte", "step"] = "document"
    stage: str = ""
    """What is being done, such as `reading` or a model's name; empty where there is only one thing to do."""
    before: int = 0
    """Of those done: how many an earlier run did. Speed counts without them."""
    failed: int = 0
    """Of those done: how many have no answer."""
    waiting: int = 0
    """Those that are left to the next run, as files that are still being written are."""
    loading: bool = False
    """The model is not there yet."""
    queued: bool = False
    """Another process has the engine of this machine."""
    queued_behind: str = ""
    """One sentence that says who has the engine, where that is known."""
    stopping: bool = False
    """A person asked for the end: only what is in flight is finished."""
    figures: str = ""
    """How it goes, in a few words, such as the loss of a training."""
    panel: tuple[str, ...] = ()
    """Lines below it on a terminal, where there is more to say than a line holds."""
    seconds_left: float | None = None
    """Where who works knows better than the speed tells, as a training with a budget of time does."""


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """For callers that show nothing."""


@dataclass
class ProgressCounter:
    """Adds up steps of work and reports each sum."""

    on_progress: OnProgress
    total: int
    unit: Literal["document", "row", "byte", "step"] = "document"
    stage: str = ""
    done: int = field(default=0)

    def add(self, count: int) -> None:
        """So many more are done."""
        self.done += count
        self.on_progress(Progress(self.done, self.total, self.unit, self.stage))
