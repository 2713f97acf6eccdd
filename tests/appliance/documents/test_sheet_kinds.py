"""Workbooks: what a sheet does not show, strings as XML cannot hold them, formulas without results, other parts."""

import pytest

from appliance.documents.document_text import read_document
from tests.appliance.documents.document_files import DRAWING, OFFICE, SHEET, archive, relations, workbook


def cell(reference: str, value: str, more: str = "") -> str:
    return f'<c r="{reference}" {more}><v>{value}</v></c>'


ROWS = (
    f'<row r="1">{cell("A1", "1")}{cell("B1", "2")}{cell("C1", "3")}</row>'
    f'<row r="2">{cell("A2", "4")}{cell("B2", "5")}{cell("C2", "6")}</row>'
)


def sheet_file(
    sheet: str, more: dict[str, bytes | str] | None = None, targets: tuple[tuple[str, str], ...] = ()
) -> bytes:
    parts: dict[str, bytes | str] = {
        "_rels/.rels": relations(("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets><sheet name="S" r:id="r1"/></sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": relations(("worksheet", "worksheets/sheet1.xml")),
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{SHEET}">{sheet}</worksheet>',
        "xl/worksheets/_rels/sheet1.xml.rels": relations(*targets),
    }
    return archive({**parts, **(more or {})})


@pytest.mark.parametrize(
    ("columns", "rows", "lines", "note"),
    [
        ('<col min="2" max="2" hidden="1"/>', ROWS, ["1\t3", "4\t6"], "columns"),
        ('<col min="2" max="16384" width="0"/>', ROWS, ["1", "4"], "columns"),
        ("", ROWS.replace('r="2"', 'r="2" hidden="1"', 1), ["1\t2\t3"], "rows"),
        ("", ROWS.replace('r="1"', 'r="1" ht="0" customHeight="1"', 1), ["4\t5\t6"], "rows"),
    ],
    ids=["column", "columns-without-width", "row", "row-without-height"],
)  # fmt: skip
def test_rows_and_columns_that_are_not_shown_are_left_out_with_a_note(
    columns: str, rows: str, lines: list[str], note: str
) -> None:
    found = read_document(sheet_file(f"<cols>{columns}</cols><sheetData>{rows}</sheetData>"))
    assert (found.text.splitlines()[1:], found.notes) == (lines, [f"hidden {note} were left out"])


def test_columns_that_are_not_listed_are_hidden_where_they_have_no_width() -> None:
    sheet = f'<sheetFormatPr defaultColWidth="0"/><cols><col min="1" max="2" width="9"/></cols><sheetData>{ROWS}'
    found = read_document(sheet_file(f"{sheet}</sheetData>"))
    assert (found.text.splitlines()[1:], found.notes) == (["1\t2", "4\t5"], ["hidden columns were left out"])


@pytest.mark.parametrize(
    ("code", "written", "shown"),
    [
        ("h:mm", "2025-07-04T14:30:00.000", "14:30:00"), ("mmm-yy", "2025-07-04", "Jul-25"),
        ("yyyy-mm-dd", "2025-07-04T00:00:00", "2025-07-04"), ("0.00", "2025-07-04T10:00", "2025-07-04 10:00"),
        ("h:mm", "2025-13-44", "2025-13-44"), (";;;", "2025-07-04", "2025-07-04"),
    ],
)  # fmt: skip
def test_date_that_is_stored_as_one_is_shown_by_its_format(code: str, written: str, shown: str) -> None:
    formats = (
        f'<numFmts><numFmt numFmtId="164" formatCode="{code}"/></numFmts><cellXfs><xf/><xf numFmtId="164"/></cellXfs>'
    )
    sheet = {"S": f'<row r="1"><c r="A1" t="d" s="1"><v>{written}</v></c></row>'}
    assert read_document(workbook(sheet, formats=formats)).text.splitlines()[1:] == [shown]


@pytest.mark.parametrize(
    ("switches", "lines"),
    [('differentFirst="1" differentOddEven="true"', ["Each", "Acme Ltd", "Left"]), ("", ["Each"])],
    ids=["on", "off"],
)  # fmt: skip
def test_headers_of_the_first_and_of_even_pages_are_read_where_they_are_printed(
    switches: str, lines: list[str]
) -> None:
    printed = (
        "<oddHeader>&amp;CEach</oddHeader><firstHeader>&amp;LAcme Ltd</firstHeader><evenFooter>&amp;LLeft</evenFooter>"
    )
    found = read_document(sheet_file(f"<sheetData>{ROWS}</sheetData><headerFooter {switches}>{printed}</headerFooter>"))
    assert found.text.splitlines()[3:] == lines


@pytest.mark.parametrize(
    ("hidden", "area", "lines"),
    [
        ('<cols><col min="1" max="1" hidden="1"/></cols>', "A1:C1", ["1", "5\t6"]),
        ("row", "A1:A2", ["1\t5\t6"]),
        ("row", "A1:B1", ["4\t5\t6"]),
    ],
    ids=["column", "row", "all-rows"],
)  # fmt: skip
def test_merged_cells_show_their_text_where_any_part_of_them_is_shown(hidden: str, area: str, lines: list[str]) -> None:
    rows = f'<row r="1">{cell("A1", "1")}</row>' + ROWS[ROWS.index('<row r="2"') :]
    if hidden == "row":
        rows, hidden = rows.replace('r="1"', 'r="1" hidden="1"', 1), ""
    merged = f'<mergeCells><mergeCell ref="{area}"/></mergeCells>'
    found = read_document(sheet_file(f"{hidden}<sheetData>{rows}</sheetData>{merged}"))
    assert found.text.splitlines()[1:] == lines


def test_raised_digits_of_strings_are_no_part_of_the_number_before_them() -> None:
    strings = '<si><r><t>100</t></r><r><rPr><vertAlign val="superscript"/></rPr><t>1</t></r></si>'
    data = workbook({"S": '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'}, strings=strings)
    assert read_document(data).text.splitlines() == ["S", "100¹"]


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("&amp;LBill 4711 &amp;P&amp;CINV-2024-001 &amp;P/&amp;N", "Bill 4711\tINV-2024-001"),
        ("&amp;CBill 5 Page &amp;P of &amp;N", "Bill 5"), ("&amp;CPage &amp;P+1", ""), ("&amp;CS. &amp;P/&amp;N", ""),
    ],
)  # fmt: skip
def test_page_numbers_take_no_other_number_with_them(code: str, line: str) -> None:
    data = sheet_file(f"<sheetData>{ROWS}</sheetData><headerFooter><oddHeader>{code}</oddHeader></headerFooter>")
    assert read_document(data).text.splitlines()[3:] == ([line] if line else [])


