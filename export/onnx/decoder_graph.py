"""A decoder as a graph with a key-value cache: one for prompts and single tokens, in standard operators.

Inputs are `input_ids` and `position_ids` (batch, new), `attention_mask` (batch, past + new), `logits_to_keep`
(outputs,) with the columns of the new tokens whose logits are computed, and keys and values (batch, kv heads, past,
head size).
Padding may stand anywhere: a token sees the columns before it that the mask holds, and its distance to another one
counts tokens without padding.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from export.merged_weights import EMBEDDING_ENDING, HEAD_NAME, MergedWeights
from export.onnx.decoder_layout import DecoderLayout
from export.onnx.graph_file import GraphBuilder
from export.onnx.products import Mode, Products

HEAD_GROUP = "head"
_FLOAT, _BOOL = 1, 9
"""Of `TensorProto.DataType`."""
_UNSEEN = -1e30
"""Added to the score of a column that a token does not see; finite, so that a column of padding stays a number."""


def group_name(layer: int, kind: str) -> str:
    """The group of a layer's products, as it stands in the manifest."""
    return f"layer {layer} {kind}"


def build_decoder(
    weights: MergedWeights,
    layout: DecoderLayout,
    mode: Mode,
    wide: Collection[str] = (),
    channel_maxima: Mapping[str, NDArray[np.float32]] | None = None,
) -> tuple[GraphBuilder, Products]:
    """The graph, and its products with their groups.

    Args:
        wide: Groups that stay in float32.
        channel_maxima: As in `Products`.
    """
    graph = GraphBuilder()
    decoder = _Decoder(graph, Products(graph, weights, mode, wide, channel_maxima or {}), weights, layout)
    decoder.build()
    return graph, decoder.products


