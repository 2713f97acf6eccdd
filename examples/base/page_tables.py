"""Tables whose lines are asked for as records: a column for each head, in many ways to part them."""

import random
from dataclasses import dataclass

from label_words import LABEL_HEADS, LABEL_QUALIFIERS, LABEL_TAILS, TAIL_KINDS

from training.demo.printing import Style, print_number, print_value

Record = dict[str, str | None]


@dataclass(frozen=True)
class Table:
    """A printed table and what is asked of it."""

    lines: list[str]
    phrase: str
    """As what the lines of the table are asked for."""
    columns: tuple[str, ...]
    """As what the columns are asked for."""
    records: list[Record]
    """Column as it is asked for -> what the line prints."""


_NAMES = ("items", "lines", "positions", "line items", "articles", "rows", "entries", "table")
_ITEM_HEADS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "number": (("Pos", "No.", "#", "Line", "Lp", "Pos."), ("number", "position", "line number")),
    "code": (("Item no.", "Art.-Nr.", "SKU", "Code", "Ref."), ("item number", "code", "article number", "sku")),
    "product": (
        ("Description", "Article", "Item", "Product", "Bezeichnung", "D\u00e9signation", "Omschrijving", "Details"),
        ("description", "article", "product", "item", "name"),
    ),
    "count": (("Qty", "Quantity", "Menge", "Qt\u00e9", "Aantal", "Units", "Pcs"), ("quantity", "count", "qty")),
    "unit": (("Unit", "UoM", "Einheit", "Jm"), ("unit", "unit of measure")),
    "price": (
        ("Price", "Unit price", "Each", "Einzelpreis", "P.U.", "Prijs", "Rate"), ("price", "unit price", "price each"),
    ),
    "rate": (("VAT", "VAT %", "Tax", "MwSt.", "Btw"), ("tax rate", "vat rate")),
    "amount": (
        ("Amount", "Total", "Line total", "Betrag", "Montant", "Bedrag", "Net"), ("amount", "line total", "total"),
    ),
}  # fmt: skip
"""What a column holds -> its printed heads, and as what it is asked for."""
_UNITS = ("pcs", "kg", "h", "m", "l", "box", "set", "St\u00fcck", "szt.", "day")
_MOST_LINES = 9
_FORM_COLUMNS = (
    "name", "code", "date", "amount", "integer", "decimal", "city", "product", "quantity", "time", "percent",
)  # fmt: skip


def _items(rng: random.Random, style: Style) -> tuple[list[str], list[dict[str, str]]]:
    """Kinds of columns in their printed order, and the cells of each line."""
    optional = [kind for kind in ("number", "code", "unit", "price", "rate") if rng.random() < 0.4]
    kinds = [kind for kind in _ITEM_HEADS if kind in (*optional, "product", "amount") or kind == "count"]
    if rng.random() < 0.2:
        kinds.remove("count")
    if rng.random() < 0.25:
        rng.shuffle(kinds)
    lines = []
    for number in range(1, rng.randrange(1, _MOST_LINES) + 1):
        count, price = rng.randrange(1, 20), round(10 ** rng.uniform(0, 2.8), 2)
        lines.append({
            "number": str(number), "code": print_value(rng, "code", style),
            "product": print_value(rng, "product", style), "count": str(count), "unit": rng.choice(_UNITS),
            "price": print_number(price, 2, style), "rate": print_value(rng, "percent", style),
            "amount": print_number(count * price, 2, style),
        })  # fmt: skip
    return kinds, lines


def draw_table(rng: random.Random, style: Style) -> Table:
    """An item table, or one whose columns have random heads."""
    return _item_table(rng, style) if rng.random() < 0.6 else _form_table(rng, style)


def _item_table(rng: random.Random, style: Style) -> Table:
    kinds, cells = _items(rng, style)
    heads = [rng.choice(_ITEM_HEADS[kind][0]) for kind in kinds]
    asked = {kind: rng.choice(_ITEM_HEADS[kind][1]) for kind in kinds}
    if rng.random() < 0.3:
        asked |= {kind: head.lower() for kind, head in zip(kinds, heads, strict=True) if rng.random() < 0.5}
    rows = [[line[kind] for kind in kinds] for line in cells]
    wanted = rng.sample(kinds, rng.randrange(2, len(kinds) + 1)) if len(kinds) > 2 else list(kinds)
    if rng.random() < 0.7:
        wanted.sort(key=kinds.index)
    columns = tuple(dict.fromkeys(asked[kind] for kind in wanted))
    by_phrase = {asked[kind]: kind for kind in reversed(wanted)}
    records: list[Record] = [{phrase: line[by_phrase[phrase]] for phrase in columns} for line in cells]
    return Table(_printed(rng, heads, rows, 0.8), rng.choice(_NAMES), columns, records)


def _form_table(rng: random.Random, style: Style) -> Table:
    """Random words over random kinds of values; some cells are empty where the columns are ruled."""
    kinds: dict[str, str] = {}
    while len(kinds) < rng.randrange(2, 5):
        qualifier = f"{rng.choice(LABEL_QUALIFIERS)} " if rng.random() < 0.25 else ""
        tail = rng.choice(LABEL_TAILS) if rng.random() < 0.6 else ""
        head = f"{qualifier}{rng.choice(LABEL_HEADS)} {tail}".strip()
        kinds[head[:1].upper() + head[1:]] = TAIL_KINDS.get(tail, rng.choice(_FORM_COLUMNS))
    heads = list(kinds)
    rows = [
        [print_value(rng, kind, style) for kind in kinds.values()] for _ in range(rng.randrange(1, _MOST_LINES) + 1)
    ]
    wanted = rng.sample(range(len(heads)), rng.randrange(2, len(heads) + 1))
    wanted.sort()
    columns = tuple(heads[place].lower() for place in wanted)
    records: list[Record] = [
        {column: row[place] for column, place in zip(columns, wanted, strict=True)} for row in rows
    ]
    return Table(_printed(rng, heads, rows, 1.0), rng.choice(_NAMES), columns, records)


def _printed(rng: random.Random, heads: list[str], rows: list[list[str]], head_share: float) -> list[str]:
    """The table's lines; without a head in some."""
    form = rng.choice(("aligned", "aligned", "blanks", "one_blank", "bars", "ruled", "semicolons", "cells"))
    table = [heads, *rows] if rng.random() < head_share else rows
    if form == "aligned":
        widths = [max(len(row[place]) for row in table) + rng.randrange(2, 5) for place in range(len(heads))]
        lines = ["".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    elif form == "cells":
        lines = [cell for row in table for cell in row]
    else:
        gap = {"blanks": "  ", "one_blank": " ", "bars": " | ", "ruled": " | ", "semicolons": "; "}[form]
        edge = "| " if form == "ruled" else ""
        lines = [f"{edge}{gap.join(row)}{edge[::-1]}" for row in table]
    if rng.random() < 0.15:
        lines.insert(1 if len(table) > len(rows) else 0, rng.choice(("-" * 30, "=" * 24)))
    return lines
