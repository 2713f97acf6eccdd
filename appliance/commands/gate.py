"""`stillroom gate`: an artifact on labelled rows, with a verdict in its manifest."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.commands.shared_options import cap_option
from appliance.ground.command_line import NamedPath, json_option, with_settings
from appliance.ground.errors import NotAllGood, ResourceError, UsageError
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.progress_line import progress_line
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.routing.policy import Caps

if TYPE_CHECKING:
    from appliance.engines.engine import Result
    from appliance.models.manifest import Manifest
    from appliance.quality.report import QualityReport
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task


@click.command("gate")
@click.argument("task_folder", metavar="TASK", type=click.Path(exists=True, path_type=Path))
@click.argument("model", required=False)
@click.option(
    "--labels",
    "rows_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Labelled rows as JSON Lines; default is dataset/test.jsonl of the task folder.",
)
@click.option(
    "--documents", "documents_dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --labels: folder that the paths in `document` are relative to, for rows without a text.",
)  # fmt: skip
@click.option(
    "--quick", is_flag=True,
    help="Carry a verdict READY over to this machine: at most 59 of its rows are answered again, each as it was.",
)  # fmt: skip
@click.option(
    "--errors", "errors_path", type=NamedPath(dir_okay=False, path_type=Path),
    help="Also write each wrong field as JSON Lines, with where the document says it.",
)  # fmt: skip
@click.option("--html", "html_path", type=NamedPath(dir_okay=False, path_type=Path), help="Also write a page.")
@click.option("--values/--no-values", default=True, help="Whether the page holds values from the documents.")
@click.option(
    "--teacher", metavar="NAME",
    help="In place of a model: judge a frontier before it is paid for more. The labelled documents leave this machine,"
    " masked, and the verdict is GO, ITERATE or RETHINK.",
)  # fmt: skip
@cap_option("money", "Cap: money that --teacher may spend.")
@json_option("the report as one JSON object")
@with_settings
def command(
    settings: Settings,
    task_folder: Path,
    model: str | None,
    rows_path: Path | None,
    documents_dir: Path | None,
    quick: bool,
    errors_path: Path | None,
    html_path: Path | None,
    values: bool,
    teacher: str | None,
    cap_money: float | None,
    as_json: bool,
) -> None:
    """Judge MODEL (artifact folder, name or identity) on labelled rows of TASK (a task file or folder).

    The verdict is READY, NOT READY or NEED n MORE, and goes into the artifact's manifest. The exit code is 3 where
    it is not READY. Rows whose text is in dataset/train.jsonl of the task folder, or nearly and with the same answer,
    are left out, and so are copies of others. The verdict is about these files on this kind of processor with these
    libraries; an installed copy of the model gets it, too.
    """
    from appliance.documents.sandbox import ReaderLimits
    from appliance.models.manifest import file_sha256
    from appliance.models.selection import choose_model, verify_chosen
    from appliance.quality.distinct_rows import distinct_rows, without_near_training_rows
    from appliance.quality.gate import judge_results, look_number, write_verdict
    from appliance.quality.label_texts import label_texts
    from appliance.tasks.folder import TaskFolder
    from appliance.tasks.labels import check_rows, read_labels, without_training_rows
    from appliance.tasks.taskfile import load_task

    task = load_task(task_folder)
    folder = TaskFolder.of(task_folder)
    rows_path = rows_path or folder.split_path("test")
    _check_plain(rows_path)
    texts = None
    if documents_dir is not None:
        texts = label_texts(rows_path, documents_dir, ReaderLimits(policy=settings.sandbox))
    labelled_rows, labelled_sha256 = read_labels(rows_path, texts), file_sha256(rows_path)
    check_rows(task, labelled_rows)  # before the engine spends time on them
    pages = _Pages(errors_path, html_path, values)
    if teacher is not None:
        if model is not None or quick:
            raise UsageError("--teacher is judged in place of a model", "leave out MODEL and `--quick`")
        _judge_teacher(settings, task, labelled_rows, teacher, Caps(money=cap_money), pages, as_json)
        return
    if model is None:
        raise UsageError("no model is named", "name an artifact folder or a model, or a frontier with --teacher")
    artifact_dir, chosen = choose_model(settings, task, model)
    _check_writable(artifact_dir)
    manifest = verify_chosen(artifact_dir, chosen.identity)
    if quick:
        _carry_over(settings, task, _Gated(artifact_dir, manifest, rows_path), labelled_rows, as_json)
        return
    unseen_rows = without_training_rows(labelled_rows, folder.split_path("train"))
    if (trained := len(labelled_rows) - len(unseen_rows)) > 0:
        note(f"{trained} of {len(labelled_rows)} rows left out: the model was trained on them")
    new_rows = without_near_training_rows(task, unseen_rows, folder.split_path("train"))
    if (near := len(unseen_rows) - len(new_rows)) > 0:
        note(f"{near} of {len(labelled_rows)} rows left out: nearly the same as training rows, with the same answer")
    distinct = distinct_rows(task, new_rows)
    rows = distinct.rows
    if distinct.copies:
        note(f"{distinct.copies} of {len(new_rows)} rows left out: their texts are those of other rows")
    results = _answers(settings, task, rows, artifact_dir)
    look = look_number(manifest, labelled_sha256)
    report = judge_results(task, rows, results, distinct.clusters, distinct.copies, look)
    pages.write(task, manifest.name, report, rows, results)
    _print_report(manifest, report, as_json)  # first: it took the engine hours, and the verdict may not be writable
    judged = write_verdict(artifact_dir, manifest, report, labelled_sha256, list(zip(rows, results, strict=True)))
    _tell_store(settings, artifact_dir, judged)
    if not report.readiness.ready:
        raise NotAllGood(
            f"the verdict on {manifest.name} is {report.readiness.verdict}: {report.readiness.reason}",
            report.readiness.advice,
        )


@dataclass(frozen=True)
class _Pages:
    """What is written beside the verdict."""

    errors_path: Path | None
    html_path: Path | None
    values: bool

    def write(
        self, task: "Task", name: str, report: "QualityReport", rows: "list[LabelledRow]", results: "list[Result]"
    ) -> None:
        from appliance.quality.errors import field_errors, write_errors
        from appliance.quality.gate_page import gate_page
        from appliance.quality.page import write_page

        if self.errors_path is not None:
            write_errors(self.errors_path, field_errors(task, rows, results))
        if self.html_path is not None:
            write_page(self.html_path, gate_page(task, name, report, rows, results, self.values))
            note(f"page: {self.html_path}")


def _judge_teacher(
    settings: Settings,
    task: "Task",
    labelled_rows: "list[LabelledRow]",
    name: str,
    caps: Caps,
    pages: _Pages,
    as_json: bool,
) -> None:
    """Lets a frontier answer the labelled rows, and says whether to go on with it.

    Raises:
        NotAllGood: The verdict is not GO.
    """
    from appliance.answering.teacher_check import TeacherVerdict, decide_on_teacher, teacher_answers
    from appliance.quality.distinct_rows import distinct_rows
    from appliance.quality.gate import judge_results
    from appliance.routing.egress import EgressOptions

    distinct = distinct_rows(task, labelled_rows)
    with progress_line() as line:
        options = EgressOptions(allowed=True, run="gate-teacher", caps=caps)
        results = teacher_answers(settings, task, distinct.rows, name, options, line)
    report = judge_results(task, distinct.rows, results, distinct.clusters, distinct.copies)
    decision = decide_on_teacher(task, report)
    pages.write(task, name, report, distinct.rows, results)
    money = sum(result.money or 0.0 for result in results)
    if as_json:
        print_json({"teacher": name, "verdict": decision.verdict, "reason": decision.reason, "money": money,
                    **report.record()})  # fmt: skip
    else:
        print_lines(*report.lines()[:-1], f"teacher            {decision.verdict}: {decision.reason}")
    if decision.verdict is not TeacherVerdict.GO:
        raise NotAllGood(f"the verdict on teacher {name} is {decision.verdict}: {decision.reason}", decision.advice)


def _check_plain(rows_path: Path) -> None:
    """Refuses a pipe: its rows can be read once only, and the verdict names the file's hash."""
    if rows_path.exists() and not rows_path.is_file():
        raise UsageError(f"{rows_path} is not a plain file", "save the labelled rows in a file, and name it")


