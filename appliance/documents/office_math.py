"""Formulas of Office files on one line, with the signs that one types."""

from collections.abc import Callable
from xml.etree import ElementTree

MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_SPLIT = frozenset(
    MATH + name
    for name in ("f", "rad", "nary", "sSup", "sSub", "sSubSup", "sPre", "d", "m", "eqArr", "limLow", "limUpp")
)
_ROOTS = {"2": "\u221a", "3": "\u221b", "4": "\u221c"}
_INTEGRAL = "\u222b"

Inner = Callable[[ElementTree.Element], str]


def math_text(element: ElementTree.Element, inner: Inner) -> str:
    """A formula, or a part of one; `inner` gives the text of an element inside it."""
    if element.tag not in _SPLIT:
        return inner(element)
    kind = element.tag.removeprefix(MATH)
    if kind == "d":
        return _in_brackets(element, inner)
    if kind == "m":
        rows = [" ".join(inner(cell) for cell in row.iterfind(MATH + "e")) for row in element.iterfind(MATH + "mr")]
        return "; ".join(rows)
    if kind == "eqArr":
        return "; ".join(inner(line) for line in element.iterfind(MATH + "e"))
    parts = {child.tag.removeprefix(MATH): inner(child) for child in element}
    base, above, below = parts.get("e", ""), parts.get("sup", ""), parts.get("sub", "")
    if kind == "f":
        return f"({parts.get('num', '')})/({parts.get('den', '')})"
    scripts = (f"_({below})" if below else "") + (f"^({above})" if above else "")
    if kind == "rad":
        degree = parts.get("deg", "").strip() or "2"
        return f"{_ROOTS.get(degree) or f'({degree})' + _ROOTS['2']}({base})"
    if kind == "nary":
        return f"{_property(element, 'naryPr', 'chr', _INTEGRAL)}{scripts} {base}"
    if kind in ("limLow", "limUpp"):
        return f"{base}{'_' if kind == 'limLow' else '^'}({parts.get('lim', '')}) "
    return scripts + base if kind == "sPre" else base + scripts


def _in_brackets(element: ElementTree.Element, inner: Inner) -> str:
    start, end = _property(element, "dPr", "begChr", "("), _property(element, "dPr", "endChr", ")")
    return start + _property(element, "dPr", "sepChr", "|").join(map(inner, element.iterfind(MATH + "e"))) + end


def _property(element: ElementTree.Element, group: str, name: str, usual: str) -> str:
    """A sign that a formula says; one that it says nothing about is the usual one."""
    sign = element.find(f"{MATH}{group}/{MATH}{name}")
    return usual if sign is None else sign.get(MATH + "val", "")[:4]