@dataclass
class _Decoder:
    """Writes the layers of one model."""

    graph: GraphBuilder
    products: Products
    weights: MergedWeights
    layout: DecoderLayout
    _sizes: dict[str, str] = field(default_factory=dict)
    """Shapes that follow from the inputs."""

    def build(self) -> None:
        """All of it, from token ids to logits."""
        graph, layout = self.graph, self.layout
        ids = graph.input("input_ids", np.int64, ["batch", "new"])
        mask = graph.input("attention_mask", np.int64, ["batch", "total"])
        positions = graph.input("position_ids", np.int64, ["batch", "new"])
        kept = graph.input("logits_to_keep", np.int64, ["outputs"])
        self._set_sizes(ids, mask)
        masks = {window: self._mask(mask, positions, window) for window in {layer.window for layer in layout.layers}}
        turns = {key: self._turn(positions, key) for key in {layer.rotation for layer in layout.layers} if key}
        name = layout.prefix + EMBEDDING_ENDING
        x = self._scaled(self.products.embedding(ids, name), layout.embedding_scale)
        for number, layer in enumerate(layout.layers):
            x = self._layer(x, number, masks[layer.window], turns.get(layer.rotation))
        x = self._norm(graph.op("Gather", x, kept, axis=1), f"{layout.prefix}norm.weight")
        if layout.has_own_head:
            logits = self.products.linear(HEAD_GROUP, x, [HEAD_NAME], ["lm_head.bias"])
        else:
            logits = self.products.tied_head(HEAD_GROUP, x, name)
        logits = self._scaled(logits, 1 / layout.logits_divisor)
        graph.output(logits, "logits", np.float32, ["batch", "outputs", layout.vocab_size], is_first=True)
        self.products.finish()

    def _set_sizes(self, ids: str, mask: str) -> None:
        graph, layout = self.graph, self.layout
        new, total = (graph.op("Slice", graph.op("Shape", part), *map(graph.integers, (1, 2))) for part in (ids, mask))
        same, rest = graph.integers(0, 0), graph.integers(-1)
        grouped = graph.integers(0, 0, layout.heads // layout.kv_heads)
        heads, size = graph.integers(0, layout.heads), graph.integers(layout.head_dim)
        self._sizes = {
            "new": new,
            "total": total,
            "grouped scores": graph.op("Concat", grouped, new, total, axis=0),
            "scores": graph.op("Concat", same, rest, total, axis=0),
            "heads": graph.op("Concat", heads, new, size, axis=0),
        }

    def _mask(self, mask: str, positions: str, window: int | None) -> str:
        """What is added to scores, (batch, 1, 1, new, total): 0, or what hides a column."""
        graph, new, total = self.graph, self._sizes["new"], self._sizes["total"]
        zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
        columns = graph.op("Range", zero, graph.op("Squeeze", total), one)
        own = graph.op("Slice", columns, graph.op("Sub", total, new), total)
        is_real = graph.op("Cast", graph.op("Unsqueeze", mask, graph.integers(1)), to=_BOOL)
        is_seen = graph.op("LessOrEqual", columns, graph.op("Unsqueeze", own, graph.integers(1)))
        is_seen = graph.op("And", is_seen, is_real)
        if window is not None:
            numbers = graph.op("Unsqueeze", graph.op("Sub", graph.op("CumSum", mask, one), one), graph.integers(1))
            distance = graph.op("Sub", graph.op("Unsqueeze", positions, graph.integers(2)), numbers)
            is_seen = graph.op("And", is_seen, graph.op("Less", distance, graph.constant(window, np.int64)))
        added = graph.op("Where", is_seen, graph.number(0.0), graph.number(_UNSEEN))
        return graph.op("Unsqueeze", added, graph.integers(1, 2))

    def _turn(self, positions: str, key: str) -> tuple[str, str]:
        """Cosines and sines of the rotation, each (batch, new, 1, rotated / 2)."""
        graph, rotation = self.graph, self.layout.rotations[key]
        number = graph.op("Unsqueeze", graph.op("Cast", positions, to=_FLOAT), graph.integers(2, 3))
        angles = graph.op("Mul", number, graph.constant(rotation.frequencies, np.float32))
        cosine, sine = graph.op("Cos", angles), graph.op("Sin", angles)
        return self._scaled(cosine, rotation.factor), self._scaled(sine, rotation.factor)

    def _layer(self, x: str, number: int, mask: str, turn: tuple[str, str] | None) -> str:
        """Attention and feed-forward part with their norms, which stand before or after them, or both."""
        place = f"{self.layout.prefix}layers.{number}."
        is_after = f"{place}post_feedforward_layernorm.weight" in self.weights
        before_feed_forward = "pre_feedforward_layernorm" if is_after else "post_attention_layernorm"
        y = self._norm(x, f"{place}input_layernorm.weight")
        y = self._attention(y, number, mask, turn)
        if is_after:
            y = self._norm(y, f"{place}post_attention_layernorm.weight")
        x = self.graph.op("Add", x, self._scaled(y, self.layout.residual_scale))
        y = self._norm(x, f"{place}{before_feed_forward}.weight")
        y = self._feed_forward(y, number)
        if is_after:
            y = self._norm(y, f"{place}post_feedforward_layernorm.weight")
        return self.graph.op("Add", x, self._scaled(y, self.layout.residual_scale))

    def _attention(self, x: str, number: int, mask: str, turn: tuple[str, str] | None) -> str:
        """Queries that share keys and values are multiplied with them as rows of one matrix."""
        graph, layout, sizes = self.graph, self.layout, self._sizes
        place = f"{layout.prefix}layers.{number}.self_attn."
        q, k, v = self._queries_keys_values(x, number)
        q, k = self._heads(q, f"{place}q_norm.weight"), self._heads(k, f"{place}k_norm.weight")
        v = self._heads(v, "")
        if turn:
            q, k = self._rotated(q, turn), self._rotated(k, turn)
        q, k, v = (graph.op("Transpose", part, perm=[0, 2, 1, 3]) for part in (q, k, v))
        k, v = self._with_past(k, number, "keys"), self._with_past(v, number, "values")
        shape = graph.integers(0, layout.kv_heads, -1, layout.head_dim)
        q = graph.op("Reshape", self._scaled(q, layout.attention_scale), shape)
        scores = graph.op("MatMul", q, graph.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = graph.op("Add", graph.op("Reshape", scores, sizes["grouped scores"]), mask)
        shares = graph.op("Reshape", graph.op("Softmax", scores, axis=-1), sizes["scores"])
        heads = graph.op("Reshape", graph.op("MatMul", shares, v), sizes["heads"])
        shape = graph.integers(0, 0, layout.heads * layout.head_dim)
        joined = graph.op("Reshape", graph.op("Transpose", heads, perm=[0, 2, 1, 3]), shape)
        return self._product(number, "attention_out", joined, f"{place}o_proj")

    def _product(self, number: int, kind: str, x: str, *places: str) -> str:
        weights, biases = ([f"{place}.{part}" for place in places] for part in ("weight", "bias"))
        return self.products.linear(group_name(number, kind), x, weights, biases)

    def _queries_keys_values(self, x: str, number: int) -> list[str]:
        layout, place = self.layout, f"{self.layout.prefix}layers.{number}.self_attn."
        names = ["qkv_proj"] if f"{place}qkv_proj.weight" in self.weights else ["q_proj", "k_proj", "v_proj"]
        y = self._product(number, "qkv", x, *(place + name for name in names))
        sizes = [count * layout.head_dim for count in (layout.heads, layout.kv_heads, layout.kv_heads)]
        return self.graph.split_op("Split", 3, y, self.graph.integers(*sizes), axis=-1)

    def _feed_forward(self, x: str, number: int) -> str:
        graph, place = self.graph, f"{self.layout.prefix}layers.{number}.mlp."
        names = ["gate_up_proj"] if f"{place}gate_up_proj.weight" in self.weights else ["gate_proj", "up_proj"]
        both = self._product(number, "feed_forward_in", x, *(place + name for name in names))
        gate, up = graph.split_op("Split", 2, both, axis=-1, num_outputs=2)
        if self.layout.activation == "silu":
            gate = graph.op("Mul", gate, graph.op("Sigmoid", gate))
        else:
            gate = graph.op("Gelu", gate, approximate="tanh")
        return self._product(number, "feed_forward_out", graph.op("Mul", gate, up), f"{place}down_proj")

    def _heads(self, x: str, norm_name: str) -> str:
        """Rows as heads, (batch, new, heads, head size), with the norm of each head or of all of them together."""
        is_joint = norm_name in self.weights and self.weights.shape(norm_name)[0] != self.layout.head_dim
        if is_joint:
            x = self._norm(x, norm_name)
        x = self.graph.op("Reshape", x, self.graph.integers(0, 0, -1, self.layout.head_dim))
        return x if is_joint else self._norm(x, norm_name)

    def _norm(self, x: str, name: str) -> str:
        """Rows divided by their root mean square; the rows as they are where the model has no such norm."""
        if name not in self.weights:
            return x
        graph, offset = self.graph, np.float32(self.layout.norm_offset)
        mean = graph.op("ReduceMean", graph.op("Pow", x, graph.number(2.0)), graph.integers(-1), keepdims=1)
        root = graph.op("Sqrt", graph.op("Add", mean, graph.number(self.layout.norm_epsilon)))
        shape = self.weights.shape(name)
        weight = graph.weight(name, np.float32, shape, lambda: self.weights.read(name) + offset)
        return graph.op("Mul", graph.op("Div", x, root), weight)

    def _rotated(self, x: str, turn: tuple[str, str]) -> str:
        """Heads with their positions, (batch, new, heads, head size); what lies behind the rotated part stays."""
        graph, (cosine, sine) = self.graph, turn
        half = len(next(iter(self.layout.rotations.values())).frequencies)
        rest = self.layout.head_dim - 2 * half
        sizes = [half, half, *([rest] if rest else [])]
        first, second, *unrotated = graph.split_op("Split", len(sizes), x, graph.integers(*sizes), axis=-1)
        left = graph.op("Sub", graph.op("Mul", first, cosine), graph.op("Mul", second, sine))
        right = graph.op("Add", graph.op("Mul", second, cosine), graph.op("Mul", first, sine))
        return graph.op("Concat", left, right, *unrotated, axis=-1)

    def _with_past(self, x: str, number: int, kind: str) -> str:
        """Keys or values after those of earlier passes, which come in and go out."""
        graph, layout = self.graph, self.layout
        name = f"past_key_values.layers.{number}.{kind}"
        past = graph.input(f"input.{name}", np.float32, ["batch", layout.kv_heads, "past", layout.head_dim])
        joined = graph.op("Concat", past, x, axis=2)
        graph.output(joined, f"output.{name}", np.float32, ["batch", layout.kv_heads, "total", layout.head_dim])
        return joined

    def _scaled(self, x: str, factor: float) -> str:
        return x if factor == 1 else self.graph.op("Mul", x, self.graph.number(factor))
