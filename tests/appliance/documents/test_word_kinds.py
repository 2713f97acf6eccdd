"""Word documents: every way to hide, delete and prompt, what stands in other parts, and signs that are no text."""

import pytest

from appliance.documents.document_text import read_document
from appliance.documents.word_symbols import symbol_text
from tests.appliance.documents.document_files import OFFICE, WORD, archive, relations, word

HIDDEN, DELETED = "hidden text was left out", "deleted text of tracked changes was left out"


def run(text: str, properties: str = "") -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"


def paragraph(*runs: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{''.join(runs)}</w:p>"


def table(*rows: str, style: str = "") -> str:
    return f'<w:tbl><w:tblPr><w:tblStyle w:val="{style}"/></w:tblPr>{"".join(rows)}</w:tbl>'


def row(*cells: str, properties: str = "") -> str:
    return f"<w:tr><w:trPr>{properties}</w:trPr>{''.join(cells)}</w:tr>"


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(run(text))}</w:tc>"


STYLES = (
    '<w:style w:type="character" w:styleId="Gone"><w:rPr><w:vanish/></w:rPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Lost"><w:rPr><w:vanish/></w:rPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Below"><w:basedOn w:val="Lost"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Back"><w:basedOn w:val="Lost"/><w:rPr><w:vanish w:val="0"/></w:rPr>'
    "</w:style>"
    '<w:style w:type="paragraph" w:styleId="Ring"><w:basedOn w:val="Ring"/></w:style>'
    '<w:style w:type="table" w:styleId="Dark"><w:rPr><w:vanish w:val="true"/></w:rPr></w:style>'
)
STYLES += (
    '<w:style w:type="table" w:styleId="Part"><w:tblStylePr w:type="wholeTable"><w:rPr><w:vanish/></w:rPr>'
    "</w:tblStylePr></w:style>"
)
MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
STYLE = '<w:pStyle w:val="{}"/>'
GONE = '<w:rStyle w:val="Gone"/>'
SHAPE = (
    '<w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing">'
    f'<wp:docPr hidden="1"/><w:txbxContent>{paragraph(run("x"))}</w:txbxContent></wp:inline></w:drawing></w:r>'
)
OLD_SHAPE = (
    '<w:r><w:pict><v:shape xmlns:v="urn:schemas-microsoft-com:vml" style="width:1pt;visibility: hidden"><v:textbox>'
    f"<w:txbxContent>{paragraph(run('x'))}</w:txbxContent></v:textbox></v:shape></w:pict></w:r>"
)


@pytest.mark.parametrize(
    "secret",
    [
        paragraph(run("x", "<w:vanish/>")), paragraph(run("x", GONE)),
        paragraph(run("x"), properties=STYLE.format("Lost")),
        paragraph(run("x"), properties=STYLE.format("Below")), table(row(cell("x")), style="Dark"),
        paragraph(SHAPE), paragraph(OLD_SHAPE), table(row(cell("x"), properties="<w:hidden/>")),
        paragraph(f"<w:hyperlink>{run('x', GONE)}</w:hyperlink>"), table(row(cell("x")), style="Part"),
        paragraph(f"<m:oMath {MATH}><m:r><w:rPr><w:vanish/></w:rPr><m:t>x</m:t></m:r></m:oMath>"),
        paragraph(run("x", '<w:vanish w:val="on"/>'), properties=STYLE.format("Back")),
    ],
    ids=["direct", "character-style", "paragraph-style", "based-on", "table-style", "shape", "old-shape", "row", "link",
         "part-of-table-style", "formula", "direct-over-style"],
)  # fmt: skip
def test_hidden_text_is_left_out_however_it_is_hidden(secret: str) -> None:
    found = read_document(word(paragraph(run("before")) + secret + paragraph(run("after")), styles=STYLES))
    assert [line for line in found.text.splitlines() if line] == ["before", "after"]
    assert found.notes == [HIDDEN]


@pytest.mark.parametrize(
    "shown",
    [
        paragraph(run("x", '<w:vanish w:val="false"/>'), properties=STYLE.format("Lost")),
        paragraph(run("x"), properties=STYLE.format("Back")), paragraph(run("x"), properties=STYLE.format("Ring")),
        paragraph(run("x", "<w:webHidden/>")), paragraph(run("x", GONE), properties=STYLE.format("Lost")),
    ],
    ids=["direct", "style", "ring", "web-only", "toggled-twice"],
)  # fmt: skip
def test_text_that_is_shown_again_is_read(shown: str) -> None:
    found = read_document(word(shown, styles=STYLES))
    assert (found.text.strip(), found.notes) == ("x", [])


