"""Which elements of a web page are open: HTML lets many end tags be omitted, and says where such an element ends.

Source: WHATWG HTML, "Optional tags" and the rules of tree construction for what a start tag or an end tag closes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.documents.html_styles import Element
from appliance.documents.problems import DocumentError, Problem

_MAX_OPEN = 200_000
_ENDS_PARAGRAPH = frozenset(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption figure footer form h1"
    " h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p plaintext pre search section summary table ul"
    " xmp".split()
)
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_TABLE_PARTS = frozenset("caption colgroup thead tbody tfoot tr td th".split())
_SCOPE = frozenset("applet caption html table td th marquee object template".split())
"""Elements through which an end tag does not reach."""
_LIST_SCOPE = _SCOPE | {"ol", "ul", "menu"}
_TABLE_SCOPE = frozenset(("html", "table", "template"))
_SELECT_SCOPE = _SCOPE | {"select"}
_CLOSES: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "li": (frozenset(("li",)), _LIST_SCOPE | {"dl"}),
    "dt": (frozenset(("dt", "dd")), _SCOPE | {"dl", "ul", "ol", "menu"}),
    "dd": (frozenset(("dt", "dd")), _SCOPE | {"dl", "ul", "ol", "menu"}),
    "option": (frozenset(("option",)), _SELECT_SCOPE | {"optgroup", "datalist"}),
    "optgroup": (frozenset(("option", "optgroup")), _SELECT_SCOPE),
    "rt": (frozenset(("rt", "rp")), _SCOPE | {"ruby"}),
    "rp": (frozenset(("rt", "rp")), _SCOPE | {"ruby"}),
    "td": (frozenset(("td", "th", "caption", "colgroup")), _TABLE_SCOPE | {"tr"}),
    "th": (frozenset(("td", "th", "caption", "colgroup")), _TABLE_SCOPE | {"tr"}),
    "tr": (frozenset(("tr", "td", "th", "caption", "colgroup")), _TABLE_SCOPE),
    **dict.fromkeys(("caption", "colgroup", "thead", "tbody", "tfoot"), (_TABLE_PARTS, _TABLE_SCOPE)),
    "button": (frozenset(("button",)), _SCOPE),
    "a": (frozenset(("a",)), _SCOPE),
}
"""What a start tag closes, and the elements through which it does not reach."""
_FORMATTING = frozenset("a b big code em font i nobr s small strike strong tt u".split())
"""Elements that end at their end tag even where a block inside them is still open."""
_INLINE = _FORMATTING | frozenset(
    "abbr acronym bdi bdo cite data del dfn ins kbd label mark output q rb rp rt rtc ruby samp span sub sup time var"
    " option optgroup".split()
)


@dataclass(slots=True)
class OpenElement:
    """An element that has begun and not ended."""

    tag: str
    attributes: Mapping[str, str | None]
    is_removed: bool = False
    """Whether it and all inside it is out of sight."""
    is_visible: bool = True
    has_size: bool = True
    is_dropped: bool = False
    """Whether its content is not text at all."""
    is_raised: bool = False
    is_lowered: bool = False
    has_ended: bool = False


class Nesting:
    """The open elements, and where each kind of them was opened last; deep nesting costs no time."""

    def __init__(self) -> None:
        self._open: list[OpenElement] = []
        self._places: dict[str, list[int]] = {}

    @property
    def innermost(self) -> OpenElement | None:
        """The element that text would stand in."""
        return self._open[-1] if self._open else None

    @property
    def count(self) -> int:
        """How many elements are open."""
        return len(self._open)

    def ancestors(self) -> list[Element]:
        """The open elements, the innermost last."""
        return [(element.tag, element.attributes) for element in self._open[-500:]]

    def push(self, element: OpenElement) -> None:
        """Opens an element.

        Raises:
            DocumentError: Too many are open.
        """
        if len(self._open) >= _MAX_OPEN:
            raise DocumentError(Problem.TOO_LARGE, f"more than {_MAX_OPEN:,} elements of the page are open at once")
        self._places.setdefault(element.tag, []).append(len(self._open))
        self._open.append(element)

    def closed_by_start(self, tag: str) -> list[OpenElement]:
        """The elements that a start tag ends, the innermost first."""
        closed: list[OpenElement] = []
        if tag in _ENDS_PARAGRAPH:
            closed += self._pop_to(self._last(("p",), _SCOPE | {"button"}))
        if tag in _HEADINGS and self._open and self._open[-1].tag in _HEADINGS:
            closed += self._pop_to(len(self._open) - 1)
        if tag in _CLOSES:
            ends, scope = _CLOSES[tag]
            while (place := self._last(ends, scope)) is not None:
                closed += self._pop_to(place)
        return closed

    def closed_by_end(self, tag: str) -> list[OpenElement]:
        """The elements that an end tag ends, the innermost first; none where it ends nothing."""
        if tag in ("html", "body"):
            return []  # what follows still belongs to what is open
        scope = _TABLE_SCOPE - {tag} if tag in _TABLE_PARTS or tag == "table" else _SCOPE - {tag}
        tags = _HEADINGS if tag in _HEADINGS else (tag,)
        place = self._last(tags, _LIST_SCOPE if tag == "li" else scope)
        if place is None:
            return []
        if tag in _INLINE:
            block = self._last_block()
            if block is not None and block > place:
                if tag not in _FORMATTING:
                    return []
                self._open[place].has_ended = True
                self._places[tag].pop()
                return [self._open[place]]
        return self._pop_to(place)

    def all_open(self) -> list[OpenElement]:
        """Ends all elements."""
        return self._pop_to(0)

    def _last(self, tags: tuple[str, ...] | frozenset[str], scope: frozenset[str]) -> int | None:
        """Place of the innermost of such elements, unless one of the scope lies inside it."""
        opened = self._places
        place = -1
        for tag in tags:
            if (places := opened.get(tag)) and places[-1] > place:
                place = places[-1]
        if place < 0:
            return None
        for tag in scope:
            if (places := opened.get(tag)) and places[-1] >= place:
                return None
        return place

    def _last_block(self) -> int | None:
        for place in range(len(self._open) - 1, max(len(self._open) - 60, -1), -1):
            if self._open[place].tag not in _INLINE:
                return place
        return None

    def _pop_to(self, place: int | None) -> list[OpenElement]:
        if place is None:
            return []
        closed = self._open[place:][::-1]
        del self._open[place:]
        for element in closed:
            if not element.has_ended:
                self._places[element.tag].pop()
        return [element for element in closed if not element.has_ended]
