"""Any BERT-like model is an encoder student: its length, layers, padding, merge, export and answers."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_fixtures import LABELS, sentence, write_task_folder
from encoder_kinds import KINDS, write_kind
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import FNetConfig, FNetModel

from appliance.engines.engine import Request
from appliance.engines.onnx_encoder import OnnxEncoderEngine
from appliance.ground.errors import UsageError
from appliance.models.manifest import FileEntry, Manifest, model_identity, rewrite_manifest
from appliance.tasks.taskfile import load_task
from export.onnx.encoder import ExportedEncoder, export_encoder, torch_logits
from training.distill import distil
from training.options import ENCODER_DEFAULTS, AdapterOptions
from training.preflight import UnfitBase
from training.students.encoder.examples import pad
from training.students.encoder.merge import load_student, merge_encoder
from training.students.encoder.model import (
    EncoderClassifier,
    encoder_class,
    find_base,
    linear_names,
    load_encoder,
    load_tokenizer,
    longest_text,
    pooling_of,
    refuse_odd_encoder,
)
from training.students.encoder.student import open_encoder, predict_logits

OPTIONS = replace(
    ENCODER_DEFAULTS, epochs=2, learning_rate=5e-3, batch_rows=8, adapter=AdapterOptions(4, 8, 0.1, 0, "float32")
)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kinds")
    for kind in KINDS:
        write_kind(root / kind, kind)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_has_one_vector_whatever_lies_beside_it(bases: Path, kind: str) -> None:
    model = EncoderClassifier(load_encoder(bases / kind), 3).eval()
    tokenizer = load_tokenizer(bases / kind, 64)
    texts = [tokenizer.encode(text).ids for text in ("card", "please help i want to card lost today yes", "money back")]
    with torch.inference_mode():
        together = model(*pad(texts))
        alone = torch.cat([model(*pad([ids])) for ids in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_text_is_the_longest_that_the_model_reads(bases: Path, kind: str) -> None:
    length = longest_text(bases / kind)
    assert length == KINDS[kind].context_length
    encoder = load_encoder(bases / kind)
    with torch.inference_mode():
        assert encoder(input_ids=torch.full((1, length), 7)).last_hidden_state.shape == (1, length, 32)
    linear = {name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)}
    assert linear
    assert {name.rpartition(".")[2] for name in linear} == set(linear_names(encoder))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ModernBERT"])
def test_a_student_of_any_kind_is_merged_exported_and_answers_alike(bases: Path, tmp_path: Path, kind: str) -> None:
    folder = write_task_folder(tmp_path / "task", bases / kind, rows=18)
    task = load_task(folder)
    distil(task, folder, folder / "run", OPTIONS)
    merge_encoder(folder / "run", folder / "merged")
    texts = [sentence(LABELS[number % 3], number) for number in range(30, 42)]
    tokenizer = load_tokenizer(bases / kind, 64)
    token_ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    adapted = predict_logits(load_student(folder / "run", find_base(str(bases / kind))), token_ids).numpy()
    merged = torch_logits(ExportedEncoder(folder / "merged"), token_ids, len(LABELS))
    np.testing.assert_allclose(merged, adapted, atol=1e-4)
    for quantization in ("fp32", "int8"):
        out_dir = folder / quantization
        metrics = export_encoder(folder / "merged", out_dir, quantization, folder, folder / "graph.onnx")
        assert float(metrics["agreement"]) >= 0.99
        files = {"model.onnx": FileEntry(1, "0" * 64)}
        manifest = Manifest("", "a", "encoder", "onnx", "requests", "t" * 64, quantization, "cpu", files=files)
        rewrite_manifest(out_dir, replace(manifest, identity=model_identity(manifest)))
    engine = OnnxEncoderEngine(folder / "fp32", task, 1)
    assert engine.context_length == KINDS[kind].context_length
    answers = [result.answer for result in engine.answer(Request(str(n), text) for n, text in enumerate(texts))]
    long = next(iter(engine.answer([Request("long", " ".join(["card lost please"] * 60))])))
    engine.close()
    assert [answer["label"] for answer in answers if answer] == [LABELS[row] for row in merged.argmax(1)]
    assert long.error == "too_long"


def test_an_encoder_that_is_none_is_refused_by_its_kind(tmp_path: Path) -> None:
    for kind, message in (
        ("llama", "which is no encoder"),
        ("bart", "no encoder"),
        ("x", "transformers .* does not know"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
        with pytest.raises(UsageError, match=message):
            encoder_class(tmp_path)


@pytest.mark.slow
def test_a_tensor_that_an_encoder_lacks_is_named_and_its_head_is_not_missed(bases: Path, tmp_path: Path) -> None:
    shutil.copytree(bases / "RoBERTa", tmp_path / "base")
    weights = load_file(str(bases / "RoBERTa" / "model.safetensors"))
    name = "roberta.encoder.layer.1.attention.self.query.weight"
    save_file({key: each for key, each in weights.items() if key != name}, str(tmp_path / "base" / "model.safetensors"))
    with pytest.raises(UnfitBase, match=r"lack 1 tensor of the model: encoder\.layer\.1\.attention\.self\.query"):
        load_encoder(tmp_path / "base")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, "FNet"])
def test_an_encoder_that_takes_no_account_of_padding_is_refused(bases: Path, tmp_path: Path, kind: str) -> None:
    if kind != "FNet":
        model = EncoderClassifier(load_encoder(bases / kind), 3).eval()
        refuse_odd_encoder(model, kind, KINDS[kind].context_length)
        return
    config = FNetConfig(vocab_size=40, hidden_size=32, num_hidden_layers=2, intermediate_size=64)
    with pytest.raises(UsageError, match="reads a text otherwise where a longer one lies beside it"):
        refuse_odd_encoder(EncoderClassifier(FNetModel(config), 3).eval(), kind, 16)


@pytest.mark.slow
def test_texts_longer_than_the_base_reads_are_refused_before_the_training(bases: Path, tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "task", bases / "RoBERTa", rows=6)
    path = folder / "task.toml"
    path.write_text(path.read_text().replace("max_tokens = 32", "max_tokens = 66"))
    with pytest.raises(UsageError, match=r"student\.max_tokens is 66, and .* reads 64 tokens"):
        open_encoder(load_task(folder), folder)


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "cls"}, "first"),
        ({"pooling_mode": "mean"}, "mean"),
        (None, "mean"),
    ],
)
def test_the_text_vector_is_made_as_the_base_says(
    tmp_path: Path, settings: dict[str, object] | None, pooling: str
) -> None:
    if settings:
        (tmp_path / "1_Pooling").mkdir()
        (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    assert pooling_of(tmp_path) == pooling
