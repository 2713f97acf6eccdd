"""Documents that people wrote and labelled, each set as a task of Stillroom: its task file, its rows, its test rows."""

import json
import random
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import packages_first  # noqa: F401  # before `training`

from appliance.ground.errors import ResourceError
from appliance.tasks.labels import LabelledRow, text_hash
from appliance.tasks.linecode import Answer
from appliance.tasks.values import find_span

ROOT = Path(__file__).resolve().parents[1]
DATA_DIR = ROOT.parent / "shared" / "data"
sys.path.append(str(ROOT / "examples" / "base"))  # the generator of the shipped base's documents


EPOCHS = {100: 6, 300: 4, 1000: 4}
EPOCHS_OF_LONG = {100: 5, 300: 3, 1000: 2}
EPOCHS_OF_PAGES = {100: 4, 300: 2, 1000: 1}
"""Of sets whose documents take hundreds of tokens, and of whole pages."""


@dataclass(frozen=True)
class RealSet:
    """One set as a task."""

    name: str
    task: str
    """The task file without its student."""
    read: Callable[[Path], tuple[list[LabelledRow], list[LabelledRow]]]
    """Gives the rows to learn from and those to be judged on, of the folder of all sets."""
    test_rows: int = 400
    is_sequence: bool = False
    """Whether a conditional random field over its words is what people usually take."""
    pairs: str = ""
    """Field whose records are a name and a value: each name is judged as a field of its own."""
    judges_absent: bool = True
    """Whether a field without a right value has none; else nobody wrote down what it is, and it counts nowhere."""
    epochs: Mapping[int, int] = field(default_factory=lambda: EPOCHS)
    """Rows to learn from -> passes over them."""


def field_table(name: str, phrase: str = "", **keys: object) -> str:
    """A field of a task file; `columns` are those of records."""
    entries = {"name": name, "phrase": phrase or name.replace("_", " "), **keys}
    return "\n[[fields]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entries.items())


def pair_table(name: str, words: Iterable[str]) -> str:
    """A field whose records are a value and one of the words.

    The value comes first: a student that names a part before it copies one goes on in its usual order of names where it
    has passed over a part, and names everything behind it wrongly.
    """
    choices = f'name = "name"\ntype = "enum"\nvalues = {json.dumps(list(words))}\n'
    return field_table(name, type="records") + f'\n[[fields.fields]]\nname = "value"\n\n[[fields.fields]]\n{choices}'


def task_text(name: str, instruction: str, fields: Iterable[str]) -> str:
    """A task file of an extraction."""
    return f'version = 2\nname = "{name}"\nkind = "extract"\ninstruction = "{instruction}"\n{"".join(fields)}'


def records_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of JSON objects.

    Raises:
        ResourceError: It is not there.
    """
    if not path.is_file():
        raise ResourceError(f"{path} is not there", "name the folder of the sets with --data")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def row_of(document: object, text: str, answer: Mapping[str, object], teacher: str = "people") -> LabelledRow:
    """A document with what people say of it."""
    values: Answer = {name: _value(value) for name, value in answer.items()}
    return LabelledRow(str(document), text, values, text_hash(text), teacher=teacher)


def _value(value: object) -> str | list[str] | None:
    return [str(entry) for entry in value] if isinstance(value, list) else str(value) if value else None


def apart(train: Iterable[LabelledRow], test: Iterable[LabelledRow]) -> tuple[list[LabelledRow], list[LabelledRow]]:
    """Each text once, and no text that is tested on among those to learn from; both in a fixed random order."""
    tested = {" ".join(row.text.lower().split()): row for row in test}
    taught = {key: row for row in train if (key := " ".join(row.text.lower().split())) not in tested}
    sides = list(taught.values()), list(tested.values())
    for rows in sides:
        random.Random(7).shuffle(rows)
    return sides


ADDRESS_FIELDS = {
    "AddressNumberSuffix": "number suffix", "AddressNumber": "number",
    "StreetNamePreModifier": "street modifier before",
    "StreetNamePreDirectional": "direction before street", "StreetNamePreType": "street type before",
    "StreetName": "street", "StreetNamePostType": "street type", "StreetNamePostDirectional": "direction after street",
    "OccupancyType": "unit type", "OccupancyIdentifier": "unit", "SubaddressType": "building type",
    "SubaddressIdentifier": "building number", "BuildingName": "building name", "USPSBoxType": "box type",
    "USPSBoxID": "box", "USPSBoxGroupType": "box group type", "USPSBoxGroupID": "box group", "Recipient": "recipient",
    "IntersectionSeparator": "crossing word", "PlaceName": "city", "StateName": "state", "ZipCode": "zip code",
    "CountryName": "country", "NotAddress": "no address",
}  # fmt: skip
"""Tag of the set -> how it is asked for; other tags are on nine addresses in a thousand and left out."""


_OTHER_CONVENTION = "us50_test"
"""Begins the names of 687 test addresses that have the whole street, type and direction included, as its name."""
_ADDRESSES_KEPT_BACK = 254
"""Of the set's training half, so that 400 are judged on."""


