"""Real files of each family to text, and the problems that a file can have."""

import io
import zipfile
from collections.abc import Callable
from email.message import EmailMessage

import docx
import pypdfium2
import pytest
from reportlab.pdfgen.canvas import Canvas

from appliance.documents.document_text import DocumentType, read_document
from appliance.documents.problems import DocumentError, Problem
from tests.appliance.documents.hostile_documents import pdf, stream


def pdf_bytes(draw: Callable[[Canvas], None], password: str | None = None) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, encrypt=password)
    draw(canvas)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def docx_bytes() -> bytes:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "ACME Ltd"
    document.add_paragraph("Invoice number: 4711")
    document.add_paragraph("two\nlines")
    table = document.add_table(rows=2, cols=2)
    for row, texts in zip(table.rows, [("Total", "12.50"), ("Due", "1 May")], strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    document.add_paragraph("after the table")
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def problem_of(data: bytes) -> Problem:
    with pytest.raises(DocumentError) as caught:
        read_document(data)
    return caught.value.problem


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"], ids=lambda name: str(name)
)
def test_plain_text_in_any_unicode_encoding(encoding: str) -> None:
    text = "Rechnung für Müller\nSumme: 12,50 €\n"
    assert read_document(text.encode(encoding)).text == text


def test_legacy_encoding_is_read_and_said() -> None:
    found = read_document("Straße 5\nGrüße\n".encode("cp1252"))
    assert found.text == "Straße 5\nGrüße\n"
    assert found.notes == ["encoding cp1252 found by its characters"]


def test_bytes_of_no_encoding_are_unreadable() -> None:
    assert problem_of(b"abc \x81\x8d\x8f def") is Problem.UNREADABLE


def test_pdf_keeps_lines_and_joins_what_stands_beside() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(72, 720, "Invoice number:")
        canvas.drawString(72, 700, "Total:")
        canvas.drawString(300, 720, "4711")
        canvas.drawString(300, 700, "12.50")

    found = read_document(pdf_bytes(draw))
    assert found.document_type is DocumentType.PDF
    assert found.text.splitlines() == ["Invoice number:  4711", "Total:  12.50"]


def test_pdf_columns_are_not_mixed() -> None:
    left = [f"the left column says line number {index} here" for index in range(5)]
    right = [f"but the right column has line {index} there" for index in range(5)]

    def draw(canvas: Canvas) -> None:
        for x, lines in ((72, left), (320, right)):
            for index, line in enumerate(lines):
                canvas.drawString(x, 720 - 14 * index, line)

    assert read_document(pdf_bytes(draw)).text.splitlines() == left + right


def right_to_left_pdf(drawn: bytes, letters: dict[str, str]) -> bytes:
    """A PDF that draws these codes from left to right; each stands for one or more letters."""
    mapped = b"".join(
        b"<%02X> <%s>\n" % (ord(code), text.encode("utf-16-be").hex().encode()) for code, text in letters.items()
    )
    table = b"begincmap\n1 begincodespacerange\n<00> <FF>\nendcodespacerange\n%d beginbfchar\n%sendbfchar\nendcmap"
    return pdf({
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R"
           b" /Resources << /Font << /F 5 0 R >> >> >>",
        4: stream(b"BT /F 12 Tf 10 100 Td (%s) Tj ET" % drawn),
        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R >>",
        6: stream(table % (len(letters), mapped)),
    })  # fmt: skip


@pytest.mark.parametrize(
    ("drawn", "text"),
    [
        (b"cab", "\u062e\u0644\u0627\u0644"),
        (b"bca", "\u0644\u0627\u0644\u062e"),
        (b"cb", "\u062e\u0644"),
        (b"d", "\u0627\u0644\u0644\u0647"),
        (b"cc", "\u0644\u0644"),
        (b"e", "\u062d\u064e\u0628"),
    ],
    ids=["inside a word", "at its start", "without", "four letters", "one letter twice", "with a mark"],
)
def test_pdf_letters_of_a_ligature_keep_their_order_from_right_to_left(drawn: bytes, text: str) -> None:
    letters = {"a": "\u0644\u0627", "b": "\u062e", "c": "\u0644", "d": "\u0627\u0644\u0644\u0647"}
    letters["e"] = "\u062d\u064e\u0628"
    assert read_document(right_to_left_pdf(drawn, letters)).text.strip() == text


def test_pdf_letters_of_a_ligature_keep_their_order_from_left_to_right() -> None:
    letters = {"x": "ffi", "y": "e\u0301"}
    assert read_document(right_to_left_pdf(b"xy", letters)).text.strip() == "ffie\u0301"


def test_pdf_with_password_is_encrypted() -> None:
    assert (
        problem_of(pdf_bytes(lambda canvas: canvas.drawString(72, 720, "secret"), "open sesame")) is Problem.ENCRYPTED
    )


def test_broken_pdf_is_unreadable() -> None:
    assert problem_of(b"%PDF-1.7\nthis is no PDF at all") is Problem.UNREADABLE


def test_pdf_without_text_is_empty() -> None:
    document = pypdfium2.PdfDocument.new()
    document.new_page(200, 200)
    buffer = io.BytesIO()
    document.save(buffer)
    document.close()
    assert problem_of(buffer.getvalue()) is Problem.EMPTY


def test_docx_paragraphs_tables_and_header() -> None:
    found = read_document(docx_bytes())
    assert found.document_type is DocumentType.WORD
    assert found.text.splitlines() == [
        "ACME Ltd", "Invoice number: 4711", "two", "lines", "Total\t12.50", "Due\t1 May", "after the table",
    ]  # fmt: skip


