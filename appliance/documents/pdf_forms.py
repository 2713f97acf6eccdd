"""Form fields of a PDF page: what was filled in, from the field itself rather than from what is drawn for it."""

import re
from dataclasses import dataclass
from enum import Enum

from appliance.documents.html import html_text
from appliance.documents.layout import Piece
from appliance.documents.pdf_glyphs import Box
from appliance.documents.pdf_objects import Dictionary, Name, PdfObjects, Value, text_of

MARKED, UNMARKED = "[x]", "[ ]"
_LINE_HEIGHT = 12.0
_LETTER_WIDTH = 6.0
_MAX_VALUE_BYTES = 1 << 20
_MAX_FIELDS = 500_000
_MULTILINE, _PASSWORD, _COMB = 1 << 12, 1 << 13, 1 << 24
_RADIO, _PUSH_BUTTON, _COMBO = 1 << 15, 1 << 16, 1 << 17
_NUMBER = re.compile(r"[^\d]+")


class Drawing(Enum):
    """What becomes of what is drawn for a field."""

    KEPT = "kept"
    REPLACED = "replaced"
    COMPARED = "compared"
    """Replaced where it says something else than the field."""


@dataclass(frozen=True)
class FormField:
    """A field at one place of a page."""

    lines: tuple[str, ...]
    """What it was filled in with."""
    box: Box
    drawing: Drawing
    is_password: bool = False
    has_format: bool = False
    """Whether a script says how its value is written."""

    @property
    def text(self) -> str:
        """The value on one line."""
        return " ".join(self.lines)

    def agrees(self, drawn: str) -> bool:
        """Whether what is drawn is the value, perhaps written out as an amount is."""
        shown, value = _squashed(drawn), _squashed(self.text)
        if value in shown:
            return True
        digits, shown_digits = _NUMBER.sub("", value).lstrip("0"), _NUMBER.sub("", shown).lstrip("0")
        is_number = not re.search(r"[^\W\d]", value)
        return bool(is_number and digits and shown_digits.rstrip("0") == digits.rstrip("0"))

    def pieces(self) -> list[Piece]:
        """The value as pieces at its place; the lines of one with several follow each other downwards."""
        left, right, bottom, top = self.box
        if len(self.lines) == 1:
            middle, half = (bottom + top) / 2, min((top - bottom) / 2, _LINE_HEIGHT / 2)
            right = min(right, left + max(_LETTER_WIDTH * len(self.lines[0]), _LINE_HEIGHT))
            return [Piece(self.lines[0], left, right, middle - half, middle + half)]
        height = min(_LINE_HEIGHT, (top - bottom) / max(len(self.lines), 1))
        return [
            Piece(line, left, right, top - height * (number + 1), top - height * number)
            for number, line in enumerate(self.lines)
        ]


def form_field(objects: PdfObjects, widget: Dictionary) -> FormField | None:
    """The field of an annotation; None where it has no place, or is none that can be filled in."""
    box = objects.box(widget, "Rect")
    kind = objects.inherited(widget, "FT")
    flags_value = objects.inherited(widget, "Ff")
    flags = int(flags_value) if isinstance(flags_value, float) else 0
    if box is None:
        return None
    if kind == "Btn":
        return None if flags & _PUSH_BUTTON else _mark(objects, widget, box, is_one_of_several=bool(flags & _RADIO))
    if kind == "Ch":
        # A list shows all its options, and marks the chosen ones by colour alone.
        is_combo = bool(flags & _COMBO)
        chosen = tuple(filter(None, (" ".join(text.split()) for text in _chosen(objects, widget))))
        return FormField(chosen, box, Drawing.COMPARED if is_combo else Drawing.REPLACED)
    if kind != "Tx":
        return None
    value = _text(objects, objects.inherited(widget, "V"))
    value = value if value.strip() else plain_of_rich(_text(objects, objects.inherited(widget, "RV")))
    lines = tuple(filter(None, (" ".join(line.split()) for line in value.splitlines())))
    if flags & _PASSWORD:
        return FormField((), box, Drawing.REPLACED, is_password=bool(lines))
    is_one_line = not flags & (_MULTILINE | _COMB)
    has_format = objects.entry(widget, "AA", "F") is not None
    return FormField(
        lines, box, Drawing.COMPARED if is_one_line or not lines else Drawing.REPLACED, has_format=has_format
    )


def _mark(objects: PdfObjects, widget: Dictionary, box: Box, is_one_of_several: bool) -> FormField:
    """A check box or one of several round ones."""
    drawings = objects.dictionary(widget, "AP", "N")
    names = [name for name in (drawings.values if drawings else ()) if name != "Off"]
    state, value = objects.entry(widget, "AS"), objects.inherited(widget, "V")
    values = [str(one) for one in (value if isinstance(value, list) else [value]) if isinstance(one, Name)]
    values += [text_of(value)] if isinstance(value, bytes) else []
    if set(names) & set(values):
        is_marked = True
    elif isinstance(state, Name) and not (is_one_of_several and values and "Off" not in values):
        is_marked = state != "Off"
    else:
        is_marked = not names and bool(values) and "Off" not in values
    return FormField((MARKED if is_marked else UNMARKED,), box, Drawing.REPLACED)


def _chosen(objects: PdfObjects, widget: Dictionary) -> list[str]:
    """The options that are chosen, as they are shown."""
    value = objects.inherited(widget, "V")
    values = [_text(objects, one) for one in (value if isinstance(value, list) else [value])]
    labels: dict[str, str] = {}
    options = objects.inherited(widget, "Opt")
    for option in options if isinstance(options, list) else []:
        pair = objects.resolve(option)
        if isinstance(pair, list) and len(pair) > 1:
            labels.setdefault(_text(objects, pair[0]), _text(objects, pair[1]))
    return [labels.get(one, one) for one in values]


def _text(objects: PdfObjects, value: Value) -> str:
    value = objects.resolve(value)
    if isinstance(value, Dictionary):
        value = objects.stream_data(value, _MAX_VALUE_BYTES)
    if isinstance(value, float) and not isinstance(value, bool):
        return f"{value:.12g}"
    text = text_of(value) if isinstance(value, bytes) else str(value) if isinstance(value, Name) else ""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def plain_of_rich(markup: str) -> str:
    """The lines of a formatted text, which PDF writes as a small web page."""
    return html_text(markup)[0] if markup.strip() else ""


def _squashed(text: str) -> str:
    return "".join(text.split()).casefold()


def fields_without_place(objects: PdfObjects) -> int:
    """How many filled fields of the form stand on no page."""
    return sum(
        1
        for node in objects.tree(objects.array(objects.catalog, "AcroForm", "Fields"), _MAX_FIELDS)
        if "Rect" not in node.values
        and not objects.array(node, "Kids")
        and objects.inherited(node, "FT") in ("Tx", "Ch")
        and _text(objects, objects.inherited(node, "V")).strip()
    )