def _addresses(data_dir: Path) -> tuple[list[LabelledRow], list[LabelledRow]]:
    train, test = (
        [
            row_of(record["id"], str(record["text"]), {name: record["fields"].get(name) for name in ADDRESS_FIELDS})
            for record in records_of(data_dir / "us_addresses" / f"{side}.jsonl")
            if not str(record["id"]).startswith(_OTHER_CONVENTION)
        ]
        for side in ("train", "test")
    )
    random.Random(7).shuffle(train)
    return apart(train[_ADDRESSES_KEPT_BACK:], [*test, *train[:_ADDRESSES_KEPT_BACK]])


INGREDIENT_FIELDS = ("name", "quantity", "unit", "size", "preparation", "comment", "purpose")
_AS_PRINTED = ("size", "purpose")
"""The others are normalised by the set's makers: `cups` is `cup`, a half is `1/2`, parts are joined by blanks."""


def _ingredients(data_dir: Path) -> tuple[list[LabelledRow], list[LabelledRow]]:
    # Seven lines in ten have no label at all; that is not the same as having nothing to label.
    sides = [
        [
            row_of(record["id"], str(record["text"]), {name: record["fields"].get(name) for name in INGREDIENT_FIELDS})
            for record in records_of(data_dir / "ingredients" / f"{side}.jsonl")
            if any(record["fields"].values())
        ]
        for side in ("train", "test")
    ]
    return apart(*sides)


SERVICES = ("Movies_1", "Hotels_2", "Services_1", "RideSharing_2")
"""Services of the set whose dialogues are on both sides."""
BOOLEAN = ("yes", "no")
_SPELT = {"dontcare": None, "True": "yes", "False": "no"}
"""The set's spelling -> ours; a customer who does not care wants no value."""
REQUEST_FIELDS: dict[str, tuple[str, ...]] = {
    "movie_name": (), "genre": (), "theater_name": (), "location": (), "show_date": (), "show_time": (),
    "show_type": ("regular", "3d", "imax"), "where_to": (), "check_in_date": (), "check_out_date": (),
    "number_of_adults": (), "rating": (), "has_laundry_service": BOOLEAN, "stylist_name": (), "city": (),
    "appointment_date": (), "appointment_time": (), "is_unisex": BOOLEAN, "destination": (),
    "number_of_seats": (), "ride_type": ("Pool", "Regular", "Luxury"),
}  # fmt: skip
"""Slot -> its values, where it has a fixed set."""


def _dialogues(data_dir: Path) -> tuple[list[LabelledRow], list[LabelledRow]]:
    sides = []
    for side in ("train", "test"):
        rows = []
        for record in records_of(data_dir / "sgd_dialogues" / f"{side}.jsonl"):
            if record["service"] in SERVICES:
                slots: dict[str, object] = {
                    name: _SPELT.get(str(value), value)
                    for name in REQUEST_FIELDS
                    for value in [record["fields"].get(name)]
                }
                rows.append(
                    row_of(f"{side} {record['id']}", str(record["text"]), {"service": record["service"], **slots})
                )
        sides.append(rows)
    return apart(*sides)


