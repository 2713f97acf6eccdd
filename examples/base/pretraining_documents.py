"""Generated documents with their questions and true answers: what a small base learns reading from."""

import random
from collections.abc import Sequence
from dataclasses import replace

from forms import draw_form
from imprints import Imprint, draw_imprint
from other_languages import in_another_language
from page_tables import Table, draw_table
from smudges import smudged
from training_genres import TRAINING_GENRES

from training.demo.documents import (
    COMPANY_HEADERS,
    ISSUER_ADDRESS_KEYS,
    ISSUER_KEYS,
    GeneratedDocument,
    OutputField,
    Printed,
    choose_labels,
    compose,
    raise_case,
)
from training.demo.genres import FieldSpec, Genre
from training.demo.layouts import TRAINING_WAYS, draw_layout, print_block
from training.demo.pools import Split, pools
from training.demo.printing import Style, draw_style, print_value

ABSENT_SHARE = 0.25
FOREIGN_SHARE = 0.3
SMUDGED_SHARE = 0.12
TABLE_SHARE = 0.3
IMPRINT_SHARE = 0.5
"""Of pages: with labels in another language, with a scanner's mistakes, with a table that is asked for; of those whose
issuer may be asked for, with its imprint."""
MOST_SMUDGES = 0.04
MOST_ASKED = 18


def words_of(phrase: str) -> frozenset[str]:
    """The words that a phrase is matched by."""
    cleaned = "".join(c if c.isalnum() else " " for c in phrase.lower())
    return frozenset(cleaned.split()) - {"of", "the", "no", "number", "a", "name"} or frozenset(cleaned.split())


def choose_phrase(rng: random.Random, spec: FieldSpec, label: str | None, others: Sequence[str]) -> str | None:
    """What the task calls the field, so that no other printed label fits as well; None if there is no such phrase."""
    taken = {other.lower() for other in others}
    phrases = list(spec.phrases)
    rng.shuffle(phrases)
    if label is not None and rng.random() < 0.35:
        phrases.insert(0, label.lower())
    for phrase in phrases:
        if phrase in taken:
            continue
        words = words_of(phrase)
        if label is not None and phrase == label.lower():
            return phrase
        if not any(words <= words_of(other) or words_of(other) <= words for other in others):
            return phrase
    return label.lower() if label is not None else None


def ask(
    rng: random.Random, printed: Sequence[Printed], missing: Sequence[FieldSpec], count: int
) -> tuple[OutputField, ...]:
    """Questions about printed fields, and about some that are missing, in random order."""
    labels = [field.label for field in printed]
    absent_count = sum(rng.random() < ABSENT_SHARE for _ in range(count))
    present = rng.sample(list(printed), min(len(printed), max(1, count - absent_count)))
    fields: list[OutputField] = []
    for field in present:
        others = [label for label in labels if label != field.label]
        phrase = choose_phrase(rng, field.spec, field.label or None, others)
        fields.append(OutputField(phrase or field.spec.phrases[-1], field.value))
    absent = rng.sample(list(missing), len(missing))
    for spec in absent:
        if sum(a.value is None for a in fields) >= absent_count:
            break
        phrase = choose_phrase(rng, spec, None, labels)
        if phrase is not None and phrase not in {a.phrase for a in fields}:
            fields.append(OutputField(phrase, None))
    unique = list({a.phrase: a for a in fields}.values())
    rng.shuffle(unique)
    return tuple(unique)


def _print_fields(rng: random.Random, specs: Sequence[FieldSpec], style: Style) -> list[Printed]:
    labels = choose_labels(rng, specs)
    printed = []
    for spec, label in zip(specs, labels, strict=True):
        printed.append(Printed(spec, label, print_value(rng, spec.kind, style)))
    return printed


def _smudged(rng: random.Random, printed: Sequence[Printed]) -> list[Printed]:
    """The fields as a scanner reads them: a value is right as it stands there."""
    share = rng.uniform(0.005, MOST_SMUDGES)
    return [
        replace(field, label=smudged(rng, field.label, share), value=smudged(rng, field.value, share / 2))
        for field in printed
    ]


def _with_table(rng: random.Random, fields: Sequence[OutputField], table: Table) -> tuple[OutputField, ...]:
    """The questions with one for the lines of a table, anywhere among them."""
    asked = [field for field in fields if field.phrase != table.phrase][: MOST_ASKED - 1]
    asked.insert(rng.randrange(len(asked) + 1), OutputField(table.phrase, table.records, table.columns))
    return tuple(asked)


IMPRINT_FOOTERS = ("none", "page", "thanks", "printed")
"""Footers that say nothing of the issuer."""
_SAME_FACTS: dict[str, tuple[str, ...]] = {
    "phone": ("phone",), "email": ("mail",), "iban": ("iban", "bic"), "vat_id": ("vat",), "bank": ("iban", "bic"),
    **dict.fromkeys(ISSUER_ADDRESS_KEYS, ("street", "place")),
}  # fmt: skip
"""Kind or key of a printed field -> facts of an imprint that it stands for."""


