"""An engine without a model, for tests and for measuring what the rest costs; the same text gets the same answer.

A field's value is what follows its phrase and a colon in the text, else null; a list has an entry for each such line,
records one each, with bars between the cells. Entries beyond the room of an answer are missing, and told.

`noop.json` in the artifact can name texts that make the engine die, or wait at a pipe, so that a test can act at
exactly that point, or whose first value it gets wrong, with little confidence.
"""

import json
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.engines.engine import INCOMPLETE, Request, Result
from appliance.models.manifest import read_manifest
from appliance.tasks.linecode import COLUMN_END, Answer, Record, Value, encode_value
from appliance.tasks.task import Field, Task

_CONTEXT_WORDS = 1000


class LookupEngine:
    """Answers by looking for labels."""

    def __init__(self, artifact_dir: Path, task: Task, threads: int) -> None:
        self.identity = read_manifest(artifact_dir).identity
        self.context_length, self.answer_tokens = _CONTEXT_WORDS, _CONTEXT_WORDS // 8
        self.threads = threads
        self._fields = [(field, field.phrase or field.name.replace("_", " ")) for field in task.output_fields]
        behaviour_path = artifact_dir / "noop.json"
        self._behaviour: dict[str, str] = json.loads(behaviour_path.read_text()) if behaviour_path.exists() else {}

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Answers in the order of asking, four documents in flight."""
        waiting: list[Request] = []
        for request in requests:
            waiting.append(request)
            if len(waiting) == 4:
                yield from map(self._answer_one, waiting)
                waiting = []
        yield from map(self._answer_one, waiting)

    def close(self) -> None:
        """Nothing to free."""

    def _answer_one(self, request: Request) -> Result:
        self._behave(request.text)
        words = len(request.text.split())
        if words > self.context_length:
            return Result(
                request.key, None, prompt_tokens=words, error="too_long",
                error_message=f"the document has {words} words, the context holds {self.context_length}",
            )  # fmt: skip
        answer: Answer = {field.name: _value(field, phrase, request.text) for field, phrase in self._fields}
        confidence = {name: 0.5 if value is None else 1.0 for name, value in answer.items()}
        if (misread := self._behaviour.get("misread")) and misread in request.text:
            first = self._fields[0][0]
            answer[first.name] = first.values[-1] if first.values else "misread"
            confidence[first.name] = 0.25
        missing = self._cut(answer)
        raw = "\n".join(encode_value(answer[field.name], field.column_names) for field, _ in self._fields)
        error, message = (INCOMPLETE, f"{missing} entries have no room") if missing else (None, "")
        counts = (words, len(raw.split()))
        return Result(request.key, answer, confidence, raw, *counts, error=error, error_message=message)

    def _cut(self, answer: Answer) -> int:
        """Takes the entries for which the answer has no room out of it; how many."""
        room, missing = self.answer_tokens, 0
        for name, value in answer.items():
            kept = 0
            for entry in value if isinstance(value, list) else ():
                room -= len((entry if isinstance(entry, str) else " ".join(filter(None, entry.values()))).split())
                kept += room >= 0
            if isinstance(value, list):
                missing += len(value) - kept
                answer[name] = value[:kept] or None
        return missing

    def _behave(self, text: str) -> None:
        if (kill := self._behaviour.get("kill")) and kill in text:
            os.kill(os.getpid(), signal.SIGKILL)
        if (hold := self._behaviour.get("hold")) and hold in text:
            # Opening a pipe waits for the other side: the test knows that the document is in work here.
            with open(self._behaviour["reached_pipe"], "wb"):
                pass
            with open(self._behaviour["release_pipe"], "rb") as release:
                release.read()


def _value(field: Field, phrase: str, text: str) -> Value:
    if field.values:
        return next((value for value in field.values if value.lower() in text.lower()), field.values[0])
    values = [
        value.strip()
        for label, separator, value in (line.partition(":") for line in text.splitlines())
        if separator and label.strip().lower() == phrase.lower() and value.strip()
    ]
    if field.columns:
        return [_record(field, value) for value in values] or None
    if values:
        return values if field.type == "list" else values[0]
    return text.strip().splitlines()[0] if phrase == "text" and text.strip() else None


def _record(field: Field, line: str) -> Record:
    cells = [cell.strip() or None for cell in line.split(COLUMN_END)]
    return dict(zip(field.column_names, [*cells, *[None] * len(field.columns)], strict=False))
