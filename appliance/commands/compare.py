"""`stillroom compare`: two or more models on the same documents."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.commands.shared_options import cap_option, detach_option, keep_text_option
from appliance.ground.command_group import CommandGroup
from appliance.ground.command_line import NamedPath, NumberRange, Share, json_option, with_settings, yes_option
from appliance.ground.errors import NotAllGood, UsageError
from appliance.ground.output import confirm, note, print_json, print_lines
from appliance.ground.progress_line import ProgressLine
from appliance.ground.settings import Settings
from appliance.quality.judgements import Choice
from appliance.routing.policy import Caps

if TYPE_CHECKING:
    from appliance.comparison.request import CompareRequest

_SHOWN = 20


@dataclass(frozen=True)
class ShowOptions:
    """How the figures are shown."""

    as_json: bool = False
    html_path: Path | None = None
    values: bool = True
    """Whether the report holds what documents and answers say."""
    tiers: bool = False
    """Whether to say of each side after the first whether it pays."""
    worth: float | None = None


@click.command("compare")
@click.argument("task", type=NamedPath(path_type=Path))
@click.argument("documents", type=NamedPath(path_type=Path))
@click.option(
    "--model",
    "models",
    metavar="MODEL",
    multiple=True,
    help="Identity, name or artifact folder of a local model; repeat it for each side.",
)
@click.option(
    "--frontier", "frontiers", multiple=True, metavar="NAME[:EFFORT]", help="A configured frontier as a further side."
)
@click.option(
    "--tier",
    "tiers",
    multiple=True,
    metavar="EFFORT",
    help="Effort of the frontier; repeat it to see whether a higher one is worth its price.",
)
@click.option(
    "--worth",
    type=NumberRange(min=0),
    metavar="MONEY",
    help="What one more right document is worth, for --tier.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Compare on N documents drawn at random; 0 means all.",
)
@click.option(
    "--labels", "labels_path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Labelled rows as JSON Lines, with document and answer.",
)  # fmt: skip
@click.option(
    "--margin",
    type=Share(zero=False),
    metavar="SHARE",
    help="Share by which a side may be worse and still counts as good.",
)
@click.option(
    "--price-per-hour",
    type=NumberRange(min=0),
    default=0.0,
    metavar="MONEY",
    help="Price of the machine that runs the local models.",
)
@cap_option("documents", "Cap: documents that may leave.")
@cap_option("money", "Cap: money that may be spent.")
@keep_text_option("comparison")
@click.option("--html", "html_path", type=NamedPath(dir_okay=False, path_type=Path), help="Also write a report.")
@click.option("--values/--no-values", default=True, help="Whether the report holds values from the documents.")
@click.option("--dry-run", is_flag=True, help="Print exactly what would leave, and send nothing.")
@detach_option
@json_option("the figures as one JSON object")
@with_settings
def command(
    settings: Settings,
    task: Path,
    documents: Path,
    models: tuple[str, ...],
    frontiers: tuple[str, ...],
    tiers: tuple[str, ...],
    worth: float | None,
    sample: int,
    labels_path: Path | None,
    margin: float | None,
    price_per_hour: float,
    cap_documents: int | None,
    cap_money: float | None,
    keep_text: str,
    html_path: Path | None,
    values: bool,
    dry_run: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Compare models on a folder of documents.

    TASK is a task file or folder, DOCUMENTS a folder. The first model is compared with each of the others.

    The same command again continues; all answers are kept and can be judged with `stillroom comparisons`.
    """
    from appliance.comparison.request import CompareRequest, prepare_comparison

    sides = _tiered(frontiers, tiers)
    request = CompareRequest(task, documents, models, sides, sample, labels_path, margin, price_per_hour, keep_text)
    if dry_run:
        _print_requests(settings, request)
        return
    if detach:
        from appliance.comparison.view import start_comparison

        identifier = start_comparison(settings, request)
        print_json({"comparison": identifier}) if as_json else note(f"comparison: {identifier}")
        return
    directory = prepare_comparison(settings, request)
    options = ShowOptions(as_json, html_path, values, bool(tiers), worth)
    _run(settings, directory, options, Caps(cap_documents, money=cap_money))


def _print_requests(settings: Settings, request: "CompareRequest") -> None:
    """Prints the requests of every frontier, one after the other."""
    from appliance.commands.egress_preview import print_requests, read_each
    from appliance.comparison.request import chosen_documents
    from appliance.tasks.taskfile import load_task

    if not request.frontiers:
        raise UsageError("no frontier is named, so nothing would leave", "name one with `--frontier NAME`")
    task, paths = load_task(request.task_path), [document.path for document in chosen_documents(request)]
    for named in request.frontiers:
        name, _, effort = named.partition(":")
        print_requests(settings, task, name, read_each(settings, request.documents_dir.absolute(), paths), effort)


def _tiered(frontiers: tuple[str, ...], efforts: tuple[str, ...]) -> tuple[str, ...]:
    if not efforts:
        return frontiers
    if len(frontiers) != 1:
        raise UsageError(f"--tier needs one frontier, {len(frontiers)} are named", "name it with `--frontier NAME`")
    return tuple(f"{frontiers[0]}:{effort}" for effort in efforts)


def _run(settings: Settings, directory: Path, options: ShowOptions, caps: Caps | None = None) -> None:
    """Runs the comparison and shows it, also where a cap or a dead frontier ended it."""
    from appliance.comparison.run import run_comparison

    line = ProgressLine()
    ended: NotAllGood | None = None
    try:
        run_comparison(settings, directory, line, caps)
    except NotAllGood as error:
        ended = error
    finally:
        line.end()
    _show(settings, directory.name, options)
    if ended is not None:
        raise ended


