"""Artifacts: what their identity depends on, that they are written whole, and that every change of a file is found."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gguf_files import tiny_gguf

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.files import exchange_names, put_in_place
from appliance.models.approval import is_approved
from appliance.models.manifest import (
    IDENTITY_KEYS,
    MANIFEST_NAME,
    ArtifactError,
    FileEntry,
    Manifest,
    file_sha256,
    model_identity,
    read_manifest,
    rewrite_manifest,
    verify_artifact,
    write_artifact,
)
from tests.appliance.model_fixtures import LINEAGE, file_size_limit, flip_byte, make_artifact, names_in

HOSTILE_NAMES = [
    "../out", "/etc/passwd", "a/b", ".hidden", "", " ", "a b", "a\nb", "a\x1b[31m", "-rf", "manifest.json", "a\0b", "é",
]  # fmt: skip


WEIGHTS = tiny_gguf(b"weights")


@pytest.fixture
def artifact_dir(tmp_path: Path) -> Path:
    return make_artifact(tmp_path / "orders-q8")


def change(directory: Path, **values: object) -> None:
    """Writes other values into the manifest."""
    path = directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_identity_as_bytes(artifact_dir: Path) -> None:
    manifest = replace(read_manifest(artifact_dir), files={"m": FileEntry(7, "c" * 64)}, task_hash="f" * 64)
    text = (
        '{"adapter_hash":"' + "a" * 64 + '","base_hash":"' + "b" * 64 + '","data_hash":"' + "d" * 64 + '",'
        '"family":"decoder","files":{"m":[7,"' + "c" * 64 + '"]},"format":"gguf","labels":[],"merge_method":"fold",'
        '"prompt_form":"stillroom-1/1","quantization":"Q8_0","target":"cpu","task_hash":"' + "f" * 64 + '",'
        '"task_name":"orders"}'
    )
    assert model_identity(manifest) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("key", IDENTITY_KEYS)
def test_identity_changes_with_each_part_of_the_lineage(artifact_dir: Path, key: str) -> None:
    manifest = read_manifest(artifact_dir)
    assert model_identity(replace(manifest, lineage={**LINEAGE, key: "other"})) != manifest.identity


@pytest.mark.parametrize(
    "part",
    [
        {"family": "encoder"}, {"format": "onnx"}, {"quantization": "Q4_K_M"}, {"target": "cuda"},
        {"task_hash": "e" * 64}, {"task_name": "other"}, {"prompt_form": "other"}, {"labels": ("a",)},
        {"files": {"model.gguf": FileEntry(7, "c" * 64)}}, {"files": {}},
    ],
    ids=lambda part: next(iter(part)),
)  # fmt: skip
def test_identity_changes_with_each_other_part(artifact_dir: Path, part: dict[str, Any]) -> None:
    manifest = read_manifest(artifact_dir)
    assert model_identity(replace(manifest, **part)) != manifest.identity


def test_identity_ignores_what_names_and_describes(artifact_dir: Path) -> None:
    manifest = read_manifest(artifact_dir)
    other = replace(
        manifest, name="x", licence="y", verdict=None, metrics={"a": 1}, created="z",
        lineage={**LINEAGE, "teacher": "gpt-4", "base": "x"},
    )  # fmt: skip
    assert model_identity(other) == manifest.identity


def test_values_do_not_slip_from_one_part_to_the_next(artifact_dir: Path) -> None:
    manifest = read_manifest(artifact_dir)
    first, second = (replace(manifest, quantization=q, target=t) for q, t in (("a", ""), ("", "a")))
    assert model_identity(first) != model_identity(second)


def test_written_artifact_holds_its_files_and_nothing_else(artifact_dir: Path) -> None:
    assert names_in(artifact_dir) == ["manifest.json", "model.gguf", "task.toml"]
    assert sorted(path.name for path in artifact_dir.parent.iterdir()) == ["orders-q8", "orders-q8-files"]
    manifest = read_manifest(artifact_dir)
    assert manifest.files["model.gguf"] == FileEntry(len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest())
    assert manifest == verify_artifact(artifact_dir)
    assert manifest.verdict is not None
    assert (manifest.verdict.verdict, manifest.verdict.identity) == ("READY", manifest.identity)
    assert is_approved(manifest)


def test_manifest_as_bytes(tmp_path: Path) -> None:
    source = tmp_path / "x"
    source.write_bytes(b"")
    manifest = Manifest("ab", "né", "encoder", "onnx", "desks", "cd", labels=("ä",), created="2026-01-01T00:00:00Z")
    identity = write_artifact(tmp_path / "a", manifest, {"x": source}).identity
    assert (tmp_path / "a" / "manifest.json").read_bytes().decode() == (
        f'{{\n  "identity": "{identity}",\n  "name": "né",\n  "family": "encoder",\n  "format": "onnx",\n'
        '  "task_name": "desks",\n  "task_hash": "cd",\n  "quantization": "",\n  "target": "",\n'
        '  "prompt_form": "",\n  "lineage": {},\n  "licence": "",\n  "files": {\n    "x": {\n'
        '      "size_bytes": 0,\n'
        '      "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"\n    }\n  },\n'
        '  "metrics": {},\n  "verdict": null,\n  "labels": [\n    "ä"\n  ],\n'
        '  "created": "2026-01-01T00:00:00Z",\n  "version": 2\n}\n'
    )


def test_writing_again_replaces_the_whole_folder(artifact_dir: Path) -> None:
    (artifact_dir / "stray").write_bytes(b"x")
    make_artifact(artifact_dir, content=b"other")
    assert names_in(artifact_dir) == ["manifest.json", "model.gguf", "task.toml"]
    assert (artifact_dir / "model.gguf").read_bytes() == tiny_gguf(b"other")


def test_full_disk_leaves_the_former_artifact_and_no_leftovers(artifact_dir: Path) -> None:
    big_path = artifact_dir.parent / "big"
    big_path.write_bytes(bytes(100_000))
    before = names_in(artifact_dir.parent)
    with file_size_limit(50_000), pytest.raises(ResourceError) as caught:
        write_artifact(artifact_dir, read_manifest(artifact_dir), {"model.gguf": big_path})
    assert "orders-q8: File too large" in caught.value.message
    assert caught.value.exit_code == 4
    assert names_in(artifact_dir.parent) == before
    assert verify_artifact(artifact_dir).files["model.gguf"].size_bytes == len(WEIGHTS)


def test_full_disk_leaves_the_former_manifest(artifact_dir: Path) -> None:
    manifest = read_manifest(artifact_dir)
    with file_size_limit(500), pytest.raises(ResourceError, match=r"cannot write .*manifest\.json: File too large"):
        rewrite_manifest(artifact_dir, replace(manifest, metrics={"long": "x " * 450}))
    assert names_in(artifact_dir) == ["manifest.json", "model.gguf", "task.toml"]
    assert verify_artifact(artifact_dir) == manifest


def test_missing_source_leaves_no_leftovers(artifact_dir: Path) -> None:
    before = names_in(artifact_dir.parent)
    with pytest.raises(ResourceError, match="No such file"):
        write_artifact(artifact_dir.parent / "new", read_manifest(artifact_dir), {"x": artifact_dir / "none"})
    assert names_in(artifact_dir.parent) == before


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_file_name_is_neither_written_nor_read(artifact_dir: Path, name: str) -> None:
    before = names_in(artifact_dir.parent)
    with pytest.raises(ArtifactError, match="is not a valid file name for an artifact"):
        write_artifact(artifact_dir.parent / "new", read_manifest(artifact_dir), {name: artifact_dir / "model.gguf"})
    assert names_in(artifact_dir.parent) == before
    change(artifact_dir, files={name: {"size_bytes": 0, "sha256": "0" * 64}})
    with pytest.raises(ArtifactError, match="is not a valid file name for an artifact"):
        read_manifest(artifact_dir)


def test_rewritten_manifest_leaves_the_files(artifact_dir: Path) -> None:
    manifest = replace(read_manifest(artifact_dir), verdict=None, metrics={"quality": {"right": 0.5}})
    rewrite_manifest(artifact_dir, manifest)
    assert verify_artifact(artifact_dir) == manifest
    assert names_in(artifact_dir) == ["manifest.json", "model.gguf", "task.toml"]


def test_flipped_bit_is_named_with_both_hashes(artifact_dir: Path) -> None:
    expected = file_sha256(artifact_dir / "model.gguf")
    flip_byte(artifact_dir / "model.gguf", 3)
    found = file_sha256(artifact_dir / "model.gguf")
    with pytest.raises(ArtifactError) as caught:
        verify_artifact(artifact_dir)
    assert caught.value.message == f"orders-q8: model.gguf has SHA-256 {found}, the manifest says {expected}"
    assert "export the model again or copy it again" in caught.value.hint
    assert caught.value.exit_code == 1


def test_cut_file_is_named_with_both_sizes(artifact_dir: Path) -> None:
    os.truncate(artifact_dir / "model.gguf", 3)
    with pytest.raises(ArtifactError, match=rf"orders-q8: model\.gguf has 3 bytes, the manifest says {len(WEIGHTS)}"):
        verify_artifact(artifact_dir)


def test_missing_file_is_named(artifact_dir: Path) -> None:
    (artifact_dir / "model.gguf").unlink()
    with pytest.raises(ArtifactError, match=r"model\.gguf is missing"):
        verify_artifact(artifact_dir)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_only_plain_files_count_even_with_the_right_content(artifact_dir: Path, kind: str) -> None:
    path, elsewhere = artifact_dir / "model.gguf", artifact_dir.parent / "elsewhere"
    path.rename(elsewhere)
    {"link": lambda: path.symlink_to(elsewhere), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[kind]()
    with pytest.raises(ArtifactError, match=r"model\.gguf is missing or not a plain file"):
        verify_artifact(artifact_dir)


def test_folder_without_a_manifest_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a model: it has no manifest\.json"):
        verify_artifact(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "cannot be read", id="empty"),
        pytest.param(b"\xff", "cannot be read", id="no utf-8"),
        pytest.param(b"{" * 10, "cannot be read", id="cut"),
        pytest.param(b"[" * 100_000, "cannot be read", id="nested without end"),
        pytest.param(b"[]", "has version None, this program reads versions 1 to 2", id="list"),
        pytest.param(b"{}", "has version None, this program reads versions 1 to 2", id="no version"),
        pytest.param(b'{"version": 3}', "has version 3, this program reads versions 1 to 2", id="other version"),
        pytest.param(b'{"version": 1}', "is not a valid manifest", id="nothing in it"),
    ],
)
def test_broken_manifest_is_named(artifact_dir: Path, content: bytes, message: str) -> None:
    (artifact_dir / "manifest.json").write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        read_manifest(artifact_dir)
    assert str(artifact_dir / "manifest.json") in caught.value.message
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"qualty": 1}, "unknown key 'qualty'", id="unknown key"),
        pytest.param({"identity": 5}, "identity is 5", id="identity as number"),
        pytest.param({"name": None}, "name is None", id="no name"),
        pytest.param({"files": []}, "files is not an object", id="files as list"),
        pytest.param({"files": {"a": 1}}, "a is not an object", id="file as number"),
        pytest.param({"files": {"a": {"size_bytes": 1}}}, "missing 1 required", id="file without hash"),
        pytest.param({"files": {"a": {"size_bytes": "1", "sha256": ""}}}, "size_bytes is '1'", id="size as text"),
        pytest.param({"files": {"a": {"size_bytes": True, "sha256": ""}}}, "size_bytes is True", id="size as flag"),
        pytest.param({"verdict": "READY"}, "verdict is not an object", id="verdict as text"),
        pytest.param({"verdict": {"verdict": "READY", "x": 1}}, "unknown key 'x'", id="unknown key of the verdict"),
        pytest.param({"verdict": {"verdict": "READY", "documents": "9"}}, "documents is '9'", id="documents as text"),
        pytest.param({"labels": "abc"}, "labels is not a list of strings", id="labels as text"),
        pytest.param({"lineage": {"base": 1}}, "lineage holds", id="lineage of numbers"),
        pytest.param({"metrics": []}, "metrics is not an object", id="metrics as list"),
    ],
)
def test_wrong_value_in_a_manifest_is_named(artifact_dir: Path, values: dict[str, object], message: str) -> None:
    change(artifact_dir, **values)
    with pytest.raises(ArtifactError) as caught:
        read_manifest(artifact_dir)
    assert message in caught.value.message


def test_folder_is_put_in_place_of_another(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(b"")
    put_in_place(tmp_path / "new", tmp_path / "old")
    assert names_in(tmp_path) == ["old", "old/new"]


def test_reader_finds_a_folder_at_every_moment_while_it_is_replaced(tmp_path: Path) -> None:
    """The former order of two renames had a moment without any; this looks as often as it can."""
    place = tmp_path / "place"
    for name in ("place", "next"):
        (tmp_path / name).mkdir()
    if not exchange_names(place, tmp_path / "next"):
        pytest.skip("this file system cannot exchange two names")
    program = "import os, sys\nprint('ready', flush=True)\nwhile os.path.isdir(sys.argv[1]): pass\n"
    watcher = subprocess.Popen([sys.executable, "-c", program, str(place)], stdout=subprocess.PIPE, text=True)
    assert watcher.stdout is not None
    try:
        assert watcher.stdout.readline() == "ready\n"
        for _ in range(300):
            put_in_place(tmp_path / "next", place)
            (tmp_path / "next").mkdir()
        assert watcher.poll() is None
    finally:
        watcher.kill()
        watcher.communicate()


def test_folder_takes_the_place_of_a_link_and_leaves_what_it_named(tmp_path: Path) -> None:
    for name in ("elsewhere", "next"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "place").symlink_to("elsewhere")
    put_in_place(tmp_path / "next", tmp_path / "place")
    assert (tmp_path / "place" / "file").read_text() == "next"
    assert (tmp_path / "elsewhere" / "file").read_text() == "elsewhere"
    assert names_in(tmp_path) == ["elsewhere", "elsewhere/file", "place", "place/file"]


@pytest.mark.parametrize("kind", ["pipe", "endless", "huge"])
def test_manifest_that_is_no_plain_file_of_moderate_size_is_not_read(artifact_dir: Path, kind: str) -> None:
    path = artifact_dir / MANIFEST_NAME
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    with pytest.raises(ArtifactError, match="cannot be read: it"):
        read_manifest(artifact_dir)
