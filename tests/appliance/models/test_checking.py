"""What is checked before a model is brought in."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.engines.open import ENGINE_CLASSES
from appliance.ground.errors import UsageError
from appliance.ground.progress import Progress
from appliance.ground.settings import Settings, load_settings
from appliance.models.checking import Level, check_import, find_artifacts
from appliance.models.manifest import ArtifactError, read_manifest, rewrite_manifest, verify_artifact, with_identity
from appliance.models.manifest_json import JSON
from appliance.models.store import Store
from appliance.models.weights import RUNNABLE
from appliance.quality.manifest_metrics import measured_lines
from tests.appliance.model_fixtures import GOOD, flip_byte, make_artifact

OF_GOOD: dict[str, JSON] = {
    name: getattr(GOOD, name) for name in ("verdict", "basis", "estimate", "low", "threshold", "documents", "fields")
}
"""What a gate's report repeats of the verdict of these fixtures."""


@pytest.fixture
def settings(home_dir: Path) -> Settings:
    return load_settings({"STILLROOM_HOME": str(home_dir)})


def levels(settings: Settings, directory: Path, name: str | None = None) -> dict[str, Level]:
    return {finding.check: finding.level for finding in check_import(settings, directory, name).findings}


def test_good_artifact_passes_every_check_with_its_numbers(settings: Settings, tmp_path: Path) -> None:
    reported: list[Progress] = []
    checked = check_import(settings, make_artifact(tmp_path / "a"), on_progress=reported.append)
    assert checked.good
    assert {finding.check: finding.level for finding in checked.findings} == dict.fromkeys(
        ("format", "name", "licence", "disk", "memory", "verdict", "hash"), Level.OK
    )
    assert checked.manifest is not None
    assert reported[-1].done == reported[-1].total == checked.manifest.size_bytes
    messages = {finding.check: finding.message for finding in checked.findings}
    assert messages["format"] == "decoder as gguf Q8_0, for cpu"
    assert messages["licence"] == "Apache-2.0"
    assert "free" in messages["disk"]


def test_flipped_byte_is_bad_and_names_both_hashes(settings: Settings, tmp_path: Path) -> None:
    directory = make_artifact(tmp_path / "a")
    flip_byte(directory / "model.gguf")
    checked = check_import(settings, directory)
    assert not checked.good
    (bad,) = (finding for finding in checked.findings if finding.level is Level.BAD)
    assert bad.check == "hash"
    assert read_manifest(directory).files["model.gguf"].sha256 in bad.message


def test_unknown_format_taken_name_and_missing_licence_are_told(settings: Settings, tmp_path: Path) -> None:
    Store(settings).add(make_artifact(tmp_path / "a"))
    other = make_artifact(tmp_path / "b", content=b"other weights", ready=False)
    rewrite_manifest(other, with_identity(replace(read_manifest(other), format="pickle", licence="")))
    found = levels(settings, other, "a")
    assert (found["format"], found["name"], found["licence"]) == (Level.BAD, Level.BAD, Level.NOTE)
    assert found["verdict"] is Level.NOTE
    assert levels(settings, tmp_path / "a")["name"] is Level.NOTE
    assert levels(settings, other, "a/b")["name"] is Level.BAD


def test_folder_without_a_manifest_is_bad_for_its_format(settings: Settings, tmp_path: Path) -> None:
    checked = check_import(settings, tmp_path)
    assert [finding.check for finding in checked.findings] == ["format"]
    assert not checked.good


