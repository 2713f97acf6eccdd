"""JSON that every reader takes: Python's own writer would write `NaN` and `Infinity`, which no standard knows."""

import json
import math


def json_text(
    value: object, ascii_only: bool = False, indent: int | None = None, compact: bool = False, sort_keys: bool = False
) -> str:
    """The value as JSON; a number that is none, or has no end, is null, as is the open end of an interval.

    Args:
        ascii_only: Letters beyond ASCII as escapes, which keeps what is no Unicode, such as halves of surrogate pairs.
        indent: Blanks of each level; None means one line.
        compact: Without blanks after commas and colons.
    """

    def write(finite: object) -> str:
        return json.dumps(
            finite,
            ensure_ascii=ascii_only,
            indent=indent,
            separators=(",", ":") if compact else None,
            sort_keys=sort_keys,
            allow_nan=False,
        )

    try:
        return write(value)
    except ValueError:  # Nearly every value is finite: only where one is not are all looked at.
        return write(_finite(value))


def _finite(value: object) -> object:
    """The value with null in the place of numbers that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
