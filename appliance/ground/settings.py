"""Where things are and how much of the machine is used: environment, `config.toml` of the home folder, defaults."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.processor import MOST_THREADS
from appliance.ground.toml_text import parse_toml
from appliance.ground.users import current_user, owner_of

HOME_VARIABLE = "STILLROOM_HOME"
THREADS_VARIABLE = "STILLROOM_THREADS"
CONFIG_NAME = "config.toml"


class SandboxPolicy(StrEnum):
    """What to do where a required part of the sandbox cannot be had."""

    REQUIRED = "required"
    BEST_EFFORT = "best-effort"


@dataclass(frozen=True)
class Settings:
    """Resolved once by a command and passed down."""

    home_dir: Path
    """Holds all state; only its owner can enter it."""
    models_dir: Path
    bases_dir: Path
    """Base models that were fetched from a hub."""
    jobs_dir: Path
    log_path: Path
    """Where tracebacks go that no screen shows."""
    threads: int
    """Threads of an engine; by default the processors that this process may use."""
    sandbox: SandboxPolicy = SandboxPolicy.REQUIRED
    """Whether documents are read where the sandbox lacks a part that it needs."""
    names_threads: bool = False
    """Whether environment or `config.toml` say how many threads; else libraries that have a default keep theirs."""


def home_dir(environ: Mapping[str, str]) -> Path:
    """The home folder that the environment names, or the default; it need not exist."""
    if directory := environ.get(HOME_VARIABLE):
        # Path.expanduser would raise where the system knows no such user.
        return Path(os.path.expanduser(directory)).absolute()
    data_dir = environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(data_dir).absolute() / "stillroom"


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Resolves the settings: environment before `config.toml` before defaults; makes the home folder.

    Raises:
        UsageError: A setting is invalid.
        ResourceError: The home folder cannot be made.
    """
    home = home_dir(environ)
    _check_name(home, environ.get(HOME_VARIABLE, "").partition("/")[0])
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"cannot make the home folder {home}: {error.strerror}", f"set {HOME_VARIABLE} to a folder of your own"
        ) from error
    if not os.access(home, os.R_OK | os.X_OK):
        raise _others_home(home)
    threads, sandbox = _read_config(home / CONFIG_NAME)
    if number := environ.get(THREADS_VARIABLE):
        if not number.isdecimal() or len(number) > 9 or not 1 <= int(number) <= MOST_THREADS:
            raise UsageError(f"{THREADS_VARIABLE} is {number!r}, not a number of threads", f"{THREADS_VARIABLE}=2")
        threads = int(number)
    return Settings(
        home,
        home / "models",
        home / "bases",
        home / "jobs",
        home / "stillroom.log",
        threads or min(len(os.sched_getaffinity(0)), MOST_THREADS),
        sandbox,
        threads > 0,
    )


def _check_name(home: Path, head: str) -> None:
    """Refuses what is no place for a home folder.

    Args:
        head: The first part of what the environment names, such as `~` or `~alice`.
    """
    if "~" in home.parts:
        raise UsageError("this user has no home folder", f"set {HOME_VARIABLE} to a folder of its own")
    if head.startswith("~") and head in home.parts:
        raise UsageError(
            f"{HOME_VARIABLE} names the home folder of {head[1:]}, and there is no such user",
            f"set {HOME_VARIABLE} to a folder",
        )
    try:
        str(home).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the name of the home folder {home} is not UTF-8", f"set {HOME_VARIABLE} to another"
        ) from error


def _others_home(home: Path) -> UsageError:
    owner = owner_of(home)
    return UsageError(
        f"you are {current_user()}; the installation in {home} belongs to {owner}",
        f"use `sudo -u {owner} stillroom ...`, or set {HOME_VARIABLE} to a folder of your own",
    )


def _read_config(path: Path) -> tuple[int, SandboxPolicy]:
    """The number of threads in `config.toml`, 0 where it names none, and what it says about the sandbox."""
    try:
        values = parse_toml(path.read_bytes())
    except FileNotFoundError:
        return 0, SandboxPolicy.REQUIRED
    except PermissionError as error:
        raise _others_home(path.parent) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "correct the file, or remove it") from error
    from appliance.ground.config_table import ConfigTable
    from appliance.ground.tables import check_table

    table = check_table(ConfigTable, values, str(path))
    return table.threads or 0, SandboxPolicy(table.sandbox)
