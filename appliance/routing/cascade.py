"""Who answers: the local model, and a fallback for what the local model is not sure enough of.

A field goes to the fallback where its calibrated confidence is below the threshold, where its answer does not fit the
task, or where there is no answer at all. What decides is the model's confidence and the job's configuration: nothing
that a document says can choose its route. Where the fallback does not answer, the local answer stays and a person
looks at it.
"""

from collections.abc import Mapping
from dataclasses import replace

from appliance.engines.engine import ENGINE_DIED, Request, Result
from appliance.tasks.answer_findings import answer_findings
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Task

FALLBACK_PROBLEM = "fallback_failed"
FALLBACK_UNANSWERED_PREFIX = "the fallback did not answer: "
"""What the message of a row begins with, or has after what else is wrong, where the fallback gave no answer."""
_NOT_WORTH_ASKING = frozenset({ENGINE_DIED})
"""Local failures after which a document stays here: it killed an engine, and nothing says that it is harmless."""


def fields_below(task: Task, answer: Answer | None, confidence: Mapping[str, float], threshold: float) -> list[str]:
    """The fields that go to the fallback, in the order of the task; all where there is no local answer.

    A field without a confidence counts as unsure, as does one whose confidence is no number.
    """
    names = [field.name for field in task.output_fields]
    if answer is None:
        return names
    wrong = {name for finding in answer_findings(task, answer) for name in finding.fields}
    return [name for name in names if not confidence.get(name, 0.0) >= threshold or name in wrong]


def escalation(task: Task, text: str, local: Result, threshold: float, name: str = "") -> Request | None:
    """What goes to the fallback for this document; None where the local answer stands."""
    if local.answer is None and local.error in _NOT_WORTH_ASKING:
        return None
    names = fields_below(task, local.answer, local.confidence, threshold)
    if not names:
        return None
    field_names = () if len(names) == len(task.output_fields) else tuple(names)
    return Request(local.key, text, known=local.answer or {}, field_names=field_names, name=name)


def merge(task: Task, request: Request, local: Result, remote: Result) -> Result:
    """The fallback's values in place of the local ones that it was asked for, or the local answer for a person.

    A local answer that stays for want of the fallback's has what kept the fallback from answering as its error. Tokens
    and money are those of the fallback, which are paid for; seconds are of both.
    """
    seconds = local.seconds + remote.seconds
    if remote.answer is None:
        reason = remote.error or FALLBACK_PROBLEM
        message = f"{FALLBACK_UNANSWERED_PREFIX}{remote.error_message or reason}"
        unanswered = replace(
            local, seconds=seconds, prompt_tokens=remote.prompt_tokens, completion_tokens=remote.completion_tokens,
            reasoning_tokens=remote.reasoning_tokens, money=remote.money,
        )  # fmt: skip
        if local.answer is None:
            return replace(unanswered, error_message=f"{local.error_message}; {message}".strip("; "))
        return replace(unanswered, error=reason, error_message=message)
    names = request.field_names or tuple(field.name for field in task.output_fields)
    answer: Answer = {**(local.answer or {}), **{name: remote.answer.get(name) for name in names}}
    confidence = {name: share for name, share in local.confidence.items() if name not in names}
    places = {name: start for name, start in local.window_starts.items() if name not in names}
    return replace(
        remote, answer=answer, confidence=confidence, seconds=seconds, error=None, error_message="",
        window_starts=places, escalated=list(names),
    )  # fmt: skip
