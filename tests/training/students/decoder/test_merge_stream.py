"""An adapter folded into its base file by file: the numbers that peft merges, under the names of the base."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from decoder_fixtures import write_base
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file

from appliance.ground.errors import ApplianceError, ResourceError
from training.base_model import BaseMismatch, base_hash, load_base
from training.lora import add_lora, load_adapter, save_adapter
from training.students.decoder import merge_stream
from training.students.decoder.merge import merge_decoder, to_half


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("bases") / "tiny")


def write_run(base_dir: Path, run_dir: Path, **settings: object) -> Path:
    """A run whose adapter has learnt something."""
    run_dir.mkdir()
    (run_dir / "config.json").write_text(json.dumps({"base": str(base_dir)}))
    torch.manual_seed(1)
    model = add_lora(load_base(base_dir), LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", **settings))
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(0, 0.05)
    save_adapter(model, base_hash(base_dir), run_dir / "adapter")
    (run_dir / "merged").mkdir()
    return run_dir


def in_memory(base_dir: Path, run_dir: Path) -> dict[str, torch.Tensor]:
    """What peft itself merges."""
    model: PeftModel = load_adapter(load_base(base_dir), base_hash(base_dir), run_dir / "adapter")
    weights = model.merge_and_unload().state_dict()
    return to_half({name: value for name, value in weights.items() if name != "lm_head.weight"})[0]


def all_files(merged_dir: Path) -> dict[str, torch.Tensor]:
    return {name: value for path in merged_dir.glob("*.safetensors") for name, value in load_file(str(path)).items()}


def in_parts(base_dir: Path, directory: Path, names: tuple[str, str]) -> Path:
    """The base in two files, as large ones come."""
    shutil.copytree(base_dir, directory)
    weights = load_file(str(directory / "model.safetensors"))
    (directory / "model.safetensors").unlink()
    places = {name: names[number % 2] for number, name in enumerate(sorted(weights))}
    for file_name in names:
        save_file({name: weights[name] for name in weights if places[name] == file_name}, str(directory / file_name))
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return directory


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"alpha_pattern": {"q_proj": 64}}], ids=str)
def test_the_merged_weights_are_those_of_peft(base_dir: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    run_dir = write_run(base_dir, tmp_path / "run", **settings)
    merge_decoder(run_dir, run_dir / "merged")
    merged, expected = all_files(run_dir / "merged"), in_memory(base_dir, run_dir)
    assert merged.keys() == expected.keys()
    assert all(torch.equal(merged[name], expected[name]) for name in expected)


def test_parts_keep_their_names_and_have_an_index(base_dir: Path, tmp_path: Path) -> None:
    names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    source_dir = in_parts(base_dir, tmp_path / "base", names)
    run_dir = write_run(source_dir, tmp_path / "run")
    merge_decoder(run_dir, run_dir / "merged")
    assert sorted(path.name for path in (run_dir / "merged").glob("*.safetensors")) == list(names)
    places = json.loads((run_dir / "merged" / "model.safetensors.index.json").read_text())["weight_map"]
    assert places == json.loads((source_dir / "model.safetensors.index.json").read_text())["weight_map"]
    merged, expected = load_base(run_dir / "merged").state_dict(), in_memory(source_dir, run_dir)
    assert all(torch.equal(merged[name], value.float()) for name, value in expected.items())


def test_a_large_file_becomes_several(base_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_stream, "MOST_FILE_BYTES", 60_000)
    run_dir = write_run(base_dir, tmp_path / "run")
    merge_decoder(run_dir, run_dir / "merged")
    files = sorted((run_dir / "merged").glob("*.safetensors"))
    count = len(files)
    assert count > 2
    assert [path.name for path in files] == [f"model-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)]
    merged, expected = all_files(run_dir / "merged"), in_memory(base_dir, run_dir)
    assert all(torch.equal(merged[name], expected[name]) for name in expected)


def test_weights_too_large_for_float16_make_all_bfloat16(base_dir: Path, tmp_path: Path) -> None:
    source_dir = Path(shutil.copytree(base_dir, tmp_path / "base"))
    weights = load_file(str(base_dir / "model.safetensors"))
    weights["model.layers.1.mlp.down_proj.weight"][0, 0] = 7e4
    save_file(weights, str(source_dir / "model.safetensors"))
    run_dir = write_run(source_dir, tmp_path / "run")
    merge_decoder(run_dir, run_dir / "merged")
    merged, expected = all_files(run_dir / "merged"), in_memory(source_dir, run_dir)
    assert {value.dtype for value in merged.values()} == {torch.bfloat16}
    assert all(torch.equal(merged[name], expected[name]) for name in expected)
    assert json.loads((run_dir / "merged" / "config.json").read_text())["dtype"] == "bfloat16"


def test_a_base_whose_files_name_its_layers_otherwise_is_merged_in_memory(base_dir: Path, tmp_path: Path) -> None:
    run_dir = write_run(base_dir, tmp_path / "run")
    adapter_path = run_dir / "adapter" / "adapter_model.safetensors"
    adapter = load_file(str(adapter_path))
    expected = in_memory(base_dir, run_dir)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge_stream, "_PREFIX", "another.")  # as if no name of the adapter stood in the files
        merge_decoder(run_dir, run_dir / "merged")
    merged = all_files(run_dir / "merged")
    assert adapter
    assert all(torch.equal(merged[name], expected[name]) for name in expected)


def test_another_base_is_refused_before_anything_is_written(base_dir: Path, tmp_path: Path) -> None:
    run_dir = write_run(base_dir, tmp_path / "run")
    other_dir = write_base(tmp_path / "other", seed=5)
    with pytest.raises(BaseMismatch):
        merge_decoder(run_dir, run_dir / "merged", other_dir)
    assert list((run_dir / "merged").iterdir()) == []


def test_an_adapter_that_is_no_number_is_refused(base_dir: Path, tmp_path: Path) -> None:
    run_dir = write_run(base_dir, tmp_path / "run")
    path = run_dir / "adapter" / "adapter_model.safetensors"
    weights = load_file(str(path))
    name = next(name for name in weights if "lora_B" in name)
    weights[name][0, 0] = float("nan")
    save_file(weights, str(path))
    with pytest.raises(ApplianceError, match="the merged weights are not finite"):
        merge_decoder(run_dir, run_dir / "merged")
    assert list((run_dir / "merged").glob("*.safetensors")) == []


def test_a_full_disk_is_named_before_the_merge(base_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = write_run(base_dir, tmp_path / "run")
    monkeypatch.setattr(merge_stream, "SPARE_BYTES", 10**18)
    with pytest.raises(ResourceError, match=r"the merge needs 1000\.0 PB with a reserve of 1000\.0 PB"):
        merge_decoder(run_dir, run_dir / "merged")
    assert list((run_dir / "merged").iterdir()) == []
