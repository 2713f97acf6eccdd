"""The checks of national ids take at least every number that stdnum takes whole, dates and all."""

import random
from importlib import import_module

import pytest

from appliance.routing.national_ids import NATIONAL_IDS

CHECKS = {kind.name: kind.check for kind in NATIONAL_IDS}
DIGITS, LETTERS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(
    ("name", "module", "form"),
    [
        ("AT social insurance", "at.vnr", "9999DMY"), ("BE national number", "be.nn", "YMD99999"),
        ("BE national number", "be.bis", "YND99999"), ("BG EGN", "bg.egn", "YMD9999"),
        ("CH AHV", "ch.ssn", "7569999999999"), ("CZ and SK birth number", "cz.rc", "YMD9999"),
        ("DE tax id", "de.idnr", "99999999999"), ("DK CPR", "dk.cpr", "DMY9999"),
        ("EE and LT personal code", "ee.ik", "9YMD9999"), ("ES DNI and NIE", "es.dni", "99999999A"),
        ("ES DNI and NIE", "es.nie", "X9999999A"), ("FR NIR", "fr.nir", "1YM9999999999"),
        ("GB NHS number", "gb.nhs", "9999999999"), ("GR AMKA", "gr.amka", "DMY99999"),
        ("HR OIB", "hr.oib", "99999999999"),
        ("IE PPS", "ie.pps", "9999999A"), ("IE PPS", "ie.pps", "9999999AH"),
        ("IT codice fiscale", "it.codicefiscale", "AAAAAAYADA999A"), ("NL BSN", "nl.bsn", "999999999"),
        ("NO birth number", "no.fodselsnummer", "DMY99999"), ("PL PESEL", "pl.pesel", "YMD99999"),
        ("PT NIF", "pt.nif", "999999999"), ("RO CNP", "ro.cnp", "1YMD999999"),
        ("SE personal number", "se.personnummer", "YMD9999"),
        ("US SSN and ITIN", "us.ssn", "999999999"), ("US SSN and ITIN", "us.itin", "999999999"),
    ],
    ids=lambda value: value if "." in value else "",
)  # fmt: skip
def test_what_stdnum_takes_is_taken(name: str, module: str, form: str) -> None:
    numbers, drawn = import_module(f"stdnum.{module}"), random.Random(1)
    made = {
        "9": lambda: drawn.choice(DIGITS), "A": lambda: drawn.choice(LETTERS), "X": lambda: drawn.choice("XYZ"),
        "Y": lambda: f"{drawn.randrange(100):02}", "M": lambda: f"{drawn.randint(1, 12):02}",
        "N": lambda: f"{drawn.randint(21, 52):02}", "D": lambda: f"{drawn.randint(1, 28):02}",
    }  # fmt: skip
    values = ["".join(made[char]() if char in made else char for char in form) for _ in range(4000)]
    valid = [value for value in values if numbers.is_valid(value)]
    # Portuguese and Romanian numbers begin with digits that stdnum does not restrict as far.
    ours = [value for value in valid if name != "PT NIF" or value[0] in "1235689"]
    assert valid
    assert [value for value in ours if not CHECKS[name](value)] == []
