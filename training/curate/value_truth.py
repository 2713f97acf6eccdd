"""Is a value likely the right one? Taggers that never saw a row are asked how likely its answer is.

The rows are divided into folds, several times. A tagger that learnt from the other folds gives each value that stands
in the document a probability, and says where it would look for the field instead. Values that are not copied are judged
where the documents nearly always say their words. A value is doubted where the models are sure of something else: of
another stretch for the field, of a longer or shorter one, or that the words are another field's value; and where words
beside it, of which the answer has nothing, are surely some value's. That they know nothing of a value is no reason:
names that nobody has seen before are like that. A field that they cannot learn from these rows is not judged: their
doubts would say more of them than of the teacher.

Source: Northcutt, Jiang and Chuang 2021, Confident learning: estimating uncertainty in dataset labels, section 3: out
of sample probabilities, and a doubt where another answer is as probable as that answer is where it is given.
"""

import math
import random
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from appliance.tasks.alignment import anchored, loose_places
from appliance.tasks.linecode import is_records
from appliance.tasks.values import find_spans, plain
from training.curate.doubts import Doubt
from training.curate.tagger import Span, Tagger, Taught, Words, spans_of

if TYPE_CHECKING:
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.linecode import Value
    from appliance.tasks.task import Field, Task

FOLDS, MOST_ROUNDS = 5, 3
MOST_WORDS = 60_000
"""That all rounds together teach: of long or many documents one round takes as long as three of short ones, and what
thousands of values say needs no second opinion."""
LEAST_ROWS, LEAST_VALUES = 30, 10
"""That the models need to say anything, and of them with a field's value to say anything of the field."""
LEAST_IN_TEXT = 0.9
"""Share of a field's values whose words the documents say, for what is not copied: of others nothing can be said."""
LEAST_USUAL = 0.1
"""Median share of a field's values, below which the models do not judge it."""
_END_MARKS = re.compile(r"^[\W_]+|[\W_]+$")
_NEAR = 3
"""Words beside a value among which the next one is that is no mark."""


class Why(StrEnum):
    """What the models are surer of than of the value."""

    ELSEWHERE = "elsewhere"
    """Another stretch of the document."""
    LONGER = "longer"
    """One around it."""
    SHORTER = "shorter"
    """One within it, or moved by some words."""
    CLAIMED = "claimed"
    """That these words are another field's value."""
    MISSING = "missing"
    """That there is a value."""


@dataclass(frozen=True)
class Judgement:
    """What models that did not see the row think of one of its values; probabilities are means over the rounds."""

    share: float
    """Of the value; of a list or of records of the least probable of its texts; of no value that there is none."""
    others: Mapping[Why, tuple[float, str]] = field(default_factory=dict)
    """Why -> probability of the likeliest other answer of this kind, and its text or the other field."""
    beside: tuple[float, str] = (0.0, "")
    """How likely a word beside the value, of which no value of the row has anything, is some value's; and that word."""

    def features(self, usual: float, has_value: bool) -> list[float]:
        """What `WEIGHTS` weigh: how unlikely the value is, and how much likelier the other answers are.

        An answer that is less likely than the value says nothing for it: only what is above it counts.

        Args:
            usual: Median share of the field's values.
        """
        own = _log_odds(self.share)
        above = [max(0.0, _log_odds(self.others.get(why, (0.0, ""))[0]) - own) for why in Why]
        beside = max(0.0, _log_odds(self.beside[0]))
        return [1.0, max(0.0, -own) if has_value else 0.0, *above, beside, usual, float(has_value)]

    def log_odds(self, usual: float, has_value: bool) -> float:
        """Of the value being wrong."""
        return sum(w * x for w, x in zip(WEIGHTS, self.features(usual, has_value), strict=True))


def _log_odds(share: float) -> float:
    bounded = min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE)
    return math.log(bounded / (1 - bounded))


