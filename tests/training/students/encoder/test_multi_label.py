"""An encoder that gives a document all labels that fit, from the task file to the gate."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_fixtures import LABELS, WORDS, write_base

from appliance.engines.engine import Request
from appliance.engines.onnx_encoder import EncoderArtifactError, OnnxEncoderEngine
from appliance.ground.errors import UsageError
from appliance.models.calibration import read_calibration
from appliance.models.manifest import FileEntry, Manifest, model_identity, rewrite_manifest
from appliance.quality.gate import judge_results
from appliance.quality.label_thresholds import USUAL_THRESHOLD, best_threshold, calibrate_labels
from appliance.tasks.answer_findings import answer_problems
from appliance.tasks.chat import system_text
from appliance.tasks.labels import LabelledRow, check_rows, text_hash
from appliance.tasks.schema import answer_schema
from appliance.tasks.task import Task, task_hash
from appliance.tasks.taskfile import load_task
from export.onnx.encoder import export_encoder
from training.distill import distil
from training.losses import label_cross_entropy
from training.options import ENCODER_DEFAULTS, AdapterOptions
from training.students.encoder.examples import target_labels
from training.students.encoder.merge import merge_encoder

TASK = (
    'version = 1\nname = "topics"\nkind = "classify"\ninstruction = "What is it about?"\nmulti_label = true\n'
    f'labels = [{", ".join(f"{label!r}" for label in LABELS)}]\n\n[student]\nfamily = "encoder"\nmax_tokens = 32\n'
)


def write_task(folder: Path, base: Path | str = "base") -> Task:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.toml").write_text(f'{TASK}base = "{base}"\n')
    return load_task(folder)


def row(number: int) -> LabelledRow:
    """A text about none, one, two or all of the labels."""
    labels = [label for place, label in enumerate(LABELS) if number >> place & 1]
    words = [word for label in labels for word in (WORDS[label][number % 5], WORDS[label][(number // 3 + 1) % 5])]
    text = " ".join(["please", *words, *["today", "yes", "my"][: number % 4]])
    return LabelledRow(f"{number}.txt", text, {"label": labels or None}, text_hash(text))


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return write_task(tmp_path / "task")


def test_an_answer_is_a_list_of_the_labels(task: Task) -> None:
    assert answer_problems(task, {"label": ["card lost", "money back"]}) == []
    assert answer_problems(task, {"label": None}) == []
    assert answer_problems(task, {"label": ["card lost", "cards"]}) == [
        "label has 'cards', which is not one of its values"
    ]
    assert answer_problems(task, {"label": "card lost"}) == ["label is not a list of strings"]
    with pytest.raises(UsageError, match="label has 'cards', which is not one of its values"):
        check_rows(task, [replace(row(1), answer={"label": ["cards"]})])
    assert answer_schema(task)["properties"]["label"]["items"] == {"enum": list(LABELS)}  # type: ignore[index]
    assert '{"label": ["..."]}' in system_text(task)


def test_one_label_and_several_are_two_tasks(task: Task) -> None:
    assert task_hash(replace(task, multi_label=False)) != task_hash(task)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("multi_label = true", 'multi_label = true\nabstain = "none"'), "abstain: an empty list says that no label"),
    ],
)
def test_what_does_not_go_with_several_labels_is_named(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    (tmp_path / "task.toml").write_text(TASK.replace(*change))
    with pytest.raises(UsageError, match=problem):
        load_task(tmp_path)


def test_targets_are_one_for_each_label_and_a_foreign_one_is_refused() -> None:
    assert target_labels(row(5), LABELS) == [1, 0, 1]
    assert target_labels(row(0), LABELS) == [0, 0, 0]
    with pytest.raises(UsageError, match="names the label 'cards'"):
        target_labels(replace(row(1), answer={"label": ["cards"]}), LABELS)


def test_the_loss_is_that_of_each_label_by_itself() -> None:
    logits, targets = torch.tensor([[2.0, -1.0], [0.0, 3.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    shares = 1 / (1 + np.exp(-logits.numpy()))
    wanted = targets.numpy()
    by_hand = -(wanted * np.log(shares) + (1 - wanted) * np.log(1 - shares)).sum(1).mean()
    assert float(label_cross_entropy(logits, targets)) == pytest.approx(by_hand, rel=1e-6)


def test_a_threshold_is_where_f1_is_highest_and_the_usual_one_where_few_rows_say() -> None:
    shares = np.array([0.9, 0.8, 0.4, 0.35, 0.3, 0.2, 0.1, 0.1, 0.05, 0.01])
    wanted = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0])
    assert best_threshold(shares, wanted) == pytest.approx(0.25)
    assert best_threshold(shares, np.array([1, *[0] * 9])) == USUAL_THRESHOLD
    fitted = calibrate_labels(np.zeros((0, 3)), np.zeros((0, 3)))
    assert (fitted.temperature, fitted.thresholds) == (1.0, (USUAL_THRESHOLD,) * 3)


@pytest.mark.slow
def test_a_student_of_several_labels_is_trained_exported_run_and_judged(tmp_path: Path) -> None:
    folder = tmp_path / "task"
    task = write_task(folder, write_base(tmp_path / "base"))
    (folder / "dataset").mkdir()
    for name, numbers in (("train", range(96)), ("validation", range(96, 144)), ("test", range(144, 176))):
        lines = [row(number).line() for number in numbers]
        (folder / "dataset" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    adapter = AdapterOptions(8, 16, 0.0, 0, "float32")
    options = replace(ENCODER_DEFAULTS, epochs=15, learning_rate=1e-2, batch_rows=8, adapter=adapter)
    assert distil(task, folder, folder / "run", options)["validation_accuracy"] > 0.8
    merge_encoder(folder / "run", folder / "merged")
    out_dir = folder / "int8"
    assert float(export_encoder(folder / "merged", out_dir, "int8", folder, folder / "graph.onnx")["agreement"]) > 0.98
    assert len(read_calibration(out_dir).thresholds) == 3
    manifest = Manifest(
        "", "a", "encoder", "onnx", "topics", "t" * 64, "int8", "cpu", files={"m": FileEntry(1, "0" * 64)}
    )
    rewrite_manifest(out_dir, replace(manifest, identity=model_identity(manifest)))
    engine = OnnxEncoderEngine(out_dir, task, 1)
    rows = [row(number) for number in range(144, 176)]
    results = list(engine.answer(Request(each.document, each.text) for each in rows))
    engine.close()
    assert all(result.answer and 0.4 < result.confidence["label"] <= 1 for result in results)
    report = judge_results(task, rows, results)
    assert report.counts.accuracy > 0.8
    with pytest.raises(EncoderArtifactError, match="gives a document several labels, the task topics one"):
        OnnxEncoderEngine(out_dir, replace(task, multi_label=False), 1)
    settings = json.loads((out_dir / "config.json").read_text())
    assert settings["problem_type"] == "multi_label_classification"
