"""`stillroom models` as a process: what it prints, what it refuses, and with which exit codes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from gguf_files import tiny_gguf

from appliance.models.manifest import file_sha256, read_manifest, with_identity
from tests.appliance.model_fixtures import GOOD, flip_byte, judge_as, make_artifact


def models(*arguments: str | Path, answer: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", "models", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        input=answer,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def artifact_dir(tmp_path: Path) -> Path:
    return make_artifact(tmp_path / "orders-q8")


def test_way_of_a_model_through_the_store(artifact_dir: Path, home_dir: Path) -> None:
    identity = read_manifest(artifact_dir).identity
    added = models("add", artifact_dir)
    assert (added.returncode, added.stdout) == (0, "")
    assert added.stderr == (
        f"orders-q8 added (task orders, {identity[:16]}, 1.6 kB, READY on 120 documents)\n"
        "it answers its task after `stillroom models activate orders-q8`\n"
    )
    assert models("activate", identity[:8]).stderr.startswith("orders-q8 answers its task from now on (task orders,")
    listed = models("list")
    assert listed.stderr == ""
    assert listed.stdout == (
        "  MODEL      TASK    IDENTITY             SIZE  VERDICT\n"
        f"* orders-q8  orders  {identity[:16]}   1.6 kB  READY on 120 documents\n"
    )
    described = json.loads(models("list", "--json").stdout)
    assert (described["name"], described["active"], described["size_bytes"]) == ("orders-q8", True, 1623)
    assert described["manifest"]["identity"] == identity
    assert described["directory"] == str(home_dir / "models" / "orders-q8")


def test_show_says_where_a_model_comes_from(artifact_dir: Path) -> None:
    models("add", artifact_dir)
    shown = models("show", "orders-q8")
    assert shown.returncode == 0
    manifest = read_manifest(artifact_dir)
    assert f"identity:     {manifest.identity}\n" in shown.stdout
    assert "kind:         decoder, gguf Q8_0\n" in shown.stdout
    assert "merge method: fold\n" in shown.stdout
    assert f"  model.gguf  1.5 kB  {manifest.files['model.gguf'].sha256[:16]}\n" in shown.stdout
    schema = json.loads(models("show", "orders-q8", "--schema", "--json").stdout)
    assert schema["properties"] == {"total": {"description": "total", "type": ["string", "null"]}}


def test_model_file_with_one_flipped_bit_is_refused_and_named(artifact_dir: Path) -> None:
    expected = file_sha256(artifact_dir / "model.gguf")
    flip_byte(artifact_dir / "model.gguf")
    done = models("add", artifact_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: orders-q8: model.gguf has SHA-256 {file_sha256(artifact_dir / 'model.gguf')},"
        f" the manifest says {expected}\n"
        "hint: the file was damaged or changed; export the model again or copy it again\n"
    )


def test_hostile_weights_with_the_right_hash_are_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = tiny_gguf().replace(b"block_count\x04\0\0\0\x01\0", b"block_count\x04\0\0\0\xff\xff")
    monkeypatch.setattr("tests.appliance.model_fixtures.tiny_gguf", lambda text: hostile)
    artifact_dir = make_artifact(tmp_path / "hostile")
    reason = f"{artifact_dir}/model.gguf cannot be used: block_count is 65,535, which is not between 1 and 512"
    added = models("add", artifact_dir)
    assert (added.returncode, added.stdout) == (1, "")
    assert added.stderr == f"error: {reason}\nhint: export the model again or copy the file again\n"
    assert reason in models("check", artifact_dir).stdout


def test_verify_tells_whole_models_from_damaged_ones(artifact_dir: Path, home_dir: Path, tmp_path: Path) -> None:
    models("add", artifact_dir)
    models("add", make_artifact(tmp_path / "other", content=b"other"))
    whole = models("verify")
    assert whole.returncode == 0
    assert [line.split(" (")[0] for line in whole.stderr.splitlines()] == ["orders-q8 is intact", "other is intact"]
    flip_byte(home_dir / "models" / "orders-q8" / "task.toml")
    damaged = models("verify")
    assert damaged.returncode == 1
    lines = damaged.stderr.splitlines()
    assert lines[0].startswith("orders-q8: task.toml has SHA-256")
    assert lines[1].startswith("other is intact")
    assert lines[2:] == [
        "error: 1 of 2 models damaged: orders-q8",
        "hint: add these models again with `stillroom models add`",
    ]
    assert models("verify", "orders-q8").returncode == 1
    assert models("verify", "other").returncode == 0


def test_unjudged_model_needs_unsafe(tmp_path: Path) -> None:
    models("add", make_artifact(tmp_path / "a", ready=False))
    refused = models("activate", "a")
    assert refused.returncode == 3
    assert "error: model a cannot be activated: no gate has judged it" in refused.stderr
    assert "hint: run `stillroom gate` first, or activate it with `--unsafe`" in refused.stderr
    allowed = models("activate", "a", "--unsafe", "--json")
    assert allowed.returncode == 0
    assert json.loads(allowed.stdout)["active"] is True
    assert "not judged" in models("list").stdout


def test_roll_back_and_delete(tmp_path: Path) -> None:
    for name in ("a", "b"):
        models("add", make_artifact(tmp_path / name, content=name.encode()))
        models("activate", name)
    refused = models("remove", "b", "--yes")
    assert refused.returncode == 2
    assert "error: model b is active for the task orders" in refused.stderr
    assert json.loads(models("roll-back", "orders", "--json").stdout)["name"] == "a"
    declined = models("remove", "b", answer="n\n")
    assert declined.returncode == 130
    assert "delete model b and its files? [y/N]" in declined.stderr
    assert models("remove", "b", answer="y\n").returncode == 0
    again = models("roll-back", "orders")
    assert again.returncode == 2
    assert "error: task orders has no earlier model to go back to" in again.stderr


def test_empty_store_says_how_to_fill_it() -> None:
    empty = models("list")
    assert (empty.returncode, empty.stdout) == (0, "")
    assert "no models yet: `stillroom models add DIR`" in empty.stderr
    assert models("list", "--json").stdout == ""


def test_broken_manifest_is_told_beside_the_list(artifact_dir: Path, home_dir: Path) -> None:
    models("add", artifact_dir)
    (home_dir / "models" / "orders-q8" / "manifest.json").write_text("{")
    listed = models("list", "--json")
    assert (listed.returncode, listed.stdout) == (0, "")
    path = home_dir / "models" / "orders-q8" / "manifest.json"
    assert listed.stderr.startswith(f"orders-q8: its manifest cannot be used: {path} cannot be read: Expecting")
    assert listed.stderr.endswith("; add the model again\n")
    verified = models("verify")
    assert verified.returncode == 1
    assert "manifest.json cannot be read" in verified.stderr
    assert models("add", artifact_dir).returncode == 0
    assert models("verify").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["add", "/nowhere"], 2, "/nowhere is not a model: it has no manifest.json", id="no folder"),
        pytest.param(["show", "x\x1b[31m"], 2, "no model x\N{REPLACEMENT CHARACTER}[31m is installed", id="ESC"),
        pytest.param(["roll-back", "none"], 2, "task none has no earlier model to go back to", id="no task"),
        pytest.param(["lst"], 2, "unknown command lst, did you mean list?", id="unknown command"),
        pytest.param(["pull", "a/b"], 2, "Missing option '--revision'", id="no revision"),
        pytest.param(
            ["pull", "a/b", "--revision", "main"], 2, "revision 'main' is not a full commit hash", id="branch"
        ),
    ],
)
def test_mistake_is_a_message_and_exit_code(arguments: list[str], code: int, message: str) -> None:
    done = models(*arguments)
    assert done.returncode == code
    assert f"error: {message}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr


def test_hostile_task_name_reaches_no_terminal(artifact_dir: Path) -> None:
    manifest = replace(read_manifest(artifact_dir), task_name="a\x1b]0;x\x07\u202eb", licence="\x1b", verdict=None)
    judge_as(artifact_dir, with_identity(manifest), GOOD)
    assert models("add", artifact_dir).returncode == 0
    for arguments in (["list"], ["show", "orders-q8"], ["list", "--json"], ["activate", "orders-q8"]):
        done = models(*arguments)
        assert done.returncode == 0
        assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout + done.stderr)
