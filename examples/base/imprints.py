"""Who a page is from and who it is for: names, addresses, numbers, in blocks whose lines have short labels or none."""

import random
import re
import unicodedata
from collections.abc import Set
from dataclasses import dataclass

from training.demo.documents import OutputField
from training.demo.pools import pick
from training.demo.printing import Style, print_code, print_value


@dataclass(frozen=True)
class Imprint:
    """A printed imprint and what may be asked of it."""

    top: list[str]
    """Lines above everything else."""
    bottom: list[str]
    """Lines below it."""
    fields: tuple[OutputField, ...]
    """One for each kind of fact, null where it is not printed."""


_LABELS: dict[str, tuple[str, ...]] = {
    "company": ("",),
    "street": ("",),
    "place": ("",),
    "phone": ("", "Tel.", "Tel:", "T", "Tel", "Phone:", "Tél :", "Telefoon", "Fon", "Ph."),
    "mail": ("", "", "", "E-mail:", "Mail", "E:", "Email:"),
    "website": ("", "", "", "Web:", "Internet:", "W"),
    "iban": ("IBAN", "IBAN:", "", "Account", "Konto", "Rek.", "IBAN :"),
    "bic": ("BIC", "BIC:", "SWIFT", "BIC/SWIFT:", "Swift code", "BIC :"),
    "vat": ("VAT", "VAT no.", "BTW", "USt-IdNr.", "TVA", "P.IVA", "NIP", "VAT reg. no.:", "NIF", "Tax ID", "UID"),
    "register": ("KvK", "HRB", "Siret", "Reg. no.", "Company no.", "CoC", "KRS", "RCS", "Reg.nr.", "CVR", "Org.nr."),
}
"""What a line holds -> what may stand before it; nothing where its form says it."""
_PHRASES: dict[str, tuple[str, ...]] = {
    "company": ("{issuer}", "{issuer}", "name of the company", "issuer", "who sent this", "company"),
    "street": ("street of the {role}", "street and number of the {role}", "{role} street", "street"),
    "postcode": ("postcode of the {role}", "{role} postcode", "zip code of the {role}", "postal code", "postcode"),
    "city": ("city of the {role}", "{role} city", "town of the {role}", "city"),
    "phone": ("phone number", "phone of the {role}", "telephone", "telephone number of the {role}", "phone"),
    "mail": ("mail address", "email", "e-mail of the {role}", "email address"),
    "website": ("website", "web address", "homepage of the {role}", "website of the {role}"),
    "iban": ("iban", "iban of the {role}", "bank account", "account of the {role}"),
    "bic": ("bic", "swift code", "bic of the bank", "bic code"),
    "vat": ("vat number", "vat id", "vat number of the {role}", "tax number of the {role}"),
    "register": (
        "company registration number", "register number", "registration number of the {role}", "company number",
    ),
}  # fmt: skip
OTHER_KINDS = ("phone", "mail", "website", "iban", "bic", "vat", "register")
_ADDRESSEE_LABELS = (
    "Bill to:", "To:", "Invoice to", "Customer", "Ship to", "An:", "Kunde", "Klant", "Factuuradres", "Client :",
    "Cliente", "Facturer \u00e0", "Rechnung an", "Nabywca", "Spett.le", "Attn.", "", "", "",
)  # fmt: skip
_ADDRESSEE_PHRASES: dict[str, tuple[str, ...]] = {
    "name": ("name of the customer", "customer name", "who it is for", "name of the recipient"),
    "street": ("street of the customer", "customer street", "street of the recipient"),
    "postcode": ("postcode of the customer", "customer zip code", "postcode of the recipient"),
    "city": ("city of the customer", "customer city", "city of the recipient"),
}
_GAPS = (" - ", " | ", ", ", "  ", " \u00b7 ", " \u2013 ", " / ", " ", "; ")
_VAT_FORMS = (
    "NL999999999A99", "DE999999999", "FR99999999999", "GB999999999", "PL9999999999", "ATA99999999", "IT99999999999",
    "ESA99999999", "99-9999999", "999 9999 99", "BE0999999999", "DK99999999", "SE999999999901", "999.999.999",
)  # fmt: skip
_REGISTER_FORMS = ("99999999", "99999", "999 999 999", "9999999", "999 999 999 99999", "999999-9999", "0999999999")
_BIC_FORMS = ("AAAA{country}9A", "AAAA{country}99", "AAAA{country}AA", "AAAA{country}9AXXX", "AAAA{country}AA999")
_COUNTRIES = ("DE", "NL", "FR", "GB", "PL", "AT", "IT", "ES", "BE", "DK", "SE", "PT", "US")
_ENDS = ("com", "net", "org", "nl", "de", "fr", "co.uk", "pl", "it", "es", "eu", "dk", "se", "io")
_GLUED_SHARE = 0.06
"""Of labelled facts that stand before their label, without a blank, as some programs take them out of a PDF."""
_POSTCODE = re.compile(r"[\w-]*\d[\w-]*(?: \d?[A-Z]{2,3}\b| \d[A-Z]{2}\b| \d{2,4}\b)?")


