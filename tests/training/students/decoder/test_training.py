"""Training a decoder student: learning, repeating, being killed and resumed, what is refused, merging."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from decoder_fixtures import cli, order_row, write_base, write_rows, write_task_folder
from safetensors.torch import load_file, save_file

from appliance.engines.tokenizer import FileTokenizer
from appliance.ground.errors import Interrupted, NotAllGood, ResourceError, UsageError
from appliance.models.manifest import read_manifest, verify_artifact
from appliance.tasks.taskfile import load_task
from training import distill, resources
from training.base_model import BaseMismatch, base_hash, find_base, load_base
from training.checkpoint import BrokenCheckpoint
from training.commands.train import train
from training.lora import load_adapter
from training.losses import Diverged
from training.memory_errors import OutOfMemory
from training.merge import merge
from training.metrics import Measurement
from training.options import TrainingOptions
from training.preflight import UnfitBase
from training.resources import TooLarge
from training.run_folder import exclusive_run, finished_run, new_run, write_record
from training.students.decoder import student
from training.students.decoder.examples import build_examples, pack
from training.students.decoder.forward import value_logits
from training.students.decoder.student import DecoderStudent
from training.target_check import check_targets
from training.verb_call import call_verb

REQUESTED = {
    "epochs": 3,
    "rate": 5e-3,
    "rank": 4,
    "batch_tokens": 512,
    "seed": 1,
    "precision": "float32",  # by default a measurement decides
}
OPTIONS = [word for name, value in REQUESTED.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture(scope="module")
def trained(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task folder with one finished run."""
    folder = write_task_folder(tmp_path_factory.mktemp("task"), base_dir)
    run_dir = run(folder)
    return run_dir.parent.parent


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """The same task folder without runs."""
    shutil.copytree(trained, tmp_path / "task", ignore=shutil.ignore_patterns("runs"))
    return tmp_path / "task"


def run(folder: Path, **changed: object) -> Path:
    run_dir = new_run(folder)
    best = train(load_task(folder), folder, run_dir, REQUESTED | changed)
    write_record(run_dir, best, 1.0)
    return run_dir


def adapter(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(str(run_dir / "adapter" / "adapter_model.safetensors"))


def epochs(run_dir: Path) -> list[Measurement]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines if "epoch" in line]


def same_adapter(first: Path, second: Path) -> bool:
    ours, theirs = adapter(first), adapter(second)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_learns_and_leaves_everything_that_repeats_it(trained: Path, base_dir: Path) -> None:
    run_dir = finished_run(trained)
    found = epochs(run_dir)
    assert [line["epoch"] for line in found] == [1, 2, 3]
    assert found[-1]["loss"] < 0.85 * found[0]["loss"]
    assert all({"step", "tokens", "lr", "validation_loss", "validation_values"} <= set(line) for line in found)
    record = json.loads((run_dir / "record.json").read_text())
    assert record["base_hash"] == base_hash(base_dir) == (run_dir / "adapter" / "base_hash").read_text().strip()
    assert record["options"]["learning_rate"] == 5e-3
    assert (run_dir / "task.toml").read_bytes() == (trained / "task.toml").read_bytes()
    assert {"torch", "peft"} <= set(record["versions"])
    assert str(base_dir.parent) not in (run_dir / "adapter" / "adapter_config.json").read_text()


def test_the_same_seed_gives_the_same_adapter_and_another_one_another(folder: Path, trained: Path) -> None:
    assert same_adapter(run(folder), finished_run(trained))
    assert not same_adapter(run(folder, seed=2), finished_run(trained))


