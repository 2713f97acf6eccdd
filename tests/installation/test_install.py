"""The installer where all goes well: install, upgrade, go back, go away, and what it refuses."""

import shutil
import subprocess
from pathlib import Path

import pytest
from bundle_fixtures import PYTHON, Bundle, make_key
from installer_fixtures import NEW, OLD, Finished, Place


def test_installs_without_a_network_and_runs_a_folder(installed: Place, tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.txt").write_text("Number: 7\nTotal: 7.50\n")
    task = installed.prefix / "current" / "tasks" / "orders"
    done = installed.stillroom("run", str(task), str(tmp_path / "documents"), "--out", str(tmp_path / "rows"))
    assert done.returncode == 0, done.stderr
    assert '"fields":{"number":"7","total":"7.50"}' in (tmp_path / "rows" / "rows.jsonl").read_text()


def test_says_every_step_and_tests_the_model_before_it_switches(installed_once: tuple[Place, Finished]) -> None:
    place, done = installed_once
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("step ")] == [
        "step 1 of 7: check the signature",
        "step 2 of 7: look at this machine",
        f"step 3 of 7: copy the bundle to {place.prefix}",
        "step 4 of 7: compare every file with the signed list",
        "step 5 of 7: install the program",
        "step 6 of 7: test it on this machine",
        f"step 7 of 7: switch to version {OLD}",
    ]
    assert lines[1].startswith('signature: Good "stillroom-bundle" signature')
    assert any(line.startswith("model orders-noop: 3 golden documents as recorded") for line in lines)


def test_writes_into_prefix_and_state_only(installed_once: tuple[Place, Finished]) -> None:
    place, _ = installed_once
    assert sorted(path.name for path in place.root.iterdir()) == ["prefix", "state"]
    assert sorted(path.name for path in place.prefix.iterdir()) == ["bin", "current", "releases"]
    assert place.releases == [place.current]


@pytest.mark.slow
def test_upgrade_keeps_the_former_release_and_goes_back_to_it(installed: Place, new_bundle: Bundle) -> None:
    old_release = installed.current
    done = installed.install(new_bundle)
    assert done.returncode == 0, done.stderr
    assert installed.version() == NEW
    assert installed.releases == sorted([old_release, installed.current])
    back = installed.run(installed.prefix / "current" / "install.sh", "--rollback")
    assert back.returncode == 0, back.stderr
    assert (installed.current, installed.version()) == (old_release, OLD)
    again = installed.run(installed.prefix / "current" / "install.sh", "--rollback")
    assert again.returncode == 2
    assert "no earlier release" in again.stderr


def test_same_bundle_again_changes_nothing(installed: Place, old_bundle: Bundle) -> None:
    before = installed.current
    done = installed.install(old_bundle)
    assert done.returncode == 0
    assert "is installed already" in done.stderr
    assert installed.releases == [before]


def test_older_version_is_refused_unless_asked_for(installed: Place, new_bundle: Bundle, old_bundle: Bundle) -> None:
    release_path = installed.prefix / "current" / "RELEASE"
    order = next(line for line in (new_bundle.directory / "BUNDLE").read_text().split("\n") if line.startswith("order"))
    text = "".join(
        f"{order}\n" if line.startswith("order=") else f"version={NEW}\n" if line.startswith("version=") else line
        for line in release_path.read_text().splitlines(keepends=True)
    )
    release_path.write_text(text)
    done = installed.install(old_bundle)
    assert done.returncode == 2
    assert f"version {NEW} is installed, this bundle is the older {OLD}" in done.stderr
    asked = installed.install(old_bundle, "--allow-older", "--dry-run")
    assert asked.returncode == 0, asked.stderr


