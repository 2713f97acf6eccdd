"""The installer killed, starved of space and robbed of its medium: the old or the new release works afterwards."""

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest
from bundle_fixtures import Bundle
from installer_fixtures import NEW, OLD, Finished, Place, check_works

KILL = "kill -9 0"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"HOOK_ON": "cp*wheels/stillroom*", "HOOK_COUNTED": "cp .*wheels/stillroom", "HOOK_NUMBER": "1"}, OLD),
        ({"HOOK_ON": "sync*", "HOOK_COUNTED": "sync", "HOOK_NUMBER": "2"}, OLD),
        ({"HOOK_ON": "rm*.stage*.gone*", "HOOK_COUNTED": "rm .*.stage .*.gone", "HOOK_NUMBER": "2"}, NEW),
    ],
    ids=["while it copies", "when the new release is whole", "right after the switch"],
)
def test_killed_installer_leaves_one_whole_release(
    installed: Place, new_bundle: Bundle, when: dict[str, str], expected: str
) -> None:
    done = installed.hooked(KILL, **when).install(new_bundle)
    assert done.returncode == -9
    check_works(installed, (expected,))


@pytest.mark.slow
def test_interrupted_installer_clears_away_what_it_made(installed: Place, new_bundle: Bundle) -> None:
    done = installed.hooked("kill -INT $PPID; exit 1", HOOK_ON="cp*wheels/click*", HOOK_COUNTED="cp .*wheels/click",
                            HOOK_NUMBER="1").install(new_bundle)  # fmt: skip
    assert done.returncode in (4, 130)
    assert installed.releases == [installed.current]
    assert not (installed.prefix / ".lock").is_symlink()
    check_works(installed, (OLD,))


def test_medium_removed_midway_stops_before_anything_changes(
    installed: Place, new_bundle: Bundle, tmp_path: Path
) -> None:
    medium = tmp_path / "medium"
    shutil.copytree(new_bundle.directory, medium)
    bundle = Bundle(new_bundle.tar_path, medium, new_bundle.key_path)
    hooked = installed.hooked(f"rm -rf {medium}/wheels", HOOK_ON="cp*wheels/click*",
                              HOOK_COUNTED="cp .*wheels/click", HOOK_NUMBER="1")  # fmt: skip
    done = hooked.install(bundle)
    assert done.returncode == 4
    assert "cannot copy wheels/click" in done.stderr
    assert "No such file or directory" in done.stderr
    assert installed.releases == [installed.current]
    check_works(installed, (OLD,))


@pytest.mark.slow
def test_medium_may_go_once_it_is_copied(installed: Place, new_bundle: Bundle, tmp_path: Path) -> None:
    medium = tmp_path / "medium"
    shutil.copytree(new_bundle.directory, medium)
    last = (medium / "SHA256SUMS").read_text().splitlines()[-1][66:]
    hook = f'{shutil.which("cp")} "$@"; rm -rf {medium}; exit 0'
    hooked = installed.hooked(hook, HOOK_ON=f"cp*{last}", HOOK_COUNTED=f"cp .*{last}", HOOK_NUMBER="1")
    bundle = Bundle(new_bundle.tar_path, medium, new_bundle.key_path)
    done = hooked.install(bundle)
    assert not medium.exists()
    assert done.returncode == 0, done.stderr
    check_works(installed, (NEW,))


def test_too_little_space_is_said_in_numbers_before_anything_is_copied(place: Place, new_bundle: Bundle) -> None:
    done = in_small_disk(place, 20, 'sh "$@"', [new_bundle.directory / "install.sh", *place.options(new_bundle)])
    assert done.returncode == 4
    assert "MB free, the installation needs" in done.stderr
    assert "step 3" not in done.stderr


