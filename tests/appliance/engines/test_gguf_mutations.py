"""Ten thousand damaged GGUF files: each is refused with a sentence or computes, and nobody dies or swells."""

import io
import resource
import time
from collections import Counter
from pathlib import Path

import pytest
from decoder_fixtures import write_base
from gguf_mutations import fields_of, mutation
from gguf_trial import try_files

from appliance.models.gguf_file import check_gguf_content
from appliance.models.gguf_header import Unsound

FAST = 300
ALL = 10_000
MOST_SECONDS = 0.25
"""Of one file, most of which is the making of it; a bound by a factor of a hundred over what is usual."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A tiny student in 16 bit, and quantized."""
    from export.gguf.convert import convert
    from export.gguf.quantize import quantize

    directory = tmp_path_factory.mktemp("gguf")
    convert(write_base(directory / "base"), directory / "F16.gguf")
    quantize(directory / "F16.gguf", directory / "Q8_0.gguf", "Q8_0")
    return {name: (directory / f"{name}.gguf").read_bytes() for name in ("F16", "Q8_0")}


def let_through(content: bytes, numbers: range) -> list[int]:
    """Numbers of the mutations in which the check finds nothing wrong."""
    places, head_bytes = fields_of(content)
    passed = []
    for number in numbers:
        damaged = mutation(content, places, head_bytes, number)
        began = time.process_time()
        try:
            check_gguf_content(io.BytesIO(damaged), len(damaged))
            passed.append(number)
        except Unsound:
            pass
        assert time.process_time() - began < MOST_SECONDS
    return passed


def compute(content: bytes, numbers: list[int], work_dir: Path) -> Counter[str]:
    places, head_bytes = fields_of(content)
    return Counter(try_files(lambda n: mutation(content, places, head_bytes, n), numbers, work_dir).values())


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
def test_damaged_files_are_refused_or_compute(files: dict[str, bytes], tmp_path: Path, kind: str) -> None:
    passed = let_through(files[kind], range(FAST))
    assert FAST // 20 < len(passed) < FAST // 2
    ends = compute(files[kind], passed, tmp_path)
    assert set(ends) <= {"computed", "refused"}
    assert ends["computed"] > len(passed) * 0.8


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_or_compute(files: dict[str, bytes], tmp_path: Path) -> None:
    before_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    passed = {
        "F16": let_through(files["F16"], range(ALL // 2)),
        "Q8_0": let_through(files["Q8_0"], range(ALL // 2, ALL)),
    }
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < before_bytes + 200_000_000
    for kind, numbers in passed.items():
        ends = compute(files[kind], numbers, tmp_path)
        assert set(ends) <= {"computed", "refused"}, kind
