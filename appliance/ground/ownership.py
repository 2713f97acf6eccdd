"""Why a file may not be touched where it belongs to another user: one installation, two people, or a run under sudo."""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from appliance.ground.settings import HOME_VARIABLE, home_dir
from appliance.ground.users import current_user, owner_of


def ownership_hint(error: BaseException, environ: Mapping[str, str]) -> str:
    """Names the cause and what to do, where this user was refused what belongs to another one; else nothing.

    Args:
        environ: Says where the home folder is.
    """
    home = home_dir(environ)
    for path in _refused_paths(error, home):
        place = _existing(path)
        if _is_mine(place):
            continue
        user, owner = current_user(), owner_of(place)
        if not place.is_relative_to(home):
            return f"you are {user}; {place} belongs to {owner}: name a place of your own, or run it as {owner}"
        if _is_mine(home):
            return f"{place} belongs to {owner}, as after `sudo`: `sudo chown -R {user} {home}` gives it to you"
        return (
            f"you are {user}; the installation in {home} belongs to {owner}:"
            f" use `sudo -u {owner} stillroom ...`, or set {HOME_VARIABLE} to a folder of your own"
        )
    return ""


def _refused_paths(error: BaseException, home: Path) -> Iterator[Path]:
    """What this process was not let at, by the errors that led to this one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PermissionError) and isinstance(cause.filename, str | bytes):
            path = Path(os.fsdecode(cause.filename))
            if path.is_absolute():
                yield path
        elif isinstance(cause, sqlite3.OperationalError) and _is_refusal(str(cause)):
            yield home  # SQLite does not say which file it is about.
        cause = cause.__cause__ or cause.__context__


def _is_refusal(message: str) -> bool:
    return any(words in message for words in ("unable to open", "readonly", "Permission denied", "access permission"))


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that can be seen."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def _is_mine(path: Path) -> bool:
    """Whether it is this user's; for root nothing is another's."""
    try:
        return os.geteuid() in (0, path.lstat().st_uid)
    except OSError:
        return False
