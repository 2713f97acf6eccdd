"""From what was asked to a comparison's folder: the sides, the documents, the right answers; all checked at once."""

import hashlib
import heapq
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.comparison.answers_writer import AnswersWriter, NewDocument
from appliance.comparison.folder import (
    FRONTIER,
    LOCAL,
    ComparisonConfig,
    Side,
    comparison_dirs,
    comparison_id,
    comparisons_dir,
    held,
    make_comparison_dir,
    read_comparison,
)
from appliance.documents.folder import FoundDocument, walk
from appliance.ground.errors import UsageError
from appliance.ground.settings import Settings
from appliance.models.manifest import utc_now, verify_artifact
from appliance.models.selection import choose_model
from appliance.tasks.folder import task_file
from appliance.tasks.labels import read_answers_by_document
from appliance.tasks.task import task_hash
from appliance.tasks.taskfile import load_task

if TYPE_CHECKING:
    from appliance.tasks.task import Task

DEFAULT_MARGIN = 0.02
"""Share by which a side may be worse and still counts as good as the other, where the task names none."""
_BATCH = 1000


@dataclass(frozen=True)
class CompareRequest:
    """What `stillroom compare` was asked."""

    task_path: Path
    documents_dir: Path
    models: tuple[str, ...] = ()
    """Identities, names or artifact folders of local models."""
    frontiers: tuple[str, ...] = ()
    """Configured names; `NAME:EFFORT` asks with another reasoning effort."""
    sample: int = 0
    """So many documents, drawn at random; 0 means all."""
    gold_path: Path | None = None
    margin: float | None = None
    price_per_hour: float = 0.0
    """Of the machine that runs the local models."""
    keep_text: str = "all"


def prepare_comparison(settings: Settings, request: CompareRequest) -> Path:
    """Makes the comparison, or finds the one that the same request made before; gives its folder.

    Raises:
        UsageError: The request is invalid.
        ArtifactError: A local model is damaged.
    """
    task = load_task(request.task_path)
    sides = _sides(settings, task, request)
    gold = read_answers_by_document(request.gold_path, task) if request.gold_path else {}
    documents, in_folder = _choose(request.documents_dir, request.sample, set(gold))
    if not documents:
        raise UsageError(f"the folder {request.documents_dir} holds no documents", "name a folder with documents")
    chosen = [NewDocument(found.path, found.name, _lot(found.path), gold.get(found.name)) for found in documents]
    if gold and not any(document.gold is not None for document in chosen):
        raise UsageError(
            f"{request.gold_path} names none of the {in_folder} documents in {request.documents_dir}",
            f"its rows say for example {next(iter(gold))!r}, a document here is {chosen[0].name!r}",
        )
    margin = request.margin if request.margin is not None else task.readiness.margin
    config = ComparisonConfig(
        id=_id(task, sides, documents, chosen),
        task_name=task.name,
        task_hash=task_hash(task),
        documents_dir=str(request.documents_dir.resolve()),
        documents=len(chosen),
        folder_documents=in_folder,
        sides=sides,
        margin=DEFAULT_MARGIN if margin is None else margin,
        gold_path=str(request.gold_path.absolute()) if request.gold_path else "",
        keep_text=request.keep_text,
        created=utc_now(),
    )
    return _make(settings, config, task_file(request.task_path).read_bytes(), chosen)


def chosen_documents(request: CompareRequest) -> list[FoundDocument]:
    """The documents that the comparison would take, in path order."""
    gold = read_answers_by_document(request.gold_path, load_task(request.task_path)) if request.gold_path else {}
    return _choose(request.documents_dir, request.sample, set(gold))[0]


def _make(settings: Settings, config: ComparisonConfig, task_text: bytes, chosen: list[NewDocument]) -> Path:
    directory = comparisons_dir(settings) / config.id
    if directory in comparison_dirs(settings):
        read_comparison(directory)
        return directory
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with held(directory):
        writer = AnswersWriter(directory)
        try:
            for start in range(0, len(chosen), _BATCH):
                writer.add_documents(chosen[start : start + _BATCH])
        finally:
            writer.close()
        # The configuration comes last: before it is there, a further call starts over.
        return make_comparison_dir(settings, config, task_text)


def _sides(settings: Settings, task: "Task", request: CompareRequest) -> tuple[Side, ...]:
    sides = [_local_side(settings, task, model, request.price_per_hour) for model in request.models]
    sides += [_frontier_side(settings, task, name) for name in request.frontiers]
    if len(sides) < 2:
        raise UsageError(
            f"{len(sides)} of the two or more sides of a comparison are named",
            "name two models with `--model A --model B`, or a model and a frontier with `--model A --frontier NAME`",
        )
    if len({side.identity for side in sides}) < len(sides):
        raise UsageError("two sides are the same model", "compare a model with another one")
    names = [side.name for side in sides]
    return tuple(
        side if names.count(side.name) == 1 else _renamed(side, f"{side.name} {side.identity[:8]}") for side in sides
    )


def _renamed(side: Side, name: str) -> Side:
    from dataclasses import replace

    return replace(side, name=name)


def _local_side(settings: Settings, task: "Task", model: str, price_per_hour: float) -> Side:
    directory, manifest = choose_model(settings, task, model)
    verify_artifact(directory)
    return Side(
        manifest.name, LOCAL, manifest.identity, artifact_dir=str(directory), price_per_hour=price_per_hour
    )  # fmt: skip


def _frontier_side(settings: Settings, task: "Task", named: str) -> Side:
    from appliance.comparison.frontier_side import configured
    from appliance.engines.frontier import frontier_identity

    name, _, effort = named.partition(":")
    config = configured(settings, name, effort or None)
    return Side(
        named, FRONTIER, frontier_identity(config, task), frontier=name, effort=effort or config.choice.effort,
        input_price=config.prices.input, output_price=config.prices.output, currency=config.prices.currency,
    )  # fmt: skip


def _lot(path: bytes) -> int:
    """A number that looks random and only depends on the path: 62 bits, as SQLite's integers are signed."""
    return int.from_bytes(hashlib.sha256(path).digest()[:8]) >> 2


def _choose(folder: Path, sample: int, golden: set[str]) -> tuple[list[FoundDocument], int]:
    """The documents in path order, and how many the folder has; a sample takes those with right answers first."""
    count = 0

    def counted() -> Iterator[FoundDocument]:
        nonlocal count
        for document in walk(folder):
            count += 1
            yield document

    if not sample:
        return list(counted()), count
    drawn = heapq.nsmallest(sample, counted(), key=lambda found: (found.name not in golden, _lot(found.path)))
    return sorted(drawn, key=lambda found: found.path), count


def _id(task: "Task", sides: tuple[Side, ...], documents: list[FoundDocument], chosen: list[NewDocument]) -> str:
    folder = hashlib.sha256()
    for found, document in zip(documents, chosen, strict=True):
        facts = [os.fsdecode(found.path), found.size_bytes, found.modified_ns, document.gold]
        folder.update(json.dumps(facts).encode())
    return comparison_id(task.name, [task_hash(task), [side.identity for side in sides], folder.hexdigest()])
