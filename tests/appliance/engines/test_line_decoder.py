"""The line grammar: forced heads, spans of the document, trees of labels, and how sure the model was."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from smollm_tokenizer import train_tokenizer
from tokenizer_fixtures import byte_level, sentencepiece, write_tokenizer

from appliance.engines.line_decoder import LineDecoder
from appliance.engines.token_starts import TokenStarts
from appliance.engines.tokenizer import FileTokenizer, TokenizerError
from appliance.tasks.prompt import (
    PLAIN_TEMPLATE,
    ExampleAnswer,
    document_segments,
    field_prefix_segments,
    join_ids,
    render_example,
    value_segments,
)
from appliance.tasks.task import Comparator, Field, FieldType, Task, TaskKind

DOCUMENT = "ACME Ltd\nOrder no: 4711\nShip to:  12 High   Street\nLeeds LS1\nTotal: EUR 1,234.50\nPaths: C:\\new, Größe"
LINES = [" " + line for line in DOCUMENT.splitlines()]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> FileTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer(LINES * 3, 330).save(str(path))
    return FileTokenizer(path)


def extraction(*fields: Field) -> Task:
    return Task(1, "orders", TaskKind.EXTRACT, "Read the order.", fields)


def write(
    task: Task,
    tokenizer: FileTokenizer,
    wishes: Mapping[str, list[str]],
    likely: float = 9.0,
    document: str = DOCUMENT,
) -> LineDecoder:
    """Lets a decoder write for a model that wishes each text in turn, more the earlier it stands in the list."""
    template = tokenizer.template
    document_ids = join_ids(document_segments(document, template), tokenizer.encode)
    decoder = LineDecoder(task, template, tokenizer, document_ids)
    fed, index = decoder.start(), 0
    for _ in range(300):
        if decoder.done:
            return decoder
        scores = np.zeros(tokenizer.vocab_size, dtype=np.float32)
        value_ids = fed[len(_before(task, tokenizer, fed, index)) :]
        for rank, wish in enumerate(wishes[task.output_fields[index].name]):
            nothing = value_ids if not tokenizer.decode(value_ids).strip() else []
            wished = tokenizer.encode(" " + wish, False) if wish else list(nothing)
            wished.append(tokenizer.encode(template.line, True)[-1])
            if wished[: len(value_ids)] == value_ids and len(wished) > len(value_ids):
                scores[wished[len(value_ids)]] += likely - rank
        token = decoder.choose(scores)
        ended = token == tokenizer.encode(template.line, True)[-1]
        forced = decoder.advance()
        fed = (forced if ended else [*fed, token, *forced]) if forced or ended else [*fed, token]
        index = len(decoder.answer()) - 1
    raise AssertionError("the answer does not end")


def _before(task: Task, tokenizer: FileTokenizer, fed: list[int], index: int) -> list[int]:
    head = join_ids(field_prefix_segments(task.prompt_spec(), tokenizer.template, index), tokenizer.encode)
    at = next(at for at in range(len(fed), -1, -1) if fed[at : at + len(head)] == head)
    return fed[: at + len(head)]


def test_heads_are_forced_and_a_value_is_copied(tokenizer: FileTokenizer) -> None:
    task = extraction(Field("order_no"), Field("total", FieldType.AMOUNT))
    decoder = LineDecoder(task, tokenizer.template, tokenizer, [])
    expected = join_ids(field_prefix_segments(task.prompt_spec(), tokenizer.template, 0), tokenizer.encode)
    assert decoder.start() == expected
    decoder = write(task, tokenizer, {"order_no": ["4711"], "total": ["EUR 1,234.50"]})
    assert decoder.answer() == {"order_no": "4711", "total": "EUR 1,234.50"}
    assert decoder.raw() == "4711\nEUR 1,234.50"
    assert all(0.5 < share <= 1.0 for share in decoder.confidence().values())


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        (["4712", "4711"], "4711"),
        (["471", "4711"], "4711"),
        (["711", "4711"], "4711"),
        (["Bogus Inc", ""], None),
        (["1,234", "1,234.50"], "1,234.50"),
        (["acme ltd"], "ACME Ltd"),
        (["12 High Street Leeds LS1"], "12 High Street Leeds LS1"),
        (["Größe"], "Größe"),
    ],
    ids=["misread", "cut", "inside a number", "invented", "inside an amount", "case", "across lines", "bytes"],
)
def test_a_literal_value_is_a_span_that_stands_alone_or_null(
    tokenizer: FileTokenizer, wishes: list[str], expected: str | None
) -> None:
    decoder = write(extraction(Field("value")), tokenizer, {"value": wishes})
    assert decoder.answer() == {"value": expected}


@pytest.mark.parametrize("evidence", ["literal", "derived"])
@pytest.mark.parametrize("part", [b"\xc3", b"\xe2\x82", b"\xff", b"\x80"], ids=lambda part: part.hex())
def test_half_a_character_is_no_part_of_a_value(tokenizer: FileTokenizer, evidence: str, part: bytes) -> None:
    task = extraction(Field("value", evidence=evidence))
    template = tokenizer.template
    document_ids = join_ids(document_segments(DOCUMENT, template), tokenizer.encode)
    decoder = LineDecoder(task, template, tokenizer, document_ids)
    decoder.start()
    wished = [*tokenizer.encode(" 4711", False), *(tokenizer.token_bytes.index(bytes([byte])) for byte in part)]
    line_end = tokenizer.encode(template.line, True)[-1]
    for step in range(60):
        if decoder.done:
            break
        scores = np.zeros(tokenizer.vocab_size, dtype=np.float32)
        scores[line_end] = 5.0
        if step < len(wished):
            scores[wished[step]] = 9.0
        decoder.choose(scores)
        decoder.advance()
    assert decoder.done
    value = decoder.answer()["value"]
    assert isinstance(value, str)
    assert "\ufffd" not in value
    assert value.startswith("4711")
    if evidence == "literal":
        assert value.strip() == "4711"


@pytest.mark.parametrize("blank", [b" ", b"\t", b"\x0b", b"\x1f"], ids=lambda blank: blank.hex())
def test_a_row_of_blanks_ends(tokenizer: FileTokenizer, blank: bytes) -> None:
    template = tokenizer.template
    document_ids = join_ids(document_segments(DOCUMENT, template), tokenizer.encode)
    decoder = LineDecoder(extraction(Field("value")), template, tokenizer, document_ids)
    decoder.start()
    scores = np.zeros(tokenizer.vocab_size, dtype=np.float32)
    scores[tokenizer.encode(template.line, True)[-1]] = 5.0
    scores[tokenizer.token_bytes.index(blank)] = 9.0
    for _ in range(5):
        if not decoder.done:
            decoder.choose(scores)
            decoder.advance()
    assert decoder.done
    assert decoder.answer() == {"value": None}


def test_a_number_neither_crosses_a_line_nor_goes_without_digits(tokenizer: FileTokenizer) -> None:
    task = extraction(Field("total", FieldType.AMOUNT, comparator=Comparator.AMOUNT))
    wishes = ["4711 Ship to:", "4711"]
    assert write(task, tokenizer, {"total": wishes}).answer() == {"total": "4711"}
    assert write(extraction(Field("total")), tokenizer, {"total": wishes}).answer() == {"total": "4711 Ship to:"}
    assert write(task, tokenizer, {"total": ["EUR", "EUR 1,234.50"]}).answer() == {"total": "EUR 1,234.50"}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("acme LTD", "ACME Ltd"),
        ("ACME Ltd", "ACME Ltd"),
        ("12 high street", "12 High Street"),
        ("gr\u00f6\u00dfe", "Gr\u00f6\u00dfe"),
    ],
)
def test_a_literal_value_has_the_case_of_the_page_whatever_the_model_wrote(
    tokenizer: FileTokenizer, wish: str, expected: str
) -> None:
    assert write(extraction(Field("name")), tokenizer, {"name": [wish]}).answer() == {"name": expected}
    names = extraction(Field("name", FieldType.LIST))
    assert write(names, tokenizer, {"name": [wish]}).answer() == {"name": [expected]}
    lines = extraction(Field("lines", FieldType.RECORDS, columns=(Field("name"), Field("kind", evidence="derived"))))
    written = write(lines, tokenizer, {"lines": [f"{wish} | any Text"]}).answer()
    assert written == {"lines": [{"name": expected, "kind": "any Text"}]}
    free = extraction(Field("name", evidence="derived"))
    assert write(free, tokenizer, {"name": [wish]}).answer() == {"name": wish}


def test_a_value_that_the_page_spells_in_two_ways_stays_as_it_was_written(tokenizer: FileTokenizer) -> None:
    document = "NADINE AVE\nThe carpenter Nadine and Carpe Ltd"
    for wish, expected in (("Nadine", "Nadine"), ("NADINE", "NADINE"), ("nadine", "NADINE"), ("carpe", "Carpe")):
        decoder = write(extraction(Field("name")), tokenizer, {"name": [wish]}, document=document)
        assert decoder.answer() == {"name": expected}


def test_a_derived_value_is_free(tokenizer: FileTokenizer) -> None:
    task = extraction(Field("summary", evidence="derived"))
    assert write(task, tokenizer, {"summary": ["No such words"]}).answer() == {"summary": "No such words"}


def test_a_backslash_is_copied_through_its_escape(tokenizer: FileTokenizer) -> None:
    decoder = write(extraction(Field("path")), tokenizer, {"path": ["C:\\\\new"]})
    assert decoder.answer() == {"path": "C:\\new"}


def test_each_entry_of_a_list_is_a_span(tokenizer: FileTokenizer) -> None:
    task = extraction(Field("parts", FieldType.LIST, comparator=Comparator.LIST))
    assert write(task, tokenizer, {"parts": ["ACME Ltd\tLeeds LS1"]}).answer() == {"parts": ["ACME Ltd", "Leeds LS1"]}
    assert write(task, tokenizer, {"parts": ["ACME Ltd\tRome", "ACME Ltd\t"]}).answer() == {"parts": ["ACME Ltd"]}


def test_labels_follow_their_tree_and_share_the_probability(tokenizer: FileTokenizer) -> None:
    task = Task(1, "kinds", TaskKind.CLASSIFY, "Which?", labels=("card lost", "card late", "refund"))
    decoder = write(task, tokenizer, {"label": ["nonsense", "card late"]}, likely=math.log(3.0) + 1)
    assert decoder.answer() == {"label": "card late"}
    # The wish for a label adds log 3 to its tokens against zero for the others, at two branches of two at most.
    assert 0.5 < decoder.confidence()["label"] < 0.8


def test_an_optional_enum_can_be_null(tokenizer: FileTokenizer) -> None:
    task = extraction(Field("tier", FieldType.ENUM, evidence="derived", values=("basic", "green")))
    assert write(task, tokenizer, {"tier": [""]}).answer() == {"tier": None}


def test_marks_spelled_in_a_document_are_text(tokenizer: FileTokenizer) -> None:
    assert tokenizer.encode("<|line|>", True)[-1] not in tokenizer.encode(" <|line|>", False)
    assert tokenizer.decode(tokenizer.encode(" <|line|> Größe", False)) == " <|line|> Größe"
    assert tokenizer.decode(tokenizer.encode("<|line|>", True)) == ""


def test_values_tokenize_alike_in_document_and_answer(tokenizer: FileTokenizer) -> None:
    document = join_ids(document_segments("12.03.2024\nACME Ltd", tokenizer.template), tokenizer.encode)
    value = join_ids(value_segments("12.03.2024", tokenizer.template), tokenizer.encode)
    assert document[: len(value)] == value


def test_a_real_sentencepiece_vocabulary_gives_its_text_back(shared_data: Path) -> None:
    stories = FileTokenizer(shared_data / "model_stories260K" / "tokenizer.json")
    assert stories.template is PLAIN_TEMPLATE
    assert stories.decode(stories.encode(" Once upon a time, Größe", False)).strip() == "Once upon a time, Größe"


def test_a_broken_tokenizer_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", ')
    with pytest.raises(TokenizerError, match=r"tokenizer\.json cannot be read"):
        FileTokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("document", ["合計1,234円", "합계1,234원", "ยอด1,234บาท"])
def test_a_number_beside_letters_without_case_can_be_copied(tokenizer: FileTokenizer, document: str) -> None:
    task = extraction(Field("total", FieldType.AMOUNT, comparator=Comparator.AMOUNT))
    assert write(task, tokenizer, {"total": ["1,234"]}, document=document).answer() == {"total": "1,234"}


FORMS = {
    "Llama 2": (sentencepiece("normalizer"), None),
    "Mistral": (sentencepiece("metaspace"), None),
    "Gemma": (sentencepiece("none"), None),
    "Qwen": (byte_level(normalizer="NFC"), None),
    "Llama 2 as before": (sentencepiece("normalizer"), "plain-1"),
    "Mistral as before": (sentencepiece("metaspace"), "plain-1"),
}
"""Tokenizer and the prompt form of the model; the old form has line ends of two tokens."""


@pytest.fixture(params=FORMS)
def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> FileTokenizer:
    whole, form = FORMS[request.param]
    return FileTokenizer(write_tokenizer(tmp_path, whole), form)


def follow(decoder: LineDecoder, wished: list[int], tokenizer: FileTokenizer, margin: float = 9.0) -> list[int]:
    """Lets a decoder write for a model that wants these tokens; gives what was written, forced tokens left out."""
    decoder.start()
    written: list[int] = []
    for _ in range(200):
        if decoder.done:
            return written
        scores = np.zeros(tokenizer.vocab_size, dtype=np.float32)
        if len(written) < len(wished):
            scores[wished[len(written)]] = margin
        written.append(decoder.choose(scores))
        decoder.advance()
    raise AssertionError("the answer does not end")


@pytest.mark.parametrize("value", ["4711", "EUR 1,234.50", "12 High Street", "Größe", None])
def test_a_model_of_any_tokenizer_writes_what_it_was_taught(foreign: FileTokenizer, value: str | None) -> None:
    task = extraction(Field("value"))
    example = render_example(task.prompt_spec(), DOCUMENT, ExampleAnswer([value]), foreign.template, foreign.encode)
    pairs = zip(example.input_ids, example.is_value, strict=True)
    wished = [token for token, is_value in pairs if is_value]
    document_ids = join_ids(document_segments(DOCUMENT, foreign.template), foreign.encode)
    decoder = LineDecoder(task, foreign.template, foreign, document_ids)
    assert follow(decoder, wished, foreign) == wished
    assert decoder.answer() == {"value": value}
    assert decoder.confidence()["value"] > 0.5


def test_labels_of_any_tokenizer_end_with_their_line(foreign: FileTokenizer) -> None:
    task = extraction(Field("tier", FieldType.ENUM, evidence="derived", values=("basic", "basic plus")))
    line_end = foreign.encode(foreign.template.line, True)
    for value in ("basic", "basic plus"):
        wished = [*foreign.encode(f" {value}", False), *line_end]
        decoder = LineDecoder(task, foreign.template, foreign, [])
        head = join_ids(field_prefix_segments(task.prompt_spec(), foreign.template, 0), foreign.encode)
        written = decoder.start()[len(head) :]
        while not decoder.done:
            scores = np.zeros(foreign.vocab_size, dtype=np.float32)
            scores[wished[len(written)]] = 9.0
            written += [decoder.choose(scores), *decoder.advance()]
        assert (decoder.answer(), written) == ({"tier": value}, wished)


def test_the_first_token_of_a_line_end_may_also_go_on_with_the_value(tmp_path: Path) -> None:
    tokenizer = FileTokenizer(write_tokenizer(tmp_path, sentencepiece("normalizer")), "plain-1")
    blank, end = tokenizer.encode("\n", True)
    digits = [tokenizer.token_bytes.index(str(digit).encode()) for digit in (1, 2)]
    document_ids = join_ids(document_segments("No 1 2 of", tokenizer.template), tokenizer.encode)
    for wished, value in (([blank, digits[0], blank, digits[1], blank, end], "1 2"), ([digits[0], blank, end], "1")):
        decoder = LineDecoder(extraction(Field("value")), tokenizer.template, tokenizer, document_ids)
        assert follow(decoder, wished, tokenizer) == wished
        assert decoder.answer() == {"value": value}


def test_a_value_that_nothing_can_finish_is_null_and_its_line_ends_whole(tmp_path: Path) -> None:
    tokenizer = FileTokenizer(write_tokenizer(tmp_path, sentencepiece("normalizer")), "plain-1")
    task = extraction(Field("total", FieldType.AMOUNT, comparator=Comparator.AMOUNT), Field("value"))
    document_ids = join_ids(document_segments("Total", tokenizer.template), tokenizer.encode)
    decoder = LineDecoder(task, tokenizer.template, tokenizer, document_ids)
    decoder.start()
    written: list[int] = []
    for wish in ("T", "o", "t", "a", "l", "l", "l", "l"):
        if len(decoder.answer()) == 1:
            scores = np.zeros(tokenizer.vocab_size, dtype=np.float32)
            scores[tokenizer.token_bytes.index(wish.encode())] = 9.0
            written += [decoder.choose(scores), *decoder.advance()]
    assert decoder.answer() == {"total": None, "value": None}
    assert decoder.confidence()["total"] < 1e-9
    head = join_ids(field_prefix_segments(task.prompt_spec(), tokenizer.template, 1), tokenizer.encode)
    last = [*tokenizer.encode("\n", True), *head]
    assert written[-len(last) :] == last


def test_a_token_that_holds_more_than_the_line_end_is_never_written(tmp_path: Path) -> None:
    tokenizer = FileTokenizer(write_tokenizer(tmp_path, byte_level()))
    merged = tokenizer.token_bytes.index(b".\n")
    (end,) = tokenizer.encode("\n", True)
    document_ids = join_ids(document_segments("Order no. 4711.", tokenizer.template), tokenizer.encode)
    decoder = LineDecoder(extraction(Field("value")), tokenizer.template, tokenizer, document_ids)
    decoder.start()
    value_ids = tokenizer.encode(" 4711", False)
    written: list[int] = []
    while not decoder.done:
        scores = np.zeros(tokenizer.vocab_size, dtype=np.float32)
        scores[merged], scores[end] = 20.0, 9.0
        if len(written) < len(value_ids):
            scores[value_ids[len(written)]] = 15.0
        written += [decoder.choose(scores), *decoder.advance()]
    assert written == [*value_ids, end]
    assert decoder.answer() == {"value": "4711"}


@pytest.mark.parametrize("part", [b"\xc3", b"\xe2\x82", b"\xff"], ids=lambda part: part.hex())
@pytest.mark.parametrize("evidence", ["literal", "derived"])
def test_half_a_character_of_any_tokenizer_is_no_value(foreign: FileTokenizer, evidence: str, part: bytes) -> None:
    document_ids = join_ids(document_segments(DOCUMENT, foreign.template), foreign.encode)
    decoder = LineDecoder(extraction(Field("value", evidence=evidence)), foreign.template, foreign, document_ids)
    halves = [foreign.token_bytes.index(bytes([byte])) for byte in part]
    line_end = foreign.encode(foreign.template.line, True)
    wished = [*foreign.encode(" 4711", False), *halves, *line_end]
    decoder.start()
    for step in range(60):
        if decoder.done:
            break
        scores = np.zeros(foreign.vocab_size, dtype=np.float32)
        scores[line_end], scores[line_end[-1]] = 5.0, 6.0
        if step < len(wished):
            scores[wished[step]] = 9.0
        decoder.choose(scores)
        decoder.advance()
    value = decoder.answer()["value"]
    assert decoder.done
    assert isinstance(value, str)
    assert "\ufffd" not in value
    if evidence == "literal":
        assert value == "4711"


UNUSUAL = (
    "ΟΔΟΣ Σίσυφος 12, İstanbul\nĐường Số 7\u3000東京都\u2003千代田区 1\tab\\n C:\\new\\table\n"
    "Cafe\u0301  straße GROẞ 1.234,50 €\u00a0x_y 12.5.7 ﬁne ไทย\n" + DOCUMENT
)


@pytest.mark.parametrize("spread", [0.5, 6.0])
def test_what_a_token_starts_with_only_saves_time(
    foreign: FileTokenizer, monkeypatch: pytest.MonkeyPatch, spread: float
) -> None:
    fields = (Field("place"), Field("total", FieldType.AMOUNT), Field("names", FieldType.LIST))
    task, template = extraction(*fields, Field("note", evidence="derived")), foreign.template
    document_ids = join_ids(document_segments(UNUSUAL, template), foreign.encode)

    def written(seed: int) -> tuple[list[int], dict[str, float]]:
        generator, decoder, tokens = np.random.default_rng(seed), LineDecoder(task, template, foreign, document_ids), []
        decoder.start()
        for _ in range(60):
            if not decoder.done:
                tokens.append(decoder.choose(spread * generator.standard_normal(foreign.vocab_size)))
                decoder.advance()
        return tokens, decoder.confidence()

    quick = [written(seed) for seed in range(8)]
    everything = np.ones(foreign.vocab_size, dtype=bool)
    monkeypatch.setattr(TokenStarts, "possible", lambda *_, **__: everything.copy())
    for (tokens, confidence), seed in zip(quick, range(8), strict=True):
        all_tokens, all_confidence = written(seed)
        assert tokens == all_tokens
        assert confidence == pytest.approx(all_confidence, rel=1e-9)


def test_a_number_is_written_that_has_its_label_right_behind_it(tokenizer: FileTokenizer) -> None:
    task = extraction(Field("number"))
    document = "993548900Invoice number:\nACME Ltd"
    assert write(task, tokenizer, {"number": ["993548900"]}, document=document).answer() == {"number": "993548900"}
