"""How many tokens a task's answer takes, by the task and the tokenizer alone."""

from typing import TYPE_CHECKING

from appliance.tasks.prompt import field_prefix_segments, join_ids, working_prefix_segments
from appliance.tasks.task import Task, TaskKind

if TYPE_CHECKING:
    from appliance.engines.tokenizer import FileTokenizer

VALUE_TOKENS = 48
"""Kept for a value; one that takes more finds room where the document is short, or in a longer slot."""
_LONG_VALUE_TOKENS = 4 * VALUE_TOKENS
"""For a list."""
_RECORDS_SHARE = 1.0
"""Tokens of records for each token of a document that is nothing but their table; an answer that takes more is cut, and
the window that it is about is read again in smaller ones."""
_TEXT_TOKENS = 1024
"""For a text that the student writes."""


def forced_tokens(task: Task, tokenizer: "FileTokenizer") -> int:
    """Tokens of an answer whose fields are all empty."""
    spec, template = task.prompt_spec(), tokenizer.template
    segments = [part for index in range(len(spec.phrases)) for part in field_prefix_segments(spec, template, index)]
    if spec.working:
        segments += working_prefix_segments(template)
    ends = len(spec.phrases) * len(tokenizer.encode(template.line, True))
    return len(join_ids(segments, tokenizer.encode)) + ends


def answer_room(task: Task, tokenizer: "FileTokenizer", document_tokens: int | None = None) -> int:
    """Tokens to keep for an answer; of a task with records by the tokens of the document, whose lines it repeats.

    Args:
        document_tokens: None for a document of no length.
    """
    if task.kind is TaskKind.GENERATE:
        values = _TEXT_TOKENS
    else:
        values = sum(_LONG_VALUE_TOKENS if field.is_several else VALUE_TOKENS for field in task.output_fields)
    share = _RECORDS_SHARE if has_records(task) else 0.0
    return forced_tokens(task, tokenizer) + task.student.working + values + int(share * (document_tokens or 0))


def longest_answer_room(task: Task, tokenizer: "FileTokenizer", context_length: int) -> int:
    """Tokens to keep for the answer to the longest document whose answer has room beside it."""
    fixed = answer_room(task, tokenizer)
    if not has_records(task):
        return fixed
    return fixed + int(max(0, context_length - fixed) * _RECORDS_SHARE / (1 + _RECORDS_SHARE))


def has_records(task: Task) -> bool:
    """Whether an answer is longer where the document is."""
    return any(field.columns for field in task.output_fields)
