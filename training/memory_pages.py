"""How a training on a processor takes memory, keeps it and gives it back."""

import ctypes
import os
from functools import cache

DEFAULTS = {"THP_MEM_ALLOC_ENABLE": "1", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128"}
"""Variables that torch and its library of products in bfloat16 read once.

The first has blocks of some megabytes come from transparent huge pages where Linux has them: a pass asks for such all
the time, and small pages cost each of them. The second bounds how many compiled products are kept, 1,024 by default:
there is one for each shape, so dozens for each length of a document, of some hundred kilobytes each.
"""


def set_memory_defaults() -> None:
    """Sets these variables, unless the environment says otherwise; before torch is imported."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


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
