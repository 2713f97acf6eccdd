"""Values: read in any usual spelling, compared by what they say, found in the document where they stand alone."""
# ruff: noqa: RUF001 (digits and letters of other scripts)

import subprocess
import sys
import time
from datetime import date
from decimal import Decimal

import pytest
from babel import Locale
from babel.dates import format_date
from babel.localedata import locale_identifiers
from babel.numbers import format_decimal

from appliance.tasks import dates, months
from appliance.tasks.dates import DateOrder
from appliance.tasks.linecode import Value
from appliance.tasks.task import Comparator, Field, FieldType
from appliance.tasks.values import evidence, find, normalise, plain, read_number, read_unit, same

DAY_FIRST, MONTH_FIRST = DateOrder.DAY_FIRST, DateOrder.MONTH_FIRST


def read_date(text: str, order: DateOrder) -> date | None:
    reading = dates.read_date(text, order)
    return None if reading is None else reading.day


def field(type_: FieldType, comparator: Comparator | None = None, values: tuple[str, ...] = ()) -> Field:
    return Field("value", type_, comparator=comparator or Comparator(type_), values=values)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", "12"),
        ("1,234.50", "1234.5"),
        ("1.234,50", "1234.5"),
        ("1 234,50", "1234.5"),
        ("1\u00a0234,50 €", "1234.5"),
        ("1\u202f234\u202f567", "1234567"),
        ("1'234.50", "1234.5"),
        ("1\u2019234.50", "1234.5"),
        ("1.234.567", "1234567"),
        ("1,234,567.89", "1234567.89"),
        ("1.234.567,89", "1234567.89"),
        ("12,5", "12.5"),
        ("0,125", "0.125"),
        ("0.125", "0.125"),
        ("1,234", "1234"),
        ("1.234", "1234"),
        ("1234.567", "1234.567"),
        ("$12.50", "12.5"),
        ("12.50 EUR", "12.5"),
        ("CHF 1'000.-", "1000"),
        ("\uff11\uff12.\uff15\uff10", "12.5"),
        ("٣٤", "34"),
        ("12.50.", "12.5"),
        ("007", "7"),
        ("0.00", "0"),
    ],
)
def test_amount_is_read_in_any_spelling(text: str, number: str) -> None:
    assert read_number(text, money=True) == Decimal(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-5", "-5"),
        ("\u22125,00", "-5"),
        ("- 5", "-5"),
        ("5-", "-5"),
        ("5,00 -", "-5"),
        ("(5.00)", "-5"),
        ("-$5.00", "-5"),
        ("$-5.00", "-5"),
        ("- $5", "-5"),
        ("EUR -5.00", "-5"),
        ("EUR \u22125,00", "-5"),
        ("USD -$5", "-5"),
        ("-0.00", "0"),
        ("A-5", "5"),
        ("Total - 5.00", "5"),
        ("Total: -5.00", "-5"),
        ("5 - 7", "5"),
        ("1-", "-1"),
    ],
)
def test_minus_counts_where_it_is_a_sign(text: str, number: str) -> None:
    assert read_number(text, money=True) == Decimal(number)


def test_dot_before_three_digits_is_a_decimal_mark_outside_money() -> None:
    assert read_number("1.234", money=False) == Decimal("1.234")
    assert read_number("1,234", money=False) == Decimal("1234")


@pytest.mark.parametrize("text", ["", "none", "EUR", "-", "()"])
def test_text_without_a_number_has_none(text: str) -> None:
    assert read_number(text, money=True) is None


def test_very_long_number_is_read_exactly() -> None:
    assert read_number("-" + "9" * 300, money=True) == Decimal("-" + "9" * 300)
    assert not same(field(FieldType.NUMBER), "9" * 30, "9" * 29 + "8")


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("€ 5", "EUR"),
        ("5 €", "EUR"),
        ("EUR 5", "EUR"),
        ("eur -5.00", "EUR"),
        ("$5", "USD"),
        ("US$ 5", "USD"),
        ("-$5.00", "USD"),
        ("5 zł", "PLN"),
        ("5 kg", "KG"),
        ("5 %", "%"),
        ("5.", ""),
        ("(5)", ""),
        ("none", ""),
    ],
)
def test_unit_is_read(text: str, unit: str) -> None:
    assert read_unit(text) == unit


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-04", "2026/3/4", "2026.03.04", "20260304", "2026年3月4日", "04.03.2026", "4/3/2026", "04-03-26",
        "4. 3. 2026", "4 March 2026", "4th of March 2026", "Mar 4, 2026", "March 4th, 2026", "4-Mar-26", "4. März 2026",
        "4 mars 2026", "4 de marzo de 2026", "4 marzo 2026", "4 maart 2026", "Wed, 4 Mar 2026 10:15", "04 MAR 2026",
    ],
)  # fmt: skip
def test_date_is_read_in_any_spelling(text: str) -> None:
    assert read_date(text, DAY_FIRST) == date(2026, 3, 4)