@pytest.mark.slow
def test_disk_that_fills_up_leaves_the_old_release(
    place: Place, old_bundle: Bundle, new_bundle: Bundle, tmp_path: Path
) -> None:
    """The disk says that it has space, and has none: first for the program, then for the copy of the bundle."""
    lying = tmp_path / "lying"
    shutil.copytree(place.tools_dir, lying, symlinks=True)
    (lying / "df").unlink()
    (lying / "df").write_text("#!/bin/sh\necho header\necho '- - - 99999999'\n")
    (lying / "df").chmod(0o755)
    starved = Place(place.root, place.shell, lying, place.variables)
    options = " ".join(place.options(old_bundle))
    script = f"""
        sh {old_bundle.directory}/install.sh {options} || exit 90
        for spare in 40 5; do
            dd if=/dev/zero of={place.root}/disk/ballast bs=1048576 2>/dev/null
            truncate -s -${{spare}}M {place.root}/disk/ballast
            sh {new_bundle.directory}/install.sh {options}
            [ $? -eq 4 ] || exit 91
            ls -A {place.prefix}/releases >&2
            {place.prefix}/bin/stillroom --version
        done"""
    for name in ("dd", "truncate"):
        (lying / name).symlink_to(str(shutil.which(name)))
    done = in_small_disk(starved, 260, script, [])
    assert done.returncode == 0, done.stderr
    assert "the program could not be installed" in done.stderr
    assert "cannot copy" in done.stderr
    assert done.stdout == f"stillroom, version {OLD}\n" * 2


def in_small_disk(place: Place, megabytes: int, script: str, arguments: list[str | Path]) -> Finished:
    """Runs a script where the prefix lies on a small disk that goes when the script ends."""
    (place.root / "disk").mkdir()
    place.prefix.symlink_to(place.root / "disk")
    unshare = [*place.shell[:-1], "-m", place.shell[-1]]
    mounting = f"mount -t tmpfs -o size={megabytes}m none {place.root}/disk || exit 77\n"
    private = Place(place.root, tuple(unshare), place.tools_dir, place.variables)
    done = private.run("-c", mounting + script, "sh", *arguments)
    if done.returncode == 77:
        pytest.skip("this machine lets nobody mount a small disk")
    return done


@pytest.mark.slow
def test_killed_at_every_change_of_a_file(installed: Place, new_bundle: Bundle) -> None:
    """One installation after the other, each killed one change later, upon what the ones before left."""
    recorded = installed.hooked("false", HOOK_AT="0")
    assert recorded.install(new_bundle).returncode == 0
    assert installed.run(installed.prefix / "current" / "install.sh", "--rollback").returncode == 0
    lines = Path(recorded.variables["HOOK_LOG"]).read_text().splitlines()
    copies = [number for number, line in enumerate(lines, 1) if line.startswith("cp ")]
    versions: list[str] = []
    # A later installation may change more than the recorded one: it also takes away what a killed one left.
    for number in itertools.count(1):
        if number in copies[2:]:
            continue
        done = installed.hooked(KILL, HOOK_AT=str(number)).install(new_bundle)
        if done.returncode == 0:
            break
        assert done.returncode == -9, f"change {number}: {done.stderr}"
        check_works(installed, (OLD, NEW))
        versions.append(installed.version())
        if versions[-1] == NEW:
            assert installed.run(installed.prefix / "current" / "install.sh", "--rollback").returncode == 0
    assert versions == sorted(versions)
    assert set(versions) == {OLD, NEW}
    assert installed.install(new_bundle).returncode == 0
    check_works(installed, (NEW,))
    assert len(installed.releases) == 2


@pytest.mark.slow
@pytest.mark.parametrize("step", ["step 5", "step 6"])
def test_killed_while_a_step_runs(installed: Place, new_bundle: Bundle, step: str) -> None:
    """pip, and the test of the model, die somewhere within."""
    process = subprocess.Popen(
        [*installed.shell, str(new_bundle.directory / "install.sh"), *installed.options(new_bundle)],
        env={"PATH": str(installed.tools_dir), **installed.variables}, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(step):
            subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=True)
    process.stderr.close()
    assert process.wait() == -9
    check_works(installed, (OLD,))
    assert installed.install(new_bundle).returncode == 0
    check_works(installed, (NEW,))
