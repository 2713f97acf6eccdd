"""Whether a GGUF file is what it claims to be, before llama.cpp sees it: its head, its model, its numbers.

llama.cpp ends its process, or takes all memory, on some files that it should refuse; and a scale that is not a number
makes every answer of the model none. Reading costs less than hashing the file, and nothing here is native code.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from appliance.ground.errors import ApplianceError
from appliance.models.gguf_header import Unsound, read_head
from appliance.models.gguf_model import check_model

HINT = "export the model again or copy the file again"


class GgufError(ApplianceError):
    """A GGUF file is damaged, or made to harm."""


def check_gguf(path: Path) -> None:
    """Reads the file once, in pieces.

    Raises:
        GgufError: It is no GGUF file, or one that no model of this program can have; says what, and where.
    """
    try:
        # A name on a medium of others may be a pipe, which would wait, or a link to anywhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise Unsound("it is not a plain file")
            check_gguf_content(file, facts.st_size)
    except Unsound as error:
        raise GgufError(f"{path} cannot be used: {error}", HINT) from error
    except OSError as error:
        raise GgufError(f"{path} cannot be read: {error.strerror}", HINT) from error


def check_gguf_content(file: BinaryIO, size_bytes: int) -> None:
    """The same of an open file that stands at its first byte.

    Raises:
        Unsound: It is none that can be used.
    """
    # NumPy is loaded where a file is looked at, not with every command that knows models.
    from appliance.models.gguf_numbers import check_numbers

    head = read_head(file, size_bytes)
    check_model(head)
    for tensor in head.tensors.values():
        check_numbers(file, tensor)