EVERY_LANGUAGE = " ".join(months.LANGUAGES.values()).split()
CROATIAN = {"lip": 6, "srp": 7, "lis": 10, "listopad": 10, "listopada": 10}


@pytest.mark.parametrize("language", EVERY_LANGUAGE)
def test_dates_as_babel_writes_them_are_read(language: str) -> None:
    for month in range(1, 13):
        for day in (date(2026, month, 4), date(2026, month, 28)):
            for form in ("full", "long", "medium"):
                text = format_date(day, form, language)
                if (language, form, month) != ("ca", "medium", 8):  # "ag." is too short for a word
                    assert read_date(text, DAY_FIRST) == day, text
                    assert read_date(text.upper(), DAY_FIRST) == day, text


@pytest.mark.parametrize("language", ["pl", "el", "hu", "tr", "ru", "cs", "ro"])
def test_every_form_of_a_months_name_is_known(language: str) -> None:
    names = Locale(language).months
    forms = [
        (number, name)
        for context in ("format", "stand-alone")
        for width in ("wide", "abbreviated")
        for number, name in names[context][width].items()
    ]
    assert len(forms) == 48
    for number, name in forms:
        bare = name.rstrip(".")
        assert read_date(f"4 {bare} 2026", DAY_FIRST) == date(2026, number, 4), name
        assert read_date(f"2026. {bare} 4.", DAY_FIRST) == date(2026, number, 4), name


def test_the_only_words_for_two_months_are_those_that_the_dots_decide() -> None:
    meanings: dict[str, set[int]] = {}
    for language in EVERY_LANGUAGE:
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in Locale.parse(language).months[context][width].items():
                    meanings.setdefault(months.fold(name).strip("."), set()).add(number)
    assert {word for word, numbers in meanings.items() if len(numbers) > 1} == set(CROATIAN)


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("12 lip 2026", 7), ("12. lip 2026.", 6), ("12. lip 2026", 6), ("12 listopada 2026", 11),
        ("12. listopada 2026.", 10), ("12. listopada 2026", 10), ("12 listopad 2026", 11), ("12. listopad 2026", 11),
        ("12. listopad 2026.", 10), ("12 lis 2026", 11), ("12. lis 2026", 11), ("12. lis 2026.", 10),
        ("12. srp 2026", 8), ("12. srp 2026.", 7), ("12. listopadu 2026", 11), ("12. lipnja 2026.", 6),
    ],
)  # fmt: skip
def test_dots_tell_croatian_from_czech_and_polish(text: str, month: int) -> None:
    assert read_date(text, DAY_FIRST) == date(2026, month, 12)


@pytest.mark.parametrize(
    "text",
    [
        "2026. március 4.", "2026. márc. 4. 12:30", "2026 m. kovo 4 d.", "2026 m. kovo 4 d., 10 val.",
        "2026. gada 4. marts", "2026 March 4", "2026/Mar/04", "4 de març del 2026", "4 МАРТА 2026 Г.", "4 Mart 2026",
    ],
)  # fmt: skip
def test_dates_of_other_orders_and_scripts_are_read(text: str) -> None:
    assert read_date(text, DAY_FIRST) == date(2026, 3, 4)


@pytest.mark.slow
def test_numbers_as_babel_writes_them_are_read() -> None:
    unread = set()
    for language in locale_identifiers():
        for number in (Decimal("1234567.89"), Decimal("1234.5"), Decimal("-12345.67"), Decimal("0.25")):
            text = format_decimal(number, locale=language, numbering_system="default")
            if read_number(text, money=True) != number:
                unread.add(language.partition("_")[0])
    assert unread == {"tok"}  # Toki Pona parts numbers by two digits


def test_arabic_separators_are_marks_of_a_number() -> None:
    assert same(field(FieldType.AMOUNT), "١٬٢٣٤٫٥٦", "1234.56")
    assert not same(field(FieldType.AMOUNT), "١٬٢٣٤٫٥٦", "1")
    assert read_number("١٫٢٣٤", money=True) == Decimal("1.234")


@pytest.mark.parametrize("text", ["a" * 200_000 + " 4 2026", "4 " + "я" * 200_000 + " 2026", "4 " * 50_000])
def test_a_long_text_is_searched_in_good_time(text: str) -> None:
    began = time.monotonic()
    assert read_date(text, DAY_FIRST) is None
    assert time.monotonic() - began < 5


def test_a_date_without_words_reads_no_language() -> None:
    code = (
        "import sys; from appliance.tasks.dates import read_date;"
        "print(read_date('2026-03-04').form, read_date('04.03.2026').form,"
        " 'babel' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2026-03-04", "2026-03-04", "False"]


