"""Paired statistics against scipy, statsmodels' published procedures by hand, and simulations."""

import math

import numpy as np
import pytest
from scipy import stats

from appliance.quality.paired import bootstrap_ratio, holm, paired_shares, quantile_interval
from appliance.quality.statistics import tango


def test_documents_of_one_unit_give_tangos_interval_and_the_exact_test() -> None:
    pairs = [[(True, False)]] * 10 + [[(False, True)]] * 3 + [[(True, True)]] * 60 + [[(False, False)]] * 7
    found = paired_shares(pairs)
    expected = tango(10, 3, 80)
    assert (found.difference.low, found.difference.high) == pytest.approx((expected.low, expected.high))
    assert found.p == pytest.approx(stats.binomtest(3, 13).pvalue)
    assert (found.table.both, found.table.only_first, found.table.only_second, found.table.neither) == (60, 10, 3, 7)


def test_units_that_fall_together_widen_the_interval() -> None:
    apart = paired_shares([[(True, number % 5 > 0)] for number in range(200)])
    together = paired_shares([[(True, number % 5 > 0)] * 10 for number in range(20)])
    assert together.table.units == apart.table.units
    assert together.effect > 5 > apart.effect
    width = [found.difference.high - found.difference.low for found in (apart, together)]
    assert width[1] > 1.8 * width[0]


def test_no_unit_says_nothing() -> None:
    found = paired_shares([])
    assert (found.difference.low, found.difference.high, found.p) == (-1.0, 1.0, 1.0)


def test_holm_is_the_step_down_procedure() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )


def test_holm_never_goes_above_one() -> None:
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_bootstrap_of_a_mean_is_scipys_bca() -> None:
    values = np.random.default_rng(3).exponential(2.0, 60)
    found = bootstrap_ratio(list(values), [1.0] * 60)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    # Two draws of 10,000 and 20,000 differ by about a hundredth of the width.
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.04 * width)
    assert found.high == pytest.approx(expected.high, abs=0.04 * width)


def test_bootstrap_of_a_ratio_holds_its_level() -> None:
    """Documents of unequal size: 95 % of the intervals hold the true ratio, less three standard errors of 120 draws."""
    generator = np.random.default_rng(11)
    held = 0
    for trial in range(120):
        sizes = generator.integers(1, 6, 80)
        rate = generator.beta(2, 2, 80)
        found = bootstrap_ratio(list(generator.binomial(sizes, rate)), list(sizes), seed=trial)
        held += found.low <= 0.5 <= found.high
    assert held / 120 > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 120)


def test_large_samples_use_the_normal_interval() -> None:
    values = np.random.default_rng(5).exponential(1.0, 8000)
    found = bootstrap_ratio(list(values), [1.0] * 8000)
    half = 1.96 * values.std(ddof=1) / math.sqrt(8000)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=1e-4)


@pytest.mark.parametrize(("values", "bounds"), [([], (-math.inf, math.inf)), ([4.0], (-math.inf, math.inf))])
def test_too_few_documents_have_no_bounds(values: list[float], bounds: tuple[float, float]) -> None:
    found = bootstrap_ratio(values, [1.0] * len(values))
    assert (found.low, found.high) == bounds


def test_equal_values_have_no_spread() -> None:
    found = bootstrap_ratio([2.0] * 30, [1.0] * 30)
    assert (found.low, found.estimate, found.high) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_quantile_interval_is_scipys(share: float) -> None:
    values = np.random.default_rng(2).lognormal(0, 1, 200)
    expected = stats.quantile_test(values, p=share).confidence_interval(0.95)
    found = quantile_interval(list(values), share)
    # The estimate is numpy's interpolated one; the bounds are order statistics as in scipy.
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_high_quantile_of_few_values_is_open_above() -> None:
    found = quantile_interval([float(number) for number in range(20)], 0.95)
    assert math.isinf(found.high)
    assert math.isfinite(found.low)
