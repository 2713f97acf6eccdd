"""llama.cpp's library: loaded when it is first needed, checked against the version this program knows, and quiet."""

import ctypes
import functools
import os
import re
from collections import deque
from typing import Any

from appliance.ground.errors import ResourceError
from appliance.ground.threads import let_idle_threads_sleep

KNOWN_VERSION = "0.3.36"
"""Of llama-cpp-python; its structures change between versions, and a wrong one corrupts memory."""

_LEVEL_ERROR, _LEVEL_CONTINUED = 4, 5
"""Of `ggml_log_level` in ggml.h of this version; the bindings' own list of levels is an older one."""
_PLACE = re.compile(r"(?:[a-z_]\w*: |error loading model[ a-z]*: )*")
"""Functions of the library that a line begins with."""
_REASON_CHARACTERS = 300
_LINE_CHARACTERS = 2000
"""A file can choose what stands in a line, and how long it is."""
_STRUCTURE_BYTES = {
    "llama_model_params": 80,
    "llama_context_params": 160,
    "llama_model_quantize_params": 64,
    "llama_batch": 56,
}
_DEFAULTS: dict[str, dict[str, int | float]] = {
    "llama_context_default_params": {
        "n_ctx": 512,
        "n_batch": 2048,
        "n_outputs_max_per_seq": 1,
        "flash_attn_type": -1,
        "defrag_thold": -1.0,
        "type_v": 1,
        "offload_kqv": True,
        "kv_unified": False,
        "n_samplers": 0,
    },
    "llama_model_default_params": {"main_gpu": 0, "vocab_only": False, "use_extra_bufts": True, "no_alloc": False},
    "llama_model_quantize_default_params": {
        "output_tensor_type": 43,
        "ftype": 7,
    },
}
"""What the library itself puts into its structures: a shifted field shows here."""

recent_errors: deque[str] = deque(maxlen=6)
"""What llama.cpp logged as errors lately; whoever calls it clears this first."""
_callbacks: list[object] = []
"""Called from C for as long as the process lives."""


@functools.cache
def library() -> Any:
    """The bindings of llama.h.

    Raises:
        ResourceError: The library is missing, or is another version than this program was made for.
    """
    hint = f"install llama-cpp-python=={KNOWN_VERSION}"
    # A failed assertion ends the process; it must not first start a debugger on it.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    let_idle_threads_sleep()
    try:
        import llama_cpp
        from llama_cpp import llama_cpp as bindings
    except (ImportError, OSError, RuntimeError) as error:
        raise ResourceError(f"llama.cpp cannot be loaded: {error}", hint) from error
    if llama_cpp.__version__ != KNOWN_VERSION:
        raise ResourceError(f"llama-cpp-python is {llama_cpp.__version__}, this program needs {KNOWN_VERSION}", hint)
    _keep_quiet(bindings)
    wrong = layout_problem(bindings)
    if wrong:
        raise ResourceError(f"the compiled llama.cpp does not match its Python bindings: {wrong}", hint)
    bindings.llama_backend_init()
    return bindings


def layout_problem(bindings: Any) -> str | None:
    """What about the structures is not as this program knows it; None if all is well."""
    for name, size_bytes in _STRUCTURE_BYTES.items():
        actual_bytes = ctypes.sizeof(getattr(bindings, name))
        if actual_bytes != size_bytes:
            return f"{name} has {actual_bytes} bytes instead of {size_bytes}"
    for function, expected in _DEFAULTS.items():
        parameters = getattr(bindings, function)()
        for field, value in expected.items():
            if getattr(parameters, field) != value:
                return f"{function}().{field} is {getattr(parameters, field)} instead of {value}"
    return None


def refusal_reason(otherwise: str = "llama.cpp gives no reason") -> str:
    """Why llama.cpp refused, in its own words: the first error since `recent_errors` was cleared names the cause."""
    for line in recent_errors:
        if reason := " ".join(_PLACE.sub("", f"{line} ", count=1).split()):
            return reason[:_REASON_CHARACTERS]
    return otherwise


def _keep_quiet(bindings: Any) -> None:
    """Keeps error lines for messages and drops the rest: the terminal belongs to the command."""
    level_before = 0

    def take(level: int, text: bytes, _: object) -> None:
        nonlocal level_before
        is_continued = level == _LEVEL_CONTINUED
        level_before = level_before if is_continued else level
        line = text[:_LINE_CHARACTERS].decode("utf-8", errors="replace")
        if level_before != _LEVEL_ERROR or not line.strip():
            return
        if is_continued and recent_errors:
            recent_errors[-1] = f"{recent_errors[-1]} {line.strip()}"[:_LINE_CHARACTERS]
        else:
            recent_errors.append(line.strip())

    callback = bindings.llama_log_callback(take)
    _callbacks.append(callback)
    bindings.llama_log_set(callback, ctypes.c_void_p(0))
