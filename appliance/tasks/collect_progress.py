"""How far the collecting of a teacher's answers is: a small file beside the answers, for whoever wants to look."""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.files import write_file
from appliance.ground.json_text import json_text
from appliance.ground.processes import is_alive, process_identity

PROGRESS_VERSION = 1


@dataclass(frozen=True)
class CollectProgress:
    """One call, at work or ended."""

    teacher: str
    documents: int
    known: int = 0
    """Answered before this call."""
    answered: int = 0
    cached: int = 0
    """Of these: paid for before."""
    failed: dict[str, int] = field(default_factory=dict)
    """Error class -> documents."""
    left: int = 0
    last_failure: str = ""
    money: float = 0.0
    expected_money: float | None = None
    currency: str = ""
    seconds_left: float | None = None
    ended: str = ""
    """What ended the sending."""
    is_finished: bool = False
    process: str = ""
    """Of the call, so that one that died shows as such."""
    updated: float = 0.0
    """Seconds since the epoch."""

    @property
    def is_running(self) -> bool:
        """Whether its process still works."""
        return not self.is_finished and is_alive(self.process)


def write_collect_progress(path: Path, progress: CollectProgress) -> None:
    """Writes how far this process is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stamped = {**asdict(progress), "process": process_identity(os.getpid()), "updated": time.time()}
    write_file(path, (json_text({"version": PROGRESS_VERSION, **stamped}) + "\n").encode("utf-8", "surrogateescape"))


def read_collect_progress(path: Path) -> CollectProgress | None:
    """How far the last call was; None where there was none.

    Raises:
        UsageError: The file is none of this version.
    """
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
        if values.pop("version") == PROGRESS_VERSION:
            return CollectProgress(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "the next `stillroom collect` writes it anew") from error
    raise UsageError(f"{path} is of another version", "the next `stillroom collect` writes it anew")
