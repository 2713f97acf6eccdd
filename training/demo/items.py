"""Item tables whose lines multiply and whose totals add up."""

import random

from training.demo.printing import Style, print_number, print_value


def _rows(rng: random.Random, style: Style) -> list[tuple[str, int, float, float]]:
    rows = []
    for _ in range(rng.randrange(1, 6)):
        count, price = rng.randrange(1, 20), round(10 ** rng.uniform(0, 2.6), 2)
        rows.append((print_value(rng, "product", style), count, price, round(count * price, 2)))
    return rows


def add_items(rng: random.Random, form: str, style: Style) -> list[str]:
    """The lines of an item table, sometimes closed by the sum of its lines."""
    lines = []
    rows = _rows(rng, style)
    for number, (product, count, price, amount) in enumerate(rows, 1):
        each, whole = print_number(price, 2, style), print_number(amount, 2, style)
        lines += {
            "quantity_first": [f"{count} x {product}  {whole}"],
            "product_first": [f"{product}  {count}  {each}  {whole}"],
            "numbered": [f"{number}  {product}  {count}  {each}  {whole}"],
            "wide": [f"{product}  {whole}"],
            "two_lines": [product, f"  {count} @ {each}  {whole}"],
        }[form]
    heads = {
        "product_first": "Description  Qty  Price  Amount",
        "numbered": "Pos  Article  Quantity  Unit price  Line total",
    }
    if form in heads and rng.random() < 0.7:
        lines.insert(0, heads[form])
    if rng.random() < 0.4:
        lines.append(
            rng.choice(("Sum of lines", "Items total", "Carried forward"))
            + "  "
            + print_number(sum(row[3] for row in rows), 2, style)
        )
    return lines