def test_cells_below_a_merged_one_are_left_out() -> None:
    merged = '<mergeCells><mergeCell ref="A1:B2"/></mergeCells>'
    found = read_document(sheet_file(f"<sheetData>{ROWS}</sheetData>{merged}"))
    assert (found.text.splitlines(), found.notes) == (
        ["S", "1\t\t3", "\t\t6"],
        ["hidden cells below others were left out"],
    )


def test_comment_on_a_hidden_cell_is_hidden_too() -> None:
    comments = (
        f'<comments xmlns="{SHEET}"><commentList><comment ref="B2"><text><t>secret</t></text></comment>'
        '<comment ref="A1"><text><t>open_x000D_words</t></text></comment></commentList></comments>'
    )
    data = sheet_file(
        f'<cols><col min="2" max="2" hidden="1"/></cols><sheetData>{ROWS}</sheetData>',
        {"xl/comments.xml": comments}, (("comments", "../comments.xml"),),
    )  # fmt: skip
    assert read_document(data).text.splitlines() == ["S", "1\t3", "4\t6", "[comment on A1 by ] open words"]


def test_values_that_their_format_hides_are_left_out_with_a_note() -> None:
    formats = '<numFmts><numFmt numFmtId="164" formatCode=";;;"/></numFmts><cellXfs><xf/><xf numFmtId="164"/></cellXfs>'
    rows = f"<row>{cell('A1', '7', 's=&quot;1&quot;'.replace('&quot;', chr(34)))}{cell('B1', '8')}</row>"
    found = read_document(workbook({"S": rows}, "", formats))
    assert (found.text.splitlines(), found.notes) == (["S", "\t8"], ["hidden values were left out"])


def test_cells_without_a_place_stand_side_by_side_and_empty_ones_count() -> None:
    rows = '<row><c><v>1</v></c><c/><c t="inlineStr"><is><t>x</t></is></c></row><row><c/><c><v>2</v></c></row>'
    assert read_document(sheet_file(f"<sheetData>{rows}</sheetData>")).text.splitlines() == ["S", "1\t\tx", "\t2"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [("a_x000D_b", "a b"), ("a_x000D__x000A_b", "a b"), ("_x005F_x000D_", "_x000D_"), ("_xD83D__xDE00_", "\U0001f600"),
     ("_x0041_", "A"), ("_x00_", "_x00_"), ("_xD83D_", "\ufffd"), ("a_x0007_b", "ab")],
)  # fmt: skip
def test_escaped_characters_are_put_back_in_all_strings(written: str, shown: str) -> None:
    rows = (
        f'<row><c t="s"><v>0</v></c><c t="inlineStr"><is><t>{written}</t></is></c><c t="str"><v>{written}</v></c></row>'
    )
    text = read_document(workbook({"S": rows}, f"<si><t>{written}</t></si>")).text
    assert text.splitlines()[1:] == ["\t".join([shown] * 3)]