def _show(settings: Settings, identifier: str, options: ShowOptions) -> None:
    from appliance.comparison.render_text import figure_lines
    from appliance.comparison.tiers import tier_verdicts
    from appliance.comparison.view import open_comparison

    with open_comparison(settings, identifier) as view:
        figures = view.figures()
        if options.tiers:
            figures = replace(figures, tiers=tier_verdicts(figures, options.worth))
        if options.html_path is not None:
            from appliance.comparison.report import write_report

            write_report(view, figures, options.html_path, options.values)
            note(f"report: {options.html_path}")
        if options.as_json:
            print_json(figures.record())
        else:
            print_lines(*figure_lines(figures))
            note(f"comparison: {view.config.id}")


@click.group("comparisons", cls=CommandGroup)
def group() -> None:
    """List, show, judge, resume and remove comparisons."""


@group.command("list")
@json_option("one JSON object per comparison")
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List all comparisons, newest first."""
    from appliance.comparison.view import list_comparisons

    comparisons = list_comparisons(settings)
    if as_json:
        for summary in comparisons:
            print_json(asdict(summary))
        return
    if not comparisons:
        note("no comparisons yet: `stillroom compare TASK DOCUMENTS --model A --model B` makes one")
        return
    width = max(len(summary.id) for summary in comparisons)
    print_lines(f"{'COMPARISON':{width}}  {'STATE':11}  {'ANSWERED':>9}  {'DOCUMENTS':>9}  SIDES")
    for summary in comparisons:
        print_lines(
            f"{summary.id:{width}}  {summary.state:11}  {summary.answered:9,}  {summary.documents:9,}"
            f"  {', '.join(summary.sides)}"
        )


@group.command("show")
@click.argument("comparison")
@click.option("--html", "html_path", type=NamedPath(dir_okay=False, path_type=Path), help="Write a report.")
@click.option("--values/--no-values", default=True, help="Whether the report holds values from the documents.")
@json_option("the figures as one JSON object")
@with_settings
def show_command(settings: Settings, comparison: str, html_path: Path | None, values: bool, as_json: bool) -> None:
    """Show the figures of a comparison; COMPARISON is an id or its start."""
    _show(settings, comparison, ShowOptions(as_json, html_path, values))


@group.command("differing")
@click.argument("comparison")
@click.option(
    "--side", type=click.IntRange(min=1), default=1, metavar="N", help="The side that is compared with the first one."
)
@click.option("--offset", type=click.IntRange(min=0), default=0, metavar="N", help="Leave out the first N.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=_SHOWN, metavar="N", show_default=True, help="At most N documents."
)
@click.option(
    "--random", "at_random", is_flag=True, help="List in random order, so that judging a part of them is fair."
)
@json_option("one JSON object per document")
@with_settings
def differing_command(
    settings: Settings, comparison: str, side: int, offset: int, limit: int, at_random: bool, as_json: bool
) -> None:
    """List documents that are answered differently."""
    from appliance.comparison.view import open_comparison

    with open_comparison(settings, comparison) as view:
        judged = view.judged(side)
        for document in view.differing(offset, limit, side, at_random):
            choice = judged[document.path].choice.value if document.path in judged else None
            rows = [answer.row for answer in (document.answers[0], document.answers[side]) if answer is not None]
            fields = {name: [(row.fields or {}).get(name) for row in rows] for name in document.differing}
            if as_json:
                print_json({"document": document.name, "judged": choice, "fields": fields})
                continue
            print_lines(document.name + (f"  judged: {choice}" if choice else ""))
            for name, (first, second) in fields.items():
                print_lines(f"  {name}: {_value(first)} | {_value(second)}")


def _value(value: object) -> str:
    return "-" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


@group.command("judge")
@click.argument("comparison")
@click.argument("document")
@click.argument("choice", type=click.Choice([choice.value for choice in Choice], case_sensitive=False))
@click.option(
    "--side", type=click.IntRange(min=1), default=1, metavar="N", help="The side that is compared with the first one."
)
@with_settings
def judge_command(settings: Settings, comparison: str, document: str, choice: str, side: int) -> None:
    """Judge which answer to a document is right.

    A is the answer of the first side, B the other one.
    """
    from appliance.comparison.view import open_comparison

    with open_comparison(settings, comparison) as view:
        view.store(view.find(document), Choice(choice), side)


@group.command("resume")
@click.argument("comparison")
@json_option("the figures as one JSON object")
@with_settings
def resume_command(settings: Settings, comparison: str, as_json: bool) -> None:
    """Continue a comparison that was stopped."""
    from appliance.comparison.folder import comparison_dir, read_comparison

    directory = comparison_dir(settings, comparison)
    read_comparison(directory)
    _run(settings, directory, ShowOptions(as_json))


@group.command("remove")
@click.argument("comparison")
@yes_option
@with_settings
def remove_command(settings: Settings, comparison: str, yes: bool) -> None:
    """Delete a comparison with its judgements, and the jobs that answered for it alone."""
    from appliance.comparison.folder import comparison_dir, remove_comparison

    identifier = comparison_dir(settings, comparison).name
    if not yes:
        confirm(f"delete comparison {identifier} with its answers and judgements?")
    remove_comparison(settings, identifier)
    note(f"removed comparison {identifier}")
