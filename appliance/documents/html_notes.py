"""What a web page holds besides the text that is read, and the notes that say so."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.ground.text import human_count

_MOST_NAMES = 5
_MOST_CHARACTERS = 100
_STRUCK = frozenset(("del", "s", "strike"))


@dataclass
class PageFindings:
    """Counts over a page."""

    hidden: bool = False
    passwords: int = 0
    media: int = 0
    struck: int = 0
    readings: int = 0
    closed_details: int = 0
    frames: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    """What the page says in words about its pictures."""

    def see(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        """Takes note of an element that is shown."""
        if tag == "img" or (tag == "input" and (attributes.get("type") or "").lower() == "image"):
            words = " ".join((attributes.get("alt") or "").split())
            if words and words not in self.pictures[-_MOST_NAMES:]:
                self.pictures.append(words)
        elif tag in _STRUCK:
            self.struck += 1
        elif tag == "details":
            self.closed_details += "open" not in attributes
        elif tag == "frame":
            self.frames.append(attributes.get("src") or "")
        elif tag == "embed":
            self.media += 1

    def add(self, inner: "PageFindings") -> None:
        """Adds what a page inside this one holds."""
        self.hidden = self.hidden or inner.hidden
        self.passwords += inner.passwords
        self.media += inner.media
        self.struck += inner.struck
        self.readings += inner.readings
        self.closed_details += inner.closed_details
        self.frames += inner.frames
        self.pictures += inner.pictures

    def notes(self) -> list[str]:
        """What the person who looks at the row should know."""
        counts = (
            (self.passwords, "{} left out", "filled password field"),
            (self.media, "{} not read", "embedded object"),
            (self.readings, "{} left out that stand above letters", "reading"),
            (self.struck, "{} read as the rest", "struck-out passage"),
            (self.closed_details, "{} read that the page shows only when it is opened", "part"),
        )
        notes = ["hidden text was left out"] if self.hidden else []
        notes += [text.format(human_count(count, noun)) for count, text, noun in counts if count]
        notes += _listed("frame", self.frames)
        return notes + _listed("picture", self.pictures)


def _listed(noun: str, names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(name[:_MOST_CHARACTERS] for name in names[:_MOST_NAMES] if name)
    return [f"{human_count(len(names), noun)} not read" + (f": {shown}" if shown else "")]
