"""JSON objects among the files of a base, read within bounds: they come from strangers."""

from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.json_input import parse_json

MOST_BYTES = 256 << 20
"""The largest tokenizer.json known here has 34 MB."""


def read_object(path: Path) -> dict[str, object]:
    """A JSON object of a base, read within bounds.

    Raises:
        UsageError: It is none.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has {path.stat().st_size:,} bytes")
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path} cannot be read: {reason}", "fetch or copy the base again") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no settings", "fetch or copy the base again")
    return content
