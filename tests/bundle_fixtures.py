"""Small bundles by the real bundler: the project's own wheel, what it needs to run, and a model of the no-op engine."""

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

from noop_fixtures import TASK, noop_manifest
from packaging.requirements import Requirement

from appliance.models.compute_class import compute_class
from appliance.models.manifest import rewrite_manifest, write_artifact
from appliance.models.verdict import READY, Verdict, sealed

ROOT_DIR = Path(__file__).parents[1]
PACKAGES = ("appliance", "training", "export", "tui")
NEVER_RUN = ("training", "export", "tui")
"""Where the small bundle is installed; compiling them would be half of each installation."""
HEAVY = (
    "babel", "httpx2", "huggingface-hub", "llama-cpp-python", "lxml", "numpy", "onnxruntime-gpu", "openai", "pyarrow",
    "python-stdnum", "textual", "tokenizers",
)  # fmt: skip
"""What the no-op engine and the readers of text do without."""
BUILT_APART = ("llama-cpp-python",)
"""What is compiled for a bundle, and cannot be taken from an environment that is for one processor."""
FOR_CARDS = ("libonnxruntime_providers_cuda.so", "libonnxruntime_providers_tensorrt.so")
"""Nine tenths of ONNX Runtime, which only graphics cards use."""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
EPOCH = "1760000000"


@dataclass(frozen=True)
class Bundle:
    """An unpacked bundle and the tar that it came in."""

    tar_path: Path
    directory: Path
    key_path: Path
    """The public key that signed it."""


def make_key(folder: Path, name: str = "release") -> Path:
    """A new Ed25519 key; gives the private half's path."""
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def requirements(left_out: Iterable[str] = HEAVY) -> dict[str, str]:
    """The project's dependencies, by default without what only engines and screens need: name -> requirement line."""
    lines = tomllib.loads((ROOT_DIR / "pyproject.toml").read_text())["project"]["dependencies"]
    named = {re.split(r"[^a-z0-9-]", line, maxsplit=1)[0]: line for line in lines}
    return {name: line for name, line in named.items() if name not in left_out}


def make_checkout(folder: Path, version: str, left_out: Iterable[str] = HEAVY) -> Path:
    """A copy of the packages as another version that requires less; without the demo's base, which takes long."""
    ignored = shutil.ignore_patterns("__pycache__", "base", "*.pt")
    for name in PACKAGES:
        if name in NEVER_RUN and left_out == HEAVY:
            (folder / name).mkdir()
            shutil.copyfile(ROOT_DIR / name / "__init__.py", folder / name / "__init__.py")
        else:
            shutil.copytree(ROOT_DIR / name, folder / name, ignore=ignored)
    for name in ("README.md", "LICENSE", ".gitignore"):
        shutil.copyfile(ROOT_DIR / name, folder / name)
    text = (ROOT_DIR / "pyproject.toml").read_text()
    text = re.sub(r'^version = ".*"$', f'version = "{version}"', text, count=1, flags=re.MULTILINE)
    listed = "".join(f'    "{line}",\n' for line in requirements(left_out).values())
    text = re.sub(r"^dependencies = \[\n.*?^\]", f"dependencies = [\n{listed}]", text, count=1, flags=re.M | re.S)
    (folder / "pyproject.toml").write_text(text)
    return folder


