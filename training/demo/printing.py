"""How values are printed: one document keeps one style of dates, numbers and money."""

import datetime
import random
import string
from dataclasses import dataclass

from training.demo.pools import JOB_TITLES, PRODUCT_HEADS, PRODUCT_TAILS, Pools, pick

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DATE_FORMS = (
    "{d:02d}.{m:02d}.{y}", "{d}.{m}.{y}", "{y}-{m:02d}-{d:02d}", "{m:02d}/{d:02d}/{y}", "{d:02d}/{m:02d}/{y}",
    "{d} {M} {y}", "{M} {d}, {y}",
    "{d:02d} {A} {y}", "{A} {d:02d}, {y}", "{d:02d}-{A}-{y}", "{d:02d}.{m:02d}.{s:02d}", "{d:02d}/{m:02d}/{s:02d}",
    "{y}/{m:02d}/{d:02d}",
    "{d:02d}-{m:02d}-{y}",
)  # fmt: skip
CURRENCY_FORMS = (
    "{n}", "${n}", "€ {n}", "€{n}", "{n} €", "{n} EUR", "EUR {n}", "£{n}", "USD {n}", "{n} USD", "CHF {n}", "{n} kr",
    "{n} zł", "$ {n}", "GBP {n}", "R$ {n}",
)  # fmt: skip
NUMBER_FORMS = ((",", "."), (".", ","), (" ", ","), ("", "."))
"""Thousands separator and decimal mark."""
CODE_PATTERNS = (
    "A-9999", "AA999999", "99999", "999999", "9999999", "A999-999", "9999/99", "AA-9999-99", "AAA-99999", "99-99999",
    "A99999", "9999-9999",
    "999.999", "AA 99 99", "99999999", "9999-A", "AAAA9999", "A9A9A9", "99/9999", "#99999", "AA/9999/999",
    "999 999 999", "999999-99", "AA99-9999",
)  # fmt: skip
CARDS = (
    "Visa", "Mastercard", "cash", "bank transfer", "PayPal", "credit card", "debit card", "invoice", "Amex",
    "direct debit", "cheque", "gift card",
)  # fmt: skip
UNITS = ("kg", "pcs", "boxes", "pallets", "l", "m", "units", "cartons", "g", "bags")
MAIL_HOSTS = ("example.com", "example.org", "mail.example.net", "post.example.com", "office.example.org")


@dataclass(frozen=True)
class Style:
    """What stays the same within a document."""

    locale: int
    date_form: str
    currency_form: str
    thousands: str
    decimal: str
    code_pattern: str
    pools: Pools


def draw_style(rng: random.Random, pools: Pools) -> Style:
    """A style for one document."""
    thousands, decimal = rng.choice(NUMBER_FORMS)
    return Style(
        rng.randrange(len(pools.names)),
        rng.choice(DATE_FORMS),
        rng.choice(CURRENCY_FORMS),
        thousands,
        decimal,
        rng.choice(CODE_PATTERNS),
        pools,
    )


def print_number(value: float, decimals: int, style: Style) -> str:
    """A number with the style's separators."""
    text = f"{value:,.{decimals}f}"
    return text.replace(",", "\0").replace(".", style.decimal).replace("\0", style.thousands)


def print_amount(value: float, style: Style) -> str:
    """Money as the document prints it."""
    return style.currency_form.format(n=print_number(value, 2, style))


def print_code(rng: random.Random, pattern: str) -> str:
    """A number or code after a pattern: 9 is a digit, A a capital letter."""
    return "".join(
        rng.choice(string.digits) if c == "9" else rng.choice(string.ascii_uppercase) if c == "A" else c
        for c in pattern
    )


def draw_amount(rng: random.Random) -> float:
    """Money from cents to hundreds of thousands, small sums more often."""
    return round(10 ** rng.uniform(0.3, 4.8), 2)


