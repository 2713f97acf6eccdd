"""The tokenizer of a foreign base: its first token, its blanks, and what its added tokens never do in a document."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from tokenizer_fixtures import added, begins_with, byte_level, sentencepiece, write_tokenizer

from appliance.engines.tokenizer import FileTokenizer, TokenizerError, artifact_tokenizer
from appliance.tasks.prompt import (
    OLDEST_PLAIN_TEMPLATE,
    PLAIN_TEMPLATE,
    ExampleAnswer,
    PromptSpec,
    document_segments,
    join_ids,
    prefix_segments,
    render_example,
)

QUESTION = PromptSpec("Read the order", ("order number", "total"))
DOCUMENT = "Order no: 4711\nTotal: EUR 1,234.50"
KINDS = {
    "Llama 2 and Phi-3": sentencepiece("normalizer"),
    "Mistral": sentencepiece("metaspace"),
    "Gemma": sentencepiece("none"),
    "Qwen": byte_level(normalizer="NFC"),
    "blank before each text": byte_level(add_prefix_space=True),
}


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> FileTokenizer:
    return FileTokenizer(write_tokenizer(tmp_path, KINDS[request.param]))


def test_a_value_and_a_line_end_have_the_same_tokens_in_document_and_answer(tokenizer: FileTokenizer) -> None:
    example = render_example(
        QUESTION, DOCUMENT, ExampleAnswer(["4711", "EUR 1,234.50"]), tokenizer.template, tokenizer.encode
    )
    document = join_ids(document_segments(DOCUMENT, tokenizer.template), tokenizer.encode)
    written = [token for token, is_value in zip(example.input_ids, example.is_value, strict=True) if is_value]
    assert tokenizer.decode(written) == " 4711\n EUR 1,234.50\n"
    assert tokenizer.decode(document) == " Order no: 4711\n Total: EUR 1,234.50"
    line_end = tokenizer.encode("\n", True)
    assert len(line_end) == 1
    for value in (" 4711", " EUR 1,234.50"):
        ids = tokenizer.encode(value, False)
        assert any(document[at : at + len(ids)] == ids for at in range(len(document)))


BOS = sentencepiece("none")
NO_BOS = {**BOS, "post_processor": None}


@pytest.mark.parametrize(
    ("whole", "settings", "form"),
    [
        pytest.param(BOS, {}, "plain-2/bos=1", id="post-processor"),
        pytest.param(BOS, {"add_bos_token": False}, "plain-2", id="denied by the settings"),
        pytest.param(NO_BOS, {"add_bos_token": True, "bos_token": "<s>"}, "plain-2/bos=1", id="settings"),
        pytest.param(NO_BOS, {"add_bos_token": True, "bos_token": {"content": "</s>"}}, "plain-2/bos=2", id="object"),
        pytest.param(NO_BOS, {"bos_token": "<s>"}, "plain-2", id="named but not added"),
        pytest.param(NO_BOS, {"add_bos_token": None}, "plain-2", id="nothing said"),
        pytest.param(
            {**BOS, "post_processor": {"type": "Sequence", "processors": [begins_with("<s>", 1)]}}, {}, "plain-2/bos=1",
            id="in a sequence",
        ),
        pytest.param(byte_level(), {}, "plain-2", id="byte level without"),
    ],
)  # fmt: skip
def test_a_prompt_begins_as_the_base_was_taught(
    tmp_path: Path, whole: dict[str, Any], settings: dict[str, object], form: str
) -> None:
    path = write_tokenizer(tmp_path, whole, **settings)
    tokenizer = FileTokenizer(path)
    prefix = join_ids(prefix_segments(QUESTION, tokenizer.template), tokenizer.encode)
    assert tokenizer.prompt_form == form
    assert tuple(prefix[: len(tokenizer.bos_ids)]) == tokenizer.bos_ids
    assert prefix[len(tokenizer.bos_ids) :] == join_ids(prefix_segments(QUESTION, PLAIN_TEMPLATE), tokenizer.encode)
    # An artifact holds tokenizer.json alone: its manifest says what comes first.
    path.with_name("tokenizer_config.json").unlink(missing_ok=True)
    assert artifact_tokenizer(tmp_path, form).template == tokenizer.template


def test_several_first_tokens_and_an_id_from_the_config(tmp_path: Path) -> None:
    both = begins_with("<s>", 1)
    both["special_tokens"]["<s>"] = {"id": "<s>", "ids": [1, 2], "tokens": ["<s>", "</s>"]}
    assert FileTokenizer(write_tokenizer(tmp_path, {**BOS, "post_processor": both})).bos_ids == (1, 2)
    path = write_tokenizer(tmp_path, NO_BOS, add_bos_token=True)
    with pytest.raises(TokenizerError, match="add_bos_token"):
        FileTokenizer(path)
    (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": 2}))
    assert FileTokenizer(path).prompt_form == "plain-2/bos=2"


def test_models_from_before_are_asked_as_they_were_trained(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, sentencepiece("normalizer", {"<think>": {}}), add_bos_token=True, bos_token="<s>")
    before = artifact_tokenizer(tmp_path, OLDEST_PLAIN_TEMPLATE.name)
    assert before.template is artifact_tokenizer(tmp_path, "").template is OLDEST_PLAIN_TEMPLATE
    assert before.prompt_form == "plain-1"
    assert before.decode(before.encode(" 4711", False)) == "  4711"
    assert len(before.encode("\n", True)) == 2
    assert 1 not in join_ids(prefix_segments(QUESTION, before.template), before.encode)


@pytest.mark.parametrize("form", ["plain-2/bos=x", "plain-2/bos=", "plain-2/bos=-1", "plain-2/bos=99999", "plain-9"])
def test_a_form_that_the_tokenizer_cannot_serve_is_named(tmp_path: Path, form: str) -> None:
    write_tokenizer(tmp_path, BOS)
    with pytest.raises(TokenizerError):
        artifact_tokenizer(tmp_path, form)


ADDED: dict[str, dict[str, bool]] = {
    "</s>": {},
    "<think>": {},
    "<|im_end|>": {"special": True},
    "<table>": {"lstrip": True, "rstrip": True},
    "<unused0>": {"normalized": True},
    "Order": {"single_word": True},
    "<h1>": {"single_word": True, "normalized": True, "rstrip": True},
    "résumé": {"normalized": True},
    unicodedata.normalize("NFD", "café"): {"normalized": True},
    "EUR 1": {"lstrip": True, "normalized": True},
}
CUTS = {
    "prepend": sentencepiece("normalizer", ADDED),
    "metaspace": sentencepiece("metaspace", ADDED),
    "bytes": byte_level(ADDED),
    "NFC": byte_level(ADDED, "NFC"),
    "NFD": byte_level(ADDED, "NFD"),
}


@pytest.mark.parametrize("cut", CUTS)
def test_an_added_token_that_a_document_spells_is_text(tmp_path: Path, cut: str) -> None:
    tokenizer = FileTokenizer(write_tokenizer(tmp_path, CUTS[cut]))
    listed = {entry["content"]: entry["id"] for entry in CUTS[cut]["added_tokens"]}
    for content, number in listed.items():
        assert number in tokenizer.special_ids
        assert tokenizer.token_bytes[number] == b""
        for text in (content, f" a {content} b", f" x{content}y", f" {content}{content}", f" ({content})."):
            for form in ("NFC", "NFD"):
                written = unicodedata.normalize(form, text)
                ids = tokenizer.encode(written, False)
                assert not {*ids} & {*listed.values()}, (content, written)
                assert unicodedata.normalize("NFC", tokenizer.decode(ids)) == unicodedata.normalize("NFC", text)


def test_a_token_that_merges_make_of_a_text_is_cut_apart(tmp_path: Path) -> None:
    whole = byte_level(lines=["table"] * 20)
    number = whole["model"]["vocab"]["table"]
    assert number in FileTokenizer(write_tokenizer(tmp_path / "before", whole)).encode("(table)", False)
    whole["added_tokens"].append(added("table", number))
    tokenizer = FileTokenizer(write_tokenizer(tmp_path / "after", whole))
    for text in ("table", " (table) 12\u00e9table-table", "tabletable"):
        ids = tokenizer.encode(text, False)
        assert number not in ids
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize(
    ("part", "value", "what"),
    [
        ("normalizer", {"type": "Replace", "pattern": {"String": "\n"}, "content": " "}, "a line end"),
        ("normalizer", {"type": "Replace", "pattern": {"Regex": "[0-9]"}, "content": "0"}, "4711"),
        ("pre_tokenizer", {"type": "WhitespaceSplit"}, "a line end"),
    ],
)
def test_a_tokenizer_that_cannot_write_an_answer_is_named(
    tmp_path: Path, part: str, value: dict[str, object], what: str
) -> None:
    with pytest.raises(TokenizerError, match=what):
        FileTokenizer(write_tokenizer(tmp_path, {**byte_level(), part: value}))


def test_blank_runs_and_single_characters_stay_text_though_they_are_added(tmp_path: Path) -> None:
    whole = byte_level({"  ": {}, "\n\n": {}, "!": {"special": True}})
    tokenizer = FileTokenizer(write_tokenizer(tmp_path, whole))
    assert tokenizer.decode(tokenizer.encode(" a  b!", False)) == " a  b!"
    assert tokenizer.encode("  ", False) == [len(whole["model"]["vocab"]) + 1]
    assert not {*tokenizer.encode(" a!", False)} & tokenizer.special_ids
