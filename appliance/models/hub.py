"""Fetches a base model from a model hub: one pinned commit, safetensors and plain JSON only, every byte checked.

Nothing here runs unless a person typed `stillroom models pull`; everything else looks only into the folder that this
fills.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import put_in_place
from appliance.ground.json_text import json_text
from appliance.ground.text import human_size
from appliance.models.manifest import ArtifactError, file_sha256, utc_now

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

ORIGIN_NAME = "hub.json"
ORIGIN_VERSION = 1
ALLOWED = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\.safetensors|(model\.safetensors\.index|config|generation_config|tokenizer"
    r"|tokenizer_config|special_tokens_map|added_tokens)\.json|LICEN[CS]E([A-Za-z0-9_.-]*)|README\.md"
)
"""Names of files that are fetched: no pickles, no code, no folders."""
_PUBLIC_HUB = "https://huggingface.co"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
SPARE_BYTES = 200_000_000
TIMEOUT_SECONDS = 20.0
"""How long the hub's first answer may take."""
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")


@dataclass(frozen=True)
class PulledModel:
    """A model fetched from a hub."""

    repository: str
    revision: str
    directory: Path
    files: int
    size_bytes: int


def folder_name(repository: str) -> str:
    """The folder of a repository's files: `owner--name`."""
    return repository.replace("/", "--")


def find_pulled(bases_dir: Path, repository: str) -> Path | None:
    """The folder that `pull` filled for this repository, if it did; never asks the network."""
    directory = bases_dir / folder_name(repository)
    return directory if _REPOSITORY.fullmatch(repository) and (directory / ORIGIN_NAME).is_file() else None


