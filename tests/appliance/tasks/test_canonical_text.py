"""Canonical text: one form for what says the same, two for what does not, and places in the text as it is written."""
# ruff: noqa: RUF001 (marks and digits of other scripts)

import random
import unicodedata

import pytest

from appliance.tasks.canonical_text import canonical, canonical_text, tidy
from appliance.tasks.values import find, find_span, find_spans, plain


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Jörg Müßig", "Jo\u0308rg Mu\u0308ßig"),
        ("Griffin Office", "Gri\ufb03n O\ufb03ce"),
        ("Logistics", "Logis\u00adtics"),
        ("Logistics", "Logis\u00ad\ntics"),
        ("Ann Other", "Ann\u200b Other"),
        ("O'Brien", "O\u2019Brien"),
        ("O'Brien", "O\u02bcBrien"),
        ('the "Anchor"', "the „Anchor“"),
        ('the "Anchor"', "the «Anchor»"),
        ("2024-2025", "2024–2025"),
        ("well-known", "well\u2011known"),
        ("9,00 EUR", "9,00\u00a0EUR"),
        ("9,00 EUR", "9,00\u202fEUR"),
        ("ABC", "\uff21\uff22\uff23"),
        ("12", "١٢"),
        ("12", "१२"),
        ("Istanbul", "Istanbul\u200e"),
        ("istanbul", "İSTANBUL"),
        ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
        ("が", "か\u3099"),
        ("ガ", "\uff76\uff9e"),
        ("كتاب", "كـتـاب"),
    ],
)
def test_what_reads_the_same_has_one_form(a: str, b: str) -> None:
    assert canonical(a) == canonical(b)
    assert plain(a) == plain(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("1", "10"), ("-5", "5"), ("O", "0"), ("l", "1"), ("10²", "102"), ("10⁻²", "10-2"), ("1½", "11/2"),
        ("½5", "1/25"), ("5①", "51"), ("José", "Jose"), ("ß", "b"), ("5 000", "5000"), ("A1", "A 1"),
        ("sık", "sik"), ("1.5", "15"), ("1,5", "1.5"), ("µ", "m"), ("α", "a"), ("а", "a"), ("6", "б"),
        ("10〜20", "10-20"), ("10", "1०0"),
    ],
)  # fmt: skip
def test_what_differs_in_meaning_keeps_two_forms(a: str, b: str) -> None:
    assert canonical(a) != canonical(b)


def test_no_two_words_of_letters_digits_and_signs_become_one() -> None:
    draw = random.Random(7)
    words = {"".join(draw.choices("aB0O1lI5-+.,²½é", k=draw.randint(1, 5))) for _ in range(4000)}
    meanings: dict[str, set[str]] = {}
    for word in words:
        meanings.setdefault(canonical(word), set()).add(word.casefold())
    assert all(len(folded) == 1 for folded in meanings.values())


def test_places_lead_back_into_the_text_as_it_is_written() -> None:
    draw = random.Random(5)
    pieces = [
        "Jo\u0308rg",
        "O\ufb03ce",
        "Logis\u00ad\ntics",
        "\u00a0",
        " ",
        "\n\n",
        "x²",
        "\u200b",
        "B\u2019n",
        "７",
        "İ",
        "…",
    ]
    for _ in range(300):
        text = "".join(draw.choices(pieces, k=12))
        whole = canonical_text(text)
        for start in range(len(whole.text)):
            end = draw.randint(start + 1, len(whole.text))
            stretch = text[whole.source(start) : whole.source_end(end)]
            assert canonical(whole.text[start:end]).strip("^") in canonical(stretch)


@pytest.mark.parametrize(
    ("value", "text", "stretch"),
    [
        ("Jörg Müßig", "Holder: Jo\u0308rg Mu\u0308ßig.", "Jo\u0308rg Mu\u0308ßig"),
        ("Griffin Office", "by Gri\ufb03n O\ufb03ce Ltd", "Gri\ufb03n O\ufb03ce"),
        ("O'Brien Logistics", "O\u2019Brien Logis\u00adtics", "O\u2019Brien Logis\u00adtics"),
        ("Logistics GmbH", "the Logis-\ntics GmbH", "Logis-\ntics GmbH"),
        ("well-known", "a well-\nknown firm", "well-\nknown"),
        ("Ann Other", "Ann\u200b Other", "Ann\u200b Other"),
        ("123", "no. １２３", "１２３"),
        ("10", "10²", None),
        ("Jose", "Jose\u0301", None),
        ("234", "1’234", None),
        ("1", "1½", None),
        ("tics", "Logis\u00adtics", None),
    ],
)
def test_a_value_is_found_as_it_is_written(value: str, text: str, stretch: str | None) -> None:
    span = find_span(value, text)
    assert (text[slice(*span)] if span else None) == stretch


def test_every_place_is_found_in_order() -> None:
    text = "Jo\u0308rg, Jörg and JÖRG"
    assert [text[slice(*span)] for span in find_spans("Jörg", text)] == ["Jo\u0308rg", "Jörg", "JÖRG"]
    assert find("Jörg", text) == 7  # letter by letter comes first


def test_tidy_changes_only_what_nobody_sees() -> None:
    assert tidy(" Jo\u0308rg\u200b \u00a0O\u2019Brien ") == "Jörg O\u2019Brien"
    assert unicodedata.is_normalized("NFC", tidy("e\u0301"))
