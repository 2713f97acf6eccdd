"""Frontiers as sides, and whether a dearer tier pays."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from appliance.comparison.figures import ComparisonFigures, PairFigures, Right, SideFigures
from appliance.comparison.tiers import tier_verdicts
from appliance.quality.figure import Figure
from benchmarks.recorded_frontier import RecordedFrontier
from tests.appliance.comparison.conftest import Pair
from tests.appliance.frontier_fixtures import FrontierBench


def figure(value: float, half: float = 0.0, n: int = 300) -> Figure:
    return Figure(value, value - half, value + half, n)


def side(effort: str, money: float, seconds: float) -> SideFigures:
    same, none = figure(1.0), figure(0.0)
    return SideFigures(
        "gpt", "frontier", effort, effort, 300, {}, same, same, same, figure(seconds), figure(seconds), same, same,
        none, figure(money), "USD",
    )  # fmt: skip


def compared(gain: Figure | None, extra: float) -> ComparisonFigures:
    """Effort off and high; the pair's figures are first minus second."""
    turned = None if gain is None else Figure(-gain.value, -(gain.high or 0), -(gain.low or 0), gain.n)
    right = Right("gold", turned, turned) if turned else Right()
    pair = PairFigures("off", "high", figure(0.9), figure(0.9), 30, right, (), figure(-extra), figure(0.0))
    sides = (side("off", 2.0, 0.5), side("high", 2.0 + extra, 15.0))
    return ComparisonFigures("id", "task", 300, 0, 300, 0.02, sides, (pair,))


def test_a_gain_that_may_be_none_is_not_worth_it() -> None:
    found = compared(Figure(0.02, -0.004, 0.044, 300), 18.0)
    assert tier_verdicts(found, None) == (
        "effort high: +2.0 points (-0.4 to +4.4), +900 % cost, 30x latency on 300 documents:"
        " not worth it: it may be no better at all",
    )


@pytest.mark.parametrize(
    ("worth", "said"),
    [
        (None, "better; each further right document costs 0.36 USD"),
        (10.0, "worth it: each further right document costs 0.36 USD and is worth 10"),
        (0.4, "not worth it for certain: each further right document costs 0.36 USD and is worth 0.4, but"),
        (0.3, "not worth it: each further right document costs 0.36 USD and is worth only 0.3"),
    ],
)
def test_a_certain_gain_is_weighed_against_its_price(worth: float | None, said: str) -> None:
    (verdict,) = tier_verdicts(compared(Figure(0.05, 0.02, 0.08, 300), 18.0), worth)
    assert said in verdict


def test_a_better_tier_that_costs_no_more_is_worth_it() -> None:
    (verdict,) = tier_verdicts(compared(Figure(0.05, 0.02, 0.08, 300), 0.0), None)
    assert verdict.endswith("worth it: better, and no more expensive")


def test_without_right_answers_nothing_is_claimed() -> None:
    (verdict,) = tier_verdicts(compared(None, 18.0), None)
    assert verdict.endswith("nobody can say whether it is better")


def test_a_price_from_nothing_is_told_as_money() -> None:
    found = compared(Figure(0.05, 0.02, 0.08, 300), 18.0)
    free = replace(found, sides=(side("off", 0.0, 0.5), found.sides[1]))
    assert "+20 USD per 1,000 documents" in tier_verdicts(free, None)[0]


@pytest.fixture
def frontier(pair: Pair) -> Iterator[FrontierBench]:
    """A frontier that answers orders rightly, and a policy that lets them go to it."""
    bench = pair.bench
    text = bench.task_path.read_text()
    bench.task_path.write_text(text.replace("instruction", 'data_class = "internal"\ninstruction', 1))
    with RecordedFrontier({}) as server:
        server.behaviour.reasoning_tokens = 7
        server.behaviour.unknown = {"number": "N0", "total": "12.50"}
        found = FrontierBench(bench.home_dir, server)
        found.configure()
        found.allow()
        yield found


