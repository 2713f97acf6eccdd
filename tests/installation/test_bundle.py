"""The bundle: every part is listed, named and licensed; what cannot be shipped is refused."""

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from bundle_fixtures import EPOCH, PYTHON, Bundle, bundler, bundler_module, make_bundle, make_model
from installer_fixtures import Finished, Place
from packaging.requirements import Requirement

ROOT_DIR = Path(__file__).parents[2]
GXX = shutil.which("g++")


def parts(bundle: Bundle) -> dict[str, str]:
    """Path -> SHA-256, as the signed list has them."""
    lines = (bundle.directory / "SHA256SUMS").read_text().splitlines()
    return {line[66:]: line[:64] for line in lines}


def test_list_names_every_file_with_its_hash(new_bundle: Bundle) -> None:
    files = {path for path in new_bundle.directory.rglob("*") if path.is_file()}
    names = {str(path.relative_to(new_bundle.directory)) for path in files} - {"SHA256SUMS", "SHA256SUMS.sig"}
    listed = parts(new_bundle)
    assert set(listed) == names
    for name, sha256 in listed.items():
        assert hashlib.sha256((new_bundle.directory / name).read_bytes()).hexdigest() == sha256


def test_tar_holds_no_trace_of_who_packed_it_and_when(new_bundle: Bundle) -> None:
    with tarfile.open(new_bundle.tar_path) as archive:
        entries = archive.getmembers()
    names = [entry.name for entry in entries]
    assert names == sorted(names)
    assert {(entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries} == {(0, 0, "", "")}
    assert {entry.mtime for entry in entries} == {int(EPOCH)}
    assert {entry.mode for entry in entries} == {0o644, 0o755}
    assert all(entry.isfile() or entry.isdir() for entry in entries)


@pytest.mark.slow
def test_same_inputs_give_the_same_bytes(workshop: dict[str, Path | str], new_bundle: Bundle) -> None:
    for path in (Path(str(workshop["root"])) / "checkout-0.2.0").rglob("*"):
        path.touch()
    again = make_bundle(workshop, "0.2.0", out="again")
    assert again.tar_path.read_bytes() == new_bundle.tar_path.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("new_bundle")
def test_unsigned_bundle_says_so_in_its_name_and_loudly(workshop: dict[str, Path | str], tmp_path: Path) -> None:
    options = [part for name in ("--locks", "--cache") for part in (name, workshop[name])]
    checkout_dir = Path(str(workshop["root"])) / "checkout-0.2.0"
    done = bundler("--out", tmp_path, "--checkout", checkout_dir, "--python", PYTHON, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("stillroom-0.2.0-linux-x86_64-UNSIGNED.tar")
    assert "WARNING: SHA256SUMS IS NOT SIGNED" in done.stderr


def test_bill_of_materials_names_every_wheel_and_model_with_its_hash(new_bundle: Bundle) -> None:
    bill = json.loads((new_bundle.directory / "sbom" / "stillroom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"])
    assert bill["metadata"]["component"]["name"] == "stillroom"
    assert bill["metadata"]["timestamp"] == "2025-10-09T08:53:20Z"
    wheels = {name: sha256 for name, sha256 in parts(new_bundle).items() if name.startswith("wheels/")}
    libraries = [bill["metadata"]["component"], *(part for part in bill["components"] if part["type"] == "library")]
    named = {part["properties"][0]["value"]: part["hashes"][0]["content"] for part in libraries}
    assert named == wheels
    (model,) = [part for part in bill["components"] if part["type"] == "machine-learning-model"]
    files = {file["name"]: file["hashes"][0]["content"] for file in model["components"]}
    assert files == {"task.toml": parts(new_bundle)["models/orders-noop/artifact/task.toml"]}
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]


def test_bill_of_materials_refers_only_to_its_own_parts(new_bundle: Bundle) -> None:
    bill = json.loads((new_bundle.directory / "sbom" / "stillroom.cdx.json").read_text())
    components = [bill["metadata"]["component"], *bill["components"]]
    refs = [part["bom-ref"] for part in components]
    assert len(refs) == len(set(refs))
    for dependency in bill["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= set(refs)
    ours = next(entry for entry in bill["dependencies"] if entry["ref"] == components[0]["bom-ref"])
    assert any(ref.startswith("pkg:pypi/click@") for ref in ours["dependsOn"])
    for part in components:
        assert part["licenses"], part["name"]


def test_every_wheel_has_its_licence_in_the_bundle(new_bundle: Bundle) -> None:
    index = (new_bundle.directory / "licences" / "INDEX.txt").read_text()
    for path in (new_bundle.directory / "wheels").iterdir():
        name, version = path.name.split("-")[:2]
        assert re.search(rf"^{name.replace('_', '-')} {re.escape(version)}: \S+", index, re.MULTILINE)
    assert (new_bundle.directory / "licences" / "stillroom-0.2.0").is_dir()
    assert "model orders-noop: Apache-2.0" in index


@pytest.mark.slow
def test_space_that_is_asked_for_is_enough(new_bundle: Bundle, installed_once: tuple[Place, Finished]) -> None:
    facts = dict(line.split("=", 1) for line in (new_bundle.directory / "BUNDLE").read_text().splitlines())
    place, _ = installed_once
    used = sum(path.stat().st_size for path in place.root.rglob("*") if path.is_file() and not path.is_symlink())
    copied = sum(path.stat().st_size for path in new_bundle.directory.rglob("*") if path.is_file())
    assert int(facts["needed_kb"]) * 1024 > used + copied


class TestRefuses:
    def refused(self, workshop: dict[str, Path | str], tmp_path: Path, model: str) -> str:
        options = [part for name in ("--locks", "--cache") for part in (name, workshop[name])]
        done = bundler("--out", tmp_path / "dist", "--python", PYTHON, *options, "--model", model)
        assert done.returncode == 1
        assert not (tmp_path / "dist").exists()
        return done.stderr

    def test_model_without_golden_documents(self, workshop: dict[str, Path | str], tmp_path: Path) -> None:
        model, _, documents = make_model(tmp_path / "model").partition("=")
        shutil.rmtree(documents)
        assert "no documents to test orders-noop with" in self.refused(workshop, tmp_path, model)

    def test_damaged_model(self, workshop: dict[str, Path | str], tmp_path: Path) -> None:
        model = make_model(tmp_path / "model")
        with (tmp_path / "model" / "orders-noop" / "task.toml").open("a") as file:
            file.write("\n")
        assert "orders-noop: task.toml has" in self.refused(workshop, tmp_path, model)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("0.9.0", "0.10.0"), ("1.0.0.dev1", "1.0.0a1"), ("1.0.0a2", "1.0.0b1"), ("1.0.0rc1", "1.0.0"),
        ("1.0.0rc9", "1.0.0rc10"), ("1.0.0", "1.0.0.post1"), ("1.0.0.post1", "1.0.1.dev0"), ("1.0", "1.0.1"),
    ],
)  # fmt: skip
def test_order_of_versions_can_be_told_by_sorting_text(older: str, newer: str) -> None:
    order_of = bundler_module("build").order_of
    done = subprocess.run(
        ["sort"], input=f"{order_of(newer, 5)}\n{order_of(older, 9)}\n", capture_output=True, text=True, check=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.split() == [order_of(older, 9), order_of(newer, 5)]


def test_later_build_of_one_version_is_newer() -> None:
    order_of = bundler_module("build").order_of
    assert order_of("1.0", 99) < order_of("1.0.0", 100)


def test_lock_of_other_versions_is_refused(tmp_path: Path) -> None:
    wheelhouse = bundler_module("wheelhouse")
    (tmp_path / "runtime.txt").write_text("click==8.2.0\nllama-cpp-python==0.3.36\n")
    (tmp_path / "build.txt").write_text("pip==26.3\nhatchling==1.0\n")
    lines = [f"click==8.1.0 --hash=sha256:{'a' * 64}\n", f"pip==26.3 --hash=sha256:{'b' * 64}\n"]
    (tmp_path / "wheels-py3.11.txt").write_text("".join(lines))
    with pytest.raises(wheelhouse.BundleError, match=r"runtime\.txt: click;"):
        wheelhouse.fetch("3.11", tmp_path / "cache", tmp_path)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_hashes_of_the_runtime_are_locked_as_the_lock_file_says(python: str) -> None:
    wheelhouse = bundler_module("wheelhouse")
    assert python in wheelhouse.PYTHONS
    locked = wheelhouse.check_lock(python)
    wanted = dict(line.split("==") for line in (ROOT_DIR / "packaging/lock/runtime.txt").read_text().split())
    built_here = {"llama-cpp-python": wanted.pop("llama-cpp-python")}
    assert {wheel.name: wheel.version for wheel in locked if wheel.name != "pip"} == wanted
    source = (ROOT_DIR / "packaging/lock/llama-source.txt").read_text()
    assert source.startswith(f"llama-cpp-python=={built_here['llama-cpp-python']} --hash=sha256:")


def test_locks_meet_every_requirement_of_the_project() -> None:
    project = tomllib.loads((ROOT_DIR / "pyproject.toml").read_text())["project"]
    locks = {
        name: dict(line.split("==") for line in (ROOT_DIR / f"packaging/lock/{name}.txt").read_text().split())
        for name in ("development", "runtime", "build")
    }
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    for name, lines in (("runtime", project["dependencies"]), ("development", [*project["dependencies"], *extras])):
        for requirement in map(Requirement, lines):
            assert requirement.specifier.contains(locks[name][requirement.name]), (name, str(requirement))
    assert locks["runtime"].items() <= locks["development"].items()
    assert locks["build"].items() <= locks["development"].items()


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        (("MIT", None, []), "MIT"),
        ((None, "BSD", []), "BSD"),
        ((None, "The whole text\nof a licence", ["License :: OSI Approved :: MIT License"]), "MIT License"),
        ((None, None, []), "unknown"),
    ],
)
def test_licence_is_read_from_wherever_a_wheel_says_it(
    said: tuple[str | None, str | None, list[str]], licence: str
) -> None:
    assert bundler_module("wheelfiles").licence_of(*said) == licence