def test_document_that_hides_by_default_shows_what_says_so() -> None:
    styles = "<w:docDefaults><w:rPrDefault><w:rPr><w:vanish/></w:rPr></w:rPrDefault></w:docDefaults>"
    found = read_document(word(paragraph(run("x"), run("y", '<w:vanish w:val="0"/>')), styles=styles))
    assert (found.text, found.notes) == ("y\n", [HIDDEN])


def test_tracked_changes_read_as_if_they_were_accepted() -> None:
    gone = "<w:rPr><w:del/></w:rPr>"
    body = (
        paragraph(run("The rent is "), "<w:del><w:r><w:delText>700</w:delText></w:r></w:del>", properties=gone)
        + paragraph(run("815 EUR."))
        + paragraph(f"<w:moveFrom>{run('moved')}</w:moveFrom>", properties="<w:rPr><w:moveFrom/></w:rPr>")
        + table(
            row(cell("Garage"), cell("60"), properties="<w:del/>"),
            row(cell("Parking"), cell("old", "<w:cellDel/>"), cell("40", "<w:cellIns/>"), properties="<w:ins/>"),
        )
        + paragraph(f"<w:moveTo>{run('moved')}</w:moveTo>")
    )
    found = read_document(word(body))
    assert (found.text.splitlines(), found.notes) == (
        ["The rent is 815 EUR.", "Parking\t40", "moved"],
        [DELETED],
    )


def test_cell_below_a_merged_one_shows_nothing() -> None:
    body = table(row(cell("a", '<w:vMerge w:val="restart"/>'), cell("b")), row(cell("x", "<w:vMerge/>"), cell("c")))
    found = read_document(word(body))
    assert (found.text.splitlines(), found.notes) == (["a\tb", "\tc"], [HIDDEN])
    found = read_document(
        word(table(row(cell("a", '<w:hMerge w:val="restart"/>'), cell("x", "<w:hMerge/>"), cell("b"))))
    )
    assert (found.text.splitlines(), found.notes) == (["a\t\tb"], [HIDDEN])


def test_deleted_last_mark_and_hidden_numbered_paragraph_lose_nothing() -> None:
    numbering = (
        '<w:abstractNum w:abstractNumId="7"><w:lvl w:ilvl="0"><w:lvlText w:val="%1."/></w:lvl></w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>'
    )
    listed = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'
    body = (
        paragraph(run("x"), properties=STYLE.format("Lost") + listed)
        + paragraph(run("one"), properties=listed)
        + paragraph(run("end"), properties="<w:rPr><w:del/></w:rPr>")
    )
    assert read_document(word(body, styles=STYLES, numbering=numbering)).text == "1. one\nend\n"


def test_prompt_of_an_empty_content_control_is_no_value() -> None:
    def control(inside: str, prompt: str = "<w:showingPlcHdr/>") -> str:
        return f"<w:sdt><w:sdtPr>{prompt}</w:sdtPr><w:sdtContent>{inside}</w:sdtContent></w:sdt>"

    body = (
        paragraph(run("Broker: "), control(run("Click here")))
        + control(paragraph(run("Click here")))
        + paragraph(run("Date: "), control(run("5 May"), '<w:showingPlcHdr w:val="0"/>'))
        + table(row(cell("Total"), control(cell("Click here")), cell("EUR")))
    )
    lines = [line for line in read_document(word(body)).text.splitlines() if line]
    assert lines == ["Broker: ", "Date: 5 May", "Total\t\tEUR"]


def test_fields_show_their_results_and_forms_their_states() -> None:
    def mark(kind: str, inside: str = "") -> str:
        return f'<w:r><w:fldChar w:fldCharType="{kind}">{inside}</w:fldChar></w:r>'

    nested = (mark("begin"), run("IF "), mark("begin"), mark("separate"), run("inner"), mark("end"), mark("separate"))
    box = "<w:ffData><w:checkBox><w:default w:val='0'/><w:checked/></w:checkBox></w:ffData>"
    choice = (
        '<w:ffData><w:ddList><w:result w:val="1"/><w:listEntry w:val="red"/><w:listEntry w:val="blue"/></w:ddList>'
        "</w:ffData>"
    )
    body = paragraph(run("a "), *nested, run("result"), mark("end"), run(" b"))
    body += paragraph(
        mark("begin", box), mark("separate"), mark("end"), run(" yes "), mark("begin", choice), mark("end")
    )
    assert read_document(word(body)).text.splitlines() == ["a result b", "\u2612 yes blue"]
    assert read_document(word(paragraph(mark("begin"), run("never ends")))).text == "never ends\n"


