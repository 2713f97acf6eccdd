"""GGUF files that are the model but for one mistake of a converter: each is refused, for every architecture."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from architecture_cases import CASES, Case, write_model
from safetensors.torch import load_file, save_file

from appliance.engines.llama.model import LlamaModel
from export.gguf.checks import compare_file, log_softmax, random_reference, refuse_difference
from export.gguf.convert import convert
from export.gguf.tensor_plan import pair_rows
from export.parity import ExportDisagrees
from export.reference import Reference

Weights = dict[str, torch.Tensor]
ONE_OF_EACH = {
    case.model_type: replace(case, tokenizer="smollm") for case in reversed(CASES) if case.model_type != "gemma3"
}


def other_pairs(weights: Weights, config: dict[str, Any]) -> None:
    """The queries' rotary pairs are other ones."""
    for name in [name for name in weights if "layers.0.self_attn.q" in name and name.endswith("proj.weight")]:
        width = config["num_attention_heads"] * (
            config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        )
        queries = pair_rows(weights[name][:width], config["num_attention_heads"])
        weights[name] = torch.cat([queries, weights[name][width:]])


def other_norms(weights: Weights, config: dict[str, Any]) -> None:
    """One is missing in the weights of all norms, or is there twice."""
    for name in [name for name in weights if "norm" in name]:
        weights[name] = weights[name] + 1


def other_theta(weights: Weights, config: dict[str, Any]) -> None:
    """Positions turn the heads at another speed."""
    rope = config["rope_parameters"]
    for settings in rope.values() if "full_attention" in rope else [rope]:
        settings["rope_theta"] *= 10


def swapped_layers(weights: Weights, config: dict[str, Any]) -> None:
    """The output matrices of attention stand in each other's layer."""
    first, second = (f"model.layers.{layer}.self_attn.o_proj.weight" for layer in (0, 1))
    weights[first], weights[second] = weights[second], weights[first]


def changed(source_dir: Path, target_dir: Path, mistake: Callable[[Weights, dict[str, Any]], None]) -> Path:
    shutil.copytree(source_dir, target_dir)
    weights, config = (
        load_file(str(source_dir / "model.safetensors")),
        json.loads((source_dir / "config.json").read_text()),
    )
    mistake(weights, config)
    save_file(
        {name: value.clone().contiguous() for name, value in weights.items()}, str(target_dir / "model.safetensors")
    )
    (target_dir / "config.json").write_text(json.dumps(config))
    return target_dir


def refuse(reference: Reference, model_dir: Path, has_experts: bool) -> None:
    """Converts a model and judges the file."""
    convert(model_dir, model_dir / "model.gguf")
    model = LlamaModel(model_dir / "model.gguf")
    try:
        _, written = compare_file(model, reference, "the GGUF file")
    finally:
        model.close()
    refuse_difference(log_softmax(reference.logits), written, has_experts)


@pytest.mark.slow
@pytest.mark.parametrize("case", ONE_OF_EACH.values(), ids=list(ONE_OF_EACH))
def test_file_with_a_converters_mistake_is_refused(case: Case, tmp_path: Path) -> None:
    model_dir = write_model(tmp_path / "model", case)
    reference = random_reference(model_dir, json.loads((model_dir / "config.json").read_text())["vocab_size"])
    has_experts = case.model_type == "qwen3_moe"
    refuse(reference, model_dir, has_experts)

    for mistake in (other_pairs, other_norms, other_theta, swapped_layers):
        wrong_dir = changed(model_dir, tmp_path / mistake.__name__, mistake)
        with pytest.raises(ExportDisagrees, match="the GGUF file differs"):
            refuse(reference, wrong_dir, has_experts)
