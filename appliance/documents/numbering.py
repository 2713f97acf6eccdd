"""Numbers of Word's lists and headings: they stand nowhere in the text, only the rules for counting do."""

from dataclasses import dataclass, field
from xml.etree import ElementTree

from appliance.documents.archive import Package
from appliance.documents.word_styles import WORD

LEVELS = 9
_MAX_LABEL_CHARACTERS = 64
_MAX_STYLE_CHAIN = 20
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
BULLET = "\u2022"


@dataclass(frozen=True)
class _Level:
    """How one level of a list counts."""

    start: int = 1
    form: str = "decimal"
    label: str = ""
    style: str = ""
    all_decimal: bool = False
    restart: int = LEVELS
    """Levels from the first one on whose numbers let this one begin anew; 0 counts through the document."""


@dataclass(frozen=True)
class _List:
    """One numbered list: which counters it moves, its levels, and where it starts anew."""

    counters: str
    levels: dict[int, _Level]
    restarts: dict[int, int]


@dataclass
class Numbering:
    """The lists of a document and how far each has counted."""

    _lists: dict[str, _List] = field(default_factory=dict)
    _styles: dict[str, tuple[str | None, int | None, str]] = field(default_factory=dict)
    """List, level, and the style it is based on."""
    _counts: dict[str, list[int | None]] = field(default_factory=dict)
    _restarted: set[tuple[str, int]] = field(default_factory=set)

    def label(self, paragraph: ElementTree.Element) -> str:
        """The number or bullet in front of the next paragraph, which is thereby counted; empty where it has none."""
        properties = paragraph.find(WORD + "pPr")
        if properties is None:
            return ""
        style = _value(properties.find(WORD + "pStyle")) or ""
        list_id, level = _reference(properties.find(WORD + "numPr"))
        if list_id is None:
            list_id, style_level, style = self._of_style(style)
            level = style_level if level is None else level
        numbered = self._lists.get(list_id or "0")
        if numbered is None:
            return ""
        if level is None:
            level = next((index for index, one in numbered.levels.items() if one.style and one.style == style), 0)
        return self._count(list_id or "0", numbered, min(level, LEVELS - 1))

    def _of_style(self, style: str) -> tuple[str | None, int | None, str]:
        """List and level that a style brings along, and the style that has them."""
        for _ in range(_MAX_STYLE_CHAIN):
            list_id, level, base = self._styles.get(style, (None, None, ""))
            if list_id is not None or not base:
                return list_id, level, style
            style = base
        return None, None, style

    def _count(self, list_id: str, numbered: _List, level: int) -> str:
        counts = self._counts.setdefault(numbered.counters, [None] * LEVELS)
        start = numbered.levels.get(level, _Level()).start
        if level in numbered.restarts and (list_id, level) not in self._restarted:
            self._restarted.add((list_id, level))
            counts[level], start = None, numbered.restarts[level]
        counted = counts[level]
        counts[level] = start if counted is None else counted + 1
        for below in range(level + 1, LEVELS):
            counts[below] = None if level < numbered.levels.get(below, _Level()).restart else counts[below]
        return self._written(numbered, level, counts)

    def _written(self, numbered: _List, level: int, counts: list[int | None]) -> str:
        own = numbered.levels.get(level)
        if own is None or own.form == "none":
            return own.label if own and "%" not in own.label else ""
        if own.form == "bullet":
            return BULLET
        label = own.label
        for index in range(LEVELS):
            if f"%{index + 1}" in label:
                rule = numbered.levels.get(index, _Level())
                count = counts[index]
                form = "decimal" if own.all_decimal else rule.form
                label = label.replace(f"%{index + 1}", number_text(rule.start if count is None else count, form))
        return label.strip()


def read_numbering(package: Package, document: str) -> Numbering:
    """The lists of a Word document; none where it has no numbering part."""
    numbering = Numbering()
    for name in package.related(document, "styles"):
        root = package.parse_if_there(name)
        for style in root.iter(WORD + "style") if root is not None else ():
            properties = style.find(WORD + "pPr")
            list_id, level = _reference(properties.find(WORD + "numPr") if properties is not None else None)
            base = _value(style.find(WORD + "basedOn")) or ""
            numbering._styles[style.get(WORD + "styleId", "")] = (list_id, level, base)
    for name in package.related(document, "numbering"):
        root = package.parse_if_there(name)
        if root is not None:
            numbering._lists.update(_lists(root))
    return numbering


def number_text(number: int, form: str) -> str:
    """A count as Word writes it in one of its number forms; forms of other scripts are written in decimals."""
    if form == "decimalZero":
        return f"{number:02d}"
    if form in ("lowerRoman", "upperRoman") and 0 < number < 5000:
        letters = ""
        for value, sign in _ROMAN:
            letters += sign * (number // value)
            number %= value
        return letters if form == "lowerRoman" else letters.upper()
    if form in ("lowerLetter", "upperLetter") and 0 < number <= 26 * 40:
        # After z comes aa, then bb: the letter is repeated, not counted on.
        letters = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letters if form == "lowerLetter" else letters.upper()
    return str(number)


def _lists(root: ElementTree.Element) -> dict[str, _List]:
    abstract = {
        element.get(WORD + "abstractNumId", ""): _levels(element) for element in root.iter(WORD + "abstractNum")
    }
    lists: dict[str, _List] = {}
    for element in root.iter(WORD + "num"):
        counters = _value(element.find(WORD + "abstractNumId")) or ""
        levels = dict(abstract.get(counters, {}))
        restarts: dict[int, int] = {}
        for override in element.iter(WORD + "lvlOverride"):
            index = _number(override.get(WORD + "ilvl"), 0)
            levels.update(_levels(override))
            first = override.find(WORD + "startOverride")
            if first is not None:
                restarts[index] = _number(_value(first), 1)
        lists[element.get(WORD + "numId", "")] = _List(counters, levels, restarts)
    lists.pop("0", None)  # Word's way to say: not in a list
    return lists


def _levels(element: ElementTree.Element) -> dict[int, _Level]:
    return {
        _number(level.get(WORD + "ilvl"), 0): _Level(
            start=_number(_value(level.find(WORD + "start")), 1),
            form=_value(level.find(WORD + "numFmt")) or "decimal",
            label="" if _is_hidden(level) else (_value(level.find(WORD + "lvlText")) or "")[:_MAX_LABEL_CHARACTERS],
            style=_value(level.find(WORD + "pStyle")) or "",
            all_decimal=level.find(WORD + "isLgl") is not None,
            restart=_number(_value(level.find(WORD + "lvlRestart")), LEVELS),
        )
        for level in element.iter(WORD + "lvl")
    }


def _is_hidden(level: ElementTree.Element) -> bool:
    """Whether the numbers of a level count but are not shown."""
    vanish = level.find(f"{WORD}rPr/{WORD}vanish")
    return vanish is not None and vanish.get(WORD + "val", "1").lower() not in ("0", "false", "off")


def _reference(element: ElementTree.Element | None) -> tuple[str | None, int | None]:
    """List and level of a `numPr`."""
    if element is None:
        return None, None
    level = element.find(WORD + "ilvl")
    return _value(element.find(WORD + "numId")), None if level is None else _number(_value(level), 0)


def _value(element: ElementTree.Element | None) -> str | None:
    return None if element is None else element.get(WORD + "val")


def _number(text: str | None, default: int) -> int:
    """A small count; what is none gives the default."""
    text = text or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else default
