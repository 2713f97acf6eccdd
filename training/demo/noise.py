"""What stands in a document beside its fields: headings, footers and lines that nobody asks for."""

import random
from collections.abc import Sequence

from training.demo.pools import pick
from training.demo.printing import Style, print_value

REMARKS = (
    "Thank you for your business.", "Please keep this document for your records.", "All prices in local currency.",
    "Subject to our general terms.",
    "Questions? Call us between 8 and 17 h.", "This document was created electronically.", "No signature required.",
    "COPY", "ORIGINAL", "Confidential",
    "Goods remain our property until paid in full.", "Errors and omissions excepted.",
    "Please quote this reference in all letters.",
    "See overleaf for conditions.", "Open Monday to Friday 9 - 18", "Have a nice day!", "Valid without stamp.",
    "Version 2.1", "Form 12-B",
)  # fmt: skip


def _company_lines(rng: random.Random, style: Style) -> list[str]:
    lines = [pick(rng, style.pools.companies[style.locale])]
    if rng.random() < 0.6:
        lines += [pick(rng, style.pools.streets[style.locale]), pick(rng, style.pools.places[style.locale])]
    if rng.random() < 0.4:
        lines.append(f"Tel. {print_value(rng, 'phone', style)}")
    return lines


def header_lines(
    rng: random.Random, header: str, titles: Sequence[str], style: Style, company: list[str] | None = None
) -> list[str]:
    """The lines above the first field; `company` is whose letterhead it is, None draws one."""
    title = rng.choice(titles)
    company = company or _company_lines(rng, style)
    return {
        "none": [],
        "title": [title],
        "company": company,
        "company_title": [*company, "", title],
        "title_line": [title, "-" * len(title)],
        "framed": ["=" * 30, title.upper(), "=" * 30],
        "title_number": [f"{title} {print_value(rng, 'code', style)}"],
        "letterhead": [" - ".join(company[:3]), title],
        "centred": [f"* * * {title} * * *"],
    }[header]


def footer_lines(rng: random.Random, footer: str, style: Style) -> list[str]:
    """The lines below the last field."""
    return {
        "none": [],
        "page": [f"Page {rng.randrange(1, 4)} of {rng.randrange(3, 9)}"],
        "thanks": [rng.choice(REMARKS)],
        "bank": [f"{pick(rng, style.pools.companies[style.locale])} Bank, {print_value(rng, 'iban', style)}"],
        "legal": [
            rng.choice(REMARKS),
            f"Reg. court {pick(rng, style.pools.cities[style.locale])} {print_value(rng, 'code', style)}",
        ],
        "printed": [f"Printed {print_value(rng, 'date', style)} {print_value(rng, 'time', style)}"],
        "contact": [f"{print_value(rng, 'email', style)}  {print_value(rng, 'phone', style)}"],
    }[footer]


def noise_line(rng: random.Random, style: Style) -> str:
    """One line that no field stands in."""
    kind = rng.randrange(6)
    if kind == 0:
        return f"Page {rng.randrange(1, 9)}"
    if kind == 1:
        return f"Branch {rng.randrange(1, 99)}"
    if kind == 2:
        return f"Operator {rng.randrange(1, 99)} / {print_value(rng, 'code', style)}"
    if kind == 3:
        return f"www.{rng.choice(('example', 'shop', 'portal', 'service'))}.example.{rng.choice(('com', 'org', 'net'))}"
    return rng.choice(REMARKS)
