"""Learning curves, break-even and tiers: hand-computed cases, and curves that are known."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from decoder_fixtures import TASK, cli, order_row, write_rows

from appliance.ground.errors import UsageError
from appliance.tasks.folder import TaskFolder
from training.forecast.curve import Measured, fit_curve
from training.forecast.economics import Costs, Tier, break_even, tier_lines
from training.forecast.measure import measure, points_of_file, subset

SIZES = (100, 200, 400, 800)


def measured(noise: float = 0.0, seed: int = 0) -> list[Measured]:
    """err = 0.05 + 2 n^-0.6"""
    generator = np.random.default_rng(seed)
    return [
        Measured(size, float(0.05 + 2 * size**-0.6 + generator.normal(0, noise)) if noise else 0.05 + 2 * size**-0.6)
        for size in SIZES
        for _ in range(3)
    ]


def test_a_curve_without_noise_is_found_again() -> None:
    curve = fit_curve(measured())
    assert curve is not None
    assert curve.exponent == pytest.approx(0.6, abs=0.03)
    assert curve.floor == pytest.approx(0.05, abs=0.01)
    assert curve.error(1600).estimate == pytest.approx(0.05 + 2 * 1600**-0.6, abs=0.002)
    assert curve.gain(800, 800).estimate == pytest.approx(2 * (800**-0.6 - 1600**-0.6), abs=0.002)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(40):
        curve = fit_curve(measured(0.006, seed), seed)
        assert curve is not None
        gain = curve.gain(800, 800)
        held += gain.low <= 2 * (800**-0.6 - 1600**-0.6) <= gain.high
    assert held >= 34


def test_rows_until_an_error_have_no_end_below_the_floor() -> None:
    curve = fit_curve(measured())
    assert curve is not None
    expected, fewest, most = curve.rows_for(0.08)
    assert expected == pytest.approx((2 / 0.03) ** (1 / 0.6), rel=0.3)
    assert fewest is not None
    assert curve.rows_for(0.0)[0] is None
    assert most is None or most >= expected  # type: ignore[operator]


def test_rows_that_teach_nothing_are_told_as_such() -> None:
    curve = fit_curve([Measured(size, 0.3) for size in SIZES for _ in range(3)])
    assert curve is not None
    assert curve.gain(800, 800).estimate == pytest.approx(0.0, abs=1e-9)
    assert fit_curve([Measured(100, 0.3), Measured(200, 0.2)]) is None


def test_a_hospital_that_paid_fifty_thousand_pays_five() -> None:
    """10,000 documents a day; 50,000 a year to a frontier, 5,000 a year for a student of one's own."""
    price = 50_000 / 365 / 10_000
    even = break_even(Costs(10_000, price, making=3_750, running_a_year=5_000))
    assert even.frontier_a_year == pytest.approx(50_000)
    assert even.student_a_year == 5_000
    assert even.saved_a_month == pytest.approx(3_750)
    assert even.months == pytest.approx(1.0)
    assert even.documents_a_month == pytest.approx(5_000 / 12 / price)
    escalated = break_even(Costs(10_000, price, running_a_year=5_000, escalated=0.1))
    assert escalated.student_a_year == pytest.approx(10_000)
    assert break_even(Costs(10, price, making=1, running_a_year=5_000)).months is None


def test_two_points_for_ten_times_the_price_are_not_worth_it() -> None:
    """The reasoning tier of the lesson: +2 points, +900 %, 400 ms to 12 s."""
    tiers = [Tier("plain", 0.93, 1.37, 0.4), Tier("reasoning", 0.95, 13.7, 12.0)]
    (line,) = tier_lines(tiers, "EUR")
    assert line.startswith("reasoning: +2.0 points, +900 % cost, 30 times the latency: not worth it")
    assert "not worth it" not in tier_lines(tiers, "EUR", worth=1.0)[0]
    assert "no better" in tier_lines([tiers[0], Tier("b", 0.9, 2, 1)], "EUR")[0]
    assert "no more expensive" in tier_lines([tiers[0], Tier("b", 0.95, 1, 1)], "EUR")[0]


def test_smaller_parts_lie_in_larger_ones() -> None:
    rows = [order_row(number) for number in range(80)]
    parts = [subset(rows, share, 1) for share in (0.125, 0.25, 0.5, 1.0)]
    assert [len(part) for part in parts] == [10, 20, 40, 80]
    for small, large in pairwise(parts):
        assert {row.document for row in small} <= {row.document for row in large}
    assert {row.document for row in subset(rows, 0.125, 2)} != {row.document for row in parts[0]}


def test_the_command_plans_from_points_and_costs(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(TASK.format(base="stillroom-base"))
    points = tmp_path / "points.jsonl"
    points.write_text("".join(json.dumps({"rows": p.rows, "error": p.error}) + "\n" for p in measured()))
    done = cli(
        "plan", tmp_path, "--points", points, "--answer-price", "0.002", "--currency", "EUR", "--documents-per-day",
        "10000", "--frontier-year", "50000", "--running-year", "5000", "--tier", "plain:0.93:1.37:0.4",
        "--tier", "reasoning:0.95:13.7:12",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "doubling    800 more rows: 1.2 points" in done.stdout
    assert "about 1.6 EUR" in done.stdout
    assert "a year      50,000 EUR with the frontier, 5,000 EUR with the student" in done.stdout
    assert "not worth it" in done.stdout
    assert "required" not in done.stdout, "the task names no accuracy"
    with (tmp_path / "task.toml").open("a") as task:
        task.write("\n[readiness]\nrequired = 0.92\n")
    record = json.loads(cli("plan", tmp_path, "--points", points, "--json").stdout)
    assert record["required"]["rows"] == pytest.approx((2 / 0.03) ** (1 / 0.6), rel=0.3)
    assert "required    92.0 % right: about 1," in cli("plan", tmp_path, "--points", points).stdout
    assert record["doubling"]["gain"]["low"] <= record["doubling"]["gain"]["estimate"]
    for tier in ("nonsense", "a:nan:1:1", "a:93:1:1", "a:0.9:-1:1"):
        refused = cli("plan", tmp_path, "--tier", tier, "--tier", "b:0.9:1:1")
        assert refused.returncode == 2
        assert "NAME:RIGHT:MONEY:SECONDS" in refused.stderr


def test_bad_points_and_few_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    for line in (b'{"rows": 5}', b'{"rows": 0, "error": 0.5}', b'{"rows": 5, "error": 50}', b"\xff"):
        path.write_bytes(line + b"\n")
        with pytest.raises(UsageError, match=r"points\.jsonl:1"):
            points_of_file(path)
    folder = TaskFolder(tmp_path)
    for name in ("train", "validation"):
        write_rows(folder.split_path(name), [order_row(number) for number in range(30)])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="too few for a curve"):
        measure(folder)
