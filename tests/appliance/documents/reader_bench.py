"""A reader process in the hands of a test, and small documents for it."""

import os
from pathlib import Path

from appliance.documents.sandbox import Reader, ReadReply
from tests.appliance.documents import hostile_documents as hostile

PATIENT = 120.0


def read(reader: Reader, folder: Path, name: str) -> ReadReply:
    reader.start(folder, os.fsencode(name))
    assert reader.connection is not None
    reader.connection.poll(PATIENT)
    return reader.finish()


def reader_pid(reader: Reader) -> int:
    assert reader._child is not None
    return reader._child.process.pid


def parsers(reader: Reader) -> list[int]:
    """The processes that the reader process keeps."""
    pid = reader_pid(reader)
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def simple_pdf() -> bytes:
    text = b"BT /F 12 Tf 10 100 Td (Total 42) Tj ET"
    return hostile.pdf({
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R"
           b" /Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        4: hostile.stream(text),
    })  # fmt: skip


def simple_docx() -> bytes:
    return hostile.docx(hostile.word_body("<w:p><w:r><w:t>Total 42</w:t></w:r></w:p>"))
