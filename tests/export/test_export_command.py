"""`stillroom export`: which student is meant, artifacts with identity and lineage, and what must not remain."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from decoder_fixtures import cli, exported_run, order
from encoder_fixtures import write_base as write_encoder_base
from encoder_fixtures import write_task_folder as write_encoder_task

from appliance.cli import stillroom
from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.models.manifest import ArtifactError, model_identity, read_manifest, verify_artifact
from export import targets
from export.onnx import decoder
from export.targets import TARGETS, choose_targets, export_all, find_merged


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_run(tmp_path_factory.getbasetemp())


@pytest.fixture
def merged_run(run_dir: Path, tmp_path: Path) -> Path:
    """A copy of the run without its exports, in a task folder of its own."""
    copy = tmp_path / "task" / "runs" / run_dir.name
    shutil.copytree(run_dir, copy, ignore=shutil.ignore_patterns("export"))
    shutil.copyfile(run_dir / "task.toml", tmp_path / "task" / "task.toml")
    return copy


@pytest.fixture(scope="module")
def encoder_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A merged encoder run."""
    from appliance.tasks.taskfile import load_task
    from training.distill import distil
    from training.merge import pack
    from training.options import ENCODER_DEFAULTS, AdapterOptions
    from training.students.encoder.merge import merge_encoder

    root = tmp_path_factory.mktemp("encoder")
    folder = write_encoder_task(root / "task", write_encoder_base(root / "base"))
    run_dir = folder / "runs" / "1"
    run_dir.mkdir(parents=True)
    options = replace(
        ENCODER_DEFAULTS,
        epochs=15,
        learning_rate=5e-3,
        batch_rows=8,
        adapter=AdapterOptions(rank=4, alpha=8, dropout=0.1),
    )
    distil(load_task(folder), folder, run_dir, options)
    (run_dir / "staging").mkdir()
    lineage = merge_encoder(run_dir, run_dir / "staging")
    shutil.copyfile(folder / "task.toml", run_dir / "staging" / "task.toml")
    pack(load_task(folder), run_dir / "staging", run_dir / "merged", lineage, "")
    return run_dir


def test_an_artifact_carries_lineage_identity_task_and_checks(run_dir: Path) -> None:
    merged = read_manifest(run_dir / "merged")
    identities = {merged.identity}
    for name in ("onnx-fp32", "onnx-int8"):
        manifest = verify_artifact(run_dir / "export" / name)
        assert manifest.lineage == merged.lineage
        assert manifest.task_hash == merged.task_hash
        assert manifest.name == f"orders-{name}"
        assert sorted(manifest.files) == ["config.json", "model.onnx", "task.toml", "tokenizer.json"]
        assert manifest.identity == model_identity(manifest)
        assert manifest.verdict is None
        identities.add(manifest.identity)
    assert len(identities) == 3


def test_nothing_but_the_artifacts_remains(run_dir: Path) -> None:
    assert sorted(path.name for path in (run_dir / "export").iterdir()) == ["onnx-fp32", "onnx-int8"]


@pytest.mark.slow
def test_the_command_prints_where_the_artifact_is_and_nothing_else(merged_run: Path) -> None:
    printed = cli("export", merged_run.parent.parent, "--target", "onnx", "--json")
    assert printed.returncode == 0, printed.stderr
    assert printed.stderr == ""  # torch, onnxscript and transformers log and print a lot
    (artifact,) = json.loads(printed.stdout)["artifacts"]
    directory = Path(artifact["directory"])
    assert directory == merged_run / "export" / "onnx-fp32"
    assert artifact["identity"] == read_manifest(directory).identity
    assert artifact["metrics"]["agreement"] == 1.0


def test_the_artifact_runs_a_folder_of_documents(run_dir: Path, tmp_path: Path, home_dir: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(32, 36):
        (documents / f"{number}.txt").write_text(order(number)[0])
    model, out = run_dir / "export" / "onnx-int8", tmp_path / "rows"
    printed = cli("run", run_dir, documents, "--out", out, "--model", model, "--json", STILLROOM_HOME=str(home_dir))
    assert printed.returncode == 0, printed.stderr
    rows = [json.loads(line) for line in Path(json.loads(printed.stdout)["output"]).read_text().splitlines()]
    assert [row["fields"] for row in rows] == [order(number)[1] for number in range(32, 36)]


@pytest.mark.slow
def test_plain_onnx_is_int8_for_an_encoder(encoder_run: Path) -> None:
    (exported,) = export_all(encoder_run / "merged", ["onnx"])
    manifest = verify_artifact(exported.directory)
    assert (exported.target, manifest.quantization, manifest.family) == ("onnx-int8", "int8", "encoder")
    assert manifest.labels == ("card lost", "money back", "new address")
    assert {"calibration.json", "task.toml", "model.onnx"} <= manifest.files.keys()
    assert manifest.metrics["export"]["agreement"] >= 0.99  # type: ignore[index, call-overload, operator]


def test_a_target_of_another_family_is_refused(encoder_run: Path) -> None:
    with pytest.raises(UsageError, match="gguf-q8_0 is not a target for encoder students") as caught:
        export_all(encoder_run / "merged", ["onnx-fp32", "gguf-q8_0"])
    assert "onnx-fp32, onnx-int8" in caught.value.hint
    assert not (encoder_run / "export" / "onnx-fp32").exists()


@pytest.mark.parametrize(("name", "meant"), [("gguf-q8", "gguf-q8_0"), ("onx", "onnx"), ("onnx-int4", "onnx-int8")])
def test_an_unknown_target_names_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"unknown export target {name}") as caught:
        choose_targets([name], "decoder")
    assert f"did you mean {meant}?" in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_target_that_is_named_twice_is_made_once() -> None:
    assert choose_targets(["onnx", "gguf-f16", "onnx-fp32"], "decoder") == [TARGETS["onnx-fp32"], TARGETS["gguf-f16"]]


