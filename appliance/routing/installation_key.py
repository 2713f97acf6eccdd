"""Keys of this installation beside the record of what left: made once, and read by their owner alone."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from appliance.ground.errors import ResourceError
from appliance.ground.files import new_file

KEY_BYTES = 32


def installation_key(directory: Path, name: str, what: str) -> bytes:
    """The key of this name in the folder; made when it is first needed.

    Args:
        what: What it is, for messages, such as `the masking key`.

    Raises:
        ResourceError: It cannot be made, or others can read it.
    """
    path = directory / name
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            mode, key = stat.S_IMODE(os.fstat(descriptor).st_mode), file.read(KEY_BYTES + 1)
    except OSError as error:
        raise ResourceError(f"cannot use {what} {path}: {error.strerror}; nothing leaves") from error
    if mode & 0o077:
        raise ResourceError(f"others can read {what} {path} (mode {mode:04o}); nothing leaves", f"chmod 600 {path}")
    if len(key) != KEY_BYTES:
        raise ResourceError(
            f"{what} {path} is not {KEY_BYTES} bytes long; nothing leaves",
            "restore it from a backup, or delete it to get a new one",
        )
    return key


def _make_key(path: Path) -> None:
    # Where another process was first its key holds.
    with contextlib.suppress(FileExistsError), new_file(path, private=True) as file:
        file.write(secrets.token_bytes(KEY_BYTES))
