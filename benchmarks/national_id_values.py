"""National ids of countries whose numbers Faker does not make, with check digits by the public algorithms."""

import random
from collections.abc import Callable
from datetime import date, timedelta

_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def _born(drawn: random.Random) -> date:
    return date(1930, 1, 1) + timedelta(days=drawn.randrange(27_000))


def bulgarian(drawn: random.Random) -> str:
    """EGN: date with 40 added to the month since 2000, three digits, weighted sum mod 11."""
    day = _born(drawn)
    digits = (
        f"{day.year % 100:02}{day.month + (40 if day.year >= 2000 else 0):02}{day.day:02}{drawn.randrange(1000):03}"
    )
    weighted = sum(int(digit) * weight for digit, weight in zip(digits, (2, 4, 8, 5, 10, 9, 7, 3, 6), strict=True))
    return f"{digits}{weighted % 11 % 10}"


def czech(drawn: random.Random) -> str:
    """Rodné číslo: date with 50 added to the month of women, three digits, the whole a multiple of 11."""
    day = max(_born(drawn), date(1954, 1, 1))
    digits = f"{day.year % 100:02}{day.month + drawn.choice((0, 50)):02}{day.day:02}{drawn.randrange(1000):03}"
    number = f"{digits}{int(digits) % 11 % 10}"
    return number if drawn.random() < 0.3 else f"{number[:6]}/{number[6:]}"


def danish(drawn: random.Random) -> str:
    """CPR: date, a dash, four digits of which the first says the century; the weighted sum is a multiple of 11."""
    day = _born(drawn)
    weights = (4, 3, 2, 7, 6, 5, 4, 3, 2)
    while True:
        serial = drawn.randrange(400) if day.year < 2000 else drawn.randrange(400, 1000)
        digits = f"{day.day:02}{day.month:02}{day.year % 100:02}{serial:03}"
        rest = -sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11
        if rest < 10:
            return f"{digits[:6]}-{digits[6:]}{rest}"


def german(drawn: random.Random) -> str:
    """Tax id: ten digits of which one stands there twice, and the check digit of ISO 7064 mod 11,10."""
    digits = drawn.sample("0123456789", 9)
    digits.insert(drawn.randrange(1, 10), drawn.choice(digits))
    if digits[0] == "0":
        digits = [*digits[1:], "0"]
    product = 10
    for digit in digits:
        rest = (int(digit) + product) % 10 or 10
        product = rest * 2 % 11
    number = "".join(digits) + str((11 - product) % 10)
    return number if drawn.random() < 0.5 else f"{number[:2]} {number[2:5]} {number[5:8]} {number[8:]}"


def spanish(drawn: random.Random) -> str:
    """DNI or NIE: seven or eight digits and the letter of their rest by 23."""
    start = drawn.choice(("", "", "X", "Y", "Z"))
    digits = f"{drawn.randrange(10 ** (7 if start else 8)):0{7 if start else 8}}"
    letter = _DNI_LETTERS[int(str("XYZ".find(start) if start else "") + digits) % 23]
    return f"{start}{digits}{drawn.choice(('', '', '-'))}{letter}"


def portuguese(drawn: random.Random) -> str:
    """NIF: eight digits and their weighted sum mod 11."""
    digits = drawn.choice("123") + f"{drawn.randrange(10**7):07}"
    rest = sum(int(digit) * weight for digit, weight in zip(digits, range(9, 1, -1), strict=True)) % 11
    number = f"{digits}{0 if rest < 2 else 11 - rest}"
    return number if drawn.random() < 0.6 else f"{number[:3]} {number[3:6]} {number[6:]}"


NATIONAL_IDS: dict[str, Callable[[random.Random], str]] = {
    "bg_BG": bulgarian, "cs_CZ": czech, "da_DK": danish, "de_DE": german, "es_ES": spanish, "pt_PT": portuguese,
}  # fmt: skip
"""Locale -> maker of an id."""