def test_signs_that_are_no_text() -> None:
    body = paragraph(
        "<w:r><w:t>a</w:t><w:ptab/><w:t>b</w:t><w:noBreakHyphen/><w:t>c</w:t><w:softHyphen/><w:t>d</w:t><w:cr/></w:r>"
        "<w:ruby><w:rubyPr/><w:rt><w:r><w:t>さとう</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>佐藤</w:t></w:r></w:rubyBase>"
        '</w:ruby><w:r><w:sym w:font="Symbol" w:char="F0B3"/><w:sym w:font="Wingdings" w:char="F0FE"/></w:r>'
    )
    assert read_document(word(body)).text.splitlines() == ["a\tb-cd", "佐藤\u2265\u2611"]
    fonts = '<w:rFonts w:ascii="Wingdings"/>'
    found = read_document(word(paragraph(run("\uf0fe", fonts), run(" yes"), run("\uf021", fonts))))
    assert (found.text, found.notes) == ("\u2611 yes\n", ["signs of a symbol font were left out"])
    mark = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'.format
    instruction = "<w:r><w:instrText> SYMBOL 254 </w:instrText><w:instrText>\\f Wingdings</w:instrText></w:r>"
    field = mark("begin") + instruction + mark("separate") + run("\uf0fe", fonts) + mark("end") + run(" a ")
    field += mark("begin") + instruction + mark("end") + "<w:fldSimple w:instr='SYMBOL 163 \\f \"Wingdings\"'/>"
    assert read_document(word(paragraph(field))).text == "\u2611 a \u2611\u2610\n"
    signs = (("Symbol", "F061"), ("Symbol", "F0A0"), ("Arial", "F041"), ("X", "zz"))
    assert [symbol_text(*sign) for sign in signs] == ["\u03b1", "\u20ac", "A", ""]


def inserted(name: str, data: bytes | str, kind: str = "aFChunk", body: str = '<w:altChunk r:id="r1"/>') -> bytes:
    return archive(
        {
            "_rels/.rels": relations(("officeDocument", "word/document.xml")),
            "word/document.xml": f'<w:document xmlns:w="{WORD}" xmlns:r="{OFFICE}"><w:body>{paragraph(run("cover"))}'
            f"{body}{paragraph(run('end'))}</w:body></w:document>",
            "word/_rels/document.xml.rels": relations((kind, name)),
            f"word/{name}": data,
        }
    )


@pytest.mark.parametrize(
    "data",
    [b"<html><body><p>order</p></body></html>", b"{\\rtf1 order}", b"order\n", word(paragraph(run("order"))),
     b"MIME-Version: 1.0\nFrom: x\nContent-Type: text/html\n\n<p>order</p>"],
    ids=["html", "rtf", "text", "docx", "mht"],
)  # fmt: skip
def test_inserted_document_is_read_where_it_stands(data: bytes) -> None:
    found = read_document(inserted("chunk", data))
    lines = found.text.splitlines()
    assert (lines[0], lines[-1]) == ("cover", "end")
    assert "order" in lines[1:-1]
    assert found.notes[0].startswith("inserted document: read as ")


def test_inserted_document_that_cannot_be_read_or_has_no_end_is_noted() -> None:
    assert read_document(inserted("chunk", b"\x7fELF\x00")).notes == [
        "an inserted document was left out: this is a program, which is not read"
    ]
    data = b"deepest\n"
    for _ in range(9):
        data = inserted("chunk", data)
    found = read_document(data)
    assert "deepest" not in found.text
    assert any("nested too deeply" in note for note in found.notes)


@pytest.mark.parametrize(
    ("kind", "data", "note"),
    [
        ("image", b"x", "1 picture"), ("oleObject", b"x", "1 embedded object"), ("package", b"x", "1 embedded file"),
        ("chartEx", b"<x/>", "1 chart"), ("glossaryDocument", b"<x/>", "1 glossary"),
        ("control", b"<x/>", "1 form control"),
        ("customXml", b"<a><b>secret words</b></a>", "1 XML data part"), ("novelty", b"x", "1 novelty part"),
    ],
)  # fmt: skip
def test_parts_that_nobody_reads_are_named(kind: str, data: bytes, note: str) -> None:
    found = read_document(inserted("thing.bin", data, kind, ""))
    assert found.notes == [f"parts of the file that were not read: {note}"]


