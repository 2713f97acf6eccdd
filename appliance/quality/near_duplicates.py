"""Texts that are nearly the same: found exactly, without comparing all pairs.

Two texts are near duplicates when the sets of their word pairs overlap by at least `SHARE` (Jaccard). Such texts in
training and test would let a student be judged on what it has seen.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

SHARE = 0.8
_UNPARTED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Scripts that write no blanks between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese."""
_WORD = re.compile(rf"[{_UNPARTED}]|[^\W{_UNPARTED}]+")
_UNSEEN = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")

Pairs = frozenset[tuple[str, ...]]


def word_pairs(text: str) -> Pairs:
    """The pairs of neighbouring words, in lower case; a text of one word is that word.

    Where a script does not part words, each character counts as one.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", _UNSEEN.sub("", text))
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
