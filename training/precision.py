"""In which precision a student is trained: what this machine computes faster, found by a short measurement."""

import time
from typing import Literal

from training.options import SMALL_BASE_WEIGHTS, Family, Precision

TOKENS, WIDTH, REPETITIONS = 512, 1024, 5
"""Of the product that is timed: a pass through one matrix of a small base."""
LEAST_GAIN = 1.2
"""How many times faster products in bfloat16 must be: what lies between them gains nothing."""


def resolve_precision(precision: Precision, family: Family, base_weights: int) -> Literal["float32", "bfloat16"]:
    """Replaces `auto` by what this machine computes faster for a student of this family with a base of this size.

    In a small decoder products are so short that bfloat16 gains nothing on a processor, and what it needs besides them
    takes more memory than its weights save.
    """
    import torch

    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bfloat16"
    if family == "decoder" and base_weights <= SMALL_BASE_WEIGHTS:
        return "float32"
    # Only with instructions of their own; elsewhere products in bfloat16 are float32 and two conversions.
    can = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if can and bfloat16_gain() >= LEAST_GAIN else "float32"


def bfloat16_gain() -> float:
    """How many times faster this processor multiplies in bfloat16 than in float32; takes hundredths of a second."""
    import torch

    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        x, weight = torch.ones(TOKENS, WIDTH, dtype=dtype), torch.ones(WIDTH, WIDTH, dtype=dtype)
        times = []
        for _ in range(REPETITIONS):
            began = time.perf_counter()
            x @ weight
            times.append(time.perf_counter() - began)
        seconds[dtype] = min(times)
    return seconds[torch.float32] / seconds[torch.bfloat16]
