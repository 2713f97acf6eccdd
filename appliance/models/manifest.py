"""What an artifact says about itself: identity, lineage, the size and hash of every file, measurements, verdict."""

import hashlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import put_in_place, write_file
from appliance.ground.json_text import json_text

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 1
READY = "READY"
_BLOCK_BYTES = 1 << 20
_MOST_MANIFEST_BYTES = 16_000_000
IDENTITY_KEYS = ("base_hash", "adapter_hash", "data_hash", "merge_method")
"""Keys of the lineage that go into the model identity."""

OnBytes = Callable[[int], None]
"""Called with the number of bytes just read; what it raises ends the work. `ProgressCounter.add` is one."""
JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]


class ArtifactError(ApplianceError):
    """A folder is no artifact, or its files are not those of its manifest."""


@dataclass(frozen=True)
class FileEntry:
    """One file of an artifact."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Verdict:
    """What a gate computed for exactly this artifact."""

    verdict: str
    """READY, NOT READY or NEED n MORE."""
    basis: str = ""
    """`teacher` or `gold`: what the student was compared with."""
    estimate: float = 0.0
    low: float = 0.0
    """One-sided lower bound of the estimate."""
    threshold: float = 0.0
    """What `low` had to exceed."""
    documents: int = 0
    fields: int = 0
    labelled_sha256: str = ""
    """Of the file with the labelled rows."""
    judged: str = ""
    """When, in UTC."""


@dataclass(frozen=True)
class Manifest:
    """`manifest.json` of an artifact folder."""

    identity: str
    name: str
    family: str
    """`decoder` or `encoder`."""
    format: str
    """`merged`, `gguf`, `onnx` or `adapter`."""
    task_name: str
    task_hash: str
    quantization: str = ""
    """Scheme, such as Q8_0 or int8."""
    target: str = ""
    """Device that the artifact was made for, such as cpu."""
    prompt_form: str = ""
    lineage: dict[str, str] = field(default_factory=dict)
    """base, base_hash, adapter_hash, data_hash, merge_method, teacher, run."""
    licence: str = ""
    files: dict[str, FileEntry] = field(default_factory=dict)
    metrics: dict[str, JSON] = field(default_factory=dict)
    verdict: Verdict | None = None
    labels: tuple[str, ...] = ()
    created: str = ""
    """When, in UTC."""
    version: int = MANIFEST_VERSION

    @property
    def ready(self) -> bool:
        """Whether a gate found the model READY."""
        return self.verdict is not None and self.verdict.verdict == READY

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(entry.size_bytes for entry in self.files.values())


def utc_now() -> str:
    """The time as manifests state it: `2026-11-24T18:30:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def model_identity(lineage: Mapping[str, str], quantization: str, target: str, prompt_form: str, task_hash: str) -> str:
    """SHA-256 over everything whose change makes another model.

    Args:
        lineage: `base_hash`, `adapter_hash`, `data_hash` and `merge_method` count; a missing one counts as empty.
    """
    parts = {key: str(lineage.get(key, "")) for key in IDENTITY_KEYS}
    parts |= {"quantization": quantization, "target": target, "prompt_form": prompt_form, "task_hash": task_hash}
    return hashlib.sha256(json_text(parts, sort_keys=True, compact=True, ascii_only=True).encode()).hexdigest()


def file_sha256(path: Path, on_bytes: OnBytes | None = None) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            if on_bytes:
                on_bytes(len(block))
    return digest.hexdigest()


def write_artifact(
    directory: Path, manifest: Manifest, files: Mapping[str, Path], on_bytes: OnBytes | None = None, exact: bool = False
) -> Manifest:
    """Writes an artifact folder beside its place and renames it whole; one that is there is replaced.

    Args:
        manifest: Its `files` are filled in from the copies, and `created` where it is empty.
        files: Name in the artifact -> file to copy.
        exact: The copies must be the files that the manifest names; they are read once more before they take their
            place.

    Returns:
        The manifest as written.

    Raises:
        ArtifactError: The copies are not what the manifest names; nothing was replaced.
        ResourceError: The disk is full or not writable.
    """
    staging_dir = directory.with_name(f".{directory.name}.part")
    try:
        shutil.rmtree(staging_dir, ignore_errors=True)
        staging_dir.mkdir(parents=True)
        entries = {
            name: _copy(source, staging_dir / _check_file_name(name, manifest.name), on_bytes)
            for name, source in files.items()
        }
        complete = replace(manifest, files=entries, created=manifest.created or utc_now())
        write_file(staging_dir / MANIFEST_NAME, _manifest_text(complete))
        if exact and verify_artifact(staging_dir, on_bytes).files != manifest.files:
            raise ArtifactError(f"the files of {manifest.name} changed while they were copied", "copy them again")
        put_in_place(staging_dir, directory)
    except OSError as error:
        raise ResourceError(
            f"cannot write the artifact {directory}: {error.strerror or error}",
            "check the free space and the permissions",
        ) from error
    finally:
        shutil.rmtree(staging_dir, ignore_errors=True)
    return complete


def rewrite_manifest(directory: Path, manifest: Manifest) -> None:
    """Replaces the manifest of an artifact, as a gate does with its verdict; the files stay as they are."""
    write_file(directory / MANIFEST_NAME, _manifest_text(manifest))


def read_manifest(directory: Path) -> Manifest:
    """Reads `manifest.json`.

    Raises:
        UsageError: There is none.
        ArtifactError: It is broken or of another version.
    """
    path = directory / MANIFEST_NAME
    try:
        values = json.loads(_read_bounded(path))
    except FileNotFoundError as error:
        raise UsageError(
            f"{directory} is not a model: it has no {MANIFEST_NAME}", "name a folder that `stillroom export` wrote"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}", "export the model again") from error
    if not isinstance(values, dict) or values.get("version") != MANIFEST_VERSION:
        version = values.get("version") if isinstance(values, dict) else None
        raise ArtifactError(
            f"{path} has version {version}, this program reads version {MANIFEST_VERSION}", "export the model again"
        )
    unknown = set(values) - {described.name for described in fields(Manifest)}
    if unknown:
        raise ArtifactError(f"{path} has the unknown key {min(unknown)}", "export the model again")
    try:
        return _manifest(values)
    except (TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} is not a valid manifest: {error}", "export the model again") from error


def _read_bounded(path: Path) -> str:
    """The text of a plain file of moderate size: on a medium of others there may be anything under this name."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is not a plain file")
        if facts.st_size > _MOST_MANIFEST_BYTES:
            raise ValueError(f"it is larger than {_MOST_MANIFEST_BYTES:,} bytes")
        return file.read(_MOST_MANIFEST_BYTES).decode("utf-8")


def _manifest(values: dict[str, JSON]) -> Manifest:
    name, verdict = str(values.get("name")), values.get("verdict")
    entries, lineage = _object(values, "files"), _object(values, "lineage")
    if not all(isinstance(value, str) for value in lineage.values()):
        raise TypeError("lineage holds a value that is not text")
    labels = values.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise TypeError("labels is not a list of strings")
    parsed = {
        "files": {
            _check_file_name(key, name): FileEntry(**_typed(FileEntry, _object(entries, key)))  # type: ignore[arg-type]
            for key in entries
        },
        "verdict": None if verdict is None else Verdict(**_typed(Verdict, _object(values, "verdict"))),  # type: ignore[arg-type]
        "lineage": lineage,
        "metrics": _object(values, "metrics"),
        "labels": tuple(labels),
    }
    return Manifest(**{**_typed(Manifest, values), **parsed})  # type: ignore[arg-type]


def _object(values: Mapping[str, JSON], key: str) -> dict[str, JSON]:
    value = values.get(key, {})
    if not isinstance(value, dict):
        raise TypeError(f"{key} is not an object")
    return value


def _typed(kind: type[FileEntry | Verdict | Manifest], values: dict[str, JSON]) -> dict[str, JSON]:
    """The values, once those that the dataclass declares as text or number are."""
    allowed: dict[object, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float)}
    for described in fields(kind):
        value = values.get(described.name)
        types = allowed.get(described.type)
        if types and described.name in values and (not isinstance(value, types) or isinstance(value, bool)):
            raise TypeError(f"{described.name} is {value!r:.40}, which has the wrong type")
    return values


def verify_artifact(directory: Path, on_bytes: OnBytes | None = None) -> Manifest:
    """Compares every file with the manifest.

    Raises:
        ArtifactError: A file is missing or differs; names it with both sizes or both hashes.
    """
    manifest = read_manifest(directory)
    for name, entry in manifest.files.items():
        path = directory / name
        hint = "the file was damaged or changed; export the model again or copy it again"
        if path.is_symlink() or not path.is_file():
            raise ArtifactError(f"{manifest.name}: {name} is missing or not a plain file", hint)
        size_bytes = path.stat().st_size
        if size_bytes != entry.size_bytes:
            raise ArtifactError(
                f"{manifest.name}: {name} has {size_bytes} bytes, the manifest says {entry.size_bytes}", hint
            )
        try:
            sha256 = file_sha256(path, on_bytes)
        except OSError as error:
            raise ArtifactError(
                f"{manifest.name}: {name} cannot be read: {error.strerror}", "check that the disk is still connected"
            ) from error
        if sha256 != entry.sha256:
            raise ArtifactError(f"{manifest.name}: {name} has SHA-256 {sha256}, the manifest says {entry.sha256}", hint)
    return manifest


def _check_file_name(name: str, artifact: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name) or name == MANIFEST_NAME:
        raise ArtifactError(
            f"{artifact}: {name!r} is not a valid file name for an artifact", "use letters, digits, _ . + and -"
        )
    return name


def _copy(source: Path, target: Path, on_bytes: OnBytes | None) -> FileEntry:
    """Copies a file durably and hashes what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(_BLOCK_BYTES):
            digest.update(block)
            writing.write(block)
            if on_bytes:
                on_bytes(len(block))
        writing.flush()
        os.fsync(writing.fileno())
        size_bytes = writing.tell()
    return FileEntry(size_bytes, digest.hexdigest())


def _manifest_text(manifest: Manifest) -> bytes:
    return (json_text(asdict(manifest), indent=2) + "\n").encode()
