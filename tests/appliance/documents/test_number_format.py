"""Number formats of workbooks: what a sheet shows of a number or a text, compared with what Excel shows."""

import time

import pytest

from appliance.documents.moments import EPOCH, EPOCH_1904
from appliance.documents.number_format import BUILT_IN, NumberFormat

ACCOUNTING = '_($* #,##0.00_);_($* (#,##0.00);_($* "-"??_);_(@_)'


@pytest.mark.parametrize(
    ("code", "number", "shown"),
    [
        ("0.00", 1234.5, "1234.50"), ("#,##0.00", 1234567.891, "1,234,567.89"), ("#", 0, ""), ("0", 2.5, "3"),
        ("£0.00", 2.675, "£2.68"), ("0.000", -0.0001, "0.000"), ("00000", 123, "00123"), ("0.##", 1.5, "1.5"),
        ("0%", 0.075, "8%"), ("0.0%", 0.125, "12.5%"), ("0.00%;(0.00%)", -0.05, "(5.00%)"),
        ('#,##0.00 "EUR"', -5, "-5.00 EUR"), ("0.00 EUR", 1.5, "1.50 EUR"), ("[$€-407] #,##0.00", 12.3, "€ 12.30"),
        ("#,##0.00_);(#,##0.00)", -5.5, "(5.50)"), ("[Red]-0.0;0.0", 3, "-3.0"), ('0.00" Cr";0.00" Dr"', -2, "2.00 Dr"),
        (ACCOUNTING, 1234.5, "$1,234.50"), (ACCOUNTING, -1234.5, "$(1,234.50)"), (ACCOUNTING, 0, "$-"),
        ("0.0,", 123456, "123.5"), ('#,##0,,"M"', 12345678, "12M"), ("0.00E+00", 12345, "1.23E+04"),
        ("# ?/?", 1.5, "1 1/2"), ("# ?/8", 2.375, "2 3/8"), ("# ??/??", 0.333, "1/3"), ("?/?", 1.5, "3/2"),
        ("000-00-0000", 123456789, "123-45-6789"), ("(000) 000-0000", 5551234567, "(555) 123-4567"),
        ('[>=1000]#,##0,"k";0', 2500, "3k"), ('[>=1000]#,##0,"k";0', 25, "25"), ('[=1]"yes";[=0]"no";0', 0, "no"),
        ('[<0]"minus "0;0', -5, "minus 5"), (";;;", 5, ""), ('0;-0;"nil"', 0, "nil"), ("0;-0;;@", 0, ""),
        ("General", 0.1, "0.1"), ('General" kg"', 1.5, "1.5 kg"), ("@", 5, "5"), ("", 5, "5"),
        ("[>=0]0.00;[Red]-0.00", -5, "-5.00"), ("[>0]0;-0", -5, "-5"), ('# ?/?" in"', 2.5, "2 1/2 in"),
        ('"about "?/8', 0.5, "about 4/8"), ('0.0E+0" m"', -12345, "-1.2E+4 m"), ("##0.0E+0", 12345, "12.3E+3"),
        ("0.0E+00", 9.99, "1.0E+01"),
        (BUILT_IN[44], -5, "(5.00)"), (BUILT_IN[11], 0, "0.00E+00"),
    ],
)  # fmt: skip
def test_numbers_are_shown_as_their_format_says(code: str, number: float, shown: str) -> None:
    assert NumberFormat(code).number_text(number, EPOCH) == shown


@pytest.mark.parametrize(
    ("code", "days", "shown"),
    [
        ("[h]:mm", 1.2604166667, "30:15"), ("[h]:mm:ss", 2.1875, "52:30:00"), ("[mm]:ss", 0.05, "72:00"),
        ("[ss]", 0.001, "86"), ("[h]:mm", -0.5, "-12:00"), ('[h]"h" mm"m"', 1.5, "36h 00m"),
        ("[h]:mm:ss.0", 1, "24:00:00.0"),
        ("dd/mm/yyyy", 45842, "2025-07-04"), ("[$-409]mmmm d, yyyy", 45842, "2025-07-04"), ("mmm-yy", 45842, "Jul-25"),
        ('yyyy"年"m"月"d"日"', 45842, "2025-07-04"), ("d mmmm", 45842, "4 July"), ("dddd", 45842, "Friday"),
        ("yyyy", 45842, "2025"), ("d.m.yy h:mm", 45842.5, "2025-07-04 12:00:00"), ("h:mm AM/PM", 0.6, "14:24:00"),
        ("yyyy-mm-dd", 1, "1900-01-01"), ("yyyy-mm-dd", 61, "1900-03-01"), ('"due "d.m.yyyy', 45842, "due 2025-07-04"),
        ('h:mm" Uhr"', 0.5, "12:00:00 Uhr"), ('[$-411]ggge"年"m"月"d"日"', 45842, "2025-07-04"),
        ("mm:ss.0", 0.0012345, "00:01:46.7"), ("yyyy-mm-dd", -1, "-1"), ("[h]", 1e12, "1000000000000"),
    ],
)  # fmt: skip
def test_moments_are_whole_dates_and_times_or_the_parts_that_are_shown(code: str, days: float, shown: str) -> None:
    assert NumberFormat(code).number_text(days, EPOCH) == shown


def test_days_are_counted_from_the_year_that_the_workbook_says() -> None:
    assert NumberFormat("yyyy-mm-dd").number_text(44380, EPOCH_1904) == "2025-07-04"


@pytest.mark.parametrize(
    ("code", "shown"),
    [('@" kg"', "abc kg"), (";;;", ""), ('0;0;0;"x "@', "x abc"), ("0.00", "abc"), ("General", "abc"), ("0;0;;", "")],
)
def test_texts_are_shown_as_their_format_says(code: str, shown: str) -> None:
    assert NumberFormat(code).text_text("abc") == shown


@pytest.mark.parametrize(
    "code", ["[", "\\", '"', "_", "*", "@" * 900, "0" * 900, "[" * 900, ";" * 900, "/" * 200, "?/0"]
)
def test_hostile_format_gives_something_soon(code: str) -> None:
    started = time.process_time()
    for number in (0.0, -1.5, 1e300, 5e-324, 12345.678):
        assert len(NumberFormat(code).number_text(number, EPOCH)) < 10_000
    assert time.process_time() - started < 4
