"""Masking: what leaves holds placeholders, what comes back holds the values, and doubt withholds the document."""

import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.engines.frontier import Withheld
from appliance.ground.errors import ResourceError
from appliance.routing.detectors import DETECTORS
from appliance.routing.installation_key import KEY_BYTES
from appliance.routing.masking import Masker, masking_key
from appliance.routing.policy import EgressRefused, Masking
from appliance.tasks.task import Task
from appliance.tasks.values import evidence
from tests.appliance.frontier_fixtures import extract_task

KEY = bytes(range(KEY_BYTES))
TEXT = """Order A-17 of Maria Schmidt
customer name: Maria Schmidt
mail: maria.schmidt@example.com, phone +49 30 1234567
IBAN DE89 3704 0044 0532 0130 00, card 4111 1111 1111 1111
tax id 86095742719
Dear Mrs Schmidt, the total is 12.50 EUR"""


def masker(masking: Masking | None = None, key: bytes = KEY, task: Task | None = None) -> Masker:
    return Masker(task or extract_task(), masking or Masking(), key)


def test_nothing_found_leaves_in_the_text() -> None:
    masked = masker(Masking(fields=("customer_name",))).mask(TEXT, {})
    for value in (
        "Schmidt", "Maria", "example.com", "1234567", "DE89", "0532", "4111", "86095742719",
    ):  # fmt: skip
        assert value not in masked.text
    assert "the total is 12.50 EUR" in masked.text
    assert masked.masked == {"field": 3, "mail": 1, "phone": 1, "iban": 1, "card": 1, "national_id": 1}


def test_answer_gets_its_values_back_and_evidence_is_of_the_original() -> None:
    task = extract_task()
    made = masker(Masking(fields=("customer_name",)))
    masked = made.mask(TEXT, {})
    name = next(word for word in masked.text.split() if word.startswith("MASK_FIELD"))
    mail = next(word for word in masked.text.split() if word.startswith("MASK_MAIL")).rstrip(",")
    answer = {"number": "A-17", "total": None, "customer_name": name, "parts": [mail, f"to {mail} now"]}
    restored = made.restore(masked.restored_by, answer)
    assert restored == {
        "number": "A-17", "total": None, "customer_name": "Maria Schmidt",
        "parts": ["maria.schmidt@example.com", "to maria.schmidt@example.com now"],
    }  # fmt: skip
    field = next(field for field in task.output_fields if field.name == "customer_name")
    assert evidence(field, restored["customer_name"], TEXT) == TEXT.index("Maria Schmidt")


def test_text_comes_back_whole_when_every_placeholder_is_restored() -> None:
    made = masker(Masking(fields=("customer_name",)))
    masked = made.mask(TEXT, {})
    assert made.restore(masked.restored_by, {"parts": [masked.text]}) == {"parts": [TEXT]}


def test_placeholders_are_stable_under_one_key_and_different_under_another() -> None:
    one, again, other = (masker(key=key).mask(TEXT, {}) for key in (KEY, KEY, bytes(KEY_BYTES)))
    assert one.text == again.text
    assert one.restored_by.keys().isdisjoint(other.restored_by)


def test_same_value_has_one_placeholder_and_other_spellings_their_own() -> None:
    text = "a@example.com b@example.com a@example.com A@example.com"
    masked = masker().mask(text, {})
    words = masked.text.split()
    assert words[0] == words[2]
    assert len(set(words)) == 3
    assert [masked.restored_by[word] for word in words] == text.split()


def test_value_that_only_the_local_answer_knows_is_masked() -> None:
    text = "Invoice for\nJosé  Núñez\nand again JOSÉ NÚÑEZ; Núñez pays"
    masked = masker(Masking(fields=("customer_name",))).mask(text, {"customer_name": "José Núñez"})
    assert "Núñez" not in masked.text
    assert "NÚÑEZ" not in masked.text
    assert "José" not in masked.text


def test_every_entry_of_a_list_is_masked() -> None:
    masked = masker(Masking(fields=("parts",))).mask("bolt and nut and washer", {"parts": ["bolt", "nut"]})
    assert masked.text.split()[1::2] == ["and", "and"]
    assert masked.text.endswith("washer")


def test_document_without_a_known_value_of_a_masked_field_is_withheld() -> None:
    with pytest.raises(Withheld, match="customer_name") as raised:
        masker(Masking(fields=("customer_name",))).mask("nothing here", {"customer_name": None})
    assert raised.value.name == "unmasked_field"


def test_policy_may_let_it_leave_all_the_same() -> None:
    masking = Masking(fields=("customer_name",), send_unfound=True)
    assert masker(masking).mask("nothing here", {}).text == "nothing here"


