"""OpenDocument files: every way to hide, what is deleted or only a prompt, values without text, and parts not read."""

import pytest

from appliance.documents.document_text import read_document
from tests.appliance.documents.document_files import opendocument

TEXT_HIDDEN = "hidden text was left out"
STYLES = (
    '<style:style style:name="Off" style:family="{}"><style:text-properties text:display="none"/></style:style>'
    '<style:style style:name="Below" style:family="{}" style:parent-style-name="Off"/>'
    '<style:style style:name="On" style:family="text"><style:text-properties text:display="true"/></style:style>'
)


def read(body: str, automatic: str = "", styles: str = "", kind: str = "text") -> tuple[list[str], list[str]]:
    found = read_document(opendocument(body, automatic, styles, kind=kind))
    return found.text.splitlines(), found.notes


@pytest.mark.parametrize(
    ("secret", "family"),
    [
        ("<text:p text:style-name='Off'>x</text:p>", "paragraph"),
        ("<text:h text:style-name='Below'>x</text:h>", "paragraph"),
        ("<text:p><text:span text:style-name='Off'>x</text:span></text:p>", "text"),
        ("<text:p><text:a><text:span text:style-name='Below'>x</text:span></text:a></text:p>", "text"),
        ("<text:section text:display='none'><text:p>x</text:p></text:section>", "text"),
        ("<text:section text:display='condition' text:is-hidden='true'><text:p>x</text:p></text:section>", "text"),
        ("<text:p>x<text:hidden-paragraph text:is-hidden='true'/></text:p>", "text"),
        ("<text:p><text:hidden-text text:is-hidden='true'>x</text:hidden-text></text:p>", "text"),
    ],
    ids=["paragraph", "heading-based-on", "characters", "characters-based-on", "section", "conditional-section",
         "field-of-paragraph", "field-of-text"],
)  # fmt: skip
def test_hidden_text_is_left_out_however_it_is_hidden(secret: str, family: str) -> None:
    styles = STYLES.format(family, family)
    body = f"<text:p>before</text:p>{secret}<text:p>after</text:p>"
    for automatic, common in ((styles, ""), ("", styles)):
        assert read(body, automatic, common) == (["before", "after"], [TEXT_HIDDEN])


def test_text_that_is_shown_is_read() -> None:
    body = (
        "<text:p text:style-name='Off'>a<text:span text:style-name='On'>b</text:span></text:p>"
        "<text:p>c<text:hidden-paragraph text:is-hidden='false'/></text:p>"
        "<text:p><text:hidden-text text:is-hidden='false'>d</text:hidden-text></text:p>"
        "<text:section text:display='condition'><text:p>e</text:p></text:section>"
        "<text:p><text:span text:style-name='Off'>f</text:span></text:p>"
    )
    # A style of characters may be called like one of paragraphs.
    assert read(body, STYLES.format("paragraph", "paragraph")) == (["b", "c", "d", "e", "f"], [TEXT_HIDDEN])


def cell(text: str, more: str = "") -> str:
    return f"<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>"


ROW = f"<table:table-row>{cell('1')}{cell('2')}{cell('3')}</table:table-row>"


@pytest.mark.parametrize(
    ("inside", "lines", "note"),
    [
        (ROW + ROW.replace("row>", 'row table:visibility="collapse">', 1).replace("1", "4"), ["1\t2\t3"], "rows were"),
        (ROW + ROW.replace("row>", 'row table:visibility="filter">', 1), ["1\t2\t3"], "rows were"),
        (ROW + f'<table:table-row-group table:display="false">{ROW}</table:table-row-group>', ["1\t2\t3"], "rows were"),
        ('<table:table-column/><table:table-column table:visibility="collapse"/>' + ROW, ["1\t3"], "columns were"),
        ('<table:table-column/><table:table-column-group table:display="false"><table:table-column'
         ' table:number-columns-repeated="1000"/></table:table-column-group>' + ROW, ["1"], "columns were"),
        (ROW.replace(cell("2"), "<table:covered-table-cell><text:p>2</text:p></table:covered-table-cell>"), ["1\t\t3"],
         "cells were"),
    ],
    ids=["row", "filtered", "row-group", "column", "column-group", "covered"],
)  # fmt: skip
def test_rows_columns_and_cells_that_are_not_shown_are_left_out(inside: str, lines: list[str], note: str) -> None:
    sheet = f'<table:table table:name="S">{inside}</table:table>'
    assert read(sheet, kind="spreadsheet") == (["S", *lines], [f"hidden {note} left out"])


