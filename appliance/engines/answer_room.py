"""How many tokens a task's answer takes, by the task and the tokenizer alone."""

from typing import TYPE_CHECKING

from appliance.tasks.prompt import field_prefix_segments, join_ids, working_prefix_segments
from appliance.tasks.task import FieldType, Task, TaskKind

if TYPE_CHECKING:
    from appliance.engines.tokenizer import FileTokenizer

VALUE_TOKENS = 48
"""Kept for a value; one that takes more finds room where the document is short, or in a longer slot."""
_LONG_VALUE_TOKENS = 4 * VALUE_TOKENS
"""For a list."""
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


def answer_room(task: Task, tokenizer: "FileTokenizer") -> int:
    """Tokens to keep for an answer."""
    if task.kind is TaskKind.GENERATE:
        values = _TEXT_TOKENS
    else:
        values = sum(
            _LONG_VALUE_TOKENS if field.type is FieldType.LIST else VALUE_TOKENS for field in task.output_fields
        )
    return forced_tokens(task, tokenizer) + task.student.working + values
