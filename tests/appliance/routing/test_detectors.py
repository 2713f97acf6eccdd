"""Personal data by form and checksum: what is found, what is left alone, and that places are those of the text.

The ids are the sample numbers that the issuing offices and the standards publish.
"""

import pytest

from appliance.routing.account_numbers import iban_is_good
from appliance.routing.detectors import DETECTORS, findings

ALL = tuple(DETECTORS)


def found(text: str, *detectors: str) -> list[tuple[str, str]]:
    return [(finding.kind, text[finding.start : finding.end]) for finding in findings(text, detectors or ALL)]


NATIONAL = [
    pytest.param("1237 010180", id="AT"),
    pytest.param("85.07.30-033.28", id="BE"),
    pytest.param("7523169263", id="BG"),
    pytest.param("756.9217.0769.85", id="CH"),
    pytest.param("710319/2745", id="CZ"),
    pytest.param("86095742719", id="DE"),
    pytest.param("65 170839 J 003", id="DE insurance"),
    pytest.param("211062-5629", id="DK"),
    pytest.param("37605030299", id="EE"),
    pytest.param("12345678Z", id="ES DNI"),
    pytest.param("X-1234567-L", id="ES NIE"),
    pytest.param("131052-308T", id="FI"),
    pytest.param("2 55 08 14 168 025 38", id="FR"),
    pytest.param("AB 12 34 56 C", id="GB NINO"),
    pytest.param("ZZ 156238 T", id="GB temporary"),
    pytest.param("ZZ 48 32 06 T", id="GB temporary in groups"),
    pytest.param("QQ123456C", id="GB sample"),
    pytest.param("943 476 5919", id="GB NHS"),
    pytest.param("01013099997", id="GR"),
    pytest.param("33392005961", id="HR"),
    pytest.param("111 111 110", id="HU"),
    pytest.param("1 710115 0018", id="HU personal"),
    pytest.param("1234567T", id="IE"),
    pytest.param("RSSMRA85T10A562S", id="IT"),
    pytest.param("33309240064", id="LT"),
    pytest.param("111222333", id="NL"),
    pytest.param("15108695088", id="NO"),
    pytest.param("44051401359", id="PL"),
    pytest.param("123456789", id="PT"),
    pytest.param("1630615123457", id="RO"),
    pytest.param("811228-9874", id="SE"),
    pytest.param("736028/5163", id="SK"),
    pytest.param("219-09-9999", id="US"),
    pytest.param("912-70-1234", id="US ITIN"),
    pytest.param("390.533.447-05", id="BR CPF"),
    pytest.param("2341 2341 2346", id="IN"),
    pytest.param("BOXW310820HNERXN09", id="MX"),
    pytest.param("17291716060", id="TR"),
    pytest.param("SSN: 219099999", id="US without dashes"),
]


@pytest.mark.parametrize("number", NATIONAL)
def test_national_id_is_found(number: str) -> None:
    text = f"The person with {number}, born long ago"
    value = number.removeprefix("SSN: ")
    assert found(text, "national_id") == [("national_id", value)]


@pytest.mark.parametrize(
    "number",
    [
        "85.07.30-033.29", "756.9217.0769.86", "86095742718", "65 170839 J 004", "37605030298",
        "12345678A", "131052-308U",
        "2 55 08 14 168 025 39", "33392005962", "1234567A", "RSSMRA85T10A562T", "44051401358", "219-00-9999",
        "000-12-3456", "666-12-3456", "900-12-3456", "219-09-0000", "BG 12 34 56 C", "Order 12345", "2026-11-25",
        "1,234,567.89", "12345678901234567890", "0001234 of", "12345678 z",
    ],
)  # fmt: skip
def test_number_with_a_wrong_checksum_is_left(number: str) -> None:
    assert found(f"It says {number} here", "national_id") == []


@pytest.mark.parametrize(
    "iban",
    [
        "DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "FR14 2004 1010 0505 0001 3M02 606", "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S", "de89370400440532013000", "PL61-1090-1014-0000-0712-1981-2874",
    ],
)  # fmt: skip
def test_iban_is_found_and_what_follows_is_left(iban: str) -> None:
    assert found(f"Pay to {iban} BIC COBADEFFXXX", "iban") == [("iban", iban)]


@pytest.mark.parametrize(
    "iban", ["DE89 3704 0044 0532 0130 01", "DE89 3704 0044 0532 0130", "XX00 1234", "AB12 wide 3"]
)
def test_what_is_no_iban_is_left(iban: str) -> None:
    assert found(f"Pay to {iban} now", "iban") == []


def test_iban_of_an_unknown_country_is_found_by_its_checksum() -> None:
    digits = "ZZ00123456789012345"
    turned = digits[4:] + digits[:4]
    check = 98 - int("".join(str(int(char, 36)) for char in turned)) % 97
    made = f"ZZ{check:02}{digits[4:]}"
    assert iban_is_good(made)
    assert found(f"Pay to {made}.", "iban") == [("iban", made)]


@pytest.mark.parametrize(
    "card",
    ["4111 1111 1111 1111", "4111-1111-1111-1111", "5555555555554444", "378282246310005", "6011111111111117",
     "3530 1113 3330 0000", "180041279629386", "676245418790"],
)  # fmt: skip
def test_card_is_found(card: str) -> None:
    assert found(f"Card {card} 12/27", "card") == [("card", card)]


def test_number_that_fails_luhn_is_no_card() -> None:
    assert found("Card 4111 1111 1111 1112, order 1234567890123456", "card") == []


