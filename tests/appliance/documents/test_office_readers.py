"""Office files with known text: numbering, tables, dates, hidden parts, order, and what must not be read twice."""

import io
import zipfile
from datetime import datetime

import pytest

from appliance.documents.document_text import read_document
from appliance.documents.number_format import NumberFormat
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sniffing import DocumentType, document_type
from tests.appliance.documents.document_files import (
    CHART,
    DRAWING,
    OFFICE,
    WORD,
    archive,
    book,
    opendocument,
    relations,
    shape,
    slides,
    word,
    workbook,
)  # fmt: skip


def lines(data: bytes) -> list[str]:
    return read_document(data).text.splitlines()


def problem_of(data: bytes) -> Problem:
    with pytest.raises(DocumentError) as caught:
        read_document(data)
    return caught.value.problem


def numbered(text: str, level: int, number: int = 1) -> str:
    return (
        f'<w:p><w:pPr><w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr></w:pPr>'
        f"<w:r><w:t>{text}</w:t></w:r></w:p>"
    )


LEGAL = (
    '<w:abstractNum w:abstractNumId="7">'
    '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="Article %1"/></w:lvl>'
    '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:isLgl/><w:lvlText w:val="%1.%2"/></w:lvl>'
    '<w:lvl w:ilvl="2"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="(%3)"/></w:lvl>'
    "</w:abstractNum>"
    '<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>'
    '<w:num w:numId="2"><w:abstractNumId w:val="7"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/>'
    "</w:lvlOverride></w:num>"
)


def test_docx_lists_carry_the_numbers_that_word_counts() -> None:
    body = "".join(
        [numbered("Scope", 0), numbered("Goods", 1), numbered("Boxes", 2), numbered("Bags", 2), numbered("Services", 1),
         numbered("Term", 0), numbered("Start", 1), numbered("Annex", 0, 2)]
    )  # fmt: skip
    assert lines(word(body, numbering=LEGAL)) == [
        "Article I Scope", "1.1 Goods", "(a) Boxes", "(b) Bags", "1.2 Services", "Article II Term", "2.1 Start",
        "Article I Annex",
    ]  # fmt: skip


def test_docx_heading_style_brings_its_numbering() -> None:
    styles = (
        '<w:style w:styleId="Base"><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
        '<w:style w:styleId="Heading"><w:basedOn w:val="Base"/></w:style>'
    )
    paragraph = '<w:p><w:pPr><w:pStyle w:val="Heading"/></w:pPr><w:r><w:t>Scope</w:t></w:r></w:p>'
    assert lines(word(paragraph * 2, styles=styles, numbering=LEGAL)) == ["Article I Scope", "Article II Scope"]


def test_docx_leaves_out_deleted_and_hidden_text_and_says_so() -> None:
    body = (
        "<w:p><w:r><w:t>kept </w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r><w:ins><w:r><w:t>added</w:t></w:r></w:ins></w:p>"
    )
    found = read_document(word(body))
    assert found.text == "kept added\n"
    assert found.notes == ["hidden text was left out", "deleted text of tracked changes was left out"]


def test_docx_table_inside_a_cell_is_read_once() -> None:
    inner = "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>inner</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    body = f"<w:tbl><w:tr><w:tc>{inner}</w:tc><w:tc><w:p><w:r><w:t>outer</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    assert lines(word(body)) == ["inner\touter"]


def test_docx_comments_follow_the_text_with_their_author() -> None:
    comment = '<w:comment w:author="Ann"><w:p><w:r><w:t>Is this right?</w:t></w:r></w:p></w:comment>'
    assert lines(word("<w:p><w:r><w:t>Total 5</w:t></w:r></w:p>", comments=comment)) == [
        "Total 5", "[comment by Ann] Is this right?",
    ]  # fmt: skip