def verify_pulled(directory: Path) -> None:
    """Compares the files with the hashes that were noted when they were fetched.

    Raises:
        ArtifactError: A file is missing or differs.
    """
    try:
        origin = json.loads((directory / ORIGIN_NAME).read_text("utf-8"))
        entries = {str(name): str(entry["sha256"]) for name, entry in origin["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{directory / ORIGIN_NAME} cannot be read: {error}", "pull the model again") from error
    for name, sha256 in entries.items():
        path = directory / name
        actual = file_sha256(path) if path.is_file() else "none"
        if actual != sha256:
            raise ArtifactError(f"{directory.name}: {name} has SHA-256 {actual}, expected {sha256}", "pull it again")


@dataclass(frozen=True)
class Hub:
    """Where a model is fetched from, and with which token."""

    endpoint: str | None = None
    """Address of the hub; by default the one that the hub's client is set to."""
    token_env: str = ""
    """Environment variable with a token for exactly this hub."""


def pull(bases_dir: Path, repository: str, revision: str, hub: Hub | None = None) -> PulledModel:
    """Fetches one commit of a repository into `bases_dir`, beside its place, and renames it whole.

    Args:
        revision: The full commit hash; a branch could name other weights tomorrow.

    Raises:
        UsageError: The revision is no commit, the repository has no safetensors, or the token is missing.
        ResourceError: The hub cannot be reached, or the disk has no room.
        ArtifactError: What arrived is not what the hub announced.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(f"{repository!r} is not a valid repository name", "write owner/name")
    if not _COMMIT.fullmatch(revision):
        raise UsageError(
            f"revision {revision!r} is not a full commit hash",
            "take the 40 hexadecimal digits from the repository's list of commits, so that the weights cannot change",
        )
    source = _source(hub or Hub())
    files = [file for file in _list_files(repository, revision, source) if ALLOWED.fullmatch(file.path)]
    if not any(file.path.endswith(".safetensors") for file in files):
        raise UsageError(
            f"{repository} has no safetensors at {revision[:12]}",
            "choose a repository with safetensors; pickles are not read",
        )
    staging_dir = bases_dir / f".{folder_name(repository)}.part"
    _make_room(bases_dir, staging_dir, repository, sum(file.size for file in files))
    try:
        _fetch(repository, revision, source, staging_dir, [file.path for file in files])
        entries = {file.path: _check_file(staging_dir / file.path, file) for file in files}
        shutil.rmtree(staging_dir / ".cache", ignore_errors=True)
        origin = {
            "version": ORIGIN_VERSION,
            "repository": repository,
            "revision": revision,
            "pulled": utc_now(),
            "files": entries,
        }
        (staging_dir / ORIGIN_NAME).write_text(json_text(origin, indent=2) + "\n", encoding="utf-8")
        directory = bases_dir / folder_name(repository)
        put_in_place(staging_dir, directory)
    except OSError as error:
        raise ResourceError(f"cannot write {staging_dir}: {error.strerror or error}", "check the free space") from error
    finally:
        shutil.rmtree(staging_dir, ignore_errors=True)
    return PulledModel(repository, revision, directory, len(files), sum(file.size for file in files))


def _make_room(bases_dir: Path, staging_dir: Path, repository: str, size_bytes: int) -> None:
    shutil.rmtree(staging_dir, ignore_errors=True)
    try:
        staging_dir.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise ResourceError(
            f"cannot create {staging_dir}: {error.strerror}", "check the permissions of the home folder"
        ) from error
    free_bytes = shutil.disk_usage(bases_dir).free
    if free_bytes < size_bytes + SPARE_BYTES:
        shutil.rmtree(staging_dir)
        raise ResourceError(
            f"{repository} needs {human_size(size_bytes)} and a reserve of {human_size(SPARE_BYTES)}, {bases_dir} has"
            f" {human_size(free_bytes)} free",
            "free some space first",
        )


def _silence_client() -> None:
    """Switches the client's telemetry and progress bars off; it reads these once, when it is imported."""
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_XET"):
        os.environ.setdefault(name, "1")


@dataclass(frozen=True)
class _Source:
    """A hub's address, and what the client is told about the token."""

    endpoint: str
    token: str | bool | None
    """None lets the client send the stored one, False none at all."""


def _source(hub: Hub) -> _Source:
    """The stored token was made for the public hub: no other address gets it, wherever that address comes from.

    Raises:
        UsageError: The variable holds no token, or the token would go out unencrypted.
    """
    _silence_client()
    from huggingface_hub import constants

    endpoint = (hub.endpoint or constants.ENDPOINT).strip().rstrip("/")
    if not hub.token_env:
        return _Source(endpoint, None if endpoint == _PUBLIC_HUB else False)
    if not hub.token_env.isidentifier():
        # Most probably the token itself: it must not be shown.
        raise UsageError("--token-env is not the name of a variable", "write the variable's name, not the token")
    token = os.environ.get(hub.token_env, "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"the environment variable {hub.token_env} holds no token", "set it, or leave --token-env out")
    parts = urlsplit(endpoint)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise UsageError(f"the token would go to {endpoint} unencrypted", "name the hub by an https address")
    return _Source(endpoint, token)


def _list_files(repository: str, revision: str, source: _Source) -> list["RepoFile"]:
    """The files at the top of the repository, with sizes and hashes."""
    from httpx2 import HTTPError  # what the hub's client speaks HTTP with
    from huggingface_hub import HfApi, RepoFile

    try:
        api = HfApi(endpoint=source.endpoint, token=source.token)
        # The one question that the client does not repeat: a hub that is not there is found out at once.
        api.model_info(repository, revision=revision, timeout=TIMEOUT_SECONDS)
        entries: Iterable[object] = api.list_repo_tree(repository, revision=revision)
        return [entry for entry in entries if isinstance(entry, RepoFile)]
    except (HTTPError, OSError, ValueError) as error:
        raise _unreachable(repository, error) from error


def _fetch(repository: str, revision: str, source: _Source, directory: Path, names: list[str]) -> None:
    from httpx2 import HTTPError
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            repository, revision=revision, endpoint=source.endpoint, token=source.token, local_dir=directory,
            allow_patterns=names, max_workers=2,
        )  # fmt: skip
    except (HTTPError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise
        raise _unreachable(repository, error) from error


def _unreachable(repository: str, error: Exception) -> ApplianceError:
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ResourceError(
        f"cannot fetch {repository}: {first_line}",
        "check name, revision and network, or set student.base to a local folder with the files",
    )


def _check_file(path: Path, file: "RepoFile") -> dict[str, object]:
    """Compares size and hash with what the hub announced: SHA-256 of large files, git's hash of small ones."""
    size_bytes, sha256 = path.stat().st_size, file_sha256(path)
    expected, actual = (file.lfs.sha256, sha256) if file.lfs else (file.blob_id, _git_hash(path))
    if size_bytes != file.size or actual != expected:
        raise ArtifactError(
            f"{file.path} arrived with {size_bytes} bytes and hash {actual}; the hub announced"
            f" {file.size} and {expected}",
            "pull again; if it repeats, do not use this hub",
        )
    return {"size_bytes": size_bytes, "sha256": sha256}


def _git_hash(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
