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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import put_in_place
from appliance.ground.json_text import json_text
from appliance.ground.progress import OnProgress, ignore_progress
from appliance.ground.text import human_size
from appliance.models.hub_staging import BrokenOff, bytes_in, folder_name, staging, watched
from appliance.models.manifest import ArtifactError, file_sha256, utc_now
from appliance.models.safetensors_file import INDEX_NAME, WHOLE_NAME

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

ORIGIN_NAME = "hub.json"
ORIGIN_VERSION = 1
ALLOWED = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\.safetensors|(model\.safetensors\.index|config|generation_config|tokenizer"
    r"|tokenizer_config|special_tokens_map|added_tokens|1_Pooling/config)\.json|LICEN[CS]E([A-Za-z0-9_.-]*)|README\.md"
)
"""Names of files that are fetched: no pickles, no code."""
FOLDERS = ("1_Pooling",)
"""Folders of a repository that hold such files: how an encoder makes one vector of a text."""
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


def _no_check(directory: Path) -> None:
    pass


@dataclass(frozen=True)
class Checks:
    """What looks at the files of a repository, and raises where they are of no use."""

    settings: Callable[[Path], None] = _no_check
    """Before the weights are fetched."""
    whole: Callable[[Path], None] = _no_check
    """Before the folder has its place."""


@dataclass(frozen=True)
class Hub:
    """Where a model is fetched from, and with which token."""

    endpoint: str | None = None
    """Address of the hub; by default the one that the hub's client is set to."""
    token_env: str = ""
    """Environment variable with a token for exactly this hub."""


def pull(
    bases_dir: Path,
    repository: str,
    revision: str,
    hub: Hub | None = None,
    checks: Checks | None = None,
    on_progress: OnProgress = ignore_progress,
) -> PulledModel:
    """Fetches one commit of a repository into `bases_dir`, beside its place, and renames it whole.

    What a broken connection or an interruption left is gone on with by the next call for the same commit.

    Args:
        revision: The full commit hash; a branch could name other weights tomorrow.
        checks: What looks at the files before the weights are fetched, and before the folder has its place.

    Raises:
        UsageError: The revision is no commit, the repository has no safetensors, or the token is missing.
        ResourceError: The hub cannot be reached, the disk has no room, or another process fetches the same.
        ArtifactError: What arrived is not what the hub announced.
        ApplianceError: What `checks` refuse.
    """
    _check_names(repository, revision)
    source, checks = _source(hub or Hub()), checks or Checks()
    files = {file.path: file for file in _list_files(repository, revision, source) if ALLOWED.fullmatch(file.path)}
    if not any(name.endswith(".safetensors") for name in files):
        raise UsageError(
            f"{repository} has no safetensors at {revision[:12]}",
            "choose a repository with safetensors; pickles are not read",
        )
    with staging(bases_dir, repository, revision) as staging_dir:
        small = [name for name in files if not name.endswith(".safetensors")]
        _fetch(repository, revision, source, staging_dir, small)
        entries = {name: _check_file(staging_dir / name, files[name]) for name in small}
        checks.settings(staging_dir)
        weights = _weight_names(staging_dir, files)
        total = sum(files[name].size for name in (*small, *weights))
        _check_room(bases_dir, repository, total - bytes_in(staging_dir))
        with watched(staging_dir, total, on_progress):
            _fetch(repository, revision, source, staging_dir, weights)
        entries |= {name: _check_file(staging_dir / name, files[name]) for name in weights}
        shutil.rmtree(staging_dir / ".cache", ignore_errors=True)
        checks.whole(staging_dir)
        origin = {
            "version": ORIGIN_VERSION,
            "repository": repository,
            "revision": revision,
            "pulled": utc_now(),
            "files": dict(sorted(entries.items())),
        }
        (staging_dir / ORIGIN_NAME).write_text(json_text(origin, indent=2) + "\n", encoding="utf-8")
        directory = bases_dir / folder_name(repository)
        put_in_place(staging_dir, directory)
    return PulledModel(repository, revision, directory, len(entries), total)


def newest_commit(repository: str, hub: Hub | None = None) -> str:
    """The commit that the repository's main branch has now.

    Raises:
        UsageError: The name is none, or the token is missing.
        ResourceError: The hub cannot be reached, or has no such repository.
    """
    _check_names(repository, "0" * 40)
    source = _source(hub or Hub())
    from httpx2 import HTTPError
    from huggingface_hub import HfApi

    try:
        api = HfApi(endpoint=source.endpoint, token=source.token)
        return str(api.model_info(repository, timeout=TIMEOUT_SECONDS).sha)
    except (HTTPError, OSError, ValueError) as error:
        raise _unreachable(repository, error) from error


def _check_names(repository: str, revision: str) -> None:
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(f"{repository!r} is not a valid repository name", "write owner/name")
    if not _COMMIT.fullmatch(revision):
        raise UsageError(
            f"revision {revision!r} is not a full commit hash",
            "take the 40 hexadecimal digits from the repository's list of commits, so that the weights cannot change",
        )


def _weight_names(staging_dir: Path, files: Mapping[str, "RepoFile"]) -> list[str]:
    """The files of weights that are loaded: the whole file, else those of the index, else all there are.

    Raises:
        UsageError: The index names a file that the repository does not have.
    """
    if WHOLE_NAME in files:
        return [WHOLE_NAME]
    if INDEX_NAME not in files:
        return sorted(name for name in files if name.endswith(".safetensors"))
    try:
        places = json.loads((staging_dir / INDEX_NAME).read_text("utf-8"))["weight_map"]
        names = sorted({str(name) for name in places.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{INDEX_NAME} does not say which file holds which tensor: {error}", "choose another repository"
        ) from error
    if missing := [name for name in names if name not in files]:
        raise UsageError(
            f"the repository lacks {len(missing)} of the {len(names)} files of its weights, such as {missing[0][:80]}",
            "choose another commit or repository",
        )
    return names


def _check_room(bases_dir: Path, repository: str, size_bytes: int) -> None:
    free_bytes = shutil.disk_usage(bases_dir).free
    if free_bytes < size_bytes + SPARE_BYTES:
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
    """The files at the top of the repository and in `FOLDERS`, with sizes and hashes."""
    from httpx2 import HTTPError  # what the hub's client speaks HTTP with
    from huggingface_hub import HfApi, RepoFile

    try:
        api = HfApi(endpoint=source.endpoint, token=source.token)
        # The one question that the client does not repeat: a hub that is not there is found out at once.
        api.model_info(repository, revision=revision, timeout=TIMEOUT_SECONDS)
        entries = list(api.list_repo_tree(repository, revision=revision))
        for folder in FOLDERS:
            if any(entry.path == folder and not isinstance(entry, RepoFile) for entry in entries):
                entries += api.list_repo_tree(repository, folder, revision=revision)
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
        raise _unreachable(repository, error, BrokenOff) from error


def _unreachable(repository: str, error: Exception, kind: type[ResourceError] = ResourceError) -> ApplianceError:
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return kind(
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
