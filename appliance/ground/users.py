"""Who works here, for records that say who did something."""

import os
import pwd
from pathlib import Path


def current_user() -> str:
    """The name of the user that this process belongs to, as the system knows it; the environment is not asked."""
    return _name_of(os.getuid())


def owner_of(path: Path) -> str:
    """The name of the user whom a file or folder belongs to; root where not even that can be seen."""
    try:
        return _name_of(path.stat().st_uid)
    except OSError:
        return _name_of(0)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
