"""Bases that are added: a folder that is whole, and folders that are not, through the command that people type."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from decoder_fixtures import write_base
from safetensors.torch import load_file, save_file

from appliance.cli import stillroom
from appliance.ground.errors import ApplianceError
from tests.appliance.model_fixtures import names_in

MATRIX = "model.layers.1.mlp.up_proj.weight"
Change = Callable[[dict[str, Any], dict[str, Any]], None]


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def home_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def bases(*arguments: object) -> str:
    done = CliRunner().invoke(stillroom, ["bases", *map(str, arguments)], catch_exceptions=False)
    return done.stdout


def test_folder_is_added_listed_shown_and_removed(base_dir: Path, home_dir: Path) -> None:
    added = json.loads(bases("add", base_dir, "--name", "tiny", "--json"))
    assert (added["name"], added["architecture"], added["licence"]) == ("tiny", "llama", None)
    [line] = [line for line in bases("list").splitlines() if line.startswith("tiny ")]
    assert line.split()[1:] == ["llama", line.split()[2], *line.split()[3:5], "256", "unknown", "folder", base_dir.name]
    shown = json.loads(bases("show", "tiny", "--json"))
    assert shown["tokens"] == shown["embedding_rows"]
    assert {"training", "merge", "gguf-q8_0", "onnx-int8"} <= set(shown["memory_bytes"])
    assert json.loads(bases("remove", "tiny", "--yes", "--json")) == {"name": "tiny", "removed": True}
    assert names_in(home_dir / "bases") == [".lock"]


def without_matrix(weights: dict[str, Any], settings: dict[str, Any]) -> None:
    del weights[MATRIX]


def with_nan(weights: dict[str, Any], settings: dict[str, Any]) -> None:
    weights[MATRIX][3, 5] = float("nan")


def other_shape(weights: dict[str, Any], settings: dict[str, Any]) -> None:
    weights[MATRIX] = weights[MATRIX][:-1].clone()


def of_tomorrow(weights: dict[str, Any], settings: dict[str, Any]) -> None:
    settings["model_type"] = "of-tomorrow"


def of_images(weights: dict[str, Any], settings: dict[str, Any]) -> None:
    settings["model_type"] = "siglip"


def one_layer_more(weights: dict[str, Any], settings: dict[str, Any]) -> None:
    settings["num_hidden_layers"] += 1


def one_layer_less(weights: dict[str, Any], settings: dict[str, Any]) -> None:
    settings["num_hidden_layers"] -= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_matrix, r"weights of odd lack 1 tensor of the model: model\.layers\.1\.mlp\.up_proj\.weight"),
        (with_nan, "not finite"),
        (other_shape, r"config\.json of odd gives another shape to 1 tensor"),
        (of_tomorrow, "of-tomorrow"),
        (of_images, "siglip"),
        (one_layer_more, "lack 9 tensors of the model"),
        (one_layer_less, "has no place for 9 tensors"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_folder_that_could_not_be_trained_is_refused_and_leaves_nothing(
    change: Change, message: str, base_dir: Path, home_dir: Path, tmp_path: Path
) -> None:
    source = tmp_path / "odd"
    shutil.copytree(base_dir, source)
    weights, settings = load_file(source / "model.safetensors"), json.loads((source / "config.json").read_text())
    change(weights, settings)
    save_file(weights, source / "model.safetensors", {"format": "pt"})
    (source / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ApplianceError, match=message):
        bases("add", source)
    assert names_in(home_dir / "bases") == [".lock"]


@pytest.mark.slow
def test_encoder_of_a_kind_that_no_table_names_is_added(home_dir: Path, tmp_path: Path) -> None:
    from encoder_kinds import write_kind

    bases("add", write_kind(tmp_path / "electra", "ELECTRA"))
    assert "electra" in names_in(home_dir / "bases")
