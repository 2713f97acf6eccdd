"""Encoder students to ONNX and through the engine."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from encoder_fixtures import FILLERS, LABELS, make_row, sentence, write_base, write_rows, write_task_folder

from appliance.engines import onnx_encoder
from appliance.engines.engine import Request, Result
from appliance.engines.onnx_encoder import OnnxEncoderEngine
from appliance.ground.errors import ApplianceError, UsageError
from appliance.models.calibration import read_calibration, softmax
from appliance.models.manifest import FileEntry, Manifest, model_identity, read_manifest, rewrite_manifest
from appliance.tasks.folder import TaskFolder
from appliance.tasks.labels import read_dataset
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task
from export.onnx.encoder import ExportedEncoder, export_encoder, onnx_logits, read_validation, torch_logits
from training.distill import distil
from training.options import ENCODER_DEFAULTS, AdapterOptions
from training.students.encoder.merge import merge_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained, merged and exported tiny student."""
    root = tmp_path_factory.mktemp("encoder")
    folder = write_task_folder(root / "task", write_base(root / "base"))
    options = replace(
        ENCODER_DEFAULTS,
        epochs=15,
        learning_rate=5e-3,
        batch_rows=8,
        adapter=AdapterOptions(rank=4, alpha=8, dropout=0.1),
    )
    distil(load_task(folder), folder, folder / "run", options)
    merge_encoder(folder / "run", folder / "merged")
    for quantization in ("fp32", "int8"):
        metrics = export_encoder(folder / "merged", folder / quantization, quantization, folder, folder / "graph.onnx")
        (folder / quantization / "metrics.json").write_text(json.dumps(metrics))
        files = {"model.onnx": FileEntry(1, "0" * 64)}
        manifest = Manifest("", "cards", "encoder", "onnx", "cards", "t" * 64, quantization, "cpu", files=files)
        rewrite_manifest(folder / quantization, replace(manifest, identity=model_identity(manifest)))
    return folder


def long_task(folder: Path, long: str) -> Task:
    """The folder's task with this rule for long documents."""
    text = (folder / "task.toml").read_text(encoding="utf-8")
    path = folder / f"task-{long}.toml"
    limits = f'[input]\nmax_tokens = 20\nlong = "{long}"\n\n[student]'
    path.write_text(text.replace("[student]", limits), encoding="utf-8")
    return load_task(path)


def answers(folder: Path, task: Task, texts: list[str]) -> dict[str, Result]:
    """What the int8 engine says, by key."""
    engine = OnnxEncoderEngine(folder / "int8", task, 1)
    results = list(engine.answer(Request(str(number), text) for number, text in enumerate(texts)))
    engine.close()
    assert len(results) == len(texts)
    return {result.key: result for result in results}


def test_fp32_graph_equals_torch_on_padded_batches_of_any_length(folder: Path) -> None:
    generator = np.random.default_rng(0)
    token_ids = [[2, *generator.integers(5, 30, length).tolist(), 3] for length in (1, 2, 9, 17, 30, 50, 4)]
    expected = torch_logits(ExportedEncoder(folder / "merged"), token_ids, len(LABELS))
    logits = onnx_logits(folder / "fp32" / "model.onnx", token_ids, len(LABELS))
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_int8_names_the_labels_of_the_merged_weights(folder: Path) -> None:
    metrics = json.loads((folder / "int8" / "metrics.json").read_text())
    assert metrics["agreement"] >= 0.99
    assert metrics["texts"] == 48
    assert metrics["size_bytes"] < (folder / "fp32" / "model.onnx").stat().st_size


def test_calibration_belongs_to_the_quantized_logits(folder: Path) -> None:
    token_ids, targets = read_validation(folder, folder / "merged")
    logits = onnx_logits(folder / "int8" / "model.onnx", token_ids, len(LABELS))
    calibration = read_calibration(folder / "int8")
    assert calibration.rows == len(targets)
    confidence = softmax(logits, calibration.temperature).max(1)
    accuracy = (logits.argmax(1) == targets.argmax(1)).mean()
    assert abs(confidence.mean() - accuracy) < 0.1


def test_engine_answers_as_the_graph_in_any_batch(folder: Path) -> None:
    token_ids, _ = read_validation(folder, folder / "merged")
    texts = [sentence(LABELS[number % 3], number) for number in range(48, 96)]
    results = answers(folder, load_task(folder), texts)
    right = [results[str(number)].answer == {"label": LABELS[number % 3]} for number in range(48)]
    assert np.mean(right) >= 0.9
    assert all(0 < result.confidence["label"] <= 1 for result in results.values())
    assert [results[str(number)].prompt_tokens for number in range(48)] == [len(ids) for ids in token_ids]
    assert results["0"].raw == results["0"].answer["label"] if results["0"].answer else False


def test_rows_do_not_depend_on_their_neighbours(folder: Path) -> None:
    texts = [sentence(LABELS[number % 3], number) for number in range(24)] + ["card " * 25, "a", ""]
    together = answers(folder, load_task(folder), texts)
    for number, text in enumerate(texts):
        alone = answers(folder, load_task(folder), [text])["0"]
        beside = together[str(number)]
        assert (alone.answer, alone.confidence, alone.raw) == (beside.answer, beside.confidence, beside.raw)


