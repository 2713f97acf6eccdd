import json
from pathlib import Path

import pytest
from tokenizer_kinds import BYTE_LEVEL, SENTENCEPIECE, write_tokenizer

from appliance.engines.llama.model import LlamaModel
from appliance.engines.tokenizer import FileTokenizer
from export.gguf.token_check import TokenCheck, check_tokens
from export.gguf.vocabulary import VocabularyError, read_vocabulary
from export.gguf.vocabulary_file import Vocabulary, write_cutting_model
from export.parity import ExportDisagrees

NAMES = {
    "smollm": "smollm",
    "gpt2": "gpt-2",
    "qwen2": "qwen2",
    "llama3": "llama-bpe",
    "cl100k": "dbrx",
    "tekken": "tekken",
    "o200k": "gpt-4o",
}


def tokenizer_folder(directory: Path, kind: str, **config: object) -> int:
    rows = write_tokenizer(directory, kind)
    (directory / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    return rows


def compared(directory: Path, vocabulary: Vocabulary) -> TokenCheck:
    """What llama.cpp does with the vocabulary beside the tokenizer of the folder."""
    write_cutting_model(directory / "model.gguf", vocabulary)
    model = LlamaModel(directory / "model.gguf")
    try:
        return check_tokens(model, FileTokenizer(directory / "tokenizer.json"))
    finally:
        model.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*BYTE_LEVEL, *SENTENCEPIECE])
def test_every_kind_of_tokenizer_cuts_ordinary_text_alike(tmp_path: Path, kind: str) -> None:
    rows = tokenizer_folder(tmp_path, kind)

    vocabulary = read_vocabulary(tmp_path, rows + 3)

    assert (vocabulary.model, vocabulary.pre) == (("gpt2", NAMES[kind]) if kind in NAMES else ("llama", ""))
    check = compared(tmp_path, vocabulary)
    assert check.texts > 600
    assert check.alike > check.texts * 0.9


@pytest.mark.parametrize("kind", ["qwen2", "llama2"])
def test_what_other_programs_would_do_otherwise_is_counted(tmp_path: Path, kind: str) -> None:
    """NFC composes characters, which llama.cpp does not; no answer of this program hangs on it."""
    check = compared(tmp_path, read_vocabulary(tmp_path, tokenizer_folder(tmp_path, kind)))

    assert ("texts_composed_by_the_tokenizer_alone" in check.metrics()) == (kind == "qwen2")
    assert check.texts == check.alike + check.composed + check.with_added_tokens + check.in_other_scripts


def test_vocabulary_that_cuts_ordinary_text_otherwise_is_refused(tmp_path: Path) -> None:
    rows = tokenizer_folder(tmp_path / "other", "gpt2")
    other = read_vocabulary(tmp_path / "other", rows)
    tokenizer_folder(tmp_path / "own", "smollm")

    with pytest.raises(ExportDisagrees, match="the GGUF file tokenizes"):
        compared(tmp_path / "own", other)


@pytest.mark.parametrize(
    ("config", "ids"),
    [
        ({"eos_token_id": [0, 5, 6], "bos_token_id": None}, {"bos": 1, "eos": 0, "eot": 5}),
        ({"eos_token_id": 3, "bos_token_id": 4, "pad_token_id": 9}, {"bos": 4, "eos": 3, "pad": 9}),
        ({"text_config": {"eos_token_id": 7}, "eos_token_id": 3}, {"bos": 1, "eos": 7}),
        ({}, {"bos": 1, "eos": 0}),
    ],
    ids=["list", "numbers", "text-part", "tokenizer"],
)
def test_special_ids_are_those_of_the_model(tmp_path: Path, config: dict[str, object], ids: dict[str, int]) -> None:
    rows = tokenizer_folder(tmp_path, "smollm", **config)

    assert read_vocabulary(tmp_path, rows).special_ids == ids


def test_beginning_is_added_where_the_model_was_taught_it(tmp_path: Path) -> None:
    assert not read_vocabulary(tmp_path / "a", tokenizer_folder(tmp_path / "a", "llama2")).adds_bos

    vocabulary = read_vocabulary(tmp_path / "b", tokenizer_folder(tmp_path / "b", "gemma"))

    assert vocabulary.adds_bos
    assert vocabulary.tokens[vocabulary.special_ids["bos"]] == "<begin>"
    assert not vocabulary.has_space_prefix


def test_tokens_beyond_the_embedding_are_left_out_where_no_text_holds_them(tmp_path: Path) -> None:
    rows = tokenizer_folder(tmp_path, "gemma")
    described = json.loads((tmp_path / "tokenizer.json").read_text())
    image = {**described["added_tokens"][0], "id": rows, "content": "<image>"}
    for special in (True, False):
        described["added_tokens"] = [token for token in described["added_tokens"] if token["id"] != rows]
        described["added_tokens"].append({**image, "special": special})
        (tmp_path / "tokenizer.json").write_text(json.dumps(described))
        if special:
            assert "<image>" not in read_vocabulary(tmp_path, rows).tokens
        else:
            with pytest.raises(VocabularyError, match=f"token {rows} is beyond the {rows} rows"):
                read_vocabulary(tmp_path, rows)


@pytest.mark.parametrize(
    ("kind", "part", "value", "message"),
    [
        ("llama2", "normalizer", {"type": "NFKC"}, "changes text by NFKC"),
        ("llama2", "pre_tokenizer", {"type": "Whitespace"}, "splits text by Whitespace"),
        ("gpt2", "normalizer", {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]},
         "by NFC, Lowercase, ByteLevel"),
    ],
)  # fmt: skip
def test_tokenizer_that_does_more_is_refused_by_name(
    tmp_path: Path, kind: str, part: str, value: object, message: str
) -> None:
    rows = tokenizer_folder(tmp_path, kind)
    described = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**described, part: value}))

    with pytest.raises(VocabularyError, match=message):
        read_vocabulary(tmp_path, rows)


def test_same_piece_twice_is_refused(tmp_path: Path) -> None:
    rows = tokenizer_folder(tmp_path, "gpt2")
    described = json.loads((tmp_path / "tokenizer.json").read_text())
    described["added_tokens"][-1]["content"] = next(iter(described["model"]["vocab"]))
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))

    with pytest.raises(VocabularyError, match="are both '"):
        read_vocabulary(tmp_path, rows)