def test_a_run_that_fails_in_the_middle_of_an_epoch_goes_on_to_the_same_end(
    folder: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_loss, calls = student.masked_cross_entropy, 0

    def failing_loss(*arguments: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise MemoryError
        return real_loss(*arguments)

    run_dir = new_run(folder)
    monkeypatch.setattr("training.metrics.SECONDS_A_CHECKPOINT", 0.0)
    monkeypatch.setattr(student, "masked_cross_entropy", failing_loss)
    with pytest.raises(OutOfMemory, match="the memory of this machine ran out while training") as ended:
        train(load_task(folder), folder, run_dir, REQUESTED)
    assert (
        ended.value.hint == "use --micro-batch-tokens 256, or --checkpointing, or --precision bfloat16 (in a new run)"
    )
    steps = epochs(finished_run(trained))[0]["step"]
    assert calls - 1 != steps  # the failing call counts validation batches too, so this is within an epoch
    train(load_task(folder), folder, run_dir, {})
    assert same_adapter(run_dir, finished_run(trained))
    assert epochs(run_dir) == epochs(finished_run(trained))


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_end(folder: Path, trained: Path) -> None:
    command = [sys.executable, "-m", "appliance.cli", "train", str(folder), *OPTIONS]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=os.environ)
    assert process.stderr is not None
    with process.stderr as lines:
        first = next(line for line in lines if not line.startswith("epoch 1:"))  # which tells how far it is
        process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.startswith("epoch 1 ")
    (run_dir,) = (folder / "runs").iterdir()
    assert not (run_dir / "record.json").exists()
    resumed = cli("train", folder, "--resume", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["run"] == str(run_dir)
    assert "epoch 3 " in resumed.stderr
    assert "epoch 1 " not in resumed.stderr
    assert same_adapter(run_dir, finished_run(trained))
    assert epochs(run_dir) == epochs(finished_run(trained))


def test_what_cannot_be_resumed_is_refused(folder: Path) -> None:
    nothing = cli("train", folder, "--resume")
    assert nothing.returncode == 2
    assert "has no unfinished run" in nothing.stderr
    options = cli("train", folder, "--resume", "--rank", "8")
    assert options.returncode == 2
    assert "--rank cannot be given with --resume" in options.stderr
    run_dir = new_run(folder)
    train(load_task(folder), folder, run_dir, REQUESTED | {"epochs": 1})
    write_rows(folder / "dataset" / "train.jsonl", [order_row(number) for number in range(4)])
    with pytest.raises(UsageError, match="the training rows have changed since the run"):
        train(load_task(folder), folder, run_dir, {})
    config = json.loads((run_dir / "config.json").read_text())
    (run_dir / "config.json").write_text(json.dumps({**config, "version": 2}))
    with pytest.raises(UsageError, match="was begun by another version of Stillroom"):
        train(load_task(folder), folder, run_dir, {})


def test_an_unfinished_run_of_an_earlier_version_is_refused_and_stays(folder: Path) -> None:
    run_dir = new_run(folder)
    (run_dir / "requested_options.json").rename(run_dir / "chosen.json")
    with pytest.raises(UsageError, match=f"the run {run_dir.name} was begun by another version of Stillroom"):
        call("train", folder, "--resume")
    assert run_dir.is_dir()


def call(*arguments: object) -> str:
    """The command in this process; its errors come out as they are."""
    return call_verb(*map(str, arguments))


def test_a_run_killed_before_it_resolved_its_options_goes_on_with_those_that_were_typed(folder: Path) -> None:
    run_dir = new_run(folder, {"epochs": 1, "rank": 2, "batch_tokens": 512})
    record = json.loads(call("train", folder, "--resume", "--json"))
    assert record["run"] == str(run_dir)
    assert (record["options"]["epochs"], record["options"]["adapter"]["rank"]) == (1, 2)


def test_a_refused_run_leaves_nothing_that_a_resumed_one_would_take_up(folder: Path) -> None:
    unfinished = new_run(folder, REQUESTED)
    with pytest.raises(UsageError, match=r"the learning rate 5\.0 is not between 0 and 1"):
        call("train", folder, "--rate", "5")
    write_rows(folder / "dataset" / "train.jsonl", [])
    with pytest.raises(UsageError, match=r"dataset/train\.jsonl has no rows"):
        call("train", folder)
    assert list((folder / "runs").iterdir()) == [unfinished]


def test_two_processes_do_not_train_the_same_run(folder: Path) -> None:
    run_dir = new_run(folder, REQUESTED)
    with (
        exclusive_run(run_dir),
        pytest.raises(ResourceError, match=f"the run {run_dir.name} is being trained by"),
    ):
        call("train", folder, "--resume")


def test_an_interrupted_run_says_how_it_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(student, "masked_cross_entropy", interrupted)
    with pytest.raises(Interrupted) as ended:
        call("train", folder, *OPTIONS)
    assert ended.value.exit_code == 130
    assert ended.value.hint == f"`stillroom train {folder} --resume` continues it"


def test_a_base_with_a_weight_that_is_no_number_is_refused_before_the_first_step(
    folder: Path, base_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(base_dir, tmp_path / "broken")
    weights = load_file(str(base_dir / "model.safetensors"))
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = float("inf")
    save_file(weights, str(tmp_path / "broken" / "model.safetensors"), metadata={"format": "pt"})
    text = (folder / "task.toml").read_text().replace(str(base_dir), str(tmp_path / "broken"))
    (folder / "task.toml").write_text(text)
    before = sorted(folder.rglob("*"))
    with pytest.raises(UnfitBase, match=r"1 weight of .* in the tensor model\.layers\.0\.mlp\.up_proj\.weight"):
        call("train", folder)
    assert sorted(folder.rglob("*")) == before


def test_a_run_that_the_machine_cannot_hold_is_refused_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "available_memory_bytes", lambda: 100_000_000)
    with pytest.raises(TooLarge, match="this machine has 100 MB free") as ended:
        call("train", folder)
    assert ended.value.exit_code == 4
    assert "resume" not in ended.value.hint
    assert not (folder / "runs").exists()


def with_other_activation(folder: Path, base_dir: Path, directory: Path) -> None:
    """Gives the task a base that llama.cpp cannot compute."""
    shutil.copytree(base_dir, directory)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    (folder / "task.toml").write_text((folder / "task.toml").read_text().replace(str(base_dir), str(directory)))


def test_a_target_that_the_base_cannot_become_is_refused_before_the_training(
    folder: Path, base_dir: Path, tmp_path: Path
) -> None:
    with_other_activation(folder, base_dir, tmp_path / "other")
    with pytest.raises(UsageError, match=r"the student could not become gguf-q8_0: .*relu"):
        call("train", folder, "--target", "gguf-q8_0", "--target", "onnx")
    with pytest.raises(UsageError, match="unknown export target gguf-q9"):
        call("train", folder, "--target", "gguf-q9")
    assert not (folder / "runs").exists()


def test_what_a_base_cannot_become_is_told_where_no_target_is_named(
    folder: Path, base_dir: Path, tmp_path: Path
) -> None:
    with_other_activation(folder, base_dir, tmp_path / "other")
    sentences: list[str] = []
    check_targets(tmp_path / "other", [], "decoder", sentences.append)
    (sentence,) = sentences
    assert sentence.startswith("a student of this base cannot become GGUF: ")
    with pytest.raises(NotAllGood, match="other cannot become gguf-f16, gguf-q8_0, gguf-q4_k_m"):
        call("export", tmp_path / "other", "--check")


def test_a_run_whose_gradient_is_no_number_ends_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_loss = student.masked_cross_entropy
    monkeypatch.setattr(student, "masked_cross_entropy", lambda *tensors: real_loss(*tensors) * float("inf"))
    with pytest.raises(Diverged, match="the gradient of step 1 is not finite"):
        run(folder)
    with pytest.raises(UsageError, match="is not a finished run"):
        merge(next((folder / "runs").iterdir()))


def test_a_full_disk_ends_the_run_and_it_goes_on_when_there_is_room(
    folder: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails as on a full disk
    run_dir = new_run(folder, REQUESTED)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, largest[1]))
        with pytest.raises(ResourceError, match=r"cannot write .*checkpoint\.safetensors"):
            train(load_task(folder), folder, run_dir, REQUESTED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, largest)
        signal.signal(signal.SIGXFSZ, before)
    assert not list(run_dir.glob("*.part"))
    train(load_task(folder), folder, run_dir, {})
    assert same_adapter(run_dir, finished_run(trained))
    assert epochs(run_dir) == epochs(finished_run(trained))


def test_a_damaged_checkpoint_is_named(folder: Path) -> None:
    run_dir = new_run(folder)
    train(load_task(folder), folder, run_dir, REQUESTED | {"epochs": 1})
    path = run_dir / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BrokenCheckpoint, match=f"the checkpoint of {run_dir.name} is damaged"):
        train(load_task(folder), folder, run_dir, {})