@pytest.mark.parametrize(
    ("kind", "data"), [("theme", b"x"), ("customXml", b"<a><b>cover</b></a>"), ("fontTable", b"x")]
)
def test_parts_without_text_of_their_own_are_not_named(kind: str, data: bytes) -> None:
    assert read_document(inserted("thing.xml", data, kind, "")).notes == []


@pytest.mark.parametrize(
    ("section", "settings", "lines", "notes"),
    [
        ("<w:titlePg/>", "<w:evenAndOddHeaders/>", ["usual", "first", "even", "body"], []),
        ("", "<w:evenAndOddHeaders w:val='0'/>", ["usual", "body"], [HIDDEN]),
        ("<w:titlePg/>", "", ["usual", "first", "body"], [HIDDEN]),
    ],
)
def test_headers_that_no_page_shows_are_left_out(
    section: str, settings: str, lines: list[str], notes: list[str]
) -> None:
    kinds = ("default", "first", "even")
    references = "".join(f'<w:headerReference w:type="{kind}" r:id="r{at}"/>' for at, kind in enumerate(kinds, 1))
    space = f'xmlns:w="{WORD}" xmlns:r="{OFFICE}"'
    body = f"{paragraph(run('body'))}<w:sectPr>{references}{section}</w:sectPr>"
    parts: dict[str, bytes | str] = {
        f"word/{name}.xml": f"<w:hdr {space}>{paragraph(run(name))}</w:hdr>" for name in ("usual", "first", "even")
    }
    data = archive(
        {
            "_rels/.rels": relations(("officeDocument", "word/document.xml")),
            "word/document.xml": f"<w:document {space}><w:body>{body}</w:body></w:document>",
            "word/_rels/document.xml.rels": relations(
                ("header", "usual.xml"), ("header", "first.xml"), ("header", "even.xml"), ("settings", "settings.xml")
            ),
            "word/settings.xml": f"<w:settings {space}>{settings}</w:settings>",
            **parts,
        }
    )
    found = read_document(data)
    assert (sorted(found.text.splitlines()), found.notes) == (sorted(lines), notes)


def test_styles_raise_digits_too() -> None:
    style = '<w:style w:type="character" w:styleId="Up"><w:rPr><w:vertAlign w:val="superscript"/></w:rPr></w:style>'
    body = paragraph(run("19"), run("99", '<w:rStyle w:val="Up"/>'), run(" 5"), run("0", '<w:rStyle w:val="Off"/>'))
    assert read_document(word(body, styles=style)).text.strip() == "19⁹⁹ 50"


def field(instruction: str) -> str:
    marks = [f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "end")]
    return f"{marks[0]}<w:r><w:instrText>{instruction}</w:instrText></w:r>{marks[1]}"


@pytest.mark.parametrize(
    ("instruction", "text"),
    [
        (r" EQ \* jc2 \* hps10 \o\ad(\s\up 9(とうきょう),東京)", "東京"), (r"EQ \f(1,2)", "(1)/(2)"),
        (r"eq \o\ac(○,1)", "○1"), (r"EQ \r(3,8)+\i\su(1,n,k)", "(3)√(8)+∑_(1)^(n) k"),
        (r"EQ 10\s\up4(2)", "10²"), (r"EQ \b\bc\[(a,(b))", "(a, (b))"), (r"EQ \f(1", "(1)/()"), ("PAGE", ""),
    ],
)  # fmt: skip
def test_equation_fields_show_what_their_instruction_says(instruction: str, text: str) -> None:
    assert read_document(word(paragraph(run("x"), field(instruction)))).text.strip() == ("x" + text)


def math(kind: str, *parts: tuple[str, str], properties: str = "") -> str:
    inside = "".join(f"<m:{name}><m:r><m:t>{text}</m:t></m:r></m:{name}>" for name, text in parts)
    return f"<w:p><m:oMath {MATH}><m:{kind}>{properties}{inside}</m:{kind}></m:oMath></w:p>"


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (math("d", ("e", "a+b")), "(a+b)"),
        (math("d", ("e", "a"), ("e", "b"), properties='<m:dPr><m:begChr m:val="["/><m:endChr m:val=""/></m:dPr>'),
         "[a|b"),
        (math("nary", ("sub", "0"), ("sup", "1"), ("e", "x")), "∫_(0)^(1) x"),
        (math("nary", ("e", "x"), properties='<m:naryPr><m:chr m:val="∏"/></m:naryPr>'), "∏ x"),
        (math("rad", ("deg", "3"), ("e", "8")), "∛(8)"), (math("rad", ("deg", ""), ("e", "8")), "√(8)"),
        (math("eqArr", ("e", "x=1"), ("e", "y=2")), "x=1; y=2"),
    ],
    ids=["brackets", "own-brackets", "integral", "product", "cube-root", "root", "lines"],
)  # fmt: skip
def test_formulas_keep_their_signs(formula: str, text: str) -> None:
    assert read_document(word(formula)).text.strip() == text


