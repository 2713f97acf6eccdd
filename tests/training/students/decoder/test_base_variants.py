"""Bases as people find them: matrices tied or not whatever the config says, parts, padding, odd tokens, bad weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from decoder_fixtures import write_base
from peft import LoraConfig
from safetensors.torch import load_file, save_file

from appliance.ground.errors import ApplianceError
from export.gguf.convert import export_gguf
from training.base_model import base_hash, load_base
from training.lora import add_lora, save_adapter
from training.students.decoder.merge import merge_decoder

Weights = dict[str, torch.Tensor]
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("bases") / "tiny")


def variant(base_dir: Path, directory: Path, change: Callable[[Weights, dict[str, Any]], None]) -> Path:
    """A copy of the base with other weights and another config."""
    shutil.copytree(base_dir, directory)
    weights, config = load_file(str(base_dir / "model.safetensors")), json.loads((base_dir / "config.json").read_text())
    change(weights, config)
    stored = {name: tensor.clone().contiguous() for name, tensor in weights.items()}
    save_file(stored, str(directory / "model.safetensors"), {"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def merged(base_dir: Path, run_dir: Path) -> Path:
    """What comes out of a merge with an adapter that has learnt nothing: the base."""
    run_dir.mkdir()
    (run_dir / "config.json").write_text(json.dumps({"base": str(base_dir)}))
    model = add_lora(load_base(base_dir), LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    save_adapter(model, base_hash(base_dir), run_dir / "adapter")
    (run_dir / "merged").mkdir()
    merge_decoder(run_dir, run_dir / "merged")
    return run_dir / "merged"


def own(weights: Weights) -> torch.Tensor:
    return weights[EMBEDDING] + 0.05 * torch.randn(weights[EMBEDDING].shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("flag", [True, False], ids=["config says tied", "config says untied"])
@pytest.mark.parametrize("head", ["none", "equal", "own"])
def test_the_weights_say_whether_the_head_is_the_embedding(
    base_dir: Path, tmp_path: Path, flag: bool, head: str
) -> None:
    def change(weights: Weights, config: dict[str, Any]) -> None:
        config["tie_word_embeddings"] = flag
        if head != "none":
            weights[HEAD] = own(weights) if head == "own" else weights[EMBEDDING]

    source_dir = variant(base_dir, tmp_path / "base", change)
    merged_dir = merged(source_dir, tmp_path / "run")
    assert json.loads((merged_dir / "config.json").read_text())["tie_word_embeddings"] is (head != "own")
    weights = load_file(str(source_dir / "model.safetensors"))
    loaded = load_base(merged_dir)
    assert torch.allclose(loaded.lm_head.weight, weights[HEAD if head == "own" else EMBEDDING], atol=1e-3)
    assert (HEAD in load_file(str(merged_dir / "model.safetensors"))) is (head == "own")


def test_a_head_of_its_own_reaches_the_gguf_file_even_where_the_config_denies_it(
    base_dir: Path, tmp_path: Path
) -> None:
    import gguf

    def change(weights: Weights, config: dict[str, Any]) -> None:
        weights[HEAD] = own(weights)

    source_dir = variant(base_dir, tmp_path / "base", change)
    metrics = export_gguf(source_dir, tmp_path / "model.gguf", "F16")
    assert float(metrics["divergence"]) < 1e-4
    assert "output.weight" in {tensor.name for tensor in gguf.GGUFReader(str(tmp_path / "model.gguf")).tensors}


def padded(directory: Path, weights: Weights, config: dict[str, Any]) -> None:
    weights[EMBEDDING] = torch.cat([weights[EMBEDDING], torch.zeros(64, weights[EMBEDDING].shape[1])])
    config["vocab_size"] += 64


def sharded(directory: Path, weights: Weights, config: dict[str, Any]) -> None:
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
    for name, held in parts.items():
        save_file({each: weights[each].contiguous() for each in held}, str(directory / name), {"format": "pt"})
    weight_map = {each: name for name, held in parts.items() for each in held}
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    weights.clear()


def added_tokens(directory: Path, weights: Weights, config: dict[str, Any]) -> None:
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    for number, content in enumerate(("<invoice no>", "  ", "EUR")):
        entry: dict[str, Any] = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
        tokenizer["added_tokens"].append({"id": config["vocab_size"] + number, "content": content, **entry})
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    weights[EMBEDDING] = torch.cat([weights[EMBEDDING], weights[EMBEDDING][:3]])
    config["vocab_size"] += 3


def several_ends(directory: Path, weights: Weights, config: dict[str, Any]) -> None:
    config["eos_token_id"] = [0, 1]


def leading_token(directory: Path, weights: Weights, config: dict[str, Any]) -> None:
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    first, second = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    mark = {"SpecialToken": {"id": "<|end|>", "type_id": 0}}
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing", "single": [mark, first], "pair": [first, second],
        "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [0], "tokens": ["<|end|>"]}},
    }  # fmt: skip
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))


def stray_copy(directory: Path, weights: Weights, config: dict[str, Any]) -> None:
    stray = {EMBEDDING: weights[EMBEDDING].contiguous(), HEAD: own(weights).contiguous()}
    save_file(stray, str(directory / "consolidated.safetensors"), {"format": "pt"})


@pytest.mark.slow
@pytest.mark.parametrize("change", [padded, sharded, added_tokens, several_ends, leading_token, stray_copy])
def test_odd_bases_are_merged_and_exported_as_they_are(
    base_dir: Path, tmp_path: Path, change: Callable[[Path, Weights, dict[str, Any]], None]
) -> None:
    directory = tmp_path / "base"
    variant(base_dir, directory, lambda weights, config: change(directory, weights, config))
    if change is sharded:
        (directory / "model.safetensors").unlink()
    merged_dir = merged(directory, tmp_path / "run")
    metrics = export_gguf(merged_dir, tmp_path / "model.gguf", "F16")
    assert float(metrics["divergence"]) < 1e-4
    ours, theirs = load_base(merged_dir).state_dict(), load_base(directory).state_dict()
    assert all(torch.allclose(ours[name], tensor, atol=2e-3) for name, tensor in theirs.items())


@pytest.mark.parametrize("number", [float("nan"), float("inf")], ids=str)
def test_a_base_with_a_weight_that_is_no_number_is_refused(base_dir: Path, tmp_path: Path, number: float) -> None:
    def change(weights: Weights, config: dict[str, Any]) -> None:
        weights["model.layers.0.mlp.up_proj.weight"][0, 0] = number

    with pytest.raises(ApplianceError, match="the merged weights are not finite"):
        merged(variant(base_dir, tmp_path / "base", change), tmp_path / "run")