def test_a_target_must_be_named(merged_run: Path) -> None:
    printed = CliRunner().invoke(stillroom, ["export", str(merged_run)])
    assert printed.exit_code == 2
    assert "--target" in printed.output


def test_run_task_and_merged_folder_mean_the_same(merged_run: Path) -> None:
    assert find_merged(merged_run) == merged_run / "merged"
    assert find_merged(merged_run / "merged") == merged_run / "merged"
    assert find_merged(merged_run.parent.parent) == merged_run / "merged"


def test_of_a_task_the_newest_merged_run_is_taken(merged_run: Path) -> None:
    later, unmerged = merged_run.with_name("20260301-000000"), merged_run.with_name("20260401-000000")
    shutil.copytree(merged_run, later)
    shutil.copytree(merged_run, unmerged, ignore=shutil.ignore_patterns("merged"))
    assert find_merged(merged_run.parent.parent) == later / "merged"


def test_what_has_not_been_merged_is_told_so(merged_run: Path, tmp_path: Path) -> None:
    shutil.rmtree(merged_run / "merged")
    for folder in (merged_run, merged_run.parent.parent):
        with pytest.raises(UsageError, match="has not been merged") as caught:
            find_merged(folder)
        assert f"stillroom merge {merged_run}" in caught.value.hint
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="not a run, a merged model, or a task with a finished and merged run"):
        find_merged(tmp_path / "empty")


def test_a_flipped_byte_in_the_merged_weights_is_an_error_and_nothing_is_written(merged_run: Path) -> None:
    path = merged_run / "merged" / "model.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-100] ^= 1
    path.write_bytes(damaged)
    printed = cli("export", merged_run, "--target", "onnx", "--target", "gguf-f16")
    assert printed.returncode == 1
    assert "error: orders-merged: model.safetensors has SHA-256" in printed.stderr
    assert "hint:" in printed.stderr
    assert not (merged_run / "export").exists()


def test_an_artifact_that_is_not_merged_is_refused(run_dir: Path) -> None:
    with pytest.raises(UsageError, match="is a onnx artifact, not a merged model"):
        export_all(run_dir / "export" / "onnx-fp32", ["onnx"])


def test_a_full_disk_is_told_before_work_begins(merged_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "SPARE_BYTES", 10**18)
    with pytest.raises(
        ResourceError, match=r"the export needs 1000\.0 PB with a reserve of 1000\.0 PB, the disk of .* has .* free"
    ) as caught:
        export_all(merged_run / "merged", ["onnx"])
    assert caught.value.exit_code == 4
    assert not (merged_run / "export").exists()


def test_a_refused_target_stops_no_other_and_leaves_nothing_of_itself(
    merged_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = merged_run / "export" / "onnx-fp32"
    former.mkdir(parents=True)
    (former / "kept.txt").write_text("an earlier export")
    monkeypatch.setattr(decoder, "LARGEST_DIFFERENCE", -1.0)  # which no export can stay below
    printed = CliRunner().invoke(
        stillroom, ["export", str(merged_run), "--target", "onnx-fp32", "--target", "onnx-int8", "--json"]
    )
    assert isinstance(printed.exception, ApplianceError)
    assert printed.exception.exit_code == 3
    assert printed.exception.message == "1 of 2 targets were refused: onnx-fp32"
    assert "error: onnx-fp32: fp32 logits differ by up to" in printed.stderr
    result = json.loads(printed.stdout)
    assert [artifact["target"] for artifact in result["artifacts"]] == ["onnx-int8"]
    assert [refused["target"] for refused in result["refused"]] == ["onnx-fp32"]
    verify_artifact(merged_run / "export" / "onnx-int8")
    assert sorted(path.name for path in (merged_run / "export").iterdir()) == ["onnx-fp32", "onnx-int8"]
    assert (former / "kept.txt").read_text() == "an earlier export"


def test_what_a_killed_export_left_is_taken_away_by_the_next(merged_run: Path) -> None:
    exports_dir = merged_run / "export"
    for name in (".work/onnx-fp32", ".onnx-fp32.part"):
        (exports_dir / name).mkdir(parents=True)
        (exports_dir / name / "model.onnx").write_bytes(b"half")
    (exported,) = export_all(merged_run / "merged", ["onnx-fp32"])
    assert [path.name for path in exports_dir.iterdir()] == ["onnx-fp32"]
    verify_artifact(exported.directory)


def test_a_single_target_that_is_refused_is_the_error(merged_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(ApplianceError, match="fp32 logits differ"):
        export_all(merged_run / "merged", ["onnx-fp32"])
    assert not (merged_run / "export").exists()


def test_a_manifest_that_is_broken_is_an_error(merged_run: Path) -> None:
    (merged_run / "merged" / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match="cannot be read"):
        export_all(merged_run / "merged", ["onnx"])


def test_a_decoder_becomes_gguf(merged_run: Path) -> None:
    pytest.importorskip("llama_cpp", exc_type=ImportError)
    (exported,) = export_all(merged_run / "merged", ["gguf-q8_0"])
    manifest = verify_artifact(exported.directory)
    assert (manifest.format, manifest.quantization) == ("gguf", "Q8_0")
    assert sorted(manifest.files) == ["config.json", "model.gguf", "task.toml", "tokenizer.json"]
    assert [path.name for path in (merged_run / "export").iterdir()] == ["gguf-q8_0"]
