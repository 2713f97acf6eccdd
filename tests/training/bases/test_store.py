"""The store of bases: what is added appears whole or not at all, and no base takes another's place."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from weight_files import ones, write_weights

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.settings import Settings, load_settings
from appliance.models.manifest import ArtifactError
from tests.appliance.model_fixtures import file_size_limit, flip_byte, names_in
from training.bases.description import described, described_fully, lines
from training.bases.lookup import base_folder
from training.bases.record import BaseRecord, lineage_of, read_record, verify_base
from training.bases.store import BaseStore

CONFIG = {
    "model_type": "llama", "hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 3,
    "max_position_embeddings": 64, "license": "mit",
}  # fmt: skip


def write_files(directory: Path, rows: int = 3) -> None:
    """Files of a base, as far as a listing reads them."""
    directory.mkdir(exist_ok=True)
    write_weights(directory / "model.safetensors", {"model.embed_tokens.weight": ones(rows, 4)})
    (directory / "config.json").write_text(json.dumps(CONFIG))
    vocabulary = {"type": "BPE", "vocab": {"a": 0, "b": 1}}
    tokenizer = {"model": vocabulary, "decoder": {"type": "ByteLevel"}, "added_tokens": [{"id": 2, "content": "<s>"}]}
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))


def filling(rows: int = 3, **record: str) -> Callable[[Path], BaseRecord]:
    def fill(directory: Path) -> BaseRecord:
        write_files(directory, rows)
        return BaseRecord("a test", **record)

    return fill


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    return load_settings({"STILLROOM_HOME": str(tmp_path / "home")})


@pytest.fixture
def store(settings: Settings) -> BaseStore:
    return BaseStore(settings)


def test_added_base_has_the_hash_of_every_file_and_is_found_by_its_name(store: BaseStore) -> None:
    base = store.add("one", 1000, filling(dequantized_from="Q4_1", licence="apache-2.0"))
    assert [stored.name for stored in store.list()] == ["one"]
    assert base_folder("one", "x") == base.directory
    verify_base(base.directory)
    assert sorted(read_record(base.directory).files) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert lineage_of(base.directory) == {
        "base_source": "dequantized from Q4_1, a test", "base_licence": "apache-2.0",
    }  # fmt: skip


def test_changed_base_is_not_trained_on(store: BaseStore) -> None:
    base = store.add("one", 1000, filling())
    flip_byte(base.directory / "model.safetensors")
    with pytest.raises(ArtifactError, match=r"one: model\.safetensors has SHA-256"):
        base_folder("one", "x")


def test_the_same_base_again_changes_nothing_and_another_is_refused(store: BaseStore) -> None:
    first = store.add("one", 1000, filling())
    assert store.add("one", 1000, filling()) == first
    with pytest.raises(UsageError, match="the name one is taken by another base"):
        store.add("one", 1000, filling(rows=4))
    with pytest.raises(UsageError, match="differs from the base one in capitals only"):
        store.add("One", 1000, filling())
    verify_base(first.directory)


def test_what_is_refused_or_fails_leaves_nothing(store: BaseStore, settings: Settings) -> None:
    def refuse(directory: Path) -> BaseRecord:
        write_files(directory)
        raise UsageError("no base")

    with pytest.raises(UsageError, match="no base"):
        store.add("one", 1000, refuse)
    with pytest.raises(ResourceError, match="cannot write"), file_size_limit(100):
        store.add("one", 1000, filling(rows=100))
    with pytest.raises(ResourceError, match=r"needs .* and a reserve of 200 MB"):
        store.add("one", 1 << 60, filling())
    assert names_in(settings.bases_dir) == [".lock"]


def test_leftovers_of_a_killed_change_go_with_the_next_one(store: BaseStore, settings: Settings) -> None:
    for name in (".two.adding", ".three.deleted", ".four.former"):
        write_files(settings.bases_dir / name) if settings.bases_dir.mkdir(exist_ok=True) else None
        (settings.bases_dir / name).mkdir(exist_ok=True)
    assert store.list() == ()
    store.add("one", 1000, filling())
    # What was exchanged when the process died is there again.
    assert [path.name for path in sorted(settings.bases_dir.iterdir())] == [".lock", "four", "one"]


def test_removed_base_is_gone_and_an_unreadable_one_can_be_removed(store: BaseStore, settings: Settings) -> None:
    store.add("owner/one", 1000, filling())
    (settings.bases_dir / "two").mkdir()
    assert list(store.broken()) == ["two"]
    store.remove("owner/one")
    store.remove("two")
    assert names_in(settings.bases_dir) == [".lock"]
    with pytest.raises(UsageError, match="no base one is on this machine"):
        store.remove("one")


@pytest.mark.parametrize("name", ["", ".one", "../one", "a/b/c", "a b", "one.", "a--b", "stillroom-base", "-x", "a\n"])
def test_what_is_no_name_is_refused(store: BaseStore, name: str) -> None:
    with pytest.raises(UsageError):
        store.add(name, 1000, filling())


def test_a_name_that_is_also_a_folder_here_is_not_guessed(
    store: BaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path / "one")
    assert base_folder("one", "x") == Path("one")
    store.add("one", 1000, filling())
    with pytest.raises(UsageError, match="a folder here, too"):
        base_folder("one", "x")
    assert base_folder("./one", "x") == Path("one")


def test_pulled_base_of_before_is_listed_with_its_commit(store: BaseStore, settings: Settings) -> None:
    directory = settings.bases_dir / "owner--model"
    settings.bases_dir.mkdir()
    write_files(directory)
    origin = {"version": 1, "repository": "owner/model", "revision": "c" * 40, "pulled": "2026-01-01", "files": {}}
    (directory / "hub.json").write_text(json.dumps(origin))
    [base] = store.list()
    assert (base.name, base.record.origin) == ("owner/model", f"owner/model at {'c' * 40}")


def test_description_says_what_is_known(store: BaseStore) -> None:
    base = store.add("one", 1000, filling())
    entry = described_fully(base.name, base.directory, base.record)
    assert entry["licence"] == "mit"
    assert entry["licence_source"] == "config.json"
    assert (entry["weights"], entry["context"], entry["tokens"], entry["embedding_rows"]) == (12, 64, 3, 3)
    assert isinstance(entry["refused_targets"], dict)
    assert entry["refused_targets"]["gguf-q8_0"] == "the model's config.json lacks num_attention_heads"
    assert "onnx-fp32" not in entry["refused_targets"]
    shown = "\n".join(lines(base.name, base.directory, base.record))
    assert "licence:      mit (config.json)" in shown
    assert "byte-level BPE, 3 tokens for 3 rows of the embedding" in shown
    (base.directory / "config.json").write_text("[]")
    assert "holds no settings" in str(described(base.name, base.directory, base.record)["problem"])
