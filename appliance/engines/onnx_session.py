"""Opens an ONNX file that may be broken or hostile, on the processor or on a GPU.

Where its weights lie is looked at beforehand (`appliance/models/onnx_file.py`); onnxruntime itself refuses weights
outside the model's folder, in branches, functions and constants too, and the tests attack both.
"""

import contextlib
import io
import os
import re
from pathlib import Path

import numpy as np
import onnxruntime

from appliance.ground.errors import ApplianceError
from appliance.ground.processor import cuda_devices
from appliance.models.manifest import Manifest
from appliance.models.onnx_file import check_onnx

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_CUDA_OPTIONS = {"use_tf32": "0"}
"""TF32 rounds the factors of fp32 products to 10 bits: the artifact was checked against fp32."""
_SILENT = 4
"""Severity from which onnxruntime logs; what goes wrong is raised, a log would write into the middle of a screen."""
_RUNTIME_PREFIX = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_SOURCE_PLACE = re.compile(r"\S*\.(?:cc|h):\d+ (?:(?:[\w:<>&*]+ )?[\w:]+\([^)]*\)|[\w:]+) ")
_FILE_PLACE = re.compile(r"^Load model from .+?\.onnx (?:failed:)?")
_READ_CHARACTERS = 2000
"""A file can choose what stands in a line, and how long it is."""
_SHOWN_CHARACTERS = 200
_NEGATION = (
    b'\x08\t:2\n\x0b\n\x01x\x12\x01y"\x03Neg\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x12"
)
"""A graph of one node, Neg, over one float."""


class OnnxFileError(ApplianceError):
    """The model file cannot be used."""


def runs_on_gpu(manifest: Manifest) -> bool:
    """Whether an ONNX artifact is opened on the GPU: one in fp32 or fp16 that was not made for the CPU.

    The int8 products of the exports have no CUDA kernels: such a graph would copy back and forth at each of them.
    """
    return (
        manifest.target != "cpu"
        and manifest.quantization != "int8"
        and CUDA in onnxruntime.get_available_providers()
        and cuda_devices() > 0
    )


def onnx_answers_on_gpu() -> bool:
    """Whether onnxruntime computes on the GPU here: it needs CUDA's libraries and cuDNN beside the driver."""
    return bool(cuda_devices()) and device_of(_negation(on_gpu=True)) == "cuda"


def negate() -> None:
    """Computes something small on the processor, so that the library's code is in memory."""
    session = _negation(on_gpu=False)
    session.run(None, {session.get_inputs()[0].name: np.ones(1, np.float32)})


def _negation(on_gpu: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(_NEGATION, options, providers=_providers(on_gpu))


def open_session(path: Path, threads: int, on_gpu: bool = False) -> onnxruntime.InferenceSession:
    """The model on the CPU, or on the GPU where CUDA's libraries can be loaded.

    Args:
        threads: Of one pass; 0 takes the processors that this process may use.

    Raises:
        OnnxError: The file is missing, or names weights that are no plain file in its folder.
        OnnxFileError: onnxruntime refuses it.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    check_onnx(path)  # onnxruntime looks at places too, but not at what a name leads to
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Sums of uint8 * int8 overflow 16 bits on processors without VNNI; this takes a slower product there, which is
    # exact, so that an int8 graph gives the same answers everywhere.
    options.add_session_config_entry("session.x64quantprecision", "1")
    broken = (states.Fail, states.InvalidArgument, states.InvalidGraph, states.InvalidProtobuf)
    missing = (states.NoSuchFile, states.NotImplemented, states.RuntimeException)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=_providers(on_gpu))
    except (*broken, *missing) as error:
        raise _unusable(path, _reason(error)) from error


def device_of(session: onnxruntime.InferenceSession) -> str:
    """Where the session computes, as onnxruntime names memory: `cuda` or `cpu`."""
    return "cuda" if session.get_providers()[0] == CUDA else "cpu"


def _providers(on_gpu: bool) -> list[str | tuple[str, dict[str, str]]]:
    """By name, the preferred one first: the default tries CUDA, and complains where there is none."""
    if not on_gpu:
        return [CPU]
    onnxruntime.set_default_logger_severity(_SILENT)  # libraries of CUDA that are missing are reported there
    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls()  # those of the nvidia packages, where they are installed
    return [(CUDA, _CUDA_OPTIONS), CPU]


def _reason(error: Exception) -> str:
    """What onnxruntime says, without the places of the file and in its source."""
    first_line = str(error)[:_READ_CHARACTERS].split("\n")[0]
    reason = _FILE_PLACE.sub("", _RUNTIME_PREFIX.sub("", first_line))
    return _SOURCE_PLACE.sub("", reason)[:_SHOWN_CHARACTERS].strip()


def _unusable(path: Path, reason: str) -> OnnxFileError:
    return OnnxFileError(
        f"{path.name} of {path.parent.name} cannot be loaded: {reason}", "export or copy the model again"
    )
