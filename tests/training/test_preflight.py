"""Bases that are refused before anything is trained on them, each with what is wrong."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from decoder_fixtures import write_task_folder
from weight_files import Tensors, ones, write_weights

from appliance.ground.errors import UsageError
from training.base_kind import text_model
from training.commands.train import command as train_command
from training.preflight import UnfitBase, check_base, check_loaded

EMBEDDING, MATRIX = "model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"
ROWS = 12
SETTINGS = {"model_type": "llama", "hidden_size": 4, "vocab_size": ROWS, "bos_token_id": 0, "eos_token_id": [0, 1]}
PIECES = ["<s>", "</s>", *(chr(ord("a") + number) for number in range(ROWS - 2))]


def tokenizer(pieces: list[str]) -> dict[str, Any]:
    return {"model": {"type": "BPE", "vocab": {piece: number for number, piece in enumerate(pieces)}, "merges": []}}


def write_base(directory: Path) -> Path:
    """A folder with all that the check looks at."""
    tensors = {EMBEDDING: ones(ROWS, 4), MATRIX: ones(8, 4), "model.norm.weight": ones(4)}
    write_weights(directory / "model.safetensors", tensors)
    write_json(directory / "config.json", SETTINGS)
    write_json(directory / "tokenizer.json", tokenizer(PIECES))
    return directory


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))


def test_a_whole_base_passes(tmp_path: Path) -> None:
    check_base(write_base(tmp_path))


def with_settings(**changes: object) -> Callable[[Path], None]:
    return lambda directory: write_json(directory / "config.json", {**SETTINGS, **changes})


def with_pieces(pieces: list[str]) -> Callable[[Path], None]:
    return lambda directory: write_json(directory / "tokenizer.json", tokenizer(pieces))


def with_tensors(changes: Tensors) -> Callable[[Path], None]:
    tensors = {EMBEDDING: ones(ROWS, 4), MATRIX: ones(8, 4), **changes}
    return lambda directory: write_weights(directory / "model.safetensors", tensors) and None


def with_number(number: float) -> Callable[[Path], None]:
    matrix = np.ones((8, 4), "<f4")
    matrix[3, 1:3] = number
    return with_tensors({MATRIX: ("F32", matrix)})


def missing_part(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    places = {"weight_map": {EMBEDDING: "model-00001-of-00002.safetensors"}}
    write_json(directory / "model.safetensors.index.json", places)


def pickles(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")


def no_tokenizer(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()


def no_kind(directory: Path) -> None:
    write_json(directory / "tokenizer.json", {"model": {"type": "Words", "vocab": {"<s>": 0, "</s>": 1}}})


def gguf_alone(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "model.gguf")


def unigram(directory: Path) -> None:
    vocabulary = [[piece, -1.0] for piece in [*PIECES, "z"]]
    write_json(directory / "tokenizer.json", {"model": {"type": "Unigram", "vocab": vocabulary, "unk_id": 0}})


def larger_embedding(directory: Path) -> None:
    with_tensors({EMBEDDING: ones(2000, 4)})(directory)


def with_bytes(name: str, content: bytes) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(content)

    return write


def scaled(name: str) -> Callable[[Path], None]:
    return with_tensors({name: ("F32", np.ones((8, 1), "<f4"))})


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "half a file beside": (with_bytes("generation_config.json", b"{"), r"generation_config\.json is no JSON"),
    "a list beside": (with_bytes("tokenizer_config.json", b"[]"), r"tokenizer_config\.json holds no settings"),
    "nothing beside": (with_bytes("special_tokens_map.json", b""), r"special_tokens_map\.json is no JSON"),
    "another pooling": (with_bytes("1_Pooling/config.json", b"\xff"), r"1_Pooling/config\.json is no JSON"),
    "layers without end": (with_settings(num_hidden_layers=10**9), r"1,000,000,000 as num_hidden_layers, .* 3 tensors"),
    "as many in the text part": (with_settings(text_config={"n_layer": 129}), "129 as n_layer"),
    "pickles": (pickles, r"as pickles alone \(pytorch_model\.bin\)"),
    "a missing part": (missing_part, r"lacks 1 of the 1 files of its weights: model-00001-of-00002\.safetensors"),
    "NaN": (with_number(math.nan), rf"2 weights of 32 in the tensor {MATRIX} .* are not finite"),
    "infinity": (with_number(-math.inf), rf"in the tensor {MATRIX} .* are not finite"),
    "no numbers": (with_tensors({MATRIX: ("F32", np.ones((0, 4), "<f4"))}), rf"{MATRIX} of .* is empty \(0 x 4\)"),
    "GPTQ": (with_settings(quantization_config={"quant_method": "gptq", "bits": 4}), r"quantized \(gptq\)"),
    "AWQ": (with_settings(quantization_config={"quant_method": "awq"}), r"quantized \(awq\)"),
    "bitsandbytes": (with_settings(quantization_config={"load_in_4bit": True}), "quantized"),
    "in the text part": (with_settings(text_config={"quantization_config": {"quant_method": "fp8"}}), "fp8"),
    "packed tensors": (with_tensors({"model.layers.0.mlp.up_proj.qweight": ("I32", np.ones((2, 4), "<i4"))}), "I32"),
    "eight bits": (with_tensors({MATRIX: ("F8_E4M3", np.ones((8, 4), "u1"))}), f"{MATRIX} is stored as F8_E4M3"),
    "scales beside": (scaled(f"{MATRIX}_scale_inv"), "quantized"),
    "no model type": (with_settings(model_type=None), "names no model_type"),
    "an adapter": (with_settings(model_type=None, peft_type="LORA"), "is an adapter, not a base model"),
    "no tokenizer": (no_tokenizer, r"cannot read .*tokenizer\.json"),
    "more tokens than rows": (with_pieces([*PIECES, "y", "z"]), r"2 tokens beyond the 12 rows .* 'z' with the id 13"),
    "more pieces than rows": (unigram, r"1 token beyond the 12 rows"),
    "too small a tokenizer": (larger_embedding, r"knows 12 tokens, its embedding has 2,000 rows"),
    "an end that is text": (with_settings(eos_token_id=5), r"names 5 as eos_token_id, .* has as 'd', a piece of text"),
    "a begin that is not there": (with_settings(bos_token_id=50), r"50 as bos_token_id, .* does not have"),
    "no tokens": (with_pieces([]), "lists no tokens"),
    "a tokenizer that is none": (no_kind, r"tokenizer\.json is no tokenizer: "),
    "a GGUF file": (gguf_alone, "has a GGUF file and no safetensors file"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_an_unfit_base_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    change, message = UNFIT[kind]
    change(write_base(tmp_path))
    with pytest.raises(UsageError, match=message) as caught:
        check_base(tmp_path)
    assert caught.value.hint


FIT: dict[str, Callable[[Path], object]] = {
    "padded embedding": with_tensors({EMBEDDING: ones(ROWS + 64, 4)}),
    "masks that are computed": with_tensors({"h.0.attn.masked_bias": ("F32", np.array([-math.inf], "<f4"))}),
    "no ids of begin and end": with_settings(bos_token_id=None, eos_token_id=None),
    "no begin": with_settings(bos_token_id=-1),
}


@pytest.mark.parametrize("kind", FIT)
def test_what_only_looks_odd_is_taken(tmp_path: Path, kind: str) -> None:
    FIT[kind](write_base(tmp_path))
    check_base(tmp_path)


def test_what_a_model_did_not_get_is_named() -> None:
    with pytest.raises(UnfitBase, match=r"lack 2 tensors of the model: a\.weight, b\.weight"):
        check_loaded("base", ["b.weight", "a.weight"], [], [])
    with pytest.raises(UnfitBase, match=r"config\.json of base gives another shape to 1 tensor: w \(2 x 3 in the"):
        check_loaded("base", [], [("w", (2, 3), (3, 2))], [])
    with pytest.raises(
        UnfitBase, match=r"no place for 1 tensor of the weights: model\.layers\.0\.self_attn\.q_proj\.bias"
    ):
        check_loaded("base", [], [], ["model.layers.0.self_attn.q_proj.bias"])
    check_loaded("base", [], [], ["vision_tower.encoder.layers.0.weight", "mtp.layers.0.weight", "pooler.dense.weight"])


WRONG_SETTINGS: dict[str, dict[str, object]] = {
    "heads that do not divide": {"num_attention_heads": 3},
    "an activation that nobody knows": {"hidden_act": "swiglish"},
    "a rotary kind that nobody knows": {"rope_parameters": {"rope_type": "wobble", "rope_theta": 1.0}},
    "words for numbers": {"num_hidden_layers": "two"},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRONG_SETTINGS)
def test_settings_that_describe_no_model_are_refused_with_their_reason(tmp_path: Path, kind: str) -> None:
    whole = {"model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2,
             "num_hidden_layers": 1, "vocab_size": 9}  # fmt: skip
    write_json(tmp_path / "config.json", {**whole, **WRONG_SETTINGS[kind]})
    with pytest.raises(UnfitBase, match=r"config\.json of the base .* does not describe a llama model: .+"):
        text_model(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "message"),
    [
        ("bert", "does not write text from left to right"),
        ("t5", "does not write"),
        ("deepmagic", "does not know, and the code"),
    ],
)
def test_a_base_of_another_kind_is_refused(tmp_path: Path, model_type: str, message: str) -> None:
    write_json(tmp_path / "config.json", {"model_type": model_type, "auto_map": {"AutoModel": "code.Model"}})
    with pytest.raises(UsageError, match=message):
        text_model(tmp_path)


def test_a_refused_training_leaves_nothing(tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "task", tmp_path / "nowhere", rows=4)
    before = sorted(folder.rglob("*"))
    for _ in range(2):
        assert isinstance(CliRunner().invoke(train_command, [str(folder)]).exception, UsageError)
        assert sorted(folder.rglob("*")) == before
    (folder / "runs" / "mine").mkdir(parents=True)
    assert isinstance(CliRunner().invoke(train_command, [str(folder)]).exception, UsageError)
    assert [path.name for path in (folder / "runs").iterdir()] == ["mine"]