def test_field_of_another_task_masks_nothing_here() -> None:
    masking = Masking(fields=("letters.patient", "orders.customer_name"))
    masked = masker(masking).mask("patient: Jane\ncustomer name: Joe", {})
    assert masked.text.startswith("patient: Jane\ncustomer name: MASK_FIELD_")


def test_mistyped_field_is_refused_and_the_nearest_is_named() -> None:
    with pytest.raises(EgressRefused, match="custmer_name") as raised:
        masker(Masking(fields=("custmer_name",)))
    assert '"customer_name"?' in raised.value.hint


@pytest.mark.parametrize(
    "word", ["MASK_MAIL_ABCDEFGHIJ", "mask_phone_abc", "[MASK-ID-XYZ]", "Mask CARD abcdef", "MASKFIELDabc"]
)
def test_text_that_looks_like_a_placeholder_is_withheld(word: str) -> None:
    with pytest.raises(Withheld) as raised:
        masker().mask(f"the text says {word}", {})
    assert raised.value.name == "placeholder_collision"


@pytest.mark.parametrize(
    "answered", ["MASK_MAIL_ZZZZZZZZZZ", "mask_mail_abcdefghij", "MASK_MAIL_ABC", "name MASK_ID_QWERTYUIOP"]
)
def test_placeholder_that_stands_for_nothing_marks_the_answer(answered: str) -> None:
    made = masker()
    masked = made.mask("write to a@example.com", {})
    with pytest.raises(Withheld, match="customer_name") as raised:
        made.restore(masked.restored_by, {"customer_name": answered})
    assert raised.value.name == "unrestorable"


def test_placeholder_that_lost_its_end_is_not_restored_by_guessing() -> None:
    made = masker()
    masked = made.mask("write to a@example.com", {})
    (placeholder,) = masked.restored_by
    with pytest.raises(Withheld):
        made.restore(masked.restored_by, {"customer_name": placeholder[:-1]})


@pytest.mark.parametrize("around", ["{}K", "x{}", "{}7", "{0}{0}"])
def test_placeholder_that_grew_is_not_restored_in_part(around: str) -> None:
    made = masker()
    (placeholder,) = (restored_by := made.mask("write to a@example.com", {}).restored_by)
    with pytest.raises(Withheld) as raised:
        made.restore(restored_by, {"customer_name": around.format(placeholder)})
    assert raised.value.name == "unrestorable"


@pytest.mark.parametrize(
    "retyped",
    [
        str.lower,
        str.title,
        lambda word: word.replace("_", "\\_"),
        lambda word: word.replace("_", "  "),
        lambda word: f"`{word.replace('_', '-')}`",
    ],
)
def test_placeholder_with_other_case_and_signs_is_restored(retyped: Callable[[str], str]) -> None:
    made = masker()
    (placeholder,) = (restored_by := made.mask("write to a@example.com", {}).restored_by)
    restored = made.restore(restored_by, {"customer_name": retyped(placeholder), "parts": [retyped(placeholder)]})
    (part,) = restored["parts"] or ()
    assert [str(restored["customer_name"]).strip("`"), part.strip("`")] == ["a@example.com"] * 2


@pytest.mark.parametrize(
    "rest",
    [
        lambda word: word[-10:],
        lambda word: word[5:],
        lambda word: word[:9],
        lambda word: f"[{word[:9]}]",
        lambda word: " ".join(word),
        lambda word: word.replace("MASK", "MASKED"),
        lambda word: f"{word[:12]}\u200b{word[12:]}",
    ],
)
def test_rest_of_a_placeholder_never_becomes_a_value(rest: Callable[[str], str]) -> None:
    made = masker()
    (placeholder,) = (restored_by := made.mask("write to a@example.com", {}).restored_by)
    with pytest.raises(Withheld) as raised:
        made.restore(restored_by, {"parts": ["bolt", rest(placeholder)]})
    assert raised.value.name == "unrestorable"


@pytest.mark.parametrize(
    ("name", "again"),
    [("Anna M\u00fcller-L\u00fcdenscheidt", "Frau M\u00fcller-L\u00fcdenscheidt, geb. L\u00fcdenscheidt"),
     ("Conor O'Brien", "Mr O\u2019Brien"), ("Schmidt,Maria", "Frau Schmidt"), ("Dr. Eva-Maria Kunz", "Eva-Maria")],
)  # fmt: skip
def test_joined_names_of_a_masked_field_are_masked_where_they_stand_alone(name: str, again: str) -> None:
    text = masker(Masking(fields=("customer_name",))).mask(f"{name}; {again}.", {"customer_name": name}).text
    assert not any(part in text for part in ("scheidt", "Brien", "Schmidt", "Eva", "Maria"))


