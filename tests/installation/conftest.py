"""Two versions of a small bundle, and an installed release to copy."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_fixtures import Bundle, make_bundle, make_key, make_locks, make_model
from installer_fixtures import NEW, OLD, TOOLS, Finished, Place


@pytest.fixture(scope="session")
def shell() -> tuple[str, ...]:
    """A POSIX shell in a namespace without a network."""
    found = shutil.which("dash") or "/bin/sh"
    unshare = shutil.which("unshare")
    for options in (["-n"], ["-rn"]):
        if unshare and subprocess.run([unshare, *options, "true"], capture_output=True, check=False).returncode == 0:
            return (unshare, *options, found)
    pytest.skip("this machine lets nobody make a network namespace")


@pytest.fixture(scope="session")
def tools_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs of a small server, and Python."""
    folder = tmp_path_factory.mktemp("tools")
    for name in TOOLS:
        real = shutil.which(name)
        assert real is not None, f"{name} is missing here"
        (folder / name).symlink_to(real)
    (folder / "python3").symlink_to(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    return folder


@pytest.fixture(scope="session")
def students(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny student that knows eight orders, as GGUF and as ONNX."""
    from decoder_fixtures import write_merged_run

    from export.targets import export_all

    run_dir = write_merged_run(tmp_path_factory.mktemp("students"))
    export_all(run_dir / "merged", ["gguf-q8_0", "onnx-int8"])
    return run_dir / "export"


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path | str]:
    """What the bundler needs: a key, locks with wheels, a model."""
    folder = tmp_path_factory.mktemp("workshop")
    key_path = make_key(folder)
    locks_dir = make_locks(folder / "locks", folder / "cache")
    return {"root": folder, "--key": key_path, "--locks": locks_dir, "--cache": folder / "cache",
            "--model": make_model(folder / "model")}  # fmt: skip


@pytest.fixture(scope="session")
def old_bundle(workshop: dict[str, Path | str]) -> Bundle:
    return make_bundle(workshop, OLD)


@pytest.fixture(scope="session")
def new_bundle(workshop: dict[str, Path | str]) -> Bundle:
    return make_bundle(workshop, NEW)


@pytest.fixture
def place(tmp_path: Path, shell: tuple[str, ...], tools_dir: Path) -> Place:
    """Nothing is installed here."""
    return Place(tmp_path, shell, tools_dir, {"HOME": str(tmp_path / "home")})


@pytest.fixture(scope="session")
def installed_once(
    tmp_path_factory: pytest.TempPathFactory, shell: tuple[str, ...], tools_dir: Path, old_bundle: Bundle
) -> tuple[Place, Finished]:
    """The old version, installed, with what the installer said; not to be changed."""
    root = tmp_path_factory.mktemp("installed")
    place = Place(root, shell, tools_dir, {"HOME": str(root / "home")})
    done = place.install(old_bundle)
    assert done.returncode == 0, done.stderr
    return place, done


@pytest.fixture
def installed(place: Place, installed_once: tuple[Place, Finished]) -> Place:
    """A copy of the installed old version; the two files that name its place are changed to the new one."""
    original, _ = installed_once
    shutil.copytree(original.prefix, place.prefix, symlinks=True)
    shutil.copytree(original.state, place.state)
    release_dir = place.prefix / "releases" / original.current
    for path in (release_dir / "RELEASE", release_dir / "bin" / "stillroom"):
        path.write_text(path.read_text().replace(str(original.root), str(place.root)))
    return place