@pytest.mark.parametrize(
    "mail",
    ["jane.doe@example.com", "j+tag@sub.example.co.uk", "JANE@EXAMPLE.ORG", "jürgen@müller.example",
     "jane [at] example [dot] com", "jane(at)example.com"],
)  # fmt: skip
def test_mail_address_is_found(mail: str) -> None:
    assert found(f"Write to {mail} today", "mail") == [("mail", mail)]


@pytest.mark.parametrize("text", ["meet at noon. Then go", "price @ 5 EUR", "look at example", "10 at 2.50 each"])
def test_plain_words_are_no_mail_address(text: str) -> None:
    assert found(text, "mail") == []


@pytest.mark.parametrize(
    "phone",
    ["+49 30 1234567", "+44 (0)20 7946 0958", "0049-30-1234567", "030 12345678", "(030) 12 34 56 78", "06 12 34 56 78",
     "(212) 555-0142", "212-555-0142", "(996)529-1370x2858", "001-827-798-3580x696", "(+358) 962913702",
     "(351) 922 225 418", "4351 8999", "22 54 18 94", "421 85 182", "22 541 89 42", "6976 848 787", "58/733 5773",
     "06-6/589 4301", "08-86 97 12", "+1 212.555.0142", "612 345 678", "0151-23456789", "91100457", "2240682034",
     "4074569436", "14074569436", "35138358096", "914953493"],
)  # fmt: skip
def test_phone_number_is_found(phone: str) -> None:
    assert found(f"Call {phone} or write", "phone") == [("phone", phone)]


@pytest.mark.parametrize("phone", ["030 12345678", "(030) 12 34 56 78", "22 54 18 94", "91100457", "+49 30 1234567"])
@pytest.mark.parametrize("sentence", ["Call {}, or write", "Smith,{},London", "({})", "Call {}."])
def test_phone_number_is_found_beside_commas_and_brackets(phone: str, sentence: str) -> None:
    text = sentence.format(phone)
    start = text.index(phone)
    (place,) = findings(text, ("phone",))
    assert place.start <= start
    assert place.end >= start + len(phone)


def test_short_number_is_found_behind_its_label() -> None:
    assert found("Tel.: 12 34 56\nFax 4711-22", "phone") == [("phone", "12 34 56"), ("phone", "4711-22")]


@pytest.mark.parametrize(
    "text",
    ["on 25.11.2026 at 08:30", "2026-11-25 10:00", "08.11.2026 14:30", "total 1.234.567,89 EUR", "612 345 678,00",
     "612 345 678 EUR", "invoice 20261125", "0.00", "lines 10 20 30", "version 1.2.3.4",
     "0.00 0.00 0.00 0.00", "1.00 L 1.00 10.00 15.00%",
     "2019 2020", "from 1998 2003 on", "91100457,50", "91100457 EUR", "EUR 91100457", "1,234,567.89", "20261125"],
)  # fmt: skip
def test_dates_and_sums_are_no_phone_numbers(text: str) -> None:
    assert found(text, "phone") == []


@pytest.mark.parametrize(
    ("hidden", "kind"),
    [
        ("jane\u200b.doe@exam\u00adple.com", "mail"),
        ("\uff4a\uff41\uff4e\uff45\uff20\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0e\uff43\uff4f\uff4d", "mail"),
        ("DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000", "iban"),
        ("4111\u20111111\u20111111\u20111111", "card"),
        ("\u0664\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661", "card"),
        ("219\u201309\u20139999", "national_id"),
        ("+49\u2009\u200930\u20091234567", "phone"),
    ],
)
def test_other_characters_hide_nothing_and_places_are_those_of_the_text(hidden: str, kind: str) -> None:
    assert found(f"Grüße, {hidden} \u2013 Ende") == [(kind, hidden)]


def test_overlapping_places_are_joined() -> None:
    text = "Tel: 378282246310005"
    assert found(text) == [("card", "378282246310005")]


def test_long_text_takes_no_long_time() -> None:
    # Each of these made a careless pattern try again at every place.
    for piece in ("1 ", "a.", "DE1 ", "0-", "+1(", "at ", "x@", "12 34-", "1", "12 ", "1,", "a1-", "20.1"):
        findings(piece * 3_000, ALL, 9)


def numbers(text: str, digits: int = 9) -> list[tuple[str, str]]:
    return [(finding.kind, text[finding.start : finding.end]) for finding in findings(text, (), digits)]


@pytest.mark.parametrize(
    "number",
    ["919-40-4516", "239113020210", "175030378810", "919 40 4516", "86095742718", "INV2026000123", "INV/2023/03/0008",
     "12.345.678.9", "\u0664\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661"],
)  # fmt: skip
def test_long_number_is_found_whole_whatever_it_is(number: str) -> None:
    assert numbers(f"Reference {number}, see above") == [("number", number)]


@pytest.mark.parametrize(
    "text",
    ["12345678", "on 25.11.2026 08:30", "2026-11-25", "2026-11-25T10:00", "01.05.14-31.05.14",
     "01.05.2014-31.05.2014", "123456789.00", "123.456.789,00", "123456789,00 EUR", "1,234,567,890.00",
     "123 456 789 EUR", "1 278.61 40.39 319.00", "10 20 30 40 50 60", "1.00 10.00 15.00"],
)  # fmt: skip
def test_days_sums_and_columns_are_no_long_numbers(text: str) -> None:
    assert numbers(text) == []


def test_least_length_is_the_policys_and_the_better_name_holds() -> None:
    assert numbers("order 123456", 6) == [("number", "123456")]
    assert numbers("order 123456", 0) == []
    kinds = [finding.kind for finding in findings("4111111111111111 and 86095742719", ALL, 9)]
    assert kinds == ["card", "national_id"]
