"""Rich text and presentations: what is hidden, deleted or written twice, what stands on every slide, parts not read."""

import pytest

from appliance.documents.document_text import read_document
from tests.appliance.documents.document_files import DRAWING, OFFICE, SLIDE, archive, relations, shape, slides

HIDDEN, DELETED = "hidden text was left out", "deleted text of tracked changes was left out"
HORIZONTAL = 'hMerge="1"'
SIGNS = rb"{\fonttbl{\f0\fcharset0 Arial;}{\f1\fnil\fcharset2{\*\panose 05}Wingdings;}}"
SHEET = rb"{\stylesheet{\s1 Normal;}{\s2\v Gone;}{\*\cs3\additive\v Lost;}}"


@pytest.mark.parametrize(
    ("body", "text", "notes"),
    [
        (rb"a{\v secret}b", "ab", [HIDDEN]), (rb"a\v secret\v0 b", "ab", [HIDDEN]),
        (SHEET + rb"\pard\s2 secret\par\pard\s1 b", "b", [HIDDEN]),
        (SHEET + rb"\pard\s1 a{\cs3 secret}b", "ab", [HIDDEN]),
        (SHEET + rb"\pard\s2\v0 shown", "shown", []), (SHEET + rb"{\cs3 secret\plain shown}", "shown", [HIDDEN]),
        (rb"{\shp{\*\shpinst{\sp{\sn fHidden}{\sv 1}}{\shptxt secret\par}}}b", "b", [HIDDEN]),
        (rb"{\shp{\*\shpinst{\sp{\sn fHidden}{\sv 0}}{\shptxt a}}}b", "ab", []),
        (rb"{\field{\*\fldinst{FORMCHECKBOX}{\*\formfield{\fftype1\ffres1\ffdefres0}}}{\fldrslt}} yes", "\u2612 yes",
         []),
        (rb"{\field{\*\fldinst{\*\formfield{\fftype1\ffres25\ffdefres0}}}{\fldrslt}} no", "\u2610 no", []),
        (rb"\trowd\intbl a\cell\row\trowd{\deleted\intbl x\cell\row}\trowd\intbl b\cell\row", "a\nb", [DELETED]),
        (rb"\trowd\clvmgf\cellx1\cellx2\intbl a\cell b\cell\row\trowd\clvmrg\cellx1\cellx2\intbl x\cell c\cell\row",
         "a\tb\n\tc", [HIDDEN]),
        (rb"\trowd\clmgf\cellx1\clmrg\cellx2\cellx3\intbl a\cell x\cell b\cell\row", "a\t\tb", [HIDDEN]),
        (SIGNS + rb"a{\f1\'fe\u-3844 ?}\f0 \'e9 {\f1 \'01}b", "a\u2611\u2713\xe9 b",
         ["signs of a symbol font were left out"]),
        (SIGNS + rb'{\field{\*\fldinst SYMBOL 254 \\f "Wingdings" \\s 12}{\fldrslt\f1\fs24}} yes', "\u2611 yes", []),
        (rb"rent {\deleted 700\par}815", "rent 815", [DELETED]), (rb"{\upr{gr?n}{\*\ud{gr\u252 ?n}}}", "grün", []),
        (rb"a{\pict\wmetafile8 0102}b{\object{\*\objdata 01}{\result c}}", "abc",
         ["parts of the file that were not read: 1 embedded object, 1 picture"]),
        (rb"a{\*\shppict{\pict 01}}{\nonshppict{\pict 02}}", "a", ["parts of the file that were not read: 1 picture"]),
    ],
    ids=["group", "switch", "paragraph-style", "character-style", "shown-again", "plain", "hidden-shape", "shown-shape",
         "box", "empty-box", "deleted-row", "below-merged", "beside-merged", "symbol-font", "symbol-field", "deleted",
         "both-forms",
         "parts", "picture-twice"],
)  # fmt: skip
def test_rich_text_is_read_as_it_is_shown(body: bytes, text: str, notes: list[str]) -> None:
    found = read_document(rb"{\rtf1\ansi\ansicpg1252 " + body + b"}")
    assert (found.text.rstrip("\n"), found.notes) == (text, notes)


def show(tree: str, layout: str = "", more: tuple[tuple[str, str], ...] = ()) -> bytes:
    spaces = f'xmlns:p="{SLIDE}" xmlns:a="{DRAWING}" xmlns:r="{OFFICE}"'

    def page(name: str, inside: str) -> str:
        return f"<p:{name} {spaces}><p:cSld><p:spTree>{inside}</p:spTree></p:cSld></p:{name}>"

    slides = '<p:sldIdLst><p:sldId id="256" r:id="r1"/><p:sldId id="257" r:id="r1"/></p:sldIdLst>'
    return archive(
        {
            "_rels/.rels": relations(("officeDocument", "ppt/presentation.xml")),
            "ppt/presentation.xml": f"<p:presentation {spaces}>{slides}</p:presentation>",
            "ppt/_rels/presentation.xml.rels": relations(("slide", "slides/s.xml")),
            "ppt/slides/s.xml": page("sld", tree),
            "ppt/slides/_rels/s.xml.rels": relations(("slideLayout", "../l.xml"), *more),
            "ppt/l.xml": page("sldLayout", layout),
            "ppt/_rels/l.xml.rels": relations(("slideMaster", "m.xml")),
            "ppt/m.xml": page("sldMaster", shape("Acme Ltd") + shape("Click to edit", "title")),
            "ppt/media/x": b"x",
        }
    )


