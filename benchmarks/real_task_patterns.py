"""Regular expressions that a user might write in an hour for a set: what a model has to beat to be worth its while."""

import re

_MONTHS = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_DATE = "".join(
    (
        rf"(\d{{1,2}} {_MONTHS} \d{{4}}|{_MONTHS} \d{{1,2}},? \d{{4}}",
        r"|\d{4}-\d\d-\d\d|\d{1,2}[./-]\d{1,2}[./-]\d{4})",
    )
)
_MONEY = r"((?:(?:EUR|USD|Rs\.?|[$\u20ac\u00a3]) ?)?\d[\d.,' ]*[.,]\d\d(?: ?(?:EUR|USD|[$\u20ac\u00a3]))?)"
_UNITS = (
    "cups?|tablespoons?|tbsps?|teaspoons?|tsps?|ounces?|oz|pounds?|lbs?|grams?|g|kg|ml|l|pinch(?:es)?|cloves?|cans?"
    "|packages?|slices?|sticks?|quarts?|pints?|bunch(?:es)?|sprigs?|pieces?|stalks?|heads?|dash(?:es)?"
)
_AMOUNT = r"[\d/\u00bc-\u00be\u2150-\u215e.]+(?:[ -][\d/\u00bc-\u00be\u2150-\u215e.]+)*"
_SUFFIXES = "street|st|avenue|ave|road|rd|drive|dr|lane|ln|boulevard|blvd|court|ct|place|pl|way|circle|cir|highway|hwy"

PATTERNS: dict[str, dict[str, tuple[str, ...]]] = {
    "us_addresses": {
        "number": (r"^\W*(\d+)\b",),
        "direction before street": (r"^\W*\d+ ([NSEW]{1,2}\.?|north|south|east|west) ",),
        "street": (rf"^\W*\d+ (?:(?:[NSEW]{{1,2}}\.?|north|south|east|west) )?(.+?) (?:{_SUFFIXES})\b",),
        "street type": (rf"^\W*\d+ .+? ({_SUFFIXES})\b",),
        "unit type": (r"\b(apt|suite|ste|unit|#)\b",),
        "unit": (r"\b(?:apt|suite|ste|unit)\.? ?#?(\w+)",),
        "box type": (r"\b(p\.?o\.? box)\b",),
        "box": (r"\bbox (\w+)",),
        "city": (r",\s*([A-Za-z .]+?),?\s+[A-Z]{2}\b\.?\s+\d{5}",),
        "state": (r"\b([A-Z]{2})\b,?\s+\d{5}", r"\b([A-Z]{2})$"),
        "zip code": (r"\b(\d{5}(?:-\d{4})?)\W*$",),
    },
    "ingredients": {
        "quantity": (rf"^\W*({_AMOUNT})",),
        "unit": (rf"^\W*{_AMOUNT} ?({_UNITS})\b",),
        "name": (rf"^\W*(?:{_AMOUNT})? ?(?:(?:{_UNITS})\b\.? )?(?:of )?([^,(]+)",),
        "preparation": (r", ([^,(]+)",),
        "comment": (r"(\([^)]*\))",),
    },
    "grobid_header": {
        "title": (r"\A((?:.+\n){1,2})",),
        "authors": (r"\A(?:.+\n){1,2}(.+)\n",),
        "keywords": (r"(?i)key ?words?\W+((?:.+\n?){1,2})",),
        "date": (_DATE,),
        "doi": (r"\b(10\.\d{4,9}/[^\s;,]+)",),
        "emails": (r"([\w.+-]+@[\w-]+(?:\.[\w-]+)+)",),
    },
    "invoices_pdf": {
        "invoice_number": (
            r"(?i)(?:invoice|rechnung|facture|factuur|faktura)\w*\.? ?(?:no|nr|num\w*|n\u00b0|#)?\W*([\w/-]*\d[\w/-]*)",
        ),
        "date": (_DATE,),
        "due_date": (rf"(?i)(?:due|f\u00e4llig|verval|limite)\D*{_DATE}",),
        "total": (
            rf"(?i)(?:grand total|total ttc|amount due|balance due|totaal|gesamtbetrag|total)\D{{0,20}}?{_MONEY}",
        ),
        "net": (rf"(?i)(?:subtotal|net|total ht|netto)\D{{0,20}}?{_MONEY}",),
        "tax": (rf"(?i)(?:vat|tva|btw|mwst|tax)\D{{0,20}}?{_MONEY}",),
        "iban": (r"\b([A-Z]{2}\d\d(?: ?[A-Z0-9]{2,4}){3,8})\b",),
    },
}  # fmt: skip
"""Set -> field -> expressions; the first group of the first one that is found is the value."""


def answer_by_patterns(set_name: str, text: str, lists: frozenset[str]) -> dict[str, str | list[str] | None]:
    """What the set's expressions find in a text.

    Args:
        lists: Fields that are lists, which get everything that is found.
    """
    answer: dict[str, str | list[str] | None] = {}
    for name, expressions in PATTERNS[set_name].items():
        found = [match.group(1) for each in expressions for match in re.finditer(each, text, re.MULTILINE)]
        values = [" ".join(value.split()) for value in found]
        answer[name] = list(dict.fromkeys(values)) or None if name in lists else next(iter(values), None)
    return answer
