"""The installer under other shells, other users, other rights of new files, and in unusual places."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundle_fixtures import PYTHON, Bundle
from installer_fixtures import NEW, OLD, Place, check_works

NOBODY = 65534
MEDIUM = "USB STICK"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user and mount")


def other_shell(place: Place, name: str) -> Place:
    """This place with another shell as `sh`, for the installer and for all that it calls."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    tools_dir = place.root / "tools"
    shutil.copytree(place.tools_dir, tools_dir, symlinks=True)
    (tools_dir / "sh").unlink()
    (tools_dir / "sh").symlink_to(found)
    # Not every shell has it built in.
    (tools_dir / "printf").symlink_to(str(shutil.which("printf")))
    return Place(place.root, (*place.shell[:-1], str(tools_dir / "sh")), tools_dir, place.variables)


def check_upgrade_and_end(place: Place, new: Bundle) -> None:
    """From the installed old version to the new one, back, and away with everything."""
    done = place.install(new)
    assert done.returncode == 0, done.stderr
    check_works(place, (NEW,))
    script = place.prefix / "current" / "install.sh"
    back = place.run(script, "--rollback")
    assert back.returncode == 0, back.stderr
    check_works(place, (OLD,))
    gone = place.run(script, "--uninstall", "--remove-data", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert not place.prefix.exists()
    assert not place.state.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["busybox", "posh", "bash"])
def test_other_shells_install_go_back_and_remove(installed: Place, new_bundle: Bundle, name: str) -> None:
    """All other tests run under dash."""
    check_upgrade_and_end(other_shell(installed, name), new_bundle)


def everybodys_place(root: Path, place: Place) -> Place:
    """The place of a user without rights, whose new files nobody else can read, beside a medium that is only read."""
    python = shutil.which(f"python{PYTHON}", path=SYSTEM_PATH)
    if python is None:
        pytest.skip(f"everybody's Python here is not {PYTHON}, which the bundle is for")
    tools_dir = root / "tools"
    shutil.copytree(place.tools_dir, tools_dir, symlinks=True)
    tools_dir.chmod(0o755)
    (tools_dir / "python3").unlink()
    (tools_dir / "python3").symlink_to(python)
    become = f"{shutil.which('setpriv')} --reuid={NOBODY} --regid={NOBODY} --clear-groups {place.shell[-1]}"
    medium = f'"{root / MEDIUM}"'
    mounting = f"mount --bind {medium} {medium} && mount -o remount,bind,ro,noexec {medium} || exit 77"
    script = f"""{mounting}; umask 077; exec {become} "$@\""""
    shell = (str(place.shell[0]), "-n", "-m", place.shell[-1], "-c", script, "sh")
    (root / "user").mkdir()
    os.chown(root / "user", NOBODY, NOBODY)
    return Place(root / "user", shell, tools_dir, {"HOME": str(root / "user")})


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A folder that every user can enter: that of a test is root's alone."""
    root = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    try:
        root.chmod(0o755)
        yield root
    finally:
        shutil.rmtree(root)


def on_medium(root: Path, bundle: Bundle) -> Bundle:
    """A copy of the bundle and its key as a disc has them: read-only, everybody's, in a folder with a blank."""
    folder = root / MEDIUM / bundle.directory.name
    shutil.copytree(bundle.directory, folder)
    shutil.copy(bundle.key_path, root / MEDIUM / "builder.key")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    (root / MEDIUM / "builder.key").chmod(0o444)
    return Bundle(bundle.tar_path, folder, root / MEDIUM / "builder.key")


@as_root
def test_medium_that_is_only_read_is_copied_and_compared_without_root(
    place: Place, old_bundle: Bundle, open_root: Path
) -> None:
    bundle = on_medium(open_root, old_bundle)
    wheel_path = next((bundle.directory / "wheels").glob("click-*"))
    wheel_path.write_bytes(wheel_path.read_bytes() + b"damaged")
    user = everybodys_place(open_root, place)
    done = user.run(bundle.directory / "install.sh", "--key", bundle.key_path)
    if done.returncode == 77:
        pytest.skip("this machine lets nobody mount a medium")
    assert "step 4 of 7: compare every file with the signed list" in done.stderr
    assert f"files differ from the signed list: wheels/{wheel_path.name}: FAILED" in done.stderr
    assert done.returncode == 1
    assert not list((user.root / ".local" / "opt" / "stillroom").rglob("*"))
    homeless = Place(user.root, user.shell, user.tools_dir).run(bundle.directory / "install.sh")
    assert (homeless.returncode, homeless.stderr.splitlines()[0]) == (2, "error: this user has no home folder")


