"""Line code: every answer comes back as it went in, whatever its values hold."""

import random

import pytest

from appliance.tasks.linecode import (
    Answer,
    Value,
    decode_value,
    encode,
    encode_value,
    escape,
    unescape,
)

ALPHABET = [
    "\\",
    "\n",
    "\t",
    "n",
    "t",
    "a",
    " ",
    ",",
    "7",
    "é",
    "日",
    "🙂",
    "\u2028",
    "\x0b",
    "\x85",
    "<|line|>",
    "\x1b",
]


def random_text(generator: random.Random) -> str:
    """A text without outer blanks, which the code drops by design."""
    return "".join(generator.choice(ALPHABET) for _ in range(generator.randint(1, 12))).strip(" ") or "x"


def random_value(generator: random.Random, is_list: bool) -> Value:
    if generator.random() < 0.2:
        return None
    return [random_text(generator) for _ in range(generator.randint(1, 4))] if is_list else random_text(generator)


@pytest.mark.parametrize("seed", range(20))
def test_random_answers_come_back(seed: int) -> None:
    generator = random.Random(seed)
    names = [f"field{number}" for number in range(6)]
    lists = frozenset(names[::2])
    for _ in range(50):
        answer: Answer = {name: random_value(generator, name in lists) for name in names}
        text = encode(answer, names)
        assert text.count("\n") == len(names) - 1
        lines = zip(names, text.split("\n"), strict=True)
        assert {name: decode_value(line, name in lists) for name, line in lines} == answer


@pytest.mark.parametrize("seed", range(5))
def test_random_texts_escape_and_come_back(seed: int) -> None:
    generator = random.Random(seed)
    for _ in range(300):
        text = "".join(generator.choice(ALPHABET) for _ in range(generator.randint(0, 12)))
        assert unescape(escape(text)) == text
        assert not {"\n", "\t"} & set(escape(text))


@pytest.mark.parametrize(
    ("value", "line"),
    [
        pytest.param(None, "", id="null"),
        pytest.param("12.50", "12.50", id="text"),
        pytest.param("a\nb\tc\\d", r"a\nb\tc\\d", id="escapes"),
        pytest.param("a\r\nb\rc", r"a\nb\nc", id="line ends of other systems"),
        pytest.param(["a", "b\tc"], "a\tb\\tc", id="list"),
        pytest.param([], "", id="empty list"),
        pytest.param("{}", "{}", id="braces"),
    ],
)
def test_value_as_bytes(value: Value, line: str) -> None:
    assert encode_value(value) == line


@pytest.mark.parametrize(
    ("line", "is_list", "value"),
    [
        pytest.param("", False, None, id="empty line"),
        pytest.param("   ", True, None, id="blanks"),
        pytest.param(" 12.50 ", False, "12.50", id="outer blanks"),
        pytest.param(r"C:\dir\\x", False, "C:\\dir\\x", id="unknown escape stays"),
        pytest.param("a\\", False, "a\\", id="lone backslash at the end"),
        pytest.param("a\t\t b ", True, ["a", "b"], id="empty entries go"),
        pytest.param("\t", True, None, id="list of nothing"),
        pytest.param("a\tb", False, "a\tb", id="tab in a text stays"),
    ],
)
def test_line_that_a_model_wrote(line: str, is_list: bool, value: Value) -> None:
    assert decode_value(line, is_list) == value


def test_answer_as_bytes_has_one_line_per_name_in_their_order() -> None:
    assert encode({"b": "2", "a": ["x", "y"]}, ["a", "missing", "b"]) == "x\ty\n\n2"


def test_other_line_breaks_do_not_part_fields() -> None:
    assert decode_value("a\u2028b\x0bc") == "a\u2028b\x0bc"
