"""Values as they stand in documents: between words of many languages, torn by blanks and lines, in long texts."""

import random
import re
import time
from collections.abc import Callable
from importlib import import_module

import pytest

from appliance.routing.detectors import DETECTORS, findings
from appliance.routing.masking import Masker
from appliance.routing.policy import Masking
from benchmarks.national_id_values import NATIONAL_IDS
from tests.appliance.frontier_fixtures import extract_task

ALL = tuple(DETECTORS)
VALUES = {
    "phone": ("612 345 678", "61234567", "22 54 18 94", "91100457", "+49 30 1234567", "030 12345678", "4351 8999"),
    "card": ("4111 1111 1111 1111", "378282246310005", "3782 822463 10005"),
    "iban": ("DE89 3704 0044 0532 0130 00", "NO9386011117947", "GB82 WEST 1234 5698 7654 32"),
    "national_id": ("44051401359", "12345678Z", "AB 12 34 56 C", "710319/2745", "131052-308T"),
    "mail": ("jane.doe@example.com", "j@sub.example.co.uk"),
    "number": ("12 3456 7890", "1234 5678 9012", "919-40-4516"),
}
AROUND = (
    ("Bitte rufen Sie ", " zurück"), ("Konto ", " zugunsten"), ("Nummer ", " zum 1. Mai"), ("Proszę ", " z domu"),
    ("krs ", " krakow"), ("Ring ", " kristna"), ("Contact ", " eurozone"), ("Appelez ", " zéro"),
    ("Llame ", " zapatos"),
    ("MONSIEUR ", " est absent"), ("COULEUR ", " rouge"), ("(", ")"), ("Name;", ";Ort"), ("Smith,7,", ",8,London"),
    ("a\t", "\tb"), ("Ref.\n", "\nKind regards"), ("id=", "&x"), ("", ""), ("«", "»"), ("№ ", " звоните"), ("x ", "."),
)  # fmt: skip


def hidden(text: str) -> str:
    """The text with what is found in it taken out."""
    for finding in reversed(findings(text, ALL, 9)):
        text = f"{text[: finding.start]}[{finding.kind}]{text[finding.end :]}"
    return text


@pytest.mark.parametrize(("before", "after"), AROUND, ids=lambda text: text.strip() or "nothing")
def test_value_is_found_whatever_words_stand_beside_it(before: str, after: str) -> None:
    digits = sum(map(str.isdigit, before + after))
    for value in (value for values in VALUES.values() for value in values):
        if before.endswith(",") and value.startswith("030"):
            continue  # Behind a number and a comma it could be the end of a sum and another number.
        left = hidden(before + value + after)
        assert left.endswith(after), value
        assert sum(map(str.isdigit, left)) == digits, (value, left)
        assert "example" not in left


