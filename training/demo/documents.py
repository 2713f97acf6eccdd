"""Generated documents with their questions and true answers: what a small base learns reading from."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.demo.forms import draw_form
from training.demo.genres import TRAINING_GENRES, FieldSpec, Genre
from training.demo.items import add_items
from training.demo.layouts import TRAINING_WAYS, Layout, Pair, draw_layout, print_block
from training.demo.letters import letter_lines
from training.demo.noise import footer_lines, header_lines, noise_line
from training.demo.pools import Split, pools
from training.demo.printing import Style, draw_style, print_value

ABSENT_SHARE = 0.25
MOST_ASKED = 18
COMPANY_HEADERS = ("company", "company_title", "letterhead")
ISSUER_KEYS = frozenset({"store", "seller", "hotel", "laboratory", "employer", "bank", "insurer", "supplier"})
ISSUER_ADDRESS_KEYS = frozenset({"store_address", "seller_address", "hotel_address"})


@dataclass(frozen=True)
class Asked:
    """A field as a task asks for it, and its true value; null where the document does not say it."""

    phrase: str
    value: str | None


@dataclass(frozen=True)
class GeneratedDocument:
    """A document with what is asked about it."""

    text: str
    asked: tuple[Asked, ...]
    genre: str
    layout: Layout | None


@dataclass(frozen=True)
class Printed:
    """A field that stands in the document."""

    spec: FieldSpec
    label: str
    value: str


def words_of(phrase: str) -> frozenset[str]:
    """The words that a phrase is matched by."""
    cleaned = "".join(c if c.isalnum() else " " for c in phrase.lower())
    return frozenset(cleaned.split()) - {"of", "the", "no", "number", "a", "name"} or frozenset(cleaned.split())


def choose_labels(rng: random.Random, specs: Sequence[FieldSpec]) -> list[str]:
    """A printed label for each field, all different."""
    taken: set[str] = set()
    labels = []
    for spec in specs:
        free = [label for label in spec.labels if label.lower() not in taken] or [spec.key.replace("_", " ")]
        label = rng.choice(free)
        taken.add(label.lower())
        labels.append(label)
    return labels


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


def ask(rng: random.Random, printed: Sequence[Printed], missing: Sequence[FieldSpec], count: int) -> tuple[Asked, ...]:
    """Questions about printed fields, and about some that are missing, in random order."""
    labels = [field.label for field in printed]
    absent_wanted = sum(rng.random() < ABSENT_SHARE for _ in range(count))
    present = rng.sample(list(printed), min(len(printed), max(1, count - absent_wanted)))
    asked: list[Asked] = []
    for field in present:
        others = [label for label in labels if label != field.label]
        phrase = choose_phrase(rng, field.spec, field.label or None, others)
        asked.append(Asked(phrase or field.spec.phrases[-1], field.value))
    absent = rng.sample(list(missing), len(missing))
    for spec in absent:
        if sum(a.value is None for a in asked) >= absent_wanted:
            break
        phrase = choose_phrase(rng, spec, None, labels)
        if phrase is not None and phrase not in {a.phrase for a in asked}:
            asked.append(Asked(phrase, None))
    unique = list({a.phrase: a for a in asked}.values())
    rng.shuffle(unique)
    return tuple(unique)


def split_blocks(rng: random.Random, pairs: list[Pair], blocks: int) -> list[list[Pair]]:
    """The pairs in order, cut into this many runs of at least one."""
    blocks = min(blocks, len(pairs))
    cuts = sorted(rng.sample(range(1, len(pairs)), blocks - 1)) if blocks > 1 else []
    return [pairs[a:b] for a, b in zip([0, *cuts], [*cuts, len(pairs)], strict=True)]


def _letterhead(
    rng: random.Random, printed: Sequence[Printed], header: str, pairs: list[Pair]
) -> tuple[str, list[str] | None, list[Pair]]:
    """The header's form and company, and the pairs left: the issuer often stands on top without a label."""
    if header not in COMPANY_HEADERS:
        return header, None, pairs
    issuer = [field for field in printed if field.spec.key in ISSUER_KEYS]
    if not issuer:
        return header, None, pairs
    address = [field for field in printed if field.spec.key in ISSUER_ADDRESS_KEYS]
    lines = [field.value for field in (*issuer[:1], *address[:1])]
    if rng.random() < 0.6:
        shown = {field.label for field in (*issuer[:1], *address[:1])}
        left = [pair for pair in pairs if pair[0] not in shown]
        pairs = left or pairs
    return header, lines, pairs