def draw_imprint(
    rng: random.Random,
    style: Style,
    issuer_phrases: tuple[str, ...],
    company: str | None,
    without: Set[str],
    has_addressee: bool,
) -> Imprint:
    """An imprint of some facts, and the address that the page is sent to.

    Args:
        issuer_phrases: As what this kind of document's issuer is asked for.
        company: Whose imprint it is; None draws one.
        without: Kinds of facts that the page prints elsewhere: neither printed nor asked for here.
        has_addressee: Whether an addressee may be printed: nothing else on the page says who it is for.
    """
    facts, printed_place = _facts(rng, style, company or print_value(rng, "company", style))
    address = ["company", *(kind for kind in ("street", "place") if kind not in without and rng.random() < 0.85)]
    others = [kind for kind in OTHER_KINDS if kind not in without and rng.random() < 0.5]
    if rng.random() < 0.5:
        rng.shuffle(others)
    shown = {**facts, "place": printed_place}
    lines = [f"{shown[kind]}{',' if rng.random() < 0.1 else ''}" for kind in address]
    more = _joined(rng, [_labelled(rng, kind, facts[kind]) for kind in others])
    if rng.random() < 0.3:
        lines = [rng.choice(_GAPS[:6]).join(lines)]
    place = rng.random()
    top, bottom = ([*lines, *more], []) if place < 0.4 else ([], [*lines, *more]) if place < 0.6 else (lines, more)
    addressee, customer = _addressee(rng, style) if has_addressee and rng.random() < 0.5 else ([], {})
    role = rng.choice(("seller", "seller", "company", "issuer", "supplier"))
    printed = {*address, *others}
    fields = []
    for kind, phrases in _PHRASES.items():
        # Where there are two addresses a question names the one that it means.
        clear = [each for each in phrases if "{" in each] if customer else phrases
        phrase = rng.choice(clear or phrases).format(issuer=rng.choice(issuer_phrases), role=role)
        printed_as = "place" if kind in ("postcode", "city") else kind
        if printed_as in without:
            continue
        is_printed = printed_as in printed
        fields.append(OutputField(phrase, facts[kind] if is_printed else None))
    fields += [OutputField(rng.choice(_ADDRESSEE_PHRASES[kind]), value) for kind, value in customer.items()]
    return Imprint([*top, *addressee], bottom, tuple(fields))


def _addressee(rng: random.Random, style: Style) -> tuple[list[str], dict[str, str]]:
    """Printed lines and what they say."""
    name = print_value(rng, rng.choice(("name", "company")), style)
    street = pick(rng, style.pools.streets[style.locale])
    postcode, city, place = _draw_place(rng, style)
    label = rng.choice(_ADDRESSEE_LABELS)
    first = [f"{label} {name}"] if label and rng.random() < 0.5 else [label, name] if label else [name]
    return [*first, street, place], {"name": name, "street": street, "postcode": postcode, "city": city}


def _draw_place(rng: random.Random, style: Style) -> tuple[str, str, str]:
    """Postcode, city, and both as they are printed."""
    postcode, city = split_place(pick(rng, style.pools.places[style.locale]))
    form = rng.choice(("{p} {c}", "{p} {c}", "{p} {c}", "{p}  {c}", "{c} {p}", "{c}, {p}", "{p}, {c}", "{c} ({p})"))
    return postcode, city, form.format(p=postcode, c=city)


def _facts(rng: random.Random, style: Style, company: str) -> tuple[dict[str, str], str]:
    """What may be asked for, and postcode and city as they are printed."""
    host = f"{_slug(company)}.{rng.choice(_ENDS)}"
    user = rng.choice(("info", "contact", "sales", "office", "mail", "hello", "service", "billing"))
    iban, country = print_value(rng, "iban", style), rng.choice(_COUNTRIES)
    postcode, city, place = _draw_place(rng, style)
    facts = {
        "company": company,
        "street": pick(rng, style.pools.streets[style.locale]),
        "postcode": postcode,
        "city": city,
        "phone": print_value(rng, "phone", style),
        "mail": f"{user}@{host}",
        "website": rng.choice(("www.{}", "www.{}", "{}", "https://www.{}", "http://{}")).format(host),
        "iban": iban.replace(" ", "") if rng.random() < 0.5 else iban,
        "bic": print_code(rng, rng.choice(_BIC_FORMS).replace("{country}", "\0")).replace("\0", country),
        "vat": _coded(rng, rng.choice(_VAT_FORMS)),
        "register": print_code(rng, rng.choice(_REGISTER_FORMS)),
    }
    return facts, place


def _coded(rng: random.Random, form: str) -> str:
    """A number after a form whose first letters are a country's."""
    country = re.match(r"[A-Z]{2}", form)
    return print_code(rng, form) if country is None else country.group() + print_code(rng, form[2:])


def _slug(company: str) -> str:
    plain = unicodedata.normalize("NFKD", company.lower()).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain)
    return "-".join(words[:2]) or "firm"


def split_place(place: str) -> tuple[str, str]:
    """Postcode and city of a line that has both."""
    match = _POSTCODE.match(place)
    assert match is not None, place
    return match.group(), place[match.end() :].strip()


def _labelled(rng: random.Random, kind: str, value: str) -> str:
    label = rng.choice(_LABELS[kind])
    if not label:
        return value
    if rng.random() < _GLUED_SHARE:
        return f"{value}{label}"
    return f"{label} {value}"


def _joined(rng: random.Random, facts: list[str]) -> list[str]:
    """The facts, one or some to a line."""
    most, gap, lines = rng.choice((1, 1, 2, 3, 4)), rng.choice(_GAPS), []
    while facts:
        count = rng.randrange(1, most + 1)
        lines.append(gap.join(facts[:count]))
        facts = facts[count:]
    return lines
