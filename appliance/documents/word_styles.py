"""Which text of a Word document is hidden: by itself, or by a style of its characters, its paragraph or its table.

Source: ECMA-376 part 1, 17.3.2.41 (vanish) and 17.7.3 (properties that styles toggle).
"""

from dataclasses import dataclass, field
from xml.etree import ElementTree

from appliance.documents.archive import Package

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MAX_CHAIN = 30
_OFF = ("0", "false", "off", "none")


@dataclass(frozen=True)
class _Style:
    hidden: bool | None
    """None where the style does not say."""
    base: str


@dataclass
class WordStyles:
    """What the styles of a document say about hiding."""

    _styles: dict[str, _Style] = field(default_factory=dict)
    _usual: dict[str, str] = field(default_factory=dict)
    """The style of what names none, by kind: paragraph, character, table."""
    _hidden_by_default: bool = False
    _places: dict[str, str] = field(default_factory=dict)
    """Where a style puts characters, above the line or below it."""

    def place(self, properties: ElementTree.Element) -> str:
        """`superscript`, `subscript` or something else, by a run's own properties or by their style."""
        return value_of(properties, "vertAlign") or self._places.get(value_of(properties, "rStyle"), "")

    def is_hidden(self, properties: ElementTree.Element | None, paragraph_style: str, table_style: str) -> bool:
        """Whether text with these properties of its own is hidden.

        Args:
            properties: `rPr` of a run or of a paragraph's mark.
            paragraph_style: Id of the paragraph's style; empty for the usual one.
            table_style: Id of the style of the innermost table; empty outside of tables.
        """
        own = is_on(properties, "vanish")
        if own is not None:
            return own
        run_style = value_of(properties, "rStyle")
        levels = [
            self._of(run_style or self._usual.get("character", "")),
            self._of(paragraph_style or self._usual.get("paragraph", "")),
            self._of(table_style),
        ]
        # Hidden by two of them is shown again: the property toggles.
        said = [hidden for hidden in levels if hidden is not None]
        return sum(said) % 2 == 1 if said else self._hidden_by_default

    def _of(self, style_id: str) -> bool | None:
        for _ in range(_MAX_CHAIN):
            style = self._styles.get(style_id)
            if style is None or style.hidden is not None:
                return style.hidden if style else None
            style_id = style.base
        return None


def read_word_styles(package: Package, document: str) -> WordStyles:
    """The styles of a Word document; none hide anything where it has none."""
    styles = WordStyles()
    for name in package.related(document, "styles"):
        root = package.parse_if_there(name)
        if root is None:
            continue
        default = root.find(f"{WORD}docDefaults/{WORD}rPrDefault/{WORD}rPr")
        styles._hidden_by_default = is_on(default, "vanish") or False
        for style in root.iter(WORD + "style"):
            style_id = style.get(WORD + "styleId", "")
            # What a style says of characters that it hides counts; what it says of the mark of a paragraph does not.
            hidden = is_on(style.find(WORD + "rPr"), "vanish")
            for part in style.iterfind(f"{WORD}tblStylePr[@{WORD}type='wholeTable']") if hidden is None else ():
                hidden = is_on(part.find(WORD + "rPr"), "vanish")
            styles._places[style_id] = value_of(style.find(WORD + "rPr"), "vertAlign")
            styles._styles[style_id] = _Style(hidden, value_of(style, "basedOn"))
            if style.get(WORD + "default", "0") not in _OFF:
                styles._usual[style.get(WORD + "type", "paragraph")] = style_id
    return styles


def is_on(element: ElementTree.Element | None, name: str) -> bool | None:
    """Whether a switch among the children is on; None where it is missing."""
    switch = element.find(WORD + name) if element is not None else None
    return None if switch is None else switch.get(WORD + "val", "1").lower() not in _OFF


def value_of(element: ElementTree.Element | None, name: str) -> str:
    """Value of a child; empty where it is missing."""
    child = element.find(WORD + name) if element is not None else None
    return child.get(WORD + "val", "") if child is not None else ""
