"""Documents that are longer than the model's context: read in windows, and the windows' answers made one.

It stands between who asks and any engine. Where the windows of a document lie that the engine finds too long says
`windows.py`; it follows from the text and the model alone, so the same document always has the same answer.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from appliance.engines.engine import INCOMPLETE, TOO_LONG, Engine, Request, Result, checked_result
from appliance.engines.window_joining import Window, join
from appliance.engines.windows import LEAST_CHARACTERS, MOST_WINDOWS, Span, WindowRules
from appliance.tasks.task import Task

_WINDOW_KEY = "\0window"


@dataclass
class _Reading:
    """One document that is read in windows."""

    request: Request
    refused: Result
    """The engine's refusal of the whole text."""
    waiting: int = 0
    answered: list[Window] = field(default_factory=list)
    failed: Result | None = None
    incomplete: Result | None = None
    """Of a window that cannot be cut and whose answer lacks entries."""


@dataclass(frozen=True)
class _PendingWindow:
    """A window that the engine has, or will have."""

    reading: _Reading
    start: int
    end: int


class WindowedEngine:
    """An engine to which no document is too long; others pass as they are."""

    def __init__(self, engine: Engine, task: Task, on_window: Callable[[], None]) -> None:
        """Takes the engine over.

        Args:
            on_window: Called after each window: a long document may keep an engine silent for an hour.
        """
        self.identity = engine.identity
        self.context_length, self.answer_tokens = engine.context_length, engine.answer_tokens
        self._engine, self._task, self._on_window = engine, task, on_window
        self._rules = WindowRules(task, engine.context_length, engine.answer_tokens)
        self._texts: dict[str, Request] = {}
        """What the engine has of whole documents."""
        self._pending: dict[str, _PendingWindow] = {}
        self._waiting: deque[str] = deque()
        """Keys of windows that the engine has not taken yet."""
        self._numbered = 0

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Answers each request exactly once, in any order."""
        source = iter(requests)
        while True:
            for result in map(checked_result, self._engine.answer(self._feed(source))):
                if result.key in self._pending:
                    yield from self._window_arrived(self._pending.pop(result.key), result)
                else:
                    yield from self._whole_arrived(self._texts.pop(result.key), result)
            if not self._waiting:
                return

    def close(self) -> None:
        """Frees the model's memory."""
        self._engine.close()

    def _feed(self, source: Iterator[Request]) -> Iterator[Request]:
        """Windows before whole documents: a document that was begun is finished first."""
        while True:
            if self._waiting:
                key = self._waiting.popleft()
                window = self._pending[key]
                yield Request(key, window.reading.request.text[window.start : window.end])
                continue
            request = next(source, None)
            if request is None:
                return
            self._texts[request.key] = request
            yield request

    def _whole_arrived(self, request: Request, result: Result) -> Iterator[Result]:
        if result.error not in (TOO_LONG, INCOMPLETE):
            yield result
            return
        if len(request.text) <= LEAST_CHARACTERS:
            yield result
            return
        spans = self._rules.first(request.text, result.prompt_tokens)
        if len(spans) > MOST_WINDOWS:
            yield _with_reason(result, f"{len(spans):,} windows would be needed, at most {MOST_WINDOWS} are read")
            return
        self._add_windows(_Reading(request, result), spans)

    def _add_windows(self, reading: _Reading, spans: list[Span]) -> None:
        for start, end in spans:
            key = f"{_WINDOW_KEY} {self._numbered}"
            self._numbered += 1
            self._pending[key] = _PendingWindow(reading, start, end)
            self._waiting.append(key)
        reading.waiting += len(spans)

    def _window_arrived(self, window: _PendingWindow, result: Result) -> Iterator[Result]:
        self._on_window()
        reading, smaller = window.reading, list[Span]()
        reading.waiting -= 1
        if result.error in (TOO_LONG, INCOMPLETE) and reading.failed is None:
            smaller = self._rules.smaller(reading.request.text, (window.start, window.end))
        if smaller:
            self._add_windows(reading, smaller)
            result = replace(result, answer=None)  # what it has of it, the smaller windows have as well
        elif result.error == INCOMPLETE:
            reading.incomplete = result
        elif result.error is not None and reading.failed is None:
            reading.failed = result
            self._forget_waiting(reading)
        reading.answered.append(Window(window.start, window.end, result))
        if not reading.waiting:
            yield self._joined(reading)

    def _forget_waiting(self, reading: _Reading) -> None:
        """A document with one window that has no answer has none; what the engine has still comes back."""
        dropped = [key for key in self._waiting if self._pending[key].reading is reading]
        for key in dropped:
            self._waiting.remove(key)
            del self._pending[key]
        reading.waiting -= len(dropped)

    def _joined(self, reading: _Reading) -> Result:
        windows = sorted(reading.answered, key=lambda window: (window.start, window.end))
        answered = [window for window in windows if window.result.answer is not None]
        if reading.failed is not None:
            failed = _with_reason(reading.failed, "in one of its windows")
            joined = replace(failed, answer=None, confidence={})
        else:
            joined = join(self._task, reading.request.text, answered)
            if reading.incomplete is not None:
                message = _with_reason(reading.incomplete, "in one of its windows").error_message
                joined = replace(joined, error=INCOMPLETE, error_message=message)
        results = [reading.refused, *(window.result for window in windows)]
        workings = [window.result.working for window in answered]
        return replace(
            joined,
            key=reading.request.key,
            raw=_by_window([window.result.raw for window in answered]),
            working=_by_window(workings) if any(workings) else "",
            # What was found too long was only counted, not computed.
            prompt_tokens=sum(result.prompt_tokens for result in results if result.error != TOO_LONG),
            completion_tokens=sum(result.completion_tokens for result in results),
            seconds=sum(result.seconds for result in results),
        )


def _by_window(texts: list[str]) -> str:
    """What the windows of a document wrote, each below a line that says which window it is."""
    return "\n".join(f"[window {number} of {len(texts)}]\n{text}" for number, text in enumerate(texts, 1))


def _with_reason(result: Result, reason: str) -> Result:
    return replace(result, error_message="; ".join(part for part in (result.error_message, reason) if part))
