"""A base from a folder: what is copied, and what is refused by name."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from weight_files import ones, write_weights

from appliance.ground.errors import UsageError
from appliance.ground.progress import Progress, ignore_progress
from training.base_sources.folder_source import copy_base
from training.base_sources.tokenizer_files import check_tokenizer_files


def write_folder(directory: Path) -> Path:
    write_weights(directory / "model.safetensors", {"model.embed_tokens.weight": ones(3, 4)})
    (directory / "config.json").write_text('{"model_type": "llama"}')
    (directory / "tokenizer.json").write_text("{}")
    return directory


def test_weights_settings_and_licence_are_copied_and_nothing_that_could_run(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "source")
    for name in ("modeling_own.py", "pytorch_model.bin", "notes.txt", "consolidated.safetensors"):
        (source / name).write_text("x")
    (source / "README.md").write_text("---\nlicense: mit\n---\n")
    target = tmp_path / "target"
    target.mkdir()
    steps: list[Progress] = []
    record = copy_base(source, target, steps.append)
    names = ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
    assert sorted(path.name for path in target.iterdir()) == names
    assert (record.source, record.licence, record.licence_source) == ("folder source", "mit", "README.md")
    assert steps[-1].done == steps[-1].total == sum((source / name).stat().st_size for name in names)


def test_snapshot_of_the_hub_clients_cache_names_repository_and_commit(tmp_path: Path) -> None:
    blobs = write_folder(tmp_path / "blobs")
    source = tmp_path / "models--owner--model" / "snapshots" / ("a1" * 20)
    source.mkdir(parents=True)
    for path in blobs.iterdir():
        (source / path.name).symlink_to(path)
    (tmp_path / "target").mkdir()
    assert copy_base(source, tmp_path / "target", ignore_progress).origin == f"owner/model at {'a1' * 20}"


def test_readme_that_leads_out_of_the_folder_is_not_copied(tmp_path: Path) -> None:
    source, target = write_folder(tmp_path / "source"), tmp_path / "target"
    (tmp_path / "secret").write_text("---\nlicense: mit\n---\n")
    (source / "README.md").symlink_to("../secret")
    target.mkdir()
    with pytest.raises(UsageError, match=r"README\.md is a link to a file outside of the folder"):
        copy_base(source, target, ignore_progress)
    assert not list(target.iterdir())
    (source / "card.md").write_text("---\nlicense: apache-2.0\n---\n")
    (source / "README.md").unlink()
    (source / "README.md").symlink_to("card.md")
    assert copy_base(source, target, ignore_progress).licence == "apache-2.0"


def remove(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).unlink()


def write(name: str, content: object) -> Callable[[Path], None]:
    return lambda directory: (directory / name).write_text(json.dumps(content)) and None


def rename(before: str, after: str) -> Callable[[Path], None]:
    return lambda directory: (directory / before).rename(directory / after) and None


CODE = {"model_type": "own", "auto_map": {"AutoModel": "modeling_own.Own"}}
OWN_LLAMA = {"model_type": "llama", "auto_map": {"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}}
PHI3 = {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("config.json"), "has no config.json"),
        (remove("tokenizer.json"), "has no tokenizer.json"),
        (rename("tokenizer.json", "tokenizer.model"), "has no tokenizer.json, only tokenizer.model"),
        (remove("model.safetensors"), "has no safetensors file"),
        (rename("model.safetensors", "pytorch_model.bin"), "pickles alone"),
        (write("config.json", CODE), "code of its own .config.json has auto_map., which is never run"),
        (write("config.json", {"model_type": "x", "text_config": CODE}), "code of its own"),
        (write("config.json", OWN_LLAMA), "code of its own"),
        (write("config.json", {**OWN_LLAMA, "auto_map": "x"}), "code of its own"),
        (write("tokenizer_config.json", CODE), "code of its own .tokenizer_config.json"),
        (write("config.json", []), "holds no settings"),
        (write("model.safetensors.index.json", {"weight_map": {"a": "../x.safetensors"}}), "^ok$"),
    ],
    ids=lambda value: None if callable(value) else value,
)
def test_what_is_no_base_is_refused_by_name(change: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "source")
    change(source)
    (tmp_path / "target").mkdir()
    if message == "^ok$":  # the whole file counts where there is one
        copy_base(source, tmp_path / "target", ignore_progress)
        return
    with pytest.raises(UsageError, match=message):
        copy_base(source, tmp_path / "target", ignore_progress)


def test_folder_with_a_gguf_file_alone_says_what_to_name(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(UsageError) as caught:
        copy_base(tmp_path, tmp_path, ignore_progress)
    assert caught.value.hint == f"name the file itself: {tmp_path / 'model.gguf'}"


def test_adapter_is_no_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match="is an adapter, not a base model"):
        copy_base(tmp_path, tmp_path, ignore_progress)


def test_classes_that_transformers_has_itself_are_taken_and_the_code_is_left(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "source")
    write("config.json", {"model_type": "phi3", "auto_map": PHI3})(source)
    (source / "modeling_phi3.py").write_text("raise SystemExit")
    (source / "1_Pooling").mkdir()
    write("1_Pooling/config.json", {"pooling_mode_cls_token": True})(source)
    (tmp_path / "target").mkdir()
    copy_base(source, tmp_path / "target", ignore_progress)
    assert not (tmp_path / "target" / "modeling_phi3.py").exists()
    assert (tmp_path / "target" / "1_Pooling" / "config.json").is_file()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("tokenizer_config.json", {"eos_token": "[END]"}, "names '[END]' as eos_token, which its tokenizer.json does"),
        ("special_tokens_map.json", {"bos_token": {"content": "[CLS]"}}, "names '[CLS]' as bos_token"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"1": {"content": "</s>"}}}, "has '</s>' as token 1, its"),
    ],
    ids=["eos", "bos", "ids"],
)
def test_tokenizer_files_of_two_models_are_refused(
    name: str, settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    write("tokenizer.json", {"model": {"type": "BPE", "vocab": {"<s>": 0, "a": 1}}})(tmp_path)
    right = {"bos_token": "<s>", "eos_token": None, "added_tokens_decoder": {"0": {"content": "<s>"}, "9": {}}}
    write("tokenizer_config.json", right)(tmp_path)
    check_tokenizer_files(tmp_path)
    write(name, settings)(tmp_path)
    with pytest.raises(UsageError, match=re.escape(message)):
        check_tokenizer_files(tmp_path)
