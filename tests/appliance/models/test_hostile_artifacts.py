"""Artifact folders from a stranger's medium: whatever is odd about them is refused in one clear sentence."""

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.settings import Settings, load_settings
from appliance.models.checking import check_import
from appliance.models.manifest import (
    ArtifactError,
    model_identity,
    read_manifest,
    rewrite_manifest,
    verify_artifact,
    with_identity,
)
from appliance.models.store import Store
from tests.appliance.model_fixtures import make_artifact

FILE = {"size_bytes": 1, "sha256": "0" * 64}


@pytest.fixture
def artifact_dir(tmp_path: Path) -> Path:
    return make_artifact(tmp_path / "orders-q8")


@pytest.fixture
def settings(home_dir: Path) -> Settings:
    return load_settings({"STILLROOM_HOME": str(home_dir)})


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: (folder / "more.bin").write_bytes(b"x"), "'more.bin' in"),
        (lambda folder: (folder / ".hidden").write_bytes(b""), "'.hidden' in"),
        (lambda folder: (folder / "sub").mkdir(), "'sub' in"),
        (lambda folder: (folder / ".manifest.json.part").mkdir(), "'.manifest.json.part' in"),
        (lambda folder: (folder / "link").symlink_to("model.gguf"), "'link' in"),
        (lambda folder: os.mkfifo(folder / "pipe"), "'pipe' in"),
        (lambda folder: os.link(folder / "model.gguf", folder / "model.gguf.1"), "'model.gguf.1' in"),
        (lambda folder: (folder / "MODEL.gguf").write_bytes(b"weights"), "'MODEL.gguf' in"),
        (lambda folder: [(folder / f"n{n}").touch() for n in range(3)], "'n0' and 2 more in"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_manifest_does_not_list_is_refused(
    artifact_dir: Path, settings: Settings, make: Callable[[Path], object], message: str
) -> None:
    make(artifact_dir)
    with pytest.raises(ArtifactError) as refusal:
        verify_artifact(artifact_dir)
    assert message in refusal.value.message
    assert "is not in its manifest" in refusal.value.message
    assert not check_import(settings, artifact_dir).good
    with pytest.raises(ArtifactError):
        Store(settings).add(artifact_dir)
    assert Store(settings).list() == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"files": {}}, "it lists 0 files", id="no files"),
        pytest.param({"files": {f"f{n}": FILE for n in range(1001)}}, "it lists 1,001 files", id="too many files"),
        pytest.param({"files": {"A": FILE, "a": FILE}}, "differ only in capital letters", id="one name in two cases"),
        pytest.param({"files": {"Manifest.JSON": FILE}}, "is not a valid file name", id="manifest in capitals"),
        pytest.param({"files": {"u\u0308.gguf": FILE}}, "is not a valid file name", id="composed letter"),
        pytest.param({"files": {"a" * 400: {**FILE, "size_bytes": -1}}}, "size_bytes of", id="negative size"),
        pytest.param({"files": {"a": {**FILE, "size_bytes": 1 << 60}}}, "a number that is too large", id="huge size"),
        pytest.param({"files": {"a": {**FILE, "sha256": "0" * 63}}}, "which is no SHA-256", id="short hash"),
        pytest.param({"files": {"a": {**FILE, "sha256": "A" * 64}}}, "which is no SHA-256", id="hash in capitals"),
        pytest.param({"files": {"a": {**FILE, "mode": 7}}}, "unknown key 'mode'", id="more of a file"),
        pytest.param({"name": "\ud83d"}, "half a pair of surrogates", id="half a pair"),
        pytest.param({"metrics": {"\udc00": 1}}, "half a pair of surrogates", id="half a pair as key"),
        pytest.param({"metrics": {"a": deep(900)}}, "nested", id="deep measurements"),
        pytest.param({"metrics": {"a": 10**400}}, "too large", id="long number"),
        pytest.param({"licence": "x" * 5000}, "a text of 5,000 characters", id="long text"),
        pytest.param({"version": True}, "has version True", id="flag as version"),
        pytest.param({"version": 2.5}, "has version 2.5", id="part of a version"),
        pytest.param({"version": [2]}, "has version [2]", id="list as version"),
    ],
)
def test_odd_value_of_a_manifest_is_refused(artifact_dir: Path, values: dict[str, Any], message: str) -> None:
    path = artifact_dir / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    with pytest.raises(ArtifactError) as refusal:
        read_manifest(artifact_dir)
    assert message in refusal.value.message
    refusal.value.message.encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"version": 2, "version": 1}', "it names 'version' twice", id="key twice"),
        pytest.param(
            "{" + "".join(f'"k{n}": 1, ' for n in range(100_000)) + '"k9": 1}', "'k9' twice", id="many keys, one twice"
        ),
        pytest.param('{"version": 2, "identity": ""}', "it has no name", id="keys missing"),
        pytest.param('{"version": 1e999}', "too large", id="number without end"),
        pytest.param('{"version": ' + "9" * 5000 + "}", "cannot be read", id="number of 5,000 digits"),
        pytest.param('{"version": NaN}', "has version None", id="no number"),
        pytest.param('\ufeff{"version": 2}', "cannot be read", id="byte order mark"),
        pytest.param('{"a":' * 50_000, "cannot be read", id="objects without end"),
    ],
)
def test_odd_text_of_a_manifest_is_refused(artifact_dir: Path, text: str, message: str) -> None:
    (artifact_dir / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError) as refusal:
        read_manifest(artifact_dir)
    assert message in refusal.value.message


