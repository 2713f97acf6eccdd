"""Where the windows of a long document lie: the same for who reads a document and for who is trained on it.

A document that is too long is cut at line ends into windows that fit; those of `long = "window"` overlap, so that what
stands at an edge stands whole in one of them. Where the windows lie follows from the text and the model alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.tasks.task import LongDocumentPolicy, Task, TaskKind

MOST_WINDOWS = 500
"""Of one document: some million tokens, which take a small student an hour."""
LEAST_CHARACTERS = 64
"""A window that does not fit and is no longer than this is not cut again: it is the question that has no room."""
_TEXT_SHARE = 4
"""One part in so many of the context a window takes however long the answer may be: few answers need all their room,
and where one does, its window is cut again."""
_OVERLAP_SHARE = 4
"""Neighbours share at most one part in so many of a window, and at least a quarter of that."""

Span = tuple[int, int]
"""Start and end in a text, in characters."""


def can_window(task: Task) -> bool:
    """Whether answers to windows of a document can be made one: not where the answer is a text."""
    return task.input.long is not LongDocumentPolicy.REFUSE and task.kind is not TaskKind.GENERATE


@dataclass(frozen=True)
class WindowRules:
    """What decides how long windows are and whether they overlap."""

    task: Task
    context_length: int
    """Tokens of prompt and answer together."""
    answer_tokens: int
    """Kept for the answer: `answer_room` of the task."""

    def first(self, text: str, prompt_tokens: int) -> list[Span]:
        """The windows of a text that is too long as a whole, by the tokens that the whole took."""
        return self._spans(text, self._window_characters(len(text), prompt_tokens))

    def smaller(self, text: str, window: Span) -> list[Span]:
        """Smaller windows in the place of one that is too long; none where it cannot be cut."""
        start, end = window
        if end - start <= LEAST_CHARACTERS:
            return []
        spans = self._spans(text[start:end], (end - start) * 2 // 3)
        return [(start + first, start + last) for first, last in spans]

    def _spans(self, text: str, size: int) -> list[Span]:
        return cut(text, size, size // _OVERLAP_SHARE if self.task.input.long is LongDocumentPolicy.WINDOW else 0)

    def _window_characters(self, characters: int, prompt_tokens: int) -> int:
        """How long a window may be, by what the whole text took; less than the whole in any case."""
        room = max(self.context_length - self.answer_tokens, self.context_length // _TEXT_SHARE)
        if self.task.input.max_tokens:
            room = min(room, self.task.input.max_tokens)
        fitting = characters * room // max(1, prompt_tokens)
        return max(LEAST_CHARACTERS, min(fitting, characters * 2 // 3))


def windows_of(
    text: str, rules: WindowRules, whole_tokens: int, is_too_long: Callable[[Span], bool]
) -> list[Span] | None:
    """The windows in which a text that is too long as a whole is read, in order; None where it is not read at all.

    Args:
        whole_tokens: Tokens of the prompt with the whole text.
        is_too_long: Whether a part of the text has no room for its answer.
    """
    if len(text) <= LEAST_CHARACTERS:
        return None
    waiting = rules.first(text, whole_tokens)
    if len(waiting) > MOST_WINDOWS:
        return None
    windows: list[Span] = []
    while waiting:
        span = waiting.pop()
        if not is_too_long(span):
            windows.append(span)
            continue
        smaller = rules.smaller(text, span)
        if not smaller:
            return None
        waiting += smaller
    return sorted(windows)


def framed_pieces(ids: Sequence[int], before: Sequence[int], after: Sequence[int], room: int) -> list[list[int]]:
    """The pieces in which an encoder reads a text; neighbours share nothing.

    Args:
        ids: Token ids of the text.
        before: Ids that the tokenizer puts before each piece.
        after: Ids that it puts behind.
        room: Tokens of a piece with its frame, at most.
    """
    length = max(1, room - len(before) - len(after))
    pieces = [ids[start : start + length] for start in range(0, len(ids), length)] or [[]]
    return [[*before, *piece, *after] for piece in pieces]


def cut(text: str, size: int, overlap: int) -> list[Span]:
    """Parts of the text as (start, end), in order, that cover it; at line ends where there are some, else at blanks.

    Args:
        size: Characters of a part at most.
        overlap: Characters that two neighbours share at most; they share at least a quarter of it.
    """
    spans, start = [], 0
    while len(text) - start > size:
        end = _edge(text, start + max(1, size - size // 4), start + size)
        spans.append((start, end))
        start = max(_edge(text, end - overlap, end - overlap // 4), start + 1) if overlap else end
    return [*spans, (start, len(text))]


def _edge(text: str, least: int, most: int) -> int:
    """The last place between the two at which a line or a word ends."""
    for mark in ("\n", " "):
        at = text.rfind(mark, max(0, least - 1), most)
        if at >= 0:
            return at + 1
    # Some scripts have no blanks; there at least no number is cut in two.
    place = most
    while place > least and text[place - 1].isdigit() and text[place : place + 1].isdigit():
        place -= 1
    return place
