"""Makes the bundle that installs Stillroom on a server without a network: one tar, reproducible and signed.

    make bundle KEY=~/.ssh/release MODELS="my-task/runs/1/export/gguf-q8_0=my-task/samples" PYTHONS="3.11 3.13"
    .venv/bin/python packaging/bundle/build.py --help

The parts: the wheel, the wheels of the runtime by their hashes, pip, models with golden documents, bill of materials,
licences, verifier, installer, systemd units. The same checkout, locks, wheels, models and key give the same bytes.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import binaries
from models import BundledModel, add_model, check_together, read_model
from packaging.version import Version
from packing import LIST_NAME, SIGNER, public_key, sign_list, write_list, write_tar
from sbom import bill_of_materials
from wheelfiles import Wheel, check_complete, check_licences, read_wheel
from wheelhouse import LOCK_DIR, PYTHONS, ROOT_DIR, BundleError, check_lock, fetch, file_sha256

INSTALL_DIR = ROOT_DIR / "packaging" / "install"
SYSTEMD_DIR = ROOT_DIR / "packaging" / "systemd"
LLAMA = "llama-cpp-python"
EARLIEST_EPOCH = 315532800
"""1980-01-01: zip files know nothing earlier."""
COMPILED_SHARE = 1.4
"""Size of installed wheels with their compiled Python, relative to the unpacked files."""
SPARE_KB = 51_200


@dataclass(frozen=True)
class Request:
    """What the builder asked for."""

    out_dir: Path
    cache_dir: Path
    checkout_dir: Path
    lock_dir: Path
    pythons: tuple[str, ...]
    models: tuple[str, ...]
    llama_path: Path | None
    key_path: Path | None
    only_check: bool = False
    """Nothing is made: what can be refused in a moment is refused."""


@dataclass(frozen=True)
class Parts:
    """What goes into the bundle."""

    ours: Wheel
    wheels: dict[str, list[Wheel]]
    """Minor version of Python -> its wheels without ours."""
    models: list[BundledModel]

    @property
    def all_wheels(self) -> list[Wheel]:
        """Every wheel but ours, once, by name."""
        by_file = {wheel.path.name: wheel for wheels in self.wheels.values() for wheel in wheels}
        return [by_file[name] for name in sorted(by_file)]


def main() -> int:
    """Reads the command line and makes the bundle."""
    try:
        request = _request()
        check(request)
        if request.only_check:
            return 0
        tar_path = build(request)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(tar_path)
    return 0


def check(request: Request) -> None:
    """Checks key, models, Pythons and locks, before anything long begins.

    Raises:
        BundleError: One of them is not as it must be.
    """
    if request.key_path is not None:
        checked = [str(Path(__file__).with_name("check_key.sh")), str(request.key_path)]
        done = subprocess.run(["sh", *checked], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise BundleError(done.stderr.strip().removeprefix("error: "))
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here not in request.pythons:
        raise BundleError(
            f"this is Python {here}, and the bundle is for {', '.join(request.pythons)}: it could not be tested;"
            f" name {here} among the versions"
        )
    for python in request.pythons:
        check_lock(python, request.lock_dir)
    check_together([read_model(model) for model in request.models])


def build(request: Request) -> Path:
    """Makes the bundle; gives the path of the tar.

    Raises:
        BundleError: Something is missing, damaged, or does not run from the bundle's own wheels.
    """
    epoch = _epoch(request.checkout_dir)
    request.out_dir.mkdir(parents=True, exist_ok=True)
    request.cache_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=request.cache_dir, prefix="making-") as folder:
        work_dir = Path(folder)
        _say("collect the wheels")
        parts = _collect(request, work_dir, epoch)
        name = f"stillroom-{parts.ours.version}-linux-x86_64{'' if request.key_path else '-UNSIGNED'}"
        bundle_dir = work_dir / name
        _write_parts(bundle_dir, parts, epoch)
        with _installed(bundle_dir, work_dir) as program:
            for number, model in enumerate(parts.models):
                _say(f"run golden documents through {model.manifest.name}")
                if warning := add_model(model, bundle_dir, program, _made(work_dir / f"golden-{number}")):
                    _say(warning)
        (bundle_dir / "BUNDLE").write_text(_facts(bundle_dir, parts, request.pythons, epoch), "ascii")
        write_list(bundle_dir)
        if request.key_path:
            sign_list(bundle_dir, request.key_path)
        tar_path = request.out_dir / f"{name}.tar"
        write_tar(bundle_dir, tar_path, epoch)
    _tell(tar_path, request.key_path)
    return tar_path


def _collect(request: Request, work_dir: Path, epoch: int) -> Parts:
    models = [read_model(given) for given in request.models]
    check_together(models)
    ours = read_wheel(_build_wheel(request.checkout_dir, _made(work_dir / "dist"), epoch))
    wheels = {}
    for python in request.pythons:
        paths = fetch(python, request.cache_dir, request.lock_dir)
        if any(line.split("=")[0] == LLAMA for line in (request.lock_dir / "runtime.txt").read_text().split()):
            paths = [*paths, _llama_wheel(request)]
        wheels[python] = sorted((read_wheel(path) for path in paths), key=lambda wheel: wheel.name)
        check_licences(wheels[python])
        check_complete([ours, *wheels[python]], python)
    return Parts(ours, wheels, models)


def _llama_wheel(request: Request) -> Path:
    """The portable wheel, its instructions checked."""
    if request.llama_path:
        path = request.llama_path
    else:
        paths = sorted((request.cache_dir / "x86-64-v3").glob("llama_cpp_python-*.whl"))
        if len(paths) != 1:
            raise BundleError(
                f"{request.cache_dir / 'x86-64-v3'} holds {len(paths)} llama-cpp-python wheels instead of one;"
                " make one with `make llama-wheel` (10 minutes or more on 2 cores)"
            )
        path = paths[0]
    counts = binaries.check_cpu_flags(path)
    _say(f"{path.name}: no instruction beyond x86-64-v3; " + ", ".join(f"{n} {flag}" for flag, n in counts.items()))
    return path


def _build_wheel(checkout_dir: Path, dist_dir: Path, epoch: int) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(dist_dir), str(checkout_dir)]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(max(epoch, EARLIEST_EPOCH))}
    # Not in the checkout's root: packaging/ would stand before the library of that name.
    done = subprocess.run(command, env=environ, cwd=dist_dir, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundleError(f"the wheel cannot be built: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return next(dist_dir.glob("*.whl"))


def _write_parts(bundle_dir: Path, parts: Parts, epoch: int) -> None:
    """Everything but the models and the facts about the whole."""
    wheels_dir = _made(bundle_dir / "wheels")
    for wheel in [parts.ours, *parts.all_wheels]:
        shutil.copyfile(wheel.path, wheels_dir / wheel.path.name)
    lock_dir = _made(bundle_dir / "lock")
    for python, wheels in parts.wheels.items():
        locked = sorted([parts.ours, *wheels], key=lambda wheel: wheel.name)
        lines = [f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in locked]
        (lock_dir / f"py{python}.txt").write_text("".join(lines), "ascii")
    for name in ("install.sh", "verify.sh", "selftest.py", "README.txt"):
        shutil.copyfile(INSTALL_DIR / name, bundle_dir / name)
    for path in sorted(SYSTEMD_DIR.iterdir()):
        shutil.copyfile(path, _made(bundle_dir / "systemd") / path.name)
    shutil.copyfile(ROOT_DIR / "LICENSE", bundle_dir / "LICENSE")
    shutil.copyfile(ROOT_DIR / "docs" / "install.md", _made(bundle_dir / "docs") / "install.md")
    _write_licences(_made(bundle_dir / "licences"), parts)
    text = bill_of_materials(parts.ours, parts.all_wheels, parts.models, epoch)
    (_made(bundle_dir / "sbom") / "stillroom.cdx.json").write_text(text, "utf-8")


def _write_licences(licences_dir: Path, parts: Parts) -> None:
    lines = ["Every part of this bundle and its licence; the texts are in the folders of the same names.", ""]
    for wheel in [parts.ours, *parts.all_wheels]:
        lines.append(f"{wheel.name} {wheel.version}: {wheel.licence}")
        if not wheel.licence_texts:
            lines.append("    the wheel carries no text; the Apache-2.0 licence is LICENSE of this bundle")
        for name, text in wheel.licence_texts.items():
            folder = _made(licences_dir / f"{wheel.name}-{wheel.version}")
            (folder / name.replace("/", "_").replace(" ", "_").lstrip("_.")).write_bytes(text)
    for model in parts.models:
        lines.append(f"model {model.manifest.name}: {model.manifest.licence or 'not stated'}")
    lines += ["llama.cpp, in the wheel of llama-cpp-python: MIT"]
    lines += ["libstdc++, linked into llama.cpp: GPL-3.0 with the GCC Runtime Library Exception 3.1"]
    (licences_dir / "INDEX.txt").write_text("\n".join(lines) + "\n", "utf-8")


@contextmanager
def _installed(bundle_dir: Path, work_dir: Path) -> Iterator[list[str]]:
    """A clean environment with the bundle's own wheels, as the server will have it; gives the command to call.

    Raises:
        BundleError: The wheels do not install, or something that one of them requires is missing.
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    venv_dir = work_dir / "installed"
    python = str(venv_dir / "bin" / "python")
    pip = next((bundle_dir / "wheels").glob("pip-*.whl")) / "pip"
    install = ["--no-index", "--no-deps", "--no-cache-dir", "--no-compile", "--require-hashes"]
    install += ["--find-links", str(bundle_dir / "wheels"), "-r", str(bundle_dir / "lock" / f"py{here}.txt")]
    _say("install the bundle's wheels in a clean environment")
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", str(venv_dir)],
        [python, "-I", str(pip), "--isolated", "install", "--quiet", "--disable-pip-version-check", *install],
        [python, "-I", str(pip), "--isolated", "check", "--disable-pip-version-check"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BundleError(f"the bundle's wheels do not install: {(done.stdout + done.stderr).strip()[-1000:]}")
    yield [python, "-I", "-X", "utf8", "-m", "appliance.cli"]


def _facts(bundle_dir: Path, parts: Parts, pythons: tuple[str, ...], epoch: int) -> str:
    """`name=value` lines that the installer reads."""
    needs = binaries.needs_of([wheel.path for wheel in parts.all_wheels])
    # The installer copies the wheels of one Python.
    wheels_kb = max(sum(_kb(wheel.path) for wheel in wheels) for wheels in parts.wheels.values())
    others = (path for path in bundle_dir.rglob("*") if path.is_file() and path.parent.name != "wheels")
    bundle_kb = sum(map(_kb, others)) + _kb(parts.ours.path) + wheels_kb
    unpacked = max(sum(wheel.unpacked_bytes for wheel in wheels) for wheels in parts.wheels.values())
    installed_kb = int((unpacked + parts.ours.unpacked_bytes) * COMPILED_SHARE) // 1024
    models_kb = sum(model.manifest.size_bytes for model in parts.models) // 1024
    facts = {
        "name": "stillroom",
        "version": parts.ours.version,
        "order": order_of(parts.ours.version, epoch),
        "machine": "x86_64",
        "cpu_flags": " ".join(binaries.CPU_FLAGS),
        "glibc": needs.glibc,
        "libstdcxx": needs.libstdcxx,
        "libraries": " ".join(needs.libraries),
        "pythons": " ".join(pythons),
        "needed_kb": str(bundle_kb + installed_kb + models_kb + SPARE_KB),
        "models": " ".join(model.manifest.name for model in parts.models),
    }
    return "".join(f"{key}={value}\n" for key, value in facts.items())


def _kb(path: Path) -> int:
    """Kilobytes of a file, at least one."""
    return path.stat().st_size // 1024 + 1


def order_of(version: str, epoch: int) -> str:
    """A text that sorts as versions do; of one version, the one that was built from the later commit is the newer."""
    parsed = Version(version)
    phase, number = "3", 0
    if parsed.pre:
        phase, number = {"a": "0", "b": "1", "rc": "2"}[parsed.pre[0]], parsed.pre[1]
    elif parsed.post is not None:
        phase, number = "4", parsed.post
    elif parsed.dev is not None:
        phase, number = "-", parsed.dev
    release = ".".join(f"{part:05d}" for part in (*parsed.release, 0, 0, 0)[:4])
    return f"{release}.{phase}{number:05d}.{epoch:011d}"


def _epoch(checkout_dir: Path) -> int:
    """The time that every file of the bundle gets: SOURCE_DATE_EPOCH, else that of the checkout's commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given:
        if not given.isdecimal():
            raise BundleError(f"SOURCE_DATE_EPOCH is {given!r}, not seconds since 1970")
        return int(given)
    command = ["git", "-C", str(checkout_dir), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.strip():
        raise BundleError(f"{checkout_dir} has no commit to take the time from; set SOURCE_DATE_EPOCH")
    command = ["git", "-C", str(checkout_dir), "status", "--porcelain"]
    if subprocess.run(command, capture_output=True, text=True, check=False).stdout:
        _say("WARNING: the checkout holds changes that are not committed; nobody can make this bundle again")
    return int(done.stdout)


def _tell(tar_path: Path, key_path: Path | None) -> None:
    _say(f"{file_sha256(tar_path)}  {tar_path.name} ({tar_path.stat().st_size / 1e6:.0f} MB)")
    if key_path:
        _say("the operator needs this line in a file, by another way than the bundle:")
        _say(f'{SIGNER} namespaces="{SIGNER}" {public_key(key_path)}')
    else:
        _say(
            f"WARNING: {LIST_NAME} IS NOT SIGNED; the installer refuses this bundle unless it is forced. Give KEY=FILE"
        )


def _say(text: str) -> None:
    print(f"bundle: {text}", file=sys.stderr, flush=True)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _request() -> Request:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT_DIR / "dist", help="folder for the tar")
    parser.add_argument("--cache", type=Path, default=ROOT_DIR / "build" / "bundle", help="folder that keeps wheels")
    parser.add_argument("--checkout", type=Path, default=ROOT_DIR, help="where the program's wheel is built from")
    parser.add_argument("--locks", type=Path, default=LOCK_DIR, help="folder with runtime.txt and the hashes")
    parser.add_argument("--python", action="append", metavar="3.N", help="minor version of Python, can be repeated")
    parser.add_argument("--model", action="append", default=[], metavar="ARTIFACT[=DOCUMENTS]", help="can be repeated")
    parser.add_argument("--llama", type=Path, metavar="WHEEL", help="the llama-cpp-python wheel to ship")
    parser.add_argument("--key", type=Path, help="OpenSSH private key that signs, or a public one held by an agent")
    parser.add_argument("--from-make", action="store_true", help="read key, models and Pythons as make hands them over")
    parser.add_argument("--check", action="store_true", help="only check key, models, Pythons and locks")
    given = parser.parse_args()
    models, pythons, key_path = given.model, given.python or [], given.key
    if given.from_make:
        models = [*models, *typed_words("MODELS", os.environ.get("BUNDLE_MODELS", ""))]
        pythons = [*pythons, *os.environ.get("BUNDLE_PYTHONS", "").split()]
        key_path = key_path or Path(os.environ.get("BUNDLE_KEY") or ".")
        key_path = None if key_path == Path() else key_path
    return Request(
        given.out.absolute(), given.cache.absolute(), given.checkout.absolute(), given.locks.absolute(),
        tuple(dict.fromkeys(pythons)) or PYTHONS, tuple(models), given.llama,
        None if key_path is None else key_path.expanduser(), given.check,
    )  # fmt: skip


def typed_words(name: str, text: str) -> list[str]:
    """The words of a variable of make, as a shell reads them: a path with blanks stands in quotes.

    A single one needs none: where all of the text names a folder, it is one word.

    Raises:
        BundleError: A quote is not closed.
    """
    if text.strip() and Path(text.strip().partition("=")[0]).expanduser().is_dir():
        return [text.strip()]
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BundleError(f"{name} cannot be read ({error}): {text}; close every quote") from error


if __name__ == "__main__":
    sys.exit(main())
