"""A model that an unfinished job needs stays installed."""

from pathlib import Path

import pytest

from appliance.ground.errors import UsageError
from appliance.ground.settings import Settings, load_settings
from appliance.jobs.job import JobConfig
from appliance.jobs.ledger_writer import Ledger
from appliance.jobs.model_use import remove_model, unfinished_jobs_of
from appliance.jobs.states import State
from appliance.models.store import Store
from tests.appliance.batch_fixtures import job_dir_of
from tests.appliance.model_fixtures import make_artifact


@pytest.fixture
def settings(home_dir: Path) -> Settings:
    return load_settings({"STILLROOM_HOME": str(home_dir)})


@pytest.mark.parametrize(
    ("state", "refused"), [(State.PAUSED, True), (State.QUEUED, True), (State.DONE, False), (State.CANCELLED, False)]
)
def test_model_of_an_unfinished_job_is_not_removed(
    settings: Settings, tmp_path: Path, state: State, refused: bool
) -> None:
    store = Store(settings)
    installed = store.add(make_artifact(tmp_path / "a"))
    config = JobConfig(
        "orders-0123456789", "ab" * 32, "/srv/documents", str(installed.directory), installed.manifest.identity,
        installed.name, False, "all", "/srv/rows", "jsonl", 0,
    )  # fmt: skip
    directory = job_dir_of(settings, config, (installed.directory / "task.toml").read_bytes())
    ledger = Ledger(directory, config.id, "orders", "orders", config.model)
    if state is not State.QUEUED:
        ledger.end_run(state)
    ledger.close()
    if refused:
        with pytest.raises(UsageError, match="used by 1 unfinished job: orders-0123456789") as refusal:
            remove_model(settings, "a")
        assert "stillroom jobs cancel orders-0123456789" in refusal.value.hint
        assert unfinished_jobs_of(settings, "a") == ["orders-0123456789"]
    else:
        remove_model(settings, "a")
    assert [model.name for model in store.list()] == (["a"] if refused else [])
