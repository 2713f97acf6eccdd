"""Reads one TOML table by key, and says of a wrong entry where it is, what it is and what was probably meant."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.ground.errors import UsageError
from appliance.ground.spelling import nearest

NAME_PATTERN = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"
NAME_RULE = "use up to 64 letters, digits, _ and -, and begin with a letter or _"


def _listed(known: Sequence[str]) -> str:
    return ", ".join(known)


@dataclass(frozen=True)
class Table:
    """A table of a TOML file."""

    values: Mapping[str, object]
    file: str
    """Name of the file, for messages."""
    prefix: str = ""
    """Where the table stands in the file, such as `fields[2].`; list entries count from 1."""

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """Refuses keys that are not among these.

        Raises:
            UsageError: With the nearest known key as the hint.
        """
        for key in self.values:
            if key not in known:
                meant = nearest(key, known)
                hint = f"did you mean `{meant}`? " if meant else ""
                raise UsageError(
                    f"{self.file}: unknown key `{self.prefix}{key}`", f"{hint}known keys: {_listed(known)}"
                )

    def wrong(self, key: str, problem: str, hint: str = "") -> UsageError:
        """The error that the entry is wrong; the caller raises it."""
        return UsageError(f"{self.file}: `{self.prefix}{key}` {problem}", hint)

    def text(self, key: str, default: str | None = None, example: str = "") -> str:
        """A string; without a default it must be there and say something."""
        value = self.values.get(key, default)
        if value is None:
            raise self.wrong(key, "is missing", f'add {key} = "{example or "..."}"')
        if not isinstance(value, str):
            raise self.wrong(key, f"is {value!r}, not a text", f'write {key} = "{example or value}"')
        if default is None and not value.strip():
            raise self.wrong(key, "is empty", f'write {key} = "{example or "..."}"')
        return value

    def choice(self, key: str, known: Sequence[str], default: str | None = None) -> str:
        """One of these words."""
        value = self.text(key, default, known[0])
        if value in known:
            return value
        meant = nearest(value, known)
        hint = f'did you mean "{meant}"? ' if meant else ""
        raise self.wrong(key, f'is "{value}"', f"{hint}known: {_listed(known)}")

    def name(self, key: str) -> str:
        """A word that can be a key, a column and a part of a file name."""
        value = self.text(key, example="invoice_number")
        if not re.fullmatch(NAME_PATTERN, value):
            raise self.wrong(key, f"is {value!r}", NAME_RULE)
        return value

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"is {value!r}, not true or false", f"write {key} = {str(default).lower()}")
        return value

    def integer(self, key: str, default: int | None = None, least: int = 0) -> int:
        """A whole number, at least `least` where it is given."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise self.wrong(key, "is missing", f"add {key} = {least}")
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.wrong(key, f"is {value!r}, not a whole number of at least {least}", f"write {key} = {least}")
        return value

    def number(self, key: str, default: float | None, low: float, high: float) -> float | None:
        """A number in (low, high]; the default, which may be None, where it is not given."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or not low < value <= high:
            raise self.wrong(
                key, f"is {value!r}, not a number above {low:g} and up to {high:g}", f"write {key} = {high:g}"
            )
        return float(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of different strings; empty where it is not given."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
            raise self.wrong(key, "is not a list of texts", f'write {key} = ["...", "..."]')
        if len(set(value)) < len(value):
            twice = next(text for text in value if value.count(text) > 1)
            raise self.wrong(key, f'holds "{twice}" twice', "name each only once")
        return tuple(value)

    def table(self, key: str) -> "Table":
        """A table inside this one; empty where it is not given."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"is {value!r}, not a table", f"write [{self.prefix}{key}] and its keys below")
        return Table(value, self.file, f"{self.prefix}{key}.")

    def tables(self, key: str) -> list["Table"]:
        """A list of tables inside this one; empty where it is not given."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self.wrong(key, "is not a list of tables", f"write [[{self.prefix}{key}]] before the keys of each")
        return [Table(entry, self.file, f"{self.prefix}{key}[{number}].") for number, entry in enumerate(value, 1)]
