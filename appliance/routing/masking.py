"""Takes out of a text what must not leave, puts placeholders in its place, and puts the values back into the answer.

A placeholder is a keyed hash of the value: the same value has the same placeholder on this installation, and without
the key nobody finds the value by trying. Whatever is not certain withholds the document.
"""

import hashlib
import hmac
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from appliance.engines.frontier import Cleared, Withheld
from appliance.routing.detectors import DETECTORS, LONG_NUMBER, Finding, findings, joined
from appliance.routing.installation_key import installation_key
from appliance.routing.plain_copy import plain_copy
from appliance.routing.policy import Masking, masked_fields
from appliance.routing.repetitions import repetitions
from appliance.tasks.linecode import Answer, Value, is_records
from appliance.tasks.task import Task
from appliance.tasks.values import find_spans, value_texts

_LABELS = {
    "mail": "MAIL", "iban": "IBAN", "card": "CARD", "national_id": "ID", "phone": "PHONE", LONG_NUMBER: "DIGITS",
    "field": "FIELD",
}  # fmt: skip
_CODE_LETTERS = 10
_PLACEHOLDER_LIKE = re.compile(rf"mask\W?_?(?:{'|'.join(_LABELS.values())})\W?_?[a-z]{{3}}", re.IGNORECASE)
"""Placeholders, and what a careless model makes of them."""
_RETYPED = re.compile(
    rf"(?<!\w)mask[\W_]{{1,3}}({'|'.join(_LABELS.values())})[\W_]{{1,3}}([a-z]{{{_CODE_LETTERS}}})(?!\w)", re.IGNORECASE
)
"""A whole placeholder with other case or other signs between its parts, as models that write Markdown make."""
_CUT_SHORT = re.compile(rf"(?<!\w)MASK_(?:{'|'.join(_LABELS.values())})_?(?![A-Za-z0-9])")
_TELLING_LETTERS = 8
"""So many first letters of a code in an answer are the rest of a placeholder: chance writes them once in 10^11."""
_WORD = re.compile(r"[A-Za-z0-9_]+")
_NAMES = (re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*"), re.compile(r"[^\W\d_]+"))
"""A word of a name, with what hyphens and apostrophes join in it, and without."""
_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "oe", "æ": "ae"}
)
_NOTHING = "\ue000"
_MOST_LOOKS = 4
"""How often what is left is looked at; each look may find what the one before laid bare."""
_LEAST_PART = 4
"""Letters of a word of a masked value that is masked where it stands alone, as a family name does."""


