"""Headers and footers of Word documents that no page shows: a file keeps them after they were switched off."""

from xml.etree import ElementTree

from appliance.documents.archive import Package
from appliance.documents.charts import RELATION
from appliance.documents.word_styles import WORD, is_on

_REFERENCES = (WORD + "headerReference", WORD + "footerReference")


def unused_headers(package: Package, document: str, body: ElementTree.Element) -> set[str]:
    """Names of the parts that are meant for first or even pages where no page is told apart.

    Parts that no section refers to are not among them: programs that write no sections show them.
    """
    relations = package.relations(document)
    even_pages = any(
        bool(is_on(root, "evenAndOddHeaders"))
        for name in package.related(document, "settings")
        if (root := package.parse_if_there(name)) is not None
    )
    shown, switched_off = set[str](), set[str]()
    first_pages: dict[str, set[str]] = {}
    for section in body.iter(WORD + "sectPr"):
        # A section without a header of its own goes on with that of the section before it.
        for reference in section:
            relation = relations.get(reference.get(RELATION + "id", ""))
            if reference.tag not in _REFERENCES or relation is None:
                continue
            kind = reference.get(WORD + "type", "default")
            if kind == "first":
                first_pages[reference.tag] = {relation.target}
            (shown if kind == "default" or (kind == "even" and even_pages) else switched_off).add(relation.target)
        if is_on(section, "titlePg"):
            shown.update(*first_pages.values())
    return switched_off - shown
