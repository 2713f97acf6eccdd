"""A gate's verdict: what it rests on, and for which files, processors and libraries it holds.

A verdict is text in a file that whoever owns the folder can write. Its seal shows mistakes: a verdict that was typed
in, changed by hand, or came with other files. It does not show forgery; what a bundle's signature covers, nobody forges
who lacks the key.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from appliance.ground.json_text import json_text
from appliance.models.manifest_json import JSON, object_of, typed_values

READY = "READY"
_WORDS = re.compile(r"READY|NOT READY|NEED [1-9]\d* MORE")
_BASES = ("teacher", "gold", "recall", "invented", "precision", "calibration")
_SHA256 = re.compile(r"[0-9a-f]{64}")
MOST_ANSWERS = 1000
"""Hashes of answers that a verdict keeps."""


@dataclass(frozen=True)
class ComputeClass:
    """On what answers are computed, as far as it can change them: rounding differs between processors and libraries."""

    processor: str = ""
    """Such as `x86-64 AVX2` or `CUDA 9.0`; `any` for an engine without arithmetic."""
    library: str = ""
    """The engine's library with its version."""
    program: int = 0
    """Version of this program's own part of an answer."""

    def __str__(self) -> str:
        library = f" with {self.library}" if self.library else ""
        return f"{self.processor}{library}, program {self.program}"


@dataclass(frozen=True)
class CarryOver:
    """A further class that answered as the first one did."""

    compute: ComputeClass
    documents: int
    """So many documents, drawn from the judged ones, were answered again, each with the same answer."""
    judged: str
    """When, in UTC."""


@dataclass(frozen=True)
class Verdict:
    """What a gate computed for exactly this artifact."""

    verdict: str
    """READY, NOT READY or NEED n MORE."""
    basis: str = ""
    """`teacher` or `gold`: what the student was compared with; `recall`, `invented` or `precision` of a field;
    `calibration` of what it says of itself."""
    estimate: float = 0.0
    low: float = 0.0
    """One-sided lower bound of the estimate."""
    threshold: float = 0.0
    """What `low` had to exceed."""
    documents: int = 0
    fields: int = 0
    labelled_sha256: str = ""
    """Of the file with the labelled rows."""
    judged: str = ""
    """When, in UTC."""
    identity: str = ""
    """Of the artifact whose answers were judged."""
    compute: ComputeClass = ComputeClass()
    """On what they were computed."""
    carried: tuple[CarryOver, ...] = ()
    answers: dict[str, str] = field(default_factory=dict)
    """Labelled row -> its answer, both as 16 digits of a hash; at most `MOST_ANSWERS` of them."""
    look: int = 1
    """How many files of labelled rows this artifact was judged on, this one with them; later looks must show more."""
    seal: str = ""
    """SHA-256 over all of the above."""

    @property
    def is_ready(self) -> bool:
        """Whether it is READY, wherever that was."""
        return self.verdict == READY

    @property
    def last_judged(self) -> str:
        """When it was found, or last carried over."""
        return max(self.judged, *(carry.judged for carry in self.carried), "")

    @property
    def classes(self) -> tuple[ComputeClass, ...]:
        """On what it holds."""
        return (self.compute, *(carry.compute for carry in self.carried))

    def is_same_as(self, other: "Verdict") -> bool:
        """Whether one gate wrote both, wherever each was carried over since."""
        return replace(self, carried=(), seal="") == replace(other, carried=(), seal="")

    def carried_with(self, other: "Verdict") -> "Verdict":
        """The verdict with the classes that either copy of it was carried over to."""
        further = tuple(carry for carry in other.carried if carry.compute not in self.classes)
        return sealed(replace(self, carried=(*self.carried, *further))) if further else self


def sealed(verdict: Verdict) -> Verdict:
    """The verdict with the seal that fits what it says."""
    return replace(verdict, seal=_seal(verdict))


def _seal(verdict: Verdict) -> str:
    values = {key: value for key, value in asdict(verdict).items() if key != "seal"}
    if verdict.look == 1:
        del values["look"]  # an earlier version wrote verdicts without it
    for key in ("estimate", "low", "threshold"):
        values[key] = float(values[key])  # a whole number stays one through a file of JSON
    return hashlib.sha256(json_text(values, ascii_only=True, compact=True, sort_keys=True).encode()).hexdigest()


def row_key(labelled_sha256: str, text: str) -> str:
    """A labelled row in a verdict: 16 digits that say nothing to who does not have the labelled file."""
    return _short_hash("row", labelled_sha256, text)


def answer_key(labelled_sha256: str, text: str, answer: Mapping[str, object] | None) -> str:
    """An answer in a verdict: without the document, nobody can try values until one fits."""
    return _short_hash("answer", labelled_sha256, text, answer)


def _short_hash(*parts: object) -> str:
    text = json_text(parts, ascii_only=True, compact=True, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def verdict_problem(verdict: Verdict, identity: str) -> str:
    """Why this is not a verdict that a gate wrote about the artifact of this identity; empty where it is one."""
    if not _WORDS.fullmatch(verdict.verdict):
        return f"{verdict.verdict[:40]!r} is no verdict"
    if not verdict.identity:
        return "it does not name the files that it is about"
    if verdict.identity != identity:
        return f"it is about model {verdict.identity[:16]!r}"
    if verdict.seal != _seal(verdict):
        return "it was changed after the gate had written it"
    numbers = (verdict.estimate, verdict.low, verdict.threshold)
    if not all(math.isfinite(number) and -1 <= number <= 1 for number in numbers) or verdict.basis not in _BASES:
        return "its numbers are not those of a gate"
    if min(verdict.look, verdict.documents) < 1 or verdict.fields < verdict.is_ready:
        return "it rests on no documents"
    if not _SHA256.fullmatch(verdict.labelled_sha256):
        return "it does not name the rows that it rests on"
    if verdict.is_ready and not verdict.low > verdict.threshold:
        return f"{verdict.verdict} does not follow from {verdict.low:.4f} against {verdict.threshold:.4f}"
    if not all(compute.processor and compute.program > 0 for compute in verdict.classes):
        return "it does not say where it was found"
    return ""


def verdict_of(values: dict[str, JSON]) -> Verdict:
    """The verdict in a manifest.

    Raises:
        TypeError: A key is unknown, or a value has the wrong type.
    """
    carried, answers = values.get("carried", []), object_of(values, "answers")
    if not isinstance(carried, list):
        raise TypeError("carried is not a list")
    if len(answers) > MOST_ANSWERS or not all(isinstance(answer, str) for answer in answers.values()):
        raise TypeError("answers does not hold what a gate keeps")
    parsed = {
        "compute": _compute(object_of(values, "compute")),
        "carried": tuple(map(_carry_over, carried)),
        "answers": answers,
    }
    return Verdict(**{**typed_values(Verdict, values), **parsed})  # type: ignore[arg-type]


def _carry_over(values: JSON) -> CarryOver:
    if not isinstance(values, dict):
        raise TypeError("carried holds something that is not an object")
    typed = typed_values(CarryOver, values)
    return CarryOver(**{**typed, "compute": _compute(object_of(values, "compute"))})  # type: ignore[arg-type]


def _compute(values: dict[str, JSON]) -> ComputeClass:
    return ComputeClass(**typed_values(ComputeClass, values))  # type: ignore[arg-type]
