"""ONNX graphs whose weights lie wherever the caller says, in each of the places where the format allows weights."""

from collections.abc import Sequence

from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]

Entries = Sequence[tuple[str, str]]
"""Keys and values of a tensor's external data; without any the tensor holds its numbers itself."""


def weights(entries: Entries, name: str = "w") -> TensorProto:
    """Two floats."""
    if not entries:
        return helper.make_tensor(name, TensorProto.FLOAT, [2], [1.0, 2.0])
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in entries:
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(graph: GraphProto, functions: Sequence[object] = ()) -> ModelProto:
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=9, functions=list(functions))


def graph(nodes: Sequence[NodeProto], initializers: Sequence[TensorProto] = ()) -> GraphProto:
    """From two floats `x` to two floats `y`."""
    shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "y")]
    return helper.make_graph(list(nodes), "g", shape[:1], shape[1:], list(initializers))


def adding(entries: Entries) -> ModelProto:
    """The weights are the graph's own."""
    return model(graph([helper.make_node("Add", ["x", "w"], ["y"])], [weights(entries)]))


def in_a_branch(entries: Entries) -> ModelProto:
    """The weights are those of both branches of an If."""
    branch = graph([helper.make_node("Add", ["x", "w"], ["y"])], [weights(entries)])
    del branch.input[:]
    condition = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    return model(graph([helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)], [condition]))


def in_a_constant(entries: Entries) -> ModelProto:
    """The weights are the value of a Constant."""
    constant = helper.make_node("Constant", [], ["k"], value=weights(entries))
    return model(graph([constant, helper.make_node("Add", ["x", "k"], ["y"])]))


def in_a_function(entries: Entries) -> ModelProto:
    """The weights are a constant of a function of the model."""
    body = [helper.make_node("Constant", [], ["k"], value=weights(entries)), helper.make_node("Add", ["a", "k"], ["b"])]
    function = helper.make_function("local", "Shift", ["a"], ["b"], body, OPSETS[:1])
    return model(graph([helper.make_node("Shift", ["x"], ["y"], domain="local")]), [function])


def in_a_sparse_tensor(entries: Entries) -> ModelProto:
    """The weights are the values of a sparse initializer."""
    sparse = _sparse(entries)
    whole = model(graph([helper.make_node("Add", ["x", "k"], ["y"])]))
    whole.graph.sparse_initializer.append(sparse)
    return whole


def in_a_sparse_constant(entries: Entries) -> ModelProto:
    """The weights are the values of a sparse Constant."""
    constant = helper.make_node("Constant", [], ["k"], sparse_value=_sparse(entries))
    return model(graph([constant, helper.make_node("Add", ["x", "k"], ["y"])]))


def _sparse(entries: Entries) -> SparseTensorProto:
    indices = helper.make_tensor("i", TensorProto.INT64, [2], [0, 1])
    return SparseTensorProto(values=weights(entries, "k"), indices=indices, dims=[2])


PLACES = (adding, in_a_branch, in_a_constant, in_a_function, in_a_sparse_tensor, in_a_sparse_constant)
