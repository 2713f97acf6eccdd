"""The folder of a base that a task or an option names: a path, or a name of the store."""

import os
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.settings import load_settings
from training.bases.record import verify_base
from training.bases.store import BaseStore


def base_folder(name: str, packaged: str) -> Path:
    """The folder that is meant; files of the store are compared with the hashes that were noted when they came.

    Args:
        packaged: The base that is always there, for the hint.

    Raises:
        UsageError: There is no such base on this machine, or the name means two.
        ArtifactError: A file of it is not what it was.
    """
    local_dir = Path(os.path.expanduser(name))
    stored = BaseStore(load_settings(os.environ)).find(name)
    if local_dir.is_dir():
        if stored is not None and local_dir.name == name:
            raise UsageError(
                f"{name} is a base of `stillroom bases list` and a folder here, too",
                f"write ./{name} for the folder, or start this in another place",
            )
        return local_dir
    if stored is None:
        raise UsageError(
            f"the base model {name} is not on this machine",
            f"set student.base to {packaged}, a local folder or a name of `stillroom bases list`, or fetch it with"
            f" `stillroom bases pull {name}`",
        )
    verify_base(stored.directory)
    return stored.directory
