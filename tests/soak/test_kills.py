"""Kills at random moments; `make soak` does many more of them over longer jobs."""

from pathlib import Path

import pytest

from tests.soak.killing import Campaign, run_campaign
from tests.soak.soundness import undisturbed

SEED = 20261125


@pytest.mark.slow
def test_job_survives_kills_of_supervisor_reader_and_engine(tmp_path: Path) -> None:
    campaign = Campaign(documents=60, kills=3, kills_per_job=3, window=0.9, seed=SEED)
    tally = run_campaign(campaign, tmp_path, undisturbed(tmp_path / "undisturbed", campaign.documents))
    assert sum(tally.kills.values()) == 3


@pytest.mark.slow
def test_twenty_kills_over_jobs_of_two_hundred_documents(tmp_path: Path) -> None:
    campaign = Campaign(documents=200, kills=20, kills_per_job=7, window=0.7, seed=SEED)
    tally = run_campaign(campaign, tmp_path, undisturbed(tmp_path / "undisturbed", campaign.documents))
    assert sum(tally.kills.values()) == 20
    assert len(tally.kills) == 3