@pytest.mark.parametrize(
    ("name", "broken", "match"),
    [
        ("config.json", "{", "cannot be read"),
        ("config.json", "[]", "no settings"),
        ("config.json", '{"id2label": {"0": "a", "2": "b"}, "max_position_embeddings": 64}', "lacks label '1'"),
        ("config.json", '{"id2label": {"0": "a"}, "max_position_embeddings": 64}', "not an encoder with 1 label"),
        ("config.json", '{"id2label": {"0": "a"}, "max_position_embeddings": "64"}', "no maximum length"),
        ("tokenizer.json", "{}", "cannot be read"),
    ],
)
def test_a_broken_artifact_is_refused_by_name(folder: Path, tmp_path: Path, name: str, broken: str, match: str) -> None:
    shutil.copytree(folder / "int8", tmp_path / "int8")
    (tmp_path / "int8" / name).write_text(broken, encoding="utf-8")
    with pytest.raises(ApplianceError, match=match):
        OnnxEncoderEngine(tmp_path / "int8", load_task(folder), 1)


def test_a_document_of_too_many_pieces_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_encoder, "MOST_WINDOWS", 3)
    results = answers(folder, long_task(folder, "window"), ["card " * 200, "my wallet is gone"])
    assert (results["0"].error, results["0"].prompt_tokens) == ("too_long", 200)
    assert results["1"].answer is not None


def test_engine_carries_the_manifests_identity(folder: Path) -> None:
    assert OnnxEncoderEngine(folder / "int8", load_task(folder), 1).identity == read_manifest(folder / "int8").identity


def test_a_document_beyond_the_limit_is_refused_and_the_others_are_answered(folder: Path) -> None:
    texts = ["card " * 40, "my wallet is gone", ""]
    results = answers(folder, long_task(folder, "refuse"), texts)
    assert results["0"].error == "too_long"
    assert "40 tokens" in results["0"].error_message
    assert results["1"].answer is not None
    assert results["2"].answer is not None


def test_a_long_document_is_read_in_windows(folder: Path) -> None:
    texts = [" ".join(["my card is lost please"] * 30)]
    results = answers(folder, long_task(folder, "window"), texts)
    assert results["0"].answer == {"label": "card lost"}
    assert results["0"].prompt_tokens > 150


def abstaining_task(folder: Path, into: Path, required: float = 0.8) -> Path:
    """A task folder like this one, whose student may say that it is too unsure."""
    shutil.copytree(folder / "dataset", into / "dataset")
    text = (folder / "task.toml").read_text(encoding="utf-8")
    changed = text.replace("labels = [", 'abstain = "somebody else"\nlabels = [', 1)
    (into / "task.toml").write_text(f"{changed}\n[readiness]\nrequired = {required}\n", encoding="utf-8")
    return into


def test_a_student_abstains_where_its_validation_rows_say_that_it_errs(folder: Path, tmp_path: Path) -> None:
    asking = abstaining_task(folder, tmp_path / "task")
    path = TaskFolder(asking).split_path("validation")
    # Of texts that say nothing of the matter, each label is right for one in three.
    strange = [" ".join(FILLERS[(number + step * 3) % 10] for step in range(4 + number % 5)) for number in range(48)]
    rows = [*read_dataset(path), *(make_row(text, LABELS[number % 3]) for number, text in enumerate(strange))]
    write_rows(path, rows)
    metrics = export_encoder(folder / "merged", tmp_path / "int8", "int8", asking, tmp_path / "graph.onnx")
    threshold = float(metrics["abstain_below"])
    assert 0 < threshold < 1
    shutil.copyfile(folder / "int8" / "manifest.json", tmp_path / "int8" / "manifest.json")
    engine = OnnxEncoderEngine(tmp_path / "int8", load_task(asking), 1)
    results = list(engine.answer(Request(str(number), row.text) for number, row in enumerate(rows)))
    engine.close()
    said = {result.key: (result.answer or {})["label"] for result in results}
    answered = [number for number in range(len(rows)) if said[str(number)] != "somebody else"]
    wrong = [number for number in answered if said[str(number)] != rows[number].answer["label"]]
    assert len(answered) < len(rows)
    assert len(wrong) <= 0.2 * len(answered)
    assert all(0 <= result.confidence["label"] <= 1 for result in results)


def test_without_a_label_for_it_or_errors_to_avoid_a_student_answers_everything(folder: Path, tmp_path: Path) -> None:
    assert read_calibration(folder / "int8").abstain_below == 0
    asking = abstaining_task(folder, tmp_path / "task", required=0.5)
    metrics = export_encoder(folder / "merged", tmp_path / "int8", "int8", asking, tmp_path / "graph.onnx")
    assert metrics["abstain_below"] == 0


def test_hostile_text_gets_a_row(folder: Path) -> None:
    results = answers(folder, load_task(folder), ["[PAD] [SEP] [CLS]", "\x1b[2J\x00", "\ud7ff" * 5, "🏦" * 300])
    assert all(result.answer is not None for result in results.values())


def test_a_folder_that_is_no_merged_encoder_is_refused(tmp_path: Path) -> None:
    write_base(tmp_path / "base")
    with pytest.raises(UsageError, match="not a merged encoder"):
        ExportedEncoder(tmp_path / "base")


def test_an_artifact_without_manifest_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "calibration.json", "model.onnx"):
        (tmp_path / name).write_bytes((folder / "int8" / name).read_bytes())
    with pytest.raises(ApplianceError, match=r"manifest\.json"):
        OnnxEncoderEngine(tmp_path, load_task(folder), 1)
