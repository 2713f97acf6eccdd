"""Mistakes that teachers make, planted one to an answer."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from appliance.tasks.labels import LabelledRow
from appliance.tasks.linecode import Value, is_records
from appliance.tasks.task import Task
from appliance.tasks.values import plain

KINDS = ("cut", "swapped", "misread", "other", "invented", "missing")
"""A value without its beginning or end; two values in each other's fields; a wrong digit; something else that the
document says; a value that another document says; none for a value that is there. Of a choice: another one."""


@dataclass(frozen=True)
class Planted:
    """What was done to a row."""

    kind: str
    fields: tuple[str, ...]
    """Whose values are wrong now."""


@dataclass(frozen=True)
class _Place:
    """A text of an answer: a value, or an entry of a list."""

    field: str
    entry: int | None
    text: str


def plant(
    task: Task, rows: Sequence[LabelledRow], share: float, seed: int
) -> tuple[list[LabelledRow], dict[int, Planted]]:
    """The rows, some of them with a mistake, each kind as often as it can be made."""
    rng = random.Random(seed)
    pool = {
        each.name: [place.text for row in rows for place in _places(task, row) if place.field == each.name]
        for each in task.output_fields
    }
    spoilt, planted = list(rows), {}
    for number in sorted(rng.sample(range(len(rows)), round(share * len(rows)))):
        for kind in rng.sample(KINDS, len(KINDS)):
            if changed := _spoil(rng, task, rows[number], kind, pool):
                spoilt[number] = replace(rows[number], answer={**rows[number].answer, **changed})
                planted[number] = Planted(kind, tuple(changed))
                break
    return spoilt, planted


def _places(task: Task, row: LabelledRow) -> Iterator[_Place]:
    """The texts of an answer that are no choices."""
    for field in task.output_fields:
        value = row.answer.get(field.name)
        if field.is_choice or not value or is_records(value):
            continue
        if isinstance(value, str):
            if value.strip():
                yield _Place(field.name, None, value)
        else:
            yield from (_Place(field.name, entry, str(text)) for entry, text in enumerate(value) if str(text).strip())


def _spoil(
    rng: random.Random, task: Task, row: LabelledRow, kind: str, pool: Mapping[str, Sequence[str]]
) -> dict[str, Value]:
    """Fields and their wrong values; none where this row has nothing to make the mistake of."""
    places = list(_places(task, row))
    if kind == "other" and (not places or rng.random() < 0.3) and (changed := _other_choice(rng, task, row)):
        return changed
    if not places:
        return {}
    place = rng.choice(places)
    if kind == "swapped":
        single = [each for each in places if each.entry is None]
        if len(single) > 1:
            one, other = rng.sample(single, 2)
            if plain(one.text) != plain(other.text):
                return {one.field: other.text, other.field: one.text}
        return {}
    if kind == "invented":
        name = rng.choice([each.name for each in task.output_fields if pool[each.name]])
        text = rng.choice(pool[name])
        own = [each for each in places if each.field == name]
        if plain(text) in [plain(each.text) for each in own]:
            return {}
        return _changed(row, own[0] if own else _Place(name, None, ""), text)
    if kind == "cut":
        several = [each for each in places if len(each.text.split()) > 1]
        if not several:
            return {}
        place = rng.choice(several)
        words = place.text.split()
        at = rng.randrange(1, len(words))
        return _changed(row, place, " ".join(words[:at] if rng.random() < 0.5 else words[at:]))
    if kind == "misread":
        numbers = [each for each in places if any(map(str.isdigit, each.text))]
        if not numbers:
            return {}
        place = rng.choice(numbers)
        characters = list(place.text)
        at = rng.choice([at for at, character in enumerate(characters) if character.isdigit()])
        characters[at] = str((int(characters[at]) + rng.randrange(1, 10)) % 10)
        return _changed(row, place, "".join(characters))
    if kind == "other":
        words, around = place.text.split(), row.text.split()
        if len(around) <= len(words):
            return {}
        at = rng.randrange(len(around) - len(words))
        text = " ".join(around[at : at + len(words)]).strip(".,;:()")
        return _changed(row, place, text) if plain(text) not in ("", plain(place.text)) else {}
    return {place.field: None}


def _changed(row: LabelledRow, place: _Place, text: str) -> dict[str, Value]:
    """The field with the text in place of the one there; a list where the field has one."""
    value = row.answer.get(place.field)
    if place.entry is None or not isinstance(value, list) or is_records(value):
        return {place.field: text}
    entries = [str(entry) for entry in value]
    entries[place.entry] = text
    return {place.field: entries}


def _other_choice(rng: random.Random, task: Task, row: LabelledRow) -> dict[str, Value]:
    given = [each for each in task.output_fields if each.is_choice and row.answer.get(each.name)]
    if not given:
        return {}
    field = rng.choice(given)
    others = [value for value in field.values if value != row.answer.get(field.name)]
    return {field.name: rng.choice(others)} if others else {}
