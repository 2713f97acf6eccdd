"""From a request to a comparison's folder: the documents, the right answers, and a job for each side."""

import hashlib
import heapq
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.comparison.folder import (
    FRONTIER,
    LOCAL,
    ComparisonConfig,
    LabelledDocument,
    Side,
    comparison_dirs,
    comparison_id,
    comparisons_dir,
    draw_number,
    read_comparison,
    write_comparison,
)
from appliance.documents.folder import FoundDocument, walk
from appliance.engines.frontier_config import load_frontier
from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.files import disk_errors
from appliance.ground.json_text import json_text
from appliance.ground.settings import Settings
from appliance.jobs.job import job_id, read_config
from appliance.jobs.job_plan import JobRequest, Plan, make_job, plan
from appliance.jobs.ledger import open_readonly
from appliance.jobs.locks import Purpose
from appliance.jobs.needs import add_need
from appliance.jobs.states import State
from appliance.models.manifest import utc_now
from appliance.models.selection import verify_chosen
from appliance.tasks.folder import task_file
from appliance.tasks.labels import read_answers_by_document
from appliance.tasks.task import task_hash
from appliance.tasks.taskfile import load_task

DEFAULT_MARGIN = 0.02
"""Share by which a side may be worse and still counts as good as the other, where the task names none."""


@dataclass(frozen=True)
class CompareRequest:
    """What a comparison is to be about."""

    task_path: Path
    documents_dir: Path
    models: tuple[str, ...] = ()
    """Identities, names or artifact folders of local models."""
    frontiers: tuple[str, ...] = ()
    """Configured names; `NAME:EFFORT` asks with another reasoning effort."""
    sample: int = 0
    """So many documents, drawn at random; 0 means all."""
    labels_path: Path | None = None
    margin: float | None = None
    price_per_hour: float = 0.0
    """Of the machine that runs the local models."""
    keep_text: str = "all"
    """`all` keeps the documents' text for the screens, `none` keeps none of it."""


