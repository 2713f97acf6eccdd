"""Where the value of a field stands in a document's text, as stretches that a screen can mark."""

import re

from appliance.tasks.linecode import Value
from appliance.tasks.values import find

Span = tuple[int, int]
"""Start and end in the text, in characters."""


def evidence_spans(value: Value, place: int | None, text: str) -> list[Span]:
    """The stretches of the text that hold the value; none where it is not there word for word.

    Args:
        place: Offset of the value, or of the first entry of a list, as the row states it.
    """
    if not value or place is None:
        return []
    if isinstance(value, list):
        places = [place, *(find(entry, text) for entry in value[1:])]
        return [
            span for entry, at in zip(value, places, strict=True) if at is not None for span in _span(entry, at, text)
        ]
    return _span(value, place, text)


def _span(value: str, place: int, text: str) -> list[Span]:
    words = r"\s+".join(map(re.escape, value.split()))
    match = re.compile(words, re.IGNORECASE).match(text, place) if words else None
    return [(place, match.end())] if match else []
