"""Tokens that no row of the embedding stands for."""

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE
from weight_files import ones, write_weights

from appliance.models.safetensors_file import read_headers
from training.base_tokenizer import copy_tokenizer
from training.preflight import UnfitBase, check_tokenizer


def write_tokenizer(path: Path, special: bool) -> Path:
    tokenizer = Tokenizer(BPE({"<s>": 0, "a": 1, "b": 2}, []))
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.add_tokens([AddedToken("<image>", special=special)])
    tokenizer.save(str(path))
    return path


def test_token_of_an_image_is_left_out_where_no_row_stands_for_it(tmp_path: Path) -> None:
    source, target = write_tokenizer(tmp_path / "tokenizer.json", special=True), tmp_path / "copy.json"
    copy_tokenizer(source, target, 3)
    assert Tokenizer.from_file(str(target)).get_vocab() == {"<s>": 0, "a": 1, "b": 2}
    assert [token["content"] for token in json.loads(target.read_text())["added_tokens"]] == ["<s>"]
    for rows in (4, None):
        copy_tokenizer(source, target, rows)
        assert target.read_bytes() == source.read_bytes()


def test_only_such_a_token_may_lie_beyond_the_embedding(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "model.safetensors", {"model.embed_tokens.weight": ones(3, 4)})
    headers = read_headers([path])
    write_tokenizer(tmp_path / "tokenizer.json", special=True)
    check_tokenizer(tmp_path, {}, headers)
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": true, "bos_token": "<image>"}')
    with pytest.raises(UnfitBase, match="1 token beyond the 3 rows of the embedding, the last is '<image>'"):
        check_tokenizer(tmp_path, {}, headers)  # a prompt would begin with it
    (tmp_path / "tokenizer_config.json").unlink()
    write_tokenizer(tmp_path / "tokenizer.json", special=False)
    with pytest.raises(UnfitBase, match="1 token beyond the 3 rows"):
        check_tokenizer(tmp_path, {}, headers)
