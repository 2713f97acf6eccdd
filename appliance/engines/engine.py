"""The engine protocol: documents' texts in, answers out, in any order, many in flight."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from appliance.tasks.linecode import Answer

ENGINE_DIED = "engine_died"
"""Error class of a document that engines died with; it is not asked again, here or elsewhere."""


@dataclass(frozen=True)
class Request:
    """One document to answer."""

    key: str
    """The caller's name for the document; comes back with the result."""
    text: str
    crash_count: int = 0
    """How many processes have died with this document in work."""
    known: Answer = field(default_factory=dict)
    """A local answer, for a frontier: where to find the values of fields that the policy masks."""
    field_names: tuple[str, ...] = ()
    """Fields that a frontier is asked for; all where it is empty."""
    name: str = ""
    """The document's name, for the record of what leaves the machine; it is not sent."""


@dataclass(frozen=True)
class Result:
    """One document's answer, an error class with a message, or both where a person must look at the answer."""

    key: str
    answer: Answer | None
    confidence: dict[str, float] = field(default_factory=dict)
    """Per field, 0 to 1: the probability the model gives to the value it wrote, among the values it could write."""
    raw: str = ""
    """What the model wrote, in line code."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    seconds: float = 0.0
    error: str | None = None
    """Error class, such as `too_long`; beside an answer, what kept a fallback from answering."""
    error_message: str = ""
    money: float | None = 0.0
    """What a frontier takes for it, in the currency of its prices; None where it does not tell its tokens."""
    window_starts: dict[str, int] = field(default_factory=dict)
    """Field -> offset in the text of the window that gave its value; empty where the text was read as a whole."""
    escalated: list[str] = field(default_factory=list)
    """Fields whose value a fallback gave."""
    cached: bool = False
    """Paid for earlier: nothing left the machine. Tokens and money are those of the request that was paid."""


class Engine(Protocol):
    """Holds one model and one task."""

    identity: str
    """The model identity that every row carries."""
    context_length: int
    """Tokens of prompt and answer together."""

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Answers each request exactly once, in any order; takes requests as it has room for them."""
        ...

    def close(self) -> None:
        """Frees the model's memory."""
        ...
