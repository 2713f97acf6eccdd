"""Form controls of a web page: what they are filled in with, and which of them are marked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.documents.html_notes import PageFindings

MARKED, UNMARKED = "[x]", "[ ]"
_WITHOUT_TEXT = frozenset(("hidden", "file", "image", "reset"))
_MAX_OPTIONS = 20_000


def input_text(attributes: Mapping[str, str | None], findings: PageFindings) -> str:
    """What a person reads in an input."""
    kind = (attributes.get("type") or "text").strip().lower()
    if kind in ("checkbox", "radio"):
        return MARKED if "checked" in attributes else UNMARKED
    value = attributes.get("value") or ""
    if kind == "password":
        findings.passwords += bool(value)
        return ""
    return "" if kind in _WITHOUT_TEXT else " ".join(value.split())


@dataclass
class _Option:
    text: str
    is_selected: bool
    is_disabled: bool
    has_label: bool = False


@dataclass
class Choice:
    """A list to choose from: closed, it shows what is chosen; open, it shows all and marks what is chosen."""

    attributes: Mapping[str, str | None]
    options: list[_Option] = field(default_factory=list)

    def begin_option(self, attributes: Mapping[str, str | None]) -> None:
        """Begins an option; its text follows."""
        if len(self.options) < _MAX_OPTIONS:
            label = attributes.get("label") or ""
            self.options.append(_Option(label, "selected" in attributes, "disabled" in attributes, bool(label)))

    def add(self, text: str) -> None:
        """Adds to the text of the option that is open."""
        if self.options and not self.options[-1].has_label:
            self.options[-1].text += text

    def text(self) -> str:
        """What a person reads."""
        size = self.attributes.get("size") or "1"
        if "multiple" in self.attributes or (size.isdigit() and len(size) < 6 and int(size) > 1):
            marked = [f"{MARKED if one.is_selected else UNMARKED} {' '.join(one.text.split())}" for one in self.options]
            return " ".join(["", *marked, ""])
        chosen = [one for one in self.options if one.is_selected]
        first = [one for one in self.options if not one.is_disabled]
        shown = chosen[-1:] or first[:1]
        return " " + "".join(" ".join(one.text.split()) for one in shown) + " "
