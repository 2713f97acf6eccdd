"""Small PDF files, written object by object, with what their makers put beside the text of a page."""

from tests.appliance.documents.hostile_documents import pdf, stream

FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
FIRST_FREE = 10
"""Number of the first object that a test may add."""


def shown(*lines: tuple[float, float, str]) -> bytes:
    """Operators that show texts at places."""
    return b"".join(b"BT /F1 10 Tf %g %g Td (%s) Tj ET\n" % (x, y, text.encode("cp1252")) for x, y, text in lines)


def page_pdf(
    contents: bytes,
    *,
    objects: dict[int, bytes] | None = None,
    page: bytes = b"",
    resources: bytes = b"",
    catalog: bytes = b"",
) -> bytes:
    """One page of 400 by 400 points with the font F1, and further objects from number 10 on."""
    return pdf({
        1: b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog,
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 400] /Contents 4 0 R /Resources"
           b" << /Font << /F1 5 0 R >> %s >> %s >>" % (resources, page),
        4: stream(contents),
        5: FONT,
        **(objects or {}),
    })  # fmt: skip


def form_pdf(contents: bytes, *widgets: bytes, form: bytes = b"", objects: dict[int, bytes] | None = None) -> bytes:
    """A page with form fields; a widget is the inside of its dictionary, further objects begin at number 100."""
    numbers = range(FIRST_FREE, FIRST_FREE + len(widgets))
    listed = b" ".join(b"%d 0 R" % number for number in numbers)
    fields = {
        number: b"<< /Type /Annot /Subtype /Widget /F 4 %s >>" % widget
        for number, widget in zip(numbers, widgets, strict=True)
    }
    return page_pdf(
        contents,
        page=b"/Annots [%s]" % listed,
        catalog=b"/AcroForm << /Fields [%s] /DA (/F1 10 Tf 0 g) %s >>" % (listed, form),
        objects={**fields, **(objects or {})},
    )


def drawing(contents: bytes) -> bytes:
    """What is drawn for a field of 200 by 20 points."""
    return stream(contents, b"/Type /XObject /Subtype /Form /BBox [0 0 200 20] /Resources << /Font << /F1 5 0 R >> >>")
