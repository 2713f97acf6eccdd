"""Generated documents as the files that an office has: TXT, PDF, DOCX, HTML and EML."""

import html
import io
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

TOP, LEFT, LINE_HEIGHT, LINES_PER_PAGE = 800, 50, 13, 57
"""Of a printed A4 page, in points."""


def _txt(text: str, title: str) -> bytes:
    return (text + "\n").encode()


def _pdf(text: str, title: str) -> bytes:
    from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

    file = io.BytesIO()
    # invariant: no date and no random id in the file, so that a run can be repeated byte for byte.
    canvas = Canvas(file, pagesize=(595, 842), invariant=1)
    canvas.setTitle(title)
    lines = text.split("\n")
    for at in range(0, len(lines), LINES_PER_PAGE):
        canvas.setFont("Helvetica", 10)
        for number, line in enumerate(lines[at : at + LINES_PER_PAGE]):
            canvas.drawString(LEFT, TOP - number * LINE_HEIGHT, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def _docx(text: str, title: str) -> bytes:
    import datetime

    from docx import Document

    document = Document()
    document.core_properties.title = title
    document.core_properties.created = document.core_properties.modified = datetime.datetime(2026, 1, 1)
    for line in text.split("\n"):
        document.add_paragraph(line)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def _html(text: str, title: str) -> bytes:
    lines = "\n".join(f"<p>{html.escape(line)}</p>" for line in text.split("\n") if line.strip())
    page = f'<!doctype html>\n<html><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
    return f"{page}<style>p {{ margin: 0 }}</style></head>\n<body>\n{lines}\n</body></html>\n".encode()


def _eml(text: str, title: str) -> bytes:
    message = EmailMessage()
    message["From"] = "bills@utility.example.com"
    message["To"] = "office@example.com"
    message["Subject"] = title
    message["Date"] = "Mon, 05 Jan 2026 09:00:00 +0000"
    message["Message-ID"] = "<bill@utility.example.com>"
    message.set_content(text + "\n", charset="utf-8", cte="quoted-printable")
    return message.as_bytes()


WRITERS: dict[str, Callable[[str, str], bytes]] = {"txt": _txt, "pdf": _pdf, "docx": _docx, "html": _html, "eml": _eml}


def write_documents(
    folder: Path, texts: list[str], title: str, formats: tuple[str, ...] = tuple(WRITERS)
) -> list[Path]:
    """Writes each text as a file, the formats in turn; returns the paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, text in enumerate(texts, 1):
        suffix = formats[(number - 1) % len(formats)]
        path = folder / f"bill-{number:04}.{suffix}"
        path.write_bytes(WRITERS[suffix](text, title))
        paths.append(path)
    return paths
