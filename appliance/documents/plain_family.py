"""Which documents are read by code in Python alone."""

from appliance.documents.sniffing import DocumentType

_PLAIN_TYPES = frozenset({DocumentType.TEXT, DocumentType.TABLE, DocumentType.HTML, DocumentType.RTF})


def is_plain_family(kind: DocumentType | None, data: bytes) -> bool:
    """Whether no native parser runs on a document of this type: PDFium, zlib, expat and image libraries are some.

    Mails are not among them, as what is attached can be of any kind.
    """
    return kind in _PLAIN_TYPES or (kind is None and not data.startswith(b"PK"))
