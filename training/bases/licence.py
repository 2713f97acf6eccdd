"""The licence of a base: what its model card, its configuration or its licence file says; never a guess."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

UNKNOWN = "unknown"
MOST_CARD_BYTES = 1 << 20
LONGEST_NAME = 100
_KEY = re.compile(r"(license|license_name|license_link)\s*:\s*(.*)")
_LICENCE_FILE = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|USE_POLICY)", re.IGNORECASE)
_TEXTS = (
    ("apache-2.0", ("apache license", "version 2.0")),
    ("mit", ("mit license",)),
    ("mit", ("permission is hereby granted, free of charge", "without restriction")),
    ("gemma", ("gemma terms of use",)),
    ("llama", ("llama", "community license agreement")),
    ("cc-by-nc-4.0", ("attribution-noncommercial 4.0 international",)),
    ("cc-by-sa-4.0", ("attribution-sharealike 4.0 international",)),
    ("cc-by-4.0", ("attribution 4.0 international",)),
    ("agpl-3.0", ("gnu affero general public license", "version 3")),
    ("lgpl-3.0", ("gnu lesser general public license", "version 3")),
    ("gpl-3.0", ("gnu general public license", "version 3")),
    ("bsd-3-clause", ("redistribution and use in source and binary forms", "neither the name of")),
    ("bsd-2-clause", ("redistribution and use in source and binary forms",)),
)  # fmt: skip
"""A licence, and what all of its texts say within their first page; the first that fits counts."""
_FIRST_PAGE = 3000


@dataclass(frozen=True)
class Licence:
    """A licence and what says so."""

    name: str = ""
    """As the source writes it; empty where nothing says it."""
    source: str = ""

    @property
    def text(self) -> str:
        """For a person: `apache-2.0 (README.md)`, or `unknown`."""
        if not self.name:
            return f"{UNKNOWN} ({self.source})" if self.source else UNKNOWN
        return f"{self.name} ({self.source})"


def licence_of(directory: Path) -> Licence:
    """What the files of a base say of its licence: model card, then configuration, then licence file."""
    if name := _of_card(directory / "README.md"):
        return Licence(name, "README.md")
    if name := _of_config(directory / "config.json"):
        return Licence(name, "config.json")
    try:
        paths = sorted(path for path in directory.iterdir() if _LICENCE_FILE.match(path.name) and path.is_file())
    except OSError:
        paths = []
    for path in paths:
        if name := licence_of_text(_beginning(path)):
            return Licence(name, path.name)
    return Licence("", f"see {paths[0].name}") if paths else Licence()


def licence_of_text(text: str) -> str:
    """The licence whose text this is; empty where it is none that is known here."""
    page = " ".join(text[:_FIRST_PAGE].lower().split())
    for name, parts in _TEXTS:
        if all(part in page for part in parts):
            return name
    return ""


def plain_name(text: object) -> str:
    """A licence's name in one short line; empty where it is no text, or says nothing."""
    if not isinstance(text, str):
        return ""
    name = " ".join(text.split()).strip("\"'").strip()[:LONGEST_NAME]
    return "" if name.lower() in ("", "unknown", "none", "null", "~", "[]") else name


def _of_card(path: Path) -> str:
    """The key `license` of a model card's front matter; `other` is spelled out by `license_name`."""
    lines = _beginning(path).splitlines()
    if not lines or lines[0].strip() != "---":
        return ""
    values: dict[str, str] = {}
    key = ""
    for line in lines[1:]:
        if line.rstrip() in ("---", "..."):
            break
        if match := _KEY.fullmatch(line.rstrip()):
            key, value = match[1], match[2].split(" #")[0].strip()
            values[key] = value.strip("[]")
        elif key and line.lstrip().startswith("- ") and not values[key]:
            values[key] = line.lstrip()[2:]
        elif line[:1].strip():
            key = ""
    name, own_name = plain_name(values.get("license")), plain_name(values.get("license_name"))
    if name.lower() in ("other", ""):
        return own_name or (f"other, {link}" if (link := plain_name(values.get("license_link"))) else name)
    return name


def _of_config(path: Path) -> str:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    return plain_name(values.get("license")) if isinstance(values, dict) else ""


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_CARD_BYTES).decode("utf-8", "replace").removeprefix("\ufeff")
    except OSError:
        return ""