def test_docx_formulas_are_on_one_line() -> None:
    space = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'

    def run(text: str) -> str:
        return f"<m:r><m:t>{text}</m:t></m:r>"

    formula = (
        f"<w:p><m:oMath {space}>{run('a=')}<m:f><m:num>{run('b')}</m:num><m:den>{run('c')}</m:den></m:f>"
        f"<m:sSup><m:e>{run('x')}</m:e><m:sup>{run('2')}</m:sup></m:sSup></m:oMath></w:p>"
    )
    assert lines(word(formula)) == ["a=(b)/(c)x^(2)"]


def test_docx_in_strict_namespaces_is_read() -> None:
    strict = {
        "_rels/.rels": relations(("officeDocument", "word/document.xml")),
        "word/document.xml": '<w:document xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main"><w:body><w:p><w:r>'
        "<w:t>strict</w:t></w:r></w:p></w:body></w:document>",
    }
    assert lines(archive(strict)) == ["strict"]


def test_docx_chart_is_a_small_table() -> None:
    def points(*values: str) -> str:
        return "".join(f'<c:pt idx="{index}"><c:v>{value}</c:v></c:pt>' for index, value in enumerate(values))

    months = f"<c:formatCode>mmm yyyy</c:formatCode>{points('45778', '45809')}"
    chart = (
        f'<c:chartSpace xmlns:c="{CHART}" xmlns:a="{DRAWING}"><c:chart><c:title><a:p><a:r><a:t>Sales</a:t></a:r></a:p>'
        f"</c:title><c:ser><c:tx>{points('North')}</c:tx><c:cat>{months}</c:cat>"
        f"<c:val><c:formatCode>0.0%</c:formatCode>{points('0.125', '4')}</c:val></c:ser></c:chart></c:chartSpace>"
    )
    body = f'<w:p><w:r><w:drawing><c:chart xmlns:c="{CHART}" xmlns:r="{OFFICE}" r:id="r1"/></w:drawing></w:r></w:p>'
    document = {
        "_rels/.rels": relations(("officeDocument", "word/document.xml")),
        "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        "word/_rels/document.xml.rels": relations(("chart", "charts/chart1.xml")),
        "word/charts/chart1.xml": chart,
    }
    assert [line for line in lines(archive(document)) if line] == [
        "Sales", "\tNorth", "May 2025\t12.5%", "Jun 2025\t400.0%",
    ]  # fmt: skip


FORMATS = (
    '<numFmts><numFmt numFmtId="164" formatCode="dd/mm/yyyy"/><numFmt numFmtId="165" formatCode="0.0%"/>'
    '<numFmt numFmtId="166" formatCode="[h]:mm"/><numFmt numFmtId="167" formatCode="&quot;day&quot; 0.00"/></numFmts>'
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="22"/><xf numFmtId="166"/>'
    '<xf numFmtId="167"/></cellXfs>'
)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('<c r="A1"><v>0.1000000000000000055</v></c>', "0.1"),
        ('<c r="A1"><v>1234567</v></c>', "1234567"),
        ('<c r="A1" s="1"><v>45000</v></c>', "2023-03-15"),
        ('<c r="A1" s="3"><v>45000.5</v></c>', "2023-03-15 12:00:00"),
        ('<c r="A1" s="4"><v>0.25</v></c>', "6:00"),
        ('<c r="A1" s="2"><v>0.125</v></c>', "12.5%"),
        ('<c r="A1" s="5"><v>7.5</v></c>', "day 7.50"),
        ('<c r="A1" t="b"><v>1</v></c>', "TRUE"),
        ('<c r="A1" t="e"><v>#DIV/0!</v></c>', "#DIV/0!"),
        ('<c r="A1" t="str"><f>A2</f><v>made</v></c>', "made"),
        ('<c r="A1"><f>SUM(B1:B2)</f></c>', "=SUM(B1:B2)"),
        ('<c r="A1" t="inlineStr"><is><t>in </t><t>line</t></is></c>', "in line"),
        ('<c r="A1" t="s"><v>0</v></c>', "rich text"),
    ],
    ids=["float", "integer", "date", "moment", "time", "share", "words-are-no-date", "boolean", "error", "formula-text",
         "formula-unsolved", "inline", "shared"],
)  # fmt: skip
def test_xlsx_cells_read_as_a_person_sees_them(cell: str, text: str) -> None:
    strings = "<si><r><t>rich </t></r><r><t>text</t></r><rPh><t>aid</t></rPh></si>"
    assert lines(workbook({"S": f"<row>{cell}</row>"}, strings, FORMATS)) == ["S", text]


