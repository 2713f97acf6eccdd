"""Web pages as browsers show them: omitted end tags, hidden parts, form controls, declared character sets."""

import time

import pytest

from appliance.documents.document_text import read_document
from appliance.documents.html import html_text, read_html
from appliance.documents.sniffing import DocumentType, document_type


def lines(body: str, head: str = "") -> list[str]:
    text = read_html(f"<!doctype html><html><head>{head}</head><body>{body}</body></html>".encode())[0]
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<p hidden>x<p>a<p>b", ["a", "b"]),
        ("<p hidden>x<div>a</div>b", ["a", "b"]),
        ("<p hidden>x<table><tr><td>a</table>", ["a"]),
        ("<div><p hidden>x</div>a", ["a"]),
        ("<ul><li hidden>x<li>a</ul>b", ["a", "b"]),
        ("<ul><li hidden>x<ul><li>y</ul>z<li>a</ul>", ["a"]),
        ("<dl><dt hidden>x<dd>a<dt>b<dd hidden>y<dt>c</dl>", ["a", "b", "c"]),
        ("<table><tr hidden><td>x<td>y<tr><td>a<td>b</table>", ["a b"]),
        ("<table><tr><td hidden>x<td>a<th>b</table>", ["a b"]),
        ("<table><thead hidden><tr><td>x<tbody><tr><td>a<tfoot hidden><tr><td>y</table>b", ["a", "b"]),
        ("<table><tbody hidden><tr><td>x<table><tr><td>y</table>z<tbody><tr><td>a</table>", ["a"]),
        ("<table><caption hidden>x<tr><td>a</table>", ["a"]),
        ("<h2 hidden>x<h3>a</h3>", ["a"]),
        ("<div hidden>x<p>y</div>a", ["a"]),
        ("<div hidden><span>x</div></span>a", ["a"]),
        ("<span hidden>x<div>y</span>z</div></span>a", ["a"]),
        ("<a hidden>x<a>a</a>", ["a"]),
        ("<button hidden>x<button>a</button>", ["a"]),
        ("<select><optgroup hidden><option>x<optgroup><option selected>a</select>", ["a"]),
        ("<ruby>a<rp>(<rt>x<rp>)</ruby>b", ["ab"]),
        ("<p hidden>x</body></html>", []),
    ],
)
def test_hidden_element_ends_where_its_end_tag_may_be_omitted(body: str, shown: list[str]) -> None:
    assert lines(body) == shown


@pytest.mark.parametrize(
    "hidden",
    [
        "<p class='note x'>x</p>", "<p id=secret>x</p>", "<aside>x</aside>", "<p data-state='draft'>x</p>",
        "<div class=box><b><i>x</i></b></div>", "<ul class=menu><li>x</ul>", "<p style='visibility:hidden'>x</p>",
        "<p style='DISPLAY : NONE !important'>x</p>", "<p style='font-size:0'><b>x</b></p>", "<p style=opacity:0>x</p>",
        "<p style='max-height:0;overflow:hidden'>x</p>", "<p style='position:absolute;left:-9999px'>x</p>",
        "<p class=late>x</p>", "<p class=tiny>x</p>", "<dialog>x</dialog>", "<template>x</template>",
        "<div style='visibility:hidden'>x<input value=y></div>",
        "<p style='/**/d\\69splay:none'>x</p>", "<p style='transform:scale(0)'>x</p>", "<p style='font:0/0 a'>x</p>",
        "<p style='position:absolute;clip-path:inset(50%)'>x</p>", "<p popover>x</p>", "<p class=screen>x</p>",
        "<p style='margin-left:-9999px'>x</p>", "<p class='md:gone'>x</p>", "<p title=hide-me>x</p>",
        "<p class=range>x</p>",
        "<div class=outer><p class=inner>x</p></div>", "<svg><text display=none>x</text></svg>",
        "<style><!-- .kept{display:none} --></style><p class=kept>x</p>",
        "<style><![CDATA[ .kept{display:none} ]]></style><p class=kept>x</p>",
        "<p class=wide>x</p>", "<style>.after{display:none}</style><p class=after>x</p>",
    ],
)  # fmt: skip
def test_what_styles_hide_is_left_out_with_a_note(hidden: str) -> None:
    sheet = """<style>/* .seen{display:none} */ .note{display:none} #secret, .other:hover{display:none}
        aside{display:block;display:none} [data-state="draft"]{visibility:hidden} .box b > i{display:none}
        ul.menu li{display:none} .late{display:none!important} .late{display:block} .tiny{font-size:0px}
        @media (min-width: 600px) { .wide{display:none} } @media (width >= 600px){.range{display:none}}
        .md\\:gone, [title^='hide']{display:none} .outer{color:red; & .inner{display:none}}
        @media not print { .screen{display:none} }</style>"""
    text, notes = read_html(f"<html>{sheet}<body>{hidden}<p class=seen>a</p></body></html>".encode())
    assert text == "a"
    assert notes == ["hidden text was left out"]


