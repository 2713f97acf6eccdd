"""A comparison is the rows of jobs: its own ones, and those that a person's jobs have already."""

import json
from pathlib import Path

import pytest

from appliance.comparison.folder import comparison_dirs, read_comparison
from appliance.comparison.view import list_comparisons, open_comparison
from appliance.ground.errors import ApplianceError
from appliance.jobs.control import remove_job
from appliance.jobs.job import job_dirs
from appliance.jobs.ledger import list_jobs, open_readonly
from appliance.jobs.states import State
from appliance.quality.judgements import Choice
from tests.appliance.comparison.conftest import Pair


def compare(pair: Pair, *options: str) -> dict[str, object]:
    done = pair.bench.call(*pair.arguments("--json", *options))
    assert done.returncode == 0, done.stderr
    figures: dict[str, object] = json.loads(done.stdout)
    return figures


def jobs_of(pair: Pair) -> list[str]:
    """The jobs of the sides of the only comparison."""
    (directory,) = comparison_dirs(pair.bench.settings)
    return [side.job for side in read_comparison(directory).sides]


def test_the_jobs_of_a_comparison_are_jobs_like_others(pair: Pair) -> None:
    pair.write_orders(5, misread=1)
    compare(pair, "--sample", "3")
    summaries = {summary.id: summary for summary in list_jobs(pair.bench.settings)}
    assert set(summaries) == set(jobs_of(pair))
    assert [(summary.state, summary.total) for summary in summaries.values()] == [(State.DONE, 3)] * 2


def test_rows_of_a_finished_job_are_taken_and_not_computed_again(pair: Pair) -> None:
    pair.write_orders(6, misread=2)
    pair.bench.write("empty.txt", " ")
    assert pair.bench.run().returncode == 3
    (job_dir,) = job_dirs(pair.bench.settings)
    with open_readonly(job_dir) as reader:
        rows = reader.written_rows()
    figures = compare(pair)
    assert jobs_of(pair)[0] == job_dir.name
    assert len(job_dirs(pair.bench.settings)) == 2, "the second side alone has a job of its own"
    with open_readonly(job_dir) as reader:
        assert reader.written_rows() == rows
    assert (figures["documents"], figures["unreadable"]) == (6, 1)
    assert figures["pairs"][0]["differing"] == 2  # type: ignore[index]
    assert figures["sides"][0]["documents_per_second"]["n"] == 6  # type: ignore[index]


@pytest.mark.slow
def test_a_job_about_other_bytes_or_without_texts_is_not_taken(pair: Pair) -> None:
    pair.write_orders(3, misread=0)
    assert pair.bench.run("--keep-text", "none").returncode == 0
    (job_dir,) = job_dirs(pair.bench.settings)
    compare(pair)
    assert job_dir.name not in jobs_of(pair), "the screens would have no text to show"
    pair.bench.write("002.txt", "another order\nnumber: 9\ntotal: 1\n")
    figures = compare(pair, "--keep-text", "none")
    with open_comparison(pair.bench.settings, str(figures["id"])) as view:
        assert job_dir.name not in [side.job for side in view.config.sides]


@pytest.mark.slow
def test_removing_takes_own_jobs_and_leaves_a_persons(pair: Pair) -> None:
    pair.write_orders(3, misread=1)
    assert pair.bench.run().returncode == 0
    (of_person,) = job_dirs(pair.bench.settings)
    identifier = str(compare(pair)["id"])
    for job in jobs_of(pair):
        refused = pair.bench.call("jobs", "remove", job, "--yes")
        assert refused.returncode == 2
        assert f"comparison {identifier} needs the rows of job {job}" in refused.stderr
    assert pair.bench.call("comparisons", "remove", identifier, "--yes").returncode == 0
    assert job_dirs(pair.bench.settings) == [of_person]
    remove_job(pair.bench.settings, of_person.name)


@pytest.mark.slow
def test_two_comparisons_share_a_job_until_the_last_one_goes(pair: Pair) -> None:
    gold_path = pair.write_orders(3, misread=1, gold=3)
    first = str(compare(pair)["id"])
    second = str(compare(pair, "--labels", str(gold_path))["id"])
    assert first != second
    assert len(job_dirs(pair.bench.settings)) == 2
    assert pair.bench.call("comparisons", "remove", first, "--yes").returncode == 0
    with open_comparison(pair.bench.settings, second) as view:
        assert view.figures().pairs[0].differing == 1
    assert pair.bench.call("comparisons", "remove", second, "--yes").returncode == 0
    assert job_dirs(pair.bench.settings) == []


@pytest.mark.slow
def test_a_comparison_says_that_its_job_was_removed_by_hand(pair: Pair) -> None:
    pair.write_orders(2, misread=1)
    identifier = str(compare(pair)["id"])
    (pair.bench.settings.jobs_dir / jobs_of(pair)[1] / "job.toml").unlink()
    (summary,) = list_comparisons(pair.bench.settings)
    assert summary.state is State.FAILED
    assert "was removed" in summary.message
    assert pair.bench.call("comparisons", "remove", identifier, "--yes").returncode == 0


@pytest.mark.slow
def test_a_file_that_changed_between_the_sides_is_a_failure_of_the_later_one(pair: Pair) -> None:
    pair.write_orders(3, misread=0)
    identifier = str(compare(pair)["id"])
    first, second = jobs_of(pair)
    pair.bench.write("001.txt", "another order\nnumber: 9\ntotal: 1\n")
    assert pair.bench.call("jobs", "resume", second).returncode == 0
    with open_comparison(pair.bench.settings, identifier) as view:
        sides = view.figures().sides
        assert (sides[0].failed, sides[1].failed) == ({}, {"other_bytes": 1})
        (document,) = view.differing(0, 5)
        assert document.name == "001.txt"
        view.store(document.path, Choice.A)
        assert set(view.judged()) == {b"001.txt"}
    assert pair.bench.call("jobs", "resume", first).returncode == 0
    with open_comparison(pair.bench.settings, identifier) as view:
        assert view.figures().pairs[0].differing == 0
        assert view.judged() == {}, "the judgement is about bytes that no row is about any more"
        assert len(view.judgements()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("with_judgements", [False, True])
def test_a_comparison_of_an_earlier_version_is_named_with_where_its_judgements_are(
    pair: Pair, with_judgements: bool
) -> None:
    pair.write_orders(1, misread=0)
    identifier = str(compare(pair)["id"])
    directory = pair.bench.home_dir / "comparisons" / identifier
    (directory / "comparison.json").write_text('{"version": 1, "id": "old"}')
    if with_judgements:
        (directory / "judgements.db").write_bytes(b"")
    with pytest.raises(ApplianceError, match="made by an earlier version") as refusal:
        open_comparison(pair.bench.settings, identifier)
    assert (f"its answers and its judgements lie in {directory}" in refusal.value.message) == with_judgements
    assert "compare again" in refusal.value.hint
    assert pair.bench.call("comparisons", "remove", identifier, "--yes").returncode == 0


def test_a_damaged_cache_of_differences_is_made_anew(pair: Pair) -> None:
    pair.write_orders(4, misread=2)
    identifier = str(compare(pair)["id"])
    path: Path = pair.bench.home_dir / "comparisons" / identifier / "differences.db"
    path.write_bytes(b"this is no database " * 50)
    with open_comparison(pair.bench.settings, identifier) as view:
        assert view.count_differing() == 2
    assert path.read_bytes().startswith(b"SQLite format 3")