def print_date(day: datetime.date, style: Style) -> str:
    """A date in the style's form."""
    name = MONTHS[day.month - 1]
    return style.date_form.format(d=day.day, m=day.month, y=day.year, s=day.year % 100, M=name, A=name[:3])


def _date(rng: random.Random, style: Style) -> str:
    year, month = rng.randrange(1998, 2031), rng.randrange(1, 13)
    return print_date(datetime.date(year, month, rng.randrange(1, 29)), style)


def _mail(rng: random.Random, style: Style) -> str:
    parts = [p for p in pick(rng, style.pools.names[style.locale]).lower().split() if p.isascii() and p.isalpha()]
    return f"{rng.choice(['.', '_', '']).join(parts[:2]) or 'office'}@{rng.choice(MAIL_HOSTS)}"


def _address(rng: random.Random, style: Style) -> str:
    street, place = pick(rng, style.pools.streets[style.locale]), pick(rng, style.pools.places[style.locale])
    return f"{street}, {place}"


def _iban(rng: random.Random, style: Style) -> str:
    country = rng.choice(("DE", "FR", "ES", "IT", "NL", "GB", "PL", "AT"))
    groups = " ".join(print_code(rng, "9999") for _ in range(rng.choice((3, 4, 5))))
    return f"{country}{print_code(rng, '99')} {groups} {print_code(rng, '99')}"


def _code(rng: random.Random, style: Style) -> str:
    return print_code(rng, style.code_pattern if rng.random() < 0.4 else rng.choice(CODE_PATTERNS))


def _product(rng: random.Random, style: Style) -> str:
    return f"{rng.choice(PRODUCT_HEADS)} {rng.choice(PRODUCT_TAILS)}".strip()


def _quantity(rng: random.Random, style: Style) -> str:
    return f"{rng.randrange(1, 900)} {rng.choice(UNITS)}"


def _percent(rng: random.Random, style: Style) -> str:
    rate = rng.choice((5, 7, 8, 10, 19, 20, 21, 25, 5.5, 7.7, 2.5, 3))
    return print_number(rate, rng.choice((0, 1)), style) + rng.choice(("%", " %"))


def _name(rng: random.Random, style: Style) -> str:
    name = pick(rng, style.pools.names[style.locale])
    parts = name.split()
    if len(parts) == 2 and rng.random() < 0.08:
        return f"{parts[1]}, {parts[0]}"
    return name


MAKERS = {
    "name": _name,
    "company": lambda rng, style: pick(rng, style.pools.companies[style.locale]),
    "address": _address,
    "street": lambda rng, style: pick(rng, style.pools.streets[style.locale]),
    "place": lambda rng, style: pick(rng, style.pools.places[style.locale]),
    "city": lambda rng, style: pick(rng, style.pools.cities[style.locale]),
    "phone": lambda rng, style: pick(rng, style.pools.phones[style.locale]),
    "email": _mail,
    "date": _date,
    "time": lambda rng, style: rng.choice(("{:02d}:{:02d}", "{}:{:02d}", "{:02d}.{:02d}")).format(
        rng.randrange(24), rng.randrange(60)
    ),
    "amount": lambda rng, style: print_amount(draw_amount(rng), style),
    "code": _code,
    "integer": lambda rng, style: str(rng.randrange(1, 10 ** rng.randrange(1, 6))),
    "decimal": lambda rng, style: print_number(10 ** rng.uniform(-1, 4), rng.choice((1, 2, 3)), style),
    "percent": _percent,
    "quantity": _quantity,
    "product": _product,
    "job": lambda rng, style: rng.choice(JOB_TITLES),
    "payment": lambda rng, style: rng.choice(CARDS),
    "iban": _iban,
}
"""Kind of value -> its printer."""


def print_value(rng: random.Random, kind: str, style: Style) -> str:
    """A value of this kind, printed in the document's style."""
    if "/" in kind and kind not in MAKERS:
        return rng.choice(kind.split("/"))
    return str(MAKERS[kind](rng, style))
