"""Opening ONNX files: weights anywhere but beside the model, exact int8 products, the processor or a GPU."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx_attacks import PLACES, Entries, adding

from appliance.engines import onnx_session
from appliance.engines.onnx_session import CUDA, device_of, open_session, runs_on_gpu
from appliance.ground.errors import ApplianceError
from appliance.ground.processor import cuda_devices
from appliance.models.manifest import Manifest

Maker = Callable[[Entries], ModelProto]


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """A folder with weights of the right and of a wrong kind, and a secret outside it."""
    (tmp_path / "secret").write_bytes(bytes(8))
    directory = tmp_path / "artifact"
    (directory / "folder").mkdir(parents=True)
    (directory / "folder" / "inner.data").write_bytes(bytes(8))
    (directory / "short.data").write_bytes(bytes(8))
    os.symlink(tmp_path / "secret", directory / "outward.data")
    os.symlink(directory / "short.data", directory / "inward.data")
    os.symlink(tmp_path, directory / "outside")
    os.mkfifo(directory / "pipe.data")
    return directory


def test_weights_beside_the_model_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "model.onnx.data").write_bytes(np.array([0.0, 3.0, 4.0], np.float32).tobytes())
    onnx.save(adding([("location", "model.onnx.data"), ("offset", "4"), ("length", "8")]), str(tmp_path / "model.onnx"))
    session = open_session(tmp_path / "model.onnx", 1)
    assert session.run(None, {"x": np.zeros(2, np.float32)})[0].tolist() == [3.0, 4.0]


@pytest.mark.parametrize("maker", PLACES, ids=lambda maker: maker.__name__)
@pytest.mark.parametrize(
    "entries",
    [
        [("location", "../secret")],
        [("location", "SECRET")],
        [("location", "/proc/self/environ"), ("length", "8")],
        [("location", "folder/../../secret")],
        [("location", "outside/secret")],
        [("location", "outward.data")],
        [("location", "inward.data")],
        [("location", "folder/inner.data")],
        [("location", "pipe.data"), ("length", "8")],
        [("location", ".")],
        [("location", "")],
        [("offset", "0")],
        [("location", "a\\b")],
        [("location", "nowhere.data")],
        [("location", "*/_ORT_MEM_ADDR_/*"), ("offset", "140000000"), ("length", "8")],
        [("location", "short.data"), ("offset", "4"), ("length", "8")],
        [("location", "short.data"), ("offset", "-4"), ("length", "8")],
        [("location", "short.data"), ("offset", "many")],
        [("location", "short.data"), ("offset", "18446744073709551612"), ("length", "8")],
        [("location", "short.data"), ("offset", "0"), ("length", "4")],
    ],
    ids=lambda entries: "-".join(value for _, value in entries).replace("/", ":") or "empty",
)
def test_weights_anywhere_else_are_refused(
    model_dir: Path, tmp_path: Path, entries: list[tuple[str, str]], maker: Maker
) -> None:
    entries = [(key, str(tmp_path / "secret") if value == "SECRET" else value) for key, value in entries]
    (model_dir / "model.onnx").write_bytes(maker(entries).SerializeToString())
    with pytest.raises(ApplianceError, match=r"model\.onnx of artifact cannot be loaded: \w") as caught:
        open_session(model_dir / "model.onnx", 1)
    assert "onnxruntime::" not in caught.value.message


@pytest.mark.parametrize("maker", PLACES, ids=lambda maker: maker.__name__)
def test_the_attacks_would_load_with_weights_of_their_own(tmp_path: Path, maker: Maker) -> None:
    (tmp_path / "short.data").write_bytes(bytes(8))
    (tmp_path / "model.onnx").write_bytes(maker([("location", "short.data"), ("length", "8")]).SerializeToString())
    session = open_session(tmp_path / "model.onnx", 1)
    assert session.run(None, {"x": np.ones(2, np.float32)})[0].tolist() == [1.0, 1.0]


def test_a_link_that_the_model_does_not_name_is_no_hindrance(model_dir: Path) -> None:
    (model_dir / "model.onnx").write_bytes(adding([("location", "short.data"), ("length", "8")]).SerializeToString())
    assert device_of(open_session(model_dir / "model.onnx", 1)) == "cpu"


def test_products_in_int8_do_not_overflow(tmp_path: Path) -> None:
    """On processors without VNNI two products of 255 and 127 do not fit the 16 bits in which they are added."""
    columns = 576
    right = numpy_helper.from_array(np.full((columns, 16), 127, np.int8), "b")
    zero = numpy_helper.from_array(np.array(0, np.uint8), "zero")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b", "zero"], ["y"])],
        "g",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, ["rows", columns])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["rows", 16])],
        [right, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    session = open_session(tmp_path / "model.onnx", 1)
    for rows in (1, 3, 64):
        (sums,) = session.run(None, {"a": np.full((rows, columns), 255, np.uint8)})
        assert (sums == 255 * 127 * columns).all()


def test_reason_is_short_and_shown_at_once_however_long_a_name_is(tmp_path: Path) -> None:
    model = adding([])
    model.graph.node[0].op_type = "A" * 200_000
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    began = time.process_time()
    with pytest.raises(ApplianceError, match="cannot be loaded: This is an invalid model") as caught:
        open_session(tmp_path / "model.onnx", 1)
    assert time.process_time() - began < 5
    assert len(caught.value.message) < 300
    model = adding([])
    model.opset_import[0].version = 99
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ApplianceError, match=r"cannot be loaded: ONNX Runtime only .* Opset 99"):
        open_session(tmp_path / "model.onnx", 1)


ARTIFACT = Manifest("i" * 64, "orders", "decoder", "onnx", "orders", "t" * 64, "fp32", "any")


@pytest.mark.parametrize(
    ("quantization", "target", "devices", "on_gpu"),
    [
        ("fp32", "any", 1, True), ("fp16", "any", 2, True), ("fp16", "cuda", 1, True), ("fp32", "any", 0, False),
        ("fp32", "cpu", 1, False), ("int8", "cpu", 1, False), ("int8", "any", 1, False),
    ],
)  # fmt: skip
def test_the_gpu_answers_what_is_not_int8_and_not_made_for_the_cpu(
    monkeypatch: pytest.MonkeyPatch, quantization: str, target: str, devices: int, on_gpu: bool
) -> None:
    assert CUDA in onnxruntime.get_available_providers()  # of the installed onnxruntime-gpu, GPU or not
    monkeypatch.setattr(onnx_session, "cuda_devices", lambda: devices)
    assert runs_on_gpu(replace(ARTIFACT, quantization=quantization, target=target)) is on_gpu


@pytest.mark.skipif(cuda_devices() > 0, reason="this machine has a GPU")
def test_without_a_gpu_the_processor_answers_and_nothing_is_printed(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(adding([]).SerializeToString())
    program = (
        "import sys; from pathlib import Path; from appliance.engines.onnx_session import *;"
        "session = open_session(Path(sys.argv[1]), 1, on_gpu=True);"
        "print(device_of(session), onnx_answers_on_gpu())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == ("cpu False\n", "")


@pytest.mark.gpu
@pytest.mark.skipif(cuda_devices() == 0, reason="this machine has no GPU")
def test_a_gpu_gives_the_answers_of_the_processor(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(adding([]).SerializeToString())
    session = open_session(tmp_path / "model.onnx", 1, on_gpu=True)
    assert device_of(session) == "cuda"
    assert session.run(None, {"x": np.ones(2, np.float32)})[0].tolist() == [2.0, 3.0]
