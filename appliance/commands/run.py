"""`stillroom run`: a folder of documents to rows."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import click

from appliance.commands.fallback_options import FallbackOptions, chosen_fallback
from appliance.commands.shared_options import cap_option, detach_option, keep_text_option
from appliance.documents.left_out import left_out_text
from appliance.ground.command_line import NamedPath, NumberRange, Share, json_option, with_settings
from appliance.ground.errors import NotAllGood, UsageError
from appliance.ground.output import note, print_json, print_json_text, print_lines
from appliance.ground.progress import OnProgress
from appliance.ground.progress_line import progress_line
from appliance.ground.settings import Settings
from appliance.ground.text import human_count, printable_name
from appliance.jobs.job import DEFAULT_SETTLE_SECONDS, DEFAULT_WORKERS
from appliance.jobs.job_plan import JobRequest
from appliance.jobs.job_run import JobOutcome, run_request
from appliance.jobs.outputs import OutputFormat, require_format
from appliance.jobs.rows import Row
from appliance.routing.policy import Caps

_MOST_WORKERS = 64


@click.command("run")
@click.argument("task", type=NamedPath(path_type=Path))
@click.argument("documents", type=NamedPath(path_type=Path))
@click.option("--out", "out_dir", type=NamedPath(path_type=Path), help="Folder for the rows.")
@click.option(
    "--model",
    metavar="MODEL",
    help="Identity, name or artifact folder of the model; default is the active model of the task.",
)
@click.option(
    "--format", "output_format", type=click.Choice([choice.value for choice in OutputFormat]), default="jsonl",
    show_default=True, help="How rows are written.",
)  # fmt: skip
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Only the first N documents in path order; 0 means all.",
)
@click.option(
    "--workers", type=click.IntRange(1, _MOST_WORKERS), metavar="N", default=DEFAULT_WORKERS, show_default=True,
    help="Processes that read documents.",
)  # fmt: skip
@click.option("--shard", default="", metavar="K/N", help="Only this part of the folder; `jobs join` joins the parts.")
@keep_text_option("job")
@click.option(
    "--keep-working", is_flag=True,
    help="Rows also have what the model wrote before its answer, if its task has `student.working`; JSON Lines only.",
)  # fmt: skip
@click.option(
    "--settle", type=NumberRange(min=0, max=3600), default=DEFAULT_SETTLE_SECONDS, show_default=True,
    envvar="STILLROOM_SETTLE_SECONDS", metavar="SECONDS",
    help="A file that changed less than this long ago is read again later; if it still changes, the next run reads it.",
)  # fmt: skip
@click.option(
    "--preview", type=click.IntRange(min=1, max=1000), metavar="N",
    help="Only show the rows of the first N documents, and keep nothing.",
)  # fmt: skip
@detach_option
@click.option(
    "--fallback",
    metavar="NAME",
    help="Frontier that answers where the model is not sure; the text of those documents leaves this machine, masked.",
)
@click.option(
    "--threshold", metavar="X|auto",
    help="Confidence below which a document goes to the fallback; auto chooses it on labelled rows.",
)  # fmt: skip
@click.option(
    "--review-below", type=Share(zero=False), metavar="SHARE",
    help="A person is to look at documents with a field whose confidence is below it: route `review` in the rows.",
)  # fmt: skip
@click.option(
    "--labels", "labels_path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Labelled rows for auto as JSON Lines; default is dataset/test.jsonl of the task folder.",
)  # fmt: skip
@click.option(
    "--budget", type=NumberRange(min=0), metavar="MONEY", help="Most that auto may spend per 1,000 documents."
)
@cap_option("documents", "Cap: documents that may leave in this run.")
@cap_option("tokens", "Cap: tokens that this run may use.")
@cap_option("money", "Cap: money that this run may spend.")
@json_option()
@with_settings
def command(
    settings: Settings,
    task: Path,
    documents: Path,
    out_dir: Path | None,
    model: str | None,
    output_format: str,
    limit: int,
    workers: int,
    shard: str,
    keep_text: str,
    keep_working: bool,
    settle: float,
    preview: int | None,
    detach: bool,
    fallback: str | None,
    threshold: str | None,
    review_below: float | None,
    labels_path: Path | None,
    budget: float | None,
    cap_documents: int | None,
    cap_tokens: int | None,
    cap_money: float | None,
    as_json: bool,
) -> None:
    """Run TASK (a task file or folder) over the folder DOCUMENTS.

    The same command again continues: finished documents are not repeated, new and changed ones are answered.
    """
    if out_dir is None and preview is None:
        raise UsageError("no folder for the rows is named", "add `--out DIR`, or try `--preview 3` first")
    if detach and preview is not None:
        raise UsageError("a preview does not run in the background", "leave out `--detach` or `--preview`")
    request = JobRequest(
        task, documents, out_dir, model, OutputFormat(output_format), limit, keep_text, workers, settle, shard,
        keep_working=keep_working, review_below=review_below or 0.0,
    )  # fmt: skip
    if keep_working and request.output_format is not OutputFormat.JSONL:
        raise UsageError(
            f"rows as {output_format} have no column for the working", "leave out --keep-working, or add --format jsonl"
        )
    require_format(request.output_format)
    options = FallbackOptions(fallback, threshold, labels_path, budget, Caps(cap_documents, cap_tokens, cap_money))
    request = replace(request, fallback=chosen_fallback(settings, request, options, preview is not None))
    _start(settings, request, preview, detach, as_json)


def _start(settings: Settings, request: JobRequest, preview: int | None, detach: bool, as_json: bool) -> None:
    if preview is not None:
        _preview(settings, request, preview, as_json)
    elif detach:
        from appliance.jobs.control import start_detached

        note_detached(settings, start_detached(settings, request), as_json)
    else:
        run_and_report(lambda on_progress: run_request(settings, request, on_progress), as_json)


def run_and_report(run: Callable[[OnProgress], JobOutcome], as_json: bool) -> None:
    """Runs a job and says how it ended; stdout gets only the JSON object.

    Raises:
        NotAllGood: Some documents have no answer.
    """
    with progress_line(in_logs=True) as line:
        outcome = run(line)
    if as_json:
        print_json(_as_json(outcome))
    else:
        _note_outcome(outcome)
    refuse_unfinished(outcome)


def refuse_unfinished(outcome: JobOutcome) -> None:
    """Ends the command with exit code 3 where documents have no answer, so that no script takes them for done.

    Raises:
        NotAllGood: Documents or the fallback failed, left the folder unread, or their files were still being written.
    """
    summary = outcome.summary
    if summary.failed:
        raise NotAllGood(
            f"{summary.failed} of {summary.total} documents failed",
            f"`stillroom jobs show {summary.id} --failed` lists them with their reasons",
        )
    if outcome.incomplete:
        raise NotAllGood(
            f"{human_count(outcome.incomplete, 'document')} of {summary.total:,} with incomplete lists or records"
            " (`incomplete` in the rows)",
            'long = "window" in [input] of the task reads long tables part by part; fewer columns take less room',
        )
    # A cap is a person's own wish, and no failure.
    failures = [each for each in outcome.fallback_failures if not each.error.startswith("cap_")]
    if failures:
        counts = ", ".join(f"{each.documents} {each.error}" for each in failures)
        raise NotAllGood(
            f"the fallback failed on {sum(each.documents for each in failures)} of"
            f" {human_count(summary.total, 'document')} ({counts}): {failures[0].message}",
            f"correct that, then `stillroom jobs retry {summary.id}` asks it again",
        )
    if outcome.missing_unread:
        raise NotAllGood(
            f"{outcome.missing_unread} of {human_count(summary.total, 'document')} left the folder before anybody read"
            f" {'it' if outcome.missing_unread == 1 else 'them'}",
            f"`stillroom jobs show {summary.id} --failed` lists them; put them back and run again, or leave it at that:"
            " later runs do not count them",
        )
    if summary.waiting:
        raise NotAllGood(
            f"{summary.waiting} of {human_count(summary.total, 'file')} still being written",
            f"when complete, `stillroom jobs resume {summary.id}` reads what is left",
        )


def note_detached(settings: Settings, job: str, as_json: bool) -> None:
    """Says which job runs in the background and where its log is."""
    from appliance.jobs.detached import log_path

    log = str(log_path(settings.jobs_dir / job))
    if as_json:
        print_json({"job": job, "log": log})
        return
    note(f"job {job} runs in the background; its log is {log}")
    note(f"watch: stillroom jobs show {job}", f"stop:  stillroom jobs pause {job}")


def _preview(settings: Settings, request: JobRequest, documents: int, as_json: bool) -> None:
    from appliance.ground.stopping import Stop, stopped_by_signals
    from appliance.jobs.preview import dry_run

    stop = Stop()
    with stopped_by_signals(stop):
        rows = dry_run(settings, request, documents, stop)
    for row in rows:
        if as_json:
            print_json_text(row.to_json())
        else:
            print_lines(*_row_lines(row))
    if stop.graceful:
        raise KeyboardInterrupt
    note(f"preview of {human_count(len(rows), 'document')}: nothing was kept")
    failed = sum(row.fields is None for row in rows)
    if failed:
        raise NotAllGood(f"{failed} of {len(rows)} documents failed", "")


def _row_lines(row: Row) -> list[str]:
    from appliance.tasks.linecode import display_value

    lines = [printable_name(row.document)]
    if row.fields is None:
        lines.append(f"  {row.error_message} ({row.error})" if row.error_message else f"  {row.error}")
    for name, value in (row.fields or {}).items():
        text = None if value is None else display_value(value)
        confidence = f"  ({row.confidence[name]:.2f})" if name in row.confidence else ""
        lines.append(f"  {name}: {text if text is not None else '-'}{confidence}")
    return lines


def _as_json(outcome: JobOutcome) -> dict[str, object]:
    summary = asdict(outcome.summary)
    summary["job"] = summary.pop("id")
    return {
        **summary,
        "new_documents": outcome.new_documents,
        "missing_unread": outcome.missing_unread,
        "corrected": outcome.corrected,
        "fallback_unanswered": sum(failure.documents for failure in outcome.fallback_failures),
        "fallback_failures": {failure.error: failure.documents for failure in outcome.fallback_failures},
        "not_approved_because": outcome.not_approved,
        "seconds": round(outcome.seconds, 3),
        "output": None if outcome.output_path is None else str(outcome.output_path),
    }


def _note_outcome(outcome: JobOutcome) -> None:
    summary = outcome.summary
    if not summary.total:
        lines = ["the folder holds no documents, so there are no rows"]
    else:
        speed = f", {summary.documents_per_second:.1f} documents/s" if outcome.new_documents else ""
        lines = [
            f"{summary.done} of {summary.total} documents finished, {summary.failed} failed,"
            f" {outcome.new_documents} new in this run ({outcome.seconds:.1f} s{speed})"
        ]
    if summary.missing:
        lines.append(f"{human_count(summary.missing, 'document')} left the folder; the rows stay")
    if left_out := left_out_text(summary.left_out):
        lines.append(f"left out: {left_out}")
    if summary.for_review:
        need = "needs" if summary.for_review == 1 else "need"
        lines.append(f"{human_count(summary.for_review, 'document')} {need} a person (route `review` in the rows)")
    if failures := outcome.fallback_failures:
        unanswered = sum(failure.documents for failure in failures)
        (first, *others) = failures
        reasons = "; ".join([f"{each.documents} {each.error}: {each.message}" for each in failures])
        lines.append(
            f"the fallback did not answer {unanswered} of these: {reasons if others else first.message};"
            f" correct that, then `stillroom jobs retry {summary.id}` asks it again"
        )
    if outcome.not_approved:
        lines.append(f"the model is not approved, and each row says `unsafe`: {outcome.not_approved}")
    if outcome.corrected:
        lines.append(
            f"people corrected {human_count(outcome.corrected, 'document')}; the rows are as the model answered:"
            f" `stillroom jobs export {summary.id} --corrected --out DIR` writes them with the corrections"
        )
    in_job = f"in the job; `stillroom jobs export {summary.id} --out DIR` writes them out"
    note(*lines, f"rows: {outcome.output_path or in_job}", f"job: {summary.id}")
