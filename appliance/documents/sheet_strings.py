"""Strings of workbooks as a sheet shows them: raised digits, escaped characters, and codes of printed headers."""

import re
from xml.etree import ElementTree

from appliance.documents.raised_digits import lowered, raised, settled

_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_PAGE_NUMBER = re.compile(r"(?:(?<![^\s&])[^\W\d_]{1,12}\.?)?\s*&P(?:[+-]\d{1,4})?(?:\s*[^\s&\d]{0,12}\s*&N)?")
"""With the word before it (page, Seite) and the one before the number of pages; what has digits is none of them."""
_PAGE_PLACE = re.compile(r"(?<!&)&[LCR]")
_PAGE_CODE = re.compile(r'&(?:"[^"]*"|K[0-9A-Fa-f]{6}|K\d\d[+-]\d{3}|\d{1,3}|[BIUSEXYOHPNDTFAZG]|&)')


def shown_string(text: str) -> str:
    """A string with its escaped characters, such as `_x000D_`, put back."""
    if "_x" not in text:
        return text
    unescaped = _ESCAPE.sub(lambda escape: chr(int(escape.group(1), 16)), text)
    # Halves of a character are escaped one by one.
    whole = unescaped.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _CONTROL.sub("", whole)


def shared_string(element: ElementTree.Element) -> str:
    """A shared string without the reading aids that Japanese text carries."""
    runs = [child for child in element if child.tag in (_SHEET + "t", _SHEET + "r")]
    return shown_string(settled("".join(map(_run_text, runs))))


def _run_text(run: ElementTree.Element) -> str:
    text = (run.text if run.tag == _SHEET + "t" else run.findtext(_SHEET + "t")) or ""
    place = run.find(f"{_SHEET}rPr/{_SHEET}vertAlign")
    where = place.get("val", "") if place is not None else ""
    return raised(text) if where == "superscript" else lowered(text) if where == "subscript" else text


def page_text(code: str) -> str:
    """What a printed header or footer says, without its fonts, page numbers and dates; its parts are split by tabs."""
    pieces = (_PAGE_NUMBER.sub("", piece) for piece in _PAGE_PLACE.split(shown_string(code)))
    parts = [" ".join(_PAGE_CODE.sub(_page_sign, piece).split()) for piece in pieces]
    return "\t".join(part for part in parts if any(map(str.isalnum, part)))


def _page_sign(code: "re.Match[str]") -> str:
    return "&" if code.group() == "&&" else ""
