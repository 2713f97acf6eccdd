"""Text for a person: harmless on a terminal, and numbers with their units."""

import pytest

from appliance.documents.folder import document_name, document_path
from appliance.ground.text import (
    human_count,
    human_duration,
    human_size,
    is_storable,
    percent_interval,
    printable,
    printable_name,
    storable,
)


@pytest.mark.parametrize(
    "char", ["\x1b", "\n", "\t", "\0", "\x7f", "\x9b", "\u202e", "\u2028", "\ufeff", "\ud800", "\ue000"]
)
def test_character_that_a_terminal_acts_on_is_replaced(char: str) -> None:
    assert printable(f"a{char}b") == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("text", ["", "plain [bold]x[/bold]", "Größe 日本語 🙂", "\u00a0"])
def test_other_text_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9_949, "9.9 kB"), (9_950, "10 kB"), (137_000_000, "137 MB"),
        (999_499, "999 kB"), (999_500, "1.0 MB"), (1_400_000_000, "1.4 GB"), (10**18, "1000.0 PB"),
    ],
)  # fmt: skip
def test_size_has_a_unit(size_bytes: int, text: str) -> None:
    assert human_size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"), (0.421, "0.42 s"), (9.996, "10.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"),
        (245, "4 min 05 s"), (3599.6, "1 h 00 min"), (11_220, "3 h 07 min"), (187_200, "2 d 04 h"),
    ],
)  # fmt: skip
def test_duration_has_a_unit(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_count_has_its_noun() -> None:
    assert human_count(1, "document") == "1 document"
    assert human_count(3080, "document") == "3,080 documents"
    assert human_count(2, "entry", "entries") == "2 entries"


def test_share_has_its_interval() -> None:
    assert percent_interval(0.934, 0.91, 0.953) == "93.4 % (91.0 to 95.3)"


@pytest.mark.parametrize("char", ["\0", "\x07", "\x1b", "\x7f", "\ud83d", "\ufdd0", "\ufffe", "\U0010ffff"])
def test_character_that_no_file_can_hold_is_replaced_by_one(char: str) -> None:
    assert storable(f"a{char}b") == ("a?b" if "\ud800" <= char <= "\udfff" else "a\N{REPLACEMENT CHARACTER}b")
    assert not is_storable(char)


def test_everything_else_is_stored_as_it_is() -> None:
    text = "a\tb\r\nc\x0b\x0cd\x85 Größe 日本語 🙂 \u202e\ufeff\ue000"
    assert storable(text) == text
    assert is_storable(text)


def test_names_that_differ_never_look_the_same_on_a_terminal() -> None:
    paths = [
        b"a\x1b.txt",
        b"a\x07.txt",
        b"a\n.txt",
        rb"a\x1b.txt",
        "a\u202e.txt".encode(),
        "a\u200b.txt".encode(),
        b"a\xff.txt",
    ]
    names = [printable_name(document_name(path)) for path in paths]
    assert names[0] == "a\\x1b.txt"
    assert [printable(name) for name in names] == names
    assert [document_path(name) for name in names] == paths
