"""Forms in a PDF that are XML of their own (XFA): the data that they were filled in with."""

import ctypes
from dataclasses import dataclass, field
from xml.etree import ElementTree

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from appliance.documents.archive import parse_xml
from appliance.documents.problems import DocumentError

_MAX_BYTES = 32 << 20
_MAX_PACKETS = 100
_MAX_CAPTION = 300


@dataclass
class XfaForm:
    """What the XML of a form holds."""

    values: list[tuple[str, str]] = field(default_factory=list)
    """Caption or name of a field, and its value, in the order of the data."""
    is_readable: bool = True


def xfa_form(document: pypdfium2.PdfDocument) -> XfaForm | None:
    """The XML form of the document; None where it has none."""
    count = pdfium.FPDF_GetXFAPacketCount(document.raw)
    if count <= 0:
        return None
    packets = [_packet(document, index) for index in range(min(count, _MAX_PACKETS))]
    if sum(map(len, packets)) > _MAX_BYTES:
        return XfaForm(is_readable=False)
    # The packets are one XML document that was cut up; where it does not parse, the data may by itself.
    for data in (b"".join(packets), *(packet for packet in packets if b"datasets" in packet)):
        try:
            root = parse_xml(data, "the XFA form")
        except DocumentError:
            continue
        return XfaForm(_values(root))
    return XfaForm(is_readable=False)


def _packet(document: pypdfium2.PdfDocument, index: int) -> bytes:
    size = ctypes.c_ulong()
    if not pdfium.FPDF_GetXFAPacketContent(document.raw, index, None, 0, size) or size.value > _MAX_BYTES:
        return b""
    buffer = ctypes.create_string_buffer(max(size.value, 1))
    pdfium.FPDF_GetXFAPacketContent(document.raw, index, buffer, size.value, size)
    return buffer.raw[: size.value]


def _values(root: ElementTree.Element) -> list[tuple[str, str]]:
    captions: dict[str, str] = {}
    values: list[tuple[str, str]] = []
    for element in root.iter():
        name = _name(element)
        if name == "field" and (field_name := element.get("name")):
            caption = next((child for child in element if _name(child) == "caption"), None)
            text = " ".join("".join(caption.itertext()).split()) if caption is not None else ""
            if text and len(text) <= _MAX_CAPTION:
                captions.setdefault(field_name, text.rstrip(": "))
    sets = [root] if _name(root) == "datasets" else [element for element in root.iter() if _name(element) == "datasets"]
    for data in (child for one in sets for child in one if _name(child) == "data"):
        for element in data.iter():
            text = " ".join((element.text or "").split())
            if text and not len(element):
                name = _name(element)
                values.append((captions.get(name, name), text))
            elif _is_rich(element):
                values.append(
                    (captions.get(_name(element), _name(element)), " ".join("".join(element.itertext()).split()))
                )
    return values


def _is_rich(element: ElementTree.Element) -> bool:
    """Whether a field holds formatted text: a web page inside it."""
    return any(child.tag == "{http://www.w3.org/1999/xhtml}body" for child in element)


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
