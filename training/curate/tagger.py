"""Which words of a document are which field's value: a linear-chain random field, taught by rows in seconds.

It is no student and answers nobody: it is taught on most of the rows and asked how likely the values of the others are.
"""

import re
import tempfile
import unicodedata
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Span = tuple[int, int]
"""Start and end in characters."""
OUTSIDE = "O"
_MARK = "[\u0300-\u036f]"
"""Accents that stand apart from their letters."""
_FRACTION = "\u00bc-\u00be\u2150-\u215e"
_LETTER = rf"[^\W\d_{_FRACTION}]"
_WORD = re.compile(rf"\d+(?:[.,]\d+)*|{_LETTER}(?:{_LETTER}|{_MARK})*|[{_FRACTION}]|[^\w\s]|_")
_LABEL_WORDS = 2
"""Words at the start of a line that may be its label."""
_FAR = 3
"""Words to the left that are seen one by one; to the right one fewer."""
_SETTINGS = {"c1": 0.05, "c2": 0.02, "max_iterations": 60, "feature.possible_transitions": False}


@dataclass(frozen=True)
class Words:
    """A text cut into words, each with what a random field sees of it."""

    spans: tuple[Span, ...]
    features: list[list[str]]
    marks: frozenset[int]
    """Numbers of those that are marks, such as a comma."""

    @classmethod
    def of(cls, text: str) -> "Words":
        """Words, numbers and marks of a text."""
        found = list(_WORD.finditer(text))
        words = [word.group() for word in found]
        marks = frozenset(number for number, word in enumerate(words) if not any(map(str.isalnum, word)))
        return cls(tuple(word.span() for word in found), _features(text, words, found), marks)

    def inside(self, span: Span) -> range:
        """The words that a stretch of the text touches, but for marks at its ends: people take some, or none."""
        first = bisect_left(self.spans, span[0], key=lambda word: word[1] - 1)
        last = bisect_left(self.spans, span[1], key=lambda word: word[0])
        whole = [number for number in range(first, last) if number not in self.marks]
        return range(whole[0], whole[-1] + 1) if whole else range(first, last)


def _shape(word: str) -> str:
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_A-Z]+", "a", re.sub(r"[A-Z]+", "A", word)))


def _features(text: str, words: Sequence[str], found: "Sequence[re.Match[str]]") -> list[list[str]]:
    """Of each word: itself, its shape and ends, its neighbours, its place on the line, and how the line begins."""
    line_ends = [match.start() for match in re.finditer("\n", text)]
    lines = [bisect_left(line_ends, word.start()) for word in found]
    words = [word if word.isascii() else unicodedata.normalize("NFKC", word) for word in words]
    lower, shapes = [word.lower() for word in words], [_shape(word) for word in words]
    first: dict[int, int] = {}
    for number, line in enumerate(lines):
        first.setdefault(line, number)
    kept = sorted(first)
    above = {line: kept[at - 1] if at else None for at, line in enumerate(kept)}
    features = []
    for number, (line, word) in enumerate(zip(lines, lower, strict=True)):
        begins = first[line]
        seen = [f"w={word}", f"s={shapes[number]}", f"p={word[:3]}", f"e={word[-3:]}", f"n={min(len(word), 8)}"]
        seen += ["begins"] if number == begins else []
        seen += ["ends"] if number + 1 == len(lower) or lines[number + 1] != line else []
        seen.append(f"at={min(number - begins, 6)}")
        for away in range(-_FAR, _FAR):
            other = number + away
            if not away:
                continue
            if not 0 <= other < len(lower):
                seen.append(f"{away}:none")
                continue
            side = "" if lines[other] == line else "/"
            seen.append(f"{away}:{side}w={lower[other]}")
            seen += [f"{away}:{side}s={shapes[other]}"] if abs(away) == 1 else []
        seen += [f"b={lower[number - 1]}|{word}"] if number else []
        seen += [f"f={word}|{lower[number + 1]}"] if number + 1 < len(lower) else []
        seen.append("line=" + " ".join(lower[begins : begins + _LABEL_WORDS]))
        if (over := above[line]) is not None:
            seen.append("above=" + " ".join(lower[first[over] : first[over] + _LABEL_WORDS]))
        features.append(seen)
    return features


@dataclass(frozen=True)
class Taught:
    """A document with the places of its values."""

    words: Words
    places: Mapping[str, Sequence[Span]]
    """Field -> stretches that are its values; of several places of one value the first."""

    def labels(self) -> list[str]:
        """`B-` and a field where a value begins, `I-` inside, `L-` at its last word, `U-` where it has one word only.

        Longer values come first where two overlap. That a last word is told apart is what finds values that were cut:
        few end with *of*, or with half of a name.
        """
        labels = [OUTSIDE] * len(self.words.spans)
        spans = [(name, span) for name, spans in self.places.items() for span in spans]
        for name, span in sorted(spans, key=lambda pair: pair[1][0] - pair[1][1]):
            inside = self.words.inside(span)
            if inside and all(labels[number] == OUTSIDE for number in inside):
                for number, place in zip(inside, _label_places(len(inside)), strict=True):
                    labels[number] = f"{place}-{name}"
        return labels


def _label_places(words: int) -> str:
    """Of each word of a value, which of them it is."""
    return "U" if words == 1 else f"B{'I' * (words - 2)}L"


class Tagger:
    """A random field that was taught."""

    def __init__(self, taught: Sequence[Taught]) -> None:
        import pycrfsuite

        trainer = pycrfsuite.Trainer(verbose=False)
        trainer.set_params(_SETTINGS)
        for document in taught:
            trainer.append(document.words.features, document.labels())
        self._tagger: Any = pycrfsuite.Tagger()
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "model")
            trainer.train(path)
            self._model = Path(path).read_bytes()  # the library reads it where it lies
        self._tagger.open_inmemory(self._model)
        self._known = frozenset(self._tagger.labels())
        self._words: Words | None = None

    def read(self, words: Words) -> list[str]:
        """The likeliest label of each word; questions that follow are about these words."""
        self._words = words
        self._tagger.set(words.features)
        return list(self._tagger.tag())

    def _share(self, number: int, label: str) -> float:
        assert self._words is not None
        if label not in self._known or not 0 <= number < len(self._words.spans):
            return 0.0
        return float(self._tagger.marginal(label, number))

    def likelihood(self, name: str, span: Span) -> float:
        """How likely a stretch of the text is one whole value of the field: 0 to 1."""
        assert self._words is not None
        inside = self._words.inside(span)
        if not inside:
            return 0.0
        places = zip(inside, _label_places(len(inside)), strict=True)
        return min(self._share(number, f"{place}-{name}") for number, place in places)

    def likelihood_of_some(self, number: int) -> float:
        """How likely a word is a part of any field's value: 0 to 1."""
        return 1 - self._share(number, OUTSIDE) if OUTSIDE in self._known else 1.0


def spans_of(words: Words, labels: Sequence[str]) -> dict[str, list[Span]]:
    """Field -> stretches that labels say are its values."""
    found: dict[str, list[Span]] = {}
    before = OUTSIDE
    for (start, end), label in zip(words.spans, labels, strict=True):
        name = label[2:]
        if label != OUTSIDE:
            spans = found.setdefault(name, [])
            if label[0] in "IL" and before[0] in "BI" and before[2:] == name:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        before = label
    return found