@pytest.mark.parametrize(
    ("text", "order", "day"),
    [
        ("03/04/2026", DAY_FIRST, date(2026, 4, 3)),
        ("03/04/2026", MONTH_FIRST, date(2026, 3, 4)),
        ("12/25/2026", DAY_FIRST, date(2026, 12, 25)),
        ("25/12/2026", MONTH_FIRST, date(2026, 12, 25)),
        ("29.02.2024", DAY_FIRST, date(2024, 2, 29)),
        ("29.02.2026", DAY_FIRST, None),
        ("2026-13-01", DAY_FIRST, None),
        ("99/99/2026", DAY_FIRST, None),
        ("soon", DAY_FIRST, None),
        ("12", DAY_FIRST, None),
        ("4 Marvellous 2026", DAY_FIRST, None),
        ("0000-00-00", DAY_FIRST, None),
    ],
)
def test_order_and_calendar_of_a_date(text: str, order: DateOrder, day: date | None) -> None:
    assert read_date(text, order) == day


@pytest.mark.parametrize(
    ("asked", "a", "b", "equal"),
    [
        pytest.param(field(FieldType.AMOUNT), "€ 1.234,50", "1,234.50 EUR", True, id="amount in two spellings"),
        pytest.param(field(FieldType.AMOUNT), "1,234.50", "EUR 1234.5", True, id="amount without its currency"),
        pytest.param(field(FieldType.AMOUNT), "EUR 5", "USD 5", False, id="two currencies"),
        pytest.param(field(FieldType.AMOUNT), "EUR 5.00", "EUR -5.00", False, id="other sign"),
        pytest.param(field(FieldType.AMOUNT), "1,234.50", "1,234.51", False, id="one cent"),
        pytest.param(field(FieldType.AMOUNT), "free", "FREE", True, id="amount in words"),
        pytest.param(field(FieldType.NUMBER), "1.50", "1,5", True, id="number"),
        pytest.param(field(FieldType.NUMBER), "5 kg", "5 g", False, id="two units"),
        pytest.param(field(FieldType.DATE), "4 March 2026", "2026-03-04", True, id="date"),
        pytest.param(field(FieldType.DATE), "03/04/2026", "2026-04-03", True, id="date, day first"),
        pytest.param(field(FieldType.DATE), "03/04/2026", "2026-03-04", True, id="date, month first"),
        pytest.param(field(FieldType.DATE), "03/04/2026", "04/03/2026", False, id="two orders at once"),
        pytest.param(field(FieldType.DATE), "tomorrow", "Tomorrow", True, id="date in words"),
        pytest.param(field(FieldType.TEXT), "ACME  Ltd.", "acme ltd", True, id="text but for case and blanks"),
        pytest.param(field(FieldType.TEXT), "ACME Ltd", "ACME Inc", False, id="two texts"),
        pytest.param(field(FieldType.TEXT), "...", "…", True, id="marks alone"),
        pytest.param(field(FieldType.TEXT, Comparator.EXACT), "A-1", "a-1", False, id="exact"),
        pytest.param(field(FieldType.TEXT, Comparator.EXACT), " A-1", "A-1", True, id="exact but for outer blanks"),
        pytest.param(field(FieldType.ENUM, None, ("Card", "Cash")), "card", "Card", True, id="enum"),
        pytest.param(field(FieldType.ENUM, None, ("A.", "A")), "A", "A.", False, id="enum values that are alike"),
        pytest.param(field(FieldType.LIST), ["b", "A"], ["a", "B"], True, id="list in any order"),
        pytest.param(field(FieldType.LIST), ["a", "a"], ["a"], False, id="list with a repetition"),
        pytest.param(field(FieldType.LIST), ["a"], "a", False, id="list and text"),
        pytest.param(field(FieldType.TEXT), None, None, True, id="nothing twice"),
        pytest.param(field(FieldType.TEXT), "", None, True, id="empty text is nothing"),
        pytest.param(field(FieldType.LIST), [], None, True, id="empty list is nothing"),
        pytest.param(field(FieldType.AMOUNT), "0", None, False, id="zero is not nothing"),
    ],
)
def test_values_are_the_same_when_they_say_the_same(asked: Field, a: Value, b: Value, equal: bool) -> None:
    assert same(asked, a, b) is equal
    assert same(asked, b, a) is equal


