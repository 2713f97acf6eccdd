"""A teacher whose weights are on this machine: found, compared with the student, and refused before any step.

Its logits mean something to a student only where both write with the same tokens, read the same prompt, and are asked
the same. Sizes of vocabularies say little: tokenizers of one size cut a text in a thousand ways.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.engines.tokenizer import FileTokenizer, model_tokenizer
from appliance.ground.errors import ApplianceError, UsageError
from appliance.models.manifest import MANIFEST_NAME, read_manifest, verify_artifact
from appliance.models.model_config import folder_context
from appliance.models.safetensors_file import read_headers, weight_paths
from appliance.tasks.folder import TASK_FILE, RunFolder, TaskFolder
from appliance.tasks.taskfile import load_task
from training.base_model import base_hash, find_base, load_base
from training.divergences import VocabularyMismatch
from training.preflight import embedding_rows

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from appliance.tasks.task import Task

MOST_TEXTS = 200
"""Training texts that both tokenizers cut."""
_PROBES = (
    " Total: 1,234.50 EUR (03/04/2024)",
    " naïve café Straße ﬁn № ½ €",
    " e\u0301 \u00a0\u2009\u3000 \U0001f600 漢字かな العربية",
    "</s><unk> <|end|> <think> [INST]",
)
_HINT = "name a teacher that was made from the student's base, or from a larger one of its family"


class NotFinite(ApplianceError):
    """A teacher computes what is no number."""


@dataclass(frozen=True)
class LocalTeacher:
    """A teacher that is ready to score what a student of the task reads and writes."""

    name: str
    """As a person knows it: of a folder the last part."""
    weights_sha256: str
    model: "PreTrainedModel"
    """In evaluation, frozen."""
    context_length: int
    directory: Path
    """Of its weights."""


def find_teacher(name: str) -> Path:
    """The folder of a teacher's weights.

    Args:
        name: A folder of weights, a run or a task folder whose newest run is merged, or the name of a base.

    Raises:
        UsageError: There are no weights that can score a decoder's tokens.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return find_base(name)
    runs = [RunFolder(folder), *reversed(TaskFolder(folder).finished_runs())]
    merged = next((run.merged_dir for run in runs if run.merged_dir.is_dir()), None)
    if merged is None and any(run.is_finished for run in runs):
        raise UsageError(f"{name} has no merged weights", f"run `stillroom merge {name}` first")
    directory = merged or folder
    if (directory / MANIFEST_NAME).is_file():
        manifest = read_manifest(directory)
        if (manifest.family, manifest.format) != ("decoder", "merged"):
            raise UsageError(
                f"{name} is {manifest.family} weights as {manifest.format}; a local teacher is a merged decoder",
                "name the run that it was exported from",
            )
        verify_artifact(directory)
    return find_base(str(directory))


def open_teacher(name: str, task: "Task", student_base: Path, texts: Iterable[str]) -> LocalTeacher:
    """Loads a teacher after all that can be compared without its weights.

    Args:
        student_base: Folder of the student's base, with its tokenizer.
        texts: Of training rows; the first of them are cut by both tokenizers.

    Raises:
        UsageError: It has another vocabulary, reads another prompt, was trained for another task, or has no weights.
        NotFinite: One of its weights is no number.
    """
    import torch

    directory = find_teacher(name)
    label = Path(name).name if Path(name).expanduser().is_dir() else name
    refuse_other_task(label, directory, task)
    refuse_other_vocabulary(label, base_tokenizer(student_base), directory, texts)
    model = load_base(directory).train(False).requires_grad_(False)
    broken = next((key for key, weights in model.named_parameters() if not bool(torch.isfinite(weights).all())), None)
    if broken:
        raise NotFinite(f"{broken} of the teacher {label} holds what is no number", "copy or train the teacher again")
    embedding = model.get_input_embeddings().weight
    tokenizer = model_tokenizer(directory)
    tokens = FileTokenizer(directory / "tokenizer.json", tokenizer.prompt_form, len(embedding)).vocab_size
    if len(embedding) < tokens:
        raise VocabularyMismatch(
            f"the teacher {label} has an embedding of {len(embedding):,} tokens, its tokenizer {tokens:,}", _HINT
        )
    return LocalTeacher(label, base_hash(directory), model, folder_context(directory), directory)


def base_tokenizer(base_dir: Path) -> FileTokenizer:
    """The tokenizer of a student's base, with the vocabulary that its embedding has rows for.

    Raises:
        TokenizerError: It cannot be read, or serves no prompt.
        WeightsError: The weights are not whole.
    """
    return FileTokenizer(base_dir / "tokenizer.json", rows=embedding_rows(read_headers(weight_paths(base_dir))))


def refuse_other_task(label: str, directory: Path, task: "Task") -> None:
    """Refuses a student of another task: it was taught to answer other questions; a base was taught none.

    Raises:
        UsageError: It was asked otherwise.
    """
    if not (directory / TASK_FILE).is_file():
        return
    other = load_task(directory)
    asked = [
        (each.prompt_spec(), [(field.type, field.values) for field in each.output_fields]) for each in (other, task)
    ]
    if asked[0] != asked[1]:
        raise UsageError(
            f"the teacher {label} was trained for the task {other.name}, which asks otherwise than {task.name}",
            "train the teacher with this task's instruction and fields, or name its base",
        )


def refuse_other_vocabulary(label: str, student: FileTokenizer, teacher_dir: Path, texts: Iterable[str]) -> None:
    """Refuses a teacher whose token ids stand for other texts, or whose prompt is another.

    Raises:
        VocabularyMismatch: The tokenizers differ; names the first token or text on which they do.
        UsageError: The prompt templates differ.
    """
    teacher = model_tokenizer(teacher_dir)
    if teacher.prompt_form != student.prompt_form:
        raise UsageError(
            f"the teacher {label} reads prompts of the form {teacher.prompt_form}, the student those of the form"
            f" {student.prompt_form}",
            _HINT,
        )
    for token in range(max(student.vocab_size, teacher.vocab_size)):
        pieces = [tokenizer.piece(token) for tokenizer in (teacher, student)]
        special = [token in tokenizer.special_ids for tokenizer in (teacher, student)]
        if pieces[0] != pieces[1] or special[0] != special[1]:
            words = [
                f"{'the special token ' if is_special else ''}{piece!r:.60}" if piece is not None else "none"
                for piece, is_special in zip(pieces, special, strict=True)
            ]
            raise VocabularyMismatch(
                f"token {token} is {words[0]} for the teacher {label}, {words[1]} for the student", _HINT
            )
    for number, text in enumerate((*_PROBES, *texts)):
        if number == MOST_TEXTS:
            break
        if teacher.encode(text, False) != student.encode(text, False):
            raise VocabularyMismatch(
                f"the teacher {label} cuts the text {text.strip()!r:.60} otherwise than the student", _HINT
            )


def check_logits(label: str, logits: "Tensor") -> None:
    """Refuses what a student must not learn from.

    Raises:
        NotFinite: A logit is no number.
    """
    import torch

    if not bool(torch.isfinite(logits).all()):
        raise NotFinite(
            f"the teacher {label} computes logits that are no numbers", "name another teacher, or train without one"
        )
