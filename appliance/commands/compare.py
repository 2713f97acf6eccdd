"""`stillroom compare`: two or more models on the same documents."""

import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.comparison.folder import comparison_dir, read_comparison, remove_comparison
from appliance.ground.errors import NotAllGood, UsageError
from appliance.ground.settings import Settings, load_settings
from appliance.ground.text import printable
from appliance.quality.judgements import Choice
from appliance.routing.policy import Caps

if TYPE_CHECKING:
    from appliance.comparison.preparing import CompareRequest
    from appliance.comparison.running import Progress

_SHOWN = 20


@dataclass(frozen=True)
class Shown:
    """How the figures are shown."""

    as_json: bool = False
    html_path: Path | None = None
    values: bool = True
    """Whether the report holds what documents and answers say."""
    tiers: bool = False
    """Whether to say of each side after the first whether it pays."""
    worth: float | None = None


@click.command("compare")
@click.argument("task", type=click.Path(path_type=Path))
@click.argument("documents", type=click.Path(path_type=Path))
@click.option("--models", default="", help="Local models, separated by commas: identities, names or artifact folders.")
@click.option(
    "--frontier", "frontiers", multiple=True, help="A configured frontier as a further side; NAME:EFFORT sets effort."
)
@click.option("--tiers", default="", help="Efforts of the frontier, separated by commas: does a dearer one pay?")
@click.option("--worth", type=click.FloatRange(min=0), help="What one more right document is worth, for --tiers.")
@click.option("--sample", type=click.IntRange(min=0), default=0, help="So many documents drawn at random; 0 means all.")
@click.option(
    "--gold", "gold_path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Right answers as JSON Lines with document and answer.",
)  # fmt: skip
@click.option("--margin", type=click.FloatRange(0, 1, min_open=True), help="Share by which a side may be worse.")
@click.option(
    "--price-per-hour", type=click.FloatRange(min=0), default=0.0, help="Of the machine that runs local models."
)
@click.option("--cap-documents", type=click.IntRange(min=0), help="At most so many documents go to a frontier.")
@click.option("--cap-money", type=click.FloatRange(min=0), help="At most so much is spent at a frontier.")
@click.option(
    "--keep-text", type=click.Choice(["all", "none"]), default="all", show_default=True, envvar="STILLROOM_KEEP_TEXT",
    help="Whether the comparison keeps the text of the documents.",
)  # fmt: skip
@click.option("--html", "html_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write a report.")
@click.option("--values/--no-values", default=True, help="Whether the report holds values from the documents.")
@click.option("--dry-run", is_flag=True, help="Print exactly what would leave for the frontiers, and send nothing.")
@click.option("--detach", is_flag=True, help="Run it in the background; it outlives this terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def command(
    task: Path,
    documents: Path,
    models: str,
    frontiers: tuple[str, ...],
    tiers: str,
    worth: float | None,
    sample: int,
    gold_path: Path | None,
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
    """Compare models of TASK (a task file or folder) on the folder DOCUMENTS: the first one with each other one.

    The same command again continues; all answers are kept and can be judged with `stillroom comparisons`.
    """
    from appliance.comparison.preparing import CompareRequest, prepare_comparison

    settings = load_settings(dict(os.environ))
    asked = _tiered(frontiers, _listed(tiers))
    request = CompareRequest(
        task, documents, _listed(models), asked, sample, gold_path, margin, price_per_hour, keep_text
    )
    if dry_run:
        _show_leaving(settings, request)
        return
    if detach:
        from appliance.comparison.view import start_comparison

        identifier = start_comparison(settings, request)
        print(json.dumps({"comparison": identifier})) if as_json else click.echo(f"comparison: {identifier}", err=True)
        return
    directory = prepare_comparison(settings, request)
    _run(
        settings, directory, Shown(as_json, html_path, values, bool(tiers), worth), Caps(cap_documents, money=cap_money)
    )


def _show_leaving(settings: Settings, request: "CompareRequest") -> None:
    """Prints the requests of every frontier, one after the other."""
    from appliance.commands.leaving import read_each, show_leaving
    from appliance.comparison.preparing import chosen_documents
    from appliance.tasks.taskfile import load_task

    if not request.frontiers:
        raise UsageError("no frontier is named, so nothing would leave", "name one with `--frontier NAME`")
    task, paths = load_task(request.task_path), [found.path for found in chosen_documents(request)]
    for named in request.frontiers:
        name, _, effort = named.partition(":")
        show_leaving(settings, task, name, read_each(settings, request.documents_dir.absolute(), paths), effort)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _tiered(frontiers: tuple[str, ...], efforts: tuple[str, ...]) -> tuple[str, ...]:
    if not efforts:
        return frontiers
    if len(frontiers) != 1:
        raise UsageError(f"--tiers needs one frontier, {len(frontiers)} are named", "name it with `--frontier NAME`")
    return tuple(f"{frontiers[0]}:{effort}" for effort in efforts)


def _run(settings: Settings, directory: Path, shown: Shown, caps: Caps | None = None) -> None:
    """Runs the comparison and shows it, also where a cap or a dead frontier ended it."""
    from appliance.comparison.running import run_comparison

    terminal = sys.stderr.isatty()

    def tell(progress: "Progress") -> None:
        if terminal:
            sys.stderr.write(f"\r\x1b[K{printable(progress.stage)}: {progress.done:,} of {progress.total:,} documents")
            sys.stderr.flush()

    ended: NotAllGood | None = None
    try:
        run_comparison(settings, directory, tell, caps)
    except NotAllGood as error:
        ended = error
    finally:
        if terminal:
            sys.stderr.write("\r\x1b[K")
    _show(settings, directory.name, shown)
    if ended is not None:
        raise ended


def _show(settings: Settings, identifier: str, shown: Shown) -> None:
    from appliance.comparison.render_text import lines
    from appliance.comparison.tiers import tier_verdicts
    from appliance.comparison.view import open_comparison

    with open_comparison(settings, identifier) as view:
        found = view.figures()
        if shown.tiers:
            found = replace(found, tiers=tier_verdicts(found, shown.worth))
        if shown.html_path is not None:
            from appliance.comparison.report import write_report

            write_report(view, found, shown.html_path, shown.values)
            click.echo(f"report: {printable(str(shown.html_path))}", err=True)
        if shown.as_json:
            print(json.dumps(found.record()))
        else:
            click.echo("\n".join(lines(found)))
            click.echo(f"comparison: {view.config.id}", err=True)


@click.group("comparisons")
def group() -> None:
    """List, show, judge, resume and remove comparisons."""


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per comparison.")
def list_command(as_json: bool) -> None:
    """List all comparisons, the newest first."""
    from appliance.comparison.view import list_comparisons

    found = list_comparisons(load_settings(dict(os.environ)))
    if as_json:
        for summary in found:
            print(json.dumps(asdict(summary)))
        return
    if not found:
        click.echo("no comparisons yet: `stillroom compare TASK DOCUMENTS --models A,B` makes one", err=True)
        return
    width = max(len(summary.id) for summary in found)
    print(f"{'COMPARISON':{width}}  {'STATE':11}  {'ANSWERED':>9}  {'DOCUMENTS':>9}  SIDES")
    for summary in found:
        print(
            f"{summary.id:{width}}  {summary.state:11}  {summary.answered:9,}  {summary.documents:9,}"
            f"  {printable(', '.join(summary.sides))}"
        )


@group.command("show")
@click.argument("comparison")
@click.option("--html", "html_path", type=click.Path(dir_okay=False, path_type=Path), help="Write a report.")
@click.option("--values/--no-values", default=True, help="Whether the report holds values from the documents.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def show_command(comparison: str, html_path: Path | None, values: bool, as_json: bool) -> None:
    """Show the figures of a comparison; COMPARISON is an id or its start."""
    _show(load_settings(dict(os.environ)), comparison, Shown(as_json, html_path, values))


@group.command("differing")
@click.argument("comparison")
@click.option("--side", type=click.IntRange(min=1), default=1, help="The side that is compared with the first one.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Leave out the first N.")
@click.option("--limit", type=click.IntRange(min=1), default=_SHOWN, show_default=True, help="At most N documents.")
@click.option("--random", "at_random", is_flag=True, help="In a random order: for judging a fair part of them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per document.")
def differing_command(comparison: str, side: int, offset: int, limit: int, at_random: bool, as_json: bool) -> None:
    """List documents that are answered differently, with their differing fields."""
    from appliance.comparison.view import open_comparison

    with open_comparison(load_settings(dict(os.environ)), comparison) as view:
        judged = view.judged(side)
        for document in view.differing(offset, limit, side, at_random):
            first, second = document.answers[0], document.answers[side]
            said = judged[document.id].choice.value if document.id in judged else None
            fields = {
                name: [given.answer.get(name) if given and given.answer else None for given in (first, second)]
                for name in document.differing
            }
            if as_json:
                print(json.dumps({"document": document.name, "judged": said, "fields": fields}))
                continue
            click.echo(printable(document.name) + (f"  judged: {said}" if said else ""))
            for name, (mine, other) in fields.items():
                click.echo(f"  {name}: {_value(mine)} | {_value(other)}")


def _value(value: object) -> str:
    return printable("-" if value is None else ", ".join(value) if isinstance(value, list) else str(value))


@group.command("judge")
@click.argument("comparison")
@click.argument("document")
@click.argument("choice", type=click.Choice([choice.value for choice in Choice], case_sensitive=False))
@click.option("--side", type=click.IntRange(min=1), default=1, help="The side that is compared with the first one.")
def judge_command(comparison: str, document: str, choice: str, side: int) -> None:
    """Say which answer to DOCUMENT is right: A (the first side's), B, both, neither, or skip."""
    from appliance.comparison.view import open_comparison

    with open_comparison(load_settings(dict(os.environ)), comparison) as view:
        view.store(view.find(document), Choice(choice), side)


@group.command("resume")
@click.argument("comparison")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def resume_command(comparison: str, as_json: bool) -> None:
    """Continue a comparison that was stopped."""
    settings = load_settings(dict(os.environ))
    directory = comparison_dir(settings, comparison)
    read_comparison(directory)
    _run(settings, directory, Shown(as_json))


@group.command("remove")
@click.argument("comparison")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_command(comparison: str, yes: bool) -> None:
    """Delete a comparison with all texts, answers and judgements that it kept."""
    settings = load_settings(dict(os.environ))
    identifier = comparison_dir(settings, comparison).name
    if not yes:
        click.confirm(f"delete comparison {identifier} with its answers and judgements?", abort=True, err=True)
    remove_comparison(settings, identifier)
    click.echo(f"removed {identifier}", err=True)
