"""Parts of an Office file that its text points to and that no reader looked into: each kind is named in a note."""

import re
from collections import Counter
from xml.etree import ElementTree

from appliance.documents.archive import Package
from appliance.ground.text import human_count

_WITHOUT_TEXT = frozenset(
    "styles stylesWithEffects theme themeOverride settings webSettings fontTable font numbering hyperlink"
    " printerSettings calcChain sharedStrings worksheet chartsheet dialogsheet xlMacrosheet xlIntlMacrosheet slide"
    " slideLayout slideMaster notesMaster handoutMaster notesSlide presProps viewProps tableStyles tags commentAuthors"
    " authors person people thumbnail chartStyle chartColorStyle diagramLayout diagramQuickStyle diagramStyle"
    " diagramColors diagramDrawing commentsExtended commentsIds commentsExtensible documenttasks vmlDrawing table"
    " tableSingleCells queryTable pivotTable pivotCacheDefinition pivotCacheRecords connections sheetMetadata"
    " volatileDependencies slicer slicerCache timeline timelineCache revisionInfo changesInfo customXmlProps"
    " attachedTemplate keyMapCustomizations xmlMaps customProperty smartTags recipientData mailMergeSource"
    " mailMergeHeaderSource mailMergeRecipientData officeDocument vbaProjectSignature wordVbaData hdphoto"
    " rdRichValue rdRichValueStructure rdRichValueTypes richStyles richValueRel rdArray rdSupportingPropertyBag"
    " rdSupportingPropertyBagStructure featurePropertyBag namedSheetViews model3d legacyDrawingHF presentation"
    " presentationmetadata metadata".split()
)
"""Kinds of parts that say how something looks, or repeat what the text has."""
_NAMES = {
    "image": "picture", "oleObject": "embedded object", "package": "embedded file", "chart": "chart",
    "chartEx": "chart",
    "video": "film", "audio": "sound recording", "media": "media file", "control": "form control",
    "ctrlProp": "form control", "activeXControlBinary": "form control", "glossaryDocument": "glossary",
    "externalLink": "linked workbook", "externalLinkPath": "linked workbook",
    "externalLinkLongPath": "linked workbook", "subDocument": "subdocument", "aFChunk": "inserted document",
    "customXml": "XML data part", "vbaProject": "macro", "header": "page header", "footer": "page footer",
    "footnotes": "footnotes part", "endnotes": "endnotes part", "comments": "comments part",
    "diagramData": "diagram", "drawing": "drawing", "frame": "frame", "contentPart": "ink drawing",
    "ink": "ink drawing",
}  # fmt: skip
_FROM_PROGRAMS = (
    "{http://schemas.openxmlformats.org/officeDocument", "{http://schemas.microsoft.com/",
    "{http://purl.oclc.org/ooxml/officeDocument",
)  # fmt: skip
"""Namespaces of data parts that programs keep for themselves: sources of quotations, properties of servers."""
_MAX_PARTS = 5000
_WORDS = re.compile(r"\s+")


def unread_parts_note(package: Package, start: str, text: str) -> list[str]:
    """One note that counts the parts which were not read, by kind; none where there are none.

    Args:
        start: The part that all others hang from.
        text: What was read: a data part whose words all stand there is not named.
    """
    counts: Counter[str] = Counter()
    seen, waiting = {start}, [start]
    while waiting and len(seen) < _MAX_PARTS:
        part = waiting.pop()
        for relation in package.relations(part).values():
            # The table behind a chart is in the chart's own values.
            is_chart_data = relation.kind == "package" and "chart" in part
            if relation.kind in _WITHOUT_TEXT or relation.target in seen or is_chart_data:
                _go_on(package, relation.target, seen, waiting)
                continue
            if relation.external:
                seen.add(relation.target)
                counts[_name(relation.kind, "linked ")] += 1
            elif package.was_read(relation.target) and relation.kind != "customXml":
                _go_on(package, relation.target, seen, waiting)
            elif relation.target in package:
                seen.add(relation.target)
                if relation.kind != "customXml" or _says_more(package, relation.target, text):
                    counts[_name(relation.kind, "")] += 1
    listed = ", ".join(human_count(count, name) for name, count in sorted(counts.items()))
    return [f"parts of the file that were not read: {listed}"] if listed else []


def _go_on(package: Package, target: str, seen: set[str], waiting: list[str]) -> None:
    if target not in seen and package.was_read(target):
        seen.add(target)
        waiting.append(target)


def _name(kind: str, before: str) -> str:
    name = _NAMES.get(kind)
    if name is None:
        return f"{before}{''.join(filter(str.isalnum, kind))[:40]} part"
    return name if name.startswith("link") else before + name


def _says_more(package: Package, name: str, text: str) -> bool:
    """Whether a data part has words that the text has not."""
    root = package.parse_if_there(name)
    if root is None or root.tag.startswith(_FROM_PROGRAMS):
        return False
    return any(len(words) > 2 and words not in text for words in _words(root))


def _words(root: ElementTree.Element) -> list[str]:
    return [_WORDS.sub(" ", piece).strip() for piece in root.itertext()]
