"""Fewer bits per weight, by llama.cpp's own quantizer."""

import ctypes
import os
from pathlib import Path

from appliance.engines.llama.library import library, recent_errors, refusal_reason
from appliance.ground.errors import ApplianceError

_FILE_TYPES = {"Q8_0": 7, "Q4_K_M": 15}
"""Scheme -> `llama_ftype`."""
_TENSOR_Q8_0 = 8


class QuantizationError(ApplianceError):
    """llama.cpp could not write the quantized file."""


def quantize(full_path: Path, out_path: Path, scheme: str) -> None:
    """Writes a 16 bit GGUF file in fewer bits.

    The output matrix keeps 8 bits: a tied embedding is read as both, and 4 bits there cost most quality.

    Raises:
        QuantizationError: llama.cpp refused; says what it logged.
    """
    llama = library()
    parameters = llama.llama_model_quantize_default_params()
    parameters.nthread = len(os.sched_getaffinity(0))
    parameters.ftype = _FILE_TYPES[scheme]
    parameters.output_tensor_type = _TENSOR_Q8_0
    recent_errors.clear()
    status = llama.llama_model_quantize(os.fsencode(full_path), os.fsencode(out_path), ctypes.byref(parameters))
    if status != 0:
        raise QuantizationError(
            f"llama.cpp cannot quantize {full_path.name} to {scheme}: {refusal_reason(f'status {status}')}",
            "export as F16, or use a base model whose hidden size is a multiple of 256",
        )
