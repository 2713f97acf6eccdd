"""How much of what must not leave the detectors find: generated personal data of many countries, and real invoices.

    python benchmarks/masking.py --json

For each locale, mail addresses, telephone numbers, IBANs, cards and national ids are generated and put into a sentence;
a value counts as found if every character of it is masked. With the shared invoices beside the checkout it also counts
what is masked in them, by kind.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from appliance.ground.errors import ResourceError
from appliance.ground.extras import require_extra
from appliance.routing.detectors import findings
from appliance.routing.policy import Masking

INVOICES_DIR = Path(__file__).resolve().parents[2] / "shared" / "data" / "invoices_pdf"
LOCALES = (
    "bg_BG cs_CZ da_DK de_AT de_CH de_DE el_GR en_GB en_US es_ES fi_FI fr_FR hr_HR hu_HU it_IT nl_NL no_NO pl_PL pt_PT"
    " ro_RO sv_SE"
).split()
MASKING = Masking()
"""What a policy masks that says nothing about it."""
BEFORE, AFTER = "Please write to ", " about it."


def found_share(value_of: Callable[[], str], count: int) -> tuple[int, list[str]]:
    """How many of so many generated values are masked whole, and the others."""
    missed = []
    for _ in range(count):
        value = value_of()
        start, end = len(BEFORE), len(BEFORE) + len(value)
        found = findings(BEFORE + value + AFTER, MASKING.detectors, MASKING.digits)
        if not any(finding.start <= start and finding.end >= end for finding in found):
            missed.append(value)
    return count - len(missed), missed


def measure(count: int) -> dict[str, object]:
    """Share found of each kind, over all locales, with the locales where some are missed."""
    from faker import Faker

    total: Counter[str] = Counter()
    missed: dict[str, dict[str, list[str]]] = {}
    for locale in LOCALES:
        faker = Faker(locale)
        faker.seed_instance(1)
        kinds = {
            "mail": faker.email, "phone": faker.phone_number, "iban": faker.iban, "card": faker.credit_card_number,
            "national_id": faker.ssn,
        }  # fmt: skip
        for kind, value_of in kinds.items():
            good, others = found_share(lambda value_of=value_of: str(value_of()), count)  # type: ignore[misc]
            total[kind] += good
            if others:
                missed.setdefault(kind, {})[locale] = others[:3]
    shares = {kind: round(good / (count * len(LOCALES)), 4) for kind, good in total.items()}
    return {"values_per_kind": count * len(LOCALES), "found": shares, "missed": missed}


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
    found, missed = result["found"], result["missed"]
    assert isinstance(found, dict)
    assert isinstance(missed, dict)
    print(f"{result['values_per_kind']} generated values of each kind, {len(LOCALES)} locales")
    for kind, share in found.items():
        examples = ", ".join(values[0] for values in list(missed.get(kind, {}).values())[:4])
        print(f"  {kind:12}{share:8.1%}" + (f"    missed: {examples}" if examples else ""))
    print(f"masked in {result['invoices']} real invoices: {result['masked']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
