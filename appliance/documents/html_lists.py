"""Lists of web pages: with which numbers, letters or nothing their entries begin."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.documents.numbering import number_text

_TYPES = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_STYLES = {
    "lower-alpha": "lowerLetter", "lower-latin": "lowerLetter", "upper-alpha": "upperLetter",
    "upper-latin": "upperLetter", "lower-roman": "lowerRoman", "upper-roman": "upperRoman", "decimal": "decimal",
}  # fmt: skip
_STYLE = re.compile(r"list-style(?:-type)?\s{0,9}:([^;]{0,200})", re.IGNORECASE)


@dataclass
class OpenList:
    """A list that has not ended."""

    form: str = ""
    """Of its numbers; empty where its entries have none."""
    number: int = 1
    """Of the next entry."""

    def label(self, value: str | None) -> str:
        """What stands before the next entry, which may state its number."""
        self.number = _count(value, self.number)
        self.number += 1
        return f"{number_text(self.number - 1, self.form)}. " if self.form else ""


def open_list(tag: str, attributes: Mapping[str, str | None]) -> OpenList:
    """The list that an element begins."""
    if tag != "ol":
        return OpenList()
    form = _TYPES.get((attributes.get("type") or "").strip(), "decimal")
    style = _STYLE.search(attributes.get("style") or "")
    words = style.group(1).lower().split() if style else []
    form = next((_STYLES[word] for word in words if word in _STYLES), "" if "none" in words else form)
    return OpenList(form, _count(attributes.get("start"), 1))


def _count(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 8 else default
