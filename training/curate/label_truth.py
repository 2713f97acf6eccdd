"""Is a label likely the right one? Models that never saw a document are asked how likely each label is.

The rows are divided into folds, several times. A linear model over words, word pairs and pieces of words, and where the
student is an encoder over what that encoder makes of the text too, learns from the other folds. A label is doubted
where these models are as sure of another one as they are of that one where it is given.

Source: Northcutt, Jiang and Chuang 2021, Confident learning: estimating uncertainty in dataset labels, section 3.1.
"""

import random
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.curate.doubts import WHOLE_ROW, Doubt

if TYPE_CHECKING:
    import torch

    from appliance.tasks.labels import LabelledRow

FOLDS, ROUNDS = 5, 2
LEAST_ROWS = 50
"""That the models need to say anything."""
BUCKETS = 1 << 16
"""Of the hash that features are numbered by."""
EPOCHS, RATE, LAST_RATE, DECAY = 30, 0.3, 0.05, 1e-5
"""Of the whole taught rows at once; the last rate is a share of the first."""
_WORD = re.compile(r"\w+")
_PIECE = 4
"""Characters of a piece of a word."""
VALUE, OTHER = 0.03, 0.85
"""Most probability of a label that is doubted, and least of the one in its place."""
LEAST_USUAL = 0.3
"""Mean probability of a label where it is given, below which its rows are not doubted: models that cannot find it say
more of themselves than of the teacher, as they do of rare values that long documents say in passing."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LabelJudgement:
    """What models that did not see the row think of its label; probabilities are means over the rounds."""

    share: float
    """Of the label."""
    other: str
    """The likeliest other label."""
    other_share: float
    usual: float
    """Mean probability of the other label where it is given."""
    own_usual: float
    """Mean probability of the label where it is given."""

    @property
    def is_doubted(self) -> bool:
        """Whether the models are sure that it is another label, and know the given one when they see it."""
        is_known = self.own_usual >= LEAST_USUAL
        return is_known and self.share <= VALUE and self.other_share >= max(OTHER, self.usual)


def judge_labels(
    labels: Sequence[str], texts: Sequence[str], vectors: Floats | None = None, seed: int = 0
) -> list[LabelJudgement]:
    """What models that were taught on the other texts think of each label; nothing for few texts or labels.

    Args:
        vectors: (texts, width), what an encoder makes of each text.
    """
    names = sorted(set(labels))
    if len(texts) < LEAST_ROWS or len(names) < 2:
        return []
    numbers = np.array([names.index(label) for label in labels])
    inputs = _Inputs([_features(text) for text in texts], vectors)
    shares = np.zeros((len(texts), len(names)))
    for turn in range(ROUNDS):
        order = list(range(len(texts)))
        random.Random(seed + turn).shuffle(order)
        for fold in range(FOLDS):
            held = order[fold::FOLDS]
            taught = [number for at, number in enumerate(order) if at % FOLDS != fold]
            shares[held] += _shares(inputs, numbers, taught, held, seed + turn)
    shares /= ROUNDS
    usual = np.array([shares[numbers == label, label].mean() for label in range(len(names))])
    judgements = []
    for row, label in zip(shares, numbers, strict=True):
        rest = row.copy()
        rest[label] = -1
        other = int(rest.argmax())
        known = float(usual[other]), float(usual[label])
        judgements.append(LabelJudgement(float(row[label]), names[other], float(row[other]), *known))
    return judgements


def label_doubts(
    rows: Sequence["LabelledRow"], judgements: Sequence[LabelJudgement], field: str = WHOLE_ROW
) -> dict[int, list[Doubt]]:
    """The labels of teachers that are likely wrong; a person has looked at the document.

    A value is doubted for another value only: that a document says nothing of a field cannot be told from its words,
    where a few of many say it.
    """
    doubts: dict[int, list[Doubt]] = {}
    for number, (row, each) in enumerate(zip(rows, judgements, strict=False)):
        if each.is_doubted and each.other and row.source == "teacher":
            doubts[number] = [Doubt(field, f"truth: {field or 'it'} is likelier {each.other[:40]!r}")]
    return doubts


def _features(text: str) -> tuple[NDArray[np.int64], Floats]:
    """Numbers of the words, word pairs and pieces of words of a text, and their weights; the sum of squares is 1."""
    words = _WORD.findall(text.lower())
    seen = [*words, *(f"{one} {two}" for one, two in pairwise(words))]
    for word in words:
        padded = f"<{word}>"
        seen += [f"#{padded[at : at + _PIECE]}" for at in range(max(1, len(padded) - _PIECE + 1))]
    numbers, counts = np.unique([zlib.crc32(each.encode()) % BUCKETS for each in seen] or [0], return_counts=True)
    weights = (1 + np.log(counts)).astype(np.float32)
    return numbers, weights / np.linalg.norm(weights)


@dataclass(frozen=True)
class _Inputs:
    """Texts as the linear model sees them."""

    features: Sequence[tuple[NDArray[np.int64], Floats]]
    vectors: Floats | None

    def bag(self, numbers: Sequence[int]) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
        """Features of some texts one behind the other, where each text's begin, and their weights."""
        import torch

        parts = [self.features[number] for number in numbers]
        offsets = np.cumsum([0, *(len(part[0]) for part in parts[:-1])])
        features, weights = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
        return torch.from_numpy(features), torch.from_numpy(offsets), torch.from_numpy(weights)

    def dense(self, numbers: Sequence[int]) -> "torch.Tensor":
        """(texts, width); a width of 1 without anything in it where there are no vectors."""
        import torch

        if self.vectors is None:
            return torch.zeros(len(numbers), 1)
        return torch.from_numpy(self.vectors[list(numbers)])


def _shares(
    inputs: _Inputs, labels: NDArray[np.int64], taught: Sequence[int], held: Sequence[int], seed: int
) -> NDArray[np.float64]:
    """(held, labels) probabilities by a model that learnt from the taught rows."""
    import torch

    torch.manual_seed(seed)
    classes = int(labels.max()) + 1
    more, more_held = inputs.dense(taught), inputs.dense(held)
    words = torch.nn.EmbeddingBag(BUCKETS, classes, mode="sum")
    dense = torch.nn.Linear(more.shape[1], classes)
    for weights in (words.weight, dense.weight, dense.bias):
        torch.nn.init.zeros_(weights)

    def logits(bag: tuple[torch.Tensor, torch.Tensor, torch.Tensor], vectors: torch.Tensor) -> torch.Tensor:
        numbers, offsets, feature_weights = bag
        result: torch.Tensor = words(numbers, offsets, per_sample_weights=feature_weights) + dense(vectors)
        return result

    optimizer = torch.optim.Adam([*words.parameters(), *dense.parameters()], RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, LAST_RATE, EPOCHS)
    target, bag = torch.from_numpy(labels[list(taught)]), inputs.bag(taught)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits(bag, more), target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.inference_mode():
        return logits(inputs.bag(held), more_held).softmax(-1).double().numpy()
