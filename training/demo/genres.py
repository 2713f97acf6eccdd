"""The demo's genre, utility bills: its fields, printed labels and the phrases by which a task may ask for them.

A line reads `key | kind | printed labels | further phrases of a task`; labels and phrases are separated by semicolons.
It is kept out of pre-training, whose genres are in `examples/base/training_genres.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldSpec:
    """One field of a genre."""

    key: str
    kind: str
    labels: tuple[str, ...]
    phrases: tuple[str, ...]
    """What a task may call it: the labels in lower case and more."""


@dataclass(frozen=True)
class Genre:
    """A kind of document."""

    name: str
    titles: tuple[str, ...]
    fields: tuple[FieldSpec, ...]
    has_items: bool = False
    """Whether an item table with a total belongs to it."""
    is_letter: bool = False
    """Whether it may be written as prose."""


def parse_fields(table: str) -> tuple[FieldSpec, ...]:
    """The fields of a table, one a line."""
    specs = []
    for line in table.strip().splitlines():
        key, kind, labels, more = (part.strip() for part in line.split("|"))
        printed = tuple(label.strip() for label in labels.split(";"))
        all_phrases = dict.fromkeys(
            [*(label.lower() for label in printed), *(p.strip() for p in more.split(";") if p.strip())]
        )
        specs.append(FieldSpec(key, kind, printed, tuple(all_phrases)))
    return tuple(specs)


UTILITY_BILL = Genre(
    "utility bill",
    (
        "ELECTRICITY BILL",
        "Water bill",
        "Gas bill",
        "Energy statement",
        "Annual consumption statement",
        "Your utility bill",
    ),
    parse_fields("""
supplier | company | Supplier; Energy supplier; Utility; Provider; Network operator | supplier
account_holder | name | Account holder; Customer; Contract holder; Consumer; Bill for | account holder
account_number | code | Account no.; Account number; Customer account; Contract account | account number
meter_number | code | Meter no.; Meter number; Meter ID; Meter | meter number
bill_date | date | Bill date; Billing date; Date of bill; Statement issued | bill date
due_date | date | Due date; Pay by; Debit date; Payable by | due date
previous_reading | integer | Previous reading; Last reading; Opening reading; Reading at start | previous reading
current_reading | integer | Current reading; Present reading; Closing reading; Reading at end | current reading
supply_address | address | Supply address; Service address; Point of delivery; Meter location | supply address
amount_due | amount | Amount due; Total due; Balance to pay; Please pay | amount due
"""),
)
UTILITY_DISTRACTORS = parse_fields("""
consumption | quantity | Consumption; Usage; Consumed | consumption
tariff | Basic/Green/Flex/Night/Economy | Tariff; Plan; Product | tariff
standing_charge | amount | Standing charge; Basic fee; Base price | standing charge
instalment | amount | Instalments paid; Advance payments; Paid so far | instalments
vat | amount | VAT; Tax; VAT amount | tax
period_start | date | Period from; Billing period start; From | period start
hotline | phone | Hotline; Service phone; Emergency line | hotline
next_reading | date | Next reading; Next meter reading; Reading planned | next reading date
""")
