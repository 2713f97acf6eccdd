"""Seconds and peak memory of each export target of one merged student, each in a process of its own.

    python benchmarks/export.py TASK_OR_RUN [TARGET ...]

`alone` exports one target, its check included; `all` exports every target in one command, which reads the validation
rows with the merged student once. CPU seconds are those of all its threads, and say what a busy machine hides. Peak
memory is the `VmHWM` of the child: its own pages and those of files that it mapped, such as the GGUF file that
llama.cpp checks. Its `ru_maxrss` would begin with the peak of whoever started it.
"""

import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TARGETS = ("gguf-f16", "gguf-q8_0", "gguf-q4_k_m", "onnx-fp32", "onnx-int8")
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Figures:
    """What one command took."""

    seconds: float
    cpu_seconds: float
    peak_gb: float
    result: str
    """What was written and refused."""


def export(folder: str, targets: Sequence[str]) -> Figures:
    """Exports the targets in one command."""
    options = [part for target in targets for part in ("--target", target)]
    began, cpu_before = time.monotonic(), _children_cpu_seconds()
    child = subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "export", folder, *options, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak_bytes, printed, messages = 0, "", ""
    while child.returncode is None:
        peak_bytes = max(peak_bytes, _peak_bytes(child.pid))
        with contextlib.suppress(subprocess.TimeoutExpired):
            printed, messages = child.communicate(timeout=POLL_SECONDS)
    seconds = time.monotonic() - began
    cpu_seconds = _children_cpu_seconds() - cpu_before
    return Figures(seconds, cpu_seconds, peak_bytes / 1e9, _result(printed, messages))


def _children_cpu_seconds() -> float:
    """Of all children that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _peak_bytes(process: int) -> int:
    """The most memory that a process held so far; 0 once it ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0 kB")
    return int(peak.split()[1]) * 1024


def _result(printed: str, messages: str) -> str:
    if not printed.strip():
        return messages.strip().replace("\n", "; ")
    result = json.loads(printed)
    parts = [_line(artifact) for artifact in result["artifacts"]]
    parts += [f"{refused['target']} refused: {refused['error']}" for refused in result["refused"]]
    return "; ".join(parts)


def _line(artifact: dict[str, object]) -> str:
    metrics = artifact["metrics"]
    assert isinstance(metrics, dict)
    values = f"{metrics.get('same_values')}/{metrics.get('values')} values"
    choices = f"{metrics.get('quantized_same_choice', metrics.get('same_choice', metrics.get('agreement')))} of choices"
    wide = f", in fp32: {metrics['fp32_groups']}" if "fp32_groups" in metrics else ""
    return f"{artifact['target']} {metrics['size_bytes'] / 1e6:.0f} MB, {values}, {choices}{wide}"


def main(folder: str, targets: Sequence[str]) -> None:
    """Prints a row of a table for each target, and one for all of them."""
    print("| targets | seconds | CPU seconds | peak GB | result |\n|---|---|---|---|---|")
    for chosen in [*([target] for target in targets), *([list(targets)] if len(targets) > 1 else [])]:
        took = export(folder, chosen)
        figures = f"{took.seconds:.0f} | {took.cpu_seconds:.0f} | {took.peak_gb:.2f}"
        print(f"| {' '.join(chosen)} | {figures} | {took.result} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:] or TARGETS)
