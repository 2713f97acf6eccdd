"""One local side of a comparison."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.answering.answerer import answer_all
from appliance.answering.lease import Lease
from appliance.answering.local import open_local
from appliance.engines.engine import Request, Result
from appliance.ground.stopping import Stop
from appliance.tasks.task import Task


@dataclass(frozen=True)
class Text:
    """A document that was read."""

    id: int
    text: str
    crash_count: int
    """How many engines of this side died with it in work."""


@dataclass
class LocalSide:
    """Answers texts with one artifact; results come in any order."""

    artifact_dir: Path
    task: Task
    identity: str
    threads: int
    stop: Stop
    record_kill: Callable[[int], None]
    """Called with the document that the engine died with, before it is tried again."""
    loaded: Callable[[], None]
    """Called when the model is loaded."""

    def answer(self, texts: Iterator[Text], lease: Lease) -> Generator[Result]:
        """Answers each text once; one that kills the engine twice gets the error `engine_died`.

        Raises:
            ApplianceError: The engine cannot be opened, or dies without any document.
        """
        answerer = open_local(
            self.artifact_dir, self.task, self.identity, self.threads, lease,
            lambda key, _: self.record_kill(int(key)),
        )  # fmt: skip

        def on_progress(_: int) -> None:
            if answerer.is_ready:
                self.loaded()

        try:
            requests = (Request(str(text.id), text.text, text.crash_count) for text in texts)
            yield from answer_all(answerer, requests, on_progress, self.stop)
        finally:
            answerer.close()