@pytest.mark.parametrize("gap", ["  ", "\u00a0", "\u00a0 ", "\u2009", "\t", "\n", "\r\n", "-", ".", " \n"])
@pytest.mark.parametrize("value", ["4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "3782 822463 10005"])
def test_numbers_with_check_digits_are_found_whatever_parts_their_groups(value: str, gap: str) -> None:
    assert hidden(f"Pay {value.replace(' ', gap)} zum 1. Mai") in ("Pay [card] zum 1. Mai", "Pay [iban] zum 1. Mai")


def test_gaps_may_differ_and_part_a_group_at_the_end_of_a_line() -> None:
    for card in (
        "4111  1111-1111\n1111",
        "4111 11\n11 1111 1111",
        "4111_1111.1111 1111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    ):
        assert hidden(f"It is {card} here") == "It is [card] here"
    for iban in (
        "DE 89 37040044\n0532013000",
        "D E 8 9 3 7 0 4 0 0 4 4 0 5 3 2 0 1 3 0 0 0",
        "DE89,3704,0044,0532,0130,00",
    ):
        assert hidden(f"It is {iban} here") == "It is [iban] here"
    assert hidden("IBANDE89 3704 0044 0532 0130 00") == "IBAN[iban]"


@pytest.mark.parametrize(
    "phone", ["612  345  678", "612\u00a0345\u00a0678", "612.345.678", "612-345 678", "+49 171\n2345678",
              "Tel:\n12 34 56",
              "22 54\n18 94", "22.54.18.94", "(030)\n1234567", "+49\u00a0171\r\n2345678"],
)  # fmt: skip
def test_telephone_number_is_found_with_wide_gaps_and_over_a_line(phone: str) -> None:
    left = hidden(f"Please call {phone} zwischen acht und neun")
    assert not any(char.isdigit() for char in left)


@pytest.mark.parametrize(
    "ssn", ["123-45-6789", "123\n45\n6789", "1 2 3 4 5 6 7 8 9", "123.45.6789", "123-45-\n6789", "123456789"]
)
def test_labelled_id_is_found_however_it_is_torn(ssn: str) -> None:
    assert not any(char.isdigit() for char in hidden(f"SSN: {ssn} zone"))


@pytest.mark.parametrize(
    "mail",
    ["a@b\n.example.com", "jane.doe @ example.com", "jane.doe@example. com", "jane@localhost", "jane[@]example[.]com",
     "jane%40example.com", "jane&#64;example.com", "jane (arroba) example (punto) com", "jane\n@example.com",
     "jan\u0301e@example.com"],
)  # fmt: skip
def test_mail_address_is_found_where_it_is_torn_or_written_for_people(mail: str) -> None:
    assert "example" not in hidden(f"Write to {mail} zeitnah")
    assert "@" not in hidden(f"Write to {mail} zeitnah")


@pytest.mark.parametrize(
    "hidden_by",
    [
        "4111\ufe0f1111\ufe0f1111\ufe0f1111",
        "4\ufe0f\u20e31\ufe0f\u20e311 1111 1111 1111",
        "D\u041589 3704 0044 0532 0130 00",
    ],
)
def test_marks_and_letters_of_other_scripts_hide_nothing(hidden_by: str) -> None:
    assert not any(char.isdigit() for char in hidden(f"It is {hidden_by} here"))


@pytest.mark.parametrize("locale", NATIONAL_IDS)
def test_real_ids_of_countries_are_right_and_found_in_sentences(locale: str) -> None:
    drawn, module = random.Random(3), {"bg_BG": "bg.egn", "cs_CZ": "cz.rc", "da_DK": "dk.cpr", "de_DE": "de.idnr",
                                       "es_ES": "es", "pt_PT": "pt.nif"}[locale]  # fmt: skip
    for number in range(100):
        value = NATIONAL_IDS[locale](drawn)
        if module == "es":
            checker = import_module("stdnum.es.nie" if value[0] in "XYZ" else "stdnum.es.dni")
        else:
            checker = import_module(f"stdnum.{module}")
        assert checker.is_valid(value), value
        before, after = AROUND[number % len(AROUND)]
        left = hidden(before + value + after)
        assert sum(map(str.isdigit, left)) == sum(map(str.isdigit, before + after)), (value, left)


@pytest.mark.parametrize(
    "text",
    ["612 345 678 EUR", "612 345 678 kr", "12 345 678 zł", "612 345 678,00 zuzüglich", "EUR 91100457", "€ 91100457",
     "10 20\n30 40\n50 60", "512\n300\n150", "2019 2020\n2021 2022", "12\t345\t678", "25.11.24 08:30",
     "01.05.24\n02.05.24",
     "Menge\n12\n34\n56\n78", "1.00\n10.00\n15.00", "3 @ 5 EUR", "meet at noon. Then go", "4 @ 2.50"],
)  # fmt: skip
def test_sums_days_and_columns_are_left(text: str) -> None:
    assert hidden(text) == text


@pytest.mark.parametrize(
    ("number", "rest"),
    [("0911 8023600", "90402 Nürnberg"), ("+49 30 1234567", "12.05.2024 Rechnung"), ("030 1234567", "1.250,00 EUR"),
     ("+49 30 1234567", "10115 Berlin"), ("030 1234567", "250.00"), ("DE89 3704 0044 0532 0130 00", "12.05.2024")],
)  # fmt: skip
def test_number_at_the_end_of_a_line_takes_no_day_sum_or_town_from_the_next(number: str, rest: str) -> None:
    left = hidden(f"Tel. {number}\n{rest}")
    assert left.endswith(f"\n{rest}")
    assert not any(char.isdigit() for char in left.removesuffix(rest))


@pytest.mark.parametrize(
    "text",
    ["09.00-17.00 Uhr", "08.30 09.15 10.00", "01.05.-31.05.2024", "01.-31.05.2024", "02.05. 08.00-10.00",
     "05/2024 - 06/2024", "05.2024 06.2024", "05/24-06/24", "01/02 - 05/02", "Nr. 4711 12-05-24"],
)  # fmt: skip
def test_hours_and_periods_are_no_telephone_numbers(text: str) -> None:
    assert hidden(text) == text


@pytest.mark.parametrize("label", ["Тел.", "ТЕЛ:", "Телефон:", "Мобильный:", "Факс", "Τηλέφωνο", "ΤΗΛ:", "Φαξ"])
def test_labels_of_other_scripts_are_known_in_capitals_too(label: str) -> None:
    assert not any(char.isdigit() for char in hidden(f"{label} 12-34-56"))


@pytest.mark.parametrize(
    "text",
    [r"a\n0911 8023600", r"Konto\tDE89 3704 0044 0532 0130 00", r"0172\/8831402", r"x\u00a00911\u00a0802\u00a03600",
     r"\u00dc\r\n(312) 555-0187", r"Tel.\u003a 12 34 56\nund", r"\nRSSMRA85T10A562S\ud83d\ude00",
     r"a\\n+49 30 1234567"],
)  # fmt: skip
def test_values_between_escapes_of_json_are_found(text: str) -> None:
    left = re.sub(r"\\u[0-9a-f]{4}", "", hidden(f'{{"text": "{text}"}}'))
    assert not any(char.isdigit() for char in left)


@pytest.mark.parametrize(
    "value", ["8(916)123-45-67", "8 916 123-45-67", "916 123-45-67", "7 916 123-45-67", "QQ 12 34 56 C"]
)
def test_value_in_groups_of_other_sizes_is_found(value: str) -> None:
    assert not any(char.isdigit() for char in hidden(f"It is {value}, thanks"))


def test_placeholders_of_torn_values_come_back_as_they_stood() -> None:
    text = "Karte 4111 1111\n1111 1111 zum Konto DE89  3704 0044 0532 0130 00, Tel. 612 345 678 zurück"
    masker = Masker(extract_task(), Masking(), bytes(32))
    masked = masker.mask(text, {})
    assert not any(char.isdigit() for char in masked.text)
    assert masker.restore(masked.restored_by, {"parts": [masked.text]}) == {"parts": [text]}


ADVERSARIAL: dict[str, Callable[[int], str]] = {
    "digits": lambda n: "1" * n, "single digits": lambda n: "1 " * (n // 2), "fours": lambda n: "4 " * (n // 2),
    "zeros": lambda n: "0-" * (n // 2), "ats": lambda n: "@" * n, "letters and ats": lambda n: "a@" * (n // 2),
    "colons": lambda n: ":" * n, "blanks": lambda n: " " * n, "label and blanks": lambda n: "tel" + " " * n,
    "a long word": lambda n: "a" * n + "@", "lines": lambda n: "12\n" * (n // 3), "dots": lambda n: "a." * (n // 2),
    "brackets": lambda n: "(1" * (n // 2), "country codes": lambda n: "DE12 " * (n // 5),
    "pluses": lambda n: "+1" * (n // 2),
    "wide digits": lambda n: "\uff11" * n, "spelt": lambda n: "a at b dot " * (n // 11),
}  # fmt: skip


TRIES = 3
"""Of a measurement: collecting what all tests before left behind falls on one of them."""


def processor_seconds(text: str) -> float:
    started = time.process_time()
    findings(text, ALL, 9)
    return time.process_time() - started


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_time_grows_with_the_text_and_no_faster(kind: str) -> None:
    def seconds(length: int) -> float:
        return processor_seconds(ADVERSARIAL[kind](length))

    seconds(1_000)
    # Four times the text; a square would take sixteen times as long, each time.
    assert any(seconds(20_000) < max(10 * seconds(5_000), 0.3) for _ in range(TRIES))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_text_of_320_kb_takes_seconds(kind: str) -> None:
    text = ADVERSARIAL[kind](320_000)
    # About one to three seconds each, on a machine with nothing else to do; a square would take minutes.
    assert processor_seconds(text) < 20


def test_what_masking_lays_bare_is_masked_too() -> None:
    for text in (
        "a@b.612 345 678 x",
        "jane@example.com\n:.jane@example.com030 12345678-",
        "22 54 18 94 a@b/919-40-4516.",
    ):
        masker = Masker(extract_task(), Masking(), bytes(32))
        masked = masker.mask(text, {})
        assert not any(char.isdigit() for char in masked.text)
        (restored,) = masker.restore(masked.restored_by, {"parts": [masked.text]})["parts"] or ()
        assert restored.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    "value",
    ["112-233-445 95", "S1234567D", "G1234567X", "A123456(3)", "49-091-850", "ABCPE1234F", '"max m"@example.com',
     "max@[192.168.1.1]", "DE89 | 3704 | 0044 | 0532 | 0130 | 00", "4111 | 1111 | 1111 | 1111"],
)  # fmt: skip
def test_ids_of_further_countries_quoted_names_and_cells_of_a_table_are_found_whole(value: str) -> None:
    left = hidden(f"Nr. {value} zum Mai")
    assert left.startswith("Nr. [")
    assert left.endswith("] zum Mai")
    assert "[" in hidden(value)


def test_letters_and_digits_that_only_look_like_those_ids_stay() -> None:
    for text in ("Part S1234567A", "A123456(4)", "Part A1234563", "Art. 12-345-678", "ABCXE1234F"):
        assert not findings(text, ("national_id",))


@pytest.mark.parametrize(
    ("text", "kind"),
    [("Tel: 03O 1234567", "phone"), ("ruf +49 l70 1234567", "phone"), ("4lll 1111 1111 1l11", "card"),
     ("DE89 37O4 OO44 0532 0130 00", "iban"), ("44O514O1359", "national_id"), ("I2345678Z", "national_id"),
     ("2ll062-5629", "national_id")],
)  # fmt: skip
def test_letters_that_a_reader_of_print_took_for_digits_hide_nothing(text: str, kind: str) -> None:
    (place,) = findings(f"Hallo: {text} zum Mai", ALL)
    assert place.kind == kind
    assert hidden(f"Hallo: {text} zum Mai").endswith("] zum Mai")


@pytest.mark.parametrize(
    ("before", "after"),
    [("\u2116", "!"), ("_", "_"), ("__", "__."), ("12,50 \u20ac ", " x"), ("10:30 ", ""), ("tel/", "/"), ("", "\u00b9"),
     ("", " EURO-Shop"), ("", " m\u00b2-Preis")],
)  # fmt: skip
def test_signs_that_stand_for_words_and_emphasis_hide_nothing(before: str, after: str) -> None:
    for value in ("91100457", "22 54 18 94", "+49 30 1234567", "4111 1111 1111 1111", "12345678Z", "44051401359"):
        left = hidden(before + value + after)
        assert sum(map(str.isdecimal, left)) <= sum(map(str.isdecimal, before + after)), (value, left)


def test_litres_words_and_codes_with_such_letters_are_left() -> None:
    for text in ("500l 500l 500l", "5l 10l 20l 30l", "CO2 H2O O2", "15-10-Order", "20-10-15Invoice", "i7-1165Ol"):
        assert hidden(text) == text


@pytest.mark.parametrize(
    "value",
    ["4111\u20221111\u20221111\u20221111", "4111\u00b71111\u00b71111\u00b71111", "4111&nbsp;1111&#160;1111&nbsp;1111",
     "&#109;ax&#64;web&#46;de", "o\u2019brien@example.ie", "max@192.168.1.1", "max dot muster at web dot de",
     "max.muster at web.de", "max(a)web.de", "juan arroba correo punto es", "//max:geheim@host.de",
     "DE89 3704 0044 0532 0130 02", "DE89      3704 0044 0532 0130 00", "61 1090 1014 0000 0712 1981 2874",
     "710319 / 2745", "531128/123", "12345678 - Z", "12 345 678 Z", "811228 9874", "AB-12-34-56-C", "131052 - 308T",
     "85 07 30 033 28", "2 55 08 14 168 025 / 38", "2-55-08-14-168-025-38", "1 63 06 15 123457",
     "RSS-MRA-85T10-A562S", "S 1234567 D", "1237 01.01.80"],
)  # fmt: skip
def test_other_spellings_are_found_whole(value: str) -> None:
    left = hidden(f"Nr. {value} zum Mai").replace("//", "")
    assert left in [f"Nr. [{kind}] zum Mai" for kind in (*ALL, "number")]


@pytest.mark.parametrize(
    "label",
    ["Rufnummer", "Fax-Nr.:", "Tfno:", "Mobiltelefon", "Telefoonnummer:", "Durchwahl", "telefon č.", "Tél. n°",
     "Telemóvel:"],
)  # fmt: skip
def test_short_number_is_found_behind_labels_of_many_languages(label: str) -> None:
    assert hidden(f"{label} 47 11 22 zum Mai") == f"{label} [phone] zum Mai"


def test_card_is_found_where_a_letter_touches_its_groups() -> None:
    assert hidden("Nr4111 1111 1111 1111kr") == "Nr[card]kr"


@pytest.mark.parametrize(
    "text",
    ["Due 03/04/2024 10:15", "2024/04/03 10.15", "0.915 0.931 | 0.859", "0.12345678", "2020 2021 2022 2023",
     "Rechnung 2024-0815", "612 345 678 JPY", "61234567 kWh", "22 54 18 94 %", "SEK 61234567", "z\u0142 61234567",
     "\u20b9 61234567", "Telefon 1.234,56", "Telefon am 15.04.2024", "phone 15.04.2024", "Mobile 2024-04-03",
     "Merged Cell 1.1 1.2", "61234567 m\u00b2", "look at that point of time", "at dot com"],
)  # fmt: skip
def test_days_decimals_sums_and_sentences_are_left(text: str) -> None:
    assert hidden(text) == text


@pytest.mark.parametrize("word", ["Kr.", "kristna", "Zander", "Ftan", "Km-Geld", "Rp", "zona", "Kg.", "EURope"])
def test_words_that_only_begin_like_money_or_units_hide_nothing(word: str) -> None:
    for value in ("612 345 678", "91100457", "22 54 18 94"):
        assert hidden(f"{word} {value} {word}") == f"{word} [phone] {word}"


@pytest.mark.parametrize("piece", ["1O ", "O0 ", "&#52;", "&", "1 / ", "IBAN A1B2 ", "AB12 3456 ", "a dot ", "//a:b@",
                                   "EUR ", "tel nr 1.1 ", "0.1 1.1 ", "PL61 1090"])  # fmt: skip
def test_other_long_texts_take_time_in_proportion(piece: str) -> None:
    text = (piece * 6_000)[:6_000]
    assert any(processor_seconds(text) < 1 for _ in range(TRIES))
