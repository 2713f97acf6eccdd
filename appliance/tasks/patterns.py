"""Patterns of values: regular expressions that take time in proportion to the value, whatever they say.

pydantic's core brings the engine: it has no look-around and no back-references, and so never backtracks.
"""

from functools import lru_cache
from typing import Any

LONGEST_PATTERN = 500


def pattern_problem(pattern: str) -> str | None:
    """Why the pattern cannot be used; None where it can."""
    if len(pattern) > LONGEST_PATTERN:
        return f"{len(pattern)} characters, at most {LONGEST_PATTERN} are read"
    from pydantic_core import SchemaError

    try:
        _validator(pattern)
    except SchemaError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return lines[-1].removeprefix("error: ") if lines else "it cannot be read"
    return None


def matches_pattern(pattern: str, value: str) -> bool:
    """Whether the pattern matches the whole value."""
    return bool(_validator(pattern).isinstance_python(value))


@lru_cache(maxsize=64)
def _validator(pattern: str) -> Any:
    from pydantic_core import SchemaValidator, core_schema

    return SchemaValidator(core_schema.str_schema(pattern=rf"\A(?:{pattern})\z", regex_engine="rust-regex"))
