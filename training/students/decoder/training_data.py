"""A task's dataset as token ids: what a decoder is trained on and what chooses its epoch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.engines.windows import can_window
from appliance.ground.errors import UsageError
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import data_hash, read_dataset, teacher_names
from appliance.tasks.prompt import working_ids
from training.students.decoder.examples import TokenExample, build_examples
from training.students.decoder.field_dropout import EmptiedRows, is_removable
from training.students.decoder.windows import WindowFacts, as_read

if TYPE_CHECKING:
    from appliance.engines.tokenizer import FileTokenizer
    from appliance.tasks.labels import LabelledRow
    from appliance.tasks.task import Task


@dataclass(frozen=True)
class SplitFacts:
    """What became of a split's rows."""

    rows: int
    too_long: int
    """Rows and windows left out: with their answer they are longer than a training example may be."""
    windows: WindowFacts
    working: "WorkingFacts | None" = None
    """None where the task has no working."""

    @property
    def record(self) -> dict[str, int]:
        """For the run's files."""
        working = asdict(self.working) if self.working else {}
        return {"rows": self.rows, "too_long": self.too_long, **self.windows.record, **working}


@dataclass(frozen=True)
class WorkingFacts:
    """What a split's rows have for `student.working`."""

    working_tokens: int
    """That a student may write."""
    working_cut: int
    """Rows whose working is longer and taught without its end."""
    without_working: int
    """Rows that have none: their answers are taught alone."""


@dataclass(frozen=True)
class TrainingData:
    """A task's dataset as token ids."""

    train: list[TokenExample]
    validation: list[TokenExample]
    data_hash: str
    facts: Mapping[str, SplitFacts]
    """By the name of the split."""
    max_tokens: int
    """Of an example."""
    emptied: EmptiedRows | None = None
    """What values are taken out of; None where there is nothing of it."""
    teacher: str = ""
    """Who answered the training rows."""
    prompt_form: str = ""
    """How the student is asked, as its manifest will say it."""

    @property
    def rows(self) -> int:
        """Training rows, with those that are left out."""
        return self.facts["train"].rows

    @property
    def left_out(self) -> int:
        """Rows and windows of both splits that are too long to be trained or judged."""
        return sum(facts.too_long + facts.windows.unread for facts in self.facts.values())


def read_training_data(task: "Task", task_folder: Path, base_dir: Path, context_length: int) -> TrainingData:
    """The task's dataset as token ids, long documents in windows where the task reads them so.

    Args:
        context_length: Tokens of prompt and answer with which the engines will read.

    Raises:
        UsageError: There is no dataset, or no row fits the context.
    """
    from appliance.engines.tokenizer import FileTokenizer

    tokenizer = FileTokenizer(base_dir / "tokenizer.json")
    rows = {name: read_dataset(TaskFolder(task_folder).split_path(name)) for name in ("train", "validation")}
    if not rows["train"]:
        raise UsageError("dataset/train.jsonl has no rows", "collect and curate answers first")
    if task.student.working and not any(row.working for row in rows["train"]):
        raise UsageError(
            f"student.working is {task.student.working}, but no training row has a `working` to learn from",
            "collect answers with it, or leave student.working out",
        )
    max_tokens = min(task.student.max_tokens or context_length, context_length)
    examples: dict[str, list[TokenExample]] = {}
    whole_rows: dict[str, list[LabelledRow]] = {}
    facts: dict[str, SplitFacts] = {}
    for name in rows:
        read = as_read(task, rows[name], tokenizer, _longest(task, tokenizer), context_length)
        row_examples = [build_examples(task, [row], tokenizer.template, tokenizer.encode) for row in read.rows]
        fits = [_tokens(of_row) <= max_tokens for of_row in row_examples]
        examples[name] = [each for of_row, fit in zip(row_examples, fits, strict=True) if fit for each in of_row]
        whole_rows[name] = [row for row, fit in zip(read.rows[: read.whole], fits, strict=False) if fit]
        facts[name] = SplitFacts(
            len(rows[name]), fits.count(False), read.windows, _working_facts(task, rows[name], tokenizer)
        )
    if not examples["train"]:
        raise _nothing_fits(task, facts["train"], max_tokens)
    emptied = None
    # Then every row is one example.
    if whole_rows["train"] and any(is_removable(field) for field in task.output_fields):
        emptied = EmptiedRows(task, whole_rows["train"], tokenizer.template, tokenizer.encode)
    return TrainingData(
        examples["train"],
        examples["validation"],
        data_hash(rows["train"]),
        facts,
        max_tokens,
        emptied,
        teacher_names(rows["train"]),
        tokenizer.prompt_form,
    )


def _working_facts(task: "Task", rows: Sequence["LabelledRow"], tokenizer: "FileTokenizer") -> WorkingFacts | None:
    limit = task.student.working
    if not limit:
        return None
    lengths = [len(working_ids(row.working, tokenizer.encode)) for row in rows]
    return WorkingFacts(limit, sum(length > limit for length in lengths), lengths.count(0))


def _tokens(examples: Sequence[TokenExample]) -> int:
    """Of the longest."""
    return max(len(example.input_ids) for example in examples)


def _longest(task: "Task", tokenizer: "FileTokenizer") -> Callable[["LabelledRow"], int]:
    return lambda row: _tokens(build_examples(task, [row], tokenizer.template, tokenizer.encode))


def _nothing_fits(task: "Task", facts: SplitFacts, max_tokens: int) -> UsageError:
    what = f"none of the {facts.rows} training rows fits into {max_tokens} tokens"
    if task.student.max_tokens and can_window(task):
        return UsageError(what, "raise student.max_tokens, or set input.max_tokens for shorter windows")
    if can_window(task):
        return UsageError(what, "collect and curate more rows, or ask for fewer fields")
    if task.student.max_tokens:
        return UsageError(what, "collect and curate more rows, or raise student.max_tokens")
    return UsageError(what, 'set `long = "window"` in [input] of the task, or collect and curate shorter documents')
