"""What an artifact says about itself: identity, lineage, the size and hash of every file, measurements, verdict.

The identity is computed from what decides the answers, the bytes of every file among it, and never taken from the text:
reading a manifest computes it again, and `verify_artifact` compares the folder with it, file by file.
"""

import errno
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import part_path, put_in_place, write_file
from appliance.ground.json_text import json_text
from appliance.models.manifest_json import JSON, object_of, read_json_file, typed_values
from appliance.models.verdict import Verdict, verdict_of, verdict_problem
from appliance.tasks.prompt import MOST_WORKING_TOKENS

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 2
NAMES_ALONE_VERSION = 1
"""Manifests of this version had an identity that said nothing about the files, and verdicts that named no artifact."""
MOST_FILES = 1000
_BLOCK_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KNOWN_VERSIONS = (NAMES_ALONE_VERSION, MANIFEST_VERSION)
_EXPORT_AGAIN = "export the model again with `stillroom export`"
_REQUIRED_KEYS = ("identity", "name", "family", "format", "task_name", "task_hash")
IDENTITY_KEYS = ("base_hash", "adapter_hash", "data_hash", "merge_method")
"""Keys of the lineage that go into the model identity."""

OnBytes = Callable[[int], None]
"""Called with the number of bytes just read; what it raises ends the work. `ProgressCounter.add` is one."""


class ArtifactError(ApplianceError):
    """A folder is no artifact, or its files are not those of its manifest."""


