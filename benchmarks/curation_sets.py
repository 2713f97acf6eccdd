"""Sets with labels of people as tasks whose answers are fields, on which curation is measured."""

import calendar
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import packages_first  # noqa: F401  # before `appliance`
import real_task_sets as real

from appliance.tasks.labels import Answer, LabelledRow

Sides = tuple[list[LabelledRow], list[LabelledRow]]
"""Rows to learn from, and rows to be judged on."""
_WORD = re.compile(r"\w+")
DATE_WORDS = 6
"""That a printed date takes at most: `20th day of March, in 2020`."""
_SHORT_NAME = re.compile(r"\s*\(+[\"“”']")
HEAD_CHARACTERS = 2000
"""Of a contract: its title, its parties and its date are there."""


@dataclass(frozen=True)
class CurationSet:
    """One set."""

    task: str
    """The task file without its student."""
    read: Callable[[Path], Sides]
    student: str
    """Base that is taught."""
    rows: int
    """That are curated and learnt from."""
    epochs: int
    tests: int
    is_chosen_on: bool
    """Whether bounds were chosen by this set; the others only show how they do elsewhere."""
    taught: int = 0
    """Of the rows, those that students learn from where all would take hours; 0 for all."""


def _of_records(sides: Sides, records: str, names: Mapping[str, str], *more: str) -> Sides:
    """Records of a name and a value as fields; rows that say a name twice are left out."""

    def fields(row: LabelledRow) -> LabelledRow | None:
        found: dict[str, list[str]] = {}
        value = row.answer.get(records)
        for record in value if isinstance(value, list) else ():
            assert isinstance(record, dict)
            found.setdefault(str(record["name"]), []).append(str(record["value"]))
        if any(len(values) > 1 for name, values in found.items() if name in names):
            return None
        answer = {field: found[name][0] if name in found else None for name, field in names.items()}
        return replace(row, answer={**{name: row.answer.get(name) for name in more}, **answer})

    train, test = ([changed for row in side if (changed := fields(row))] for side in sides)
    return train, test


ADDRESS_NAMES = {
    name: name.replace(" ", "_")
    for name in (
        "number", "direction before street", "street", "street type", "direction after street", "unit type", "unit",
        "recipient", "city", "state", "zip code", "box",
    )
}  # fmt: skip
COMMAND_NAMES = {
    name: name.lower()
    for name in (
        "timeRange", "artist", "music_item", "playlist", "object_type", "object_name", "city", "country", "service",
        "restaurant_type", "rating_value", "state",
    )
}  # fmt: skip


def _addresses(data_dir: Path) -> Sides:
    return _of_records(real.REAL_SETS["us_addresses"].read(data_dir), real.PARTS, ADDRESS_NAMES)


def _commands(data_dir: Path) -> Sides:
    return _of_records(real.REAL_SETS["snips"].read(data_dir), real.SLOT_RECORDS, COMMAND_NAMES, "intent")


def _questions(data_dir: Path) -> Sides:
    sides = []
    for side in ("train", "test"):
        records = real.records_of(data_dir / "banking77" / f"{side}.jsonl")
        sides.append([
            real.row_of(f"{side} {number}", str(record["text"]), {"label": record["label"]})
            for number, record in enumerate(records)
        ])  # fmt: skip
    return real.apart(*sides)


def _contracts(data_dir: Path) -> Sides:
    """What people said of the beginning of each contract, as far as its words are there; names without short names."""
    sides: dict[str, list[LabelledRow]] = {"train": [], "test": []}
    for record in real.records_of(data_dir / "cuad" / "gold.jsonl"):
        text = (data_dir / "cuad" / "docs" / f"{record['id']}.txt").read_text(encoding="utf-8")[:HEAD_CHARACTERS]
        fields, words = record["fields"], _WORD.findall(text.lower())
        names = [fields["document_name"] or "", *(_SHORT_NAME.split(party)[0] for party in fields["parties"])]
        document_name, *parties = [name if _is_said(name, set(words)) else None for name in names]
        date = str(fields["agreement_date"] or "")
        answer: Answer = {
            "document_name": document_name,
            "parties": [party for party in parties if party] or None,
            "agreement_date": date if _is_dated(date, words) else None,
        }
        sides[str(record["split"])].append(real.row_of(record["id"], text, answer))
    return real.apart(sides["train"], sides["test"])


