"""Generated documents with their questions and true answers: what a small base learns reading from."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.tasks.linecode import COLUMN_END, Value, is_records
from training.demo.genres import FieldSpec, Genre
from training.demo.items import add_items
from training.demo.layouts import Layout, print_block
from training.demo.letters import letter_lines
from training.demo.noise import footer_lines, header_lines, noise_line
from training.demo.page_ways import Pair
from training.demo.printing import Style

COMPANY_HEADERS = ("company", "company_title", "letterhead")
ISSUER_KEYS = frozenset({"store", "seller", "hotel", "laboratory", "employer", "bank", "insurer", "supplier"})
ISSUER_ADDRESS_KEYS = frozenset({"store_address", "seller_address", "hotel_address"})


@dataclass(frozen=True)
class OutputField:
    """A field as a task asks for it, and its true value; null where the document does not say it."""

    phrase: str
    value: Value
    columns: tuple[str, ...] = ()
    """Of records."""

    @property
    def question(self) -> str:
        """The phrase as a prompt has it, with the columns of records."""
        return f"{self.phrase} ({f' {COLUMN_END} '.join(self.columns)})" if self.columns else self.phrase


@dataclass(frozen=True)
class Printed:
    """A field that stands in the document."""

    spec: FieldSpec
    label: str
    value: str


@dataclass(frozen=True)
class GeneratedDocument:
    """A document with the fields that a task asks for."""

    text: str
    output_fields: tuple[OutputField, ...]
    genre: str
    layout: Layout | None
    printed: tuple[Printed, ...] = ()
    """All fields that stand in it, asked for or not."""


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
        labels = {field.label for field in (*issuer[:1], *address[:1])}
        pairs = [pair for pair in pairs if pair[0] not in labels] or pairs
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
    fields = tuple(replace(field, value=_raised(field.value)) for field in document.output_fields)
    printed = tuple(replace(field, value=field.value.upper()) for field in document.printed)
    return replace(document, text=document.text.upper(), output_fields=fields, printed=printed)


def _raised(value: Value) -> Value:
    if isinstance(value, str):
        return value.upper()
    if is_records(value):
        return [{column: cell.upper() if cell else cell for column, cell in record.items()} for record in value]
    return value