def test_manifest_that_is_a_link_is_not_read(artifact_dir: Path, tmp_path: Path) -> None:
    path = artifact_dir / "manifest.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="it is a link and no plain file"):
        read_manifest(artifact_dir)


def test_whatever_byte_of_a_manifest_changes_it_is_refused_or_says_the_same(artifact_dir: Path) -> None:
    """Ten thousand mutations would be the same test for longer; the seed makes each run the same."""
    path, draw = artifact_dir / "manifest.json", random.Random(1)
    original, before = path.read_bytes(), read_manifest(artifact_dir)
    for _ in range(600):
        changed = bytearray(original)
        for _ in range(draw.randint(1, 3)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        path.write_bytes(changed[: draw.choice([len(changed), draw.randrange(len(changed))])])
        try:
            after = read_manifest(artifact_dir)
        except ApplianceError as error:
            error.message.encode()
            continue
        assert after.identity == model_identity(after) == before.identity
        assert after.files == before.files
        assert after.verdict in (before.verdict, None)


def test_names_that_differ_in_capitals_only_are_not_both_installed(settings: Settings, tmp_path: Path) -> None:
    """Copied to a disk of another system, one would take the other's place."""
    store = Store(settings)
    store.add(make_artifact(tmp_path / "orders"))
    with pytest.raises(UsageError, match="the name Orders differs from the installed orders in capitals only"):
        store.add(make_artifact(tmp_path / "Orders", content=b"other"))
    store.add(tmp_path / "orders")


def test_unreadable_folder_is_named(artifact_dir: Path) -> None:
    with pytest.raises(UsageError, match="is not a model"):
        verify_artifact(artifact_dir / "model.gguf")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"family": "decoder", "format": "merged"}, "no engine can run this kind of model", id="merged"),
        pytest.param({"family": "encoder"}, "no engine can run this kind of model", id="encoder as GGUF"),
        pytest.param({"format": "onnx"}, "lists no model.onnx, which its engine opens", id="weights of another format"),
    ],
)
def test_what_no_engine_could_open_is_neither_good_nor_added(
    artifact_dir: Path, settings: Settings, values: dict[str, Any], message: str
) -> None:
    manifest = replace(read_manifest(artifact_dir), **values)
    rewrite_manifest(artifact_dir, with_identity(manifest))
    assert not check_import(settings, artifact_dir).good
    with pytest.raises(ArtifactError, match=message):
        Store(settings).add(artifact_dir)


@pytest.mark.parametrize(
    "names", ["orders-q8", None, ["../orders-q8"], ["/tmp"], [".."], [""], [7]], ids=lambda names: str(names)
)
def test_list_of_active_models_names_models_of_the_store_only(
    artifact_dir: Path, settings: Settings, names: object
) -> None:
    store = Store(settings)
    store.activate(store.add(artifact_dir).name)
    (settings.models_dir / "active.json").write_text(json.dumps({"version": 1, "tasks": {"orders": names}}))
    with pytest.raises(ApplianceError, match=r"active\.json cannot be read"):
        store.active("orders")


def test_link_to_a_model_elsewhere_is_removed_and_the_model_stays(artifact_dir: Path, settings: Settings) -> None:
    """A large model may lie on another disk."""
    settings.models_dir.mkdir(parents=True)
    (settings.models_dir / "orders-q8").symlink_to(artifact_dir)
    (settings.models_dir / ".orders-q8.part").symlink_to(artifact_dir)
    store = Store(settings)
    assert store.get("orders-q8").manifest == verify_artifact(artifact_dir)
    store.remove("orders-q8")
    assert os.listdir(settings.models_dir) == [".lock"]
    assert store.add(artifact_dir).manifest == verify_artifact(artifact_dir)