_LEAST_SHARE = 1e-4
"""What is less likely than that is no less likely: probabilities this small are of the taggers' own making."""
WEIGHTS = (-4.778, 0.308, 0.451, 0.316, -0.013, 0.063, 0.633, 0.269, -0.481, -0.278)
"""Of `Judgement.features`: log odds of a mistake, fitted by `benchmarks/curation_fit.py` on half of the sets."""
BOUND = -1.43
"""Log odds from which a value is doubted: on those sets eight right values in a thousand are."""


Judgements = Mapping[tuple[int, str], Judgement]
"""Number of the row and field -> what was thought."""


@dataclass(frozen=True)
class _Cut:
    """A row as the tagger has it."""

    taught: Taught
    given: Mapping[str, Sequence[Sequence[Span]]]
    """Tag -> of each text of the value the places where it stands."""
    asked: frozenset[str]
    """Fields whose value, or lack of one, is judged in this row."""

    def has(self, span: Span) -> bool:
        """Whether a value of the row has something of this stretch."""
        return any(_touch(span, place) for texts in self.given.values() for spans in texts for place in spans)


@dataclass
class _Votes:
    """Of one tag in one row, over the rounds."""

    share: float = 0.0
    own: defaultdict[Span, float] = field(default_factory=lambda: defaultdict(float))
    """Stretches that taggers take for a value of this tag, with the sum of their probabilities."""
    claims: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """The same of other tags, for stretches that touch the value."""
    beside: defaultdict[Span, float] = field(default_factory=lambda: defaultdict(float))
    """Words beside the value that no value of the row has, with how likely they are some value's."""


def judge_values(task: "Task", rows: Sequence["LabelledRow"], seed: int = 0) -> Judgements:
    """What models that were taught on the other rows think of the literal values."""
    fields = learnable_fields(task, rows)
    if not fields or len(rows) < LEAST_ROWS:
        return {}
    cut = [_cut(fields, row) for row in rows]
    tags = {tag: each.name for each in fields for tag in _tags(each)}
    votes: defaultdict[tuple[int, str], _Votes] = defaultdict(_Votes)
    rounds = _rounds(cut)
    for turn in range(rounds):
        order = list(range(len(rows)))
        random.Random(seed + turn).shuffle(order)
        for fold in range(FOLDS):
            tagger = Tagger([cut[number].taught for at, number in enumerate(order) if at % FOLDS != fold])
            for number in order[fold::FOLDS]:
                asked = [tag for tag, name in tags.items() if name in cut[number].asked]
                _vote(tagger, cut[number], {tag: votes[number, tag] for tag in asked}, 1 / rounds)
    found: dict[tuple[int, str], Judgement] = {}
    for (number, tag), cast in votes.items():
        judgement = _judgement(cast, cut[number], tag, rows[number].text)
        key = number, tags[tag]
        # Of records the column that speaks most against them.
        if key not in found or judgement.share < found[key].share:
            found[key] = judgement
    return found


def usual_shares(judgements: Judgements, rows: Sequence["LabelledRow"]) -> dict[str, float]:
    """Field -> median share of its values, for the fields that the models can learn from these rows.

    Where most of a field's values are unlikely to the models, their doubts say more of them than of the teacher.
    """
    by_field: defaultdict[str, list[float]] = defaultdict(list)
    for (number, name), judgement in judgements.items():
        if rows[number].answer.get(name):
            by_field[name].append(judgement.share)
    medians = {name: statistics.median(shares) for name, shares in by_field.items() if len(shares) >= LEAST_VALUES}
    return {name: median for name, median in medians.items() if median >= LEAST_USUAL}


