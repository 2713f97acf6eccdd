"""How much of what must not leave the detectors find: generated personal data of many countries, and real invoices.

    python benchmarks/masking.py --json

For each locale, mail addresses, telephone numbers, IBANs, cards and national ids are generated and put between words of
many languages, punctuation, cells and lines; a value counts as found if every character of it is masked. It is written
as it was generated, and torn: with wide gaps, with other blanks, over the end of a line. Sums, days and other numbers
that are nobody's, in the same sentences, count as false alarms where anything of them is masked. With the shared
invoices beside the checkout it also counts what is masked in them, by kind.
"""

import argparse
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from appliance.ground.errors import ResourceError
from appliance.ground.extras import require_extra
from appliance.routing.detectors import findings
from appliance.routing.policy import Masking
from benchmarks.national_id_values import NATIONAL_IDS

INVOICES_DIR = Path(__file__).resolve().parents[2] / "shared" / "data" / "invoices_pdf"
LOCALES = (
    "bg_BG cs_CZ da_DK de_AT de_CH de_DE el_GR en_GB en_US es_ES fi_FI fr_FR hr_HR hu_HU it_IT nl_NL no_NO pl_PL pt_PT"
    " ro_RO sv_SE"
).split()
MASKING = Masking()
"""What a policy masks that says nothing about it."""
SENTENCES = (
    ("Please write to ", " about it."), ("Bitte rufen Sie ", " zurück"), ("Proszę dzwonić ", " z domu"),
    ("Nummer ", " zum 1. Mai"), ("Konto ", " zugunsten von Herrn Zander"), ("Kontakt: ", " zgodnie z umową"),
    ("Ring ", " kristna helgdagar"), ("Contact: ", ", eurozone desk"), ("Appelez le ", " zéro attente"),
    ("Llame al ", " zapatería"), ("Chiamare ", " zona nord"), ("Monsieur ", " est noté"), ("(", ")"), ("\"", "\""),
    ("Name;", ";Stadt"), ("Smith,", ",London"), ("Name\t", "\tCity"), ("Ref:\n", "\nKind regards"), ("Call ", ".\nZ"),
    ("the number is ", "; please use it"), ("no. ", " - urgent"), ("id=", "&x=y"), ("<td>", "</td>"), ("Nr. ", "?"),
    ("τηλ. ", " Ζωή"), ("тел. ", " звоните"), ("Kr. Hansen ", " kreditkort"), ("", ""),
)  # fmt: skip
"""What stands before a value and behind it; among them words that begin as words for money do."""
TEARS: dict[str, Callable[[str, random.Random], str]] = {
    "as written": lambda value, drawn: value,
    "two blanks": lambda value, drawn: value.replace(" ", "  "),
    "other blanks": lambda value, drawn: value.replace(" ", "\u00a0"),
    "over a line": lambda value, drawn: _over_a_line(value, drawn),
}
INNOCENT = (
    "1.234.567,89 EUR", "1,234,567.89", "612 345 678,00", "612 345 678 EUR", "12 345 678 kr", "€ 91100457",
    "2026-11-25", "25.11.2026", "25.11.2026 08:30", "2026-11-25T10:00", "01.05.2014-31.05.2014", "20261125", "10:30",
    "12.5 %", "1998-2003", "5,000 kg", "3 x 12.50", "17", "2026", "10 20 30", "0.00 0.00 0.00", "§ 433", "-12,50",
    "version 1.2.3", "1 234,50 zł", "EUR 12345678", "12345678 EUR", "1'234'567.80", "A4", "100 000 000 USD", "30 Tage",
    "120x80x45", "USD 2,000,000",
)  # fmt: skip
"""Numbers that are nobody's."""


def _over_a_line(value: str, drawn: random.Random) -> str:
    """The value with the end of a line in the place of one of its gaps."""
    gaps = [at for at, char in enumerate(value) if char == " "]
    at = drawn.choice(gaps) if gaps else -1
    return value if at < 0 else f"{value[:at]}\n{value[at + 1 :]}"


def found_share(value_of: Callable[[], str], count: int) -> tuple[int, list[str]]:
    """How many of so many generated values are masked whole, each in the next of the sentences; and the others."""
    missed = []
    for number in range(count):
        value, (before, after) = value_of(), SENTENCES[number % len(SENTENCES)]
        start, end = len(before), len(before) + len(value)
        places = findings(before + value + after, MASKING.detectors, MASKING.digits)
        if not any(place.start <= start and place.end >= end for place in places):
            missed.append(before + value + after)
    return count - len(missed), missed


