"""A job whose rows a comparison needs cannot be removed."""

import pytest

from appliance.ground.errors import UsageError
from appliance.jobs.control import remove_job
from appliance.jobs.job import job_dirs
from appliance.jobs.needs import add_need, drop_need
from tests.appliance.batch_fixtures import Bench


def test_a_needed_job_is_not_removed_until_nobody_needs_it(bench: Bench) -> None:
    bench.write_orders(1)
    assert bench.run().returncode == 0
    (directory,) = job_dirs(bench.settings)
    comparisons = [bench.home_dir / "comparisons" / name for name in ("first", "second")]
    for comparison_dir in comparisons:
        comparison_dir.mkdir(parents=True)
        add_need(directory, comparison_dir)
    done = bench.call("jobs", "remove", directory.name, "--yes")
    assert done.returncode == 2
    assert "comparison first needs the rows" in done.stderr
    drop_need(directory, comparisons[0])
    with pytest.raises(UsageError, match="comparison second"):
        remove_job(bench.settings, directory.name)
    comparisons[1].rmdir()
    remove_job(bench.settings, directory.name)
    assert job_dirs(bench.settings) == []
