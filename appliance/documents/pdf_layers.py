"""Layers of a PDF (optional content): what the file says is switched off gets a mark that can be read off a page.

PDFium tells that a text belongs to a layer but not to which. So each dictionary of a layer that is off gets one key
more, whose name nobody knows before, in a copy of the file; a form or an image of such a layer becomes empty there.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from appliance.documents.pdf_objects import Dictionary, PdfObjects, Reference, Value

_MAX_DEEP = 30
_MAX_STEPS = 200_000
"""Of all judgements of conditions over layers, which may point at others over and over."""
_EMPTY_FORM = b"<</Type/XObject/Subtype/Form/BBox[0 0 0 0]/Length 0>>stream\n\nendstream"
_START_XREF = re.compile(rb"startxref\s+(\d+)")


@dataclass
class HiddenLayers:
    """What is off."""

    copy: bytes
    """The file with its marks."""
    mark: str
    """Key of the dictionaries that are off."""
    annotations: set[int] = field(default_factory=set)
    """Where the dictionaries begin that belong to a layer that is off, in the copy that was looked at."""
    emptied: int = 0
    """Forms of such a layer, which may have held text."""


class _States:
    """Which layers a viewer shows when it opens the file."""

    def __init__(self, objects: PdfObjects) -> None:
        self._objects = objects
        default = objects.entry(objects.catalog, "OCProperties", "D")
        self._base_is_off = objects.entry(default, "BaseState") == "OFF"
        self._on, self._off = _numbers(objects.array(default, "ON")), _numbers(objects.array(default, "OFF"))
        self._viewed: set[int] = set()
        for usage in objects.array(default, "AS")[:1000]:
            categories = [objects.resolve(one) for one in objects.array(usage, "Category")]
            if objects.entry(usage, "Event") == "View" and "View" in categories:
                self._viewed |= _numbers(objects.array(usage, "OCGs"))
        self._known: dict[int, bool] = {}
        """Conditions that were judged, by where they begin."""
        self._steps = 0

    def is_hidden(self, value: Value) -> bool:
        """Whether a layer, or a condition over layers, is off."""
        return not self._is_on(value, 0)

    def _is_on(self, value: Value, depth: int) -> bool:
        self._steps += 1
        layer = self._objects.resolve(value)
        if not isinstance(layer, Dictionary) or depth > _MAX_DEEP or self._steps > _MAX_STEPS:
            return True
        if self._objects.entry(layer, "Type") == "OCMD":
            if layer.start not in self._known:
                self._known[layer.start] = True  # for one that leads back to itself
                self._known[layer.start] = self._condition(layer, depth)
            return self._known[layer.start]
        number = value.number if isinstance(value, Reference) else self._objects.number_at(layer.start)
        if number in self._viewed:
            state = self._objects.entry(layer, "Usage", "View", "ViewState")
            if state is not None:
                return state != "OFF"
        return number in self._on if self._base_is_off and number not in self._off else number not in self._off

    def _condition(self, condition: Dictionary, depth: int) -> bool:
        expression = self._objects.array(condition, "VE")
        if expression:
            return self._expression(expression, depth + 1)
        layers = condition.values.get("OCGs")
        listed = self._objects.resolve(layers)
        members = listed if isinstance(listed, list) else [layers]
        states = [
            self._is_on(member, depth + 1)
            for member in members[:10_000]
            if isinstance(self._objects.resolve(member), Dictionary)
        ]
        if not states:
            return True
        policy = self._objects.text(condition, "P")
        if policy in ("AllOff", "AnyOff"):
            states = [not state for state in states]
        return all(states) if policy.startswith("All") else any(states)

    def _expression(self, expression: list[Value], depth: int) -> bool:
        """A condition written as an operator and its operands, which may be conditions themselves."""
        self._steps += 1
        if depth > _MAX_DEEP or self._steps > _MAX_STEPS:
            return True
        operator = self._objects.resolve(expression[0]) if expression else None
        states = []
        for operand in expression[1:1000]:
            inner = self._objects.resolve(operand)
            states.append(
                self._expression(inner, depth + 1) if isinstance(inner, list) else self._is_on(operand, depth + 1)
            )
        if operator == "Not":
            return not states[0] if states else True
        return any(states) if operator == "Or" else all(states)


def hidden_layers(objects: PdfObjects) -> HiddenLayers | None:
    """The file with a mark on all that belongs to a layer that is off; None where none is."""
    if objects.dictionary(objects.catalog, "OCProperties") is None:
        return None
    states = _States(objects)
    mark = "H" + hashlib.sha256(objects.copy).hexdigest()[:24]
    hidden = HiddenLayers(b"", mark)
    marks: dict[int, set[int]] = {}
    emptied: set[int] = set()
    for number in {*objects.mentions(b"/OCG"), *objects.mentions(b"/OCMD"), *objects.mentions(b"/OC")}:
        top = objects.resolve(Reference(number))
        for part in _dictionaries(top):
            is_layer = objects.entry(part, "Type") in ("OCG", "OCMD")
            if is_layer and states.is_hidden(Reference(number) if part is top else part):
                marks.setdefault(number, set()).add(part.start + 2)
            elif "OC" in part.values and states.is_hidden(part.values["OC"]):
                hidden.annotations.add(part.start)
                if part is top and objects.entry(part, "Subtype") in ("Form", "Image"):
                    emptied.add(number)
                    hidden.emptied += objects.entry(part, "Subtype") == "Form"
    hidden.copy = _with_marks(objects, mark.encode("ascii"), marks, emptied) if marks or emptied else objects.copy
    return hidden if marks or emptied or hidden.annotations else None


def _numbers(values: list[Value]) -> set[int]:
    return {value.number for value in values if isinstance(value, Reference)}


def _dictionaries(value: Value) -> Iterator[Dictionary]:
    """All dictionaries in an object."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Dictionary):
            yield one
            waiting += one.values.values()
        elif isinstance(one, list):
            waiting += one


def _with_marks(objects: PdfObjects, mark: bytes, marks: dict[int, set[int]], emptied: set[int]) -> bytes:
    """The file with changed objects after its end, as an editor appends them."""
    parts = [objects.copy, b"\n"]
    position = len(objects.copy) + 1
    table = [b"xref\n"]
    for number in sorted({*marks, *emptied}):
        changed = b"%d 0 obj\n%s\nendobj\n" % (number, _EMPTY_FORM)
        if number not in emptied:
            start, end = objects.span(number)
            pieces = []
            for place in sorted(marks[number]):
                pieces += [objects.copy[start:place], b"/%s true " % mark]
                start = place
            changed = b"".join([*pieces, objects.copy[start:end].rstrip(), b"\n"])
        table.append(b"%d 1\n%010d 00000 n\r\n" % (number, position))
        parts.append(changed)
        position += len(changed)
    previous = _START_XREF.search(objects.copy, max(len(objects.copy) - 64, 0))
    root = objects.trailer.values.get("Root") if objects.trailer else None
    if previous is None or not isinstance(root, Reference):
        return objects.copy
    trailer = b"trailer\n<</Root %d 0 R/Size %d/Prev %s>>\nstartxref\n%d\n%%%%EOF\n"
    ending = trailer % (root.number, objects.count, previous.group(1), position)
    return b"".join([*parts, *table, ending])