INTENTS = (
    "AddToPlaylist", "BookRestaurant", "GetWeather", "PlayMusic", "RateBook", "SearchCreativeWork",
    "SearchScreeningEvent",
)  # fmt: skip
SLOTS = (
    "album", "artist", "best_rating", "city", "condition_description", "condition_temperature", "country", "cuisine",
    "current_location", "entity_name", "facility", "genre", "geographic_poi", "location_name", "movie_name",
    "movie_type", "music_item", "object_location_type", "object_name", "object_part_of_series_type", "object_select",
    "object_type", "party_size_description", "party_size_number", "playlist", "playlist_owner", "poi", "rating_unit",
    "rating_value", "restaurant_name", "restaurant_type", "served_dish", "service", "sort", "spatial_relation", "state",
    "timeRange", "track", "year",
)  # fmt: skip
"""More than a task may have fields: they are asked for as records of a name and a value."""
SLOT_RECORDS = "slots"


def _commands(data_dir: Path) -> tuple[list[LabelledRow], list[LabelledRow]]:
    sides = []
    for side in ("train", "test"):
        rows = []
        for record in records_of(data_dir / "snips" / f"{side}.jsonl"):
            text, found = str(record["text"]), []
            for name, value in record["fields"].items():
                found += [(name, str(entry)) for entry in (value if isinstance(value, list) else [value])]
            # In the order of the text, as a reader meets them.
            found.sort(key=lambda pair: text.find(pair[1]))
            slots = [{"name": name, "value": " ".join(value.split())} for name, value in found if value.strip()]
            answer: Answer = {"intent": str(record["label"]), SLOT_RECORDS: slots or None}
            rows.append(LabelledRow(str(record["id"]), text, answer, text_hash(text), teacher="people"))
        sides.append(rows)
    return apart(*sides)


HEADER_FIELDS = {
    "title": "",
    "authors": "",
    "affiliations": "list",
    "emails": "list",
    "keywords": "",
    "date": "",
    "doi": "",
}
"""Field -> its type. Abstracts are left out: they are half of the page, and copying them takes all the time."""


def _headers(data_dir: Path) -> tuple[list[LabelledRow], list[LabelledRow]]:
    sides: dict[str, list[LabelledRow]] = {"train": [], "test": []}
    for record in records_of(data_dir / "grobid_header" / "gold.jsonl"):
        path = data_dir / "grobid_header" / "docs" / f"{record['id']}.txt"
        fields = {name: record["fields"].get(name) for name in HEADER_FIELDS}
        sides[str(record["split"])].append(row_of(record["id"], path.read_text(encoding="utf-8"), fields))
    return apart(sides["train"], sides["test"])


INVOICE_FIELDS = {
    "seller": ("name of the seller", "text", "issuer"),
    "invoice_number": ("invoice number", "text", "invoice_number"),
    "date": ("invoice date", "date", "date"),
    "due_date": ("due date", "date", "date_due"),
    "total": ("total amount", "amount", "amount"),
    "net": ("net amount", "amount", "amount_untaxed"),
    "tax": ("tax amount", "amount", "amount_tax"),
    "vat_id": ("vat number", "text", "vat"),
    "iban": ("iban", "text", "iban"),
    "order_number": ("order number", "text", "order_id"),
    "customer_number": ("customer number", "text", "client_id"),
}
"""Field of the generator's invoices -> how it is asked for, its type, and its key in the gold of the real ones."""
GENERATED_INVOICES = 1000


