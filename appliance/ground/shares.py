"""Shares and confidences as people give them: numbers from 0 to 1, with what to write where a percentage was meant."""

import math

from appliance.ground.errors import UsageError


def parse_share(text: str, name: str, alternative: str = "") -> float:
    """A share from 0 to 1 as it was typed.

    Args:
        name: What the share is of, as the operator knows it, such as `--threshold`.
        alternative: A word that could have been typed in its place, for the message.

    Raises:
        UsageError: It is no number, or lies outside of 0 to 1.
    """
    written = text.strip()
    try:
        value = float(written)
    except ValueError as error:
        kind = f"neither a number nor {alternative}" if alternative else "not a number"
        raise UsageError(f"{name} {text} is {kind}", _hint(_as_typed(written), alternative)) from error
    return check_share(value, name, alternative, written)


def check_share(value: float, name: str, alternative: str = "", written: str = "", most: float = 1.0) -> float:
    """The share, if it is one.

    Args:
        written: How it was typed, for the message.
        most: A little above 1 where a computed share may mean more than every confidence.

    Raises:
        UsageError: It lies outside of 0 to 1, or is no finite number.
    """
    # NaN is in no range, so it is refused like the others.
    if 0 <= value <= most:
        return value
    shown = written or f"{value:g}"
    raise UsageError(f"{name} {shown} is not a number from 0 to 1", _hint(value, alternative))


def _as_typed(text: str) -> float:
    """What `80 %` and `0,8` were meant to be; NaN where nobody can say."""
    percent = text.endswith("%")
    try:
        value = float(text.removesuffix("%").strip().replace(",", "."))
    except ValueError:
        return math.nan
    return value if not percent or value > 1 else value / 100


def _hint(value: float, alternative: str) -> str:
    """What to type: the share where a percentage or a decimal comma was meant."""
    other = f", or {alternative}" if alternative else ""
    if 2 <= value <= 100:  # 1.05 is a slip rather than one percent.
        return f"{value:g} looks like a percentage: write {value / 100:g}{other}"
    if 0 <= value <= 1:
        return f"write {value:g}{other}"
    return f"give a number from 0 to 1, such as 0.8{other}"
