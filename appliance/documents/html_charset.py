"""Which character set a web page declares, and where a declaration counts."""

import codecs
import re

_LOOKED_AT_BYTES = 1 << 16
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_XML = re.compile(rb"\s*<\?xml\b[^>]{0,500}?\bencoding\s*=\s*[\"']([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_TAG = re.compile(rb"<(?:!--|(meta|script|style|title|textarea|body)\b)", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"([a-z-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_IN_CONTENT = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_NAME = re.compile(rb"[A-Za-z0-9_.:-]+")


def declared_charset(data: bytes) -> str | None:
    """The character set that the page declares in its head, or as XML; None where a mark of its own says it.

    A declaration inside a comment, a script or a style is none.
    """
    if data.startswith(_MARKS):
        return None
    head = data[:_LOOKED_AT_BYTES]
    name = _in_meta(head)
    if name is None and (xml := _XML.match(head)):
        name = xml.group(1)
    return name.decode("ascii") if name else None


def _in_meta(head: bytes) -> bytes | None:
    position = 0
    while tag := _TAG.search(head, position):
        kind = (tag.group(1) or b"!--").lower()
        position = tag.end()
        if kind == b"meta":
            end = head.find(b">", position)
            name = _of_meta(head[position : end if end >= 0 else len(head)][:2000])
            if name:
                return name
        elif kind != b"body":
            end = head.find(b"-->" if kind == b"!--" else b"</" + kind, position)
            if end < 0:
                # The end may be written in large letters; a page has few of these.
                end = head.lower().find(b"</" + kind, position)
            if end < 0:
                return None
            position = end
    return None


def _of_meta(inside: bytes) -> bytes | None:
    values = {
        match.group(1).lower(): next((group for group in match.groups()[1:] if group is not None), b"")
        for match in _ATTRIBUTE.finditer(inside)
    }
    if b"charset" in values:
        name = _NAME.search(values[b"charset"])
        return name.group() if name else None
    if values.get(b"http-equiv", b"").strip().lower() == b"content-type":
        content = _IN_CONTENT.search(values.get(b"content", b""))
        return content.group(1) if content else None
    return None