@pytest.mark.parametrize(
    "shown",
    [
        "<p class=print>b</p>", "<p class=narrow>b</p>", "<p class=again>b</p>", "<p hidden class=again>b</p>",
        "<div style='visibility:hidden'><p style='visibility:visible'>b</p></div>", "<p aria-hidden=true>b</p>",
        "<div style='font-size:0'><p style='font-size:12px'>b</p></div>", "<p class=dark>b</p>", "<p class=fade>b</p>",
        "<details><summary>b</summary></details>", "<dialog open>b</dialog>", "<p style='display:inline'>b</p>",
        "<p style='mso-hide:all'>b</p>", "<p class='again md:again'>b</p>", "<p class=outer>b</p>",
        "<p class=flies>b</p>",
        "<div><template shadowrootmode=open>b</template></div>", "<p style='margin:0 -9999px;padding:0 9999px'>b</p>",
        "</body><body style=display:none>b", "<p class=code>b</p>",
    ],
)  # fmt: skip
def test_what_a_screen_shows_is_read(shown: str) -> None:
    sheet = """<style>@media print{.print{display:none}} @media (max-width:600px){.narrow{display:none}}
        .again{display:none} p.again{display:block} .md\\:again{display:block} .outer{.x{color:red;display:none;}}
        .flies{opacity:0; animation: in 1s forwards} @keyframes k{from{visibility:hidden}} .dark:not(.x){display:none}
        @media (prefers-color-scheme: dark){.dark{display:none}} body{opacity:0} </style>
        <style media=print>p{display:none}</style><script>reveal('<style>.code{display:none}')</script>
        <template><style>.code{display:none}</style></template><style type=text/less>.code{display:none}</style>
        <style>.fade{opacity:0}</style>
        <!--[if mso]><style>p{display:none}</style>-->"""
    text, notes = read_html(f"<html>{sheet}<body>{shown}</body></html>".encode())
    assert text == "b"
    assert "hidden text was left out" not in notes


def test_form_controls_say_what_they_are_filled_in_with() -> None:
    body = """<label>Name <input value="Petra Lindqvist"></label><br>Mail <input type=email value=p@example.org>
        <input type=hidden value=token><br><input type=password value=secret>
        <select><option>Norway<option selected>Sweden</select><br>
        <select><option disabled>choose<option>first</select><br>
        <select multiple><option selected>red<option>green</select><br>
        <input type=checkbox checked> News <input type=checkbox> Calls<br>
        <input type=radio> by post <input type=radio checked> by hand<br>
        <textarea>two\nlines</textarea><input type=submit value=Send>"""
    assert lines(body) == [
        "Name Petra Lindqvist", "Mail p@example.org", "Sweden", "first", "[x] red [ ] green", "[x] News [ ] Calls",
        "[ ] by post [x] by hand", "two", "lines Send",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("<iframe src='https://example.org/x'></iframe>", "1 frame not read: https://example.org/x"),
        ("<object data=x.pdf>no viewer</object>", "1 embedded object not read"),
        ("<video><track>old browser</video>", "1 embedded object not read"),
        ("<img src=x alt='Total 5'>", "1 picture not read: Total 5"),
        ("<input type=password value=x>", "1 filled password field left out"),
        ("<del>9.00</del>", "1 struck-out passage read as the rest"),
        ("<details><summary>More</summary>b</details>", "1 part read that the page shows only when it is opened"),
    ],
)
def test_what_is_not_read_as_text_is_noted(body: str, note: str) -> None:
    assert read_html(f"<html><body>a{body}</body></html>".encode())[1] == [note]