def _is_said(name: str, words: Set[str]) -> bool:
    """Whether a name is in these words; a blank line joins what people marked at several places."""
    own = _WORD.findall(name.lower())
    return bool(own) and "\n\n" not in name and set(own) <= words


def _is_dated(date: str, words: Sequence[str]) -> bool:
    """Whether month, day and year of M/D/YYYY stand together somewhere; blanked days are empty brackets."""
    month, _, rest = date.partition("/")
    day, _, year = rest.partition("/")
    if not (month.isdigit() and day.isdigit() and year.isdigit()):
        return False
    name = calendar.month_name[int(month)].lower()
    parts = (
        {day, day.zfill(2), *(day + end for end in ("st", "nd", "rd", "th"))},
        {month, month.zfill(2), name, name[:3]},
        {year, year[-2:]},
    )
    windows = (words[at : at + DATE_WORDS] for at in range(len(words)))
    return any(all(not part.isdisjoint(window) for part in parts) for window in windows)


LISTED = ("authors", "keywords")
"""Of the head of an article: people marked several stretches, which the gold joins."""


def _headers(data_dir: Path) -> Sides:
    def listed(row: LabelledRow) -> LabelledRow:
        parts = {name: str(row.answer.get(name) or "").split("; ") for name in LISTED}
        return replace(row, answer={**row.answer, **{name: list(filter(None, parts[name])) or None for name in LISTED}})

    train, test = (list(map(listed, side)) for side in real.REAL_SETS["grobid_header"].read(data_dir))
    return train, test


def _as_it_is(name: str) -> tuple[str, Callable[[Path], Sides]]:
    return real.REAL_SETS[name].task, real.REAL_SETS[name].read


CURATION_SETS = {
    "us_addresses": CurationSet(
        real.task_text("addresses", "Read the address", (real.field_table(name) for name in ADDRESS_NAMES.values())),
        _addresses, "smollm2", 400, 2, 250, True,
    ),
    "ingredients": CurationSet(
        *_as_it_is("ingredients"), "stillroom-base", 600, 3, 250, False,
    ),
    "snips": CurationSet(
        real.task_text("commands", "What does the speaker want?", (
            real.field_table("intent", type="enum", values=list(real.INTENTS)),
            *(real.field_table(name) for name in COMMAND_NAMES.values()),
        )),
        _commands, "smollm2", 300, 2, 150, True,
    ),
    "sgd_dialogues": CurationSet(
        *_as_it_is("sgd_dialogues"), "smollm2", 400, 2, 80, False, 120,
    ),
    "grobid_header": CurationSet(
        real.task_text("headers", "Read the head of the article", (
            real.field_table(name, **({"type": kind} if (kind := "list" if name in LISTED else usual) else {}))
            for name, usual in real.HEADER_FIELDS.items()
        )),
        _headers, "stillroom-base", 400, 1, 60, True,
    ),
    "cuad": CurationSet(
        real.task_text("contracts", "Read the beginning of the contract", (
            real.field_table("document_name", "title"),
            real.field_table("parties", type="list"),
            real.field_table("agreement_date", type="date", date_order="month_first"),
        )),
        _contracts, "smollm2", 140, 1, 60, False,
    ),
    "banking77": CurationSet("", _questions, "", 2000, 0, 1000, False),
}  # fmt: skip
"""Set -> what is done with it. `banking77` is a classification, and its student the encoder."""
