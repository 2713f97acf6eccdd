"""What the ONNX exports of both families share: quiet exporters, int8, sessions, files of a graph."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto

Metrics = dict[str, float | int | str]

LARGEST_SINGLE_FILE = 1 << 26
"""Bytes of weights that go into the graph's own file: it is held in memory twice while it is written or loaded."""
NOISY_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir", "root", "torch.export", "transformers")


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Silences what the exporters log, print and warn about in every export; the agreement check decides."""
    loggers = [logging.getLogger(name) for name in NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        # The progress of torch.onnx goes to stdout, which belongs to data.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def quantize(
    model: "ModelProto", target: Path, fp32_nodes: Sequence[str] = (), operators: Sequence[str] | None = None
) -> None:
    """Int8 weights per channel with dynamic activations.

    Args:
        model: Is changed.
        fp32_nodes: Names of nodes that are not quantized.
        operators: Types of nodes whose weights are quantized; all that can be where it is None.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # The quantizer turns Gemm weights round and then stumbles over the shapes that the graph still states for them.
    del model.graph.value_info[:]
    with quiet_exporters():
        quantize_dynamic(
            model,
            str(target),
            op_types_to_quantize=list(operators) if operators is not None else None,
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(fp32_nodes),
            use_external_data_format=weight_bytes(model) > LARGEST_SINGLE_FILE,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # behind fused nodes no type is inferred
        )


def weight_bytes(model: "ModelProto") -> int:
    """Bytes of the graph's weights."""
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def save_graph(model: "ModelProto", path: Path) -> None:
    """One file, or the graph and `<name>.data` beside it where protobuf could not hold the weights.

    What the exporter notes about each node, with its source lines and their paths, is left out.
    """
    import onnx

    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.save(
        model,
        str(path),
        save_as_external_data=weight_bytes(model) > LARGEST_SINGLE_FILE,
        location=f"{path.name}.data",
    )


def graph_files(path: Path) -> list[Path]:
    """The files that a graph consists of."""
    return [part for part in (path, path.with_name(f"{path.name}.data")) if part.is_file()]


def copy_graph(source: Path, target: Path) -> None:
    """Copies a graph under another name, with its weights where they lie beside it."""
    import onnx

    if len(graph_files(source)) == 1:
        target.write_bytes(source.read_bytes())
    else:
        save_graph(onnx.load(str(source)), target)
