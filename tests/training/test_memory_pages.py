"""How a training takes memory and gives it back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.memory_pages import DEFAULTS, return_free_memory


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_what_lies_free_between_blocks_goes_back() -> None:
    blocks = [bytearray(b"x" * 100_000) for _ in range(2000)]
    kept = blocks[::100]
    del blocks
    held = resident_bytes()
    return_free_memory()
    assert resident_bytes() < held - 150_000_000
    assert len(kept) == 20


@pytest.mark.parametrize("said", ["", "7"])
def test_a_training_says_how_memory_is_kept_before_torch_is_there(said: str) -> None:
    code = (
        "import os, sys, training.commands.train as train\n"
        "train.set_memory_defaults()\n"
        "names = ('THP_MEM_ALLOC_ENABLE', 'ONEDNN_PRIMITIVE_CACHE_CAPACITY')\n"
        "print(*(os.environ[name] for name in names), 'torch' in sys.modules)"
    )
    environment = {key: value for key, value in os.environ.items() if key not in DEFAULTS}
    environment |= dict.fromkeys(DEFAULTS, said) if said else {}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.split() == [said or "1", said or "128", "False"]
