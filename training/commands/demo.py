"""`stillroom demo`: the whole way of a task once, offline, on documents that it generates."""

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.ground.command_line import NamedPath, json_option
from appliance.ground.errors import NotAllGood
from appliance.ground.files import write_lines
from appliance.ground.json_text import json_text
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.text import human_duration
from appliance.tasks.folder import RunFolder, TaskFolder
from training.memory_pages import set_memory_defaults

if TYPE_CHECKING:
    from appliance.quality.statistics import Interval
    from appliance.tasks.linecode import Answer
    from training.demo.course import Course
    from training.demo.scoring import Score


@click.command("demo")
@click.option("--quick", is_flag=True, help="Fewer documents and a shorter training, in under a minute.")
@click.option(
    "--base",
    metavar="NAME",
    help="Start from another base: a name of `stillroom bases list`, such as smollm2, or a folder. Takes fewer"
    " documents and trains longer: about a quarter of an hour for 135 million weights on two cores.",
)
@click.option(
    "--work",
    "folder",
    type=NamedPath(file_okay=False, path_type=Path),
    default=Path("stillroom-demo"),
    show_default=True,
    help="Folder for all that the demo makes.",
)
@click.option("--seed", default=1, metavar="N", show_default=True, help="Seed of documents, teacher and training.")
@json_option("the figures as one JSON object")
def command(quick: bool, base: str | None, folder: Path, seed: int, as_json: bool) -> None:
    """Distil a student for utility bills, export it, run a folder with it, and say how good it is.

    Documents, truth and the teacher's answers come from a generator; 15 % of the answers carry planted mistakes. The
    documents that judge the student share no layout and no name with those that taught it.
    """
    from appliance.ground.extras import require_extra

    require_extra("train")
    set_memory_defaults()
    from training.base_model import find_base
    from training.demo.course import FULL, OTHER_BASE, QUICK, QUICK_OTHER_BASE, Course, open_folder

    began = time.monotonic()
    folder = folder.absolute()
    base_dir = find_base(base).absolute() if base else None  # in the person's own home
    open_folder(folder)
    own, other = (QUICK, QUICK_OTHER_BASE) if quick else (FULL, OTHER_BASE)
    course = Course(folder, other if base_dir else own, seed, base_dir)
    before = os.environ.get("STILLROOM_HOME")
    os.environ["STILLROOM_HOME"] = str(course.home_dir)
    try:
        figures = _run_steps(course, as_json)
    finally:
        os.environ.pop("STILLROOM_HOME")
        if before is not None:
            os.environ["STILLROOM_HOME"] = before
    figures["seconds"] = round(time.monotonic() - began, 1)
    note(f"all of it took {human_duration(time.monotonic() - began)}; everything is in {folder}")
    note(f"to look at it: STILLROOM_HOME={course.home_dir} stillroom tui")
    if as_json:
        print_json(figures)


def _run_steps(course: "Course", as_json: bool) -> dict[str, object]:
    """All steps; the figures of the JSON object. The table goes to stdout where that object does not."""
    from appliance.tasks.taskfile import load_task
    from training.base_model import find_base
    from training.demo.course import collect_and_curate, read_scored, run_folder, targets_of, write_inputs
    from training.demo.scoring import planted_recall, read_answers, score
    from training.verb_call import call_verb

    size = course.size
    with course.timed(f"write {size.scored} documents to score and {size.taught} with recorded teacher answers"):
        golds = write_inputs(course)
    task = load_task(course.task_dir)
    with course.timed("collect and curate the answers (15 % of them carry planted mistakes)"):
        report = collect_and_curate(course)
        recall = planted_recall(course.folder / "planted.jsonl", TaskFolder(course.task_dir))
        _note_recall(report, recall)
    with course.timed("train the adapter"):
        run_dir = Path(json.loads(call_verb("train", str(course.task_dir), "--json", *size.train_options))["run"])
    with course.timed("merge it into the base"):
        call_verb("merge", str(run_dir))
    artifacts, targets = {}, targets_of(find_base(task.student.base))
    for target in targets:
        with course.timed(f"export {target}"):
            printed = json.loads(call_verb("export", str(run_dir), "--target", target, "--json"))
            artifacts[target] = Path(printed["artifacts"][0]["directory"])
    with course.timed(f"run the folder of {size.scored} documents with {targets[0]}"):
        summary = run_folder(course, artifacts[targets[0]])
    student = score(task, golds, read_answers(Path(str(summary["output"]))))
    with course.timed("compare with the base, and the formats with one another"):
        texts = read_scored(course)
        base, agreement = _compare(course, run_dir, artifacts, golds, texts)
    with course.timed("judge the student on the scored documents"):
        verdict = _gate(course, artifacts[targets[0]], texts)
    _print_table(student, base, agreement, summary, verdict, as_json)
    return {
        "documents": size.scored,
        "rows": summary["done"],
        "failed": summary["failed"],
        **_figures(student, base, agreement),
        "documents_per_second": round(float(str(summary["documents_per_second"])), 2),
        "verdict": verdict,
    }


