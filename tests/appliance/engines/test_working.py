"""Working before an answer: free, bounded, whole characters, and the answer still within the grammar."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from smollm_tokenizer import train_tokenizer
from tokenizer_fixtures import byte_level, sentencepiece, write_tokenizer

from appliance.engines.answer_room import answer_room
from appliance.engines.engine import Result, checked_result
from appliance.engines.line_decoder import LineDecoder
from appliance.engines.tokenizer import FileTokenizer
from appliance.engines.windows import WindowRules
from appliance.models.manifest import Manifest, model_identity
from appliance.tasks.labels import LabelledRow, data_hash
from appliance.tasks.prompt import (
    ExampleAnswer,
    PromptSpec,
    document_segments,
    join_ids,
    render_example,
    render_working,
)
from appliance.tasks.task import Field, FieldType, Student, Task, TaskKind

DOCUMENT = "ACME Ltd\nOrder no: 4711\nTotal: EUR 1,234.50\nGröße €"
FIELDS = (Field("order_no"), Field("kind", FieldType.ENUM, evidence="derived", values=("paid", "open")))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> FileTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer([" " + line for line in DOCUMENT.splitlines()] * 3, 330).save(str(path))
    return FileTokenizer(path)


@pytest.fixture(scope="module", params=["ours", "byte level", "Llama 2", "Gemma"])
def tokenizer(
    request: pytest.FixtureRequest, ours: FileTokenizer, tmp_path_factory: pytest.TempPathFactory
) -> FileTokenizer:
    if request.param == "ours":
        return ours
    described = {"byte level": byte_level, "Llama 2": lambda: sentencepiece("normalizer")}
    described["Gemma"] = lambda: sentencepiece("none")
    folder = tmp_path_factory.mktemp("foreign")
    write_tokenizer(folder, described[request.param]())
    return FileTokenizer(folder / "tokenizer.json")


def following(script: Sequence[int]) -> Callable[[list[int]], int]:
    """A model that likes these tokens in turn, then the first one of its vocabulary."""
    return lambda chosen: script[len(chosen)] if len(chosen) < len(script) else 0


def extraction(tokens: int) -> Task:
    return Task(1, "orders", TaskKind.EXTRACT, "Read.", FIELDS, student=Student(working=tokens))


def write(
    task: Task, tokenizer: FileTokenizer, likeliest: Callable[[list[int]], int]
) -> tuple[LineDecoder, list[int], list[int]]:
    """What a decoder writes for a model that always likes one token most; all of its tokens, and the chosen ones."""
    document = join_ids(document_segments(DOCUMENT, tokenizer.template), tokenizer.encode)
    decoder = LineDecoder(task, tokenizer.template, tokenizer, document)
    written, chosen = decoder.start(), list[int]()
    while not decoder.done:
        assert len(written) < 500, "the answer does not end"
        scores = np.zeros(tokenizer.vocab_size, dtype=np.float32)
        scores[likeliest(chosen)] = 9.0
        chosen.append(decoder.choose(scores))
        written += [chosen[-1], *decoder.advance()]
    return decoder, written, chosen


def test_working_that_never_ends_is_cut_and_the_answer_follows(tokenizer: FileTokenizer) -> None:
    (letter,) = tokenizer.encode("a", False)[-1:]
    line_end = tokenizer.encode(tokenizer.template.line, True)
    plain, _, _ = write(extraction(0), tokenizer, lambda _: letter)
    decoder, written, chosen = write(extraction(5), tokenizer, lambda _: letter)
    assert chosen[:5] == [letter] * 5
    assert decoder.working() == "aaaaa"
    assert list(decoder.answer()) == ["order_no", "kind"]
    assert decoder.answer() == plain.answer()
    assert decoder.raw() == plain.raw()
    assert decoder.confidence() == plain.confidence()
    prefix, _ = render_working(5, "", tokenizer.template, tokenizer.encode)
    opening = prefix[: -len(line_end)]
    assert written[: len(opening) + 5 + len(line_end)] == [*opening, *[letter] * 5, *line_end]


def test_working_ends_where_the_model_ends_its_line(tokenizer: FileTokenizer) -> None:
    words = tokenizer.encode(" it is paid", False)
    line_end = tokenizer.encode(tokenizer.template.line, True)
    script = [*words, *line_end]
    decoder, _, _ = write(extraction(50), tokenizer, following(script))
    assert decoder.working() == "it is paid"
    assert decoder.answer()["kind"] in ("paid", "open")


def test_a_character_that_the_end_cuts_is_left_out(ours: FileTokenizer) -> None:
    byte = {piece: token for token, piece in enumerate(ours.token_bytes) if len(piece) == 1}
    script = [byte[b"o"], byte[b"k"], *(byte[bytes([part])] for part in "\U0001f600".encode())]
    decoder, _, _ = write(extraction(4), ours, following(script))
    assert decoder.working() == "ok"
    assert "kind" in decoder.answer()
    whole, _, _ = write(extraction(9), ours, following(script))
    assert whole.working().startswith("ok\U0001f600")


def test_special_tokens_and_line_breaks_never_stand_in_working(tokenizer: FileTokenizer) -> None:
    line_end = tokenizer.encode(tokenizer.template.line, True)
    breaks = {
        token for token, piece in enumerate(tokenizer.token_bytes) if not piece or b"\n" in piece or b"\r" in piece
    }
    for token in sorted(breaks - set(line_end))[:40]:
        _, _, chosen = write(extraction(3), tokenizer, lambda _, token=token: token)  # type: ignore[misc]
        assert token not in chosen


@pytest.mark.parametrize("tokens", [1, 2])
def test_the_least_working_is_bounded_too(tokenizer: FileTokenizer, tokens: int) -> None:
    (letter,) = tokenizer.encode("a", False)[-1:]
    decoder, _, _ = write(extraction(tokens), tokenizer, lambda _: letter)
    assert decoder.working() == "a" * tokens
    assert "kind" in decoder.answer()


def test_what_is_taught_is_what_the_decoder_can_write(tokenizer: FileTokenizer) -> None:
    task, text = extraction(40), "first line\nthen a\ttab, and C:\\new"
    values = ["4711", "paid"]
    example = render_example(
        task.prompt_spec(), DOCUMENT, ExampleAnswer(values, text), tokenizer.template, tokenizer.encode
    )
    rendered = example.input_ids[example.prompt_tokens :]
    document = join_ids(document_segments(DOCUMENT, tokenizer.template), tokenizer.encode)
    decoder = LineDecoder(task, tokenizer.template, tokenizer, document)
    fed = decoder.start()
    while not decoder.done:
        scores = np.zeros(tokenizer.vocab_size, dtype=np.float32)
        scores[rendered[len(fed)]] = 30.0
        fed += [decoder.choose(scores), *decoder.advance()]
    assert fed == rendered
    assert decoder.working() == text
    assert decoder.answer() == {"order_no": "4711", "kind": "paid"}


@pytest.mark.parametrize(
    ("working", "limit", "taught_end"),
    [("some words", 40, True), ("some words", 2, False), ("", 40, False), (" \n ", 40, False)],
    ids=["whole", "cut", "none", "blank"],
)
def test_only_an_end_that_the_teacher_wrote_is_taught(
    ours: FileTokenizer, working: str, limit: int, taught_end: bool
) -> None:
    ids, is_written = render_working(limit, working, ours.template, ours.encode)
    line_end = ours.encode(ours.template.line, True)
    assert ids[-len(line_end) :] == line_end
    assert is_written[-1] is taught_end
    assert sum(is_written[: -len(line_end)]) == min(
        limit, len(ours.encode(" " + working.strip(), False)) if working.strip() else 0
    )


def test_a_prompt_without_working_is_what_it_was(ours: FileTokenizer) -> None:
    spec = PromptSpec("Read.", ("order no",))
    plain = render_example(spec, DOCUMENT, ExampleAnswer(["4711"]), ours.template, ours.encode)
    assert render_example(spec, DOCUMENT, ExampleAnswer(["4711"], "ignored"), ours.template, ours.encode) == plain
    assert plain.working_tokens == 0


def test_windows_leave_room_for_the_answer_with_its_working(ours: FileTokenizer) -> None:
    text = "word " * 4000
    for working in (0, 200, 100_000):
        task = replace(extraction(0), student=Student(working=working))
        answer_tokens = answer_room(task, ours)
        spans = WindowRules(task, 1024, answer_tokens).first(text, 4000)
        longest = max(end - start for start, end in spans) / len(text) * 4000
        assert longest == pytest.approx(max(1024 - answer_tokens, 1024 // 4), rel=0.05), working


def test_working_is_part_of_the_identity_only_where_there_is_some() -> None:
    manifest = Manifest("", "m", "decoder", "gguf", "orders", "0" * 64)
    assert model_identity(replace(manifest, working=0)) == model_identity(manifest)
    assert model_identity(replace(manifest, working=8)) != model_identity(manifest)


def test_working_changes_the_hash_of_rows_that_have_it() -> None:
    row = LabelledRow("a", "text", {"order_no": "1"})
    assert data_hash([replace(row, working="because")]) != data_hash([row])
    assert '"working"' not in row.line()
    assert '"working": "because"' in replace(row, working="because").line()


def test_working_is_stored_as_text_that_can_be_stored() -> None:
    assert checked_result(Result("a", {}, working="half \ud800")).working == "half ?"
