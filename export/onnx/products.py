"""Products with weights in a graph: in float32, in int8 with a scale for each row, or both to measure the difference.

A row of activations is divided by its own largest number, so that a row's result depends on nothing beside it, whatever
else is computed in the same pass: unlike one scale for a whole pass, this keeps small rows exact beside large ones, and
a document's answer the same in every batch. Weights have a scale for each output.

A product that would lose too much in int8 computes in float32 beside them. Its weights lie in the file in 16 bit, and
become float32 when the file is opened.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from export.merged_weights import MergedWeights
from export.onnx.graph_file import GraphBuilder

LARGEST_INT8 = 127
_ZERO_POINT = 128
"""Activations are stored from 1 to 255 around it: processors multiply unsigned by signed numbers fastest."""
_LEAST_SCALE = 1e-30

ERRORS_OUTPUT = "int8_errors"
"""Of a measured graph."""

CHANNELS_OUTPUT = "channels_"
"""Of a measured graph, before a number: the largest activations of a group."""
_LEAST_CHANNEL = 1e-5
OUTLIER_SHARE = 18
"""One input in so many is multiplied in float32 where the largest activations are known: those that are largest."""

Mode = Literal["fp32", "int8", "measured"]
Quantized = tuple[NDArray[np.int8], NDArray[np.float32]]


@dataclass
class Products:
    """Writes products into a graph, each in its form.

    Products are known by groups: those that read the same activations share their quantized form.
    """

    graph: GraphBuilder
    weights: MergedWeights
    mode: Mode
    """`measured` computes both forms, goes on with float32, and gives out how far int8 was from it."""
    wide: Collection[str] = ()
    """Groups that compute in float32."""
    channel_maxima: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Group -> the largest activation of each input, (inputs,), over rows of the task: where it is known, inputs are
    balanced with their weights before both are quantized, so that a few large ones do not drown the others."""
    groups: list[str] = field(default_factory=list)
    """All groups so far, in the order of the graph."""
    channels: list[str] = field(default_factory=list)
    """Groups whose largest activations are measured."""
    errors: list[str] = field(default_factory=list)
    """Of each group, where they are measured."""
    _rows: dict[str, tuple[str, str]] = field(default_factory=dict)

    def linear(self, group: str, x: str, sources: Sequence[str], bias_names: Sequence[str] = ()) -> str:
        """The product of rows, (..., inputs), with the weights of one or several linear layers side by side.

        Args:
            sources: Names of weights, each (outputs, inputs).
            bias_names: As many names of biases, or none.
        """
        self._join(group)
        outputs = [self.weights.shape(name)[0] for name in sources]
        shape = (self.weights.shape(sources[0])[1], sum(outputs))
        key = "+".join(sources)
        y = ""
        if self._is_wide(group) or self.mode == "measured":
            y = self.graph.op("MatMul", x, self._full_matrix(key, tuple(sources), shape))
        if self.mode == "measured":
            self._measure_channels(group, x, shape[0])
        if not self._is_wide(group):
            y = self._mixed(group, y, self._int8_product(group, x, key, tuple(sources), shape))
        if any(name in self.weights for name in bias_names):
            pairs = tuple(zip(bias_names, outputs, strict=True))
            bias = self.graph.weight(f"{key}.bias", np.float32, shape[1:], partial(_joined, self.weights, pairs))
            y = self.graph.op("Add", y, bias)
        return y

    def embedding(self, ids: str, name: str) -> str:
        """Rows of a matrix, (vocab_size, hidden_size), by their numbers; beside int8 they are stored in 16 bit."""
        shape = self.weights.shape(name)
        if self.mode != "int8":
            matrix = self.graph.weight(name, np.float32, shape, partial(self.weights.read, name))
            return self.graph.op("Gather", matrix, ids)
        rows, scales = self._embedding_rows(name)
        number = self.graph.op("Cast", self.graph.op("Gather", rows, ids), to=1)
        return self.graph.op("Mul", number, self.graph.op("Gather", scales, ids))

    def _embedding_rows(self, name: str) -> tuple[str, str]:
        """The matrix of the embedding in 16 bit, with a scale for each row."""
        shape = self.weights.shape(name)
        loader = lru_cache(maxsize=1)(lambda: half_rows(self.weights.read(name)))
        rows = self.graph.weight(f"{name}.rows.half", np.float16, shape, lambda: loader()[0])
        return rows, self.graph.weight(
            f"{name}.rows.half.scale", np.float32, (shape[0], 1), lambda: loader()[1][:, None]
        )

    def tied_head(self, group: str, x: str, name: str) -> str:
        """The product with the matrix that the embedding reads: where it computes in float32 it is stored once."""
        if self.mode == "measured" or not self._is_wide(group):
            return self.linear(group, x, [name])
        self._join(group)
        if self.mode == "fp32":
            matrix = self.graph.weight(name, np.float32, self.weights.shape(name), partial(self.weights.read, name))
        else:
            rows, scales = self._embedding_rows(name)
            matrix = self.graph.op("Mul", self.graph.op("Cast", rows, to=1), scales)
        return self.graph.op("MatMul", x, self.graph.op("Transpose", matrix, perm=[1, 0]))

    def _join(self, group: str) -> None:
        if group not in self.groups:
            self.groups.append(group)

    def _is_wide(self, group: str) -> bool:
        return self.mode == "fp32" or group in self.wide

    def _full_matrix(self, key: str, sources: tuple[str, ...], shape: tuple[int, int]) -> str:
        """A matrix in float32, (inputs, outputs)."""
        if self.mode != "int8":
            return self.graph.weight(f"{key}.turned", np.float32, shape, partial(_transposed, self.weights, sources))
        return self._stored_in_half(key, shape, lambda: _stacked(self.weights, sources))

    def _stored_in_half(self, key: str, shape: tuple[int, int], load: Callable[[], NDArray[np.float32]]) -> str:
        """A matrix, (inputs, outputs), that lies in the file in 16 bit with a scale for each output.

        Args:
            load: Gives it as (outputs, inputs).
        """
        loader = lru_cache(maxsize=1)(lambda: half_rows(load()))
        numbers = self.graph.weight(f"{key}.half", np.float16, shape, lambda: loader()[0].T)
        scales = self.graph.weight(f"{key}.half.scale", np.float32, shape[1:], lambda: loader()[1])
        # Nothing here depends on an input: onnxruntime computes it once, when it opens the file.
        return self.graph.op("Mul", self.graph.op("Cast", numbers, to=1), scales)

    def _int8_product(self, group: str, x: str, key: str, sources: tuple[str, ...], shape: tuple[int, int]) -> str:
        balance, outliers = self._balance(group, sources)
        loader = _loader(self.weights, sources, balance)
        matrix = self.graph.weight(f"{key}.int8", np.int8, shape, lambda: loader()[0].T)
        scales = self.graph.weight(f"{key}.scale", np.float32, shape[1:], lambda: loader()[1])
        if balance is None:
            return self._int8(x, matrix, scales)
        inverse = np.divide(1, balance, out=np.zeros_like(balance), where=balance > 0)
        y = self._int8(self.graph.op("Mul", x, self.graph.constant(inverse, np.float32)), matrix, scales)
        if not len(outliers):
            return y
        rows = self._stored_in_half(
            f"{key}.outliers", (len(outliers), shape[1]), lambda: _stacked(self.weights, sources)[:, outliers]
        )
        large = self.graph.op("Gather", x, self.graph.constant(outliers, np.int64), axis=-1)
        return self.graph.op("Add", y, self.graph.op("MatMul", large, rows))

    def _balance(self, group: str, sources: tuple[str, ...]) -> tuple[NDArray[np.float32] | None, NDArray[np.int64]]:
        """What inputs are divided by and weights multiplied with, (inputs,), 0 for outliers; and which those are.

        Inputs that stay largest beside the others are multiplied in float32, so that the scale of a row is that of the
        others.

        Source: Xiao et al. 2023, SmoothQuant, equation 4 with the migration strength 0.5; Dettmers et al. 2022,
        LLM.int8(), section 3.2.
        """
        if group not in self.channel_maxima:
            return None, np.zeros(0, np.int64)
        maxima = np.maximum(self.channel_maxima[group], _LEAST_CHANNEL)
        largest = np.maximum(np.abs(_stacked(self.weights, sources)).max(axis=0), _LEAST_CHANNEL)
        balance = np.sqrt(maxima / largest).astype(np.float32)
        outliers = np.sort(np.argsort(-maxima / balance, kind="stable")[: len(balance) // OUTLIER_SHARE])
        balance[outliers] = 0
        return balance, outliers

    def _measure_channels(self, group: str, x: str, inputs: int) -> None:
        graph = self.graph
        largest = graph.op("ReduceMax", graph.op("Abs", x), graph.integers(0, 1), keepdims=0)
        graph.output(largest, f"{CHANNELS_OUTPUT}{len(self.channels)}", np.float32, [inputs])
        self.channels.append(group)

    def _int8(self, x: str, matrix: str, scales: str) -> str:
        """The product of quantized rows with an int8 matrix, (inputs, outputs), as float32."""
        graph = self.graph
        quantized, row_scale = self._quantized_rows(x)
        zero_point = graph.constant(_ZERO_POINT, np.uint8)
        sums = graph.op("Cast", graph.op("MatMulInteger", quantized, matrix, zero_point), to=1)
        return graph.op("Mul", graph.op("Mul", sums, row_scale), scales)

    def _quantized_rows(self, x: str) -> tuple[str, str]:
        """Rows as uint8 around 128, and what each row was divided by, (..., 1)."""
        if x not in self._rows:
            graph = self.graph
            largest = graph.op("ReduceMax", graph.op("Abs", x), graph.integers(-1), keepdims=1)
            scale = graph.op(
                "Max", graph.op("Mul", largest, graph.number(1 / LARGEST_INT8)), graph.number(_LEAST_SCALE)
            )
            one, zero_point = graph.number(1.0), graph.constant(_ZERO_POINT, np.uint8)
            self._rows[x] = graph.op("QuantizeLinear", graph.op("Div", x, scale), one, zero_point), scale
        return self._rows[x]

    def _mixed(self, group: str, full: str, quantized: str) -> str:
        """The int8 form; where both are computed the float32 form, and how far the other one is from it is noted."""
        if self.mode != "measured":
            return quantized
        graph, last = self.graph, self.graph.integers(-1)
        difference, size = (
            graph.op("ReduceSumSquare", part, last, keepdims=0) for part in (graph.op("Sub", quantized, full), full)
        )
        share = graph.op("Div", difference, graph.op("Add", size, graph.number(_LEAST_SCALE)))
        self.errors.append(graph.op("Reshape", graph.op("ReduceMean", graph.op("Sqrt", share)), graph.integers(1)))
        return full

    def finish(self) -> None:
        """Gives out the measured errors of all groups, (groups,): the mean over rows of |int8 - fp32| / |fp32|."""
        if self.mode == "measured":
            errors = self.graph.op("Concat", *self.errors, axis=0)
            self.graph.output(errors, ERRORS_OUTPUT, np.float32, [len(self.errors)])


def quantize_rows(matrix: NDArray[np.float32]) -> Quantized:
    """A matrix, (rows, columns), as int8 with a scale for each row, (rows,)."""
    largest = np.abs(matrix).max(axis=1) if matrix.size else np.zeros(len(matrix), np.float32)
    scales = np.maximum(largest / LARGEST_INT8, np.float32(_LEAST_SCALE)).astype(np.float32)
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales


def half_rows(matrix: NDArray[np.float32]) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """A matrix, (rows, columns), in 16 bit with a scale for each row, (rows,): no number is too large for it."""
    largest = np.abs(matrix).max(axis=1) if matrix.size else np.zeros(len(matrix), np.float32)
    scales = np.maximum(largest, np.float32(_LEAST_SCALE)).astype(np.float32)
    return (matrix / scales[:, None]).astype(np.float16), scales


def _loader(
    weights: MergedWeights, sources: tuple[str, ...], balance: NDArray[np.float32] | None = None
) -> Callable[[], Quantized]:
    """Reads and quantizes once for numbers and scales, which are written one after the other."""
    factor = np.float32(1.0) if balance is None else balance
    return lru_cache(maxsize=1)(lambda: quantize_rows(_stacked(weights, sources) * factor))


def _stacked(weights: MergedWeights, sources: tuple[str, ...]) -> NDArray[np.float32]:
    parts = [weights.read(name) for name in sources]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _transposed(weights: MergedWeights, sources: tuple[str, ...]) -> NDArray[np.float32]:
    return _stacked(weights, sources).T


def _joined(weights: MergedWeights, biases: tuple[tuple[str, int], ...]) -> NDArray[np.float32]:
    """Biases side by side; zeros for a layer that has none."""
    return np.concatenate(
        [weights.read(name) if name in weights else np.zeros(size, np.float32) for name, size in biases]
    )
