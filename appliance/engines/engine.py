"""The engine protocol: documents' texts in, answers out, in any order, many in flight."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from appliance.ground.text import storable
from appliance.models.slot_plan import LONGEST_CONTEXT
from appliance.tasks.linecode import Answer, Value, is_records

ENGINE_DIED = "engine_died"
"""Error class of a document that engines died with; it is not asked again, here or elsewhere."""
NO_NUMBER = "no_number"
"""Error class of a document for which the model computed NaN or infinity; nothing that follows from it is an answer."""
NO_NUMBER_MESSAGE = "the model's output is not a number"
_ROUNDING = 1e-6
"""A share that is a sum of rounded numbers may lie so far outside 0 to 1."""


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
    sample: int = 0
    """Number of an answer of a frontier that is asked several times about one document; 0 where it is asked once."""


TOO_LONG = "too_long"
"""A document, or an answer in which no list was cut, has no room in the context."""
INCOMPLETE = "incomplete"
"""The answer has a list or records of which the last entries are missing, because the context was full."""


@dataclass(frozen=True)
class Result:
    """One document's answer, an error class with a message, or both where a person must look at the answer."""

    key: str
    answer: Answer | None
    confidence: dict[str, float] = field(default_factory=dict)
    """Per field, 0 to 1: the probability the model gives to the value it wrote, among the values it could write."""
    raw: str = ""
    """What the model wrote as its answer, in line code."""
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
    working: str = ""
    """What a local model wrote before its answer, where it was taught to."""
    cached: bool = False
    """Paid for earlier: nothing left the machine. Tokens and money are those of the request that was paid."""
    served: str = ""
    """The model that a frontier says it answered with."""
    label_shares: dict[str, float] = field(default_factory=dict)
    """Label -> its probability by a frontier that tells it; what is missing to 1 is that of anything else."""
    fingerprint: str = ""
    """What the frontier calls the state of that model, where it does."""


def checked_result(result: Result) -> Result:
    """The result as every engine owes it: texts that can be stored, and confidences that are shares.

    A confidence that is no number says that the model computed none, so there is no answer.
    """
    if not all(-_ROUNDING <= share <= 1.0 + _ROUNDING for share in result.confidence.values()):
        result = replace(result, answer=None, confidence={}, error=NO_NUMBER, error_message=NO_NUMBER_MESSAGE)
    answer = result.answer
    return replace(
        result,
        answer=None if answer is None else {name: _storable_value(value) for name, value in answer.items()},
        confidence={name: min(1.0, max(0.0, share)) for name, share in result.confidence.items()},
        raw=storable(result.raw),
        working=storable(result.working),
        error_message=storable(result.error_message),
    )


def _storable_value(value: Value) -> Value:
    if value is None or isinstance(value, str):
        return value and storable(value)
    if is_records(value):
        return [{name: cell and storable(cell) for name, cell in record.items()} for record in value]
    return [storable(str(entry)) for entry in value]


def reading_context(trained_context: int) -> int:
    """Tokens of prompt and answer that every engine reads with, by the model alone: windows lie by it, in training too.

    Args:
        trained_context: What the model's configuration says.
    """
    return min(trained_context, LONGEST_CONTEXT)


class Engine(Protocol):
    """Holds one model and one task."""

    identity: str
    """The model identity that every row carries."""
    context_length: int
    """Tokens of prompt and answer together."""
    answer_tokens: int
    """Of them, those that are kept for an answer."""

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Answers each request exactly once, in any order; takes requests as it has room for them."""
        ...

    def close(self) -> None:
        """Frees the model's memory."""
        ...
