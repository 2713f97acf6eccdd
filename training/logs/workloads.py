"""What traffic is about: exchanges grouped by what was asked, ranked by what a student of their own would save.

A workload is worth distilling where it is narrow (its answers have one form, or are few different ones), frequent and
costly. Its documents are what differs between its messages: the beginning and the end that all of them share is the
prompt.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from training.logs.exchanges import Exchange

HEAD_LETTERS = 80
LEAST_SHARED = 3
"""Messages with the same first line, from which that line is taken for a part of the prompt."""
LEAST_SHARE = 0.01
MOST_LABELS, LABEL_LETTERS = 100, 60
"""A closed set of answers has at most so many, none of them longer."""
DAYS_A_MONTH = 30.4
SECONDS_A_DAY = 86400
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Workload:
    """Exchanges with one prompt."""

    exchanges: tuple[Exchange, ...]
    documents: tuple[str, ...]
    """What differs between them, one for each."""
    kind: str
    """`extract`, `classify` or `generate`, as its answers look."""
    names: tuple[str, ...]
    """Keys of most answers, or labels."""
    narrow: float
    """Share of the answers that have this form."""
    a_month: float | None
    """Exchanges a month; None where the log has no times."""
    money_a_month: float | None
    tokens: int
    """Of all exchanges."""

    @property
    def prompt(self) -> str:
        """How it begins, on one line."""
        first = self.exchanges[0]
        return " ".join((first.system or first.user).split())[:HEAD_LETTERS]

    @property
    def worth(self) -> float:
        """By which workloads are ranked: money a month, or tokens where that is not known, of what is narrow."""
        return self.narrow * (self.money_a_month if self.money_a_month is not None else self.tokens)

    def record(self) -> dict[str, object]:
        """For JSON."""
        return {
            "prompt": self.prompt, "kind": self.kind, "names": list(self.names), "exchanges": len(self.exchanges),
            "narrow": round(self.narrow, 4), "a_month": self.a_month, "money_a_month": self.money_a_month,
            "tokens": self.tokens, "models": sorted({each.model for each in self.exchanges}),
        }  # fmt: skip


def workloads(exchanges: Sequence[Exchange]) -> list[Workload]:
    """The workloads of a log, the one most worth distilling first; those with a known price before the others."""
    heads = Counter((_masked(each.system), _head(each)) for each in exchanges)
    by_system = Counter(_masked(each.system) for each in exchanges)
    groups: defaultdict[tuple[str, str], list[Exchange]] = defaultdict(list)
    for each in exchanges:
        system, head = _masked(each.system), _head(each)
        shared = max(LEAST_SHARED, math.ceil(LEAST_SHARE * by_system[system]))
        groups[system, head if heads[system, head] >= shared else ""].append(each)
    found = [_workload(some) for some in groups.values()]
    return sorted(found, key=lambda each: (each.money_a_month is None, -each.worth, each.prompt))


def _masked(text: str) -> str:
    return _DIGITS.sub("0", " ".join(text.split()))


def _head(exchange: Exchange) -> str:
    """The first line of what was sent, without its numbers."""
    return _masked(exchange.user.lstrip().partition("\n")[0])[:HEAD_LETTERS]


def _workload(exchanges: list[Exchange]) -> Workload:
    documents = _documents([each.user for each in exchanges])
    kind, names, narrow = _form([each.answer for each in exchanges])
    moments = [each.moment for each in exchanges if each.moment is not None]
    a_month = money_a_month = None
    money = [each.money for each in exchanges if each.money is not None]
    if len(moments) == len(exchanges) and len(moments) > 1:
        days = max(1.0, (max(moments) - min(moments)) / SECONDS_A_DAY)
        a_month = len(exchanges) / days * DAYS_A_MONTH
        money_a_month = sum(money) / len(money) * a_month if money else None
    return Workload(
        tuple(exchanges), tuple(documents), kind, names, narrow, a_month, money_a_month,
        sum(each.prompt_tokens + each.completion_tokens for each in exchanges),
    )  # fmt: skip


def _documents(messages: Sequence[str]) -> list[str]:
    """What differs: the messages without the words that all begin or end with."""
    if len(messages) < LEAST_SHARED or len(set(messages)) < LEAST_SHARED:
        return list(messages)
    before = _to_boundary(_beginning(messages))
    rest = [message[len(before) :] for message in messages]
    behind = _to_boundary(_beginning([text[::-1] for text in rest]))
    return [text[: len(text) - len(behind)] if behind else text for text in rest]


def _beginning(texts: Sequence[str]) -> str:
    """What all begin with: no more than the first and the last of them in their order."""
    first, last = min(texts), max(texts)
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:length]


def _to_boundary(shared: str) -> str:
    """What is shared, up to the last end of a line in it: a first word that all documents have is theirs."""
    end = shared.rfind("\n")
    return shared[: end + 1] if end >= 0 else ""


def _form(answers: Sequence[str]) -> tuple[str, tuple[str, ...], float]:
    """Kind of the answers, their keys or labels, and the share that has this form."""
    objects = [_object(answer) for answer in answers]
    keys = Counter(tuple(sorted(each)) for each in objects if each)
    if keys:
        most = max(keys.items(), key=lambda entry: (entry[1], entry[0]))[0]
        fitting = sum(count for names, count in keys.items() if set(names) <= set(most))
        if fitting >= len(answers) / 2:
            first = next(each for each in objects if tuple(sorted(each)) == most)
            return "extract", tuple(first), fitting / len(answers)
    short = Counter(" ".join(answer.split()) for answer in answers if len(answer.strip()) <= LABEL_LETTERS)
    repeated = {label: count for label, count in short.items() if count > 1}
    if repeated and len(repeated) <= MOST_LABELS and sum(repeated.values()) >= len(answers) / 2:
        return "classify", tuple(sorted(repeated)), sum(repeated.values()) / len(answers)
    # Texts of any length have no form that a short look shows.
    lengths = sorted(len(answer) for answer in answers)
    usual = lengths[len(lengths) // 2]
    alike = sum(usual / 3 <= length <= usual * 3 for length in lengths)
    return "generate", (), 0.5 * alike / len(answers)


def _object(answer: str) -> dict[str, object]:
    """The JSON object that an answer is, fences and all; an empty one where it is none."""
    start, end = answer.find("{"), answer.rfind("}")
    if start < 0 or end < start:
        return {}
    try:
        value = json.loads(answer[start : end + 1])
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