def test_dry_run_checks_everything_and_writes_nothing(place: Place, old_bundle: Bundle) -> None:
    done = place.install(old_bundle, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"would install version {OLD} in {place.prefix} (now: nothing)" in done.stderr
    assert "files: all" in done.stderr
    assert list(place.root.iterdir()) == []


def test_no_fitting_python_is_said_with_its_version(place: Place, old_bundle: Bundle, tmp_path: Path) -> None:
    tools_dir = tmp_path / "tools"
    shutil.copytree(place.tools_dir, tools_dir, symlinks=True)
    (tools_dir / "python3").unlink()
    done = Place(place.root, place.shell, tools_dir, place.variables).install(old_bundle, "--dry-run")
    assert done.returncode == 4
    assert "no Python of version 3." in done.stderr
    (tools_dir / "python3").write_text("#!/bin/sh\necho 3.9\n")
    (tools_dir / "python3").chmod(0o755)
    done = Place(place.root, place.shell, tools_dir, place.variables).install(old_bundle, "--dry-run")
    assert done.returncode == 4
    assert f" is here; {tools_dir}/python3 is 3.9\n" in done.stderr


def test_bundle_for_many_pythons_takes_that_of_the_server_and_copies_its_wheels_alone(
    place: Place, old_bundle: Bundle, tmp_path: Path
) -> None:
    forged = tmp_path / "forged"
    shutil.copytree(old_bundle.directory, forged)
    facts = (forged / "BUNDLE").read_text()
    (forged / "BUNDLE").write_text(facts.replace(f"pythons={PYTHON}", f"pythons=3.10 {PYTHON} 3.99"))
    (forged / "wheels" / "for_another-1-cp399-cp399-linux_x86_64.whl").write_text("not for this Python")
    # With other facts the copies differ from the list that follows, so it ends when all is copied.
    bundle = resigned(forged, tmp_path)
    (forged / "LICENSE").write_text("another text")
    tools_dir = tmp_path / "tools"
    shutil.copytree(place.tools_dir, tools_dir, symlinks=True)
    (tools_dir / "python3.99").write_text("#!/bin/sh\necho 3.99\n")
    (tools_dir / "python3.99").chmod(0o755)
    server = Place(place.root, place.shell, tools_dir, place.variables).hooked("false", HOOK_AT="0")
    assert f"with {server.tools_dir}/python3\n" in server.install(old_bundle, "--dry-run").stderr
    done = server.install(bundle)
    assert "files differ from the signed list: LICENSE: FAILED" in done.stderr
    copies = Path(server.variables["HOOK_LOG"]).read_text()
    assert "wheels/click-" in copies
    assert "for_another" not in copies


@pytest.mark.parametrize("path", ["with blank", "per%cent", "quo'te", "$(id)"])
def test_paths_that_units_or_shells_misread_are_refused(place: Place, old_bundle: Bundle, path: str) -> None:
    script = old_bundle.directory / "install.sh"
    done = place.run(script, "--key", old_bundle.key_path, "--prefix", place.root / path)
    assert done.returncode == 2
    assert "cannot be used" in done.stderr
    assert list(place.root.iterdir()) == []


def test_second_installer_waits_for_the_first(installed: Place, new_bundle: Bundle) -> None:
    holder = subprocess.Popen(["sh", "-c", "read line"], stdin=subprocess.PIPE)
    try:
        (installed.prefix / ".lock").symlink_to(str(holder.pid))
        done = installed.install(new_bundle)
        assert done.returncode == 4
        assert f"another installation works in {installed.prefix} (process {holder.pid})" in done.stderr
        assert (installed.prefix / ".lock").is_symlink()
    finally:
        holder.communicate()
    assert installed.version() == OLD


@pytest.mark.slow
def test_model_that_answers_otherwise_here_stops_the_installation(
    installed: Place, new_bundle: Bundle, tmp_path: Path
) -> None:
    forged = tmp_path / "forged"
    shutil.copytree(new_bundle.directory, forged)
    expected = forged / "models" / "orders-noop" / "golden" / "expected.jsonl"
    expected.write_text(expected.read_text().replace("5.00", "6.00"))
    bundle = resigned(forged, tmp_path)
    done = installed.install(bundle)
    assert done.returncode == 1
    assert "model orders-noop: 3 of 3 golden documents" in done.stderr
    assert "nothing was changed" in done.stderr
    assert installed.version() == OLD
    assert installed.releases == [installed.current]


def resigned(directory: Path, folder: Path) -> Bundle:
    """A changed bundle with its own list and a signature by another key, as its maker would have signed it."""
    script = "find . -type f ! -name 'SHA256SUMS*' | sed 's|^./||' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS"
    subprocess.run(["sh", "-c", script], cwd=directory, check=True)
    (directory / "SHA256SUMS.sig").unlink()
    key_path = make_key(folder, "other")
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key_path), "-n", "stillroom-bundle", "SHA256SUMS"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return Bundle(directory, directory, Path(f"{key_path}.pub"))


class TestUninstall:
    def test_keeps_the_data_where_nobody_can_answer(self, installed: Place) -> None:
        done = installed.run(installed.prefix / "current" / "install.sh", "--uninstall")
        assert done.returncode == 0, done.stderr
        assert not installed.prefix.exists()
        assert (installed.state / "models" / "orders-noop" / "manifest.json").is_file()
        assert f"models, jobs and rows stay in {installed.state}" in done.stderr

    @pytest.mark.slow
    @pytest.mark.parametrize(("answer", "stays"), [("no\n", True), ("", True), ("yes\n", False)])
    def test_asks_before_it_removes_the_data(self, installed: Place, answer: str, stays: bool) -> None:
        script = installed.prefix / "current" / "install.sh"
        done = installed.run(script, "--uninstall", "--remove-data", stdin=answer)
        assert done.returncode == 0, done.stderr
        assert "Delete all models, jobs and rows" in done.stderr
        assert installed.state.exists() is stays

    @pytest.mark.slow
    def test_removes_the_data_unasked_only_with_both_options(self, installed: Place) -> None:
        script = installed.prefix / "current" / "install.sh"
        (installed.state / "notes.txt").write_text("not Stillroom's")
        done = installed.run(script, "--uninstall", "--remove-data", "--yes")
        assert done.returncode == 0, done.stderr
        assert [path.name for path in installed.state.iterdir()] == ["notes.txt"]
