"""What makes a base the one that an adapter was trained on: weights, and what decides how they are computed."""

import json
from pathlib import Path

import pytest

from training.base_model import BaseMismatch, base_hash, is_hash_of, weights_hash
from training.lora import HASH_FILE, check_base

CONFIG = {"model_type": "llama", "rope_theta": 10000.0, "transformers_version": "5.0.0", "_name_or_path": "/a"}


@pytest.fixture
def base_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "base"
    directory.mkdir()
    (directory / "model.safetensors").write_bytes(b"weights")
    (directory / "config.json").write_text(json.dumps(CONFIG))
    (directory / "tokenizer.json").write_text("{}")
    return directory


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", json.dumps({**CONFIG, "rope_theta": 500000.0})),
        ("tokenizer.json", '{"added_tokens": []}'),
        ("tokenizer_config.json", '{"add_bos_token": true}'),
        ("generation_config.json", '{"eos_token_id": 7}'),
        ("special_tokens_map.json", '{"bos_token": "<s>"}'),
        ("model.safetensors", "others"),
    ],
)
def test_another_setting_or_tokenizer_is_another_base(base_dir: Path, tmp_path: Path, name: str, content: str) -> None:
    adapter_dir = tmp_path / "run" / "adapter"
    adapter_dir.mkdir(parents=True)
    (adapter_dir / HASH_FILE).write_text(base_hash(base_dir) + "\n")
    check_base(base_hash(base_dir), adapter_dir)
    (base_dir / name).write_text(content)
    expected = "base weights" if name == "model.safetensors" else "other settings or another tokenizer"
    with pytest.raises(BaseMismatch, match=expected):
        check_base(base_hash(base_dir), adapter_dir)


def test_what_a_library_writes_about_itself_and_the_order_of_keys_change_nothing(base_dir: Path) -> None:
    before = base_hash(base_dir)
    changed = {**CONFIG, "transformers_version": "6.1.0", "_name_or_path": "/b"}
    (base_dir / "config.json").write_text(json.dumps(dict(reversed(changed.items())), indent=4))
    assert base_hash(base_dir) == before


def test_an_adapter_from_before_names_the_weights_alone(base_dir: Path) -> None:
    assert is_hash_of(weights_hash(base_dir), base_hash(base_dir))
    (base_dir / "model.safetensors").write_bytes(b"others")
    assert not is_hash_of(weights_hash(base_dir), base_hash(base_dir).replace(weights_hash(base_dir), "0" * 64))
