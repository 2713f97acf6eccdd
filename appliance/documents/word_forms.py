"""Forms and fields in Word documents: prompts that nobody replaced, boxes and lists, and what a field shows."""

from xml.etree import ElementTree

from appliance.documents.word_equations import instruction_text
from appliance.documents.word_styles import WORD, is_on, value_of

CHECKED, UNCHECKED = "\u2612", "\u2610"
_MAX_INSTRUCTION = 2000
_TEXTS = frozenset((WORD + "t", WORD + "sym", WORD + "tab", WORD + "br"))


class Fields:
    """Which text of a part is the instruction of a field, which may hold fields itself, rather than its result."""

    def __init__(self, root: ElementTree.Element) -> None:
        kinds = [mark.get(WORD + "fldCharType") for mark in root.iter(WORD + "fldChar")]
        # A field that never ends would hide the rest of the document.
        self._balanced = kinds.count("begin") == kinds.count("end")
        self._open: list[bool] = []
        self._instructions: list[str] = []

    def pass_mark(self, mark: ElementTree.Element) -> str | None:
        """Takes the mark that begins a field, ends its instruction, or ends it.

        Returns:
            What the field shows by its instruction alone: a formula, or the sign of a font, which is empty where it is
            unknown.
        """
        kind = mark.get(WORD + "fldCharType")
        if kind == "begin":
            self._open.append(True)
            self._instructions.append("")
        elif self._open and kind in ("separate", "end"):
            sign = instruction_text(self._instructions[-1])
            # The result of such a field is empty, or the same sign.
            self._instructions[-1] = ""
            self._open[-1] = sign is not None
            if kind == "end":
                self._open.pop()
                self._instructions.pop()
            return None if sign is None or any(self._open[:-1]) else sign
        return None

    def pass_instruction(self, text: str) -> None:
        """Takes a piece of a field's instruction."""
        if self._instructions and len(self._instructions[-1]) < _MAX_INSTRUCTION:
            self._instructions[-1] += text

    @property
    def in_instruction(self) -> bool:
        """Whether what comes now is no text that is shown."""
        return self._balanced and any(self._open)


def form_field_text(field: ElementTree.Element) -> str:
    """What a box or a list of the old forms shows; its text fields have their text in the document."""
    box = field.find(WORD + "checkBox")
    if box is not None:
        state = is_on(box, "checked")
        state = is_on(box, "default") if state is None else state
        return CHECKED if state else UNCHECKED
    options = field.find(WORD + "ddList")
    if options is None:
        return ""
    entries = [entry.get(WORD + "val", "") for entry in options.iter(WORD + "listEntry")]
    chosen = value_of(options, "result") or value_of(options, "default") or "0"
    index = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 6 else len(entries)
    return entries[index] if index < len(entries) else ""


def empty_placeholders(root: ElementTree.Element) -> None:
    """Takes the prompt out of every content control that nobody has filled in."""
    waiting = [(root, False)]
    while waiting:
        element, is_prompt = waiting.pop()
        if element.tag == WORD + "sdt":
            is_prompt = is_prompt or bool(is_on(element.find(WORD + "sdtPr"), "showingPlcHdr"))
        if is_prompt and element.tag in _TEXTS:
            element.text = None
            element.tag = WORD + "proofErr"
        waiting += [(child, is_prompt) for child in element]
