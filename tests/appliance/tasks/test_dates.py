"""Dates: as the languages of CLDR write them, in other years than ours, and marked where the order is in doubt."""
# ruff: noqa: RUF001, E501 (digits and letters of other scripts; tables of examples)

from datetime import date

import pytest
from babel import Locale
from babel.dates import format_date, format_skeleton
from babel.localedata import locale_identifiers

from appliance.tasks.dates import DateOrder, read_date
from appliance.tasks.marks import Mark
from appliance.tasks.months import LANGUAGES
from appliance.tasks.task import Comparator, Field, FieldType
from appliance.tasks.values import normalised_value, same

DATE = Field("day", FieldType.DATE, comparator=Comparator.DATE)
SKELETONS = ("yMMMd", "yMMMMd", "yMMMEd", "yMMMMEEEEd", "GyMMMd", "GyMMMMd", "yMEd", "yMd")


def stated(locale: str = "", order: DateOrder | None = None) -> Field:
    return Field("day", FieldType.DATE, comparator=Comparator.DATE, locale=locale, date_order=order)


@pytest.mark.slow
@pytest.mark.parametrize("language", " ".join(LANGUAGES.values()).split())
def test_every_skeleton_and_style_of_a_language_is_read(language: str) -> None:
    known = Locale.parse(language).datetime_skeletons
    days = [date(2026, month, 4) for month in range(1, 13)] + [date(2026, 2, 28), date(2026, 12, 28)]
    for day in days:
        texts = [format_date(day, style, language) for style in ("full", "long", "medium")]
        texts += [format_skeleton(each, day, locale=language) for each in SKELETONS if each in known]
        for text in texts:
            for spelling in (text, text.upper()):
                reading = read_date(spelling)
                assert reading is not None, spelling
                assert day in (reading.day, reading.other), spelling
                assert reading.is_clear, spelling


@pytest.mark.slow
def test_no_locale_writes_the_month_before_a_dot() -> None:
    for name in locale_identifiers()[::3]:
        pattern = str(Locale.parse(name).date_formats["short"].pattern)
        bare = "".join(char for char in pattern if char in "dMy.")
        assert "M.d" not in bare.replace("MM", "M").replace("dd", "d") or bare.startswith("y"), name


@pytest.mark.parametrize(
    "text",
    [
        "5 марта 2024 г.", "5-го марта 2024 года", "5 marca 2024 r.", "dne 5. března 2024", "5 ΜΑΡΤΙΟΥ 2024", "5 Μαρτ. 2024",
        "5 MART 2024", "2024. márc. 5-én", "5 martie 2024", "5/III/2024", "5.III.2024", "05MAR2024", "le 5 mars 2024",
        "令和6年3月5日", "平成36年3月5日", "民國113年3月5日", "5 มี.ค. 2567", "5 มีนาคม พ.ศ. 2567", "ngày 5 tháng 3 năm 2024",
        "2024년 3월 5일", "2024. 3. 5.", "2024-03-05T23:30:00Z", "Tue, 5 Mar 2024 10:15:00 +0100", "mar 05/03/2024 9.30 h",
        "Mar, Mar 5, 2024",
    ],
)  # fmt: skip
def test_a_date_is_read_in_its_own_way(text: str) -> None:
    reading = read_date(text, DateOrder.DAY_FIRST)
    assert reading is not None
    assert reading.form == "2024-03-05"


@pytest.mark.parametrize("text", ["03/04/2024", "3/4/24", "03-04-2024", "3 4 2024", "٣/٤/٢٠٢٤", "24-03-05"])
def test_an_order_in_doubt_is_marked_and_not_decided(text: str) -> None:
    value = normalised_value(DATE, text)
    assert value.value is None
    assert Mark.DATE_ORDER in value.marks


@pytest.mark.parametrize(
    ("field", "text", "day"),
    [
        (stated(order=DateOrder.DAY_FIRST), "03/04/2024", "2024-04-03"),
        (stated(order=DateOrder.MONTH_FIRST), "03/04/2024", "2024-03-04"),
        (stated("de"), "03/04/2024", "2024-04-03"),
        (stated("en_US"), "03/04/2024", "2024-03-04"),
        (stated("en_GB"), "03/04/2024", "2024-04-03"),
        (stated("en"), "03/04/2024", None),
        (stated("de", DateOrder.MONTH_FIRST), "03/04/2024", "2024-03-04"),
        (stated("ja"), "24/03/05", "2024-03-05"),
        (stated("hr"), "5 lip 2024", "2024-06-05"),
        (stated("pl"), "5. lip 2024.", "2024-07-05"),
        (DATE, "13/04/2024", "2024-04-13"),
        (DATE, "04/13/2024", "2024-04-13"),
        (DATE, "04/04/2024", "2024-04-04"),
        (DATE, "03.04.2024", "2024-04-03"),
    ],
)
def test_a_stated_order_or_locale_settles_it(field: Field, text: str, day: str | None) -> None:
    assert normalised_value(field, text).value == day


def test_a_stated_order_holds_in_comparisons() -> None:
    assert same(DATE, "03/04/2024", "2024-04-03")
    assert same(DATE, "03/04/2024", "2024-03-04")
    assert same(stated("en_US"), "03/04/2024", "2024-03-04")
    assert not same(stated("en_US"), "03/04/2024", "2024-04-03")


