"""An ONNX graph while it is put together: nodes, small constants, weights that are read when the file is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from export.onnx.graphs import LARGEST_SINGLE_FILE

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto, ValueInfoProto

OPSET = 20
IR_VERSION = 9
_ALIGNMENT = 4096
"""Of weights in a file of their own: pages, so that they can be mapped into memory."""

Array = NDArray[Any]
Shape = Sequence[int | str]


@dataclass(frozen=True)
class Weight:
    """A tensor of the graph that is read when the file is written, and not kept."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    load: Callable[[], Array]

    @property
    def size_bytes(self) -> int:
        """In the file."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class GraphBuilder:
    """Collects a graph; values are known by their names."""

    def __init__(self) -> None:
        from onnx import helper

        self._helper = helper
        self._nodes: list[Any] = []
        self._weights: dict[str, Weight] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._small: list[TensorProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def input(self, name: str, dtype: DTypeLike, shape: Shape) -> str:
        """An input; sizes that are names vary."""
        self._inputs.append(self._helper.make_tensor_value_info(name, self._element(dtype), list(shape)))
        return name

    def output(self, value: str, name: str, dtype: DTypeLike, shape: Shape, is_first: bool = False) -> None:
        """Gives a value out under a name, after the other outputs or before them."""
        self._nodes.append(self._helper.make_node("Identity", [value], [name], name=name))
        described = self._helper.make_tensor_value_info(name, self._element(dtype), list(shape))
        self._outputs.insert(0 if is_first else len(self._outputs), described)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output; gives the output's name."""
        return self.split_op(kind, 1, *inputs, **attributes)[0]

    def split_op(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """A node with several outputs; gives their names."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        outputs = [f"{name}.{number}" if count > 1 else name for number in range(count)]
        self._nodes.append(self._helper.make_node(kind, list(inputs), outputs, name=name, **attributes))
        return outputs

    def constant(self, values: object, dtype: DTypeLike) -> str:
        """A small constant, stored once for all nodes that take it."""
        from onnx import numpy_helper

        array = np.array(values, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"constant_{len(self._constants)}"
            self._small.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def integers(self, *values: int) -> str:
        """A list of sizes or axes."""
        return self.constant(list(values), np.int64)

    def number(self, value: float) -> str:
        """One float32."""
        return self.constant(value, np.float32)

    def weight(self, name: str, dtype: DTypeLike, shape: Sequence[int], load: Callable[[], Array]) -> str:
        """A tensor of weights; one name is stored once."""
        self._weights.setdefault(name, Weight(name, np.dtype(dtype), tuple(shape), load))
        return name

    def _element(self, dtype: DTypeLike) -> int:
        return int(self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    @property
    def weight_bytes(self) -> int:
        """Of all weights together."""
        return sum(weight.size_bytes for weight in self._weights.values())

    def save(self, path: Path) -> None:
        """Writes the graph as one file, or with `<name>.data` beside it, which takes the weights one after another.

        Raises:
            OSError: The disk is full, or the place cannot be written.
        """
        data_name = f"{path.name}.data" if self.weight_bytes > LARGEST_SINGLE_FILE else ""
        if data_name:
            with path.with_name(data_name).open("wb") as file:
                tensors = [self._external(weight, file, data_name) for weight in self._weights.values()]
        else:
            tensors = [self._inline(weight) for weight in self._weights.values()]
        model = self._model(tensors)
        with path.open("wb") as file:
            file.write(model.SerializeToString())

    def _model(self, tensors: "list[TensorProto]") -> "ModelProto":
        graph = self._helper.make_graph(
            self._nodes, "decoder", self._inputs, self._outputs, initializer=[*self._small, *tensors]
        )
        opsets = [self._helper.make_opsetid("", OPSET)]
        model: ModelProto = self._helper.make_model(
            graph, ir_version=IR_VERSION, opset_imports=opsets, producer_name="stillroom"
        )
        return model

    def _described(self, weight: Weight) -> "TensorProto":
        from onnx import TensorProto

        return TensorProto(name=weight.name, data_type=self._element(weight.dtype), dims=weight.shape)

    def _inline(self, weight: Weight) -> "TensorProto":
        tensor = self._described(weight)
        tensor.raw_data = _bytes_of(weight)
        return tensor

    def _external(self, weight: Weight, file: BinaryIO, data_name: str) -> "TensorProto":
        from onnx import TensorProto

        tensor = self._described(weight)
        file.write(b"\0" * (-file.tell() % _ALIGNMENT))
        offset = file.tell()
        file.write(_bytes_of(weight))
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", data_name), ("offset", offset), ("length", file.tell() - offset)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor


def _bytes_of(weight: Weight) -> bytes:
    values = np.ascontiguousarray(weight.load(), dtype=weight.dtype)
    assert values.shape == weight.shape, f"{weight.name} has the shape {values.shape}, not {weight.shape}"
    return values.tobytes()