def _check_writable(artifact_dir: Path) -> None:
    """Before the engine spends hours on a verdict that cannot be written."""
    if not os.access(artifact_dir, os.W_OK):
        raise ResourceError(
            f"the verdict goes into {artifact_dir}, which cannot be written",
            "copy the folder, or `stillroom models add` it and name the installed model",
        )


@dataclass(frozen=True)
class _Gated:
    """What is judged, and on which rows."""

    artifact_dir: Path
    manifest: "Manifest"
    rows_path: Path


def _carry_over(
    settings: Settings, task: "Task", gated: _Gated, labelled_rows: "list[LabelledRow]", as_json: bool
) -> None:
    """Answers some of the judged rows again.

    Raises:
        NotAllGood: An answer is another one here.
    """
    from appliance.models.approval import is_approved, verdict_words
    from appliance.quality.carry_over import agreement, carry_over, rows_to_repeat

    if is_approved(gated.manifest):
        note(f"the verdict on {gated.manifest.name} holds here already: {verdict_words(gated.manifest)}")
        return
    rows = rows_to_repeat(gated.manifest, labelled_rows, gated.rows_path)
    assert gated.manifest.verdict is not None
    compared = agreement(gated.manifest.verdict, rows, _answers(settings, task, rows, gated.artifact_dir))
    if as_json:
        print_json({"model": gated.manifest.name, "identity": gated.manifest.identity, **asdict(compared),
                    "most_differing": compared.most_differing})  # fmt: skip
    else:
        print_lines(compared.line())
    if compared.differing:
        raise NotAllGood(
            f"{compared.differing} of {human_count(compared.documents, 'document')} answered otherwise than where"
            f" {gated.manifest.name} was found READY, so the verdict does not hold here",
            "run `stillroom gate` without `--quick`: it judges this machine's own answers to all rows",
        )
    _tell_store(settings, gated.artifact_dir, carry_over(gated.artifact_dir, gated.manifest, compared))
    note(f"the verdict on {gated.manifest.name} holds here, too")


