"""Formulas of web pages (MathML) on one line: the signs between the parts of a fraction, a power or an index."""

from dataclasses import dataclass, field

from appliance.documents.html_nesting import OpenElement

_SIGNS = {"mfrac": ("/",), "msup": ("^",), "msub": ("_",), "msubsup": ("_", "^"), "mover": ("^",), "munder": ("_",),
          "munderover": ("_", "^"), "mroot": (" root ",)}  # fmt: skip


@dataclass
class Formulas:
    """The open parts of formulas that are written below or above one another."""

    _open: list[OpenElement] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)
    """Parts of each that have begun."""

    def begin(self, element: OpenElement, parent: OpenElement | None) -> str:
        """Takes an element that begins; gives the sign that stands before it."""
        sign = ""
        if self._open and self._open[-1] is parent:
            self._counts[-1] += 1
            signs = _SIGNS[parent.tag]
            sign = signs[self._counts[-1] - 2] if 2 <= self._counts[-1] < len(signs) + 2 else ""
        if element.tag in _SIGNS:
            self._open.append(element)
            self._counts.append(0)
        return sign + ("\u221a" if element.tag == "msqrt" else "")

    def end(self, element: OpenElement) -> None:
        """Takes an element that ends."""
        if self._open and self._open[-1] is element:
            self._open.pop()
            self._counts.pop()
