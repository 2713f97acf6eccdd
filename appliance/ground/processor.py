"""What the processors and graphics cards of this machine can do, as the kernel and the driver say it."""

import ctypes
import functools
import re
from pathlib import Path

CPU_INFO_PATH = Path("/proc/cpuinfo")
_MAJOR, _MINOR = 75, 76
"""The driver's numbers for the two parts of a card's compute capability."""

MOST_THREADS = 512
"""llama.cpp ends its process beyond it."""


def cpu_flags(path: Path = CPU_INFO_PATH) -> frozenset[str]:
    """Features that all processors of this machine have."""
    try:
        lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", path.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return frozenset()
    return frozenset.intersection(*(frozenset(line.split()) for line in lines)) if lines else frozenset()


@functools.cache
def cuda_devices() -> int:
    """How many GPUs the NVIDIA driver gives to this process; 0 where there is no driver."""
    count = ctypes.c_int()
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value


@functools.cache
def cuda_capability() -> str:
    """Compute capability of the first GPU, such as `9.0`; empty where there is none."""
    if not cuda_devices():
        return ""
    driver, device, parts = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), []
    if driver.cuDeviceGet(ctypes.byref(device), 0):
        return ""
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        if driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device):
            return ""
        parts.append(str(value.value))
    return ".".join(parts)
