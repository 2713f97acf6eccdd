"""How much of its keys and values an engine keeps, and among how many documents it shares them.

The memory is the same whatever the documents are, and is reserved before the first of them: many short documents share
it, or few long ones. Only the longest that the task allows must find room in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.tasks.task import TaskKind

if TYPE_CHECKING:
    from appliance.tasks.task import Task

LONGEST_CONTEXT = 8192
"""Tokens of prompt and answer together that an engine reads at most, whatever the model was trained for."""
PASS_TOKENS = 512
"""Tokens that one pass computes together; more need more scratch memory and gain nothing on a CPU."""
MOST_SLOTS = 8
"""Documents in flight; more cost memory and gain little on few cores."""
KEY_VALUE_BYTES = 256_000_000
"""For keys and values, where one document needs no more; of a large model a quarter of what its weights take."""
PADDING = 8
"""Tokens of a slot that no document gets: they fill up a pass, and are forgotten after it."""
_QUESTION_TOKENS, _FIELD_TOKENS, _TEXT_TOKENS = 512, 128, 1024
"""Beside a document: instruction, question and answer of a field, a text that is written."""
_BLOCK = 256
"""llama.cpp keeps memory in blocks of so many tokens."""


@dataclass(frozen=True)
class Layout:
    """So many documents at once, each with room for so many tokens of prompt and answer."""

    slots: int
    tokens: int

    @property
    def reserved(self) -> int:
        """Tokens that are reserved for one slot."""
        return whole_blocks(self.tokens + PADDING)


@dataclass(frozen=True)
class SlotPlan:
    """The layouts among which an engine chooses by the documents that it has."""

    layouts: tuple[Layout, ...]
    """The most slots first; each next one has fewer and longer ones."""
    token_bytes: int
    """Keys and values of one token."""

    @property
    def size_bytes(self) -> int:
        """Of keys and values, in the largest of the layouts."""
        return max(layout.slots * layout.reserved for layout in self.layouts) * self.token_bytes

    def layout(self, tokens: int) -> Layout:
        """The one with the most slots that hold so many tokens; where none does, one slot that does."""
        return next((layout for layout in self.layouts if layout.tokens >= tokens), Layout(1, tokens))


def longest_document(task: "Task", context_length: int) -> int:
    """Tokens of prompt and answer to keep for one document, by what the task allows; a longer one is read all the same.

    Args:
        context_length: Tokens of both that the engine reads.
    """
    if not task.input.max_tokens:
        return context_length
    beside = _QUESTION_TOKENS + _FIELD_TOKENS * len(task.output_fields) + task.student.working
    return min(context_length, task.input.max_tokens + beside + _TEXT_TOKENS * (task.kind is TaskKind.GENERATE))


def plan_slots(longest: int, token_bytes: int, weight_bytes: int, most_slots: int = MOST_SLOTS) -> SlotPlan:
    """By the model and the task alone.

    Args:
        longest: Tokens of prompt and answer together that one document may have.
        token_bytes: Keys and values of one token.
        weight_bytes: Of the model's file.
    """
    whole = Layout(1, longest).reserved
    budget = max(KEY_VALUE_BYTES, weight_bytes // 4)
    kept = min(most_slots, max(1, budget // (whole * token_bytes)))
    layouts: list[Layout] = []
    slots = most_slots
    while slots >= 1:
        tokens = min(longest, kept * whole // slots // _BLOCK * _BLOCK - PADDING)
        if tokens > 0 and not (layouts and tokens <= layouts[-1].tokens):
            layouts.append(Layout(slots, tokens))
        slots //= 2
    return SlotPlan(tuple(layouts), token_bytes)


def key_value_bytes(number: Callable[[str], int | None]) -> int:
    """Keys and values of one token in float16, by the numbers in the head of a GGUF file.

    Layers that see a window only count in full: what all documents share must stay, which a window would forget.

    Args:
        number: The value of a key, without the architecture before it; None where the file has none.
    """
    heads = number("attention.head_count") or 1
    size = (number("embedding_length") or heads) // heads
    keys, values = number("attention.key_length") or size, number("attention.value_length") or size
    return 2 * (number("block_count") or 1) * (number("attention.head_count_kv") or heads) * (keys + values)


def whole_blocks(tokens: int) -> int:
    """So many tokens in whole blocks."""
    return -(-tokens // _BLOCK) * _BLOCK