@pytest.mark.parametrize(
    ("inside", "shown", "unsolved"),
    [
        ('t="str"><f>IF(A1,"")</f><v></v>', "", False), ('><f t="shared" si="0"/>', "", True),
        ("><f>A2</f>", "=A2", True),
        ('t="b"><f>A2</f><v>0</v>', "FALSE", False), ('t="e"><f>A2</f><v>#N/A</v>', "#N/A", False),
        ('t="d"><v>2025-07-04T00:00:00</v>', "2025-07-04", False),
        ('t="d"><v>2025-07-04</v>', "2025-07-04", False),
    ],
)  # fmt: skip
def test_formulas_and_dates_as_they_are_stored(inside: str, shown: str, unsolved: bool) -> None:
    found = read_document(sheet_file(f"<sheetData><row><c {inside}</c><c><v>9</v></c></row></sheetData>"))
    assert found.text.splitlines()[1:] == [f"{shown}\t9"]
    assert found.notes == ["formulas without a stored result are written as formulas"] * unsolved


def test_hidden_shapes_are_left_out_and_printed_headers_are_read() -> None:
    space = "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing"

    def shape(text: str, more: str = "") -> str:
        body = f"<x:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></x:txBody>"
        return f"<x:sp><x:nvSpPr><x:cNvPr {more}/></x:nvSpPr>{body}</x:sp>"

    drawing = (
        f'<x:wsDr xmlns:x="{space}" xmlns:a="{DRAWING}"><x:twoCellAnchor>{shape("shown")}'
        f"<x:grpSp><x:nvGrpSpPr><x:cNvPr hidden='1'/></x:nvGrpSpPr>{shape('in a group')}</x:grpSp>"
        f"{shape('secret', 'hidden=&quot;1&quot;'.replace('&quot;', chr(34)))}</x:twoCellAnchor></x:wsDr>"
    )
    header = (
        '<headerFooter><oddHeader>&amp;L&amp;"Arial,Bold"&amp;12Acme &amp;&amp; Co'
        "&amp;RPage &amp;P of &amp;N</oddHeader>"
        "<oddFooter>&amp;C&amp;D</oddFooter></headerFooter>"
    )
    data = sheet_file(
        f"<sheetData>{ROWS}</sheetData>{header}", {"xl/drawing.xml": drawing}, (("drawing", "../drawing.xml"),)
    )
    found = read_document(data)
    assert (found.text.splitlines()[3:], found.notes) == (["shown", "Acme & Co"], ["hidden shapes were left out"])


def test_parts_of_a_workbook_that_nobody_reads_are_named() -> None:
    targets = (
        ("oleObject", "../embeddings/o.bin"),
        ("ctrlProp", "../ctrlProps/c.xml"),
        ("printerSettings", "../p.bin"),
    )
    more: dict[str, bytes | str] = {"xl/embeddings/o.bin": b"x", "xl/ctrlProps/c.xml": b"<x/>", "xl/p.bin": b"x"}
    assert read_document(sheet_file(f"<sheetData>{ROWS}</sheetData>", more, targets)).notes == [
        "parts of the file that were not read: 1 embedded object, 1 form control"
    ]


def test_sheets_and_texts_that_are_missing_are_found_or_noted() -> None:
    sheets = '<sheet name="S" r:id="r1"/><sheet name="T" r:id="r9"/>'
    two = f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets>{sheets}'
    row = "<sheetData><row>" + cell("A1", "0", 't="s"') + cell("B1", "7", 't="s"') + "</row></sheetData>"
    texts = f'<sst xmlns="{SHEET}"><si><t>words</t></si></sst>'
    data = sheet_file(row, {"xl/workbook.xml": two + "</sheets></workbook>", "xl/sharedStrings.xml": texts})
    document = read_document(data)
    assert document.text == "S\nwords\n"
    assert document.notes == [
        "the sheet T is missing from the file", "cells whose text is missing from the file are empty",
    ]  # fmt: skip
