"""The store: what is installed stays whole, and only a READY model answers a task by itself."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.diagnosis.state import check_models
from appliance.ground.errors import ApplianceError, NotAllGood, ResourceError, UsageError
from appliance.ground.progress import Progress
from appliance.ground.settings import Settings, load_settings
from appliance.models.active import MOST_FORMER
from appliance.models.checking import check_import
from appliance.models.manifest import ArtifactError, read_manifest, verify_artifact
from appliance.models.store import Store
from tests.appliance.model_fixtures import file_size_limit, flip_byte, make_artifact, names_in

CALL = [sys.executable, "-m", "appliance.cli", "models"]


@pytest.fixture
def settings(home_dir: Path) -> Settings:
    return load_settings({"STILLROOM_HOME": str(home_dir), "STILLROOM_THREADS": "1"})


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings)


def install(store: Store, tmp_path: Path, name: str, ready: bool = True, task: str = "orders") -> None:
    store.add(make_artifact(tmp_path / name, task, name.encode(), ready))


def active(store: Store, task: str = "orders") -> str | None:
    model = store.active(task)
    return model.name if model else None


def test_empty_store_lists_nothing(store: Store) -> None:
    assert store.list() == ()
    assert store.broken() == ()
    assert store.active("orders") is None


def test_added_model_is_a_copy_that_is_whole(store: Store, settings: Settings, tmp_path: Path) -> None:
    model = store.add(make_artifact(tmp_path / "a"))
    shutil.rmtree(tmp_path / "a")
    assert model.directory == settings.models_dir / "a"
    assert not model.active
    assert [listed.name for listed in store.list()] == ["a"]
    assert verify_artifact(model.directory) == model.manifest
    assert names_in(settings.models_dir) == [".lock", "a", "a/manifest.json", "a/model.gguf", "a/task.toml"]


def test_file_that_the_manifest_does_not_list_is_refused(store: Store, tmp_path: Path) -> None:
    artifact_dir = make_artifact(tmp_path / "a")
    (artifact_dir / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ArtifactError, match=r"a: 'pytorch_model\.bin' in .* is not in its manifest"):
        store.add(artifact_dir)
    assert store.list() == ()


def test_same_model_again_changes_nothing(store: Store, tmp_path: Path) -> None:
    first = store.add(make_artifact(tmp_path / "a"))
    store.activate("a")
    again = store.add(tmp_path / "a")
    assert again.manifest == first.manifest
    assert again.active


def test_same_model_again_mends_a_damaged_one(store: Store, tmp_path: Path) -> None:
    model = store.add(make_artifact(tmp_path / "a"))
    flip_byte(model.directory / "model.gguf")
    store.add(tmp_path / "a")
    store.verify("a")


def test_name_of_another_model_is_taken(store: Store, tmp_path: Path) -> None:
    first = store.add(make_artifact(tmp_path / "a"))
    other_dir = make_artifact(tmp_path / "other" / "a", content=b"other")
    with pytest.raises(UsageError) as caught:
        store.add(other_dir)
    assert caught.value.message == f"the name a is taken by model {first.manifest.identity[:16]}"
    assert "--name" in caught.value.hint
    assert read_manifest(first.directory) == first.manifest
    assert store.add(other_dir, "b").name == "b"


@pytest.mark.parametrize("name", ["../a", "a/b", ".a", "-a", "a b", "a\x1b[31m", "a" * 101])
def test_name_that_is_no_folder_name_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a valid model name"):
        store.add(make_artifact(tmp_path / "a"), name)
    assert store.list() == ()


def test_damaged_artifact_is_not_added(store: Store, settings: Settings, tmp_path: Path) -> None:
    flip_byte(make_artifact(tmp_path / "a") / "model.gguf")
    with pytest.raises(ArtifactError, match=r"model\.gguf has SHA-256"):
        store.add(tmp_path / "a")
    assert store.list() == ()
    assert not settings.models_dir.exists()


def test_full_disk_leaves_the_store_as_it_was(store: Store, settings: Settings, tmp_path: Path) -> None:
    store.add(make_artifact(tmp_path / "a"))
    store.activate("a")
    before = names_in(settings.models_dir)
    big_dir = make_artifact(tmp_path / "big", content=os.urandom(100_000))
    with file_size_limit(50_000), pytest.raises(ResourceError, match=r"the artifact .*big: File too large"):
        store.add(big_dir)
    assert names_in(settings.models_dir) == before
    store.verify("a")
    assert active(store) == "a"


def test_disk_too_small_is_refused_with_both_sizes(tmp_path: Path) -> None:
    make_artifact(tmp_path / "a")
    (tmp_path / "small").mkdir()
    script = 'mount -t tmpfs -o size=1m tmpfs "$STILLROOM_HOME" || exit 77; exec "$@"'
    environment = {**os.environ, "STILLROOM_HOME": str(tmp_path / "small"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = ["unshare", "-Urm", "sh", "-c", script, "sh", *CALL, "add", str(tmp_path / "a")]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode in (1, 77) and "error:" not in done.stderr:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    assert done.returncode == 4
    assert (
        f"error: model a needs 1.6 kB and a reserve of 50 MB, {tmp_path / 'small' / 'models'} has 1.0 MB free"
        in done.stderr
    )
    assert "hint: remove models that are not used" in done.stderr


def test_model_is_found_by_name_and_by_the_start_of_its_identity(store: Store, tmp_path: Path) -> None:
    model = store.add(make_artifact(tmp_path / "a"))
    install(store, tmp_path, "b")
    assert store.get("a") == model
    assert store.get(model.manifest.identity[:8]) == model
    assert store.get(model.manifest.identity.upper()) == model
    with pytest.raises(UsageError, match="is installed"):
        store.get(model.manifest.identity[:3])


def test_name_that_begins_the_identity_of_another_model_is_refused(store: Store, tmp_path: Path) -> None:
    """Whoever activates that identity by its first digits would get this model."""
    identity = store.add(make_artifact(tmp_path / "a")).manifest.identity
    other_dir = make_artifact(tmp_path / "b", content=b"other")
    with pytest.raises(UsageError, match="begins the identity of the installed model a"):
        store.add(other_dir, identity[:6])
    assert store.get(identity[:6]).name == "a"


def test_unknown_name_gets_the_nearest_one(store: Store, tmp_path: Path) -> None:
    store.add(make_artifact(tmp_path / "orders-q8"))
    with pytest.raises(UsageError) as caught:
        store.get("order-q8")
    assert "did you mean orders-q8?" in caught.value.hint


def test_identity_of_two_names_is_ambiguous(store: Store, tmp_path: Path) -> None:
    identity = store.add(make_artifact(tmp_path / "a")).manifest.identity
    store.add(tmp_path / "a", "b")
    with pytest.raises(UsageError, match="2 models have an identity that begins with"):
        store.get(identity[:8])


def test_verify_finds_damage_after_the_installation(store: Store, tmp_path: Path) -> None:
    model = store.add(make_artifact(tmp_path / "a"))
    assert store.verify("a") == model
    flip_byte(model.directory / "model.gguf")
    with pytest.raises(ArtifactError, match=r"a: model\.gguf has SHA-256"):
        store.verify("a")
    with pytest.raises(ArtifactError):
        store.activate("a")


def test_unjudged_model_is_activated_only_as_unsafe(store: Store, tmp_path: Path) -> None:
    install(store, tmp_path, "a", ready=False)
    with pytest.raises(NotAllGood) as caught:
        store.activate("a")
    assert caught.value.message == "model a cannot be activated: no gate has judged it"
    assert "`--unsafe`" in caught.value.hint
    assert caught.value.exit_code == 3
    assert active(store) is None
    assert store.activate("a", unsafe=True).active


def test_ready_model_answers_its_task_alone(store: Store, tmp_path: Path) -> None:
    install(store, tmp_path, "a")
    install(store, tmp_path, "mails", task="mails")
    assert store.activate("a").active
    store.activate("mails")
    assert (active(store), active(store, "mails")) == ("a", "mails")


def test_roll_back_goes_to_the_one_before(store: Store, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        install(store, tmp_path, name)
        store.activate(name)
    assert store.roll_back("orders").name == "b"
    assert store.roll_back("orders").name == "a"
    with pytest.raises(UsageError, match="task orders has no earlier model to go back to"):
        store.roll_back("orders")
    assert active(store) == "a"


def test_activating_the_active_model_again_leaves_the_way_back(store: Store, tmp_path: Path) -> None:
    for name in ("a", "b", "b"):
        install(store, tmp_path, name)
        store.activate(name)
    assert store.roll_back("orders").name == "a"


def test_roll_back_does_not_go_to_a_damaged_model(store: Store, settings: Settings, tmp_path: Path) -> None:
    for name in ("a", "b"):
        install(store, tmp_path, name)
        store.activate(name)
    flip_byte(settings.models_dir / "a" / "model.gguf")
    with pytest.raises(ArtifactError):
        store.roll_back("orders")
    assert active(store) == "b"


def test_number_of_former_models_is_limited(store: Store, settings: Settings, tmp_path: Path) -> None:
    install(store, tmp_path, "a")
    install(store, tmp_path, "b")
    for _ in range(MOST_FORMER):
        store.activate("a")
        store.activate("b")
    names = json.loads((settings.models_dir / "active.json").read_text())["tasks"]["orders"]
    assert names[:2] == ["b", "a"]
    assert len(names) == MOST_FORMER + 1


def test_active_model_is_not_removed(store: Store, tmp_path: Path) -> None:
    for name in ("a", "b"):
        install(store, tmp_path, name)
        store.activate(name)
    with pytest.raises(UsageError, match="model b is active for the task orders"):
        store.remove("b")
    store.remove("a")
    assert [model.name for model in store.list()] == ["b"]
    with pytest.raises(UsageError, match="no earlier model to go back to"):
        store.roll_back("orders")


def test_removal_leaves_nothing_behind(store: Store, settings: Settings, tmp_path: Path) -> None:
    install(store, tmp_path, "a")
    store.remove("a")
    assert names_in(settings.models_dir) == [".lock"]


def test_broken_manifest_is_listed_as_broken(store: Store, settings: Settings, tmp_path: Path) -> None:
    install(store, tmp_path, "a")
    install(store, tmp_path, "b")
    (settings.models_dir / "b" / "manifest.json").write_text("{")
    assert [model.name for model in store.list()] == ["a"]
    assert store.broken() == ("b",)
    with pytest.raises(ArtifactError, match=r"b/manifest\.json cannot be read"):
        store.verify("b")


def test_broken_active_model_is_mended_by_adding_it_again_and_by_no_other(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    install(store, tmp_path, "a")
    store.activate("a")
    (settings.models_dir / "a" / "manifest.json").write_text("{")
    other_dir = make_artifact(tmp_path / "other" / "a", content=b"other")
    with pytest.raises(UsageError, match="the name a is that of a model which answers or answered a task"):
        store.add(other_dir)
    assert not check_import(settings, other_dir).good
    assert store.broken() == ("a",)
    store.add(tmp_path / "a")
    assert store.broken() == ()
    assert active(store) == "a"


def test_folder_exchanged_by_hand_does_not_answer_in_place_of_the_activated_model(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        install(store, tmp_path, name)
        store.activate(name)
    for name in ("a", "b"):
        shutil.rmtree(settings.models_dir / name)
        shutil.copytree(make_artifact(tmp_path / f"other-{name}", content=b"other"), settings.models_dir / name)
    with pytest.raises(ArtifactError, match="model b is not the one that was activated: it is"):
        store.active("orders")
    with pytest.raises(ArtifactError, match="model a is not the one that was activated"):
        store.roll_back("orders")
    assert not any(model.active for model in store.list())
    (problem,) = store.problems_of_active()
    assert check_models(settings, quick=True).message == problem
    assert "model b is not the one that was activated" in problem
    assert store.activate("b").active
    assert store.problems_of_active() == ()


def test_name_of_a_missing_active_model_is_kept_for_it(store: Store, settings: Settings, tmp_path: Path) -> None:
    install(store, tmp_path, "a")
    store.activate("a")
    shutil.rmtree(settings.models_dir / "a")
    with pytest.raises(UsageError, match="model a, which answers the task orders, is no longer installed"):
        store.active("orders")
    with pytest.raises(UsageError, match="its folder is missing"):
        store.add(make_artifact(tmp_path / "other" / "a", content=b"other"))
    store.add(tmp_path / "a")
    assert active(store) == "a"


def test_broken_model_is_removed_unless_it_answers(store: Store, settings: Settings, tmp_path: Path) -> None:
    for name in ("a", "b"):
        install(store, tmp_path, name)
        store.activate(name)
        (settings.models_dir / name / "manifest.json").write_text("{")
    with pytest.raises(UsageError, match="model b is active for the task orders"):
        store.remove_broken("b")
    store.remove_broken("a")
    assert store.broken() == ("b",)
    assert store.previous("orders") is None


def test_list_of_an_earlier_version_without_identities_is_read(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    install(store, tmp_path, "a")
    (settings.models_dir / "active.json").write_text('{"version": 1, "tasks": {"orders": ["a"]}}')
    assert active(store) == "a"
    store.activate("a")
    identity = store.get("a").manifest.identity
    assert json.loads((settings.models_dir / "active.json").read_text())["identities"] == {"a": identity}


def test_broken_list_of_active_models_is_named(store: Store, settings: Settings, tmp_path: Path) -> None:
    install(store, tmp_path, "a")
    for text in ("{", "[]", '{"version": 1, "tasks": []}'):
        (settings.models_dir / "active.json").write_text(text)
        with pytest.raises(ApplianceError, match=r"active\.json cannot be read"):
            store.list()
    (settings.models_dir / "active.json").write_text('{"version": 2, "tasks": {}}')
    with pytest.raises(ApplianceError, match=r"active\.json has version 2"):
        store.list()


def test_two_processes_add_at_once(store: Store, home_dir: Path, tmp_path: Path) -> None:
    content = os.urandom(1_000_000)
    for name in ("a", "b"):
        make_artifact(tmp_path / name, content=content)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    calls = [
        subprocess.Popen(
            [*CALL, "add", str(tmp_path / name), "--name", taken], env=environment, stderr=subprocess.PIPE, text=True
        )
        for name, taken in (("a", "same"), ("b", "same"), ("a", "other"))
    ]
    told = [call.communicate(timeout=60)[1] for call in calls]
    assert [call.returncode for call in calls] == [0, 0, 0], told
    assert [model.name for model in store.list()] == ["other", "same"]
    for name in ("other", "same"):
        store.verify(name)
    assert not [name for name in names_in(home_dir) if name.endswith((".part", ".former"))]


def test_name_of_the_list_of_active_models_is_no_name_for_a_model(store: Store, tmp_path: Path) -> None:
    """A manifest can ask for any name, also for that of the file that it would replace."""
    install(store, tmp_path, "a")
    store.activate("a")
    with pytest.raises(UsageError, match="not a valid model name"):
        store.add(make_artifact(tmp_path / "active.json", content=b"other"))
    assert active(store) == "a"


def test_source_that_changes_while_it_is_copied_leaves_the_installed_model(store: Store, tmp_path: Path) -> None:
    artifact_dir = make_artifact(tmp_path / "a")
    installed = store.add(artifact_dir)
    reported: list[Progress] = []

    def change(progress: Progress) -> None:
        # The first reading of both files was well; a medium that fails gives other bytes in the second.
        reported.append(progress)
        if len(reported) == 2:
            flip_byte(artifact_dir / "model.gguf", -1)

    with pytest.raises(ArtifactError, match="changed while they were copied"):
        store.add(artifact_dir, on_progress=change)
    assert store.verify("a").manifest == installed.manifest


def test_what_a_killed_change_left_goes_with_the_next_one(store: Store, settings: Settings, tmp_path: Path) -> None:
    install(store, tmp_path, "a")
    for left in (".b.part", ".c.deleted", ".a.former"):
        shutil.copytree(settings.models_dir / "a", settings.models_dir / left)
    # Killed between two renames, where the file system cannot exchange names: the former one is all there is.
    (settings.models_dir / "a").rename(settings.models_dir / ".d.former")
    install(store, tmp_path, "e")
    assert sorted(path.name for path in settings.models_dir.iterdir()) == [".lock", "a", "d", "e"]
    assert store.verify("d").manifest.name == "a"
