"""Files inside a PDF: those of the whole document, as in a portfolio, and those that are pinned to a page."""

import ctypes
import hashlib
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from appliance.documents.attachments import Attachment
from appliance.documents.pdf_objects import Dictionary, PdfObjects

MAX_ATTACHMENTS = 200
_MAX_ALL_BYTES = 256 << 20
_MAX_ONE_BYTES = 64 << 20
_MAX_NAME_BYTES = 4096


class EmbeddedFiles:
    """Collects the files, each once."""

    def __init__(self) -> None:
        self.files: list[Attachment] = []
        self.left_out = 0
        self._seen: set[bytes] = set()
        self._all_bytes = 0

    def add_of_document(self, document: pypdfium2.PdfDocument) -> None:
        """Adds the files that belong to the whole document."""
        count = pdfium.FPDFDoc_GetAttachmentCount(document.raw)
        self.left_out += max(count - MAX_ATTACHMENTS, 0)
        for index in range(min(count, MAX_ATTACHMENTS)):
            self._add(pdfium.FPDFDoc_GetAttachment(document.raw, index))

    def add_of_page(self, page: pypdfium2.PdfPage, index: int) -> None:
        """Adds the file that an annotation of the page holds."""
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, index)
        if annotation:
            self._add(pdfium.FPDFAnnot_GetFileAttachment(annotation))
            pdfium.FPDFPage_CloseAnnot(annotation)

    def add_associated(self, objects: PdfObjects, holder: Dictionary) -> None:
        """Adds the files that the document or a page says to belong to it, as an invoice its data."""
        for value in objects.array(holder, "AF")[:MAX_ATTACHMENTS]:
            name = objects.text(value, "UF") or objects.text(value, "F")
            stream = objects.entry(value, "EF", "UF") or objects.entry(value, "EF", "F")
            if isinstance(stream, Dictionary):
                data = objects.stream_data(stream, min(_MAX_ONE_BYTES, _MAX_ALL_BYTES - self._all_bytes))
                self._keep(name, data, "" if data is not None else "it cannot be extracted")

    def _add(self, handle: Any) -> None:
        if handle:
            self._keep(_name(handle), *self._data(handle))

    def _keep(self, name: str, data: bytes | None, why: str) -> None:
        mark = hashlib.sha256(name.encode("utf-8", "replace") + b"\0" + (data or b"")).digest()
        if mark in self._seen:
            return
        self._seen.add(mark)
        if len(self.files) >= MAX_ATTACHMENTS:
            self.left_out += 1
            return
        self._all_bytes += len(data or b"")
        self.files.append(Attachment(name, data, left_out=why))

    def _data(self, handle: Any) -> tuple[bytes | None, str]:
        """What a file holds, or why it is left out."""
        size = ctypes.c_ulong()
        if not pdfium.FPDFAttachment_GetFile(handle, None, 0, size):
            return None, "it cannot be extracted"
        if size.value > _MAX_ONE_BYTES or self._all_bytes + size.value > _MAX_ALL_BYTES:
            return None, "the embedded files are too large"
        buffer = ctypes.create_string_buffer(max(size.value, 1))
        if not pdfium.FPDFAttachment_GetFile(handle, buffer, size.value, size):
            return None, "it cannot be extracted"
        return buffer.raw[: size.value], ""


def _name(handle: Any) -> str:
    buffer = (ctypes.c_ushort * (_MAX_NAME_BYTES // 2))()
    size = pdfium.FPDFAttachment_GetName(handle, buffer, _MAX_NAME_BYTES)
    return bytes(buffer)[: min(size, _MAX_NAME_BYTES)].decode("utf-16-le", "replace").rstrip("\x00")
