"""Opens an ONNX file that may be broken or hostile: weights can only lie beside it, a broken file has a message."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import onnxruntime

from appliance.ground.errors import ApplianceError

_PARTS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
"""Field number -> message, for all messages of the ONNX format in which a tensor can stand.

Source: onnx.proto of ONNX 1.23.
"""
_DEEPEST = 40


class OnnxFileError(ApplianceError):
    """The model file cannot be used."""


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """The model on the CPU provider, asked for by name: the default tries CUDA and complains where there is none.

    Args:
        threads: Of one pass; 0 takes the processors that this process may use.

    Raises:
        OnnxFileError: The file is missing, broken, or names weights elsewhere.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    check_external_weights(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised; the log would write into the middle of a screen
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    broken = (states.Fail, states.InvalidArgument, states.InvalidGraph, states.InvalidProtobuf)
    missing = (states.NoSuchFile, states.NotImplemented, states.RuntimeException)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (*broken, *missing) as error:
        raise _broken(path, str(error).splitlines()[0][:200]) from error


def check_external_weights(path: Path) -> None:
    """Refuses weights outside the model's folder: onnxruntime opens whatever file name the model gives.

    Raises:
        OnnxFileError: A tensor lies elsewhere, behind a link, or beyond the end of its file; or the file is broken.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        for entry in _external(memoryview(mapped), "model", 0):
            _check(path, entry)
    except OSError as error:
        raise _broken(path, error.strerror or str(error)) from error
    except (ValueError, IndexError) as error:
        raise _broken(path, str(error)) from error


def _broken(path: Path, reason: str) -> OnnxFileError:
    return OnnxFileError(
        f"{path.name} of {path.parent.name} cannot be loaded: {reason}", "export or copy the model again"
    )


def _check(path: Path, entry: dict[str, str]) -> None:
    """Compares one tensor's entry with the file that it names."""
    location = entry.get("location", "")
    weights_path = path.parent / location
    if not location or os.path.basename(location) != location or "\\" in location or location in {".", ".."}:
        raise _broken(path, f"its weights lie outside its folder, in {location!r}")
    if weights_path.is_symlink() or not weights_path.is_file():
        raise _broken(path, f"{location!r} with its weights is missing or no plain file")
    offset, length = (int(entry.get(key, "0") or "0") for key in ("offset", "length"))
    size_bytes = weights_path.stat().st_size
    if offset < 0 or length < 0 or offset + length > size_bytes:
        raise _broken(path, f"its weights end at byte {offset + length} of {location!r}, which has {size_bytes}")


def _external(data: memoryview, kind: str, depth: int) -> Iterator[dict[str, str]]:
    """The entries that say where a tensor's data lies, one dictionary for each tensor that has any."""
    if depth > _DEEPEST:
        raise ValueError("its graphs are nested too deep")
    entries: dict[str, str] = {}
    for number, value in _fields(data):
        part = _PARTS[kind].get(number)
        if part is None or value is None:
            continue
        if part == "entry":
            texts = {key: bytes(text).decode("utf-8", "replace") for key, text in _fields(value) if text is not None}
            entries[texts.get(1, "")] = texts.get(2, "")
        else:
            yield from _external(value, part, depth + 1)
    if entries:
        yield entries


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """The fields of a protobuf message: number and content, without content for plain numbers."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            _, at = _varint(data, at)
            yield number, None
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"it is no ONNX file (field of type {wire} at byte {at})")
        if at + length > len(data):
            raise ValueError("it is cut short")
        yield number, data[at : at + length] if wire == 2 else None
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("it is no ONNX file (a number without end)")