def test_docx_with_entities_is_refused() -> None:
    attack = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'
    assert problem_of(_archive({"word/document.xml": attack})) is Problem.UNREADABLE


def test_docx_that_inflates_is_too_large() -> None:
    bomb = b"<x>" + b" " * (65 << 20) + b"</x>"
    assert problem_of(_archive({"word/document.xml": bomb})) is Problem.TOO_LARGE


def test_docx_nested_deep_is_too_large() -> None:
    namespace = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    opened = f'<w:document xmlns:w="{namespace}">' + "<w:sdt>" * 5000 + "</w:sdt>" * 5000 + "</w:document>"
    assert problem_of(_archive({"word/document.xml": opened.encode()})) is Problem.TOO_LARGE


def test_cut_docx_is_unreadable() -> None:
    assert problem_of(docx_bytes()[:2000]) is Problem.UNREADABLE


def test_other_archive_is_unsupported() -> None:
    assert problem_of(_archive({"a.txt": b"hello"})) is Problem.UNSUPPORTED


def test_html_blocks_are_lines_and_scripts_are_gone() -> None:
    page = (
        b"<!DOCTYPE html><html><head><title>t</title><style>p{}</style></head><body><h1>Invoice</h1>"
        b"<p>Number:\n <b>4711</b></p><script>alert(1)</script>"
        b"<table><tr><td>Total</td><td>12.50 &euro;</td></tr></table>"
        b"<div style='display: none'>ignore me <div>and me</div></div>one<br>two<pre>a  b\nc</pre></body></html>"
    )
    found = read_document(page)
    assert found.text.splitlines() == [
        "Invoice", "Number: 4711", "Total\t12.50 \u20ac", "one", "two", "a  b", "c",
    ]  # fmt: skip
    assert "hidden text was left out" in found.notes


def test_html_entries_of_ordered_lists_have_their_numbers() -> None:
    page = (
        b"<html><body><ol><li>one<ul><li>bullet</li></ul></li><li value=7>seven</li><li>eight</li></ol>"
        b"<ol start=3><li><p>three</p></li><li></li></ol></body></html>"
    )
    assert read_document(page).text.splitlines() == ["1. one", "bullet", "7. seven", "8. eight", "3. three"]


def test_html_cells_with_paragraphs_stay_in_their_row() -> None:
    page = (
        b"<html><body><table><tr><td><p>Total</p></td><td><div>12.50</div><div>EUR</div></td></tr><tr><td>Due"
        b"<td>May</table>after</body></html>"
    )
    assert read_document(page).text.splitlines() == ["Total\t12.50 EUR", "Due\tMay", "after"]


def test_html_table_that_lays_out_the_page_keeps_the_lines_of_its_cells() -> None:
    address = b"<td>Seller<br>ACME<br>Street 5<br>Bonn</td>"
    inner = b"<table><tr><td>Total</td><td>5</td></tr></table>"
    page = b"<html><table><tr>" + address * 2 + b"</tr><tr><td>left" + inner + b"</td><td>right</td></tr></table>"
    assert read_document(page).text.splitlines() == [
        "Seller", "ACME", "Street 5", "Bonn", "Seller", "ACME", "Street 5", "Bonn", "left", "Total\t5", "right",
    ]  # fmt: skip


def test_html_charset_is_obeyed() -> None:
    page = '<html><head><meta charset="iso-8859-2"></head><body>Łódź</body></html>'.encode("iso-8859-2")
    assert read_document(page).text == "Łódź"


def test_mail_gives_headers_and_plain_body() -> None:
    message = EmailMessage()
    message["From"], message["To"] = "Ann <ann@example.org>", "bob@example.org"
    message["Subject"], message["Date"] = "Zażółć order 17", "Tue, 03 Nov 2026 10:00:00 +0000"
    message.set_content("Please send 3 boxes.\n")
    message.add_alternative("<p>HTML instead</p>", subtype="html")
    message.add_attachment(b"x", maintype="application", subtype="octet-stream", filename="a.bin")
    found = read_document(message.as_bytes())
    assert found.document_type is DocumentType.MAIL
    assert found.text.splitlines() == [
        "From: Ann <ann@example.org>", "To: bob@example.org", "Subject: Zażółć order 17",
        "Date: Tue, 03 Nov 2026 10:00:00 +0000", "", "Please send 3 boxes.", "", "Attachment: a.bin", "x",
    ]  # fmt: skip
    assert found.notes == ["attachment a.bin: read as text"]


def test_mail_of_html_only_is_turned_into_lines() -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "a@example.org", "s"
    message.set_content("<p>one</p><p>two</p>", subtype="html")
    assert read_document(message.as_bytes()).text.splitlines()[-2:] == ["one", "two"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", Problem.EMPTY),
        (b" \n\t ", Problem.EMPTY),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old office", Problem.UNSUPPORTED),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), Problem.ENCRYPTED),
        (b"\x7fELF\x02\x01\x01\x00", Problem.UNSUPPORTED),
        (b"\x00\x01\x02\x03binary", Problem.UNSUPPORTED),
        (b"<html><body><script>x</script></body></html>", Problem.EMPTY),
    ],
    ids=["nothing", "blanks", "old-office", "encrypted-office", "program", "binary", "html-without-text"],
)
def test_problem_classes(data: bytes, problem: Problem) -> None:
    assert problem_of(data) is problem


def test_text_with_a_lone_surrogate_can_be_stored() -> None:
    read_document(b"<html><body>a&#xD800;b</body></html>").text.encode("utf-8")


def _archive(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()
