"""Files of tensors that appear whole, and failed writes as errors that say what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.ground.files import disk_errors, part_for_library

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def tensor_disk_errors(path: Path) -> Iterator[None]:
    """Around libraries that write safetensors, whose failed writes are errors of their own kind.

    Raises:
        ResourceError: The disk is full, or the place cannot be written.
    """
    from safetensors import SafetensorError

    with disk_errors(path):
        try:
            yield
        except SafetensorError as error:
            raise OSError(str(error)) from error


def save_tensors(tensors: "Mapping[str, Tensor]", path: Path, metadata: dict[str, str]) -> None:
    """Writes a safetensors file so that it appears whole or not at all.

    Raises:
        ResourceError: It cannot be written.
    """
    from safetensors.torch import save_file

    with tensor_disk_errors(path), part_for_library(path) as beside:
        save_file(dict(tensors), str(beside), metadata=metadata)
