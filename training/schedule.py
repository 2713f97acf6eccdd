"""How the learning rate rises and falls over a run."""

import math

LOWEST_RATE = 0.02
"""Share of the highest rate at the end."""


def rate_factor(progress: float, warm_up: float) -> float:
    """Factor on the highest rate at a share of the run from 0 to 1: linear warm-up, then cosine."""
    if progress < warm_up:
        return progress / warm_up
    rest = min(1.0, (progress - warm_up) / (1 - warm_up))
    return LOWEST_RATE + (1 - LOWEST_RATE) * 0.5 * (1 + math.cos(math.pi * rest))