def value_doubts(judgements: Judgements, rows: Sequence["LabelledRow"]) -> dict[int, list[Doubt]]:
    """The values of teachers that are likely wrong; a person has looked at the page."""
    usual = usual_shares(judgements, rows)
    doubts: dict[int, list[Doubt]] = {}
    for (number, name), judgement in judgements.items():
        if name not in usual or rows[number].source != "teacher":
            continue
        if judgement.log_odds(usual[name], bool(rows[number].answer.get(name))) >= BOUND:
            doubts.setdefault(number, []).append(Doubt(name, f"truth: {_sentence(name, judgement)}"))
    return doubts


def _sentence(name: str, judgement: Judgement) -> str:
    """Why a value is doubted, and what is likelier."""
    likeliest = max(judgement.others.items(), key=lambda entry: entry[1][0], default=None)
    if likeliest is None:
        word = judgement.beside[1]
        return f"{name} likely takes in {word!r} too" if word else f"{name} has what no other row would call so"
    why, (_, text) = likeliest
    if why is Why.CLAIMED:
        return f"{name} has what is likelier the value of {text}"
    if why is Why.MISSING:
        return f"{name} is null, but {text[:40]!r} is likely its value"
    return f"{name} is likelier {text[:40]!r}"


def _tags(field: "Field") -> list[str]:
    """What words of the field's values are tagged with: of records one tag for each column."""
    return [f"{field.name}.{column.name}" for column in field.columns if column.evidence == "literal"] or [field.name]


def _texts(field: "Field", value: "Value") -> Iterator[tuple[str, "Field", str]]:
    """Tag, field or column, and text of each part of a value."""
    if is_records(value):
        for column in field.columns:
            if column.evidence == "literal":
                for record in value:
                    if cell := record.get(column.name):
                        yield f"{field.name}.{column.name}", column, cell
        return
    for text in [value] if isinstance(value, str) else map(str, value or ()):
        if text.strip():
            yield field.name, field, text


def _cut(fields: Sequence["Field"], row: "LabelledRow") -> _Cut:
    given: defaultdict[str, list[list[Span]]] = defaultdict(list)
    asked = []
    for each in fields:
        if each.name in row.untrusted:
            continue
        found = [(tag, _places(part, text, row.text)) for tag, part, text in _texts(each, row.answer.get(each.name))]
        if each.evidence == "derived" and not all(places for _, places in found):
            continue  # what the document says in other words has no place
        asked.append(each.name)
        for tag, texts in found:
            given[tag] += texts
    places = {tag: [spans[0] for spans in texts if spans] for tag, texts in given.items()}
    return _Cut(Taught(Words.of(row.text), places), given, frozenset(asked))


def _places(field: "Field", text: str, document: str) -> list[list[Span]]:
    """Of each part of a text the places where it stands: what is copied is one part, which may stand nowhere."""
    if spans := find_spans(text, document):
        return [spans]
    if field.evidence == "derived":
        return [[span] for span in loose_places(text, document)]
    anchor = anchored(field, text, document)
    return [[(anchor.start, anchor.end)] if anchor else []]


def learnable_fields(task: "Task", rows: Sequence["LabelledRow"]) -> list["Field"]:
    """The fields that a tagger can learn: those that are copied, and others whose words are nearly always there."""
    return [
        each
        for each in task.output_fields
        if not each.is_choice
        and (each.evidence == "literal" or (not each.columns and _share_in_text(each, rows) >= LEAST_IN_TEXT))
    ]


def _share_in_text(field: "Field", rows: Sequence["LabelledRow"]) -> float:
    said = [_is_in_text(field, row) for row in rows if row.answer.get(field.name)]
    return sum(said) / len(said) if len(said) >= LEAST_ROWS else 0.0


def _is_in_text(field: "Field", row: "LabelledRow") -> bool:
    return all(_places(part, text, row.text) for _, part, text in _texts(field, row.answer.get(field.name)))


