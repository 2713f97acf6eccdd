"""Plain text in old encodings, tables in text files, and rich text."""

import pytest

from appliance.documents import csv_table
from appliance.documents.charset import find_encoding
from appliance.documents.csv_table import read_table
from appliance.documents.document_text import read_document
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sniffing import DocumentType


def lines(data: bytes) -> list[str]:
    return read_document(data).text.splitlines()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Straße 5\nGrüße\n", "cp1252"), ("facture n° 15 \u2013 café crème, payé", "cp1252"),
        ("naïve \u2013 50 €", "cp1252"),
        ("Ñandú ¿Qué tal?", "cp1252"), ("10 µm ±5 %", "cp1252"), ("price: 5£ for the lot", "cp1252"),
        ("Zażółć gęślą jaźń, faktura nr 15", "cp1250"), ("Kč 150, zaplaťte prosím", "cp1250"),
        ("Pokój nr 5, łóżko", "iso8859_2"), ("Příliš žluťoučký kůň úpěl ďábelské ódy", "iso8859_2"),
        ("İstanbul şubesi için fatura", "cp1254"), ("Счет на оплату номер 15 от 3 марта", "cp1251"),
        ("Уважаемые господа, просим поставить товар", "koi8_r"), ("Τιμολόγιο αριθμός 15", "cp1253"),
        ("חשבונית מספר 15", "cp1255"), ("فاتورة رقم بتاريخ", "cp1256"), ("ใบแจ้งหนี้เลขที่ 15", "cp874"),
        ("名前,年齢,住所\n佐藤太郎,30,東京\n", "cp932"), ("契約書をお送りください", "euc_jp"),
        ("请发送三箱货物到北京", "gb18030"), ("合約書 請於三日內付款", "big5"), ("계약서를 보내 주세요", "cp949"),
        ("契約書", "iso2022_jp"),
    ],
    ids=lambda value: value if value.isascii() and " " not in value else value.split()[0].strip(","),
)  # fmt: skip
def test_old_encodings_are_found_in_a_line_of_text(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    found = find_encoding(data)
    assert found is not None
    assert data.decode(found) == text


def test_found_encoding_is_stated() -> None:
    found = read_document("Счет на оплату\n".encode("cp1251"))
    assert (found.text, found.notes) == ("Счет на оплату\n", ["encoding cp1251 found by its characters"])


def test_a_few_broken_bytes_do_not_turn_utf_8_into_something_else() -> None:
    found = read_document("Grüße, schöne Straße, müde Füße, böse Hüte und Mäuse\n".encode() * 3 + b"\xff")
    assert found.text.startswith("Grüße, schöne")
    assert found.notes == ["1 broken byte in UTF-8 text replaced"]


def test_stray_control_characters_do_not_make_text_binary() -> None:
    assert read_document(b"cause-and\x02effect" + b" relationship between them," * 20).text.startswith(
        "cause-and\ufffdeffect"
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"], ids=["comma", "semicolon", "tab", "bar"])
def test_rows_are_lines_with_tabs_whatever_separates_the_cells(delimiter: str) -> None:
    data = f'name{delimiter}city{delimiter}sum\n"Smith{delimiter} John"{delimiter}Bonn{delimiter}12.50\n'.encode()
    found = read_document(data)
    assert found.document_type is DocumentType.TABLE
    first = f"Smith{delimiter} John" if delimiter != "\t" else "Smith John"
    assert found.text.splitlines() == ["name\tcity\tsum", f"{first}\tBonn\t12.50"]


def test_cell_with_a_line_end_stays_one_line() -> None:
    assert lines(b'a,b\n"first\nsecond ""x""",2\n') == ["a\tb", 'first second "x"\t2']


def test_quote_that_never_ends_loses_no_row() -> None:
    data = b"a,b\n" + b'5",1\n' + b"x,2\n" * 60
    assert lines(data)[-1] == "x\t2"
    assert len(lines(data)) == 62


def test_table_with_a_cell_beyond_all_bounds_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "_MAX_CELL_CHARACTERS", 1000)
    with pytest.raises(DocumentError, match="field larger than field limit") as caught:
        read_table(b"a,b\n" * 60 + b"c," + b"d" * 2000)
    assert caught.value.problem is Problem.TOO_LARGE


def test_letters_and_addresses_are_no_tables() -> None:
    letter = b"Dear Ann,\n\nplease send it to Main Street 5, Bonn.\nKind regards, Bob\n"
    assert read_document(letter).text == letter.decode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb"one\par two\line three", ["one", "two", "three"]),
        (rb"{\fonttbl{\f0 Times;}{\f1\fcharset204 Arial;}}\f0 Gr\'fc\'dfe \f1\'d1\'f7\'e5\'f2", ["Grüße Счет"]),
        (rb"\uc1 caf\u233?s \u-10179?\u-8704?!", ["cafés \U0001f600!"]),
        (rb"\uc2 x\u8364\'80\'80y", ["x€y"]),
        (
            rb"\trowd\intbl a\cell b\par c\cell\row\trowd\intbl d\cell e\cell\row\pard after",
            ["a\tb c", "d\te", "after"],
        ),
        (rb"{\header head}{\footer foot}body{\footnote note}\par", ["head", "body", "foot", "note"]),
        (rb"{\field{\*\fldinst HYPERLINK x}{\fldrslt link}} {\*\unknown gone}{\pict 89504e47}seen", ["link seen"]),
        (rb"shown{\v hidden}", ["shown"]),
        (rb"{\listtext\'b7\tab}point\bin4 }}}}\par end", ["·\tpoint", "end"]),
        (rb"\{braces\} back\\slash\~x", ["{braces} back\\slash\u00a0x"]),
        (rb"{\shp{\*\shpinst{\sp{\sn a}{\sv b}}{\shptxt in a box\par}}}", ["in a box"]),
    ],
    ids=["lines", "charsets", "unicode", "fallback-characters", "table", "headers-and-notes", "fields-and-pictures",
         "hidden", "list-and-binary", "escapes", "text-box"],
)  # fmt: skip
def test_rtf(body: bytes, expected: list[str]) -> None:
    assert lines(rb"{\rtf1\ansi\ansicpg1252\deff0 " + body + b"}") == expected