@pytest.mark.parametrize(
    ("text", "day", "marks"),
    [
        ("12 March 24", "2024-03-12", (Mark.CENTURY,)),
        ("12 March 98", "1998-03-12", (Mark.CENTURY,)),
        ("1403/05/12", None, (Mark.CALENDAR,)),
        ("5 March 2567", None, (Mark.CALENDAR,)),
        ("4 March 1044 BC", None, (Mark.CALENDAR,)),
        ("12 May 2024 to 13 June 2024", None, (Mark.UNREAD,)),
        ("12-13 May 2024", None, (Mark.UNREAD,)),
        ("2024-03-05/2024-03-08", None, (Mark.UNREAD,)),
        ("H31.4.30", None, (Mark.UNREAD,)),
        ("30.02.2024", None, (Mark.UNREAD,)),
        ("March 2024", None, (Mark.UNREAD,)),
        ("2024-W10-2", None, (Mark.UNREAD,)),
    ],
)
def test_what_a_date_rests_on_is_marked(text: str, day: str | None, marks: tuple[Mark, ...]) -> None:
    value = normalised_value(DATE, text)
    assert (value.value, value.marks) == (day, marks)


def test_a_range_is_not_its_first_day() -> None:
    assert not same(DATE, "12 May 2024 to 13 June 2024", "12 May 2024")
    assert same(DATE, "12 May 2024 to 13 June 2024", "12 May 2024 to 13 June 2024")


@pytest.mark.parametrize(
    ("text", "day"),
    [("Mon Mar  4 10:00:00 CET 2024", "2024-03-04"), ("Mon Mar 4 10:00:00 2024 +0100", "2024-03-04"),
     ("1º de março de 2024", "2024-03-01"), ("1° marzo 2024", "2024-03-01"), ("«4» марта 2024 года", "2024-03-04"),
     ("4 มี.ค. 67", None), ("Mar 5 10:11", None)],
)  # fmt: skip
def test_times_and_marks_within_a_date_do_not_hide_it(text: str, day: str | None) -> None:
    assert normalised_value(stated(), text).value == day


@pytest.mark.parametrize(
    "text",
    ["before 4 March 2024", "not 4 March 2024", "~4.3.2024", "<4.3.2024", "nach dem 4.3.2024", "apr\u00e8s le 4 mars 2024",
     "ca. 4.3.2024", "\u2264 4.3.2024", "4 March 2024 BC", "4 \u0e21\u0e35.\u0e04. 2024 BC",
     "2024年3月4日以前", "2024年3月4日(月)以降", "2024년 3월 4일 이후", "ก่อน 4 มีนาคม 2567", "قبل 4 مارس 2024",
     "πριν 4 Μαρτίου 2024", "după 4 martie 2024", "pre 4. marta 2024.", "4 Mart 2024'ten önce", "2024. március 4. után",
     "4 March 2024 or earlier", "4 March 2024 minus one week", "4 March 2024-2025"],
)  # fmt: skip
def test_what_is_another_day_or_a_guess_equals_no_day(text: str) -> None:
    field = stated()
    assert normalised_value(field, text).value is None
    assert not same(field, text, "4 March 2024")
    assert same(field, "Montag, 4.3.2024", "4 March 2024")


@pytest.mark.parametrize(
    "text",
    ["2024年3月4日午後3時", "2024年3月4日 午前10時", "2024年3月4日付", "2024년 3월 4일 전화", "4 mars 2024 utan moms",
     "Pre-approval 4 March 2024", "2024-03-04T10:00:00+0530", "2024-03-04 10:00 -0500"],
)  # fmt: skip
def test_words_that_only_look_like_another_day_leave_a_date(text: str) -> None:
    assert normalised_value(stated(), text).value == "2024-03-04"


@pytest.mark.parametrize(
    "text",
    ["01.03.-31.03.2024", "05.03.–06.03.2024", "5.3.2024 – 01.04.", "5.3.2024 bis 01.04", "5 March 2024 +30 days",
     "5 March 2024 -3 days", "5 March 2024 (approx)", "5 March 2024?", "c. 1924-03-05", "l5.03.2024", "O5 March 2024",
     "2024-03-5O", "BS 2080-11-22", "Saka 1945-12-15", "5 марта 1917 (ст. ст.)", "05.03.0024", "단기 4357년 3월 5일",
     "24/12/15(火)", "24.12.15(화)"],
)  # fmt: skip
def test_ranges_guesses_misread_digits_and_other_calendars_are_no_day_of_ours(text: str) -> None:
    value = normalised_value(DATE, text)
    assert value.value is None
    assert value.marks


@pytest.mark.parametrize(
    "text",
    ["Date: 5 March 2024", "05/Mar/2024:10:15:00 +0100", "2024年03月05日 10時15分", "2024년 3월 5일 10시 15분", "5.3.2024 10.15",
     "5.3.2024 klo 10:15", "2024-03-05+01:00", "2024-03-05 10:15:00.5+01", "2024/3/5(火)"],
)  # fmt: skip
def test_labels_and_times_beside_a_date_do_not_hide_it(text: str) -> None:
    assert normalised_value(DATE, text).value == "2024-03-05"
    assert normalised_value(DATE, "5 setiembre 2024").value == "2024-09-05"
