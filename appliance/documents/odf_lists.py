"""Numbers of lists and headings in OpenDocument files: only the rules for counting stand in them."""

from dataclasses import dataclass, field
from xml.etree import ElementTree

from appliance.documents.numbering import BULLET, number_text
from appliance.documents.odf_styles import STYLE, TEXT, small_number

_FORMS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_MAX_AFFIX_CHARACTERS = 32


@dataclass(frozen=True)
class _Level:
    """How one level of a list is marked."""

    form: str
    """A number form, or nothing for a bullet."""
    prefix: str
    suffix: str
    start: int
    display_levels: int
    """How many levels the number shows."""


@dataclass
class OdfLists:
    """The lists of a document and how far each has counted."""

    _lists: dict[str, dict[int, _Level]] = field(default_factory=dict)
    _counts: dict[str, list[int]] = field(default_factory=dict)
    _headings: list[int] = field(default_factory=list)

    def learn(self, root: ElementTree.Element) -> None:
        """Takes the styles of lists and headings of one part."""
        for style in root.iter(TEXT + "list-style"):
            self._lists[style.get(STYLE + "name", "")] = _levels(style)
        for style in root.iter(TEXT + "outline-style"):
            self._lists["outline"] = _levels(style)

    def begin(self, style: str, number: int, element: ElementTree.Element) -> None:
        """Begins a list of a style on a level, anew unless it says that it goes on."""
        counts = self._counts.setdefault(style, [])
        goes_on = element.get(TEXT + "continue-numbering") == "true" or element.get(TEXT + "continue-list")
        if number == 1 and not goes_on:
            counts.clear()
        del counts[number:]

    def label(self, style: str, number: int, entry: ElementTree.Element) -> str:
        """The mark of the next entry, with a blank, which is thereby counted; empty where it has none."""
        levels = self._lists.get(style, {})
        level = levels.get(number)
        if level is None or level.form == "none":
            return ""
        if not level.form:
            return f"{BULLET} "
        counts = self._counts.setdefault(style, [])
        _fill(counts, levels, number)
        first = entry.get(TEXT + "start-value")
        counts[number - 1] = small_number(first, 1) if first else counts[number - 1] + 1
        return _label(levels, counts, number)

    def heading_label(self, heading: ElementTree.Element) -> str:
        """The number of the next heading, with a blank; empty where it has none."""
        number = min(small_number(heading.get(TEXT + "outline-level"), 1), 10) or 1
        levels = self._lists.get("outline", {})
        level = levels.get(number)
        if level is None or level.form in ("", "none") or heading.get(TEXT + "is-list-header") == "true":
            return ""
        _fill(self._headings, levels, number)
        self._headings[number - 1] += 1
        del self._headings[number:]
        return _label(levels, self._headings, number)


def _fill(counts: list[int], levels: dict[int, _Level], number: int) -> None:
    """Gives every level up to a number its count before the first entry."""
    while len(counts) < number:
        at = levels.get(len(counts) + 1)
        counts.append((at.start if at else 1) - 1)


def _levels(style: ElementTree.Element) -> dict[int, _Level]:
    levels = {}
    for element in style:
        number = small_number(element.get(TEXT + "level"), 1)
        numbered = element.tag in (TEXT + "list-level-style-number", TEXT + "outline-level-style")
        written = element.get(STYLE + "num-format", "") if numbered else ""
        levels[number] = _Level(
            form=_FORMS.get(written, "none") if numbered else "",
            prefix=element.get(STYLE + "num-prefix", "")[:_MAX_AFFIX_CHARACTERS],
            suffix=element.get(STYLE + "num-suffix", "")[:_MAX_AFFIX_CHARACTERS],
            start=small_number(element.get(TEXT + "start-value"), 1),
            display_levels=small_number(element.get(TEXT + "display-levels"), 1),
        )
    return levels


def _label(levels: dict[int, _Level], counts: list[int], number: int) -> str:
    level = levels[number]
    indices = range(max(number - level.display_levels, 0), number)
    forms = [levels[index + 1].form if index + 1 in levels else "decimal" for index in indices]
    numbers = ".".join(number_text(counts[index], form) for index, form in zip(indices, forms, strict=True))
    return f"{level.prefix}{numbers}{level.suffix}".strip() + " "
