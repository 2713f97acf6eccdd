"""Where the value of a field stands in a document's text, as stretches that a screen can mark."""

from appliance.tasks.linecode import Value
from appliance.tasks.values import find, find_span, value_texts

MOST_CHARACTERS = 200_000
"""How much of a text is wrapped and shown."""
Span = tuple[int, int]
"""Start and end in the text, in characters."""


def evidence_spans(value: Value, place: int | None, text: str) -> list[Span]:
    """The stretches of the text that hold the value; none where it is not there word for word.

    Args:
        place: Offset of the value, of the first entry of a list, or of the first cell of records, as the row
            states it.
    """
    if not value or place is None:
        return []
    first, *others = value_texts(value) or [""]
    places = [place, *(find(entry, text) for entry in others)]
    return [
        span
        for entry, at in zip([first, *others], places, strict=True)
        if at is not None
        for span in _span(entry, at, text)
    ]


def _span(value: str, place: int, text: str) -> list[Span]:
    # Marks, blanks and parted words may make the stretch longer than the value.
    span = find_span(value, text[place : place + 4 * len(value) + 64])
    return [(place, place + span[1])] if span and span[0] == 0 else []