def prepare_comparison(settings: Settings, request: CompareRequest) -> Path:
    """Makes the comparison with its jobs, or finds the one that the same request made before; gives its folder.

    Raises:
        UsageError: The request is invalid.
        ArtifactError: A local model is damaged.
    """
    task = load_task(request.task_path)
    gold = read_answers_by_document(request.labels_path, task) if request.labels_path else {}
    documents, in_folder = _draw(request.documents_dir, request.sample, set(gold))
    if not documents:
        raise UsageError(f"the folder {request.documents_dir} holds no documents", "name a folder with documents")
    labelled = [LabelledDocument(document.path, gold.get(document.name)) for document in documents]
    if gold and all(document.gold is None for document in labelled):
        raise UsageError(
            f"{request.labels_path} names none of the {in_folder} documents in {request.documents_dir}",
            f"its rows name for example {next(iter(gold))!r}, a document here is {labelled[0].name!r}",
        )
    plans = _plans(settings, request, documents)
    if not plans or (len(plans) < 2 and not gold):
        raise UsageError(
            f"a comparison needs two models or more, {'one is' if plans else 'none is'} named",
            "name two models with `--model A --model B`, or a model and a frontier with `--model A --frontier NAME`;"
            " one model alone needs right answers: `--labels FILE`",
        )
    sides = _with_unique_names([_side(settings, request, *planned) for planned in plans])
    state = [_state_of(documents), [label.gold for label in labelled]]
    margin = request.margin if request.margin is not None else task.readiness.margin
    config = ComparisonConfig(
        id=comparison_id(task.name, [task_hash(task), [side.identity for side in sides], state]),
        task_name=task.name,
        task_hash=task_hash(task),
        documents_dir=str(request.documents_dir.resolve()),
        documents=len(documents),
        folder_documents=in_folder,
        sides=sides,
        margin=DEFAULT_MARGIN if margin is None else margin,
        gold_path=str(request.labels_path.absolute()) if request.labels_path else "",
        created=utc_now(),
    )
    directory = comparisons_dir(settings) / config.id
    if directory in comparison_dirs(settings):
        read_comparison(directory)
        return directory
    with disk_errors(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    jobs = [_job(settings, request, documents, planned) for _, planned in plans]
    for job_dir, _ in jobs:
        add_need(job_dir, directory)
    sides = tuple(
        replace(side, job=job_dir.name, is_own=is_own)
        for side, (job_dir, is_own) in zip(sides, jobs, strict=True)
    )  # fmt: skip
    # The configuration comes last: before it is there, a further call starts over.
    write_comparison(directory, replace(config, sides=sides), task_file(request.task_path).read_bytes(), labelled)
    return directory


def chosen_documents(request: CompareRequest) -> list[FoundDocument]:
    """The documents that the comparison would take, in path order."""
    gold = read_answers_by_document(request.labels_path, load_task(request.task_path)) if request.labels_path else {}
    return _draw(request.documents_dir, request.sample, set(gold))[0]


def _draw(folder: Path, sample: int, golden: set[str]) -> tuple[list[FoundDocument], int]:
    """The documents in path order, and how many the folder has; a sample takes those with right answers first."""
    count = 0

    def counted() -> Iterator[FoundDocument]:
        nonlocal count
        for document in walk(folder):
            count += 1
            yield document

    if not sample:
        return list(counted()), count
    drawn = heapq.nsmallest(sample, counted(), key=lambda each: (each.name not in golden, draw_number(each.path)))
    return sorted(drawn, key=lambda each: each.path), count


def _state_of(documents: Sequence[FoundDocument]) -> str:
    """Names the documents with their sizes and times: once one changes, it is another comparison with other jobs."""
    digest = hashlib.sha256()
    for document in documents:
        facts = [os.fsdecode(document.path), document.size_bytes, document.modified_ns]
        digest.update(json_text(facts, ascii_only=True).encode())
    return digest.hexdigest()


def _plans(
    settings: Settings, request: CompareRequest, documents: Sequence[FoundDocument]
) -> list[tuple[JobRequest, Plan]]:
    """For each side the job of exactly these documents as they are now."""
    of_all = JobRequest(
        request.task_path, request.documents_dir, None, keep_text=request.keep_text, settle_seconds=0.0,
        documents=tuple(document.path for document in documents), variant=f"as of {_state_of(documents)}",
    )  # fmt: skip
    requests = [replace(of_all, model=model) for model in request.models]
    for named in request.frontiers:
        name, _, effort = named.partition(":")
        requests.append(replace(of_all, frontier=name, effort=effort))
    return [(each, plan(settings, each)) for each in requests]


def _side(settings: Settings, request: CompareRequest, of_side: JobRequest, planned: Plan) -> Side:
    config = planned.config
    if not config.frontier:
        verify_chosen(Path(config.artifact_dir), config.model)
        price = request.price_per_hour
        return Side(config.model_name, LOCAL, config.model, config.id, True, price_per_hour=price)
    frontier = load_frontier(settings, config.frontier)
    name = f"{of_side.frontier}:{of_side.effort}" if of_side.effort else of_side.frontier
    return Side(
        name, FRONTIER, config.model, config.id, True, effort=config.effort or frontier.choice.effort,
        input_price=frontier.prices.input, output_price=frontier.prices.output, currency=frontier.prices.currency,
    )  # fmt: skip


def _with_unique_names(sides: Sequence[Side]) -> tuple[Side, ...]:
    """The sides, called by name and identity where two have the same name.

    Raises:
        UsageError: Two are the same model.
    """
    if len({side.identity for side in sides}) < len(sides):
        raise UsageError("two sides are the same model", "compare a model with another one")
    names = [side.name for side in sides]
    return tuple(
        side if names.count(side.name) == 1 else replace(side, name=f"{side.name} {side.identity[:8]}")
        for side in sides
    )  # fmt: skip


def _job(
    settings: Settings, request: CompareRequest, documents: Sequence[FoundDocument], planned: Plan
) -> tuple[Path, bool]:
    """The folder of the job that answers for a side, and whether it was made for comparisons."""
    config = planned.config
    of_folder = settings.jobs_dir / job_id(
        planned.task.name, config.task_hash, config.model, Path(config.documents_dir)
    )  # fmt: skip
    with suppress(ApplianceError):
        if _has_rows_of(of_folder, documents, request.keep_text):
            return of_folder, False
    with make_job(settings, planned, Purpose.CHANGE) as lock:
        return lock.directory, True


def _has_rows_of(job_dir: Path, documents: Sequence[FoundDocument], keep_text: str) -> bool:
    """Whether the job of the whole folder is done and its rows are about these documents as they are now.

    Raises:
        ApplianceError: There is no such job, or it cannot be read.
    """
    if keep_text == "all" and read_config(job_dir).keep_text != "all":
        return False
    with open_readonly(job_dir) as reader:
        if reader.summary().state is not State.DONE or not reader.worked_seconds():
            return False
        # A file of the same size and time is the one that the row is about, as it is for the job itself.
        return set(documents) <= set(reader.documents_with_row())
