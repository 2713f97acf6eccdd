"""Decoder students to ONNX: one graph for prompts and single tokens, padding, int8, a real pretrained model."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from decoder_fixtures import exported_run
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from appliance.engines.onnx_session import open_session
from appliance.ground.errors import UsageError
from export.batches import Batch, padded_batches
from export.merged_model import read_config
from export.merged_weights import MergedWeights
from export.onnx import decoder
from export.onnx.decoder import DecoderExport, compare_graph, described_groups, export_decoder, onnx_logits
from export.onnx.decoder_graph import build_decoder
from export.onnx.decoder_layout import read_layout
from export.onnx.products import quantize_rows
from export.parity import ExportDisagrees
from export.reference import AGREEMENT_FLOOR, Reference, agrees, compare, read_reference
from export.samples import random_samples

# Logits are sums of some hundred float32 products, formed in another order.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_run(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def reference(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return read_reference(run_dir / "merged", run_dir.parent.parent, tmp_path_factory.mktemp("work") / "reference.f32")


def load(directory: Path) -> PreTrainedModel:
    """The model in torch."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(str(directory), dtype=torch.float32)
    return model.eval()


def alone(model: torch.nn.Module, input_ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits of one row by torch, without a batch, padding or cache."""
    with torch.inference_mode():
        return np.asarray(model(input_ids=torch.from_numpy(input_ids)[None], use_cache=False).logits[0])


@pytest.mark.parametrize("cuts", [[], [9], [1, 2, 30], list(range(1, 32))], ids=["whole", "half", "parts", "single"])
def test_padded_rows_of_different_lengths_equal_torch_on_each_row_alone(run_dir: Path, cuts: list[int]) -> None:
    model = load(run_dir / "merged")
    session = open_session(run_dir / "export" / "onnx-fp32" / "model.onnx", 0)
    (batch,) = padded_batches(random_samples(300))
    input_ids, mask = batch.input_ids, batch.mask
    logits = onnx_logits(session, input_ids, mask, cuts)
    for row in range(len(input_ids)):
        real = mask[row].astype(bool)
        np.testing.assert_allclose(logits[row][real], alone(model, input_ids[row][real]), atol=TOLERANCE)


def test_rows_may_have_padding_between_prompt_and_document(run_dir: Path) -> None:
    model = load(run_dir / "merged")
    session = open_session(run_dir / "export" / "onnx-fp32" / "model.onnx", 0)
    input_ids = np.random.default_rng(1).integers(0, 300, (2, 12))
    mask = np.ones_like(input_ids)
    mask[1, 4:9] = 0
    logits = onnx_logits(session, input_ids, mask, [4])
    np.testing.assert_allclose(logits[1][mask[1] > 0], alone(model, input_ids[1][mask[1] > 0]), atol=TOLERANCE)


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("llama", {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True}),
        ("llama", {"rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0,
                                       "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                       "original_max_position_embeddings": 64}}),
        ("mistral", {"sliding_window": 6, "head_dim": 16}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
        ("qwen3", {"head_dim": 32}),
        ("phi3", {"sliding_window": 7, "num_key_value_heads": 4}),
        ("phi3", {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}}),
        ("smollm3", {"no_rope_layers": [1, 0]}),
        ("olmo2", {}),
        ("granite", {"embedding_multiplier": 12.0, "attention_multiplier": 0.1, "residual_multiplier": 0.22,
                     "logits_scaling": 4.0}),
        ("gemma3_text", {"head_dim": 32, "query_pre_attn_scalar": 24, "sliding_window": 6,
                         "layer_types": ["sliding_attention", "full_attention"]}),
    ],
    ids=["llama-biases", "llama3-rope", "mistral", "qwen2", "qwen3", "phi3", "phi3-partial", "smollm3", "olmo2",
         "granite", "gemma3"],
)  # fmt: skip
def test_every_architecture_computes_what_transformers_does(
    model_type: str, settings: dict[str, object], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    shape = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
             "initializer_range": 0.1, "pad_token_id": 0}  # fmt: skip
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **{**shape, **settings}))
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "norm" in name or name.endswith("bias"):  # They begin as ones or zeros, which would hide a lost one.
                weights.add_(torch.randn_like(weights), alpha=0.3)
    model.save_pretrained(str(tmp_path))
    weights = MergedWeights(tmp_path)
    build_decoder(weights, read_layout(weights), "fp32")[0].save(tmp_path / "model.onnx")

    (batch,) = padded_batches(random_samples(300))
    logits = onnx_logits(open_session(tmp_path / "model.onnx", 1), batch.input_ids, batch.mask, [10, 20])
    for row in range(len(batch.input_ids)):
        real = batch.mask[row].astype(bool)
        expected = alone(model.eval(), batch.input_ids[row][real])
        np.testing.assert_allclose(logits[row][real], expected, atol=TOLERANCE * max(1, np.abs(expected).max()))


@pytest.mark.parametrize(
    ("model_type", "settings", "variant"),
    [
        ("gpt2", {}, "the architecture gpt2"),
        ("llama", {"hidden_act": "relu"}, "the activation relu"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "dynamic rotary"),
    ],
    ids=["architecture", "activation", "rope"],
)
def test_what_no_graph_is_written_for_is_refused_by_name(
    model_type: str, settings: dict[str, object], variant: str, tmp_path: Path
) -> None:
    shape = {"vocab_size": 30, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
             "num_attention_heads": 2, "num_key_value_heads": 2}  # fmt: skip
    AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **shape, **settings)).save_pretrained(
        str(tmp_path)
    )
    with pytest.raises(UsageError, match=f"no graph is written here for {variant}"):
        read_layout(MergedWeights(tmp_path))


def test_weights_beside_a_large_graph_are_read_as_those_within(run_dir: Path, tmp_path: Path) -> None:
    weights = MergedWeights(run_dir / "merged")
    graph = build_decoder(weights, read_layout(weights), "int8", ["head", "layer 1 qkv"])[0]
    (tmp_path / "whole").mkdir()
    graph.save(tmp_path / "whole" / "model.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.onnx.graph_file.LARGEST_SINGLE_FILE", 0)
        graph.save(tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx.data").stat().st_size > (tmp_path / "model.onnx").stat().st_size / 4
    input_ids = np.arange(5, 25).reshape(2, 10)
    results = [
        onnx_logits(open_session(folder / "model.onnx", 1), input_ids, np.ones_like(input_ids), [])
        for folder in (tmp_path, tmp_path / "whole")
    ]
    np.testing.assert_array_equal(*results)


def test_an_int8_row_does_not_depend_on_the_rows_beside_it(run_dir: Path) -> None:
    session = open_session(run_dir / "export" / "onnx-int8" / "model.onnx", 1)
    input_ids = np.random.default_rng(3).integers(0, 300, (4, 24))
    together = onnx_logits(session, input_ids, np.ones_like(input_ids), [])
    for row in range(4):
        single = onnx_logits(session, input_ids[row : row + 1], np.ones((1, 24), np.int64), [])
        np.testing.assert_array_equal(together[row], single[0])


def test_rows_keep_their_own_scale() -> None:
    matrix = np.array([[1.0, -2.0, 0.5], [100.0, 0.0, -25.0], [0.0, 0.0, 0.0]], np.float32)
    numbers, scales = quantize_rows(matrix)
    assert numbers.tolist() == [[64, -127, 32], [127, 0, -32], [0, 0, 0]]
    np.testing.assert_allclose(numbers * scales[:, None], matrix, atol=0.5 * 100 / 127)


def test_metrics_say_on_how_much_the_forms_were_compared(run_dir: Path) -> None:
    for name in ("onnx-fp32", "onnx-int8"):
        metrics = json.loads((run_dir / "export" / name / "manifest.json").read_text())["metrics"]["export"]
        assert (metrics["texts"], metrics["values"]) == (8, 24)
        assert metrics["tokens"] > 50
        assert min(metrics["agreement"], metrics["value_agreement"]) >= AGREEMENT_FLOOR
    assert metrics["fp32_groups"] == "none"


def test_int8_is_smaller_and_writes_the_same_values(run_dir: Path, reference: Reference) -> None:
    assert reference.is_task
    agreement = compare_graph(reference, run_dir / "export" / "onnx-int8" / "model.onnx")
    assert agreement.same_values == agreement.values
    sizes = [(run_dir / "export" / name / "model.onnx").stat().st_size for name in ("onnx-int8", "onnx-fp32")]
    assert sizes[0] < 0.7 * sizes[1]


def test_int8_keeps_the_products_wide_that_lose_most(
    run_dir: Path, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = MergedWeights(run_dir / "merged")
    stages: list[str] = []
    export = DecoderExport(weights, read_layout(weights), reference, stages.append)
    order, maxima = export.measure(tmp_path / "measured.onnx")
    assert sorted(order) == sorted(build_decoder(weights, export.layout, "int8")[1].groups)
    assert maxima["head"].shape == (64,)
    assert not (tmp_path / "measured.onnx").exists()
    answers = iter([False, True])
    monkeypatch.setattr(decoder, "agrees", lambda agreement: next(answers))

    wide, agreement = export.write_int8(tmp_path / "model.onnx", tmp_path / "measured.onnx")

    assert wide == order[: len(order) // 3]
    assert 0 < len(wide) < len(order)
    everything = compare_graph(reference, run_dir / "export" / "onnx-int8" / "model.onnx")
    assert agreement.divergence < everything.divergence
    assert stages[-1] == f"writing and comparing, {len(wide)} groups of products in fp32"


def test_int8_that_disagrees_in_every_form_is_refused(
    run_dir: Path, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = MergedWeights(run_dir / "merged")
    monkeypatch.setattr("export.reference.AGREEMENT_FLOOR", 1.01)  # which no form can reach
    export = DecoderExport(weights, read_layout(weights), reference, lambda stage: None)
    message = r"int8 with \d+ of \d+ groups of products in fp32 writes \d+ of 24 values and \d+ of \d+ tokens"
    with pytest.raises(ExportDisagrees, match=message) as caught:
        export.write_int8(tmp_path / "model.onnx", tmp_path / "measured.onnx")
    assert "gguf-q8_0 or onnx-fp32" in caught.value.hint


def test_groups_are_named_in_a_line_that_a_manifest_holds() -> None:
    groups = [f"layer {number} {kind}" for number in range(0, 60, 2) for kind in ("qkv", "feed_forward_out")]
    assert described_groups(["layer 2 qkv", "head", "layer 0 qkv", "layer 1 qkv", "layer 5 qkv"]) == (
        "head, qkv of layers 0-2 5"
    )
    assert len(described_groups(groups)) < 300
    assert described_groups([]) == "none"


def test_an_attempt_ends_with_the_value_that_puts_the_floor_out_of_reach(reference: Reference) -> None:
    batches = [reference.batches[0]] * 2
    logits = np.concatenate([reference.logits[: len(batches[0].rows)]] * 2)
    twice = replace(reference, batches=batches, logits=logits)
    read: list[int] = []

    def wrong(batch: Batch) -> NDArray[np.float32]:
        read.append(len(batch.rows))
        return np.zeros((len(batch.input_ids), len(batch.columns), logits.shape[1]), np.float32)

    assert not agrees(compare(twice, wrong, "a graph", is_final=False))
    assert len(read) == 1
    compare(twice, wrong, "a graph")
    assert len(read) == 3


def test_without_validation_rows_random_tokens_are_compared(run_dir: Path, tmp_path: Path) -> None:
    reference = read_reference(run_dir / "merged", tmp_path, tmp_path / "reference.f32")
    metrics = export_decoder(run_dir / "merged", tmp_path / "int8", "int8", reference, tmp_path)
    assert metrics["texts"] == 6
    assert not reference.is_task


def test_the_graph_tells_nothing_of_the_machine_that_made_it(run_dir: Path) -> None:
    model = onnx.load(str(run_dir / "export" / "onnx-fp32" / "model.onnx"))
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert not re.search(rb"\.py|/home|site-packages", (run_dir / "export" / "onnx-fp32" / "model.onnx").read_bytes())


@pytest.mark.parametrize(
    "settings",
    [{"architectures": ["BertModel"], "model_type": "bert"}, {"architectures": ["Unheard"]}, {}],
    ids=["encoder", "unknown", "empty"],
)
def test_a_checkpoint_that_is_no_decoder_is_refused(tmp_path: Path, settings: dict[str, object]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UsageError, match="is no text generation model that is known here"):
        read_config(tmp_path)


def test_a_student_of_many_weights_is_computed_a_module_at_a_time(
    run_dir: Path, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.merged_model.KEPT_BYTES", 0)
    streamed = read_reference(run_dir / "merged", run_dir.parent.parent, tmp_path / "reference.f32")
    np.testing.assert_array_equal(streamed.logits, reference.logits)
    model = load(run_dir / "merged")
    batch, done = reference.batches[0], len(reference.batches[0].rows)
    for row in range(len(batch.input_ids)):
        expected = alone(model, batch.input_ids[row][batch.mask[row] > 0])
        chosen = batch.rows == row
        columns = batch.columns[batch.places[chosen]] - (batch.mask[row] == 0).sum()
        np.testing.assert_allclose(reference.logits[:done][chosen], expected[columns], atol=TOLERANCE)


@pytest.mark.slow
def test_a_real_pretrained_model_tells_the_same_story(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "model_stories260K"
    if not folder.is_dir():
        pytest.skip("the shared data has no model_stories260K")
    model, weights = load(folder), MergedWeights(folder)
    build_decoder(weights, read_layout(weights), "fp32")[0].save(tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx", 0)
    reference = json.loads((folder / "reference.json").read_text())
    ids = list(reference["prompt_ids"])
    logits = onnx_logits(session, np.array([ids]), np.ones((1, len(ids)), np.int64), [])[0, -1]
    # The reference was computed in float64.
    np.testing.assert_allclose(logits[:8], reference["next_logits_first8"], atol=1e-3)
    with torch.inference_mode():
        expected = model.generate(
            torch.tensor([ids]), max_new_tokens=60, do_sample=False, bos_token_id=1, eos_token_id=2, pad_token_id=0
        )[0].tolist()
    story = np.array([expected])
    told = onnx_logits(session, story, np.ones_like(story), list(range(len(ids), len(expected))))
    assert told[0, len(ids) - 1 : -1].argmax(1).tolist() == expected[len(ids) :]
    assert len(expected) == len(ids) + 60