@as_root
@pytest.mark.slow
def test_user_without_rights_installs_in_his_home_from_a_medium_that_is_only_read(
    place: Place, old_bundle: Bundle, new_bundle: Bundle, open_root: Path
) -> None:
    bundles = [on_medium(open_root, bundle) for bundle in (old_bundle, new_bundle)]
    user = everybodys_place(open_root, place)
    (user.root / "sealed").mkdir(mode=0o555)
    options = ("--key", bundles[0].key_path)
    for option in ("--prefix", "--state"):
        refused = user.run(bundles[0].directory / "install.sh", *options, option, user.root / "sealed" / "x")
        assert refused.returncode == 4
        assert f"cannot write in {user.root}/sealed/x: {user.root}/sealed belongs to root" in refused.stderr
    done = user.run(bundles[0].directory / "install.sh", *options)
    assert done.returncode == 0, done.stderr
    # The places that the guide names for those who are not root.
    (user.root / "prefix").symlink_to(".local/opt/stillroom")
    (user.root / "state").symlink_to(".local/share/stillroom")
    assert user.version() == OLD
    written = list((user.root / ".local").rglob("*"))
    assert {path.lstat().st_uid for path in written} == {NOBODY}
    assert all(path.stat().st_mode & 0o200 for path in written)
    assert user.state.stat().st_mode & 0o777 == 0o700
    upgraded = user.run(bundles[1].directory / "install.sh", "--key", bundles[1].key_path)
    assert upgraded.returncode == 0, upgraded.stderr
    check_works(user, (NEW,))
    script = user.root / ".local" / "opt" / "stillroom" / "current" / "install.sh"
    assert user.run(script, "--rollback").returncode == 0
    check_works(user, (OLD,))
    gone = user.run(script, "--uninstall", "--remove-data", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert not [path for path in (user.root / ".local").rglob("*") if path.is_file()]


@as_root
def test_disk_on_which_no_program_runs_is_named(place: Place, old_bundle: Bundle) -> None:
    place.prefix.mkdir()
    script = f'mount -t tmpfs -o noexec none {place.prefix} || exit 77\nsh "$@"'
    unshare = [*place.shell[:-1], "-m", place.shell[-1]]
    private = Place(place.root, tuple(unshare), place.tools_dir, place.variables)
    done = private.run("-c", script, "sh", old_bundle.directory / "install.sh", *place.options(old_bundle))
    if done.returncode == 77:
        pytest.skip("this machine lets nobody mount a small disk")
    assert done.returncode == 4
    assert f"no program can be started from {place.prefix}: its disk is mounted noexec" in done.stderr


@pytest.mark.slow
def test_prefix_that_is_a_link_is_known_by_where_it_leads(place: Place, old_bundle: Bundle) -> None:
    """A job that runs from there is found, under whichever name the place was given."""
    (place.root / "disk").mkdir()
    place.prefix.symlink_to(place.root / "disk")
    done = place.install(old_bundle)
    assert done.returncode == 0, done.stderr
    program = (place.root / "disk" / "bin" / "stillroom").read_text()
    assert f'exec "{place.root}/disk/releases/{place.current}/venv/bin/python"' in program
    python = place.root / "disk" / "releases" / place.current / "venv" / "bin" / "python"
    job = subprocess.Popen([python, "-I", "-c", "input()"], stdin=subprocess.PIPE)
    try:
        for prefix in (place.prefix, place.root / "disk"):
            refused = place.run(old_bundle.directory / "install.sh", "--uninstall", "--prefix", prefix)
            assert refused.returncode == 4
            assert "a job still runs with release" in refused.stderr
    finally:
        job.communicate(b"\n")
    gone = place.run(old_bundle.directory / "install.sh", "--uninstall", "--prefix", place.prefix)
    assert gone.returncode == 0, gone.stderr


@pytest.mark.slow
def test_two_installers_at_once_leave_one_whole_release(
    installed: Place, old_bundle: Bundle, new_bundle: Bundle
) -> None:
    """Both find the lock of one that was killed; one gets it, and the other says so or comes after."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    (installed.prefix / ".lock").symlink_to(str(dead.pid))
    command = [*installed.shell, str(new_bundle.directory / "install.sh"), *installed.options(new_bundle)]
    running = [
        subprocess.Popen(
            command, env={"PATH": str(installed.tools_dir), **installed.variables}, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]  # fmt: skip
    ended = [(process.communicate()[1], process.returncode) for process in running]
    assert 0 in [code for _, code in ended]
    for said, code in ended:
        assert code == 0 or (code == 4 and "another installation works in" in said), said
    check_works(installed, (NEW,))
    assert len(installed.releases) == 2
    assert not list(installed.prefix.glob(".lock*"))
