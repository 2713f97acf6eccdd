"""Which documents are read by code in Python alone."""

from appliance.documents.sniffing import DocumentType, document_type

_PLAIN_TYPES = frozenset({DocumentType.TEXT, DocumentType.TABLE, DocumentType.HTML, DocumentType.RTF})


def is_plain_family(data: bytes) -> bool:
    """Whether no native parser runs on this document: PDFium, zlib, expat and image libraries are some.

    Mails are not among them, as what is attached can be of any kind.
    """
    kind = document_type(data)
    return kind in _PLAIN_TYPES or (kind is None and not data.startswith(b"PK"))