def _figures(student: "Score", base: "Score", agreement: "dict[str, Interval]") -> dict[str, object]:
    """Shares of right answers for the JSON object."""
    return {
        "field_accuracy": round(student.fields.estimate, 4),
        "field_accuracy_base": round(base.fields.estimate, 4),
        "document_accuracy": round(student.documents.estimate, 4),
        "agreement": {name: round(share.estimate, 4) for name, share in agreement.items()},
    }


def _compare(
    course: "Course", run_dir: Path, artifacts: dict[str, Path], golds: "dict[str, Answer]", read: dict[str, str]
) -> "tuple[Score, dict[str, Interval]]":
    """The base's score, and the share of equal fields of each format with the adapter."""
    from appliance.ground.settings import load_settings
    from appliance.tasks.taskfile import load_task
    from training.base_model import find_base
    from training.demo import agreement
    from training.demo.scoring import equal_fields, score

    task = load_task(course.task_dir)
    names = sorted(golds)[: course.size.compared]
    texts = [read[name] for name in names]
    base_dir, settings = find_base(task.student.base), load_settings(os.environ)
    base = agreement.base_answers(task, base_dir, texts)
    adapter = agreement.adapter_answers(task, base_dir, run_dir, texts)
    others = {"merged": agreement.merged_answers(task, RunFolder(run_dir).merged_dir, texts)}
    for target, artifact_dir in artifacts.items():
        others[target.partition("-")[0]] = agreement.artifact_answers(settings, task, artifact_dir, texts)
    base_score = score(task, {name: golds[name] for name in names}, dict(zip(names, base, strict=True)))
    return base_score, {name: equal_fields(task, adapter, answers) for name, answers in others.items()}


def _gate(course: "Course", artifact_dir: Path, texts: dict[str, str]) -> str:
    """The verdict of `stillroom gate` on the scored documents."""
    from appliance.tasks.labels import read_json_lines
    from training.verb_call import call_verb

    rows_path = course.folder / "labelled.jsonl"
    rows = [row for _, row in read_json_lines(course.folder / "truth.jsonl")]
    lines = [json_text({**row, "text": texts[str(row["document"])]}) for row in rows]
    write_lines(rows_path, lines)
    try:
        call_verb("gate", str(course.task_dir), str(artifact_dir), "--labels", str(rows_path), "--json")
    except NotAllGood as ended:
        note(f"      {ended.message}")
    manifest = json.loads((artifact_dir / "manifest.json").read_text(encoding="utf-8"))
    return str(manifest["verdict"]["verdict"])


def _note_recall(report: dict[str, object], recall: dict[str, tuple[int, int]]) -> None:
    planted = {kind: counts for kind, counts in recall.items() if kind != "right"}
    caught, total = (sum(counts[at] for counts in planted.values()) for at in (0, 1))
    kinds = ", ".join(f"{kind} {number} of {of}" for kind, (number, of) in sorted(planted.items()))
    note(f"      planted mistakes found: {caught} of {total} ({kinds})")
    wrongly, right = recall.get("right", (0, 0))
    note(f"      good answers in which something is doubted: {wrongly} of {right}; {report['train']} rows to train on")


def _print_table(
    student: "Score",
    base: "Score",
    agreement: "dict[str, Interval]",
    summary: dict[str, object],
    verdict: str,
    to_stderr: bool,
) -> None:
    """The table for a person."""
    documents, compared = len(student.judged), len(base.judged)
    fields, speed = student.field_count, float(str(summary["documents_per_second"]))
    lines = [
        ("fields right, base", base.fields.percent(), f"{compared} documents, {base.field_count} fields"),
        ("fields right, student", student.fields.percent(), f"{documents} documents, {fields} fields"),
        ("whole documents right", student.documents.percent(), f"{documents} documents"),
        ("invented values", f"{student.invented} of {student.absent}", "fields that the document does not say"),
        *(
            (f"equal to the adapter, {name}", share.percent(), f"{compared} documents")
            for name, share in agreement.items()
        ),
        ("speed of the folder run", f"{speed:.1f} documents/s", f"{documents} documents, {summary['failed']} failed"),
        ("verdict", verdict, ""),
    ]
    width = max(len(name) for name, _, _ in lines)
    for name, value, basis in lines:
        (note if to_stderr else print_lines)(f"{name:<{width}}  {value:<24}  {basis}".rstrip())
