"""`stillroom doctor` and `stillroom support-bundle` as processes, on a home folder with a job that went wrong."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.ground.settings import load_settings
from appliance.models.manifest import read_manifest, write_artifact
from appliance.models.store import Store
from appliance.tasks.task import task_hash
from appliance.tasks.taskfile import load_task
from tests.appliance.batch_fixtures import TASK, Bench
from tests.appliance.model_fixtures import flip_byte, make_artifact

CHECKS = "interpreter libraries sqlite processor gpu memory home disk sandbox models egress".split()
WORDS = ("quuxley", "edelgard", "zwiebelfisch", "krankenhaus", "pseudonymus", "rumpelstilz", "sesselfurz")
"""Names that stand in the document, its name, its folder, the task, the model, the fields and the output folder."""


def stillroom(*arguments: str | Path, answer: str = "", **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        input=answer,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_doctor_names_every_check_and_what_to_do(home_dir: Path) -> None:
    home_dir.chmod(0o700)
    done = stillroom("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == (4 if report["state"] == "fail" else 0), done.stderr
    assert [check["name"] for check in report["checks"]] == CHECKS
    by_name = {check["name"]: check for check in report["checks"]}
    assert by_name["models"]["state"] == "warn"
    assert by_name["models"]["advice"] == "add one with `stillroom models add DIR`"
    assert by_name["egress"]["message"].startswith("nothing can leave this machine")
    assert "Landlock" in by_name["sandbox"]["message"]
    assert all(check["advice"] for check in report["checks"] if check["state"] != "ok")


def test_doctor_on_a_terminal_of_80_columns_ends_with_4_where_something_fails(home_dir: Path, tmp_path: Path) -> None:
    home_dir.chmod(0o700)
    Store(load_settings(dict(os.environ))).add(make_artifact(tmp_path / "orders-q8"))
    flip_byte(home_dir / "models" / "orders-q8" / "model.gguf")
    done = stillroom("doctor")
    assert done.returncode == 4
    assert done.stderr.endswith("hint: add these models again with `stillroom models add`\n")
    assert " checks failed: models\n" in done.stderr or "1 of 11 checks failed: models" in done.stderr
    lines = done.stdout.splitlines()
    # A hash or a path is longer than what is left of a line.
    assert all(len(line) <= 80 or " " not in line.strip() for line in lines)
    assert "fail  models         1 of 1 model damaged: orders-q8: model.gguf has SHA-256" in lines
    assert "                do:  add these models again with `stillroom models add`" in lines
    assert stillroom("doctor", "--quick").returncode == 0


@pytest.mark.slow
def test_doctor_survives_a_home_that_cannot_be_made_and_a_broken_configuration(tmp_path: Path, home_dir: Path) -> None:
    (tmp_path / "file").write_text("")
    done = stillroom("doctor", "--json", STILLROOM_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 4
    failed = {check["name"] for check in json.loads(done.stdout)["checks"] if check["state"] == "fail"}
    assert {"home", "configuration"} <= failed
    home_dir.chmod(0o700)
    (home_dir / "config.toml").write_text("sandbox = 'none'\n")
    done = stillroom("doctor", "--json")
    found = {check["name"]: check["message"] for check in json.loads(done.stdout)["checks"]}
    assert 'sandbox: "none" is not one of' in found["configuration"]


@pytest.fixture
def troubled(tmp_path: Path) -> Bench:
    """A job over documents of which one was answered, one is empty and one is no document."""
    bench = Bench(tmp_path / "rumpelstilz")
    bench.task_path.write_text(TASK.replace('"number"', '"edelgard"').replace('"orders"', '"pseudonymus"'))
    task = load_task(bench.task_path)
    manifest = read_manifest(bench.artifact_dir)
    renamed = replace(manifest, name="sesselfurz", task_name=task.name, task_hash=task_hash(task))
    files = {"task.toml": bench.task_path, "noop.json": bench.root / "noop.json"}
    write_artifact(bench.root / "sesselfurz", renamed, files)
    folder = bench.documents_dir / "krankenhaus"
    folder.mkdir()
    (folder / "zwiebelfisch.txt").write_text("Patient Quuxley\nedelgard 42\ntotal 7\n")
    (folder / "zwiebelfisch2.txt").write_text("  ")
    (folder / "zwiebelfisch3.bin").write_bytes(b"\x7fELF quuxley")
    log = bench.home_dir / "stillroom.log"
    log.write_text(f"Traceback (most recent call last):\nValueError: Quuxley in {folder}\nPatient Quuxley\n")
    done = stillroom(
        "run", bench.task_path, bench.documents_dir, "--model", bench.root / "sesselfurz", "--out", bench.out_dir,
        STILLROOM_HOME=str(bench.home_dir),
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    return bench


def test_support_bundle_holds_how_it_went_and_nothing_of_what_it_was_about(troubled: Bench, tmp_path: Path) -> None:
    home = {"STILLROOM_HOME": str(troubled.home_dir)}
    Store(load_settings({**os.environ, **home})).add(troubled.root / "sesselfurz")
    path = tmp_path / "support.tar.gz"
    done = stillroom("support-bundle", "--out", path, "--yes", "--json", **home)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["path"] == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        files = {member.name: archive.extractfile(member).read().decode() for member in members}  # type: ignore[union-attr]
    assert {name.removeprefix("stillroom-support/"): len(data.encode()) for name, data in files.items()} == told[
        "files"
    ]
    assert {(member.uid, member.uname, member.mode) for member in members} == {(0, "", 0o600)}
    whole = "\n".join(files.values()).lower()
    for word in (*WORDS, str(tmp_path)):
        assert word not in whole, word
    assert not re.search(rf"\b{re.escape(os.uname().nodename.lower())}\b", whole)
    job = json.loads(files["stillroom-support/jobs.jsonl"])
    assert (job["state"], job["total"], job["done"], job["failed"]) == ("done", 3, 1, 2)
    assert job["documents"] == {"done": 1, "failed empty": 1, "failed unsupported": 1}
    assert (job["config"]["documents_dir"], job["config"]["keep_text"]) == ("[left out]", "all")
    assert {"run", "read", "end"} <= {event[1] for event in job["events"]}
    models = json.loads(files["stillroom-support/models.json"])["models"]
    assert [(model["identity"], model["family"]) for model in models] == [
        (read_manifest(troubled.root / "sesselfurz").identity, "noop")
    ]
    assert files["stillroom-support/log.txt"].splitlines()[:2] == [
        "Traceback (most recent call last):", f"ValueError: [{len(f'Quuxley in {troubled.documents_dir}/krankenhaus')}"
        " characters left out]",
    ]  # fmt: skip


@pytest.mark.slow
def test_support_bundle_is_shown_before_it_is_written(home_dir: Path, tmp_path: Path) -> None:
    home_dir.chmod(0o700)
    path = tmp_path / "support.tar.gz"
    shown = stillroom("support-bundle", "--out", path, "--preview")
    assert shown.returncode == 0
    assert "--- doctor.json" in shown.stdout
    declined = stillroom("support-bundle", "--out", path, answer="n\n")
    assert declined.returncode == 130
    assert "doctor.json" in declined.stderr
    assert "`--preview` prints all of it" in declined.stderr
    unanswered = stillroom("support-bundle", "--out", path)
    assert unanswered.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert stillroom("support-bundle", "--out", path, answer="y\n").returncode == 0
    again = stillroom("support-bundle", "--out", path, "--yes")
    assert again.returncode == 2
    assert "already exists" in again.stderr
    assert [found.name for found in tmp_path.iterdir()] == ["support.tar.gz"]
    nowhere = stillroom("support-bundle", "--out", tmp_path / "missing" / "a.tar.gz", "--yes")
    assert nowhere.returncode == 4


def test_support_bundle_is_made_where_the_configuration_is_broken(home_dir: Path, tmp_path: Path) -> None:
    """It is what a person is asked for when something is broken."""
    home_dir.chmod(0o700)
    (home_dir / "config.toml").write_text("sandbox = 'quuxley'\n")
    (home_dir / "jobs").write_text("no folder")
    (home_dir / "models").mkdir()
    (home_dir / "models" / "active.json").write_text("{")
    shown = stillroom("support-bundle", "--preview", "--json")
    assert shown.returncode == 0, shown.stderr
    files = json.loads(shown.stdout)
    checks = {check["name"]: check["state"] for check in json.loads(files["doctor.json"])}
    assert checks["configuration"] == "fail"
    assert json.loads(files["models.json"]) == {"error": "ApplianceError"}
    assert "quuxley" not in shown.stdout


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can enter namespaces and be another user")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_doctor_and_support_bundle_work_without_proc(home_dir: Path) -> None:
    home_dir.chmod(0o700)
    script = 'umount -l /proc || exit 77; exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-m", "appliance.cli"]
    done = subprocess.run([*command, "doctor", "--json"], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip("this machine lets nobody take /proc away")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert {name for name in checks if checks[name]["state"] == "fail"} == {"sandbox"}
    for name in ("processor", "memory", "sandbox"):
        assert "/proc" in checks[name]["advice"], checks[name]
    preview = subprocess.run([*command, "support-bundle", "--preview"], capture_output=True, text=True, check=False)
    assert preview.returncode == 0, preview.stderr


def test_doctor_names_a_home_that_cannot_be_reached(tmp_path: Path) -> None:
    """A path through a file cannot be followed, by root neither."""
    (tmp_path / "file").write_text("")
    done = stillroom("doctor", "--json", STILLROOM_HOME=str(tmp_path / "file" / "home"))
    checks = {check["name"]: check["state"] for check in json.loads(done.stdout)["checks"]}
    assert {name for name, state in checks.items() if state == "fail"} == {"home", "configuration"}
