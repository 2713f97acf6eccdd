"""Text controls of Word documents that are bound to an XML data part: Word shows what the part says.

Programs that fill in contracts often write the data part alone, and leave in the text what the template had.
"""

import re
from xml.etree import ElementTree

from appliance.documents.archive import Package
from appliance.documents.word_styles import WORD

_ITEM = "{http://schemas.openxmlformats.org/officeDocument/2006/customXml}itemID"
_STEP = re.compile(r"/(@?)(?:([\w.-]{1,60}):)?([\w.-]{1,200})(?:\[(\d{1,6})\])?")
_PREFIX = re.compile(r"xmlns:([\w.-]{1,60})\s*=\s*['\"]([^'\"]{1,500})['\"]")
_MAX_STEPS = 50


def read_data_parts(package: Package, document: str) -> dict[str, ElementTree.Element]:
    """Roots of the XML data parts of a document by their identifiers."""
    parts: dict[str, ElementTree.Element] = {}
    for name in package.related(document, "customXml"):
        for properties_name in package.related(name, "customXmlProps"):
            properties, root = package.parse_if_there(properties_name), package.parse_if_there(name)
            if properties is not None and root is not None:
                parts[properties.get(_ITEM, "").lower()] = root
    return parts


def show_bound_values(root: ElementTree.Element, parts: dict[str, ElementTree.Element]) -> None:
    """Puts the value of its data part into each control of plain text that says something else."""
    for control in root.iter(WORD + "sdt") if parts else ():
        properties, content = control.find(WORD + "sdtPr"), control.find(WORD + "sdtContent")
        binding = properties.find(WORD + "dataBinding") if properties is not None else None
        if properties is None or content is None or binding is None or properties.find(WORD + "text") is None:
            continue
        data = parts.get(binding.get(WORD + "storeItemID", "").lower())
        value = _value_at(data, binding) if data is not None else ""
        texts = list(content.iter(WORD + "t"))
        if not value.strip() or not texts or "".join(text.text or "" for text in texts).split() == value.split():
            continue
        for prompt in properties.findall(WORD + "showingPlcHdr"):
            properties.remove(prompt)
        for text in texts:
            text.text = value if text is texts[0] else None


def _value_at(data: ElementTree.Element, binding: ElementTree.Element) -> str:
    """The text at the place that a binding names; empty where it names none, or one that is no text."""
    path, prefixes = binding.get(WORD + "xpath", ""), dict(_PREFIX.findall(binding.get(WORD + "prefixMappings", "")))
    steps = list(_STEP.finditer(path))
    if "".join(step.group() for step in steps) != path or len(steps) > _MAX_STEPS:
        return ""
    element: ElementTree.Element | None = None
    for step in steps:
        sign, prefix, name, place = step.groups()
        tag = f"{{{prefixes.get(prefix, '')}}}{name}" if prefix else name
        if sign:
            return element.get(tag, "") if element is not None else ""
        same = [child for child in ([data] if element is None else element) if child.tag == tag]
        index = int(place or 1) - 1
        if not 0 <= index < len(same):
            return ""
        element = same[index]
    return element.text or "" if element is not None and not len(element) else ""
