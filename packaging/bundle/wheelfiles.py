"""What a wheel says about itself: name, version, licence and its texts, requirements, size once unpacked."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.parser import Parser
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from wheelhouse import PLATFORMS, BundleError, file_sha256

_LICENCE_NAME = re.compile(r"(licen[sc]e|copying|notice|authors|thirdpartynotices)[^/]*$", re.IGNORECASE)
_LICENCE_FOLDER = re.compile(r"\.dist-info/licenses/.")
_CODE = (".py", ".pyi", ".pyc", ".so", ".h")
_FORBIDDEN = re.compile(r"\b(A?GPL|BUSL|Business Source|SSPL|Elastic)", re.IGNORECASE)
_CLASSIFIER = "License :: OSI Approved :: "


@dataclass(frozen=True)
class Wheel:
    """One wheel of the bundle."""

    path: Path
    name: str
    version: str
    sha256: str
    licence: str
    """SPDX expression where the wheel has one, else what it says in words."""
    unpacked_bytes: int
    requires: tuple[str, ...] = ()
    """Requirement lines without an extra's."""
    licence_texts: dict[str, bytes] = field(default_factory=dict, repr=False)
    """File name in the wheel -> its text."""
    requires_python: str = ""
    """Versions of Python that it says it runs with; empty means all."""


def read_wheel(path: Path) -> Wheel:
    """Opens a wheel and reads its metadata.

    Raises:
        BundleError: It is no wheel, or starts code of its own at every start of Python.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(path, archive)
    except (OSError, zipfile.BadZipFile, KeyError, StopIteration) as error:
        raise BundleError(f"{path.name} is no wheel: {error}") from error


def _read(path: Path, archive: zipfile.ZipFile) -> Wheel:
    names = archive.namelist()
    if starting := [name for name in names if name.endswith(".pth")]:
        raise BundleError(f"{path.name} runs code at every start of Python: {starting[0]}")
    metadata_name = next(name for name in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
    metadata = Parser().parsestr(archive.read(metadata_name).decode("utf-8"))
    requires = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    texts = {
        name: archive.read(name)
        for name in names
        if (_LICENCE_NAME.search(name) or _LICENCE_FOLDER.search(name)) and not name.lower().endswith((*_CODE, "/"))
    }
    return Wheel(
        path,
        canonicalize_name(str(metadata["Name"])),
        str(metadata["Version"]),
        file_sha256(path),
        licence_of(metadata.get("License-Expression"), metadata.get("License"), metadata.get_all("Classifier", [])),
        sum(entry.file_size for entry in archive.infolist()),
        tuple(requires),
        texts,
        str(metadata["Requires-Python"] or ""),
    )


def licence_of(expression: str | None, words: str | None, classifiers: list[str]) -> str:
    """The licence that a wheel names; the first line where it carries the whole text."""
    if expression:
        return expression.strip()
    named = [line.removeprefix(_CLASSIFIER) for line in classifiers if line.startswith(_CLASSIFIER)]
    said = (words or "").strip()
    if said and "\n" not in said and len(said) <= 60:
        return said
    return " AND ".join(named) or said.partition("\n")[0] or "unknown"


def check_licences(wheels: list[Wheel]) -> None:
    """Refuses what must not be shipped.

    Raises:
        BundleError: A wheel names no licence, or one that binds what it is shipped with.
    """
    for wheel in wheels:
        # The LGPL passes: such a wheel is imported unchanged, ships with its text, and can be replaced.
        if wheel.licence == "unknown" or _FORBIDDEN.search(wheel.licence):
            raise BundleError(f"{wheel.path.name} is under {wheel.licence!r}, which cannot be shipped")


def check_complete(wheels: list[Wheel], python: str) -> None:
    """Checks that the wheels install with this Python, and that none of them requires what is not among them.

    It stands in for an installation where no such Python is at hand.

    Args:
        python: Minor version, such as `3.13`.

    Raises:
        BundleError: A wheel is for another Python or machine, or lacks what it requires.
    """
    problems = list(_problems(wheels, python))
    if problems:
        raise BundleError(f"the wheels for Python {python} are not complete: {'; '.join(problems)}")


def _problems(wheels: list[Wheel], python: str) -> Iterator[str]:
    versions = {wheel.name: wheel.version for wheel in wheels}
    tags = _tags(python)
    # Of a version such as 3.13 only the minor is known here; the markers of requirements ask for no more.
    environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    for wheel in wheels:
        if not tags & parse_wheel_filename(wheel.path.name)[3]:
            yield f"{wheel.path.name} is for another Python or machine"
        if not SpecifierSet(wheel.requires_python).contains(f"{python}.0", prereleases=True):
            yield f"{wheel.name} {wheel.version} wants Python {wheel.requires_python}"
        for requirement in map(Requirement, wheel.requires):
            if requirement.marker is not None and not requirement.marker.evaluate(environment):
                continue
            version = versions.get(canonicalize_name(requirement.name))
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                yield f"{wheel.name} {wheel.version} requires {requirement}, here is {version or 'none'}"


def _tags(python: str) -> set[Tag]:
    """Tags of the wheels that install with this Python on the servers that a bundle is for."""
    major, minor = map(int, python.split("."))
    interpreter = f"cp{major}{minor}"
    platforms = [*PLATFORMS, "linux_x86_64"]
    return {
        *cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
        *compatible_tags((major, minor), interpreter, platforms),
    }