def false_alarms() -> tuple[int, int, list[str]]:
    """How many of the innocent numbers in sentences are masked, of how many, and some of them."""
    texts = [
        (before, number, after)
        for before, after in SENTENCES
        for number in INNOCENT
        # A label says that it is a telephone's.
        if not before.startswith(("τηλ", "тел", "Call", "Kontakt", "Contact"))
    ]
    masked = [
        before + number + after
        for before, number, after in texts
        if findings(before + number + after, MASKING.detectors, MASKING.digits)
    ]
    return len(masked), len(texts), masked


def _makers(locale: str) -> dict[str, Callable[[], str]]:
    from faker import Faker

    faker, drawn = Faker(locale), random.Random(1)
    faker.seed_instance(1)
    national_id = NATIONAL_IDS.get(locale)

    def card() -> str:
        number = str(faker.credit_card_number())
        return " ".join(number[at : at + 4] for at in range(0, len(number), 4)) if drawn.random() < 0.5 else number

    def iban() -> str:
        number = str(faker.iban())
        return " ".join(number[at : at + 4] for at in range(0, len(number), 4)) if drawn.random() < 0.5 else number

    return {
        "mail": lambda: str(faker.email()), "phone": lambda: str(faker.phone_number()), "iban": iban, "card": card,
        "national_id": (lambda: national_id(drawn)) if national_id else lambda: str(faker.ssn()),
    }  # fmt: skip


def measure(count: int) -> dict[str, object]:
    """Share found of each kind, as written and torn, over all locales, with the locales where some are missed."""
    total: dict[str, Counter[str]] = {tear: Counter() for tear in TEARS}
    missed: dict[str, dict[str, list[str]]] = {}
    for locale in LOCALES:
        values = {kind: [value_of() for _ in range(count)] for kind, value_of in _makers(locale).items()}
        for tear, torn in TEARS.items():
            drawn = random.Random(2)
            for kind, whole in values.items():
                following = iter([torn(value, drawn) for value in whole])
                good, others = found_share(following.__next__, count)
                total[tear][kind] += good
                if others:
                    missed.setdefault(f"{kind} {tear}", {})[locale] = others[:3]
    shares = {
        tear: {kind: round(good / (count * len(LOCALES)), 4) for kind, good in counts.items()}
        for tear, counts in total.items()
    }
    alarms, innocent, examples = false_alarms()
    return {
        "values_per_kind": count * len(LOCALES), "found": shares["as written"], "found_torn": shares, "missed": missed,
        "false_alarms": alarms, "innocent": innocent, "false_alarm_examples": examples[:20],
    }  # fmt: skip


def masked_in_invoices(invoices_dir: Path) -> dict[str, object]:
    """What is masked in real invoices; nobody has labelled them, so this says how often, not how well."""
    from appliance.documents.sandbox import read_files

    counts: Counter[str] = Counter()
    paths = sorted((invoices_dir / "pdf").glob("*.pdf"))
    for _, reply in read_files(invoices_dir / "pdf", [os.fsencode(path.name) for path in paths]):
        counts.update(finding.kind for finding in findings(reply.text, MASKING.detectors, MASKING.digits))
    return {"invoices": len(paths), "masked": dict(counts)}


def main() -> int:
    """Measures; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="values of each kind and locale")
    parser.add_argument("--invoices", type=Path, default=INVOICES_DIR, help="folder with pdf/")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    arguments = parser.parse_args()
    try:
        require_extra("train")
    except ResourceError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    result = {**measure(arguments.count), **masked_in_invoices(arguments.invoices)}
    if arguments.json:
        print(json.dumps(result))
        return 0
    found_torn, missed = result["found_torn"], result["missed"]
    assert isinstance(found_torn, dict)
    assert isinstance(missed, dict)
    print(f"{result['values_per_kind']} generated values of each kind, {len(LOCALES)} locales, in sentences")
    for tear, shares in found_torn.items():
        for kind, share in shares.items():
            examples = ", ".join(repr(values[0]) for values in list(missed.get(f"{kind} {tear}", {}).values())[:4])
            print(f"  {tear:14}{kind:12}{share:8.1%}" + (f"    missed: {examples}" if examples else ""))
    print(f"false alarms: {result['false_alarms']} of {result['innocent']} numbers that are nobody's")
    print(f"masked in {result['invoices']} real invoices: {result['masked']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
