"""What OpenDocument files hide by their styles (characters, paragraphs, sheets, slides) and by attributes (rows)."""

from dataclasses import dataclass, field
from xml.etree import ElementTree

_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
TEXT = "{" + _OASIS + "text:1.0}"
TABLE = "{" + _OASIS + "table:1.0}"
DRAW = "{" + _OASIS + "drawing:1.0}"
OFFICE = "{" + _OASIS + "office:1.0}"
STYLE = "{" + _OASIS + "style:1.0}"
PRESENTATION = "{" + _OASIS + "presentation:1.0}"
_MAX_CHAIN = 30
_FAMILIES = {TEXT + "p": "paragraph", TEXT + "h": "paragraph", TEXT + "span": "text", TEXT + "a": "text",
             TABLE + "table": "table", DRAW + "page": "drawing-page"}  # fmt: skip
_STYLE_NAMES = (TEXT + "style-name", TABLE + "style-name", DRAW + "style-name")
_MOST_COLUMNS = 1 << 14


@dataclass
class OdfStyles:
    """Which styles hide what has them; None where they do not say."""

    _hidden: dict[tuple[str, str], tuple[bool | None, str]] = field(default_factory=dict)
    """By family and name; the second is the style that it is based on. The empty name is that of the default."""
    _hidden_layers: set[str] = field(default_factory=set)
    _places: dict[str, str] = field(default_factory=dict)
    """Of characters above the line (`super`) or below it (`sub`), by the name of their style."""

    def learn(self, root: ElementTree.Element | None) -> None:
        """Takes the styles of one part; later ones count before earlier ones of the same name."""
        for element in root.iter() if root is not None else ():
            if element.tag in (STYLE + "style", STYLE + "default-style"):
                family = element.get(STYLE + "family", "")
                if not family:
                    # Without a family, a style with properties of text hides words.
                    family = "paragraph"
                name = element.get(STYLE + "name", "") if element.tag == STYLE + "style" else ""
                base = element.get(STYLE + "parent-style-name", "")
                place = _place(element)
                if place and name and len(self._places) < _MOST_COLUMNS:
                    self._places[name] = place
                self._hidden[family, name] = (_hides(element), base)
            elif element.tag == DRAW + "layer" and element.get(DRAW + "display") in ("none", "printer"):
                self._hidden_layers.add(element.get(DRAW + "name", ""))

    def says_hidden(self, element: ElementTree.Element) -> bool | None:
        """Whether the style of an element hides it or shows it; None where it says nothing."""
        family = _FAMILIES.get(element.tag, "text")
        name = next((element.attrib[key] for key in _STYLE_NAMES if key in element.attrib), "")
        if not name and family == "text":
            return None
        for _ in range(_MAX_CHAIN):
            hidden, base = self._hidden.get((family, name), (None, ""))
            if hidden is not None or not name:
                return hidden
            name = base
        return None

    def place(self, span: ElementTree.Element) -> str:
        """`super` or `sub` where characters stand above or below the line."""
        return self._places.get(span.get(TEXT + "style-name", ""), "")

    def is_hidden_shape(self, element: ElementTree.Element) -> bool:
        """Whether a drawn object is not shown on the screen, or only prompts for something."""
        return (
            element.get(DRAW + "display") in ("none", "printer")
            or element.get(DRAW + "layer", "") in self._hidden_layers
            or element.get(PRESENTATION + "placeholder") == "true"
        )


def is_hidden_section(section: ElementTree.Element) -> bool:
    """Whether a section is not shown, for good or because its condition holds."""
    display = section.get(TEXT + "display", "true")
    return display == "none" or (display == "condition" and section.get(TEXT + "is-hidden") == "true")


def hides_rows(row: ElementTree.Element) -> bool:
    """Whether a row or a group of rows is hidden, folded or filtered away."""
    return row.get(TABLE + "visibility") in ("collapse", "filter") or row.get(TABLE + "display") == "false"


def hidden_columns(table: ElementTree.Element) -> list[tuple[int, int]]:
    """First and last number of each run of columns that a table hides."""
    runs: list[tuple[int, int]] = []
    column = 0
    waiting = [(child, False) for child in reversed(table)]
    while waiting:
        element, is_hidden = waiting.pop()
        is_hidden = is_hidden or hides_rows(element)
        if element.tag == TABLE + "table-column":
            count = small_number(element.get(TABLE + "number-columns-repeated"), 1)
            if is_hidden:
                runs.append((column, column + count - 1))
            column += count
        elif element.tag in (TABLE + "table-column-group", TABLE + "table-columns", TABLE + "table-header-columns"):
            waiting += [(child, is_hidden) for child in reversed(element)]
    return runs[:_MOST_COLUMNS]


def _place(style: ElementTree.Element) -> str:
    properties = style.find(STYLE + "text-properties")
    place = (properties.get(STYLE + "text-position", "") if properties is not None else "").split(" ")[0]
    if place.endswith("%") and place.strip("-%0."):
        return "sub" if place.startswith("-") else "super"
    return place if place in ("super", "sub") else ""


def _hides(style: ElementTree.Element) -> bool | None:
    for properties in style:
        if properties.tag == STYLE + "text-properties" and TEXT + "display" in properties.attrib:
            return properties.get(TEXT + "display") == "none"
        if properties.tag == STYLE + "table-properties" and TABLE + "display" in properties.attrib:
            return properties.get(TABLE + "display") == "false"
        if properties.tag == STYLE + "drawing-page-properties" and PRESENTATION + "visibility" in properties.attrib:
            return properties.get(PRESENTATION + "visibility") == "hidden"
    return None


def small_number(text: str | None, default: int) -> int:
    """A count or a place; what is none gives the default."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 8 else default