def test_rtf_in_a_two_byte_code_page() -> None:
    escaped = "".join(f"\\'{byte:02x}" for byte in "契約書".encode("cp932")).encode()
    assert lines(rb"{\rtf1\ansi\ansicpg932 " + escaped + b"}") == ["契約書"]


@pytest.mark.parametrize("page", [1, 708, 10001, 65000, 99999, -1])
def test_rtf_in_a_code_page_that_nobody_knows_is_read_as_the_commonest(page: int) -> None:
    assert lines(rb"{\rtf1\ansi\ansicpg%d Gr\'fc\'dfe}" % page) == ["Grüße"]


def test_rtf_with_groups_without_end_is_too_large_and_a_cut_one_is_read() -> None:
    with pytest.raises(DocumentError) as caught:
        read_document(rb"{\rtf1 " + b"{" * 20_000)
    assert caught.value.problem is Problem.TOO_LARGE
    assert lines(rb"{\rtf1 {\b cut off\par in the mid\'") == ["cut off", "in the mid"]


def test_colours_of_terminals_and_letters_struck_twice_are_read_as_they_look() -> None:
    text = "\x1b[1;31mTOTAL\x1b[0m 5\n\x1b]0;title\x07N\bNA\bA _\bx\n"
    assert read_document(text.encode()).text == "TOTAL 5\nNA x\n"


def test_zeros_behind_a_text_do_not_make_it_binary() -> None:
    assert read_document(b"Total 5\n" + bytes(9000)).text == "Total 5\n"
    with pytest.raises(DocumentError, match="binary data"):
        read_document(b"Total 5\n" + bytes(70_000) + b"\x01\x02code")