@pytest.mark.parametrize(
    ("asked", "value", "form"),
    [
        pytest.param(field(FieldType.AMOUNT), "€ 1.234,50", "1234.5", id="amount"),
        pytest.param(field(FieldType.AMOUNT), "1000000", "1000000", id="no exponent"),
        pytest.param(field(FieldType.DATE), "4 March 2026", "2026-03-04", id="date"),
        pytest.param(field(FieldType.ENUM, None, ("Card",)), " CARD ", "Card", id="enum"),
        pytest.param(field(FieldType.LIST), ["B ", "a"], ["b", "a"], id="list"),
        pytest.param(field(FieldType.TEXT), "", None, id="empty"),
    ],
)
def test_one_form_of_a_value(asked: Field, value: Value, form: Value) -> None:
    assert normalise(asked, value) == form


def test_plain_drops_what_rarely_means_anything() -> None:
    assert plain(" \uff27röße:\u00a0 10 ") == "grösse: 10"
    assert plain(".") == "."


TEXT = "Invoice 12345\nTotal: 1,234.50 EUR\nACME   Ltd\nfax 45, item 1.5\n電話は東京です"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        pytest.param("12345", "12345", id="number"),
        pytest.param("1234", None, id="part of a number"),
        pytest.param("1,234", None, id="number before its decimals"),
        pytest.param("234.50", None, id="number after its thousands"),
        pytest.param("1,234.50", "1,234.50", id="whole amount"),
        pytest.param("45", "45, item", id="not inside a longer number"),
        pytest.param("5", None, id="not the decimals"),
        pytest.param("acme ltd", "ACME   Ltd", id="whatever its case and blanks"),
        pytest.param("ACM", None, id="part of a word"),
        pytest.param("EUR ACME", "EUR\nACME", id="over a line end"),
        pytest.param("東京", "東京", id="script without blanks"),
        pytest.param("(", None, id="mark of a pattern"),
        pytest.param("  ", None, id="blanks"),
    ],
)
def test_value_is_found_where_it_stands_alone(value: str, found: str | None) -> None:
    assert find(value, TEXT) == (None if found is None else TEXT.index(found))


@pytest.mark.parametrize("text", ["Total {} due", "\u5408\u8a08 {} \u5186"])
def test_value_that_was_never_searched_before_costs_no_time_to_speak_of(text: str) -> None:
    """A pattern is made for each value: one that takes 20 ms to compile makes curating ten times as long."""
    began = time.process_time()
    for number in range(300):
        assert find(f"{number + 1000}", text.format(number + 1000)) is not None
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize(
    ("value", "text", "place"),
    [("1,234", "合計1,234円", 2), ("1,234", "합계 1,234원", 3), ("100", "100บาท", 0), ("INV-7", "رقمINV-7", 3),
     ("Sony", "株式会社Sonyの", 4), ("12", "第12条", 1), ("234", "金1,234元", None), ("3", "3万円", None),
     ("5", "٥5", None), ("12345", "編號12345６", None), ("1", "1ª", None), ("ab", "abc日", None)],
)  # fmt: skip
def test_letters_without_case_part_figures_and_other_words(value: str, text: str, place: int | None) -> None:
    assert find(value, text) == place


def test_a_sign_or_mark_within_a_number_begins_no_value() -> None:
    assert [find("-5", text) for text in ("10-5", "from 10 to -5")] == [None, 11]
    assert [find(".50", text) for text in ("12.50", "12.50 or .50")] == [None, 9]


def test_a_long_value_is_not_looked_for_at_every_place_of_a_text_that_repeats_itself() -> None:
    begin = time.process_time()
    assert find("a " * 5000 + "b", "a " * 200_000) is None
    assert find("a- " * 3000 + "b", "a-\n" * 100_000) is None
    assert find("Größe " * 100 + "5", "x " + "GRÖSSE\n" * 100 + "5") == 2
    assert time.process_time() - begin < 8  # a minute, where every place is tried


def test_offset_counts_characters_of_the_text_as_it_is() -> None:
    assert find("x", "🙂 İ x") == 4


def test_evidence_of_a_list_needs_every_entry() -> None:
    asked = field(FieldType.LIST)
    assert evidence(asked, ["ACME Ltd", "12345"], TEXT) == TEXT.index("ACME")
    assert evidence(asked, ["ACME Ltd", "99999"], TEXT) is None


def test_derived_and_missing_values_have_no_place() -> None:
    assert evidence(Field("value", evidence="derived"), "12345", TEXT) is None
    assert evidence(Field("value"), None, TEXT) is None


@pytest.mark.parametrize(
    ("value", "text", "stands"),
    [
        ("993548900", "993548900Factuurnummer:", True),
        ("15-10-2015", "on 15-10-2015Order Date:", True),
        ("4711", "4711Order", False),
        ("AB123456", "AB123456C", False),
        ("123456", "123456kg", False),
        ("123456", "0123456Invoice", False),
    ],
)
def test_a_long_number_may_have_a_word_right_behind_it_and_no_letter(value: str, text: str, stands: bool) -> None:
    assert (find(value, text) is not None) is stands