def test_xlsx_keeps_columns_and_leaves_out_empty_rows_and_hidden_sheets() -> None:
    rows = (
        '<row r="1"><c r="A1"><v>1</v></c><c r="C1"><v>3</v></c></row><row r="2"/>'
        '<row r="3"><c r="B3"><v>2</v></c></row>'
    )
    found = read_document(workbook({"One": rows, "Two": rows, "Empty": ""}, hidden=("Two",)))
    assert found.text.splitlines() == ["One", "1\t\t3", "\t2"]
    assert found.notes == ["the hidden sheet Two was left out"]


def test_pptx_is_in_the_order_of_the_show_with_titles_first() -> None:
    first = shape("body of one") + shape("Title one", "title")
    table = "<a:tbl>" + "".join(
        "<a:tr>" + "".join(f"<a:tc><a:txBody><a:p><a:r><a:t>{cell}</a:t></a:r></a:p></a:txBody></a:tc>" for cell in row)
        + "</a:tr>" for row in ("ab", "cd")
    ) + "</a:tbl>"  # fmt: skip
    second = f"<p:grpSp>{shape('in a group')}</p:grpSp><p:graphicFrame>{table}</p:graphicFrame>"
    assert lines(slides(first, second, notes="say hello")) == [
        "Title one", "body of one", "Notes: say hello", "", "in a group", "a\tb", "c\td",
    ]  # fmt: skip


def test_odt_lists_footnotes_and_tables() -> None:
    styles = (
        '<text:list-style style:name="L"><text:list-level-style-number text:level="1" style:num-format="1" '
        'style:num-suffix="."/><text:list-level-style-number text:level="2" style:num-format="a" style:num-suffix=")"/>'
        "</text:list-style>"
    )
    body = (
        '<text:h text:outline-level="1">Terms<text:note><text:note-citation>1</text:note-citation><text:note-body>'
        "<text:p>as agreed</text:p></text:note-body></text:note></text:h>"
        '<text:list text:style-name="L"><text:list-item><text:p>one</text:p><text:list><text:list-item>'
        "<text:p>inner</text:p></text:list-item></text:list></text:list-item>"
        "<text:list-item><text:p>two</text:p></text:list-item></text:list>"
        '<text:p>a<text:s text:c="3"/>b<text:tab/>c<text:line-break/>d</text:p>'
        '<table:table><table:table-row><table:table-cell table:number-columns-repeated="2"><text:p>x</text:p>'
        "</table:table-cell><table:table-cell><text:p>y</text:p></table:table-cell></table:table-row></table:table>"
    )
    assert lines(opendocument(body, styles)) == [
        "Terms1", "1. one", "a) inner", "2. two", "a   b\tc", "d", "x\tx\ty", "1 as agreed",
    ]  # fmt: skip


def test_odt_leaves_out_hidden_and_deleted_text() -> None:
    style = '<style:style style:name="P1"><style:text-properties text:display="none"/></style:style>'
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        "<text:p text:style-name='P1'>secret</text:p><text:p>shown</text:p>"
    )
    found = read_document(opendocument(body, style))
    assert (found.text, found.notes) == ("shown\n", ["hidden text was left out"])


def test_encrypted_odt_is_encrypted() -> None:
    assert problem_of(opendocument("<text:p>x</text:p>", manifest="<manifest:encryption-data/>")) is Problem.ENCRYPTED