@dataclass(frozen=True)
class FileEntry:
    """One file of an artifact."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """`manifest.json` of an artifact folder."""

    identity: str
    """Computed by `write_artifact`, and again by whoever reads it."""
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
    working: int = 0
    """Tokens of working that a decoder was taught to write before its answer."""
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
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(entry.size_bytes for entry in self.files.values())


def utc_now() -> str:
    """The time as manifests state it: `2026-11-24T18:30:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def model_identity(manifest: Manifest) -> str:
    """SHA-256 over everything whose change makes another model: what is asked, where it comes from, every byte.

    Name, licence, measurements, verdict and the rest of the lineage do not count; a missing key of the lineage counts
    as empty.
    """
    parts: dict[str, object] = {key: manifest.lineage.get(key, "") for key in IDENTITY_KEYS}
    for key in ("family", "format", "task_name", "task_hash", "quantization", "target", "prompt_form", "labels"):
        parts[key] = getattr(manifest, key)
    parts["files"] = {name: [entry.size_bytes, entry.sha256] for name, entry in manifest.files.items()}
    if manifest.working:
        parts["working"] = manifest.working
    return hashlib.sha256(json_text(parts, ascii_only=True, compact=True, sort_keys=True).encode()).hexdigest()


def with_identity(manifest: Manifest) -> Manifest:
    """The manifest with the identity that follows from it; a verdict stays only where it is about this one."""
    identity = model_identity(manifest)
    verdict = manifest.verdict if manifest.verdict and not verdict_problem(manifest.verdict, identity) else None
    return replace(manifest, identity=identity, verdict=verdict, version=MANIFEST_VERSION)


def _identity_without_files(manifest: Manifest) -> str:
    """What version 1 called the identity."""
    parts = {key: manifest.lineage.get(key, "") for key in IDENTITY_KEYS}
    parts |= {key: getattr(manifest, key) for key in ("quantization", "target", "prompt_form", "task_hash")}
    return hashlib.sha256(json_text(parts, ascii_only=True, compact=True, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path, on_bytes: OnBytes | None = None) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return _digest(file, on_bytes)


def _digest(file: BinaryIO, on_bytes: OnBytes | None) -> str:
    digest = hashlib.sha256()
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
        manifest: Its `files` are filled in from the copies, its identity from all of it, and `created` where it is
            empty. A verdict about other files is left out.
        files: Name in the artifact -> file to copy.
        exact: The copies must be the files that the manifest names; they are read once more before they take their
            place.

    Returns:
        The manifest as written.

    Raises:
        ArtifactError: The copies are not what the manifest names, or a name is none; nothing was replaced.
        ResourceError: The disk is full or not writable.
    """
    staging_dir = part_path(directory)
    try:
        shutil.rmtree(staging_dir, ignore_errors=True)
        staging_dir.mkdir(parents=True)
        entries = {
            name: _copy(source, staging_dir / _check_file_name(name, manifest.name), on_bytes)
            for name, source in files.items()
        }
        complete = with_identity(replace(manifest, files=entries, created=manifest.created or utc_now()))
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


def read_unchanged(directory: Path, manifest: Manifest) -> Manifest:
    """The manifest as it is now, of an artifact that was verified before: hours may lie between.

    Raises:
        ArtifactError: There is another model in this place now.
    """
    present = read_manifest(directory)
    if present.identity != manifest.identity:
        raise ArtifactError(
            f"{directory} now holds model {present.identity[:16]}, judged was {manifest.identity[:16]}: the verdict"
            " was not written",
            "judge the present model with `stillroom gate`",
        )
    return present


def was_called(manifest: Manifest, identity: str) -> bool:
    """Whether version 1 called this model so; it said nothing about the files, so that it binds nothing to them."""
    return _identity_without_files(manifest) == identity


def read_manifest(directory: Path) -> Manifest:
    """Reads `manifest.json`; its identity follows from what it says, and its verdict is about this identity.

    One of version 1 gets the identity of its files, and keeps no verdict that could be relied on.

    Raises:
        UsageError: There is none.
        ArtifactError: It is broken, of another version, lists no files, or does not fit together.
    """
    path = directory / MANIFEST_NAME
    try:
        values = read_json_file(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(
            f"{directory} is not a model: it has no {MANIFEST_NAME}", "name a folder that `stillroom export` wrote"
        ) from error
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}", "check its owner and permissions") from error
    except ValueError as error:
        raise ArtifactError(f"{path} cannot be read: {error}", _EXPORT_AGAIN) from error
    version = values.get("version") if isinstance(values, dict) else None
    if not isinstance(values, dict) or isinstance(version, bool) or version not in _KNOWN_VERSIONS:
        raise ArtifactError(
            f"{path} has version {str(version)[:20]}, this program reads versions"
            f" {NAMES_ALONE_VERSION} to {MANIFEST_VERSION}",
            _EXPORT_AGAIN,
        )
    try:
        manifest = _manifest(values)
    except (TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} is not a valid manifest: {error}", _EXPORT_AGAIN) from error
    _check_sealed(path, manifest)
    return replace(manifest, identity=model_identity(manifest)) if version == NAMES_ALONE_VERSION else manifest


def _check_sealed(path: Path, manifest: Manifest) -> None:
    """Refuses an identity that was not computed from this manifest, and a verdict that is not about this identity."""
    by_names = manifest.version == NAMES_ALONE_VERSION
    identity = _identity_without_files(manifest) if by_names else model_identity(manifest)
    if manifest.identity != identity:
        raise ArtifactError(
            f"{path} names identity {manifest.identity[:16]!r}, its contents have {identity[:16]}: it was changed by"
            " hand, or comes from another model",
            _EXPORT_AGAIN,
        )
    if manifest.verdict is not None and not by_names and (problem := verdict_problem(manifest.verdict, identity)):
        raise ArtifactError(
            f"{path} holds a verdict that no gate wrote about these files: {problem}",
            'take "verdict" out of it and judge the model with `stillroom gate`, or export it again',
        )


def _manifest(values: dict[str, JSON]) -> Manifest:
    name, verdict = str(values.get("name"))[:100], values.get("verdict")
    entries, lineage = object_of(values, "files"), object_of(values, "lineage")
    if not all(isinstance(value, str) for value in lineage.values()):
        raise TypeError("lineage holds a value that is not text")
    labels = values.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise TypeError("labels is not a list of strings")
    if missing := [key for key in _REQUIRED_KEYS if key not in values]:
        raise TypeError(f"it has no {missing[0]}")
    if not 0 < len(entries) <= MOST_FILES:
        raise TypeError(f"it lists {len(entries):,} files, an artifact has 1 to {MOST_FILES:,}")
    if len({key.lower() for key in entries}) < len(entries):
        raise TypeError("two of its files have names that differ only in capital letters")
    working = values.get("working", 0)
    if isinstance(working, int) and not 0 <= working <= MOST_WORKING_TOKENS:
        raise TypeError(f"working is {working}, which is not between 0 and {MOST_WORKING_TOKENS}")
    parsed = {
        "files": {_check_file_name(key, name): _file_entry(entries, key) for key in entries},
        "verdict": None if verdict is None else verdict_of(object_of(values, "verdict")),
        "lineage": lineage,
        "metrics": object_of(values, "metrics"),
        "labels": tuple(labels),
    }
    return Manifest(**{**typed_values(Manifest, values), **parsed})  # type: ignore[arg-type]


def _file_entry(entries: dict[str, JSON], key: str) -> FileEntry:
    entry = FileEntry(**typed_values(FileEntry, object_of(entries, key)))  # type: ignore[arg-type]
    if entry.size_bytes < 0:
        raise TypeError(f"size_bytes of {key} is {entry.size_bytes}")
    if not _SHA256.fullmatch(entry.sha256):
        raise TypeError(f"sha256 of {key} is {entry.sha256[:80]!r}, which is no SHA-256")
    return entry


def verify_artifact(directory: Path, on_bytes: OnBytes | None = None) -> Manifest:
    """Compares the folder with the manifest: every file of it is listed, and every listed file is the one.

    Raises:
        ArtifactError: A file is missing, differs or is not listed; names it with both sizes or both hashes.
    """
    manifest = read_manifest(directory)
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ArtifactError(
            f"cannot look into {directory}: {error.strerror}", "check its owner and permissions"
        ) from error
    try:
        _refuse_unlisted(directory, folder, manifest)
        for name, entry in manifest.files.items():
            _verify_file(folder, manifest.name, name, entry, on_bytes)
    finally:
        os.close(folder)
    return manifest


def _refuse_unlisted(directory: Path, folder: int, manifest: Manifest) -> None:
    # What a gate that was killed leaves; no engine opens it.
    leftover = part_path(Path(MANIFEST_NAME)).name
    known = {*manifest.files, MANIFEST_NAME}
    with os.scandir(folder) as entries:
        unlisted = sorted(
            entry.name
            for entry in entries
            if entry.name not in known and not (entry.name == leftover and entry.is_file(follow_symlinks=False))
        )
    if unlisted:
        more = f" and {len(unlisted) - 1:,} more" if len(unlisted) > 1 else ""
        raise ArtifactError(
            f"{manifest.name}: {unlisted[0]!r}{more} in {directory} is not in its manifest",
            "take out what does not belong to the model; an artifact holds its listed files and nothing else",
        )


def _verify_file(folder: int, artifact: str, name: str, entry: FileEntry, on_bytes: OnBytes | None) -> None:
    """Compares one file, opened once and through no link, with its entry."""
    hint = "the file was damaged or changed; export the model again or copy it again"
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(os.open(name, flags, dir_fd=folder), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise ArtifactError(f"{artifact}: {name} is missing or not a plain file", hint)
            if facts.st_size != entry.size_bytes:
                raise ArtifactError(
                    f"{artifact}: {name} has {facts.st_size} bytes, the manifest says {entry.size_bytes}", hint
                )
            sha256 = _digest(file, on_bytes)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise ArtifactError(f"{artifact}: {name} is missing or not a plain file", hint) from error
        raise ArtifactError(
            f"{artifact}: {name} cannot be read: {error.strerror}",
            "check its permissions, and that the disk is still connected",
        ) from error
    if sha256 != entry.sha256:
        raise ArtifactError(f"{artifact}: {name} has SHA-256 {sha256}, the manifest says {entry.sha256}", hint)


def _check_file_name(name: str, artifact: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name) or name.lower() == MANIFEST_NAME:
        raise ArtifactError(
            f"{artifact}: {name[:100]!r} is not a valid file name for an artifact", "use letters, digits, _ . + and -"
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
    values = asdict(manifest)
    if not manifest.working:
        del values["working"]  # earlier versions of the program do not know it
    return (json_text(values, indent=2) + "\n").encode()