def test_page_inside_a_page_and_text_of_a_drawing_are_read() -> None:
    body = (
        "a<iframe srcdoc='<p hidden>x</p><p>b &amp;amp; c</p>'></iframe>"
        "<svg><title>t</title><text>d</text></svg><math><mi>e</mi></math>"
    )
    assert lines(body) == ["a", "b & c", "d", "e"]


PAGE = "<html><head>{head}</head><body><p>Kunde: Jörg Müßig, Zürich; Betrag 12,50 €</p></body></html>"


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ("<meta charset=iso-8859-1>", "utf-8"),
        ("<meta charset=utf-8>", "cp1252"),
        ("<meta charset=utf-16>", "utf-8"),
        ("<meta http-equiv=Content-Type content='text/html; charset=iso-8859-1'>", "cp1252"),
        ("<meta name=x content='charset=koi8-r'><meta charset=utf-8>", "utf-8"),
        ("<!-- <meta charset=koi8-r> --><script>'<meta charset=koi8-r>'</script><meta charset=windows-1252>", "cp1252"),
        ("<style>" + "a{} " * 3000 + "</style><META CHARSET='windows-1252'>", "cp1252"),
        ("", "utf-8"),
        ("<meta charset=koi8-r>", "utf-8-sig"),
        ("<meta charset=utf-8>", "utf-16"),
    ],
    ids=["latin-1", "utf-8", "utf-16", "http-equiv", "other meta", "comment", "late", "none", "mark", "wide"],
)
def test_character_set_is_what_the_bytes_bear_out(head: str, encoding: str) -> None:
    text = read_document(PAGE.format(head=head).encode(encoding)).text
    assert "Jörg Müßig, Zürich; Betrag 12,50 €" in text


def test_late_declaration_of_another_alphabet_counts() -> None:
    page = "<html><head><script>" + "/* filler */" * 600 + "</script><meta charset=koi8-r></head><body>Счёт 15</body>"
    assert read_document(page.encode("koi8-r")).text.strip() == "Счёт 15"


