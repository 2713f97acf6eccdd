"""Tables in text files as programs export them: lines above, a named separator, odd ends, and texts that are none."""

import pytest

from appliance.documents.document_text import read_document
from appliance.documents.sniffing import DocumentType, document_type

BANK = (
    "Account statement\r\nIBAN;XX00 1234\r\n\r\nDate;Text;Amount\r\n"
    '01.05.2025;"Rent; May";-800,00\r\n2;Pay;2.100,00\r\n'
)
ROWS = ["Date\tText\tAmount", "01.05.2025\tRent; May\t-800,00", "2\tPay\t2.100,00"]


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r"], ids=["crlf", "lf", "cr"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_lines_above_a_table_do_not_hide_it(line_end: str, encoding: str) -> None:
    found = read_document(BANK.replace("\r\n", line_end).encode(encoding))
    assert found.document_type is DocumentType.TABLE
    assert found.text.splitlines() == ["Account statement", "IBAN\tXX00 1234", *ROWS]
    assert found.notes[-1] == "lines above the table: 2"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a;b\n1;2\n3;4\nTotal rows: 2\n", ["a\tb", "1\t2", "3\t4", "Total rows: 2"]),
        ("Ann, Mill Road, Cork\nMay\nDay,Text,Sum\n1,Rent,5\n2,Pay,6\n",
         ["Ann\tMill Road\tCork", "May", "Day\tText\tSum", "1\tRent\t5", "2\tPay\t6"]),
        ('sep=;\r\nName;Amount\r\n"Vos; Henk";12,50\r\n', ["Name\tAmount", "Vos; Henk\t12,50"]),
        ('id,name\n="00123",Vos\n"=""00456""",Day\n', ["id\tname", "00123\tVos", "00456\tDay"]),
        ("SEP=^\na^b\n1^2\n", ["a\tb", "1\t2"]), ("sep=\t\na\tb\n", ["a\tb"]), ('"sep=,"\na,b\n', ["a\tb"]),
        ("a;b;c;\n1;2;3;\n4;5;6\n", ["a\tb\tc", "1\t2\t3", "4\t5\t6"]),
        ("a;b;c\n1;2;3;\n4;5;6;\n", ["a\tb\tc", "1\t2\t3", "4\t5\t6"]),
        ("Sums,,\nTeam,City,Cups\nBlues,STL,1\n", ["Sums", "Team\tCity\tCups", "Blues\tSTL\t1"]),
        ("Name;Sum\nVos;1,50\nDay;2,50\nTan;3,75\n", ["Name\tSum", "Vos\t1,50", "Day\t2,50", "Tan\t3,75"]),
        ("No;Debit;Credit\n1;1.234,56;0,00\n2;0,00;5,00\n3;0,00;7,10\n",
         ["No\tDebit\tCredit", "1\t1.234,56\t0,00", "2\t0,00\t5,00", "3\t0,00\t7,10"]),
        ("a;b\n1;2\n\x1a", ["a\tb", "1\t2"]), ("52.5200,13.4050\n48.1,11.5\n", ["52.5200\t13.4050", "48.1\t11.5"]),
        ("n,v\n1,5\n2,50\n3,75\n", ["n\tv", "1\t5", "2\t50", "3\t75"]),
        ("1,2,3\n4,5,6\n", ["1\t2\t3", "4\t5\t6"]),
        ("Report of May\na|b|c\n1|2|3\n4|5|6\n", ["Report of May", "a\tb\tc", "1\t2\t3", "4\t5\t6"]),
    ],
    ids=["footer", "title-with-commas", "named",
         "text-as-formula",
         "named-oddly", "named-tab", "named-in-quotes", "end", "end-of-some", "padded-title",
         "decimal-commas", "more-decimal-commas", "end-of-dos",
         "places", "commas-between-numbers", "numbers-alone", "title"],
)  # fmt: skip
def test_tables_as_programs_export_them(text: str, lines: list[str]) -> None:
    found = read_document(text.encode())
    assert (found.document_type, found.text.splitlines()) == (DocumentType.TABLE, lines)


@pytest.mark.parametrize(
    "text",
    ["Dear Sir,\nThank you.\n", "Dear Sir,\nthank you, and good bye,\n", "one line; and another\nthe end\nof it\n",
     "Hello,\n\nwe order:\n3 lamps, red\n2 shades, blue\n1 cord, long\n", "sep=paration of powers\nis a principle\n",
     "Total: 5\nTax: 1\nSum: 6\n", "Name      Sum\nVos      1,50\nDay  1.202,50\nTan      3,75\n",
     "|No  |  Sum |\n|1200|  1,50|\n|1210|  2,50|\n|1220|  3,50|\n", "1,50\n2,50\n3,75\n",
     "2024-05-06 10:00:00,123 begin\n2024-05-06 10:00:01,456 end\n2024-05-06 10:00:02,7 out\n",
     "Total 1,234.50\nTax 1,001.10\nSum 2,235.60\n", '{"a":1,"b":2}\n{"a":3,"b":4}\n{"a":5,"b":6}\n',
     "Rent 1,50 2,50\nPay  3,50 4,50\nTax  5,50 6,50\n", "Dear Sir,\nwe thank you,\nGood bye,\n"],
)  # fmt: skip
def test_texts_are_no_tables(text: str) -> None:
    assert document_type(text.encode()) is DocumentType.TEXT
