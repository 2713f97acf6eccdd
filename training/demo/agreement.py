"""Do the four shapes of one student say the same: adapter, merged weights, GGUF and ONNX?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.models.model_config import folder_context
from appliance.tasks.folder import RunFolder
from appliance.tasks.linecode import Answer

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from appliance.ground.settings import Settings
    from appliance.tasks.task import Task

Answers = list[Answer | None]


def torch_answers(model: "PreTrainedModel | PeftModel", task: "Task", model_dir: Path, texts: Sequence[str]) -> Answers:
    """What a model in torch answers, by the same prompt and the same line grammar as every engine.

    Args:
        model_dir: Folder with the tokenizer.
    """
    from appliance.engines.tokenizer import model_tokenizer
    from training.students.decoder.generation import generate

    tokenizer = model_tokenizer(model_dir)
    return [result.answer for result in generate(model, task, tokenizer, texts, folder_context(model_dir))]


def base_answers(task: "Task", base_dir: Path, texts: Sequence[str]) -> Answers:
    """What the base answers that nothing has been taught about the task."""
    from training.base_model import load_base

    return torch_answers(load_base(base_dir), task, base_dir, texts)


def adapter_answers(task: "Task", base_dir: Path, run_dir: Path, texts: Sequence[str]) -> Answers:
    """What the base with the run's adapter beside its weights answers."""
    from training.base_model import base_hash, load_base
    from training.lora import load_adapter

    model = load_adapter(load_base(base_dir), base_hash(base_dir), RunFolder(run_dir).adapter_dir)
    return torch_answers(model, task, base_dir, texts)


def merged_answers(task: "Task", merged_dir: Path, texts: Sequence[str]) -> Answers:
    """What the merged 16-bit weights answer."""
    from training.base_model import load_base

    return torch_answers(load_base(merged_dir), task, merged_dir, texts)


def artifact_answers(settings: "Settings", task: "Task", artifact_dir: Path, texts: Sequence[str]) -> Answers:
    """What an exported model answers in its own engine."""
    from appliance.answering.local import answer_texts

    return [result.answer for result in answer_texts(settings, artifact_dir, task, texts)]