@pytest.mark.parametrize("licence", ["GPL-3.0-or-later", "AGPL-3.0", "BUSL-1.1", "unknown"])
def test_wheel_that_cannot_be_shipped_is_refused(tmp_path: Path, licence: str) -> None:
    wheelfiles = bundler_module("wheelfiles")
    wheel = wheelfiles.Wheel(tmp_path / "x-1-py3-none-any.whl", "x", "1", "0" * 64, licence, 1)
    with pytest.raises(bundler_module("wheelhouse").BundleError, match="cannot be shipped"):
        wheelfiles.check_licences([wheel])


def test_wheel_that_runs_code_at_every_start_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x-1.dist-info/METADATA", "Name: x\nVersion: 1\n")
        archive.writestr("x.pth", "import os\n")
    with pytest.raises(bundler_module("wheelhouse").BundleError, match="runs code at every start"):
        bundler_module("wheelfiles").read_wheel(path)


def wheels_of(**of: str) -> list[object]:
    """Two wheels for Python 3.13, the first changed so."""
    wheel = bundler_module("wheelfiles").Wheel
    changed = {"tag": "cp313-cp313-manylinux_2_28_x86_64", "needs": "second>=1", "python": ">=3.11", **of}
    first = wheel(Path(f"first-1-{changed['tag']}.whl"), "first", "1", "", "MIT", 1, (changed["needs"],), {},
                  changed["python"])  # fmt: skip
    return [first, wheel(Path("second-1-py3-none-any.whl"), "second", "1", "", "MIT", 1)]


