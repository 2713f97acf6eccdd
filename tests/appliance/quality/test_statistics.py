"""Intervals and tests against scipy, published figures and simulations."""

import numpy as np
import pytest
from scipy import optimize, stats

from appliance.quality.statistics import (
    beta_quantile,
    clopper_pearson,
    clustered_wilson,
    design_effect,
    mcnemar_exact,
    tango,
    wilson,
)

COUNTS = [(0, 20), (1, 20), (20, 20), (63, 78), (480, 500), (3, 7)]


@pytest.mark.parametrize(("a", "b"), [(0.5, 3.0), (20.0, 1.0), (3.7, 412.2), (500.0, 21.0)])
def test_beta_quantile_is_scipys(a: float, b: float) -> None:
    for p in (0.025, 0.5, 0.95):
        assert beta_quantile(p, a, b) == pytest.approx(stats.beta.ppf(p, a, b), abs=1e-9)


@pytest.mark.parametrize(("successes", "n"), COUNTS)
@pytest.mark.parametrize("method", ["wilson", "exact"])
def test_share_intervals_are_scipys(successes: int, n: int, method: str) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method)
    found = wilson(successes, n) if method == "wilson" else clopper_pearson(successes, n)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(("n", "expected"), [(20, 0.861), (50, 0.942), (100, 0.970), (200, 0.985)])
def test_all_right_still_has_a_lower_bound(n: int, expected: float) -> None:
    assert clopper_pearson(n, n, 0.9).low == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("b", "c"), [(10, 7), (0, 0), (0, 6), (1, 30)])
def test_mcnemar_is_the_binomial_test(b: int, c: int) -> None:
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(expected, abs=1e-12)


def reference_score(b: int, c: int, n: int, delta: float) -> float:
    """Tango's statistic with the constrained likelihood maximised numerically instead of in closed form."""

    def negative_log_likelihood(q: float) -> float:  # q: probability that only the second is right
        shares = np.array([q + delta, q, 1 - 2 * q - delta])
        return -float(np.sum(np.array([b, c, n - b - c]) * np.log(np.maximum(shares, 1e-300))))

    low, high = max(0.0, -delta), (1 - delta) / 2
    q = optimize.minimize_scalar(
        negative_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    ).x
    return float((b - c - n * delta) / np.sqrt(n * (2 * q + delta - delta**2)))


@pytest.mark.parametrize(("b", "c", "n"), [(10, 7, 78), (2, 9, 60), (5, 1, 200), (12, 12, 90)])
def test_tango_bounds_solve_the_score_equation(b: int, c: int, n: int) -> None:
    found = tango(b, c, n, 0.9)
    z = stats.norm.ppf(0.95)
    assert reference_score(b, c, n, found.low) == pytest.approx(z, abs=1e-3)
    assert reference_score(b, c, n, found.high) == pytest.approx(-z, abs=1e-3)


def test_tango_without_discordance_is_not_certain() -> None:
    z = stats.norm.ppf(0.95)
    assert tango(0, 0, 50, 0.9).low == pytest.approx(-(z**2) / (50 + z**2), abs=1e-9)


def test_a_published_deploy_decision_is_not_decided_by_its_own_margin() -> None:
    """66 against 63 right of 78 with 10 and 7 discordant: shipped at a margin of 5 points."""
    found = tango(10, 7, 78, 0.9)
    assert found.estimate == pytest.approx(3 / 78)
    assert -0.06 < found.low < -0.04
    assert mcnemar_exact(10, 7) == pytest.approx(0.629, abs=1e-3)


def test_design_effect_of_identical_units_is_the_cluster_size() -> None:
    sums = [10.0] * 70 + [0.0] * 30
    assert design_effect(sums, [10.0] * 100, 0.21, 300) == pytest.approx(10.0, rel=0.02)


def test_design_effect_of_independent_units_is_near_one() -> None:
    sums = np.random.default_rng(0).binomial(10, 0.7, 400)
    assert design_effect(list(sums), [10.0] * 400, 0.21, 1200) == pytest.approx(1.0, abs=0.2)


def cluster_bootstrap(sums: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Percentile interval of a ratio when whole clusters are drawn again (Davison and Hinkley 1997, section 3.8)."""
    drawn = np.random.default_rng(0).integers(0, len(sums), (4000, len(sums)))
    low, high = np.quantile(sums[drawn].sum(1) / sizes[drawn].sum(1), [0.025, 0.975])
    return float(low), float(high)


@pytest.mark.parametrize("spread", [0.0, 0.15], ids=["independent", "clustered"])
def test_clustered_wilson_agrees_with_the_bootstrap(spread: float) -> None:
    generator = np.random.default_rng(1)
    sizes = generator.integers(5, 15, 400)
    shares = np.clip(0.8 + spread * generator.standard_normal(400), 0, 1)
    sums = generator.binomial(sizes, shares)
    found = clustered_wilson(list(sums), list(sizes))
    low, high = cluster_bootstrap(sums, sizes)
    assert found.estimate == pytest.approx(sums.sum() / sizes.sum())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.004)


def test_clustered_wilson_holds_its_level_with_few_clusters() -> None:
    generator = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        shares = generator.beta(9, 1, 30)
        sums = generator.binomial(10, shares)
        found = clustered_wilson(list(sums), [10] * 30)
        held += found.low <= 0.9 <= found.high
    assert held / 400 >= 0.93


def test_all_right_in_clusters_counts_documents_and_not_fields() -> None:
    found = clustered_wilson([10] * 20, [10] * 20)
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(wilson(20, 20).low, abs=1e-9)
