"""The slots of one llama.cpp context: how many and how long they are follows the documents, within one memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.engines.llama.model import LlamaContext, LlamaModel, Logits, Row
from appliance.models.slot_plan import Layout, SlotPlan

_SHORT_DOCUMENTS = 8
"""So many documents in a row that would do with shorter slots bring these back."""


@dataclass(frozen=True)
class NextToken:
    """A token that a slot goes on with."""

    slot: int
    position: int
    token: int


class Slots:
    """Computes tokens of slots that all hold the same prefix.

    llama.cpp computes a row in the same way whatever other rows hold, but in other ways for few rows than for many:
    each pass has full blocks of them, with tokens that are forgotten at once where no document needs one.
    """

    def __init__(self, model: LlamaModel, plan: SlotPlan, prefix: Sequence[int], block: int, threads: int) -> None:
        """Reserves the memory.

        Args:
            prefix: Tokens that all documents begin with.
            block: Rows that a pass must have a multiple of.
            threads: Of the computation.

        Raises:
            DecodingError: There is not enough memory.
        """
        self._model, self._plan, self._prefix, self._block, self._threads = model, plan, prefix, block, threads
        self._context: LlamaContext | None = None
        self._short_documents = 0
        self._open(plan.layouts[0])

    @property
    def count(self) -> int:
        """Documents at once."""
        return self._layout.slots

    @property
    def tokens(self) -> int:
        """Tokens of prompt and answer that one slot has room for."""
        return self._layout.tokens

    def fits(self, tokens: int) -> bool:
        """Whether a document of so many tokens is begun with these slots; else it waits until all of them are free."""
        if tokens > self.tokens:
            return False
        is_short = self._plan.layout(tokens).slots > self.count
        self._short_documents = self._short_documents + 1 if is_short else 0
        return self._short_documents < _SHORT_DOCUMENTS

    def arrange(self, tokens: int) -> None:
        """Makes slots for a document of so many tokens, as many as there may be; what they held is forgotten."""
        layout = self._plan.layout(tokens)
        if layout != self._layout:
            self._open(layout)
        self._short_documents = 0

    def begin(self, slot: int, ids: Sequence[int]) -> Logits:
        """Computes tokens that follow the prefix in a slot; logits of the last one, (vocab_size,)."""
        self._opened.keep(slot, self._prefix_tokens[slot])
        if not self._prefix_tokens[slot]:
            self._compute(slot, 0, self._prefix)
            self._prefix_tokens[slot] = len(self._prefix)
        last: Logits = self._compute(slot, len(self._prefix), ids)[0]
        return last

    def advance(self, tokens: Sequence[NextToken]) -> list[Logits]:
        """Computes one token of each of these slots; logits of each, (vocab_size,), overwritten by the next call."""
        by_slot = {each.slot: each for each in tokens}
        idle = set(range(self.count)) - by_slot.keys() if self._width > 1 else companions(set(by_slot), self._block)
        filling = [0] * (self._width - 1)
        rows = [Row(each.slot, each.position, [each.token, *filling], self._width) for each in tokens]
        for slot in idle:
            self._opened.keep(slot, self._prefix_tokens[slot])
            rows.append(Row(slot, self._prefix_tokens[slot], [0, *filling], self._width))
        rows.sort(key=lambda row: row.slot)
        # Logits of every row, those that nobody needs too, so that the output matrix sees full blocks as well.
        logits = self._opened.feed(rows)
        if filling:
            for each in tokens:
                self._opened.keep(each.slot, each.position + 1)
        place = {row.slot: number * self._width for number, row in enumerate(rows)}
        return [logits[place[each.slot]] for each in tokens]

    def close(self) -> None:
        """Frees the memory; the model stays."""
        if self._context is not None:
            self._context.close()
            self._context = None

    @property
    def _opened(self) -> LlamaContext:
        assert self._context is not None, "the slots were closed"
        return self._context

    def _open(self, layout: Layout) -> None:
        self.close()  # before the next one is reserved: together they would take twice the memory
        self._layout = layout
        width = 1
        while layout.slots * width % self._block:
            width += 1
        self._width = width
        self._prefix_tokens = [0] * layout.slots
        """Tokens of the prefix in each slot: none before its first document."""
        self._context = LlamaContext(self._model, layout.slots, layout.reserved, self._threads, width)

    def _compute(self, slot: int, position: int, ids: Sequence[int]) -> Logits:
        """Computes tokens of one slot; logits of the last one, (1, vocab_size)."""
        step = self._opened.batch_tokens
        logits = self._opened.feed([])
        for start in range(0, len(ids), step):
            part = ids[start : start + step]
            is_last = start + step >= len(ids)
            logits = self._opened.feed([Row(slot, position + start, part, int(is_last))])
        return logits


def companions(slots: set[int], block: int) -> set[int]:
    """Slots to compute beside those in use, so that every block is full."""
    blocks = {slot // block for slot in slots}
    return {first * block + place for first in blocks for place in range(block)} - slots
