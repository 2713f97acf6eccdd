"""Working before an answer, the whole way: learnt from rows, written alike by torch, llama.cpp and onnxruntime."""

from dataclasses import replace
from pathlib import Path

import pytest
from decoder_fixtures import RUN_NAME, memorise, order_row, write_base, write_rows, write_task_folder

from appliance.engines.engine import Request, Result
from appliance.engines.llama.engine import LlamaEngine
from appliance.engines.onnx_decoder import OnnxDecoderEngine
from appliance.engines.tokenizer import FileTokenizer
from appliance.models.manifest import read_manifest
from appliance.tasks.labels import LabelledRow
from appliance.tasks.taskfile import load_task
from export.targets import export_all
from training.base_model import load_base
from training.merge import pack
from training.students.decoder.generation import generate

TOKENS = 12


def working_of(number: int) -> str:
    """Of the odd rows it fits, of the others it is cut."""
    return "one two three" if number % 2 else "the order says " + "more and more " * 6


@pytest.fixture(scope="module")
def merged_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A merged student that knows its validation rows with their working by heart."""
    folder = tmp_path_factory.mktemp("working")
    base_dir = write_base(folder / "base")
    write_task_folder(folder, base_dir)
    task_path = folder / "task.toml"
    task_path.write_text(task_path.read_text() + f"working = {TOKENS}\n")
    rows = [replace(order_row(number), working=working_of(number)) for number in range(32, 40)]
    write_rows(folder / "dataset" / "validation.jsonl", rows)
    run_dir = folder / "runs" / RUN_NAME
    memorise(base_dir, run_dir / "staging", rows, folder)
    for name in ("task.toml", "staging/task.toml"):
        (run_dir / name).write_bytes(task_path.read_bytes())
    (run_dir / "record.json").write_text("{}")
    lineage = {"base": "tiny", "base_hash": "b" * 64, "adapter_hash": "a" * 64, "data_hash": "d" * 64}
    manifest = pack(load_task(folder), run_dir / "staging", run_dir / "merged", lineage, "stillroom-1")
    assert manifest.working == TOKENS
    return run_dir / "merged"


def rows() -> list[LabelledRow]:
    return [order_row(number) for number in range(32, 40)]


@pytest.mark.slow
def test_the_engines_write_the_working_that_torch_writes(merged_dir: Path) -> None:
    task = load_task(merged_dir)
    tokenizer = FileTokenizer(merged_dir / "tokenizer.json", "stillroom-1")
    expected = generate(load_base(merged_dir), task, tokenizer, [row.text for row in rows()], 256)
    assert [result.working for result in expected][1] == "one two three"
    cut = expected[0].working
    assert "the order says more and more".startswith(cut[:20])
    assert 0 < len(tokenizer.encode(" " + cut, False)) <= TOKENS
    assert [result.answer for result in expected] == [row.answer for row in rows()]
    artifacts = {artifact.target: artifact for artifact in export_all(merged_dir, ["gguf-f16", "onnx-fp32"])}
    unasked = replace(task, student=replace(task.student, working=0))  # the model's manifest says what it was taught
    for name, engine_class in (("gguf-f16", LlamaEngine), ("onnx-fp32", OnnxDecoderEngine)):
        directory = artifacts[name].directory
        assert read_manifest(directory).working == TOKENS
        engine = engine_class(directory, unasked, 1)
        requests = [Request(str(number), row.text) for number, row in enumerate(rows())]
        results: dict[str, Result] = {result.key: result for result in engine.answer(requests)}
        engine.close()
        for number, wanted in enumerate(expected):
            result = results[str(number)]
            assert (result.working, result.answer, result.raw) == (wanted.working, wanted.answer, wanted.raw), name
            assert result.confidence == pytest.approx(wanted.confidence, abs=0.02)


@pytest.mark.slow
def test_a_document_that_leaves_no_room_for_the_working_is_too_long(merged_dir: Path) -> None:
    task = load_task(merged_dir)
    (artifact,) = export_all(merged_dir, ["gguf-f16"])
    engine = LlamaEngine(artifact.directory, task, 1)
    prefix = len(engine._prefix)
    text = "a " * (256 - prefix - TOKENS)
    (result,) = engine.answer([Request("long", text)])
    engine.close()
    assert result.error == "too_long"
    assert f"and {TOKENS} of working leave no room" in result.error_message
