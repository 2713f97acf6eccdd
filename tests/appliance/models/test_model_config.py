import json
from pathlib import Path
from typing import Any

import pytest

from appliance.models.model_config import ModelConfigError, context_of, folder_context, read_model_config

SHAPE = {"hidden_size": 512, "intermediate_size": 128, "num_hidden_layers": 6, "num_attention_heads": 32}


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ({"model_type": "llama", "max_position_embeddings": 8192}, 8192),
        ({"model_type": "mistral"}, 4096),
        ({"model_type": "mistral", "sliding_window": None}, 131072),
        ({"model_type": "qwen2", "sliding_window": 64}, 32768),
        ({"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": True, "max_window_layers": 3}, 64),
        ({"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": True, "max_window_layers": 6}, 32768),
        ({"model_type": "gemma3_text", "sliding_window": 512}, 131072),
        ({"model_type": "phi3", "sliding_window": 2047}, 2047),
        ({"model_type": "phi3", "max_position_embeddings": 131072, "sliding_window": 262144,
          "rope_scaling": {"type": "su", "short_factor": [1.0], "long_factor": [1.0]}}, 4096),
    ],
    ids=["plain", "window", "no-window", "window-off", "window-on", "window-of-no-layer", "gemma", "phi", "longrope"],
)  # fmt: skip
def test_context_ends_where_engines_would_compute_otherwise(config: dict[str, Any], context: int) -> None:
    assert context_of({**SHAPE, **config}) == context


def test_text_part_of_a_multimodal_model_is_filled_up_by_its_defaults() -> None:
    part = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 7,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}  # fmt: skip

    config = read_model_config({"model_type": "gemma3", "text_config": part, "vision_config": {"hidden_size": 1}})

    assert (config.model_type, config.heads, config.kv_heads, config.head_dim) == ("gemma3_text", 8, 4, 256)
    assert config.windowed == (True, True, True, True, True, False, True)
    assert (config.rope().kind, config.rope().theta) == ("linear", 1e6)
    assert (config.rope(windowed=True).kind, config.rope(windowed=True).theta) == ("default", 1e4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"num_hidden_layers": "six"}, "has 'six' as num_hidden_layers"),
        ({"num_attention_heads": True}, "has 'True' as num_attention_heads"),
        ({"num_key_value_heads": 5}, "32 attention heads cannot share 5"),
        ({"rope_theta": "far"}, "no number"),
        ({"rope_parameters": [1]}, "unknown form"),
    ],
    ids=["missing", "text", "truth", "heads", "theta", "rope"],
)
def test_config_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelConfigError, match=message):
        read_model_config({"model_type": "llama", **SHAPE, **change}).rope()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "model_type",
    ["llama", "mistral", "qwen2", "qwen3", "gemma3_text", "phi3", "smollm3", "olmo2", "granite", "qwen3_moe"],
)
def test_shape_is_the_one_that_transformers_reads(model_type: str) -> None:
    from transformers import AutoConfig

    windows = {"use_sliding_window": True, "sliding_window": 32, "max_window_layers": 2}
    scaled = {"rope_theta": 5e5, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}
    for settings in ({}, windows, {} if model_type == "phi3" else scaled):
        raw = json.loads(json.dumps({**SHAPE, **settings}))
        theirs = AutoConfig.for_model(model_type, **raw)
        for form in ({"model_type": model_type, **SHAPE, **settings}, theirs.to_dict()):
            ours = read_model_config(form)
            assert ours.kv_heads == theirs.num_key_value_heads
            assert ours.head_dim == (getattr(theirs, "head_dim", None) or theirs.hidden_size // 32)
            assert ours.trained_context == theirs.max_position_embeddings
            assert ours.values["rms_norm_eps"] == theirs.rms_norm_eps
            assert ours.values["tie_word_embeddings"] == theirs.tie_word_embeddings
            kinds = getattr(theirs, "layer_types", None)
            if ours.window and kinds:
                assert ours.windowed == tuple(kind == "sliding_attention" for kind in kinds)
            for windowed in (False, True):
                name = "sliding_attention" if windowed else "full_attention"
                rope = theirs.rope_parameters.get(name, theirs.rope_parameters)
                assert (ours.rope(windowed).kind, ours.rope(windowed).theta) == (rope["rope_type"], rope["rope_theta"])


def test_context_of_an_unknown_architecture_is_what_its_file_says(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": 1024, "n_embd": 8}))
    assert folder_context(tmp_path) == 1024

    for text in ("{}", "[]", '{"max_position_embeddings": -1}', "{"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ModelConfigError):
            folder_context(tmp_path)
