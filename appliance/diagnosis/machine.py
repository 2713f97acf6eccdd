"""The machine: memory, graphics processors, and the walls around parsers."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from appliance.diagnosis.check import Check, CheckState, ok
from appliance.documents.parser_probe import ALLOWED_KINDS, DENIED_KINDS
from appliance.documents.sandbox import SandboxReport, probe_sandbox
from appliance.ground.child import ChildDied
from appliance.ground.memory import available_memory_bytes
from appliance.ground.settings import SandboxPolicy
from appliance.ground.text import human_size

_LEAST_MEMORY_BYTES = 2_000_000_000
_NVIDIA_DIR = Path("/proc/driver/nvidia/gpus")
_SMI = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader,nounits")
_SMI_SECONDS = 20
_PROC_SELF = Path("/proc/self")


def check_memory() -> Check:
    """Memory that is free, within the limits of the control groups."""
    available = available_memory_bytes()
    if available is None:
        return Check("memory", CheckState.WARN, "the free memory is not known", "check that /proc is mounted")
    message = f"{human_size(available)} available"
    if available < _LEAST_MEMORY_BYTES:
        least = human_size(_LEAST_MEMORY_BYTES)
        return Check("memory", CheckState.WARN, message, f"give the machine {least} for one reader and a small model")
    return ok("memory", message)


def _answers_onnx() -> bool:
    try:
        from appliance.engines.onnx_session import onnx_answers_on_gpu
    except ImportError:
        return False
    return onnx_answers_on_gpu()


def check_gpu(nvidia_dir: Path = _NVIDIA_DIR, answers_onnx: Callable[[], bool] = _answers_onnx) -> Check:
    """Graphics processors, whether their driver answers, and whether onnxruntime can use them."""
    if not nvidia_dir.is_dir() or not any(nvidia_dir.iterdir()):
        return ok("gpu", "none; models run on the processor")
    try:
        query = subprocess.run(_SMI, capture_output=True, text=True, timeout=_SMI_SECONDS, check=True)
        cards = [_card(line) for line in query.stdout.splitlines() if line.strip()]
    except (OSError, ValueError, subprocess.SubprocessError):
        return Check(
            "gpu", CheckState.WARN, "there is a graphics processor, but its driver does not answer",
            "check the driver with `nvidia-smi`; models run on the processor until then",
        )  # fmt: skip
    if not answers_onnx():
        return Check(
            "gpu", CheckState.WARN, f"{'; '.join(cards)}; ONNX models run on the processor: CUDA or cuDNN is missing",
            "install CUDA 13 and cuDNN 9; GGUF models and ONNX models in int8 do not need them",
        )  # fmt: skip
    return ok("gpu", f"{'; '.join(cards)}; ONNX models in fp32 run on it")


def _card(line: str) -> str:
    name, total, free, driver = (part.strip() for part in line.split(","))
    sizes = [human_size(int(megabytes) << 20) for megabytes in (free, total)]
    return f"{name}, {sizes[0]} of {sizes[1]} free, driver {driver}"


def check_sandbox(policy: SandboxPolicy) -> Check:
    """Which walls stand around a parser; a parser tries to break out."""
    try:
        report = probe_sandbox()
    except (ChildDied, OSError) as error:
        advice = "check the free memory and the limit of processes (`ulimit -u`)"
        if not _PROC_SELF.exists():
            advice = "mount /proc: readers measure their memory there"
        return Check("sandbox", CheckState.FAIL, f"no reader process can be started: {error}", advice)
    return judge_sandbox(report, policy)


def judge_sandbox(report: SandboxReport, policy: SandboxPolicy) -> Check:
    """The finding for what a parser reported."""
    level = report.level
    walls = {"limits": level.rlimits, "system calls": level.seccomp, "Landlock": level.landlock}
    message = "; ".join(f"{name}: {'' if wall.in_force else 'missing, '}{wall.detail}" for name, wall in walls.items())
    escaped = [kind for kind in DENIED_KINDS if report.attempts.get(kind, "allowed") == "allowed"]
    broken = [kind for kind in ALLOWED_KINDS if report.attempts.get(kind) != "allowed"]
    if escaped or level.required_missing:
        state = CheckState.FAIL if policy is SandboxPolicy.REQUIRED else CheckState.WARN
        could = f"; a parser could {', '.join(escaped)}" if escaped else ""
        advice = "run on Linux with seccomp for x86_64 or aarch64; in a container, use a profile that allows it"
        return Check("sandbox", state, message + could, advice)
    if broken:
        return Check(
            "sandbox", CheckState.WARN, f"{message}; a parser cannot {', '.join(broken)}",
            "raise the limit of processes (`ulimit -u`); text recognition needs threads",
        )  # fmt: skip
    if not level.landlock.in_force:
        advice = "use a kernel with Landlock (5.13 or newer, `lsm=landlock,...`) for a second wall around files"
        return Check("sandbox", CheckState.WARN, message, advice)
    user = "; parsers give up root's rights" if os.geteuid() == 0 else ""
    return ok("sandbox", message + user)
