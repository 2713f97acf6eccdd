"""Orders with a table of lines, and the answers of a teacher that makes no mistake but for some that are planted.

    python examples/tasks/order_lines/make_documents.py folder/ --documents 300

Writes folder/documents/*.txt, folder/recorded.jsonl with the answers, and folder/unread/*.txt with others for `run`,
whose right answers are in folder/truth.jsonl.
"""

import argparse
import random
from pathlib import Path

from appliance.ground.json_text import json_text

ARTICLES = (
    "hex bolt M8", "washer 8 mm", "copper pipe 15 mm", "ball valve", "pipe clamp", "silicone seal", "drill bit 6 mm",
    "cable tie 200 mm", "junction box", "LED panel", "work gloves", "safety goggles", "paint roller", "masking tape",
    "angle bracket", "wood screw 4x40", "wall plug", "sanding disc", "hose coupling", "garden tap",
)  # fmt: skip
CUSTOMERS = (
    "Harbour Joinery", "Miller & Sons", "Old Town Plumbing", "Brightwell Ltd", "Fenland Repairs", "Oakley Homes",
    "Stone Bridge Farm", "Kestrel Electric", "Northgate School", "Riverside Hotel",
)  # fmt: skip
HEADS = (
    ("Article", "Qty", "Price", "Amount"), ("Description", "Quantity", "Unit price", "Total"),
    ("Item", "Pcs", "Each", "Sum"),
)  # fmt: skip
NOTES = ("Thank you for your order.", "Goods are sent within three days.", "Terms: 30 days net.", "")
Line = dict[str, object]


def draw(rng: random.Random) -> tuple[str, dict[str, object]]:
    """An order as text, and what is right about it."""
    number = f"{rng.choice('KLMN')}{rng.choice('WXYZ')}-{rng.randrange(10_000, 100_000)}"
    date = f"{rng.randrange(1, 29):02}/{rng.randrange(1, 13):02}/{rng.randrange(2023, 2027)}"
    customer, is_express = rng.choice(CUSTOMERS), rng.random() < 0.4
    lines: list[dict[str, str]] = []
    cents = 0
    for _ in range(rng.randrange(1, 8)):
        quantity, price = rng.randrange(1, 40), rng.randrange(5, 9000)
        cents += quantity * price
        lines.append({
            "article": rng.choice(ARTICLES), "quantity": str(quantity), "price": f"{price / 100:,.2f}",
            "amount": f"{quantity * price / 100:,.2f}",
        })  # fmt: skip
    total = f"{cents / 100:,.2f}"
    head = [f"ORDER {number}", f"Date: {date}", f"Customer: {customer}"]
    if rng.random() < 0.5:
        head = [f"Order no.  {number}", f"Ordered on {date} by", customer]
    delivery = "Delivery: next day" if is_express else rng.choice(("Delivery: standard", "Delivery: collect", ""))
    text = "\n".join([*head, delivery, "", *_table(rng, lines), f"Order total {total}", "", rng.choice(NOTES)])
    answer = {
        "order_number": number, "order_date": date, "customer": customer, "express": is_express, "lines": lines,
        "total": total,
    }  # fmt: skip
    return text, answer


def _table(rng: random.Random, lines: list[dict[str, str]]) -> list[str]:
    rows = [list(rng.choice(HEADS)), *([*line.values()] for line in lines)]
    if rng.random() < 0.5:
        return ["  ".join(row) for row in rows]
    widths = [max(len(row[place]) for row in rows) + 2 for place in range(4)]
    return ["".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def spoilt(rng: random.Random, answer: dict[str, object]) -> dict[str, object]:
    """The answer with a mistake of the kind that teachers make: a line is missing, so that the sum is wrong."""
    lines = answer["lines"]
    assert isinstance(lines, list)
    left_out = rng.randrange(len(lines))
    return {**answer, "lines": lines[:left_out] + lines[left_out + 1 :]}


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=300, help="that the teacher answered")
    parser.add_argument("--unread", type=int, default=40, help="others")
    parser.add_argument("--mistakes", type=float, default=0.05, help="share of the teacher's answers with one")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    for name, count in (("documents", options.documents), ("unread", options.unread)):
        (options.folder / name).mkdir(parents=True, exist_ok=True)
        records = []
        for number in range(count):
            text, answer = draw(rng)
            file_name = f"{number:04}.txt"
            (options.folder / name / file_name).write_text(text, encoding="utf-8")
            if name == "documents" and rng.random() < options.mistakes:
                answer = spoilt(rng, answer)
            records.append(json_text({"document": file_name, "answer": answer}))
        target = "recorded.jsonl" if name == "documents" else "truth.jsonl"
        (options.folder / target).write_text("\n".join(records) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
