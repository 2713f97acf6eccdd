"""On what this machine would compute a model's answers: the class of its processor, and the engine's library.

Sums are rounded in another order by other instructions and other versions, and a close decision may then fall the
other way. A verdict holds where it was found.
"""

import functools
import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from appliance.ground.processor import cpu_flags, cuda_capability
from appliance.models.manifest import Manifest
from appliance.models.verdict import ComputeClass

PROGRAM_VERSION = 2
"""Raised by every change of prompts, decoding or reading of values that may change an answer."""
NO_ARITHMETIC = "any"
UNKNOWN = "unknown"
_LIBRARIES = {"gguf": ("llama-cpp-python",), "onnx": ("onnxruntime-gpu", "onnxruntime")}
"""Format -> distributions that compute it; the first that is installed does."""
_FLAG_CLASSES = (
    ("amx_int8", "AMX"), ("avx512_vnni", "AVX-512 VNNI"), ("avx512f", "AVX-512"), ("avx_vnni", "AVX-VNNI"),
    ("avx2", "AVX2"), ("avx", "AVX"), ("sve2", "SVE2"), ("sve", "SVE"), ("i8mm", "NEON i8mm"),
    ("asimddp", "NEON dot"), ("asimd", "NEON"),
)  # fmt: skip
"""Linux's name of a feature -> class, the best first: onnxruntime chooses its kernels by what it finds."""
_BUILD_CLASSES = (
    ("amx_int8", "AMX"), ("avx512_vnni", "AVX-512 VNNI"), ("avx512", "AVX-512"), ("avx_vnni", "AVX-VNNI"),
    ("avx2", "AVX2"), ("avx", "AVX"), ("sve", "SVE"), ("matmul_int8", "NEON i8mm"), ("dotprod", "NEON dot"),
    ("neon", "NEON"),
)  # fmt: skip
"""The same by ggml's names: llama.cpp uses what it was compiled for, whatever else the processor can do."""
_BUILD_SECONDS = 60
_BUILD_PROGRAM = """
import ctypes, json, sys
folder, names = sys.argv[1], sys.argv[2:]
ctypes.CDLL(f"{folder}/libggml-base.so", ctypes.RTLD_GLOBAL)
library = ctypes.CDLL(f"{folder}/libggml-cpu.so")
print(json.dumps([name for name in names if getattr(library, f"ggml_cpu_has_{name}")()]))
"""


def compute_class(manifest: Manifest) -> ComputeClass:
    """On what the artifact would be answered here, without opening it."""
    if manifest.format not in _LIBRARIES:
        return ComputeClass(NO_ARITHMETIC, "", PROGRAM_VERSION)
    return ComputeClass(_processor(manifest), _library(manifest.format), PROGRAM_VERSION)


def _processor(manifest: Manifest) -> str:
    """The kind of processor or card, chosen as the engines choose."""
    is_gguf = manifest.format == "gguf"
    may_use_card = manifest.target != "cpu" and (_ggml_has_cuda() if is_gguf else manifest.quantization != "int8")
    if may_use_card and (capability := cuda_capability()):
        return f"CUDA {capability}"
    return _built_class() if is_gguf else processor_class(cpu_flags(), platform.machine())


def processor_class(flags: frozenset[str], machine: str) -> str:
    """The class of a processor.

    Args:
        flags: Its features as Linux names them.
        machine: Its family, such as `x86_64`.
    """
    return _named(_FLAG_CLASSES, flags, machine)


def _named(classes: tuple[tuple[str, str], ...], features: frozenset[str], machine: str) -> str:
    family = {"x86_64": "x86-64", "aarch64": "ARM"}.get(machine, machine or UNKNOWN)
    return " ".join([family, *[name for feature, name in classes if feature in features][:1]])


@functools.cache
def _built_class() -> str:
    """What the installed llama.cpp was compiled for.

    Its library is asked in a process of its own: one for another processor dies on its first instruction.
    """
    folder = _ggml_dir()
    names = [name for name, _ in _BUILD_CLASSES]
    # -I: never a module of the folder that somebody happened to stand in.
    command = [sys.executable, "-I", "-S", "-c", _BUILD_PROGRAM, str(folder), *names]
    try:
        query = subprocess.run(command, capture_output=True, timeout=_BUILD_SECONDS, check=False)
        features = frozenset(json.loads(query.stdout))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return UNKNOWN
    return _named(_BUILD_CLASSES, features, platform.machine())


def _ggml_dir() -> Path:
    if folder := os.environ.get("LLAMA_CPP_LIB_PATH"):
        return Path(folder)
    spec = importlib.util.find_spec("llama_cpp")  # finds the package without importing it
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) / "lib" if places else Path(UNKNOWN)


def _ggml_has_cuda() -> bool:
    return (_ggml_dir() / "libggml-cuda.so").exists()


@functools.cache
def _library(file_format: str) -> str:
    """Name and version of what computes this format."""
    import importlib.metadata  # reads mails, and so loads half of what reads mails: not with every command

    for name in _LIBRARIES[file_format]:
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return UNKNOWN