def test_a_time_budget_ends_the_run_within_an_epoch(folder: Path) -> None:
    run_dir = run(folder, seconds=0.001, epochs=50)
    (found,) = epochs(run_dir)
    assert found["step"] < found["steps"]
    assert (run_dir / "adapter" / "adapter_model.safetensors").is_file()


def test_training_ends_when_validation_no_longer_gains(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worse = iter(range(100))
    monkeypatch.setattr(
        DecoderStudent, "validate", lambda *_: {"validation_values": 0.5, "validation_loss": 1.0 + next(worse)}
    )
    options = replace(TrainingOptions(), epochs=20, patience=2, learning_rate=1e-3)
    run_dir = new_run(folder)
    best = distill.distil(load_task(folder), folder, run_dir, options)
    assert best["epoch"] == 1
    assert len(epochs(run_dir)) == 3


def test_auto_tries_three_rates_and_takes_one(folder: Path) -> None:
    run_dir = run(folder, rate="auto", epochs=1)
    assert json.loads((run_dir / "config.json").read_text())["options"]["learning_rate"] in (2e-3, 5e-3, 1e-2)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('base = "no/such-model"', "the base model no/such-model is not on this machine"),
        ('base = "{empty}"', "has no config.json"),
        ('base = "{base}"\nmax_tokens = 20', "none of the 32 training rows fits into 20 tokens"),
    ],
    ids=["unknown base", "empty folder", "too long"],
)
def test_what_cannot_be_trained_is_refused(
    folder: Path, base_dir: Path, tmp_path: Path, setting: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    text = (folder / "task.toml").read_text().partition("[student]")[0]
    setting = setting.format(base=base_dir, empty=tmp_path / "empty")
    (folder / "task.toml").write_text(f"{text}[student]\n{setting}\n")
    with pytest.raises(UsageError, match=message):
        run(folder)


def test_a_missing_dataset_is_said(folder: Path) -> None:
    shutil.rmtree(folder / "dataset")
    with pytest.raises(UsageError, match=r"dataset/train.jsonl is missing"):
        run(folder)


def test_the_variable_stands_in_for_the_packaged_base(base_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLROOM_BASE", str(base_dir))
    assert find_base("stillroom-base") == base_dir


@pytest.mark.slow
def test_merged_weights_answer_as_the_adapter_does(trained: Path, base_dir: Path) -> None:
    run_dir = finished_run(trained)
    found = cli("merge", trained, "--json")
    assert found.returncode == 0, found.stderr
    merged_dir = run_dir / "merged"
    manifest = verify_artifact(merged_dir)
    assert json.loads(found.stdout) == {"merged": str(merged_dir), "identity": manifest.identity}
    assert (manifest.format, manifest.family, manifest.prompt_form) == ("merged", "decoder", "stillroom-1")
    copied = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert set(manifest.files) == {"model.safetensors", "task.toml", *copied}
    assert manifest.lineage["base"] == "tiny"
    assert manifest.lineage["base_hash"] == base_hash(base_dir)
    assert manifest.lineage["teacher"] == "teacher-1"
    tokenizer = FileTokenizer(merged_dir / "tokenizer.json")
    task = load_task(merged_dir)
    rows = [order_row(number) for number in range(40, 48)]
    batch = pack(build_examples(task, rows, tokenizer.template, tokenizer.encode))
    adapted = load_adapter(load_base(base_dir), base_hash(base_dir), run_dir / "adapter")
    merged = load_base(merged_dir)
    with torch.inference_mode():
        expected, logits = value_logits(adapted, batch), value_logits(merged, batch)
    # Weights are rounded to 11 bits: logits of size 10 move by some hundredths.
    assert torch.allclose(logits, expected, atol=0.05)
    assert (logits.argmax(-1) == expected.argmax(-1)).float().mean() >= 0.98


@pytest.mark.slow
def test_an_adapter_refuses_every_base_but_its_own(trained: Path, base_dir: Path, tmp_path: Path) -> None:
    run_dir, other_dir = finished_run(trained), tmp_path / "other"
    shutil.copytree(base_dir, other_dir)
    weights = load_file(str(base_dir / "model.safetensors"))
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, str(other_dir / "model.safetensors"), metadata={"format": "pt"})
    before = read_manifest(run_dir / "merged").identity if (run_dir / "merged").exists() else None
    with pytest.raises(BaseMismatch, match=r"belongs to base weights [0-9a-f]{16}, these are [0-9a-f]{16}"):
        merge(run_dir, other_dir)
    refused = cli("merge", run_dir, "--base", other_dir)
    assert refused.returncode == 1
    assert "belongs to base weights" in refused.stderr
    after = read_manifest(run_dir / "merged").identity if (run_dir / "merged").exists() else None
    assert before == after


@pytest.mark.slow
def test_another_dataset_or_adapter_is_another_identity(folder: Path) -> None:
    identities = {merge(run(folder)).identity, merge(run(folder, seed=2)).identity}
    rows = [order_row(number) for number in range(31)]
    write_rows(folder / "dataset" / "train.jsonl", rows)
    identities.add(merge(run(folder)).identity)
    assert len(identities) == 3
    assert merge(finished_run(folder)).identity in identities


def test_a_student_names_the_teachers_of_the_rows_that_it_was_trained_on(folder: Path) -> None:
    run_dir = run(folder, epochs=1)
    write_rows(folder / "dataset" / "train.jsonl", [replace(order_row(0), teacher="teacher-2")])
    assert merge(run_dir).lineage["teacher"] == "teacher-1"


def test_an_unfinished_run_is_not_merged(folder: Path) -> None:
    run_dir = new_run(folder)
    train(load_task(folder), folder, run_dir, REQUESTED | {"epochs": 1})
    with pytest.raises(UsageError, match="is not a finished run"):
        merge(run_dir)
    refused = cli("merge", folder)
    assert refused.returncode == 2
    assert "holds no finished run" in refused.stderr
