"""A folder that changes while a job works on it; `make soak` does many more of them."""

from pathlib import Path

import pytest

from tests.soak.folder_faults import FolderCampaign, run_folder_campaign
from tests.soak.soundness import undisturbed

SEED = 20261129


@pytest.mark.slow
def test_folder_that_changes_under_a_job_loses_nothing_and_leads_nowhere(tmp_path: Path) -> None:
    campaign = FolderCampaign(documents=60, jobs=2, faults_per_job=25, seed=SEED)
    changes = run_folder_campaign(campaign, tmp_path, undisturbed(tmp_path / "undisturbed", campaign.documents))
    assert sum(changes.values()) == 50
    assert len(changes) == 6
