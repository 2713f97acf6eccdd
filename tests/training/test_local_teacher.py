"""Local teachers: found, compared with the student, refused where their distributions would mean something else."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from decoder_fixtures import order_row, write_base, write_task_folder
from safetensors.torch import load_file, save_file
from tokenizer_fixtures import add_image_token, byte_level, write_tokenizer

from appliance.engines.tokenizer import FileTokenizer
from appliance.ground.errors import ApplianceError, UsageError
from appliance.models.manifest import read_manifest
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task
from training.commands.train import command as train_command
from training.commands.train import train
from training.distillation_options import DistillationOptions, distillation_options
from training.divergences import VocabularyMismatch
from training.local_teacher import base_tokenizer, find_teacher, open_teacher, refuse_other_vocabulary
from training.merge import merge, pack
from training.options import options_for, read_options
from training.run_folder import new_run, write_record

TEXTS = [order_row(number).text for number in range(4)]


@pytest.fixture(scope="module")
def merged_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose merged weights are those of its base."""
    folder = tmp_path_factory.mktemp("teacher")
    base_dir = write_base(folder / "base")
    write_task_folder(folder, base_dir, rows=8)
    run_dir = folder / "runs" / "20260101-000000"
    staging = run_dir / "staging"
    staging.mkdir(parents=True)
    for name in ("task.toml", "record.json"):
        (run_dir / name).write_bytes((folder / "task.toml").read_bytes() if name == "task.toml" else b"{}")
    for path in [*base_dir.iterdir(), folder / "task.toml"]:
        shutil.copyfile(path, staging / path.name)
    pack(load_task(folder), staging, run_dir / "merged", {"base": "tiny"}, "stillroom-1")
    return run_dir


@pytest.fixture(scope="module")
def base_dir(merged_run: Path) -> Path:
    return merged_run.parent.parent / "base"


@pytest.fixture
def task(merged_run: Path) -> Task:
    return load_task(merged_run)


