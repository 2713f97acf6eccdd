"""Files given to llama.cpp in children that may die of them: what becomes of files that the check lets through."""

import os
import resource
from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.engines.llama.library import library
from appliance.engines.llama.model import LlamaContext, LlamaModel, Row
from appliance.ground.errors import ApplianceError

MEMORY_BYTES = 3 << 30
"""Address space of a child beyond its parent's: llama.cpp with a tiny model takes a few hundred MB."""


def try_files(make: Callable[[int], bytes], numbers: Sequence[int], work_dir: Path) -> dict[int, str]:
    """What became of each file: `computed`, `refused`, or how the child died of it.

    Args:
        make: The content of the file with a number.
    """
    library()  # before the forks, which share it
    ends: dict[int, str] = {}
    left = list(numbers)
    while left:
        reading, writing = os.pipe()
        if not (pid := os.fork()):
            _serve(make, left, writing, work_dir / "model.gguf")
        os.close(writing)
        with open(reading, encoding="ascii") as lines:
            done = [line.split() for line in lines]
        _, status = os.waitpid(pid, 0)
        ends |= {int(number): end for number, end in done}
        left = left[len(done) :]
        if left:
            code = os.waitstatus_to_exitcode(status)
            ends[left.pop(0)] = f"killed by signal {-code}" if code < 0 else f"ended with {code}"
    return ends


def _serve(make: Callable[[int], bytes], numbers: Sequence[int], writing: int, path: Path) -> None:
    """Never returns: ends the process."""
    try:
        shared_pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = shared_pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # an assertion that fails says so there
        for number in numbers:
            path.write_bytes(make(number))
            os.write(writing, f"{number} {_use(path)}\n".encode())
        os._exit(0)
    finally:
        os._exit(99)


def _use(path: Path) -> str:
    """Loads a file and computes with it, as the engine does."""
    try:
        model = LlamaModel(path)
    except ApplianceError:
        return "refused"
    try:
        model.tokenize(" Order number: 12 \u20ac<|end|>", True)
        context = LlamaContext(model, 2, min(model.trained_context, 256), 1)
        context.feed([Row(0, 0, [index % model.vocab_size for index in range(5, 12)], 1)])
        context.feed([Row(0, 7, [0], 1), Row(1, 0, [model.vocab_size - 1], 1)])
        context.close()
    except ApplianceError:
        return "refused"
    finally:
        model.close()
    return "computed"