def test_raised_digits_watermarks_older_forms_and_gaps_before_rows_are_read() -> None:
    raised = '<w:vertAlign w:val="superscript"/>'
    old = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    art = '<v:shape xmlns:v="urn:schemas-microsoft-com:vml"><v:textpath string="DRAFT"/></v:shape>'
    form = f'<mc:AlternateContent xmlns:mc="{old}"><mc:Fallback><w:t>old form</w:t></mc:Fallback></mc:AlternateContent>'
    data = word(
        paragraph(run("100"), run("1", raised), run("2", raised), run(" EUR", "<w:strike/>"))
        + f"<w:p><w:r><w:pict>{art}</w:pict></w:r></w:p><w:p><w:r>{form}</w:r></w:p>"
        + table(row(cell("A"), cell("B")), row(cell("b"), properties='<w:gridBefore w:val="1"/>'))
    )
    found = read_document(data)
    assert [line for line in found.text.splitlines() if line] == ["100¹² EUR", "DRAFT", "old form", "A\tB", "\tb"]
    assert found.notes == ["struck-out text was read as the rest"]


@pytest.mark.parametrize(("restart", "last"), [("", "1"), ("0", "3"), ("1", "1")], ids=["usual", "never", "stated"])
def test_levels_begin_anew_where_they_say(restart: str, last: str) -> None:
    rule = f'<w:lvlRestart w:val="{restart}"/>' if restart else ""
    levels = "".join(
        f'<w:lvl w:ilvl="{level}"><w:numFmt w:val="decimal"/>{rule if level else ""}<w:lvlText w:val="%{level + 1})"/>'
        "</w:lvl>"
        for level in (0, 1)
    )
    lists = (
        f'<w:abstractNum w:abstractNumId="7">{levels}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>'
    )
    entry = '<w:numPr><w:ilvl w:val="{}"/><w:numId w:val="1"/></w:numPr>'
    body = "".join(paragraph(run("x"), properties=entry.format(level)) for level in (0, 1, 1, 0, 1))
    assert read_document(word(body, numbering=lists)).text.split() == [
        "1)", "x", "1)", "x", "2)", "x", "2)", "x", f"{last})", "x"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("binding", "shown"),
    [
        ('w:xpath="/n:a[1]/n:b[2]" w:storeItemID="{x1}"', "Sum 7,50"),
        ('w:xpath="/n:a[1]/@c" w:storeItemID="{X1}"', "Sum 9"),
        ('w:xpath="/n:a[1]/n:b[3]" w:storeItemID="{X1}"', "Sum"),
        ('w:xpath="/n:a[1]/b[1]" w:storeItemID="{X1}"', "Sum"),
        ('w:xpath="//n:b[last()]" w:storeItemID="{X1}"', "Sum"),
        ('w:xpath="/n:a[1]/n:b[2]" w:storeItemID="{X2}"', "Sum"),
    ],
    ids=["element", "attribute", "empty", "no-namespace", "other-path", "other-part"],
)
def test_control_bound_to_data_shows_the_data(binding: str, shown: str) -> None:
    control = (
        f"<w:p><w:r><w:t>Sum </w:t></w:r><w:sdt><w:sdtPr><w:showingPlcHdr/><w:dataBinding {binding}"
        " w:prefixMappings=\"xmlns:n='urn:n'\"/><w:text/></w:sdtPr><w:sdtContent><w:r><w:t>Click here</w:t></w:r>"
        "</w:sdtContent></w:sdt></w:p>"
    )
    office = "http://schemas.openxmlformats.org/officeDocument/2006/customXml"
    data = archive({
        "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{control}</w:body></w:document>',
        "word/_rels/document.xml.rels": relations(("customXml", "../customXml/item1.xml")),
        "customXml/item1.xml": '<a xmlns="urn:n" c="9"><b>1</b><b>7,50</b><b/></a>',
        "customXml/_rels/item1.xml.rels": relations(("customXmlProps", "props.xml")),
        "customXml/props.xml": f'<d:datastoreItem xmlns:d="{office}" d:itemID="{{X1}}"/>',
    })  # fmt: skip
    assert read_document(data).text.strip() == shown