def other_base(base_dir: Path, to: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """A copy of the base whose tokenizer.json is changed."""
    shutil.copytree(base_dir, to)
    tokenizer = json.loads((to / "tokenizer.json").read_text(encoding="utf-8"))
    change(tokenizer)
    (to / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return to


def test_a_teacher_is_a_folder_a_run_or_a_task_folder(merged_run: Path, base_dir: Path, task: Task) -> None:
    merged = merged_run / "merged"
    assert find_teacher(str(merged)) == find_teacher(str(merged_run)) == merged
    assert find_teacher(str(merged_run.parent.parent)) == merged
    assert find_teacher(str(base_dir)) == base_dir
    teacher = open_teacher(str(merged_run), task, base_dir, TEXTS)
    assert teacher.name == merged_run.name
    assert teacher.context_length == 256
    assert not any(weights.requires_grad for weights in teacher.model.parameters())


def test_a_run_that_is_not_merged_and_a_name_that_is_nothing_are_refused(tmp_path: Path, base_dir: Path) -> None:
    folder = write_task_folder(tmp_path / "task", base_dir)
    run_dir = new_run(folder)
    (run_dir / "record.json").write_text("{}")
    with pytest.raises(UsageError, match="has no merged weights"):
        find_teacher(str(run_dir))
    with pytest.raises(ApplianceError, match="nobody/knows-it"):
        find_teacher("nobody/knows-it")


def swap_two_pieces(tokenizer: dict) -> None:  # type: ignore[type-arg]
    vocabulary = tokenizer["model"]["vocab"]
    first, second = [piece for piece in vocabulary if piece.isalpha()][-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]


def forget_a_merge(tokenizer: dict) -> None:  # type: ignore[type-arg]
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][1:]


def add_a_token(tokenizer: dict) -> None:  # type: ignore[type-arg]
    number = max(tokenizer["model"]["vocab"].values()) + 1
    number = max(number, *(token["id"] + 1 for token in tokenizer["added_tokens"]))
    token = {"id": number, "content": "<extra>", "special": True}
    tokenizer["added_tokens"].append(
        {**token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    )


def lower_case(tokenizer: dict) -> None:  # type: ignore[type-arg]
    tokenizer["normalizer"] = {"type": "Lowercase"}


def compose(tokenizer: dict) -> None:  # type: ignore[type-arg]
    tokenizer["normalizer"] = {"type": "NFC"}


@pytest.mark.parametrize(
    "change", [swap_two_pieces, forget_a_merge, add_a_token, lower_case, compose], ids=lambda change: change.__name__
)
def test_tokenizers_that_differ_in_anything_that_matters_are_refused(
    base_dir: Path, tmp_path: Path, change: Callable[[dict[str, object]], None]
) -> None:
    other = other_base(base_dir, tmp_path / "other", change)
    with pytest.raises(VocabularyMismatch, match="teacher other"):
        refuse_other_vocabulary("other", FileTokenizer(base_dir / "tokenizer.json"), other, TEXTS)


def test_a_tokenizer_that_is_only_written_otherwise_is_the_same(base_dir: Path, tmp_path: Path) -> None:
    def rewritten(tokenizer: dict) -> None:  # type: ignore[type-arg]
        tokenizer["truncation"] = {"max_length": 5, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}

    other = other_base(base_dir, tmp_path / "other", rewritten)
    refuse_other_vocabulary("other", FileTokenizer(base_dir / "tokenizer.json"), other, TEXTS)


def test_a_token_without_a_row_is_none_of_the_common_vocabulary(
    merged_run: Path, base_dir: Path, tmp_path: Path, task: Task
) -> None:
    shutil.copytree(base_dir, tmp_path / "family")
    add_image_token(tmp_path / "family")
    for teacher in (merged_run, tmp_path / "family"):  # a merged student goes without the token
        open_teacher(str(teacher), task, tmp_path / "family", [])
    rows = base_tokenizer(base_dir).vocab_size
    assert base_tokenizer(tmp_path / "family").vocab_size == rows
    assert FileTokenizer(tmp_path / "family" / "tokenizer.json").vocab_size == rows + 1


def test_another_prompt_template_is_refused(base_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(base_dir, tmp_path / "plain")
    write_tokenizer(tmp_path / "plain", byte_level())
    with pytest.raises(UsageError, match=r"the form plain-\d.*, the student those of the form stillroom-1"):
        refuse_other_vocabulary("plain", FileTokenizer(base_dir / "tokenizer.json"), tmp_path / "plain", TEXTS)


def test_a_teacher_of_another_task_is_refused(merged_run: Path, base_dir: Path, tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "task", base_dir)
    text = (folder / "task.toml").read_text().replace("Read the order", "Read the letter")
    (folder / "task.toml").write_text(text)
    with pytest.raises(UsageError, match="was trained for the task orders, which asks otherwise than orders"):
        open_teacher(str(merged_run), load_task(folder), base_dir, TEXTS)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_teacher_with_a_weight_that_is_no_number_is_refused(
    base_dir: Path, tmp_path: Path, task: Task, value: float
) -> None:
    shutil.copytree(base_dir, tmp_path / "broken")
    path = tmp_path / "broken" / "model.safetensors"
    weights = load_file(str(path))
    name = sorted(weights)[3]
    weights[name].view(-1)[-1] = value
    save_file(weights, str(path), metadata={"format": "pt"})
    with pytest.raises(ApplianceError, match=name.replace(".", r"\.")):
        open_teacher(str(tmp_path / "broken"), task, base_dir, TEXTS)


def test_a_damaged_teacher_is_refused(merged_run: Path, base_dir: Path, tmp_path: Path, task: Task) -> None:
    shutil.copytree(merged_run / "merged", tmp_path / "merged")
    path = tmp_path / "merged" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ApplianceError, match=r"model\.safetensors has SHA-256"):
        open_teacher(str(tmp_path / "merged"), task, base_dir, TEXTS)


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ({"loss": "jsd"}, "the loss jsd needs a teacher"),
        ({"temperature": 2.0}, "--temperature has no use without a teacher"),
        ({"on_policy": 0.5}, "--on-policy has no use without a teacher"),
        ({"teacher_model": "t", "loss": "cross-entropy"}, "the loss cross-entropy has no use for a teacher"),
        ({"teacher_model": "t", "teacher_logits": "f"}, "a teacher's weights and stored logits are both named"),
        ({"teacher_logits": "f", "on_policy": 0.5}, "only a teacher's weights can score"),
        ({"teacher_model": "t", "beta": 0.5}, "--beta is for the loss jsd"),
        ({"teacher_model": "t", "loss": "jsd", "beta": 1.0}, "the beta is 1.0"),
        ({"teacher_model": "t", "temperature": float("nan")}, "the temperature is nan"),
        ({"teacher_model": "t", "temperature": 0.0}, "the temperature is 0.0"),
        ({"teacher_model": "t", "teacher_share": 0.0}, "the teacher share is 0.0"),
        ({"teacher_model": "t", "on_policy": 1.5}, "the on-policy share is 1.5"),
        ({"teacher_model": "t", "loss": "kl"}, "the loss 'kl' is unknown"),
        ({"teacher_model": "t", "on_policy": 0.5, "shard_base": True}, "--on-policy and --shard-base exclude"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_options_that_do_not_go_together_are_refused(requested: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        options_for("decoder", requested)


def test_an_encoder_takes_no_teacher() -> None:
    with pytest.raises(UsageError, match="--teacher-model is for decoder students"):
        options_for("encoder", {"teacher_model": "t"})


def test_a_loss_in_words() -> None:
    assert str(DistillationOptions()) == "cross-entropy"
    options = distillation_options({"teacher_model": "t", "loss": "jsd", "temperature": 2.0, "on_policy": 0.5})
    assert str(options) == "jsd, beta 0.5, temperature 2, 50 % on-policy"


def test_the_default_is_what_the_table_of_losses_found_best() -> None:
    assert str(distillation_options({"teacher_model": "t"})) == "forward-kl, temperature 2"
    assert str(distillation_options({"teacher_model": "t", "temperature": 1.0})) == "forward-kl"
    assert str(distillation_options({"teacher_model": "t", "loss": "reverse-kl"})) == "reverse-kl"


def test_a_student_learns_from_its_teacher_and_says_so(merged_run: Path, base_dir: Path, tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "task", base_dir, rows=8)
    words = f"{folder} --epochs 1 --rate 5e-3 --rank 4 --batch-tokens 512 --loss jsd --beta 0.3 --on-policy 0.5"
    result = CliRunner().invoke(train_command, [*words.split(), "--teacher-model", str(merged_run), "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["teacher_model"] == merged_run.name
    assert record["loss"] == "jsd, beta 0.3, 50 % on-policy"
    assert record["options"]["distillation"]["teacher_model"] == str(merged_run)
    run_dir = Path(record["run"])
    assert read_options(run_dir / "config.json").distillation.beta == 0.3
    merge(run_dir)
    lineage = read_manifest(run_dir / "merged").lineage
    assert (lineage["loss"], lineage["teacher_model"]) == (record["loss"], merged_run.name)
    assert re.fullmatch(r"[0-9a-f]{64}\+[0-9a-f]{64}", lineage["teacher_hash"])


@pytest.mark.slow
def test_a_run_goes_on_with_the_teacher_that_it_began_with_and_no_other(
    merged_run: Path, base_dir: Path, tmp_path: Path
) -> None:
    folder = write_task_folder(tmp_path / "task", base_dir, rows=8)
    teacher_dir = shutil.copytree(base_dir, tmp_path / "teacher")
    requested = {"epochs": 1, "rate": 1e-3, "rank": 2, "teacher_model": str(teacher_dir), "on_policy": 0.5}
    run_dir = new_run(folder, requested)
    write_record(run_dir, train(load_task(folder), folder, run_dir, requested), 1.0)
    first = load_file(str(run_dir / "adapter" / "adapter_model.safetensors"))
    again = new_run(folder, requested)
    train(load_task(folder), folder, again, requested)
    second = load_file(str(again / "adapter" / "adapter_model.safetensors"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    write_base(teacher_dir, seed=1)
    with pytest.raises(UsageError, match="the teacher has changed since the run"):
        train(load_task(folder), folder, again, {})


def test_a_teacher_with_a_shorter_context_is_refused(base_dir: Path, tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "task", base_dir, rows=8)
    teacher_dir = shutil.copytree(base_dir, tmp_path / "teacher")
    config = json.loads((teacher_dir / "config.json").read_text())
    factors = [1.0] * (config["head_dim"] // 2)
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": factors, "long_factor": factors, "factor": 12.8}
    rope["original_max_position_embeddings"] = 20  # beyond them, it would be computed with other factors
    (teacher_dir / "config.json").write_text(json.dumps({**config, "rope_parameters": rope}))
    with pytest.raises(UsageError, match=r"the teacher teacher reads 20 tokens, the longest training example has \d+"):
        train(load_task(folder), folder, new_run(folder), {"epochs": 1, "teacher_model": str(teacher_dir)})


def test_an_embedding_smaller_than_the_vocabulary_is_refused(base_dir: Path, tmp_path: Path, task: Task) -> None:
    shutil.copytree(base_dir, tmp_path / "small")
    path = tmp_path / "small" / "model.safetensors"
    weights = {
        name: tensor[:-5].clone() if "embed" in name else tensor for name, tensor in load_file(str(path)).items()
    }
    save_file(weights, str(path), metadata={"format": "pt"})
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    config["vocab_size"] -= 5
    (tmp_path / "small" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ApplianceError, match="embedding"):
        open_teacher(str(tmp_path / "small"), task, base_dir, TEXTS)
