"""A teacher asked in batches: half the price, answers within a day; the same call later looks whether they came."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from appliance.answering.frontier_batch import ENDED, PREPARED, Batch, FrontierBatches, read_batch
from appliance.documents.folder import document_name, walk
from appliance.documents.sandbox import read_files
from appliance.engines.engine import Request
from appliance.engines.frontier import frontier_identity
from appliance.engines.frontier_errors import FrontierFailure
from appliance.ground.errors import NotAllGood
from appliance.ground.progress import OnProgress, ignore_progress
from appliance.ground.settings import Settings
from appliance.routing.egress import EgressOptions, checked, with_options
from training.answers_file import alone, known_documents
from training.collect_budget import caps_left, run_name, spent
from training.collect_live import LiveOutcome, LiveRequest, check_licence, collect_paid
from training.soft_labels import Soft, request_options

FOLDER = "batches"


@dataclass
class BatchState:
    """How far the batches of a task folder are."""

    batches: list[Batch] = field(default_factory=list)
    ended: str = ""
    """What ended the preparing of further ones, such as the budget."""
    withheld: int = 0
    """Documents that policy or masking kept back."""

    @property
    def is_finished(self) -> bool:
        """Whether every batch has ended."""
        return all(batch.state == ENDED for batch in self.batches)

    def lines(self) -> list[str]:
        """For a terminal."""
        lines = [batch.line() for batch in self.batches]
        if self.withheld:
            lines.append(f"{self.withheld:,} documents are not sent: policy or masking keeps them back")
        return [*lines, self.ended] if self.ended else lines

    def record(self) -> dict[str, object]:
        """For JSON, without the single requests."""
        batches = [{**asdict(batch), "requests": len(batch.requests)} for batch in self.batches]
        return {"batches": batches, "ended": self.ended, "finished": self.is_finished}


def collect_batch(
    settings: Settings, request: LiveRequest, on_progress: OnProgress = ignore_progress
) -> tuple[BatchState, LiveOutcome | None]:
    """Sends what has no answer yet in a batch, or looks at the one that was sent; rows are made once it has ended.

    Raises:
        UsageError: Frontier, policy or folder do not allow it, its licence is not known, or another call is at work.
        NotAllGood: The server failed; what had come is kept, and the same call goes on.
    """
    config, _ = checked(settings, request.task, request.teacher, request.system_dir)
    check_licence(config, request.accepts_unknown_licence)
    with alone(request.folder):
        run = run_name(request.folder, request.task)
        caps = caps_left(request.task, spent(settings, run), request.caps)
        soft = Soft.VOTES if request.soft.samples > 1 else Soft.OFF
        options = request_options(EgressOptions(True, run, caps, request.system_dir), soft, request.soft)
        directory = request.folder.answers_path.with_name(FOLDER)
        directory.mkdir(mode=0o700, exist_ok=True)
        batches = FrontierBatches(settings, request.task, request.teacher, options)
        try:
            state = _worked(batches, directory, _open_requests(request, frontier_identity(
                with_options(config, options), request.task)))  # fmt: skip
        except FrontierFailure as failure:
            raise NotAllGood(
                f"the batch interface of {config.name} failed: {failure.message}", "the same call later goes on"
            ) from failure
        finally:
            batches.close()
        outcome = collect_paid(settings, request, config, on_progress) if state.is_finished else None
    return state, outcome


def _worked(batches: FrontierBatches, directory: Path, requests: Iterator[Request]) -> BatchState:
    """Looks at the batches that there are; where all have ended, prepares and sends one of what is left."""
    state = BatchState()
    paths = sorted(directory.glob("*.json"))
    for path in paths:
        batch = read_batch(path)
        if batch.state == PREPARED:
            batch = batches.send(path, batch)
        elif batch.state != ENDED:
            batch = batches.poll(path, batch)
        state.batches.append(batch)
    if state.is_finished:
        path = directory / f"{len(paths) + 1:04}.json"
        batch_or_none = batches.prepare(path, requests)
        if batch_or_none is not None:
            state.batches.append(batches.send(path, batch_or_none))
        state.ended, state.withheld = batches.ended, len(batches.withheld)
    return state


def _open_requests(request: LiveRequest, identity: str) -> Iterator[Request]:
    known = known_documents(request.folder.answers_path, identity)
    paths = [found.path for found in walk(request.documents_dir)]
    for number, (path, reply) in enumerate(read_files(request.documents_dir, paths, request.limits)):
        if reply.sha256 in known or reply.problem is not None or not reply.text.strip():
            continue
        samples = range(1, request.soft.samples + 1) if request.soft.samples > 1 else (0,)
        for sample in samples:
            yield Request(f"{number}#{sample}", reply.text, name=document_name(path), sample=sample)
