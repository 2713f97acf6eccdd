"""Decoder students to ONNX: one graph for prompts and single tokens, padding, int8, a real pretrained model."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from decoder_fixtures import exported_run
from numpy.typing import NDArray

from appliance.engines.onnx_session import open_session
from appliance.ground.errors import UsageError
from export.onnx import decoder
from export.onnx.decoder import (
    AGREEMENT_FLOOR,
    DecoderShape,
    check_cache,
    compare,
    export_decoder,
    load_decoder,
    onnx_logits,
    quantize_until_it_agrees,
    write_graph,
)
from export.onnx.samples import padded_batches, random_samples, read_samples
from export.parity import ExportDisagrees

# Logits are sums of some hundred float32 products, formed in another order.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_run(tmp_path_factory.getbasetemp())


def alone(model: torch.nn.Module, input_ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits of one row by torch, without a batch, padding or cache."""
    with torch.inference_mode():
        return np.asarray(model(input_ids=torch.from_numpy(input_ids)[None], use_cache=False).logits[0])


@pytest.mark.parametrize("cuts", [[], [9], [1, 2, 30], list(range(1, 32))], ids=["whole", "half", "parts", "single"])
def test_padded_rows_of_different_lengths_equal_torch_on_each_row_alone(run_dir: Path, cuts: list[int]) -> None:
    model, _ = load_decoder(run_dir / "merged")
    session = open_session(run_dir / "export" / "onnx-fp32" / "model.onnx", 0)
    ((input_ids, mask, _),) = padded_batches(random_samples(300))
    logits = onnx_logits(session, input_ids, mask, cuts)
    for row in range(len(input_ids)):
        real = mask[row].astype(bool)
        np.testing.assert_allclose(logits[row][real], alone(model, input_ids[row][real]), atol=TOLERANCE)


def test_rows_may_have_padding_between_prompt_and_document(run_dir: Path) -> None:
    model, _ = load_decoder(run_dir / "merged")
    session = open_session(run_dir / "export" / "onnx-fp32" / "model.onnx", 0)
    input_ids = np.random.default_rng(1).integers(0, 300, (2, 12))
    mask = np.ones_like(input_ids)
    mask[1, 4:9] = 0
    logits = onnx_logits(session, input_ids, mask, [4])
    np.testing.assert_allclose(logits[1][mask[1] > 0], alone(model, input_ids[1][mask[1] > 0]), atol=TOLERANCE)


def test_metrics_say_on_how_much_the_forms_were_compared(run_dir: Path) -> None:
    for name in ("onnx-fp32", "onnx-int8"):
        metrics = json.loads((run_dir / "export" / name / "manifest.json").read_text())["metrics"]["export"]
        assert metrics["texts"] == 8
        assert metrics["tokens"] > 50
        assert metrics["agreement"] >= AGREEMENT_FLOOR
    assert metrics["quantized"] in {"all", "all but embedding", "layers"}


def test_int8_is_smaller_and_names_the_same_tokens(run_dir: Path) -> None:
    model, _ = load_decoder(run_dir / "merged")
    samples, is_task = read_samples(run_dir.parent.parent, run_dir / "merged", 256)
    assert is_task
    found = compare(model, run_dir / "export" / "onnx-int8" / "model.onnx", samples)
    assert found.agreement >= AGREEMENT_FLOOR
    sizes = [(run_dir / "export" / name / "model.onnx").stat().st_size for name in ("onnx-int8", "onnx-fp32")]
    assert sizes[0] < 0.7 * sizes[1]


def test_int8_that_disagrees_in_every_form_is_refused(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = load_decoder(run_dir / "merged")
    monkeypatch.setattr(decoder, "AGREEMENT_FLOOR", 1.01)  # which no form can reach
    graph_path = run_dir / "export" / "onnx-fp32" / "model.onnx"
    with pytest.raises(ExportDisagrees, match=r"int8 chooses the merged model's token in \d+\.\d% of 80"):
        quantize_until_it_agrees(model, graph_path, tmp_path / "model.onnx", random_samples(300), True)


def test_without_validation_rows_int8_keeps_embedding_and_head(run_dir: Path, tmp_path: Path) -> None:
    graph_path = run_dir / "export" / "onnx-fp32" / "model.onnx"
    metrics = export_decoder(run_dir / "merged", tmp_path / "int8", "int8", tmp_path, graph_path)
    assert metrics["quantized"] == "layers"
    assert metrics["texts"] == 6


def test_the_graph_tells_nothing_of_the_machine_that_made_it(run_dir: Path) -> None:
    model = onnx.load(str(run_dir / "export" / "onnx-fp32" / "model.onnx"))
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert not re.search(rb"\.py|/home|site-packages", (run_dir / "export" / "onnx-fp32" / "model.onnx").read_bytes())


def test_a_cache_of_another_shape_is_refused(run_dir: Path) -> None:
    with pytest.raises(ExportDisagrees, match=r"4 cache inputs, not 6 of \(2, 16\)"):
        check_cache(run_dir / "export" / "onnx-fp32" / "model.onnx", DecoderShape(3, 2, 16))


@pytest.mark.parametrize(
    "settings",
    [{"architectures": ["BertModel"], "model_type": "bert"}, {"architectures": ["Unheard"]}, {}],
    ids=["encoder", "unknown", "empty"],
)
def test_a_checkpoint_that_is_no_decoder_is_refused(tmp_path: Path, settings: dict[str, object]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UsageError, match=r"cannot be exported|not a text generation model"):
        load_decoder(tmp_path)


@pytest.mark.slow
def test_a_real_pretrained_model_tells_the_same_story(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "model_stories260K"
    if not folder.is_dir():
        pytest.skip("the shared data has no model_stories260K")
    model, shape = load_decoder(folder)
    write_graph(model, shape.layers, tmp_path / "model.onnx")
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