def _tell_store(settings: Settings, artifact_dir: Path, judged: "Manifest") -> None:
    """Gives the verdict to installed copies of the model."""
    from appliance.models.store import Store

    store = Store(settings)
    names = store.take_verdict(judged)
    for model in store.list():
        if model.name in names and model.directory != artifact_dir:
            note(f"the installed model {model.name} has this verdict now")
        elif model.name not in names and model.manifest.identity == judged.identity and model.manifest.verdict:
            later = model.manifest.verdict.last_judged
            note(f"the installed model {model.name} keeps its verdict of {later}, which is later; compare the clocks")


def _answers(settings: Settings, task: "Task", rows: "list[LabelledRow]", artifact_dir: Path) -> "list[Result]":
    """Lets the artifact's own engine answer all rows; one that kills it has no answer, which counts as wrong."""
    from appliance.answering.local import answer_texts
    from appliance.engines.engine import ENGINE_DIED

    with progress_line() as line:
        results = answer_texts(
            settings, artifact_dir, task, [row.text for row in rows],
            line, note,
        )  # fmt: skip
    if crashes := sum(result.error == ENGINE_DIED for result in results):
        note(f"the engine died on {human_count(crashes, 'row')}, counted as wrong")
    return results


def _print_report(manifest: "Manifest", report: "QualityReport", as_json: bool) -> None:
    if as_json:
        print_json({"model": manifest.name, "identity": manifest.identity, **report.record()})
    else:
        print_lines(*report.lines())
