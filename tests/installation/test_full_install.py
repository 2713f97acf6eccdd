"""The whole way with the real wheels: bundle, install without network and compiler, run a folder with each engine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_fixtures import (
    BUILT_APART,
    PYTHON,
    Bundle,
    bundler,
    make_bundle,
    make_checkout,
    make_key,
    make_locks,
    unpack,
)
from decoder_fixtures import order
from installer_fixtures import Place

ROOT_DIR = Path(__file__).parents[2]
CACHE_DIR = ROOT_DIR / "build" / "bundle"
ONNX = "onnx-int8"
FORMATS = ("gguf-q8_0", ONNX)

pytestmark = pytest.mark.slow


def golden_folder(root: Path) -> Path:
    """The documents that the student knows."""
    for number in range(32, 40):
        (root / f"order-{number}.txt").write_text(order(number)[0])
    return root


@pytest.fixture(scope="module")
def full_bundle(tmp_path_factory: pytest.TempPathFactory, students: Path) -> Bundle:
    """Everything that `make bundle` makes, with a tiny student as GGUF and as ONNX."""
    if not list((CACHE_DIR / "x86-64-v3").glob("llama_cpp_python-*.whl")):
        pytest.skip("the portable llama-cpp-python wheel is not built: `make llama-wheel`")
    if not (CACHE_DIR / f"wheels-py3.{sys.version_info.minor}").is_dir():
        pytest.skip("the wheels of the runtime are not fetched: `make bundle`")
    root = tmp_path_factory.mktemp("full")
    documents_dir = golden_folder(tmp_path_factory.mktemp("golden"))
    models = [part for name in FORMATS for part in ("--model", f"{students / name}={documents_dir}")]
    done = bundler("--out", root, "--python", PYTHON, "--cache", CACHE_DIR, "--key", make_key(root), *models)
    assert done.returncode == 0, done.stderr
    tar_path = Path(done.stdout.strip())
    directory = unpack(tar_path, root)
    tar_path.unlink()
    return Bundle(tar_path, directory, root / "release.pub")


@pytest.fixture(scope="module")
def server(
    full_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, shell: tuple[str, ...], tools_dir: Path
) -> Place:
    """The bundle, installed where there is no compiler and no network."""
    assert not [name for name in ("cc", "gcc", "c++", "make", "cmake") if shutil.which(name, path=str(tools_dir))]
    root = tmp_path_factory.mktemp("server")
    place = Place(root, shell, tools_dir, {"HOME": str(root / "home")})
    done = place.install(full_bundle)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("golden documents as recorded") == len(FORMATS)
    return place


@pytest.mark.parametrize("name", FORMATS)
def test_runs_a_folder_offline_with_each_engine(server: Place, tmp_path: Path, name: str) -> None:
    assert order_numbers_right(server, tmp_path, name) >= 7


def test_runs_a_folder_with_the_libraries_of_this_environment(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, students: Path, shell: tuple[str, ...], tools_dir: Path
) -> None:
    """Needs neither a compiled wheel nor a package index: the whole runtime but llama.cpp, packed anew."""
    root = tmp_path_factory.mktemp("repacked")
    workshop: dict[str, Path | str] = {
        "root": root, "--key": make_key(root), "--locks": make_locks(root / "locks", root / "cache", BUILT_APART),
        "--cache": root / "cache", "--model": f"{students / ONNX}={golden_folder(tmp_path_factory.mktemp('golden'))}",
    }  # fmt: skip
    make_checkout(root / "checkout-0.1.0", "0.1.0", BUILT_APART)
    bundle = make_bundle(workshop, "0.1.0")
    place = Place(tmp_path, shell, tools_dir, {"HOME": str(tmp_path / "home")})
    done = place.install(bundle)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("golden documents as recorded") == 1
    assert order_numbers_right(place, tmp_path, ONNX) == 8
    doctor = json.loads(place.stillroom("doctor", "--json").stdout)
    assert {check["name"]: check["state"] for check in doctor["checks"]}["libraries"] == "ok"


def order_numbers_right(place: Place, folder: Path, name: str) -> int:
    """Runs eight orders with the installed model of this format; gives how many answers are right."""
    (folder / "documents").mkdir()
    golden_folder(folder / "documents")
    model = next(entry.name for entry in (place.state / "models").iterdir() if entry.name.endswith(name))
    task = place.prefix / "current" / "tasks" / "orders"
    done = place.stillroom("run", str(task), str(folder / "documents"), "--out", str(folder), "--model", model)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    numbers = [(row["fields"]["order_number"], order(int(row["document"][6:8]))[1]["order_number"]) for row in rows]
    assert len(numbers) == 8
    return sum(answered == right for answered, right in numbers)


def test_installed_llama_library_is_the_portable_one(server: Place) -> None:
    code = "import llama_cpp; print(llama_cpp.llama_print_system_info().decode())"
    release_dir = server.prefix / "releases" / server.current
    done = server.run("-c", '"$@"', "sh", release_dir / "venv" / "bin" / "python", "-I", "-c", code)
    assert done.returncode == 0, done.stderr
    features = {part.strip().split(" = ")[0] for part in done.stdout.replace("CPU :", "").split("|") if " = 1" in part}
    assert {"AVX2", "FMA", "F16C", "BMI2"} <= features
    assert not [feature for feature in features if feature.startswith(("AVX512", "AVX_VNNI", "AMX", "OPENMP"))]


def test_installed_libraries_need_nothing_that_is_not_in_the_bundle_or_glibc(server: Place) -> None:
    folder = next((server.prefix / "releases" / server.current).glob("venv/lib/python3.*/site-packages/llama_cpp/lib"))
    for path in folder.glob("*.so"):
        done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=True, env={**os.environ})
        needed = {line.split()[0] for line in done.stdout.splitlines()}
        assert not [name for name in needed if "gomp" in name or "stdc++" in name], path.name
        assert "not found" not in done.stdout


def test_bill_of_materials_names_what_is_linked_into_llama(full_bundle: Bundle) -> None:
    bill = json.loads((full_bundle.directory / "sbom" / "stillroom.cdx.json").read_text())
    names = {part["name"] for part in bill["components"]}
    assert {"llama.cpp", "libstdc++", "onnxruntime-gpu", "tokenizers"} <= names
    index = (full_bundle.directory / "licences" / "INDEX.txt").read_text()
    assert "GCC Runtime Library Exception" in index
