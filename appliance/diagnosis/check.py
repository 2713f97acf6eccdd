"""One finding of the doctor: what was examined, how it is, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class CheckState(StrEnum):
    """How something is."""

    OK = "ok"
    WARN = "warn"
    """Documents are read and answered, but slower, or with less protection than there could be."""
    FAIL = "fail"
    """Something that the appliance needs is missing or broken."""


@dataclass(frozen=True)
class Check:
    """One finding."""

    name: str
    state: CheckState
    message: str
    """One sentence with the facts."""
    advice: str = ""
    """What to do; always there unless the state is ok."""

    def __post_init__(self) -> None:
        if self.state is not CheckState.OK and not self.advice:
            raise ValueError(f"check {self.name} is {self.state} and says nothing about what to do")


def ok(name: str, message: str) -> Check:
    """A finding that asks for nothing."""
    return Check(name, CheckState.OK, message)


def worst(checks: list[Check]) -> CheckState:
    """The state of all of them together."""
    states = {check.state for check in checks}
    return next((state for state in (CheckState.FAIL, CheckState.WARN) if state in states), CheckState.OK)
