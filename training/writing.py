"""Files that appear whole, and failed writes as errors that say what to do."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.errors import ResourceError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around the writing of a file or folder.

    Raises:
        ResourceError: The disk is full, or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"cannot write {path}: {error.strerror or error}", "check the free space and the rights there"
        ) from error


@contextmanager
def writing_tensors(path: Path) -> Iterator[None]:
    """The same around libraries that write safetensors, whose failed writes are errors of their own kind."""
    from safetensors import SafetensorError

    with writing(path):
        try:
            yield
        except SafetensorError as error:
            raise OSError(str(error)) from error


def sync(path: Path) -> None:
    """Waits until a file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_tensors(tensors: "Mapping[str, Tensor]", path: Path, metadata: dict[str, str]) -> None:
    """Writes a safetensors file so that it appears whole or not at all.

    Raises:
        ResourceError: It cannot be written.
    """
    from safetensors.torch import save_file

    beside = path.with_name(path.name + ".part")
    with writing_tensors(path):
        try:
            save_file(dict(tensors), str(beside), metadata=metadata)
            sync(beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
