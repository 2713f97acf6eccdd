"""What a wheel says about itself: name, version, licence and its texts, requirements, size once unpacked."""

import re
import zipfile
from dataclasses import dataclass, field
from email.parser import Parser
from pathlib import Path

from packaging.utils import canonicalize_name
from wheelhouse import BundleError, file_sha256

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
