"""What a request to a frontier holds: the bytes that leave for one document, and the identity of who answers them.

Sending, and trying again, is `appliance/answering/frontier.py`, behind the gate of `appliance/routing/egress.py`.
"""

import hashlib
from dataclasses import dataclass, field

from appliance.engines.engine import Request
from appliance.engines.frontier_config import FrontierConfig
from appliance.ground.json_text import json_text
from appliance.tasks.chat import CHAT_VERSION, chat_messages, chat_schema
from appliance.tasks.task import Task, task_hash


class Withheld(Exception):
    """The gate lets nothing of this document go, or nothing of its answer in.

    Args:
        name: Error class, such as `cap_money`.
        ends: Whether nothing more goes out after it.
    """

    def __init__(self, name: str, message: str, *, ends: bool = False) -> None:
        super().__init__(message)
        self.name, self.message, self.ends = name, message, ends


@dataclass(frozen=True)
class Cleared:
    """A document as it may leave."""

    text: str
    restored_by: dict[str, str]
    """Placeholder -> what it stands for."""
    masked: dict[str, int] = field(default_factory=dict)
    """How many places of each kind were masked."""


def request_body(config: FrontierConfig, task: Task, request: Request, cleared: Cleared) -> bytes:
    """The bytes of the request: nothing but these leaves, the key apart."""
    field_names = request.field_names
    choice = config.choice
    values: dict[str, object] = {
        "model": choice.model,
        "messages": chat_messages(task, cleared.text, field_names, bool(cleared.restored_by)),
        choice.token_parameter: choice.max_answer_tokens,
    }
    if choice.structured == "json_schema":
        schema = {"name": task.name, "strict": True, "schema": chat_schema(task, field_names)}
        values["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif choice.structured == "json_object":
        values["response_format"] = {"type": "json_object"}
    if effort := (choice.effort_when_off if config.is_off else choice.effort):
        values["reasoning_effort"] = effort
    if choice.temperature is not None:
        values["temperature"] = choice.temperature
    if choice.top_logprobs:
        values |= {"logprobs": True, "top_logprobs": choice.top_logprobs}
    if request.sample:
        # Another request for the same document: what was paid for one is not taken for the other.
        values["seed"] = request.sample
    # Unpaired surrogates, which a document can hold, become question marks: UTF-8 has none.
    return json_text(values, compact=True).encode("utf-8", "replace")


def frontier_identity(config: FrontierConfig, task: Task) -> str:
    """The model identity of a frontier: everything that changes what it is asked and who answers."""
    choice = config.choice
    parts = {
        "url": config.endpoint.url, "model": choice.model, "effort": choice.effort, "off": choice.effort_when_off,
        "structured": choice.structured, "temperature": choice.temperature, "answer": choice.max_answer_tokens,
        "chat": CHAT_VERSION, "task": task_hash(task),
    }  # fmt: skip
    if choice.top_logprobs:
        parts["top_logprobs"] = choice.top_logprobs
    return hashlib.sha256(json_text(parts, sort_keys=True, compact=True, ascii_only=True).encode()).hexdigest()