def test_epub_chapters_are_in_reading_order_and_each_once() -> None:
    chapters = {"b.xhtml": "<h1>Second</h1><p>more</p>", "a.xhtml": "<p>First</p>"}
    assert lines(book(chapters, ["a.xhtml", "b.xhtml", "a.xhtml"])) == ["First", "", "Second", "more"]


def test_epub_chapters_of_odd_types_are_read_or_noted() -> None:
    data = book({"a.html": "<p>First</p>", "b.svg": "", "c.html": "<p>Third</p>"}, ["a.html", "b.svg", "c.html"])
    parts = {
        name: zipfile.ZipFile(io.BytesIO(data)).read(name) for name in zipfile.ZipFile(io.BytesIO(data)).namelist()
    }
    kinds = [b"text/x-oeb1-document", b"image/svg+xml"]
    for kind in kinds:
        parts["OPS/book.opf"] = parts["OPS/book.opf"].replace(b"application/xhtml+xml", kind, 1)
    document = read_document(archive({**parts}))
    assert document.text == "First\n\nThird\n"
    assert document.notes == ["a chapter that is no web page (image/svg+xml) was not read"]


def test_epub_with_encrypted_chapters_is_encrypted_but_one_with_encrypted_fonts_is_read() -> None:
    chapters = {"a.xhtml": "<p>First</p>"}
    assert problem_of(book(chapters, ["a.xhtml"], encrypted="a.xhtml")) is Problem.ENCRYPTED
    assert lines(book(chapters, ["a.xhtml"], encrypted="font.otf")) == ["First"]


def test_zip_with_a_password_is_encrypted() -> None:
    data = bytearray(word("<w:p><w:r><w:t>x</w:t></w:r></w:p>"))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(mark)
        while start >= 0:
            data[start + offset] |= 1
            start = data.find(mark, start + 4)
    assert problem_of(bytes(data)) is Problem.ENCRYPTED


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (word("<w:p/>"), DocumentType.WORD), (workbook({"S": ""}), DocumentType.WORKBOOK),
        (slides(shape("x")), DocumentType.SLIDES), (opendocument(""), DocumentType.OPENDOCUMENT),
        (book({}, []), DocumentType.BOOK), (archive({"a.txt": "x"}), None),
        (b"a,b\n1,2\n", DocumentType.TABLE), (b"Dear Sir,\nthank you, and good bye,\n", DocumentType.TEXT),
        (b"# Title\n\n- one\n", DocumentType.TEXT), (b"{\\rtf1 x}", DocumentType.RTF),
        (b"\x89PNG\r\n\x1a\n", DocumentType.IMAGE), (b"From: a\nTo: b\n\nhello", DocumentType.MAIL),
    ],
    ids=["docx", "xlsx", "pptx", "odt", "epub", "zip", "csv", "letter", "markdown", "rtf", "png", "eml"],
)  # fmt: skip
def test_type_is_found_by_content(data: bytes, kind: DocumentType | None) -> None:
    assert document_type(data) is kind


def test_type_is_found_in_the_first_bytes_of_a_long_archive() -> None:
    assert document_type(word("<w:p/>")[:900]) is DocumentType.WORD


@pytest.mark.parametrize(
    ("written", "year", "shown"),
    [
        ("2958465.999988", 1899, "9999-12-31 23:59:59"), ("2958465.9999999", 1899, "9999-12-31 23:59:59"),
        ("2958466", 1899, "2958466"), ("2957003.5", 1904, "9999-12-31 12:00:00"), ("2957004", 1904, "2957004"),
        ("1e300", 1904, "1e+300"), ("nan", 1899, "nan"),
    ],
)  # fmt: skip
def test_xlsx_date_beyond_the_calendar_stays_a_number(written: str, year: int, shown: str) -> None:
    epoch = {1899: datetime(1899, 12, 30), 1904: datetime(1904, 1, 1)}[year]
    assert NumberFormat("dd/mm/yyyy hh:mm:ss").number_text(float(written), epoch) == shown
