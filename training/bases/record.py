"""What stands beside the files of a base: where they come from, under which licence, and the hash of each."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from appliance.ground.errors import ApplianceError
from appliance.ground.json_text import json_text
from appliance.models.hub import ORIGIN_NAME
from appliance.models.manifest import ArtifactError, FileEntry, file_sha256

RECORD_NAME = "base.json"
RECORD_VERSION = 1


@dataclass(frozen=True)
class BaseRecord:
    """`base.json` of a base; of one that was pulled, what `hub.json` says."""

    source: str
    """Where it comes from, in words: a repository, the name of a file or folder, a package with its version."""
    revision: str = ""
    """Commit of a repository."""
    dequantized_from: str = ""
    """Scheme of the GGUF file that the weights were computed from, such as Q4_1."""
    source_sha256: str = ""
    """Of the one file that it comes from, where it is one."""
    licence: str = ""
    """Empty where nothing says it."""
    licence_source: str = ""
    """Which file says it."""
    added: str = ""
    """When, in UTC."""
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """One line for lineages and listings."""
        if self.dequantized_from:
            return f"dequantized from {self.dequantized_from}, {self.source}"
        return f"{self.source} at {self.revision}" if self.revision else self.source


def read_record(directory: Path) -> BaseRecord:
    """The record of a base.

    Raises:
        ArtifactError: There is none, or it cannot be read.
    """
    path = directory / RECORD_NAME
    if not path.is_file():
        path = directory / ORIGIN_NAME
    try:
        values = json.loads(path.read_text("utf-8"))
        files = {
            str(name): FileEntry(int(entry["size_bytes"]), str(entry["sha256"]))
            for name, entry in values["files"].items()
        }
        if path.name == ORIGIN_NAME:
            return BaseRecord(
                str(values["repository"]), str(values["revision"]), added=str(values.get("pulled", "")), files=files
            )
        if values["version"] != RECORD_VERSION:
            raise ValueError(f"its version is {values['version']!r}, this program reads {RECORD_VERSION}")
        texts = {name: str(values.get(name, "")) for name in BaseRecord.__dataclass_fields__ if name != "files"}
        return BaseRecord(**texts, files=files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path} cannot be read: {error}", f"remove {directory.name} and add or pull it again"
        ) from error


def record_text(record: BaseRecord) -> str:
    """The content of `base.json`."""
    return json_text({"version": RECORD_VERSION, **asdict(record)}, indent=2) + "\n"


def verify_base(directory: Path) -> None:
    """Compares the files of a base with its record.

    Raises:
        ArtifactError: A file is missing or differs.
    """
    for name, entry in read_record(directory).files.items():
        path = directory / name
        actual = file_sha256(path) if path.is_file() else "none"
        if actual != entry.sha256:
            raise ArtifactError(
                f"{directory.name}: {name} has SHA-256 {actual}, expected {entry.sha256}",
                f"remove {directory.name} and add or pull it again",
            )


def lineage_of(directory: Path) -> dict[str, str]:
    """What the lineage of a student says about its base: `base_source`, `base_licence`, as far as they are known."""
    from training.bases.licence import licence_of

    try:
        record = read_record(directory)
    except ApplianceError:
        record = BaseRecord("")
    licence = record.licence or licence_of(directory).name
    parts = {"base_source": record.origin, "base_licence": licence}
    return {name: text for name, text in parts.items() if text}