def named(text: str, properties: str) -> str:
    return shape(text).replace("<p:sp>", f"<p:sp><p:nvSpPr><p:cNvPr {properties}/></p:nvSpPr>")


def test_hidden_shapes_of_a_slide_are_left_out_and_its_background_is_read() -> None:
    group = f'<p:grpSp><p:nvGrpSpPr><p:cNvPr hidden="true"/></p:nvGrpSpPr>{shape("in a group")}</p:grpSp>'
    tree = named("shown", 'hidden="0"') + named("secret", 'hidden="1"') + group
    found = read_document(show(tree, shape("Confidential") + shape("Click to add", "body")))
    assert found.text.splitlines() == ["shown", "", "Confidential", "Acme Ltd"]
    assert found.notes == ["hidden shapes were left out"]


def test_parts_of_a_slide_that_nobody_reads_are_named() -> None:
    more = (("oleObject", "../media/x"), ("image", "../media/y"), ("tags", "../media/x"))
    assert read_document(show(shape("a"), more=more)).notes == [
        "parts of the file that were not read: 1 embedded object"
    ]


def test_signs_of_a_symbol_font_on_a_slide_are_what_they_show() -> None:
    box = '<a:r><a:rPr><a:sym typeface="Wingdings"/></a:rPr><a:t>\uf0fe</a:t></a:r><a:r><a:t> yes</a:t></a:r>'
    text = read_document(show(f"<p:sp><p:txBody><a:p>{box}</a:p></p:txBody></p:sp>")).text
    assert text.splitlines()[0] == "\u2611 yes"


def test_cell_of_a_slide_below_a_merged_one_shows_nothing() -> None:
    def cell(text: str, more: str = "") -> str:
        return f"<a:tc {more}><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"

    rows = f"<a:tr>{cell('a')}{cell('x', HORIZONTAL)}{cell('b')}</a:tr>"
    found = read_document(show(f"<p:graphicFrame><a:tbl>{rows}</a:tbl></p:graphicFrame>"))
    assert (found.text.splitlines()[0], found.notes) == ("a\t\tb", ["hidden shapes were left out"])


BOX = r"{\*\do\dptxbx{\dptxbxtext \pard Old box\par}}"
NEW_BOX = r"{\*\shpinst{\shptxt \pard New box\par}}"


@pytest.mark.parametrize(
    ("content", "lines", "notes"),
    [
        (r"100{\super 1} EUR m{\super 2}", ["100¹ EUR m2"], []),
        (r"A {\mvf old }{\mvt new}", ["A new"], ["deleted text of tracked changes was left out"]),
        (r"{\strike 5} 6", ["5 6"], ["struck-out text was read as the rest"]),
        (rf"a\par{BOX}b", ["a", "Old box", "b"], []),
        (rf"a\par{{\shp{NEW_BOX}{{\shprslt{BOX}}}}}b", ["a", "New box", "b"], []),
        (r"x{\mmath{\*\moMathPara{\*\moMath{\mr 5}}}}y", ["xy"], ["parts of the file that were not read: 1 formula"]),
        (r"100{\*\atnid AB}{\*\atnauthor Ann}\chatn{\*\annotation why} EUR", ["100 EUR", "Ann", "why"], []),
    ],
    ids=["raised", "moved", "struck", "old-box", "both-boxes", "formula", "comment"],
)  # fmt: skip
def test_text_of_rich_texts_stands_where_it_is_shown(content: str, lines: list[str], notes: list[str]) -> None:
    found = read_document(rf"{{\rtf1\ansi {content}\par}}".encode("latin-1") + b"\x00\x00")
    assert ([line for line in found.text.splitlines() if line], found.notes) == (lines, notes)


def test_formulas_and_raised_digits_of_slides_are_read() -> None:
    math = "http://schemas.openxmlformats.org/officeDocument/2006/math"
    formula = "<m:f><m:num><m:r><m:t>1</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f>"
    raised = '<a:r><a:rPr baseline="30000"/><a:t>1</a:t></a:r>'
    tree = (
        f"<p:sp><p:txBody><a:p><a:r><a:t>100</a:t></a:r>{raised}</a:p>"
        f'<a:p><a:r><a:t>x = </a:t></a:r><m:oMath xmlns:m="{math}">{formula}</m:oMath></a:p></p:txBody></p:sp>'
    )
    assert read_document(slides(tree)).text.splitlines() == ["100¹", "x = (1)/(2)"]


def test_rich_text_behind_a_mark_or_empty_lines_is_rich_text() -> None:
    for before in (b"\xef\xbb\xbf", b"\r\n\r\n"):
        assert read_document(before + rb"{\rtf1\ansi gr\'fcn 5}").text == "grün 5\n"
