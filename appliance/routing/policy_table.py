"""What the egress policy may say; `appliance.routing.policy` says what each key means."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from appliance.ground.tables import PLUS_ZERO, Problem, Table, Texts, not_among
from appliance.routing.detector_names import DETECTOR_NAMES, LEAST_DIGITS, MASKED_DIGITS
from appliance.tasks.task import DATA_CLASSES

POLICY_VERSION = 1

Count = Annotated[int, Field(ge=0)]


class MaskingTable(Table):
    """What is taken out of a text before it leaves."""

    detectors: Texts = Field(default=list(DETECTOR_NAMES))
    digits: Count = MASKED_DIGITS
    fields: Texts = Field(default=[])
    unfound: Literal["refuse", "send"] = "refuse"

    def problems(self) -> list[Problem]:
        """Detectors that there are, and no number of digits that would mask years."""
        problems = not_among("detectors", self.detectors, DETECTOR_NAMES)
        if 0 < self.digits < LEAST_DIGITS:
            hint = f"write at least {LEAST_DIGITS}, or 0 to mask no number because of its length"
            problems.append(("digits", f"{self.digits} would mask quantities and years", hint))
        return problems


class CapTable(Table):
    """The most that may leave."""

    documents: Count | None = Field(default=None, examples=[100])
    tokens: Count | None = Field(default=None, examples=[100_000])
    money: Annotated[float, Field(ge=0, le=1e9), PLUS_ZERO] | None = Field(default=None, examples=[5])
    currency: str = Field(default="", examples=["EUR"])


class CapsTable(Table):
    """Caps of a run and of a day."""

    run: CapTable = CapTable()
    day: CapTable = CapTable()


class PolicyTable(Table):
    """The whole file."""

    version_known: ClassVar[int] = POLICY_VERSION

    version: Annotated[int, Field(ge=1)] = Field(examples=[POLICY_VERSION])
    enabled: bool = False
    data_classes: Texts = Field(default=[])
    hosts: Texts = Field(default=[])
    tasks: Texts = Field(default=[])
    keep_bodies: bool = True
    masking: MaskingTable = MaskingTable()
    caps: CapsTable = CapsTable()

    def problems(self) -> list[Problem]:
        """A day that is capped, classes that there are, and hosts instead of addresses."""
        problems = not_among("data_classes", self.data_classes, DATA_CLASSES)
        day = self.caps.day
        if self.enabled and day.documents is None and day.tokens is None and day.money is None:
            problems.append(("caps.day", "nothing is capped", "add [caps.day] with documents, tokens or money"))
        for host in self.hosts:
            if "/" in host or "*" in host:
                hint = 'write hosts as "api.example.com" or "127.0.0.1:8080"'
                problems.append(("hosts", f'"{host}" is not a host', hint))
        return problems
