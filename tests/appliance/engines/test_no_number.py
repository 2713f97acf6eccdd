"""NaN and infinity: a failed document with a name in every engine, and never a confidence, a row or a verdict."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from smollm_tokenizer import train_tokenizer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from appliance.answering.engine_process import start_engine
from appliance.engines.engine import NO_NUMBER, Engine, Request, Result, checked_result
from appliance.engines.line_decoder import LineDecoder, NoNumber
from appliance.engines.long_documents import WindowedEngine
from appliance.engines.onnx_encoder import EncoderArtifactError, OnnxEncoderEngine
from appliance.engines.tokenizer import FileTokenizer
from appliance.ground.errors import ApplianceError
from appliance.jobs.rows import Route, Row, row_from_json
from appliance.models.calibration import Calibration, CalibrationError, write_calibration
from appliance.models.manifest import FileEntry, Manifest, model_identity, rewrite_manifest
from appliance.quality.calibration import calibrate
from appliance.quality.threshold_curve import Unit, make_curve
from appliance.routing.cascade import fields_below
from appliance.tasks.prompt import document_segments, join_ids
from appliance.tasks.task import Comparator, Field, FieldType, InputLimits, LongDocumentPolicy, Task, TaskKind
from export.gguf import checks as gguf_checks
from export.parity import ExportDisagrees, refuse_no_numbers

NUMBERS = [math.nan, math.inf, -math.inf]
WORDS = ("hello", "lost", "card", "money")
LABELS = ("card lost", "half \ud83d a pair")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> FileTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer([" hello 42", " order number:"] * 3, 300).save(str(path))
    return FileTokenizer(path)


@pytest.fixture
def task() -> Task:
    fields = (Field("order_number"), Field("customer"), Field("total", FieldType.AMOUNT, comparator=Comparator.AMOUNT))
    return Task(1, "orders", TaskKind.EXTRACT, "Read the order.", fields)


def answers(engine: Engine, texts: Iterable[str]) -> list[Result]:
    results = list(engine.answer([Request(str(number), text) for number, text in enumerate(texts)]))
    engine.close()
    return sorted((replace(result, seconds=0.0) for result in results), key=lambda result: int(result.key))


@pytest.mark.parametrize("number", NUMBERS, ids=str)
@pytest.mark.parametrize("share", ["all", "some", "one", "one that the tokenizer lacks"])
@pytest.mark.parametrize("step", [0, 2], ids=["first step", "later"])
def test_no_token_is_chosen_from_what_is_no_number(
    tokenizer: FileTokenizer, task: Task, number: float, share: str, step: int
) -> None:
    document = join_ids(document_segments("hello 42", tokenizer.template), tokenizer.encode)
    decoder = LineDecoder(task, tokenizer.template, tokenizer, document)
    decoder.start()
    for _ in range(step):
        decoder.choose(np.zeros(tokenizer.vocab_size, np.float32))
        decoder.advance()
    logits = np.zeros(tokenizer.vocab_size + 3, np.float32)
    places = {"all": slice(None), "some": slice(None, None, 7), "one": 99}.get(share, tokenizer.vocab_size + 1)
    logits[places] = number
    before = decoder.raw()
    with pytest.raises(NoNumber):
        decoder.choose(logits)
    assert decoder.raw() == before


def encoder_artifact(directory: Path, word_logits: Mapping[str, tuple[float, float]]) -> Path:
    """An encoder whose logits are the means of those of its words; words that are not named have none."""
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(("[UNK]", *WORDS))}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    directory.mkdir()
    tokenizer.save(str(directory / "tokenizer.json"))
    table = np.array([word_logits.get(word, (0.0, 0.0)) for word in ("[UNK]", *WORDS)], np.float32)
    sequence = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, "n"]) for name in ("ids", "mask")]
    for value, name in zip(sequence, ("input_ids", "attention_mask"), strict=True):
        value.name = name
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["words"]),
            helper.make_node("ReduceMean", ["words"], ["logits"], axes=[1], keepdims=0),
        ],
        "g", sequence, [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(table, "table")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
    (directory / "model.onnx").write_bytes(model.SerializeToString())
    settings = {"max_position_embeddings": 8, "id2label": {str(n): label for n, label in enumerate(LABELS)}}
    (directory / "config.json").write_text(json.dumps(settings))
    write_calibration(Calibration(1.0, 0, 0.0, 0.0), directory)
    files = {"model.onnx": FileEntry(1, "0" * 64)}
    manifest = Manifest("", "cards", "encoder", "onnx", "cards", "t" * 64, "fp32", "cpu", files=files)
    rewrite_manifest(directory, replace(manifest, identity=model_identity(manifest)))
    return directory


def classification(policy: LongDocumentPolicy) -> Task:
    return Task(1, "cards", TaskKind.CLASSIFY, "Which?", labels=LABELS, input=InputLimits(None, policy))


@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_an_encoder_fails_the_documents_in_one_piece_of_which_it_computes_no_number(
    tmp_path: Path, number: float
) -> None:
    artifact_dir = encoder_artifact(tmp_path / "a", {"lost": (3.0, 0.0), "money": (0.0, number)})
    texts = ["card lost", "money", f"{'lost ' * 30} money", "lost " * 30]
    engine = OnnxEncoderEngine(artifact_dir, classification(LongDocumentPolicy.SPLIT), 1)
    results = answers(engine, texts)
    assert [result.error for result in results] == [None, NO_NUMBER, NO_NUMBER, None]
    assert [result.answer for result in results[1:3]] == [None, None]
    assert results[3].confidence["label"] == pytest.approx(1 / (1 + math.exp(-3)))


def test_a_temperature_that_makes_infinity_of_a_logit_fails_the_document(tmp_path: Path) -> None:
    artifact_dir = encoder_artifact(tmp_path / "a", {"lost": (1e38, 0.0)})
    write_calibration(Calibration(1e-300, 9, 0.0, 0.0), artifact_dir)
    engine = OnnxEncoderEngine(artifact_dir, classification(LongDocumentPolicy.SPLIT), 1)
    assert [result.error for result in answers(engine, ["lost", "card"])] == [NO_NUMBER, None]


@pytest.mark.parametrize(
    "temperature",
    ["NaN", "Infinity", "-Infinity", "0", "-1", "1e999", "null", '"hot"', f"1{'0' * 400}", "[" * 99_999],
    ids=range(10),
)
def test_a_temperature_that_is_no_number_is_refused(tmp_path: Path, temperature: str) -> None:
    artifact_dir = encoder_artifact(tmp_path / "a", {})
    path = artifact_dir / "calibration.json"
    path.write_text(path.read_text().replace('"temperature": 1.0', f'"temperature": {temperature}'))
    with pytest.raises(CalibrationError, match=r"calibration\.json"):
        OnnxEncoderEngine(artifact_dir, classification(LongDocumentPolicy.SPLIT), 1)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (("card lost", "elsewhere"), "label 'elsewhere', which the task does not have"),
        (LABELS[:1] * 2, "a label twice"),
    ],
)
def test_labels_of_another_model_are_refused(tmp_path: Path, labels: tuple[str, ...], reason: str) -> None:
    artifact_dir = encoder_artifact(tmp_path / "a", {})
    settings = {"max_position_embeddings": 8, "id2label": dict(enumerate(labels))}
    (artifact_dir / "config.json").write_text(json.dumps(settings))
    with pytest.raises(EncoderArtifactError, match=reason):
        OnnxEncoderEngine(artifact_dir, classification(LongDocumentPolicy.SPLIT), 1)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Cast", ["raw"], ["logits"], to=TensorProto.INT64),
        helper.make_node("Concat", ["raw", "raw"], ["logits"], axis=0),
        helper.make_node("ReduceMax", ["raw"], ["logits"], keepdims=0),
    ],
    ids=["integers", "two texts", "one number"],
)
def test_logits_that_are_none_are_refused_at_the_beginning(tmp_path: Path, node: NodeProto) -> None:
    path = encoder_artifact(tmp_path / "a", {}) / "model.onnx"
    model = onnx.load(str(path))
    model.graph.node[-1].output[:] = ["raw"]
    model.graph.node.append(node)
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name="logits"))
    onnx.save(model, str(path))
    with pytest.raises(EncoderArtifactError, match="as logits of 2 labels"):
        OnnxEncoderEngine(path.parent, classification(LongDocumentPolicy.SPLIT), 1)


def test_a_text_without_tokens_ends_as_a_result(tmp_path: Path) -> None:
    engine = OnnxEncoderEngine(encoder_artifact(tmp_path / "a", {}), classification(LongDocumentPolicy.SPLIT), 1)
    assert [result.key for result in answers(engine, ["card", " "])] == ["0", "1"]


def test_a_label_that_is_no_unicode_is_stored_as_text(tmp_path: Path) -> None:
    artifact_dir = encoder_artifact(tmp_path / "a", {"money": (0.0, 5.0)})
    with start_engine(artifact_dir, classification(LongDocumentPolicy.SPLIT), 1) as child:
        assert "ready" in child.receive()
        child.send({"key": "a", "text": "money \ud83d"})
        child.receive()
        assert child.receive()["result"]["answer"] == {"label": "half ? a pair"}


class _Measured:
    """An engine whose windows have the confidences that are given, in turn."""

    identity, context_length, answer_tokens = "i" * 64, 100, 10

    def __init__(self, confidences: list[float]) -> None:
        self._confidences = iter(confidences)

    def answer(self, requests: Iterable[Request]) -> Iterator[Result]:
        for request in requests:
            if len(request.text) > 100:
                yield Result(request.key, None, prompt_tokens=len(request.text), error="too_long")
            else:
                yield Result(request.key, {"total": "1"}, {"total": next(self._confidences)}, "1")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("number", NUMBERS, ids=str)
@pytest.mark.parametrize("window", [0, 1, -1], ids=["first", "second", "last"])
def test_a_long_document_fails_with_its_window(task: Task, number: float, window: int) -> None:
    windowed = replace(task, input=InputLimits(None, LongDocumentPolicy.WINDOW))
    text = "word " * 60
    sound = answers(WindowedEngine(_Measured([0.9] * 20), windowed, lambda: None), [text])[0]
    assert sound.answer is not None
    confidences = [0.9] * (sound.raw.count("[window "))
    confidences[window] = number
    (result,) = answers(WindowedEngine(_Measured(confidences), windowed, lambda: None), [text])
    assert (result.error, result.answer, result.confidence) == (NO_NUMBER, None, {})
    assert result.error_message == "the model's output is not a number; in one of its windows"


@pytest.mark.parametrize("number", [*NUMBERS, -0.5, 1.5], ids=str)
def test_a_result_whose_confidence_is_no_share_has_no_answer(number: float) -> None:
    result = checked_result(Result("k", {"a": "x", "b": None}, {"a": 1.0, "b": number}, "x\n", 5, 6))
    assert result == replace(
        Result("k", None, {}, "x\n", 5, 6), error=NO_NUMBER, error_message="the model's output is not a number"
    )
    rounded = checked_result(Result("k", {"a": "x"}, {"a": 1.0000000000000002}))
    assert (rounded.answer, rounded.confidence) == ({"a": "x"}, {"a": 1.0})


def test_a_result_holds_unicode_only() -> None:
    answer = {"a": "x\ud83d", "b": ["\udcff", "y"], "c": None, "\ud800": ""}
    result = checked_result(Result("k", {name: answer[name] for name in "abc"}, raw="\udfff", error_message="\ud83dz"))
    assert result.answer == {"a": "x?", "b": ["?", "y"], "c": None}
    assert (result.raw, result.error_message) == ("?", "?z")
    json.dumps(result.answer, ensure_ascii=False).encode()


def test_a_field_whose_confidence_is_no_number_goes_to_the_fallback(task: Task) -> None:
    answer = {"order_number": "1", "customer": None, "total": "2.00"}
    confidence = {"order_number": math.nan, "customer": 0.9, "total": 0.95}
    assert fields_below(task, answer, confidence, 0.5) == ["order_number"]


def test_a_stored_row_with_such_a_confidence_is_read_without_it_and_written_as_json() -> None:
    row = Row("a.txt", None, Route.LOCAL, "m", {"a": "x", "b": "y"}, {"a": 0.5, "b": 0.25})
    former = row.to_json().replace("0.25", "NaN")
    assert row_from_json(former) == replace(row, confidence={"a": 0.5})
    nothing = replace(row, confidence={"a": 0.5, "b": math.nan}).to_json()
    assert json.loads(nothing, parse_constant=pytest.fail)["confidence"] == {"a": 0.5, "b": None}


@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_no_threshold_is_chosen_on_what_is_no_number(number: float) -> None:
    units = [Unit(0, 0.5, True, True), Unit(1, number, True, False)]
    with pytest.raises(ApplianceError, match="a threshold cannot be chosen"):
        make_curve(units, [0.1, 0.1], "USD")
    with pytest.raises(ApplianceError, match="a threshold cannot be chosen"):
        make_curve(units[:1] * 2, [0.1, number], "USD")


@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_no_temperature_is_fitted_to_what_is_no_number(number: float) -> None:
    logits = np.array([[1.0, 0.0], [0.0, number], [2.0, 1.0]])
    with pytest.raises(CalibrationError, match=r"the model's output is not a number .* in 1 of 3 rows"):
        calibrate(logits, np.array([0, 1, 0]))
    with pytest.raises(CalibrationError, match=r"a label's share is not a number .* in 1 of 3 rows"):
        calibrate(np.zeros((3, 2)), np.array([[1.0, 0.0], [number, 0.0], [0.0, 1.0]]))


@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_logits_that_are_no_numbers_agree_with_nothing(number: float) -> None:
    with pytest.raises(ExportDisagrees, match=r"the graph computes what is not a number .* in 2 of 6 logits"):
        refuse_no_numbers(np.array([[1.0, number, 2.0], [number, 0.0, 0.0]]), "the graph")
    assert not np.isfinite(gguf_checks.log_softmax(np.array([[number, 0.0]], np.float32))).all()
    refuse_no_numbers(np.zeros((0, 5)), "the graph")
