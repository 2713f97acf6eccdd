"""The whole way with the real wheels: bundle, install without network and compiler, run a folder with each engine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_fixtures import Bundle, bundler, make_key, unpack
from decoder_fixtures import order, write_merged_run
from installer_fixtures import Place

ROOT_DIR = Path(__file__).parents[2]
CACHE_DIR = ROOT_DIR / "build" / "bundle"
FORMATS = ("gguf-q8_0", "onnx-int8")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def full_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Everything that `make bundle` makes, with a tiny student as GGUF and as ONNX."""
    if not list((CACHE_DIR / "x86-64-v3").glob("llama_cpp_python-*.whl")):
        pytest.skip("the portable llama-cpp-python wheel is not built: `make llama-wheel`")
    if not (CACHE_DIR / f"wheels-py3.{sys.version_info.minor}").is_dir():
        pytest.skip("the wheels of the runtime are not fetched: `make bundle`")
    from export.targets import export_all

    root = tmp_path_factory.mktemp("full")
    run_dir = write_merged_run(root / "task")
    export_all(run_dir / "merged", list(FORMATS))
    documents_dir = root / "task" / "golden"
    documents_dir.mkdir()
    for number in range(32, 40):
        (documents_dir / f"order-{number}.txt").write_text(order(number)[0])
    models = [part for name in FORMATS for part in ("--model", run_dir / "export" / name)]
    done = bundler("--out", root, "--cache", CACHE_DIR, "--key", make_key(root), *models)
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
    (tmp_path / "documents").mkdir()
    for number in range(32, 40):
        (tmp_path / "documents" / f"{number}.txt").write_text(order(number)[0])
    model = next(entry.name for entry in (server.state / "models").iterdir() if entry.name.endswith(name))
    task = server.prefix / "current" / "tasks" / "orders"
    done = server.stillroom("run", str(task), str(tmp_path / "documents"), "--out", str(tmp_path), "--model", model)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    right = sum(row["fields"]["order_number"] == order(int(row["document"][:2]))[1]["order_number"] for row in rows)
    assert (len(rows), right >= 7) == (8, True)


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