def compose(
    rng: random.Random, genre: Genre, printed: Sequence[Printed], layout: Layout, style: Style, noise: float
) -> str:
    """The text of a document: header, blocks of pairs, items, footer, and lines that nobody asks for."""
    pairs = [(field.label, field.value) for field in printed]
    items = add_items(rng, layout.table, style) if genre.has_items and rng.random() < 0.7 else []
    header, company, pairs = _letterhead(rng, printed, layout.header, pairs)
    lines = header_lines(rng, header, genre.titles, style, company)
    if genre.is_letter and rng.random() < 0.3:
        lines += letter_lines(rng, pairs, style)
        pairs = []
    groups = split_blocks(rng, pairs, len(layout.ways)) if pairs else []
    at_item = rng.randrange(len(groups) + 1)
    for number, group in enumerate(groups):
        if number == at_item:
            lines += items
        if rng.random() < noise:
            lines.append(noise_line(rng, style))
        lines += print_block(rng, layout.ways[number], group)
        if rng.random() < 0.3:
            lines.append(rng.choice(("", "", "-" * 30, "=" * 24, "* * *")))
    if at_item == len(groups):
        lines += items
    lines += footer_lines(rng, layout.footer, style)
    return "\n".join(lines)


def raise_case(document: GeneratedDocument) -> GeneratedDocument:
    """All in capitals, as old printers write; the values too."""
    asked = tuple(Asked(a.phrase, a.value.upper() if a.value else a.value) for a in document.asked)
    return replace(document, text=document.text.upper(), asked=asked)


def _print_fields(rng: random.Random, specs: Sequence[FieldSpec], style: Style) -> list[Printed]:
    labels = choose_labels(rng, specs)
    printed = []
    for spec, label in zip(specs, labels, strict=True):
        printed.append(Printed(spec, label, print_value(rng, spec.kind, style)))
    return printed


def draw_document(
    rng: random.Random, split: Split, *, genre: Genre | None = None, short: int = 0, ways: Sequence[str] = TRAINING_WAYS
) -> GeneratedDocument:
    """A document of a known genre or a form with random labels.

    Args:
        rng: Source of all choices.
        split: Whose names and layouts to use.
        genre: None draws a genre, or a form with random labels.
        short: The most fields of a short document without noise; 0 for a full one.
        ways: Ways of printing pairs to draw from.
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
    printed = _print_fields(rng, [spec for at, spec in enumerate(order) if at in kept], style)
    missing = [spec for at, spec in enumerate(order) if at not in kept]
    if layout.header in COMPANY_HEADERS:
        # A company on top reads as the issuer: it cannot be asked for as absent.
        missing = [spec for spec in missing if spec.key not in ISSUER_KEYS | ISSUER_ADDRESS_KEYS]
    if short:
        block = print_block(rng, layout.ways[0], [(field.label, field.value) for field in printed])
        title = [rng.choice(genre.titles)] if layout.header == "title" else []
        text = "\n".join([*title, *block])
        wanted = len(printed)
    else:
        text = compose(rng, genre, printed, layout, style, 0.35)
        wanted = rng.randrange(1, 9) if rng.random() < 0.5 else rng.randrange(5, MOST_ASKED + 1)
    document = GeneratedDocument(text, ask(rng, printed, missing, max(wanted, 2)), genre.name, layout)
    return raise_case(document) if layout.upper else document
