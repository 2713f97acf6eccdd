"""Texts that are nearly the same: found exactly, without comparing all pairs.

Two texts are near duplicates when the sets of their word pairs overlap by at least `SHARE` (Jaccard). Such texts in
training and test would let a student be judged on what it has seen.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

SHARE = 0.8
_WORD = re.compile(r"\w+")

Pairs = frozenset[tuple[str, ...]]


def word_pairs(text: str) -> Pairs:
    """The pairs of neighbouring words, in lower case; a text of one word is that word."""
    words = _WORD.findall(text.lower())
    return frozenset(pairwise(words)) if len(words) > 1 else frozenset((word,) for word in words)


def near_duplicates(texts: Sequence[str], share: float = SHARE) -> list[tuple[int, int]]:
    """Numbers of the texts of each near-duplicate pair, the lower first.

    Source: Bayardo et al. 2007, Scaling Up All Pairs Similarity Search: of the rarest-first order of a set's members,
    a short prefix must contain one that the other set's prefix has too.
    """
    sets = [word_pairs(text) for text in texts]
    frequency = Counter(pair for pairs in sets for pair in pairs)
    index: dict[tuple[str, ...], list[int]] = defaultdict(list)
    duplicates = []
    for number, pairs in enumerate(sets):
        ordered = sorted(pairs, key=lambda pair: (frequency[pair], pair))
        prefix = ordered[: len(ordered) - int(share * len(ordered) - 1e-9)]
        candidates = sorted({other for pair in prefix for other in index[pair]})
        duplicates += [(other, number) for other in candidates if jaccard(sets[other], pairs) >= share]
        for pair in prefix:
            index[pair].append(number)
    return duplicates


def jaccard(first: Pairs, second: Pairs) -> float:
    """Size of the intersection by size of the union; 0 where both are empty."""
    union = len(first | second)
    return len(first & second) / union if union else 0.0