@pytest.mark.parametrize(
    "of",
    [
        {},
        {"tag": "cp310-abi3-manylinux2014_x86_64"},
        {"tag": "py2.py3-none-any"},
        {"tag": "py3-none-linux_x86_64"},
        {"needs": 'third; python_version < "3.11"'},
        {"needs": 'third; extra == "more"'},
        {"python": "!=3.12.*"},
    ],
)
def test_wheels_that_install_with_another_python_are_complete(of: dict[str, str]) -> None:
    bundler_module("wheelfiles").check_complete(wheels_of(**of), "3.13")


@pytest.mark.parametrize(
    ("of", "problem"),
    [
        ({"tag": "cp312-cp312-manylinux_2_28_x86_64"}, "is for another Python or machine"),
        ({"tag": "cp314-abi3-manylinux_2_28_x86_64"}, "is for another Python or machine"),
        ({"tag": "cp313-cp313t-manylinux_2_28_x86_64"}, "is for another Python or machine"),
        ({"tag": "cp313-cp313-manylinux_2_39_x86_64"}, "is for another Python or machine"),
        ({"tag": "cp313-cp313-musllinux_1_2_x86_64"}, "is for another Python or machine"),
        ({"tag": "cp313-cp313-manylinux_2_28_aarch64"}, "is for another Python or machine"),
        ({"needs": "second>=2"}, "requires second>=2, here is 1"),
        ({"needs": "third"}, "requires third, here is none"),
        ({"needs": 'third; python_version >= "3.13"'}, "here is none"),
        ({"python": "<3.13"}, "first 1 wants Python <3.13"),
    ],
)
def test_wheels_that_would_not_install_with_another_python_stop_the_bundle(of: dict[str, str], problem: str) -> None:
    with pytest.raises(bundler_module("wheelhouse").BundleError, match=re.escape(problem)):
        bundler_module("wheelfiles").check_complete(wheels_of(**of), "3.13")