def compare(pair: Pair, *options: str) -> tuple[int, dict[str, object], str]:
    bench = pair.bench
    done = bench.call("compare", str(bench.task_path), str(bench.documents_dir), "--json", *options)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


@pytest.mark.slow
def test_a_local_model_is_compared_with_a_frontier(pair: Pair, frontier: FrontierBench) -> None:
    gold_path = pair.write_orders(6, misread=0, gold=6)
    options = ("--model", str(pair.bench.artifact_dir), "--frontier", "recorded", "--labels", str(gold_path))
    code, found, stderr = compare(pair, *options)
    assert code == 0, stderr
    local, remote = found["sides"]  # type: ignore[misc]
    assert (local["document_accuracy"]["value"], remote["document_accuracy"]["value"]) == (1.0, pytest.approx(1 / 6))
    assert remote["reasoning_tokens"]["value"] == 7
    assert remote["money_per_1000"]["value"] > 0
    assert local["money_per_1000"]["value"] == 0
    compare(pair, *options)
    assert len(frontier.frontier.requests) == 6, "what was answered is not paid for again"


@pytest.mark.slow
def test_a_dry_run_prints_what_the_comparison_then_sends(pair: Pair, frontier: FrontierBench) -> None:
    pair.write_orders(4, misread=0)
    options = ("--model", str(pair.bench.artifact_dir), "--frontier", "recorded:high", "--sample", "2")
    arguments = ("compare", str(pair.bench.task_path), str(pair.bench.documents_dir), *options)
    snapshot = pair.bench.call(*arguments, "--dry-run")
    assert snapshot.returncode == 0, snapshot.stderr
    assert "2 documents with" in snapshot.stderr
    assert not frontier.frontier.requests
    code, _, stderr = compare(pair, *options)
    assert code == 0, stderr
    sent = [json.dumps(seen.values, sort_keys=True) for seen in frontier.frontier.requests]
    assert sorted(sent) == sorted(json.dumps(json.loads(line), sort_keys=True) for line in snapshot.stdout.splitlines())


@pytest.mark.slow
def test_a_cap_ends_clearly_and_the_next_run_sends_only_the_rest(pair: Pair, frontier: FrontierBench) -> None:
    pair.write_orders(5, misread=0)
    options = ("--model", str(pair.bench.artifact_dir), "--frontier", "recorded")
    code, found, stderr = compare(pair, *options, "--cap-documents", "2")
    assert code == 3
    assert "cap is reached (2 documents)" in stderr
    assert found["sides"][1]["answered"] == 2  # type: ignore[index]
    assert found["sides"][1]["failed"] == {}  # type: ignore[index]
    code, found, stderr = compare(pair, *options)
    assert code == 0, stderr
    assert found["sides"][1]["answered"] == 5  # type: ignore[index]
    assert len(frontier.frontier.requests) == 5


@pytest.mark.slow
def test_tiers_ask_the_same_frontier_with_each_effort(pair: Pair, frontier: FrontierBench) -> None:
    gold_path = pair.write_orders(3, misread=0, gold=3)
    code, found, stderr = compare(
        pair, "--frontier", "recorded", "--tier", "off", "--tier", "high", "--labels", str(gold_path)
    )
    assert code == 0, stderr
    efforts = [seen.values.get("reasoning_effort") for seen in frontier.frontier.requests]
    assert efforts == [None] * 3 + ["high"] * 3
    (said,) = found["tiers"]  # type: ignore[misc]
    assert said.startswith("effort high: +0.0 points")
    assert "not worth it" in said


def test_without_a_policy_no_comparison_sends_anything(pair: Pair, frontier: FrontierBench) -> None:
    pair.write_orders(2, misread=0)
    frontier.policy_path.unlink()
    code, _, stderr = compare(pair, "--model", str(pair.bench.artifact_dir), "--frontier", "recorded")
    assert code == 2
    assert "it has no egress policy" in stderr
    assert frontier.frontier.requests == []
