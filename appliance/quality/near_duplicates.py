"""Texts that are nearly the same: found exactly, without comparing all pairs.

Two texts are near duplicates when the sets of their word pairs overlap by at least `SHARE` (Jaccard). Such texts in
training and test would let a student be judged on what it has seen.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
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

    Where a script does not part words, each character counts as one; so it does in a text without any word.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", _UNSEEN.sub("", text))
    words = _WORD.findall(text.lower()) or "".join(text.split())
    return frozenset(pairwise(words)) if len(words) > 1 else frozenset((word,) for word in words)


def clusters(texts: Sequence[str], share: float = SHARE, known: Iterable[Sequence[int]] = ()) -> list[int]:
    """For each text the number of the first one that it is nearly the same as, over others in between.

    Texts of one template are many pairs and one cluster: what is in one already is not compared again.

    Args:
        known: Groups of numbers of texts that belong together whatever their words.

    Source: Bayardo et al. 2007, Scaling Up All Pairs Similarity Search: of the rarest-first order of a set's members,
    a short prefix must contain one that the other set's prefix has too.
    """
    joined = _Joined(len(texts))
    for group in known:
        for number in group[1:]:
            joined.join(group[0], number)
    sets = _numbered_sets(texts)
    index: dict[int, dict[int, list[int]]] = defaultdict(dict)
    for number, members in enumerate(sets):
        prefix = _prefix(members, share)
        compared: set[int] = set()
        for member in prefix:
            groups = index[member]
            joined.regroup(groups)
            for root, others in groups.items():
                if root == joined.root(number):
                    continue
                for other in others:
                    if other not in compared and _overlap(sets[other], members) >= share:
                        joined.join(other, number)
                        break
                    compared.add(other)
        for member in prefix:
            index[member].setdefault(joined.root(number), []).append(number)
    return [joined.root(number) for number in range(len(texts))]


def near_ones(texts: Sequence[str], others: Sequence[str], share: float = SHARE) -> Iterator[Iterator[int]]:
    """For each text the numbers of the other texts that it is nearly the same as, found as they are asked for."""
    sets = _numbered_sets([*others, *texts])
    index: dict[int, list[int]] = defaultdict(list)
    for number, members in enumerate(sets[: len(others)]):
        for member in _prefix(members, share):
            index[member].append(number)

    def near(members: frozenset[int]) -> Iterator[int]:
        compared: set[int] = set()
        for member in _prefix(members, share):
            for other in index.get(member, ()):
                if other not in compared and _overlap(sets[other], members) >= share:
                    yield other
                compared.add(other)

    return (near(members) for members in sets[len(others) :])


def _numbered_sets(texts: Sequence[str]) -> list[frozenset[int]]:
    """The word pairs of each text as numbers, the rarest pair of all texts the lowest."""
    sets = [word_pairs(text) for text in texts]
    frequency = Counter(pair for pairs in sets for pair in pairs)
    numbers = {pair: number for number, pair in enumerate(sorted(frequency, key=lambda pair: (frequency[pair], pair)))}
    return [frozenset(numbers[pair] for pair in pairs) for pairs in sets]


def _prefix(members: frozenset[int], share: float) -> list[int]:
    return sorted(members)[: len(members) - int(share * len(members) - 1e-9)]


def _overlap(first: frozenset[int], second: frozenset[int]) -> float:
    """Size of the intersection by size of the union; of two sets that are not empty."""
    common = len(first & second)
    return common / (len(first) + len(second) - common)


class _Joined:
    """Numbers that were joined to groups; a group's root is the lowest of them."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, number: int) -> int:
        parents = self._parents
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    def join(self, first: int, second: int) -> None:
        low, high = sorted((self.root(first), self.root(second)))
        self._parents[high] = low

    def regroup(self, groups: dict[int, list[int]]) -> None:
        """Puts numbers whose groups were joined since under one root, the shorter list into the longer."""
        for former in [root for root in groups if self.root(root) != root]:
            root, numbers = self.root(former), groups.pop(former)
            shorter, longer = sorted((numbers, groups.get(root, [])), key=len)
            longer.extend(shorter)
            groups[root] = longer