def test_hidden_sheets_slides_and_shapes_are_left_out() -> None:
    hides = '<style:table-properties table:display="false"/>'
    sheets = f'<style:style style:name="Gone" style:family="table">{hides}</style:style>'
    body = (
        f'<table:table table:name="A">{ROW}</table:table><table:table table:name="B" table:style-name="Gone">{ROW}'
        "</table:table><table:tracked-changes><table:deletion><text:p>x</text:p></table:deletion></table:tracked-changes>"
    )
    assert read(body, sheets, kind="spreadsheet") == (
        ["A", "1\t2\t3"], ["hidden sheet B was left out", "deleted text of tracked changes was left out"],
    )  # fmt: skip
    space = "urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"
    slides = (
        '<style:style style:name="Gone" style:family="drawing-page">'
        f'<style:drawing-page-properties xmlns:p="{space}" p:visibility="hidden"/></style:style>'
    )

    def frame(text: str, more: str = "") -> str:
        return f"<draw:frame {more}><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>"

    prompt = frame("Click to add", f'xmlns:p="{space}" p:placeholder="true"')
    display = frame("secret", 'draw:display="none"')
    body = f"<draw:page>{frame('shown')}{display}{prompt}</draw:page>"
    body += f"<draw:page draw:style-name='Gone'>{frame('x')}</draw:page>"
    assert read(body, slides, kind="presentation") == (
        ["shown"], ["hidden shapes were left out", "hidden slides were left out"],
    )  # fmt: skip


def test_values_without_text_are_read_and_prompts_are_not() -> None:
    values = "".join(
        f"<table:table-cell {kind}/>"
        for kind in (
            'office:value-type="date" office:date-value="2025-07-04T00:00:00"',
            'office:value-type="date" office:date-value="2025-07-04T10:30:00"',
            'office:value-type="time" office:time-value="PT36H15M"',
            'office:value-type="boolean" office:boolean-value="true"',
            'office:value-type="float" office:value="1.5"', 'office:value-type="date" office:date-value="2025-07-04"',
            'office:value-type="percentage" office:value="0.075"', 'office:value-type="string" office:string-value="s"',
            'office:value-type="currency" office:value="5" office:currency="EUR"',
        )
    )  # fmt: skip
    sheet = f'<table:table table:name="S"><table:table-row>{values}</table:table-row></table:table>'
    moments = "2025-07-04\t2025-07-04 10:30:00\t36:15:00\tTRUE"
    assert read(sheet, kind="spreadsheet")[0] == ["S", f"{moments}\t1.5\t2025-07-04\t7.5%\ts\t5 EUR"]
    prompts = (
        '<l:content-control xmlns:l="urn:x" l:showing-place-holder="true"><text:span>Click</text:span>'
        "</l:content-control><text:placeholder>&lt;name&gt;</text:placeholder><text:script>x</text:script>"
    )
    assert read(f"<text:p>Broker: {prompts}</text:p>") == (["Broker: "], [])


def test_parts_that_nobody_reads_are_named() -> None:
    body = (
        "<office:forms><form:form xmlns:form='urn:f'><form:text/></form:form></office:forms>"
        "<text:p>a<draw:frame><draw:object-ole/><draw:image/></draw:frame><draw:frame><draw:image/></draw:frame></text:p>"
        "<draw:frame><draw:object/></draw:frame>"
    )
    assert read(body) == (
        ["a"], ["parts of the file that were not read: 2 embedded objects, 1 form control, 1 picture"],
    )  # fmt: skip


def test_raised_marks_are_no_part_of_the_number_before_them() -> None:
    raised = (
        '<style:style style:name="T" style:family="text"><style:text-properties style:text-position="super 58%"/>'
        "</style:style>"
    )
    note = (
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Net</text:p></text:note-body>"
        "</text:note>"
    )
    body = f'<text:p>100{note} EUR</text:p><text:p>19<text:span text:style-name="T">99</text:span></text:p>'
    assert read_document(opendocument(body, automatic=raised)).text.splitlines() == ["100¹ EUR", "19⁹⁹", "1 Net"]


def test_comments_boxes_and_merged_cells_of_sheets_stand_where_they_are_shown() -> None:
    cell, covered = "<table:table-cell{}><text:p>{}</text:p>{}</table:table-cell>", "<table:covered-table-cell/>"
    box = "<table:shapes><draw:frame><draw:text-box><text:p>Box</text:p></draw:text-box></draw:frame></table:shapes>"
    rows = (
        cell.format("", "x", ""), cell.format("", "100", "<office:annotation><text:p>why</text:p></office:annotation>"),
        cell.format(' table:number-columns-spanned="3"', "Title", "") + covered * 2 + cell.format("", "5", ""),
    )  # fmt: skip
    table = (
        f'<table:table table:name="S">{box}<table:table-column table:visibility="collapse"/>'
        f"<table:table-row>{rows[0]}{rows[1]}</table:table-row><table:table-row>{rows[2]}</table:table-row></table:table>"
    )
    found = read_document(opendocument(table, kind="spreadsheet"))
    assert found.text.splitlines() == ["S", "100", "Title\t\t5", "Box", "[comment] why"]
    assert found.notes == ["hidden columns were left out"]
