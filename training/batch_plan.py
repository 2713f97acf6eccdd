"""Which examples make a step: packed one behind the other, or similar lengths together, so that little is padding."""

from collections.abc import Callable, Sequence

import numpy as np

OPEN_PACKS = 16
"""Packs that a further example may still go into; more would fill them no better."""


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


def packed_plan(
    lengths: Sequence[int], batch_tokens: int, batch_rows: int | None, generator: np.random.Generator | None
) -> list[list[int]]:
    """Example numbers of each batch of one pass where examples lie one behind the other: every example once.

    Args:
        lengths: Tokens of each example.
        batch_tokens: Most tokens of a batch; a longer example is a batch of its own.
        batch_rows: Most examples of a batch; None means no such limit.
        generator: Shuffles; None keeps the order where it can.
    """
    order = range(len(lengths)) if generator is None else generator.permutation(len(lengths)).tolist()
    plan: list[list[int]] = []
    tokens: list[int] = []
    open_packs: list[int] = []
    for number in order:
        pack = next((pack for pack in open_packs if tokens[pack] + lengths[number] <= batch_tokens), None)
        if pack is None:
            pack = len(plan)
            plan.append([])
            tokens.append(0)
            open_packs = [*open_packs[-OPEN_PACKS + 1 :], pack]
        plan[pack].append(number)
        tokens[pack] += lengths[number]
        if len(plan[pack]) == batch_rows:
            open_packs.remove(pack)
    if generator is not None:
        plan = [plan[number] for number in generator.permutation(len(plan))]
    return plan


def split_packed(lengths: Sequence[int], pass_tokens: int) -> list[list[int]]:
    """The passes of a step whose examples lie one behind the other: places in the step, in their order.

    Args:
        lengths: Tokens of each example of the step.
        pass_tokens: Most tokens of a pass; a longer example is a pass of its own.
    """
    return _split(lengths, pass_tokens, lambda places: sum(lengths[place] for place in places))


def split_padded(lengths: Sequence[int], pass_tokens: int) -> list[list[int]]:
    """The same for a step whose examples are padded to the longest of their pass."""
    return _split(lengths, pass_tokens, lambda places: len(places) * max(lengths[place] for place in places))


def _split(lengths: Sequence[int], pass_tokens: int, tokens_of: Callable[[list[int]], int]) -> list[list[int]]:
    passes: list[list[int]] = []
    for place in range(len(lengths)):
        if passes and tokens_of([*passes[-1], place]) <= pass_tokens:
            passes[-1].append(place)
        else:
            passes.append([place])
    return passes