def values_not_in_text(task: "Task", rows: Sequence["LabelledRow"]) -> dict[int, list[Doubt]]:
    """Values in words that the document does not say, where it nearly always says those of the field's values."""
    doubts: dict[int, list[Doubt]] = {}
    for each in learnable_fields(task, rows):
        for number, row in enumerate(rows):
            is_judged = each.evidence == "derived" and row.source == "teacher" and each.name not in row.untrusted
            if is_judged and not _is_in_text(each, row):
                doubt = Doubt(each.name, f"truth: the text does not say this {each.name}")
                doubts.setdefault(number, []).append(doubt)
    return doubts


def _rounds(cut: Sequence[_Cut]) -> int:
    words = sum(len(each.taught.words.spans) for each in cut)
    return max(1, min(MOST_ROUNDS, MOST_WORDS // max(1, words)))


def _vote(tagger: Tagger, cut: _Cut, votes: Mapping[str, _Votes], weight: float) -> None:
    """Adds what one tagger thinks of one row, tag by tag."""
    words = cut.taught.words
    own = spans_of(words, tagger.read(words))
    likely = [(tag, span, tagger.likelihood(tag, span)) for tag, spans in own.items() for span in spans]
    for tag, cast in votes.items():
        given = cut.given.get(tag, ())
        mine = [share for other, _, share in likely if other == tag]
        if given:
            shares = [max((tagger.likelihood(tag, span) for span in spans), default=0.0) for spans in given]
            cast.share += min(shares) * weight
        else:
            cast.share += (1 - max(mine, default=0.0)) * weight
        for number in {number for spans in given if spans for number in _neighbours(cut, spans[0])}:
            cast.beside[words.spans[number]] += tagger.likelihood_of_some(number) * weight
        firsts = [spans[0] for spans in given if spans]
        for other, span, share in likely:
            if other == tag:
                cast.own[span] += share * weight
            elif any(_touch(span, first) for first in firsts):
                cast.claims[other] += share * weight


def _neighbours(cut: _Cut, span: Span) -> Iterator[int]:
    """The next word before and behind a value, marks passed over, where no value of the row has it."""
    words, inside = cut.taught.words, cut.taught.words.inside(span)
    for numbers in (range(inside.start - 1, -1, -1), range(inside.stop, len(words.spans))):
        near = next((number for number in numbers[:_NEAR] if number not in words.marks), None)
        if near is not None and not cut.has(words.spans[near]):
            yield near


def _judgement(cast: _Votes, cut: _Cut, tag: str, text: str) -> Judgement:
    given = cut.given.get(tag, ())
    places = [span for spans in given for span in spans]
    said = {_without_marks(text[slice(*span)]) for span in places}
    others: dict[Why, tuple[float, str]] = {}
    for span, share in cast.own.items():
        # Elsewhere the document may say the same; marks at the ends are no other value.
        if span in places or _without_marks(text[slice(*span)]) in said:
            continue
        why = Why.MISSING if not given else _relation(span, places)
        # A list says several things: that there is another one does not make these wrong.
        if why is not Why.ELSEWHERE or len(given) == 1:
            others[why] = max(others.get(why, (0.0, "")), (share, " ".join(text[slice(*span)].split())))
    if cast.claims:
        claimant, share = max(cast.claims.items(), key=lambda entry: (entry[1], entry[0]))
        others[Why.CLAIMED] = share, claimant
    word, share = max(cast.beside.items(), key=lambda entry: entry[1], default=((0, 0), 0.0))
    return Judgement(cast.share, others, (share, text[slice(*word)]))


def _without_marks(text: str) -> str:
    """What a stretch says, whatever marks it begins and ends with."""
    folded = plain(text)
    return _END_MARKS.sub("", folded) or folded


def _relation(span: Span, places: Sequence[Span]) -> Why:
    """How another stretch lies to the places of a value."""
    near = [place for place in places if _touch(span, place)]
    if not near:
        return Why.ELSEWHERE
    return Why.LONGER if any(span[0] <= place[0] and place[1] <= span[1] for place in near) else Why.SHORTER


def _touch(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]
