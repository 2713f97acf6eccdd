"""How a training on a processor takes memory from Linux and gives it back."""

import ctypes
import os
from functools import cache

VARIABLE = "THP_MEM_ALLOC_ENABLE"
"""Of torch: blocks of some megabytes come from transparent huge pages where Linux has them. It is read once."""


def use_large_pages() -> None:
    """Lets torch take large pages, unless the environment says otherwise; before torch is imported.

    A pass asks for large blocks all the time, and small pages cost each of them.
    """
    os.environ.setdefault(VARIABLE, "1")


def return_free_memory() -> None:
    """Gives back what lies free between blocks that are in use.

    Documents have different lengths, so the blocks of one pass do not fit into the gaps of the one before, and the
    process would grow for hundreds of passes. A C library that has no such call keeps its memory.
    """
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> "ctypes._NamedFuncPointer | None":
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