def _draw_imprint(rng: random.Random, genre: Genre, printed: Sequence[Printed], style: Style) -> Imprint | None:
    """The imprint of a page whose kind has an issuer."""
    issuers = [spec for spec in genre.fields if spec.key in ISSUER_KEYS]
    if not issuers or rng.random() >= IMPRINT_SHARE:
        return None
    company = next((field.value for field in printed if field.spec.key in ISSUER_KEYS), None)
    others = [field.spec for field in printed if field.spec.key not in ISSUER_KEYS | ISSUER_ADDRESS_KEYS]
    names_recipient = any(spec.kind in ("name", "company", "address") for spec in others)
    without = {
        fact for field in printed for word in (field.spec.kind, field.spec.key) for fact in _SAME_FACTS.get(word, ())
    }
    phrases = (*issuers[0].phrases, issuers[0].key)
    return draw_imprint(rng, style, phrases, company, without, not names_recipient)


def _is_in_imprint(spec: FieldSpec) -> bool:
    """Whether it may be what an imprint says, by another name."""
    return spec.kind in ("company", "address", *_SAME_FACTS) or spec.key in ISSUER_KEYS or spec.key in _SAME_FACTS


def _with_imprint(
    rng: random.Random, fields: Sequence[OutputField], imprint: Imprint, printed: Sequence[Printed]
) -> tuple[OutputField, ...]:
    """The questions with some for what the imprint says, and a few for what it does not."""
    elsewhere, asked = {field.value for field in printed}, {field.phrase for field in fields}
    new = [each for each in imprint.fields if each.phrase not in asked and each.value not in elsewhere]
    present, absent = [each for each in new if each.value], [each for each in new if not each.value]
    chosen = rng.sample(present, min(len(present), rng.randrange(2, 8)))
    chosen += rng.sample(absent, min(len(absent), sum(rng.random() < ABSENT_SHARE for _ in chosen)))
    together = [*fields[: max(1, MOST_ASKED - 1 - len(chosen))], *chosen]
    rng.shuffle(together)
    return tuple({field.phrase: field for field in together}.values())


def draw_document(
    rng: random.Random,
    split: Split,
    *,
    genre: Genre | None = None,
    short: int = 0,
    ways: Sequence[str] = TRAINING_WAYS,
    page: bool = False,
) -> GeneratedDocument:
    """A document of a known genre or a form with random labels.

    Args:
        rng: Source of all choices.
        split: Whose names and layouts to use.
        genre: None draws a genre, or a form with random labels.
        short: The most fields of a short document without noise; 0 for a full one.
        ways: Ways of printing pairs to draw from.
        page: As strangers' pages are: labels in other languages, a scanner's mistakes, tables that are asked for.
    """
    style = draw_style(rng, pools(split))
    form_share = 0.5 if short else 0.35
    if genre is None:
        genre = draw_form(rng, rng.randrange(4, 20)) if rng.random() < form_share else rng.choice(TRAINING_GENRES)
    if short:
        count = rng.randrange(2, short + 1)
        layout = draw_layout(rng, split, 1, ways)
        layout = replace(layout, header=rng.choice(("none", "none", "title")), footer="none")
    else:
        count = rng.randrange(4, len(genre.fields) + 1)
        layout = draw_layout(rng, split, rng.choice((1, 2, 2, 3)), ways)
    order = rng.sample(list(genre.fields), len(genre.fields))
    if rng.random() < 0.5:
        order.sort(key=genre.fields.index)
    kept = set(rng.sample(range(len(order)), min(count, len(order))))
    specs = [spec for at, spec in enumerate(order) if at in kept]
    if page and rng.random() < FOREIGN_SHARE:
        specs = in_another_language(rng, specs)
    printed = _print_fields(rng, specs, style)
    if page and rng.random() < SMUDGED_SHARE:
        printed = _smudged(rng, printed)
    missing = [spec for at, spec in enumerate(order) if at not in kept]
    imprint = _draw_imprint(rng, genre, printed, style) if page and not short else None
    if imprint is not None:
        missing = [spec for spec in missing if not _is_in_imprint(spec)]
        header = rng.choice(("none", "title", "title", "title_line", "title_number"))
        layout = replace(layout, header=header, footer=rng.choice(IMPRINT_FOOTERS))
    elif layout.header in COMPANY_HEADERS:
        # A company on top reads as the issuer: it cannot be asked for as absent.
        missing = [spec for spec in missing if spec.key not in ISSUER_KEYS | ISSUER_ADDRESS_KEYS]
    table = None
    if short:
        block = print_block(rng, layout.ways[0], [(field.label, field.value) for field in printed])
        title = [rng.choice(genre.titles)] if layout.header == "title" else []
        text = "\n".join([*title, *block])
        wanted = len(printed)
    else:
        table = draw_table(rng, style) if page and rng.random() < TABLE_SHARE else None
        without_items = replace(genre, has_items=genre.has_items and table is None)
        text = compose(rng, without_items, printed, layout, style, 0.35)
        wanted = rng.randrange(1, 9) if rng.random() < 0.5 else rng.randrange(5, MOST_ASKED + 1)
    fields = ask(rng, printed, missing, max(wanted, 2))
    if imprint is not None:
        text = "\n".join([*imprint.top, text, *imprint.bottom])
        fields = _with_imprint(rng, fields, imprint, printed)
    if table is not None:
        lines = "\n".join(table.lines)
        text = f"{text}\n{lines}" if rng.random() < 0.8 else f"{lines}\n{text}"
        fields = _with_table(rng, fields, table)
    document = GeneratedDocument(text, fields, genre.name, layout, tuple(printed))
    return raise_case(document) if layout.upper else document