@pytest.mark.skipif(GXX is None, reason="no C++ compiler is installed")
class TestCompiledFiles:
    PORTABLE = """#include <immintrin.h>
    extern "C" __m256 f(__m256 a, __m256 b, __m256i c, __m128i h, unsigned long x, unsigned s) {
        volatile __m256i sum = _mm256_add_epi32(_mm256_shuffle_epi8(c, c), c);
        volatile unsigned long shifted = x << s;
        (void) sum; (void) shifted;
        return _mm256_fmadd_ps(a, b, _mm256_cvtph_ps(h));
    }"""

    def wheel(self, tmp_path: Path, source: str, *flags: str) -> Path:
        """A wheel with libggml-cpu.so, compiled so."""
        (tmp_path / "f.cpp").write_text(source)
        library = tmp_path / "libggml-cpu.so"
        command = [str(GXX), "-O2", "-shared", "-fPIC", *flags, str(tmp_path / "f.cpp"), "-o", str(library)]
        subprocess.run(command, check=True, capture_output=True)
        path = tmp_path / "llama_cpp_python-0-py3-none-linux_x86_64.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(library, "llama_cpp/lib/libggml-cpu.so")
        return path

    def test_portable_flags_are_found_in_the_code(self, tmp_path: Path) -> None:
        path = self.wheel(tmp_path, self.PORTABLE, "-mavx2", "-mfma", "-mf16c", "-mbmi2")
        counts = bundler_module("binaries").check_cpu_flags(path)
        assert set(counts) == {"avx2", "fma", "f16c", "bmi2"}
        assert all(counts.values())

    def test_code_for_a_newer_processor_is_refused(self, tmp_path: Path) -> None:
        source = "float f(float *a) { float s = 0; for (int i = 0; i < 64; i++) a[i] = a[i] * 2; return s + a[0]; }"
        path = self.wheel(tmp_path, source, "-O3", "-march=skylake-avx512", "-mprefer-vector-width=512")
        with pytest.raises(bundler_module("wheelhouse").BundleError, match="needs more than x86-64-v3"):
            bundler_module("binaries").check_cpu_flags(path)

    def test_code_without_the_flags_is_refused(self, tmp_path: Path) -> None:
        path = self.wheel(tmp_path, "int f(int a) { return a + 1; }")
        with pytest.raises(bundler_module("wheelhouse").BundleError, match="built without avx2, fma, f16c, bmi2"):
            bundler_module("binaries").check_cpu_flags(path)

    def test_library_that_a_server_may_lack_is_refused(self, tmp_path: Path) -> None:
        source = "void g(int); void f(int n) {\n#pragma omp parallel for\nfor (int i = 0; i < n; i++) g(i); }"
        path = self.wheel(tmp_path, source, "-fopenmp")
        with pytest.raises(bundler_module("wheelhouse").BundleError, match=r"needs libgomp\.so\.1"):
            bundler_module("binaries").needs_of([path])

    def test_least_glibc_is_read_from_the_symbols(self, tmp_path: Path) -> None:
        source = '#include <cstdlib>\nextern "C" unsigned f() { return std::rand(); }'
        needs = bundler_module("binaries").needs_of([self.wheel(tmp_path, source)])
        assert needs.glibc == "2.17" or tuple(map(int, needs.glibc.split("."))) >= (2, 2)
        assert "libc.so.6" in needs.libraries

    def test_symbols_of_the_loader_count(self, tmp_path: Path) -> None:
        path = self.wheel(tmp_path, 'extern "C" const long __rseq_offset; long f() { return __rseq_offset; }')
        with zipfile.ZipFile(path) as archive:
            if b"GLIBC_2.35" not in archive.read("llama_cpp/lib/libggml-cpu.so"):
                pytest.skip("the loader of this machine has no __rseq_offset")
        needs = bundler_module("binaries").needs_of([path])
        assert needs.glibc == "2.35"
        assert "ld-linux-x86-64.so.2" in needs.libraries

    def test_optional_libraries_are_not_asked_for(self, tmp_path: Path) -> None:
        source = "void g(int); void f(int n) {\n#pragma omp parallel for\nfor (int i = 0; i < n; i++) g(i); }"
        path = self.wheel(tmp_path, source, "-fopenmp")
        optional_path = tmp_path / "onnxruntime_gpu-0-cp311-cp311-linux_x86_64.whl"
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(optional_path, "w") as optional:
            library = archive.read("llama_cpp/lib/libggml-cpu.so")
            optional.writestr("onnxruntime/capi/libonnxruntime_providers_cuda.so", library)
        assert bundler_module("binaries").needs_of([optional_path]).libraries == ()


def test_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/broken.so", "no library")
    with pytest.raises(bundler_module("wheelhouse").BundleError, match=r"cannot read broken\.so"):
        bundler_module("binaries").needs_of([path])
