"""Which examples make a step: similar lengths together, so that little is padding, in random order."""

from collections.abc import Sequence

import numpy as np


def batch_plan(
    lengths: Sequence[int], batch_tokens: int, batch_rows: int | None, generator: np.random.Generator | None
) -> list[list[int]]:
    """Example numbers of each batch of one pass: every example once.

    Lengths are jittered by a tenth so that examples meet different neighbours in each epoch.

    Args:
        lengths: Tokens of each example.
        batch_tokens: Most tokens of a batch, padding included; a longer example is a batch of its own.
        batch_rows: Most examples of a batch; None means no such limit.
        generator: Shuffles; None keeps the order of length.
    """
    jitter = np.ones(len(lengths)) if generator is None else generator.uniform(0.9, 1.1, len(lengths))
    order = np.argsort(np.asarray(lengths) * jitter, kind="stable")
    plan: list[list[int]] = []
    longest = 0
    for number in order:
        longest = max(longest, lengths[number])
        if not plan or longest * (len(plan[-1]) + 1) > batch_tokens or len(plan[-1]) == batch_rows:
            plan.append([])
            longest = lengths[number]
        plan[-1].append(int(number))
    if generator is not None:
        plan = [plan[number] for number in generator.permutation(len(plan))]
    return plan
