import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from decoder_fixtures import write_base
from safetensors.torch import load_file, save_file

from appliance.engines.llama.model import LlamaContext, LlamaModel, Row
from appliance.engines.tokenizer import FileTokenizer
from appliance.ground.errors import UsageError
from appliance.models.model_config import Rope
from appliance.tasks.prompt import STILLROOM_TEMPLATE
from export.gguf.checks import check_export, refuse_difference
from export.gguf.convert import convert, export_gguf
from export.gguf.settings import ConversionError
from export.gguf.tensor_plan import llama3_factors, pair_rows
from export.gguf.vocabulary import VocabularyError
from export.parity import ExportDisagrees

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.1,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 1,
}


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "base")


def of_shape(model_type: str, base_dir: Path, target_dir: Path, **settings: Any) -> Path:
    """A random model of another architecture with the tokenizer of the base."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.copytree(base_dir, target_dir)
    vocab_size = FileTokenizer(base_dir / "tokenizer.json").vocab_size
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **{**SMALL, "vocab_size": vocab_size, **settings})
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name.endswith("bias"):  # They begin as zeros, which would hide a lost one.
                weights.normal_(0, 0.5)
    model.save_pretrained(str(target_dir))
    return target_dir


def changed(source_dir: Path, target_dir: Path, name: str, **values: Any) -> Path:
    """A copy of a model folder with other values in one of its JSON files."""
    shutil.copytree(source_dir, target_dir)
    path = target_dir / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return target_dir


def test_pretrained_weights_tell_the_reference_story(shared_data: Path, tmp_path: Path) -> None:
    source_dir = shared_data / "model_stories260K"
    reference = json.loads((source_dir / "reference.json").read_text())

    export_gguf(source_dir, tmp_path / "model.gguf", "F16")

    model = LlamaModel(tmp_path / "model.gguf")
    context = LlamaContext(model, 1, 512, 1)
    ids = [1, *model.tokenize(f" {reference['prompt']}", False)]  # a prompt's text brings its own blank
    assert ids == reference["prompt_ids"]
    logits = context.feed([Row(0, 0, ids, 1)])[0]
    # 16 bit weights and keys: an error of a few thousandths is expected on logits around ten.
    np.testing.assert_allclose(logits[:8], reference["next_logits_first8"], atol=0.03)
    for position in range(len(ids), 200):
        ids.append(int(logits.argmax()))
        logits = context.feed([Row(0, position, ids[-1:], 1)])[0]
    text = FileTokenizer(source_dir / "tokenizer.json").decode(ids[1:]).strip()
    context.close()
    model.close()
    assert text[:200] == reference["greedy_text"][:200]


@pytest.mark.parametrize("scheme", ["F16", "Q8_0", "Q4_K_M"])
def test_export_says_what_it_checked_and_leaves_one_file(base_dir: Path, tmp_path: Path, scheme: str) -> None:
    metrics = export_gguf(base_dir, tmp_path / "model.gguf", scheme)

    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]
    assert metrics["size_bytes"] == (tmp_path / "model.gguf").stat().st_size
    assert metrics["parameters"] == sum(w.numel() for w in load_file(str(base_dir / "model.safetensors")).values())
    assert int(metrics["token_texts"]) > 500
    assert float(metrics["divergence"]) < 1e-5
    assert ("quantized_divergence" in metrics) == (scheme != "F16")


def test_fewer_bits_make_a_smaller_file_that_diverges_more(base_dir: Path, tmp_path: Path) -> None:
    eight = export_gguf(base_dir, tmp_path / "8.gguf", "Q8_0")
    four = export_gguf(base_dir, tmp_path / "4.gguf", "Q4_K_M")

    assert four["size_bytes"] < eight["size_bytes"] < eight["f16_size_bytes"]  # type: ignore[operator]
    assert 0 < float(eight["quantized_divergence"]) < float(four["quantized_divergence"]) < 0.1


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("llama", {"tie_word_embeddings": False, "head_dim": 32, "attention_bias": True}),
        ("llama", {"rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0,
                                       "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                       "original_max_position_embeddings": 32}}),
        ("qwen2", {"tie_word_embeddings": True}),
        ("qwen3", {"head_dim": 32, "tie_word_embeddings": True}),
    ],
    ids=["llama-untied-biased", "llama3-rope", "qwen2", "qwen3"],
)  # fmt: skip
def test_other_shapes_compute_what_torch_computes(
    base_dir: Path, tmp_path: Path, model_type: str, settings: dict[str, Any]
) -> None:
    source_dir = of_shape(model_type, base_dir, tmp_path / "source", **settings)

    metrics = export_gguf(source_dir, tmp_path / "model.gguf", "F16")

    assert float(metrics["largest_difference"]) < 0.02
    assert float(metrics["same_choice"]) > 0.98


def test_weights_beyond_float16_are_kept(base_dir: Path, tmp_path: Path) -> None:
    source_dir = shutil.copytree(base_dir, tmp_path / "source")
    weights = load_file(str(base_dir / "model.safetensors"))
    up, down = "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight"
    weights = {name: value.clone() for name, value in weights.items()}
    # Their product stays the same, so only the range of the stored numbers is put to the test.
    weights[up] *= 2.0**22
    weights[down] *= 2.0**-22
    halves = {name: value.to(torch.bfloat16).contiguous() for name, value in weights.items()}
    assert float(halves[up].abs().max()) > 65504
    save_file(halves, str(source_dir / "model.safetensors"), metadata={"format": "pt"})

    metrics = export_gguf(source_dir, tmp_path / "model.gguf", "F16")

    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(str(tmp_path / "model.gguf")).tensors}
    assert kinds["blk.0.ffn_up.weight"] == "BF16"
    assert kinds["blk.0.ffn_down.weight"] == "BF16"
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert float(metrics["divergence"]) < 1e-3


def test_marks_are_control_tokens_and_plain_text_where_they_do_not_count(base_dir: Path, tmp_path: Path) -> None:
    convert(base_dir, tmp_path / "model.gguf")

    model = LlamaModel(tmp_path / "model.gguf")
    special_tokens = STILLROOM_TEMPLATE.special_tokens()
    as_marks = [model.tokenize(mark, True) for mark in special_tokens]
    as_text = [model.tokenize(mark, False) for mark in special_tokens]
    model.close()
    assert as_marks == [[number] for number in range(len(special_tokens))]
    assert all(len(ids) > 1 for ids in as_text)
    assert not {token for ids in as_text for token in ids} & set(range(len(special_tokens)))


def test_file_names_the_cut_and_holds_no_template(base_dir: Path, tmp_path: Path) -> None:
    source_dir = changed(base_dir, tmp_path / "source", "tokenizer_config.json", chat_template="{{ 1 / 0 }}")

    convert(source_dir, tmp_path / "model.gguf")

    fields = gguf.GGUFReader(str(tmp_path / "model.gguf")).fields
    assert fields["tokenizer.ggml.model"].contents() == "gpt2"
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    assert fields["tokenizer.ggml.eos_token_id"].contents() == 0
    assert fields["tokenizer.ggml.add_bos_token"].contents() is False
    assert "tokenizer.chat_template" not in fields


def test_file_of_other_weights_is_refused(base_dir: Path, tmp_path: Path) -> None:
    convert(write_base(tmp_path / "other", seed=1), tmp_path / "other.gguf")

    with pytest.raises(ExportDisagrees, match="differs from the merged model by"):
        check_export(base_dir, tmp_path / "other.gguf", tmp_path / "other.gguf")


def test_rounding_at_one_position_refuses_no_file() -> None:
    """Where a model prefers no token, the products of 16 bit numbers in another order have given 0.055 nats."""
    expected = np.log(np.full((256, 4), 0.25)) + np.log([[1.2, 1.0, 0.9, 0.9]])
    for positions, nats, is_refused in ((1, 0.06, False), (1, 0.6, True), (8, 0.06, True), (8, 0.02, False)):
        written = expected.copy()
        written[:positions, 0] -= nats
        if is_refused:
            with pytest.raises(ExportDisagrees):
                refuse_difference(expected, written)
        else:
            refuse_difference(expected, written)


def test_file_that_cuts_numbers_otherwise_is_refused(base_dir: Path, tmp_path: Path) -> None:
    cut = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    convert(changed(base_dir, tmp_path / "other", "tokenizer.json", pre_tokenizer=cut), tmp_path / "other.gguf")
    # One merge of two digits, which a cut into single digits never reaches.
    source_dir = shutil.copytree(base_dir, tmp_path / "source")
    for directory, path in ((tmp_path / "other", tmp_path / "other.gguf"), (source_dir, tmp_path / "source.gguf")):
        described = json.loads((directory / "tokenizer.json").read_text())
        vocabulary = described["model"]["vocab"]
        last = max(vocabulary, key=vocabulary.__getitem__)
        vocabulary["12"] = vocabulary.pop(last)
        described["model"]["merges"] = [
            ["1", "2"],
            *(m for m in described["model"]["merges"] if last not in "".join(m)),
        ]
        (directory / "tokenizer.json").write_text(json.dumps(described))
        convert(directory, path)

    check_export(source_dir, tmp_path / "source.gguf", tmp_path / "source.gguf")
    with pytest.raises(ExportDisagrees, match="tokenizes '"):
        check_export(source_dir, tmp_path / "other.gguf", tmp_path / "other.gguf")


@pytest.mark.parametrize(
    ("name", "values", "error", "message"),
    [
        ("config.json", {"model_type": "mamba"}, ConversionError, "a mamba model"),
        ("config.json", {"hidden_act": "gelu"}, ConversionError, "the activation gelu"),
        ("config.json", {"rope_parameters": {"rope_type": "yarn"}}, ConversionError, "yarn rotary scaling"),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}, VocabularyError, "by Whitespace"),
        ("tokenizer.json", {"normalizer": {"type": "Lowercase"}}, VocabularyError, "by Lowercase, Digits, ByteLevel"),
        ("tokenizer.json", {"model": {"type": "Unigram", "vocab": []}}, VocabularyError, "is a Unigram"),
    ],
    ids=["architecture", "activation", "rope", "cut", "normalizer", "unigram"],
)
def test_what_cannot_be_converted_is_refused_by_name(
    base_dir: Path, tmp_path: Path, name: str, values: dict[str, Any], error: type[ConversionError], message: str
) -> None:
    source_dir = changed(base_dir, tmp_path / "source", name, **values)

    with pytest.raises(error, match=message) as raised:
        export_gguf(source_dir, tmp_path / "out" / "model.gguf", "Q8_0")

    assert raised.value.hint
    assert list((tmp_path / "out").iterdir()) == []


def test_unknown_scheme_is_a_usage_error(base_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Q3_K") as raised:
        export_gguf(base_dir, tmp_path / "model.gguf", "Q3_K")

    assert "Q8_0" in raised.value.hint


def test_rotary_pairs_become_neighbours() -> None:
    rows = torch.arange(8)[:, None]

    assert pair_rows(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_llama3_factors_leave_short_waves_and_stretch_long_ones() -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip
    config = LlamaConfig(hidden_size=64, num_attention_heads=1, max_position_embeddings=131072, rope_parameters=rope)
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = 1.0 / 500000.0 ** (np.arange(0, 64, 2) / 64)

    factors = llama3_factors(Rope("llama3", 500000.0, 64, rope), 8192)

    np.testing.assert_allclose(plain / factors, expected.numpy(), rtol=1e-5)
    assert factors.min() == 1.0
    assert factors.max() == 32.0
