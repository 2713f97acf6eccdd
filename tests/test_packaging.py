"""The wheel: what it holds, and that its command starts where only click is installed beside it."""

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT_DIR = Path(__file__).parents[1]
PACKAGES = ("appliance", "training", "export", "tui")

pytestmark = pytest.mark.slow


def call(*command: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs a program with no more of this environment than it needs."""
    return subprocess.run(
        list(map(str, command)),
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def wheel_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what the checkout holds."""
    checkout_dir, out_dir = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    for name in (*PACKAGES, "examples", "tests", "docs"):
        shutil.copytree(ROOT_DIR / name, checkout_dir / name, ignore=shutil.ignore_patterns("__pycache__", "*.pt"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copyfile(ROOT_DIR / name, checkout_dir / name)
    built = call(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out_dir, checkout_dir,
        PYTHONPATH=os.pathsep.join(sys.path[1:]),
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out_dir.iterdir()
    return path


@pytest.fixture(scope="module")
def installed_dir(wheel_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with the wheel and click, and nothing else."""
    directory = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(directory, with_pip=False)
    site_dir = next(directory.glob("lib/python*/site-packages"))
    installed = call(
        sys.executable, "-m", "pip", "--python", directory / "bin" / "python", "install", "--no-deps", "--no-index",
        "--disable-pip-version-check", wheel_path,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stdout + installed.stderr
    click = importlib.util.find_spec("click")
    assert click is not None
    assert click.origin is not None
    shutil.copytree(Path(click.origin).parent, site_dir / "click")
    return directory


def test_wheel_holds_the_packages_and_their_data_and_nothing_else(wheel_path: Path) -> None:
    names = set(zipfile.ZipFile(wheel_path).namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    expected = {
        str(path.relative_to(ROOT_DIR))
        for package in PACKAGES
        for path in (ROOT_DIR / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".log"
    }
    assert expected - names == set()
    assert {name for name in names if ".dist-info/" not in name} - expected == set()


@pytest.mark.parametrize(
    "name",
    [
        "training/templates/extract.toml",
        "training/templates/classify.toml",
        "training/demo/task.toml",
        "tui/app.tcss",
        "stillroom-0.1.0.dist-info/licenses/LICENSE",
    ],
)
def test_wheel_holds_this_file(wheel_path: Path, name: str) -> None:
    assert name in zipfile.ZipFile(wheel_path).namelist()


def test_wheel_holds_the_base_of_the_demo(wheel_path: Path) -> None:
    if not (ROOT_DIR / "training" / "demo" / "base").is_dir():
        pytest.skip("the checkout has no base model yet")
    names = zipfile.ZipFile(wheel_path).namelist()
    assert {"training/demo/base/config.json", "training/demo/base/model.safetensors"} <= set(names)


def test_help_works_in_a_clean_environment(installed_dir: Path, tmp_path: Path) -> None:
    done = call(installed_dir / "bin" / "stillroom", "--help", STILLROOM_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: stillroom [OPTIONS] COMMAND [ARGS]..." in done.stdout
    assert call(installed_dir / "bin" / "stillroom", "--version").stdout == "stillroom, version 0.1.0\n"


def test_demo_in_a_clean_environment_says_which_extra_is_missing(installed_dir: Path, tmp_path: Path) -> None:
    work_dir = tmp_path / "demo"
    done = call(installed_dir / "bin" / "stillroom", "demo", "--work", work_dir, STILLROOM_HOME=str(tmp_path))
    assert done.returncode == 4
    assert done.stderr == (
        "error: training is not part of this installation: torch is missing\n"
        'hint: do it on the builder\'s machine, or pip install "stillroom[train]"\n'
    )
    assert not work_dir.exists()


def test_new_task_can_be_written_in_a_clean_environment(installed_dir: Path, tmp_path: Path) -> None:
    done = call(installed_dir / "bin" / "stillroom", "new", tmp_path / "orders", STILLROOM_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "orders" / "task.toml").is_file()
