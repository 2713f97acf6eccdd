"""What a decoder learns from beside its labels, opened once for a run: a teacher's weights, or what it stored."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from appliance.engines.tokenizer import FileTokenizer
from appliance.ground.errors import UsageError
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import read_dataset
from appliance.tasks.prompt import join_ids, prefix_segments
from training.local_teacher import LocalTeacher, open_teacher
from training.students.decoder.examples import Batch, pack
from training.students.decoder.on_policy import Writer
from training.students.decoder.teacher_loss import live_loss

if TYPE_CHECKING:
    from appliance.tasks.task import Task
    from training.distillation_options import DistillationOptions
    from training.students.decoder.training_data import TrainingData


@dataclass(frozen=True)
class Teaching:
    """A teacher, and what the student needs to write for it."""

    teacher: LocalTeacher
    writer: Writer
    options: "DistillationOptions"

    @property
    def facts(self) -> dict[str, object]:
        """What `config.json` says of the teacher."""
        name, weights_sha256 = self.teacher.name, self.teacher.weights_sha256
        return {"teacher_model": name, "teacher_hash": weights_sha256, "loss": str(self.options)}

    def batch_to_learn(self, model: nn.Module, batch: Batch) -> Batch:
        """The batch, or in its place what the student writes to the same prompts."""
        if batch.sampling_seed is None:
            return batch
        examples = self.writer.write(model, batch.examples, batch.sampling_seed)
        return pack(examples, batch.sampling_seed).to(batch.input_ids.device) if examples else batch

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean loss over the batch's written tokens, () float32.

        Raises:
            NotFinite: The teacher computes what is no number.
        """
        return live_loss(model, batch, self.teacher, self.writer.tokenizer.vocab_size, self.options)


def open_teaching(
    task: "Task", task_folder: Path, base_dir: Path, data: "TrainingData", options: "DistillationOptions"
) -> Teaching | None:
    """The teacher that the options name; None where they name none.

    Args:
        base_dir: The student's base.
        data: What it is trained on.

    Raises:
        UsageError: The teacher does not fit the student.
        NotFinite: One of its weights is no number.
    """
    if not options.has_teacher:
        return None
    texts = (row.text for row in read_dataset(TaskFolder(task_folder).split_path("train")))
    teacher = open_teacher(options.teacher_model, task, base_dir, texts)
    longest = data.max_tokens if options.on_policy else max(len(example.input_ids) for example in data.train)
    if longest > teacher.context_length:
        raise UsageError(
            f"the teacher {teacher.name} reads {teacher.context_length} tokens, the longest training example has"
            f" {longest}",
            f"set student.max_tokens = {teacher.context_length}, or name a teacher with a longer context",
        )
    tokenizer = FileTokenizer(base_dir / "tokenizer.json")
    prefix = join_ids(prefix_segments(task.prompt_spec(), tokenizer.template), tokenizer.encode)
    return Teaching(teacher, Writer(task, tokenizer, len(prefix), data.max_tokens), options)