@pytest.mark.parametrize(
    ("name", "again"),
    [("Maria Schmidt", "Schmidts Konto"), ("Maria Schmidt", "Vertrag_Schmidt_2024.pdf"),
     ("J\u00f6rg M\u00fcller", "JOERG MUELLER"),
     ("Ana Garc\u00eda", "Sra. Garcia"),
     ("\u0410\u043d\u043d\u0430 \u041e\u0440\u043b\u043e\u0432\u0430", "\u041e\u0440\u043b\u043e\u0432\u0430"),
     ("\u039d\u03af\u03ba\u03bf\u03c2", "\u039d\u0399\u039a\u039f\u03a3")],
)  # fmt: skip
def test_name_of_a_masked_field_is_masked_in_its_other_spellings(name: str, again: str) -> None:
    text = masker(Masking(fields=("customer_name",))).mask(f"{name}; {again}.", {"customer_name": name}).text
    left = "".join(re.sub("MASK_FIELD_[A-Z]{10}", "", text).split())
    assert left in {f";{rest}." for rest in ("Konto", "Vertrag__2024.pdf", "", "Sra.")}


def test_long_numbers_are_masked_unless_the_policy_says_otherwise() -> None:
    text = "Invoice RE-2026/0001234 of 25.11.2026, sum 1.234.567,89, order 919-40-4516"
    masked = masker().mask(text, {})
    assert masked.masked == {"number": 2}
    assert "0001234" not in masked.text
    assert "25.11.2026, sum 1.234.567,89" in masked.text
    number = masked.text.split()[1]
    assert masker().restore(masked.restored_by, {"number": number}) == {"number": "RE-2026/0001234"}
    assert masker(Masking(digits=0)).mask(text, {}).text == text


def test_value_that_masking_leaves_findable_withholds_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    def second_look(text: str):  # type: ignore[no-untyped-def]
        if "MASK_" in text:
            yield 0, 3

    monkeypatch.setitem(DETECTORS, "phone", second_look)
    with pytest.raises(Withheld, match="still found") as raised:
        masker().mask("write to a@example.com", {})
    assert raised.value.name == "masking_failed"


def test_placeholder_never_grows_into_a_word() -> None:
    masked = masker(Masking(detectors=("card",), digits=0)).mask("x4111111111111111y and 4111111111111111", {})
    assert masked.text.startswith("x4111")
    masked = masker(Masking(detectors=("iban",), digits=0)).mask("_DE89370400440532013000_", {})
    assert masked.text.split()[1] in masked.restored_by


def test_without_detectors_nothing_is_masked() -> None:
    assert masker(Masking(detectors=(), digits=0)).mask(TEXT, {}).text == TEXT


def test_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    directory = tmp_path / "egress"
    key = masking_key(directory)
    assert len(key) == KEY_BYTES
    assert masking_key(directory) == key
    assert stat.S_IMODE((directory / "mask.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert sorted(path.name for path in directory.iterdir()) == ["mask.key"]
    assert masking_key(tmp_path / "other") != key


def test_key_that_others_can_read_stops_everything(tmp_path: Path) -> None:
    masking_key(tmp_path)
    (tmp_path / "mask.key").chmod(0o644)
    with pytest.raises(ResourceError, match="others can read") as raised:
        masking_key(tmp_path)
    assert raised.value.hint.startswith("chmod 600 ")


def test_cut_key_stops_everything(tmp_path: Path) -> None:
    masking_key(tmp_path)
    (tmp_path / "mask.key").write_bytes(b"short")
    with pytest.raises(ResourceError, match="32 bytes"):
        masking_key(tmp_path)


def test_key_that_is_a_link_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(KEY)
    (tmp_path / "mask.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ResourceError, match="cannot use the masking key"):
        masking_key(tmp_path)


@pytest.mark.parametrize(
    ("again", "left"),
    [
        ("bitte 12 34 56 rufen", "bitte MASK"),
        ("call 123456.", "call MASK"),
        ("12-34-56", "MASK"),
        ("(12/34/56) EUR", "(MASK"),
        ("1.123.456,00 and 123456,00", None),
        ("AB123456", None),
        ("123456x", None),
    ],
)
def test_value_is_masked_wherever_its_digits_stand_alone(again: str, left: str | None) -> None:
    masked = masker().mask(f"Tel. 12 34 56\nIhr Auftrag. {again}", {}).text
    rest = masked.partition("Auftrag. ")[2]
    assert rest == again if left is None else rest.startswith(left), masked


def test_text_of_many_numbers_is_masked_in_time_that_grows_with_it() -> None:
    numbers = " ".join(f"{number:06}" for number in range(9_000))
    started = time.process_time()
    masked = masker().mask(f"Tel. 00 89 99\n{numbers}", {}).text
    assert time.process_time() - started < 5
    assert "008999" not in masked