def _invoices(data_dir: Path) -> tuple[list[LabelledRow], list[LabelledRow]]:
    """Generated invoices, printed as strangers print theirs, to learn from; real ones to be judged on."""
    from pretraining_documents import draw_document
    from training_genres import TRAINING_GENRES

    from training.demo.layouts import TRAINING_WAYS
    from training.demo.page_ways import PAGE_WAYS

    genre = next(each for each in TRAINING_GENRES if each.name == "invoice")
    rng, train = random.Random(11), []
    while len(train) < GENERATED_INVOICES:
        document = draw_document(rng, "train", genre=genre, ways=(*TRAINING_WAYS, *PAGE_WAYS), page=True)
        values = {each.spec.key: each.value for each in document.printed}
        answer = {name: values.get(name) for name in INVOICE_FIELDS}
        train.append(row_of(f"generated {len(train)}", document.text, answer, teacher="generator"))
    test = []
    for record in records_of(data_dir / "invoices_pdf" / "gold.jsonl"):
        text = (data_dir / "invoices_pdf" / "docs" / f"{record['id']}.txt").read_text(encoding="utf-8")
        gold = record["fields"]
        fields = {name: _printed(gold.get(key)) for name, (_, _, key) in INVOICE_FIELDS.items()}
        test.append(row_of(record["id"], text, fields))
    return apart(train, test)


def _printed(value: object) -> object:
    return f"{value:.2f}" if isinstance(value, float) else value


def _address_parts(data_dir: Path) -> tuple[list[LabelledRow], list[LabelledRow]]:
    """The parts of each line in order, each with its name: as fields of their own, two in three would be empty."""
    sides = []
    for rows in _addresses(data_dir):
        changed = []
        for row in rows:
            found = [(name, str(value)) for name, value in row.answer.items() if value]
            # A value that is not printed in one piece stands where its first word does.
            found.sort(key=lambda pair: (_place_of(pair[1], row.text), pair[0]))
            parts = [{"name": ADDRESS_FIELDS[name], "value": value} for name, value in found]
            changed.append(replace(row, answer={PARTS: parts or None}))
        sides.append(changed)
    return sides[0], sides[1]


def _place_of(value: str, text: str) -> int:
    span = find_span(value, text) or find_span(value.split()[0], text)
    return span[0] if span else len(text)


PARTS = "parts"
REAL_SETS = {
    each.name: each
    for each in (
        RealSet(
            "us_addresses",
            task_text(
                "addresses",
                "Read the address",
                [pair_table(PARTS, ADDRESS_FIELDS.values())],
            ),
            _address_parts,
            is_sequence=True,
            pairs=PARTS,
        ),
        RealSet(
            "ingredients",
            task_text(
                "ingredients",
                "Read the ingredient",
                (
                    field_table(name, evidence="literal" if name in _AS_PRINTED else "derived")
                    for name in INGREDIENT_FIELDS
                ),
            ),
            _ingredients,
            is_sequence=True,
        ),
        RealSet(
            "snips",
            task_text(
                "commands",
                "What does the speaker want?",
                (
                    field_table("intent", type="enum", values=list(INTENTS)),
                    pair_table(SLOT_RECORDS, SLOTS),
                ),
            ),
            _commands,
            pairs=SLOT_RECORDS,
            is_sequence=True,
        ),
        RealSet(
            "sgd_dialogues",
            task_text(
                "requests",
                "What does the customer want?",
                (
                    field_table("service", type="enum", values=list(SERVICES)),
                    *(
                        field_table(
                            name,
                            **(
                                {"type": "boolean"}
                                if values == BOOLEAN
                                else {"type": "enum", "values": list(values)}
                                if values
                                else {}
                            ),
                        )
                        for name, values in REQUEST_FIELDS.items()
                    ),
                ),
            ),
            _dialogues,
            epochs=EPOCHS_OF_LONG,
        ),
        RealSet(
            "grobid_header",
            task_text(
                "headers",
                "Read the head of the article",
                (field_table(name, **({"type": kind} if kind else {})) for name, kind in HEADER_FIELDS.items()),
            ),
            _headers,
            epochs=EPOCHS_OF_PAGES,
        ),
        RealSet(
            "invoices_pdf",
            task_text(
                "invoices",
                "Read the invoice",
                (field_table(name, phrase, type=kind) for name, (phrase, kind, _) in INVOICE_FIELDS.items()),
            ),
            _invoices,
            judges_absent=False,
            epochs=EPOCHS_OF_PAGES,
        ),
    )
}
"""Name -> set."""