def test_artifacts_are_found_below_a_disk_and_hidden_folders_and_links_are_not_followed(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    make_artifact(disk / "deep" / "er" / "a")
    make_artifact(disk / "b")
    (disk / ".trash").mkdir()
    make_artifact(disk / ".trash" / "c")
    (disk / "link").symlink_to(disk / "b")
    assert [path.name for path in find_artifacts(disk)] == ["b", "a"]
    assert find_artifacts(disk / "b") == [disk / "b"]
    with pytest.raises(UsageError, match=r"no folder in it holds a manifest\.json"):
        find_artifacts(disk / "b-files")
    with pytest.raises(UsageError, match="no folder at"):
        find_artifacts(disk / "gone")


def test_reading_is_stopped_by_what_the_listener_raises_and_nothing_is_left(settings: Settings, tmp_path: Path) -> None:
    class Left(Exception):
        pass

    def leave(_progress: Progress) -> None:
        raise Left

    with pytest.raises(Left):
        Store(settings).add(make_artifact(tmp_path / "a"), on_progress=leave)
    assert Store(settings).list() == ()
    assert not (settings.models_dir / "a").exists()


def test_disk_that_is_pulled_out_while_it_is_read_is_named(tmp_path: Path) -> None:
    directory = make_artifact(tmp_path / "a")

    def pull_out(_read_bytes: int) -> None:
        for path in directory.iterdir():
            path.unlink()

    with pytest.raises(ArtifactError, match="is missing or not a plain file"):
        verify_artifact(directory, pull_out)


def test_former_model_is_the_one_that_roll_back_takes(settings: Settings, tmp_path: Path) -> None:
    store = Store(settings)
    for name in ("a", "b"):
        store.add(make_artifact(tmp_path / name, content=name.encode()))
        store.activate(name)
    assert store.previous("orders") == "a"
    assert store.roll_back("orders").name == "a"
    assert store.previous("orders") is None


def measured(directory: Path, quality: JSON, ready: bool = True) -> dict[str, str]:
    """What is shown of an artifact with this report of a gate."""
    manifest = read_manifest(make_artifact(directory, ready=ready))
    return dict(measured_lines(replace(manifest, metrics={"quality": quality, "export": {"size": 4}})))


def test_measurements_are_told_with_interval_and_sample(tmp_path: Path) -> None:
    interval = {"estimate": 0.934, "low": 0.91, "high": 0.953, "confidence": 0.95}
    quality = {
        "documents": 240, "fields": 480, "failed": 2, "field_accuracy": interval, "document_accuracy": interval,
        "counts": {"omitted": 3, "substituted": 20, "invented": 9, "absent": 50}, "invented": interval,
        "fields_worst_first": {"total": {"fields": 240, "correct": 200}}, "readiness": OF_GOOD,
    }  # fmt: skip
    messages = measured(tmp_path / "a", json.loads(json.dumps(quality)))
    assert messages["field accuracy"] == "93.4 % (91.0 to 95.3), 480 fields"
    assert messages["document accuracy"] == "93.4 % (91.0 to 95.3), 240 documents"
    assert messages["invented values"] == "93.4 % (91.0 to 95.3), 50 absent fields"
    assert messages["without an answer"] == "2 of 240 documents"
    assert messages["field total"].startswith("83.3 % (78.1 to 87.5), 240 documents")
    assert messages["export.size"] == "4"


def test_measurements_of_another_form_are_told_as_they_are(tmp_path: Path) -> None:
    manifest = read_manifest(make_artifact(tmp_path / "a"))
    assert measured_lines(replace(manifest, metrics={"losses": [0.1] * 20})) == [("losses", "20 values")]


@pytest.mark.parametrize(
    ("readiness", "ready"),
    [(OF_GOOD, False), ({**OF_GOOD, "documents": 9999}, True), ({**OF_GOOD, "low": 0.99}, True), (None, True)],
    ids=["no verdict", "other sample", "other number", "typed in"],
)  # fmt: skip
def test_measurements_that_are_not_those_of_the_verdict_are_left_out(
    tmp_path: Path, readiness: JSON, ready: bool
) -> None:
    share: JSON = {"estimate": 0.99, "low": 0.98, "high": 1.0}
    messages = measured(
        tmp_path / "a", {"readiness": readiness, "fields": 9999, "field_accuracy": share, "documents": 9999}, ready
    )
    assert list(messages) == ["gate", "export.size"]


def test_what_passes_the_format_check_has_an_engine() -> None:
    assert set(ENGINE_CLASSES) == RUNNABLE