@pytest.mark.parametrize(
    "page",
    [
        "<div><b>" * 5000, "<b>" * 5000 + "</i>" * 5000, "<p><span>" * 5000, "<style>" * 9000, "<title>" * 9000,
        "<table><tr><td>" * 3000, "<select>" * 5000, "<style>" + ".a{display:none}" * 9000 + "</style>",
        "<style>a b c d e{display:none}</style>" + "<a><b>" * 4000, "<!--<style>" * 9000, "<script>" * 9000,
        "<style>" + "@media all{" * 9000, "<p style='" + "x:;" * 9000 + "'>", "<iframe srcdoc='" * 5000,
        "<meta charset=" * 9000, "<b hidden><div>" * 5000,
        "<style>" + "a,a,a,a,a,a,a,a{" * 9 + "b{display:none}" + "}" * 9 + "</style>", "<template>" * 9000,
    ],
    ids=lambda page: page[:14],
)  # fmt: skip
def test_hostile_markup_ends_in_time(page: str) -> None:
    started = time.process_time()
    read_html(("<html><body>a" + page).encode())
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ("<th>Day<th>Debit<th>Credit<tr><td>1<td><td>5<tr><td>2<td>6<td>", ["Day\tDebit\tCredit", "1\t\t5", "2\t6"]),
        ("<td><td>2023<td>2024<tr><td>Sales<td>4<td>5", ["\t2023\t2024", "Sales\t4\t5"]),
        ("<td>a<td>b<td>c<tr><td colspan=2>Sum<td>9<tr><td rowspan=2>x<td>1<td><tr><td>2<td>3",
         ["a\tb\tc", "Sum\t\t9", "x\t1", "\t2\t3"]),
        ("<td width=5><td>Logo<td><td>Street<tr><td><td>x<td><td>y", ["Logo\tStreet", "x\ty"]),
    ],
    ids=["debit-and-credit", "corner", "reaching-cells", "layout"],
)  # fmt: skip
def test_empty_cells_keep_their_place_in_tables_of_data(rows: str, lines: list[str]) -> None:
    assert html_text(f"<table><tr>{rows}</table>")[0].splitlines() == lines


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("19<sup>99</sup> EUR", "19⁹⁹ EUR"), ("100<sup>1)</sup> 5", "100¹⁾ 5"), ("10<sup>-3</sup>", "10⁻³"),
        ("1<sup>3</sup>/<sub>4</sub> in", "1³/4 in"), ("<sup>2</sup>50", "²50"), ("7<sup>1</sup><sup>2</sup>", "7¹²"),
        ('100<span style="vertical-align: super">1</span>', "100¹"), ("5<sup style=top:1px>1</sup>", "5¹"),
        ("<button>A</button><button>B</button>", "A B"),
        ("m<sup>2</sup> H<sub>2</sub>O 5<sup>th</sup>", "m2 H2O 5th"), ("5<sup></sup>6", "56"),
    ],
)  # fmt: skip
def test_raised_and_lowered_digits_are_no_part_of_the_number_beside_them(markup: str, text: str) -> None:
    assert html_text(f"<p>{markup}")[0] == text


def test_lists_count_as_they_say() -> None:
    markup = (
        "<ol type=a><li>x<li>y</ol><ol type=I start=4><li>x</ol><ol style='list-style: none inside'><li>x</ol>"
        "<ol style='list-style-type:upper-alpha'><li value=3>x<li>y</ol><ul><li>x</ul>"
    )
    assert html_text(markup)[0].splitlines() == ["a. x", "b. y", "IV. x", "x", "C. x", "D. y", "x"]


@pytest.mark.parametrize("start", ["<script>x</script>", "<b>a</b>", "<form action=x>", "<a href='x'>y</a>", "<tr>"])
def test_parts_of_pages_are_pages(start: str) -> None:
    assert document_type(f"{start}<p>text".encode()) is DocumentType.HTML
    assert document_type(b"<a@b.org> wrote: <b, c> and <form> of it\n") is DocumentType.TEXT


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("<msup><mn>10</mn><mn>6</mn></msup>", "10^6"), ("<mfrac><mn>1</mn><msqrt><mn>2</mn></msqrt></mfrac>", "1/√2"),
        ("<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup><mn>5</mn>", "x_1^25"),
        ("<mfrac><mrow><mi>a</mi><mo>+</mo><msup><mi>b</mi><mn>2</mn></msup></mrow><mn>2</mn></mfrac>", "a+b^2/2"),
    ],
)  # fmt: skip
def test_parts_of_formulas_do_not_run_into_one_number(formula: str, text: str) -> None:
    assert html_text(f"<p><math>{formula}</math>")[0] == text


@pytest.mark.parametrize("odd", ["<![ if !vml]>", "<![foo[bar]>", '<!["x>', "<![>", "<![if !vml]>", "<![CDATA[x]]>"])
def test_section_of_an_unknown_kind_is_a_comment(odd: str) -> None:
    assert read_html(f"<html><body><p>a</p>{odd}<p>b</p></body></html>".encode())[0] == "a\nb"
