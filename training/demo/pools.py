"""Names, companies, streets and cities of twelve locales, split so that test values never occur in training."""

import hashlib
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from faker import Faker

Split = Literal["train", "test"]

LOCALES = (
    "en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "pt_BR", "sv_SE", "da_DK", "cs_CZ",
)  # fmt: skip
POOL_SIZE = 700
"""Draws per locale and kind; the test split keeps about an eighth of them."""

PRODUCT_HEADS = (
    "paper", "printer", "desk lamp", "coffee beans", "olive oil", "garden hose", "keyboard", "monitor",
    "office chair", "notebook",
    "phone case", "battery pack", "screwdriver set", "paint", "cable", "toner", "towels", "gloves", "bread", "cheese",
    "apple juice",
    "mineral water", "tomatoes", "rice", "pasta", "salmon", "detergent", "light bulb", "filter", "brake pads",
    "engine oil", "tyres",
    "consulting", "repair work", "cleaning service", "delivery", "installation", "licence", "support hours",
    "training day", "bandages",
    "syringes", "thermometer", "pump", "valve", "pipe", "bricks", "cement", "planks", "screws", "soap", "shampoo",
    "tea", "milk", "eggs",
)  # fmt: skip
PRODUCT_TAILS = (
    "A4", "XL", "500 g", "1 l", "blue", "black", "white", "organic", "set of 4", "pro", "basic", "large", "small",
    "2 m", "premium", "refill",
    "25 kg", "10 pack", "standard", "deluxe", "", "", "", "", "",
)  # fmt: skip
JOB_TITLES = (
    "accountant", "nurse", "driver", "sales manager", "software engineer", "teacher", "warehouse clerk",
    "office assistant", "electrician",
    "project manager", "cook", "technician", "data analyst", "receptionist", "pharmacist", "welder", "lab assistant",
    "security guard",
    "team leader", "graphic designer", "controller", "buyer", "plumber", "HR officer", "mechanical engineer",
    "physician", "surveyor",
)  # fmt: skip


@dataclass(frozen=True)
class Pools:
    """Values of one split, per locale index."""

    names: tuple[tuple[str, ...], ...]
    companies: tuple[tuple[str, ...], ...]
    streets: tuple[tuple[str, ...], ...]
    places: tuple[tuple[str, ...], ...]
    """Postcode and city as printed in the locale."""
    cities: tuple[tuple[str, ...], ...]
    phones: tuple[tuple[str, ...], ...]


def is_test_value(value: str) -> bool:
    """Whether a name belongs to the test split: decided by its hash, so it is the same in every run."""
    return hashlib.sha256(value.encode()).digest()[0] < 32


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _draw(fake: Faker, kind: str, count: int) -> list[str]:
    makers = {
        "names": fake.name,
        "companies": fake.company,
        "streets": fake.street_address,
        "places": lambda: f"{fake.postcode()} {fake.city()}",
        "cities": fake.city,
        "phones": fake.phone_number,
    }
    maker = makers[kind]
    return sorted({_one_line(maker()) for _ in range(count)})


@lru_cache(maxsize=2)
def pools(split: Split) -> Pools:
    """The pools of a split; drawn with fixed seeds, so every machine has the same ones."""
    is_test = split == "test"
    columns: dict[str, list[tuple[str, ...]]] = {}
    for number, locale in enumerate(LOCALES):
        fake = Faker(locale)
        if locale == "it_IT":  # the library lists these cities in the order of a set, which every process has anew
            address = fake.provider("faker.providers.address")
            address.cities = tuple(sorted(address.cities))
        fake.seed_instance(1000 + number)
        for kind in ("names", "companies", "streets", "places", "cities", "phones"):
            values = [value for value in _draw(fake, kind, POOL_SIZE) if len(value) <= 48]
            of_split = tuple(value for value in values if is_test_value(value) == is_test)
            columns.setdefault(kind, []).append(of_split)
    return Pools(**{kind: tuple(column) for kind, column in columns.items()})


def pick(rng: random.Random, values: tuple[str, ...]) -> str:
    """One of the values."""
    return values[rng.randrange(len(values))]
