"""Books (EPUB) to text: the chapters in reading order, each as its web page reads."""

import urllib.parse

from appliance.documents.archive import Package, resolve
from appliance.documents.html import read_html
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.text_lines import Lines

_CONTAINER = "META-INF/container.xml"
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document", "text/xml",
          "application/xml", "text/xhtml")  # fmt: skip
"""The last ones are wrong or old, and stand in books all the same."""


def read_book(package: Package) -> tuple[str, list[str]]:
    """Text and notes of an EPUB; chapters are separated by an empty line.

    Raises:
        DocumentError: The file is broken, its text is encrypted, or it is too large.
    """
    chapters, unread = _chapters(package)
    encrypted = _encrypted(package)
    if encrypted.intersection(chapters):
        raise DocumentError(Problem.ENCRYPTED, "the book is protected against reading by other programs")
    lines, notes = Lines(), [f"a chapter that is no web page ({kind[:40]}) was not read" for kind in unread]
    for name in chapters:
        if name not in package:
            notes.append(f"the chapter {name[:60]} is missing")
            continue
        text, page_notes = read_html(package.read(name))
        notes += [note for note in page_notes if note not in notes]
        if text.strip():
            lines.add(("\n" if lines else "") + text)
    return lines.text(), notes


def _chapters(package: Package) -> tuple[list[str], list[str]]:
    """Names of the parts with text, each once, in reading order; and the types of chapters of other kinds."""
    root = package.parse(_CONTAINER)
    book = next((element.get("full-path", "") for element in root.iter() if _name(element.tag) == "rootfile"), "")
    folder = book.rpartition("/")[0]
    pages: dict[str, str] = {}
    others: dict[str, str] = {}
    order: list[str] = []
    for element in package.parse(book).iter():
        if _name(element.tag) == "item" and element.get("media-type", "") in _PAGES:
            pages[element.get("id", "")] = resolve(folder, urllib.parse.unquote(element.get("href", "")))
        elif _name(element.tag) == "item":
            others[element.get("id", "")] = element.get("media-type", "")
        elif _name(element.tag) == "itemref":
            order.append(element.get("idref", ""))
    unread = dict.fromkeys(others[page] for page in order if page in others)
    return list(dict.fromkeys(pages[page] for page in order if page in pages)), list(unread)


def _encrypted(package: Package) -> set[str]:
    """Parts that are encrypted; fonts often are in books that everybody may read."""
    root = package.parse_if_there("META-INF/encryption.xml")
    return {
        urllib.parse.unquote(element.get("URI", ""))
        for element in (root.iter() if root is not None else ())
        if _name(element.tag) == "CipherReference"
    }


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]
