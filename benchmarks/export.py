"""Seconds and peak memory of each export target of one merged student, each in a process of its own.

    python benchmarks/export.py TASK_OR_RUN [TARGET ...]

`alone` exports one target, its check included; `all` exports every target in one command, which reads the validation
rows with the merged student once. Peak memory is the `ru_maxrss` of the child: its own pages and those of files that it
mapped, such as the GGUF file that llama.cpp checks.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

TARGETS = ("gguf-f16", "gguf-q8_0", "gguf-q4_k_m", "onnx-fp32", "onnx-int8")


def export(folder: str, targets: Sequence[str]) -> tuple[float, float, str]:
    """Seconds, peak GB, and what was written and refused."""
    options = [part for target in targets for part in ("--target", target)]
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "export", folder, *options, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    printed, messages = child.stdout.read(), child.stderr.read()
    _, _, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - began
    if not printed.strip():
        return seconds, usage.ru_maxrss / 1e6, messages.strip().replace("\n", "; ")
    result = json.loads(printed)
    parts = [_line(artifact) for artifact in result["artifacts"]]
    parts += [f"{refused['target']} refused: {refused['error']}" for refused in result["refused"]]
    return seconds, usage.ru_maxrss / 1e6, "; ".join(parts)


def _line(artifact: dict[str, object]) -> str:
    metrics = artifact["metrics"]
    assert isinstance(metrics, dict)
    values = f"{metrics.get('same_values')}/{metrics.get('values')} values"
    choices = f"{metrics.get('quantized_same_choice', metrics.get('same_choice', metrics.get('agreement')))} of choices"
    wide = f", in fp32: {metrics['fp32_groups']}" if "fp32_groups" in metrics else ""
    return f"{artifact['target']} {metrics['size_bytes'] / 1e6:.0f} MB, {values}, {choices}{wide}"


def main(folder: str, targets: Sequence[str]) -> None:
    """Prints a row of a table for each target, and one for all of them."""
    print("| targets | seconds | peak GB | result |\n|---|---|---|---|")
    for chosen in [*([target] for target in targets), *([list(targets)] if len(targets) > 1 else [])]:
        seconds, peak, result = export(folder, chosen)
        print(f"| {' '.join(chosen)} | {seconds:.0f} | {peak:.2f} | {result} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:] or TARGETS)