class Masker:
    """Masks and restores for one task under one policy."""

    def __init__(self, task: Task, masking: Masking, key: bytes, policy_path: Path = Path("policy")) -> None:
        self._masking, self._key = masking, key
        names = masked_fields(masking, task, policy_path)
        self._fields = {
            field.name: field.phrase or field.name.replace("_", " ")
            for field in task.output_fields
            if field.name in names
        }

    def mask(self, text: str, known: Mapping[str, Value]) -> Cleared:
        """The text with placeholders.

        Args:
            known: Values of fields, from the local answer.

        Raises:
            Withheld: A value of a field is not known, or the text holds something like a placeholder, or something
                is still found in it afterwards.
        """
        if _PLACEHOLDER_LIKE.search(text):
            raise Withheld("placeholder_collision", "the document contains words that look like masking placeholders")
        masking = self._masking
        places = [*findings(text, masking.detectors, masking.digits), *self._fields_in(text, known)]
        places = joined([*places, *repetitions(text, places)])
        for _ in range(_MOST_LOOKS):
            cleared = self._replaced(text, places)
            left = findings(cleared.text, masking.detectors, masking.digits)
            if not left:
                return cleared
            # What stood beside a value that is masked now may be one of its own.
            more = findings(_without(text, places), masking.detectors, masking.digits)
            places = joined([*places, *more, *repetitions(text, more)])
        raise Withheld("masking_failed", f"still found after masking: {left[0].kind.replace('_', ' ')}")

    def _replaced(self, text: str, places: Sequence[Finding]) -> Cleared:
        """The text with placeholders in these places."""
        parts: list[str] = []
        restored_by: dict[str, str] = {}
        at = 0
        for finding in places:
            value = text[finding.start : finding.end]
            placeholder = self._placeholder(finding.kind, value)
            if restored_by.setdefault(placeholder, value) != value:
                raise Withheld("placeholder_collision", "two values in the document would get the same placeholder")
            parts += [text[at : finding.start], _space(text, finding.start - 1), placeholder, _space(text, finding.end)]
            at = finding.end
        masked = "".join([*parts, text[at:]])
        return Cleared(masked, restored_by, dict(Counter(finding.kind for finding in places)))

    def restore(self, restored_by: Mapping[str, str], answer: Answer) -> Answer:
        """The answer with the values.

        Raises:
            Withheld: It holds something like a placeholder that stands for nothing of this document.
        """
        return {name: _restored(name, value, restored_by) for name, value in answer.items()}

    def _placeholder(self, kind: str, value: str) -> str:
        digest = hmac.digest(self._key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        number = int.from_bytes(digest)
        letters: list[str] = []
        for _ in range(_CODE_LETTERS):
            number, rest = divmod(number, 26)
            letters.append(chr(ord("A") + rest))
        return f"MASK_{_LABELS[kind]}_{''.join(letters)}"

    def _fields_in(self, text: str, known: Mapping[str, Value]) -> Iterator[Finding]:
        """Every place of a value of the fields that the policy masks."""
        for name, phrase in self._fields.items():
            value = known.get(name)
            values = value_texts(value)
            values += [match.group(1).strip() for match in _labelled(phrase).finditer(text)]
            places = [place for value in values for place in _places(value, text)]
            if not places and not self._masking.send_unfound:
                message = f"the policy masks {name}, but its value in this document is not known"
                raise Withheld("unmasked_field", message)
            for start, end in places:
                yield Finding("field", start, end)


def _labelled(phrase: str) -> re.Pattern[str]:
    """What follows the field's name and a colon on a line."""
    words = r"[ \t]+".join(re.escape(word) for word in phrase.split())
    return re.compile(rf"^[ \t]*{words}[ \t]*[:=][ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)


def _places(value: str, text: str) -> list[tuple[int, int]]:
    """Where the value and the longer words of it stand alone."""
    copy = plain_copy(value)
    # In the letters of the value: capitals of other scripts have become Latin ones in the copy.
    words = [value[slice(*copy.place(*match.span()))] for form in _NAMES for match in form.finditer(copy.text)]
    # Scripts without capitals have no small letters either.
    parts = [word for word in words if len(word) >= _LEAST_PART and not word[0].islower()]
    spellings = [spelling for part in parts for spelling in _spellings(part)]
    # Names of files join words with lines below.
    apart = text.replace("_", " ")
    return [place for each in dict.fromkeys([value, *spellings]) if each for place in find_spans(each, apart)]


def _spellings(name: str) -> Iterator[str]:
    """How a name stands elsewhere: in the genitive or plural, without accents, and without umlauts."""
    for spelling in (name, name.translate(_UMLAUTS), _without_accents(name)):
        yield from (spelling, f"{spelling}s")


def _without_accents(name: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFD", name) if unicodedata.category(char) != "Mn")


def _without(text: str, places: Sequence[Finding]) -> str:
    """The text with nothing but a character that is none of a word in these places."""
    parts: list[str] = []
    at = 0
    for place in places:
        parts += [text[at : place.start], _NOTHING * (place.end - place.start)]
        at = place.end
    return "".join([*parts, text[at:]])


def _space(text: str, place: int) -> str:
    """A blank between a placeholder and a letter that would grow into one word with it."""
    return " " if 0 <= place < len(text) and (text[place].isalnum() or text[place] == "_") else ""


def _restored(name: str, value: Value, restored_by: Mapping[str, str]) -> Value:
    if is_records(value):
        return [
            {column: cell and str(_restored(name, cell, restored_by)) for column, cell in record.items()}
            for record in value
        ]
    if isinstance(value, list):
        return [str(_restored(name, str(text), restored_by)) for text in value]
    if value is None:
        return None
    # Only whole words: one with a letter more stands for nothing.
    value = _WORD.sub(lambda word: restored_by.get(word.group(), word.group()), value)
    value = _RETYPED.sub(lambda word: restored_by.get(f"MASK_{word[1].upper()}_{word[2].upper()}", word.group()), value)
    if _holds_placeholder(value, restored_by):
        raise Withheld(
            "unrestorable", f"the answer's {name} contains a placeholder that does not belong to this document"
        )
    return value


def _holds_placeholder(value: str, restored_by: Mapping[str, str]) -> bool:
    """Whether anything of a placeholder is left in the value: its form, its head, or its code alone."""
    plain = plain_copy(value).text
    if _PLACEHOLDER_LIKE.search(plain) or _CUT_SHORT.search(plain):
        return True
    letters = re.sub(r"[^A-Z]", "", plain.upper())
    return any(placeholder[-_CODE_LETTERS:][:_TELLING_LETTERS] in letters for placeholder in restored_by)


def masking_key(directory: Path) -> bytes:
    """The key of this installation's placeholders; made when it is first needed.

    Raises:
        ResourceError: It cannot be made, or others can read it.
    """
    return installation_key(directory, "mask.key", "the masking key")


assert set(_LABELS) == {*DETECTORS, LONG_NUMBER, "field"}