def closure(names: Iterable[str]) -> set[str]:
    """The named distributions and all that they require here."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in found:
            found.add(name)
            needed = map(Requirement, distribution(name).requires or [])
            waiting += [line.name for line in needed if line.marker is None or line.marker.evaluate({"extra": ""})]
    return found


def make_locks(folder: Path, cache_dir: Path, left_out: Iterable[str] = HEAVY) -> Path:
    """Locks for the dependencies and pip, with wheels that are packed anew from what is installed here."""
    folder.mkdir()
    wheels_dir = cache_dir / f"wheels-py{PYTHON}"
    wheels_dir.mkdir(parents=True, exist_ok=True)
    packed = {name: repack(name, wheels_dir) for name in sorted({*closure(requirements(left_out)), "pip"})}
    lines = [f"{name}=={version} --hash=sha256:{sha256}\n" for name, (version, sha256) in sorted(packed.items())]
    (folder / f"wheels-py{PYTHON}.txt").write_text("".join(lines))
    build = f"pip=={packed.pop('pip')[0]}\n"
    (folder / "build.txt").write_text(build)
    (folder / "runtime.txt").write_text("".join(f"{name}=={packed[name][0]}\n" for name in sorted(packed)))
    return folder


def repack(name: str, wheels_dir: Path) -> tuple[str, str]:
    """Makes a wheel again from an installed distribution; gives its version and its hash."""
    found = distribution(name)
    wheel_name = re.sub(r"[-_.]+", "_", name).lower()
    path = wheels_dir / f"{wheel_name}-{found.version}-py3-none-any.whl"
    left_out = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")
    record = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(found.files or [], key=str):
            if ".." in file.parts or file.name in (*left_out, *FOR_CARDS) or file.suffix == ".pyc":
                continue
            archive.writestr(zipfile.ZipInfo(str(file)), Path(str(file.locate())).read_bytes())
            record.append(f"{file},,\n")
        folder = f"{wheel_name}-{found.version}.dist-info"
        archive.writestr(zipfile.ZipInfo(f"{folder}/RECORD"), "".join(record) + f"{folder}/RECORD,,\n")
    return found.version, hashlib.sha256(path.read_bytes()).hexdigest()


def make_model(folder: Path, verdict: str = READY) -> str:
    """An artifact of the no-op engine with golden documents; as the bundler's command line names both."""
    folder.mkdir()
    task_path = folder / "task.toml"
    task_path.write_text(TASK)
    manifest = write_artifact(
        folder / "orders-noop",
        replace(noop_manifest(task_path), licence="Apache-2.0", created="2026-01-01T00:00:00Z"),
        {"task.toml": task_path},
    )
    judged = Verdict(
        verdict, "gold", 0.99, 0.97, 0.95, 200, 400, "ab" * 32, "2026-01-01T00:00:00Z",
        manifest.identity, compute_class(manifest),
    )  # fmt: skip
    rewrite_manifest(folder / "orders-noop", replace(manifest, verdict=sealed(judged)))
    (folder / "golden").mkdir()
    for number in range(3):
        (folder / "golden" / f"order {number}.txt").write_text(f"Number: {number}\nTotal: {number}5.00\n")
    return f"{folder / 'orders-noop'}={folder / 'golden'}"


def bundler(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs the bundler."""
    command = [sys.executable, ROOT_DIR / "packaging" / "bundle" / "build.py", *arguments]
    environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "SOURCE_DATE_EPOCH": EPOCH, **environment}
    environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if "site-packages" in path)
    return subprocess.run(
        list(map(str, command)), env=environ, capture_output=True, text=True, check=False, cwd="/", timeout=600
    )


def unpack(tar_path: Path, folder: Path) -> Path:
    """Unpacks a bundle; gives its folder."""
    with tarfile.open(tar_path) as archive:
        archive.extractall(folder, filter="data")
    return folder / tar_path.stem


def make_bundle(workshop: dict[str, Path | str], version: str, out: str = "dist") -> Bundle:
    """A bundle of this version, unpacked."""
    root = Path(workshop["root"])
    checkout_dir = root / f"checkout-{version}"
    if not checkout_dir.exists():
        make_checkout(checkout_dir, version)
    options = [part for name, value in workshop.items() if name != "root" for part in (name, value)]
    done = bundler("--out", root / out, "--checkout", checkout_dir, "--python", PYTHON, *options)
    assert done.returncode == 0, done.stderr
    tar_path = Path(done.stdout.strip())
    return Bundle(tar_path, unpack(tar_path, root / out), Path(f"{workshop['--key']}.pub"))


def bundler_module(name: str) -> ModuleType:
    """A module of the bundler, which is a folder of scripts and no package."""
    folder = str(ROOT_DIR / "packaging" / "bundle")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
