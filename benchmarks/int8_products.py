"""Products in int8 of one feed-forward block: error to fp32 and speed, of each way to keep them right without VNNI.

    python benchmarks/int8_products.py

On processors with AVX2 but no VNNI, onnxruntime adds two products of uint8 and int8 in 16 bits, which can overflow.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper, save
from onnxruntime.quantization import QuantType, quantize_dynamic

HIDDEN, INNER = 576, 1536
ROWS = (512, 64, 8, 1)
REPEATS = 12
WAYS = {
    "fp32": ("fp32", False),
    "int8, fast": ("int8", False),
    "int8, exact (what the engines use)": ("int8", True),
    "int8, reduce_range": ("int8-reduced", False),
}
"""Name -> graph, and whether onnxruntime is told to be exact."""


def block(into: NDArray[np.float32], out_of: NDArray[np.float32]) -> ModelProto:
    """(rows, hidden) to (rows, hidden) through a ReLU; `into` is (hidden, inner), `out_of` (inner, hidden)."""
    nodes = [
        helper.make_node("MatMul", ["x", "into"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "out_of"], ["y"]),
    ]
    shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", HIDDEN]) for name in ("x", "y")]
    weights = [numpy_helper.from_array(into, "into"), numpy_helper.from_array(out_of, "out_of")]
    graph = helper.make_graph(nodes, "block", shape[:1], shape[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def session(path: Path, exact: bool) -> onnxruntime.InferenceSession:
    """The graph on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.add_session_config_entry("session.x64quantprecision", "1" if exact else "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def rate(opened: onnxruntime.InferenceSession, inputs: NDArray[np.float32]) -> float:
    """Billions of operations a second, the best of some passes; `inputs` is (rows, hidden)."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        opened.run(None, {"x": inputs})
        best = min(best, time.perf_counter() - began)
    return 4 * len(inputs) * HIDDEN * INNER / best / 1e9


def measure(directory: Path) -> list[dict[str, object]]:
    """One entry for each way."""
    drawn = np.random.default_rng(0)
    usual = block(
        (drawn.standard_normal((HIDDEN, INNER)) / HIDDEN**0.5).astype(np.float32),
        (drawn.standard_normal((INNER, HIDDEN)) / INNER**0.5).astype(np.float32),
    )
    one_sign = block(
        (drawn.uniform(0.5, 1, (HIDDEN, INNER)) / HIDDEN).astype(np.float32),
        (drawn.uniform(-1, 1, (INNER, HIDDEN)) / INNER).astype(np.float32),
    )
    inputs = np.abs(drawn.standard_normal((max(ROWS), HIDDEN))).astype(np.float32)
    for name, model in {"usual": usual, "one-sign": one_sign}.items():
        source = directory / f"{name}-fp32.onnx"
        save(model, str(source))
        for form, reduced in (("int8", False), ("int8-reduced", True)):
            target = directory / f"{name}-{form}.onnx"
            quantize_dynamic(
                str(source), str(target), per_channel=True, weight_type=QuantType.QInt8, reduce_range=reduced
            )
    entries: list[dict[str, object]] = []
    for way, (form, exact) in WAYS.items():
        entry: dict[str, object] = {"way": way}
        for name in ("usual", "one-sign"):
            expected = session(directory / f"{name}-fp32.onnx", False).run(None, {"x": inputs})[0]
            outputs = session(directory / f"{name}-{form}.onnx", exact).run(None, {"x": inputs})[0]
            error = np.linalg.norm(outputs - expected) / np.linalg.norm(expected)
            entry[f"error, {name} weights"] = round(float(error), 4)
        opened = session(directory / f"usual-{form}.onnx", exact)
        entry["rate"] = {rows: round(rate(opened, inputs[:rows]), 1) for rows in ROWS}
        entries.append(entry)
    return entries


def main() -> None:
    """Prints one JSON object for each way."""
    with tempfile.TemporaryDirectory() as directory:
        for entry in measure(Path(directory)):
            print(json.dumps(entry))


if __name__ == "__main__":
    main()
