"""Decoder students to ONNX: the graph in fp32, or in int8 with as much in fp32 as its answers need."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from appliance.engines.onnx_session import open_session
from appliance.quality.statistics import wilson
from export.batches import Batch
from export.merged_weights import MergedWeights
from export.onnx.decoder_graph import EMBEDDING_GROUP, build_decoder
from export.onnx.decoder_layout import DecoderLayout, read_layout
from export.onnx.graphs import Metrics, graph_files
from export.onnx.products import CHANNELS_OUTPUT, ERRORS_OUTPUT
from export.parity import ExportDisagrees
from export.reference import Agreement, Reference, compare

if TYPE_CHECKING:
    import onnxruntime

AGREEMENT_FLOOR = 0.99
"""Share of the values that a student writes, and of their tokens, in which the export must be the merged student."""
LARGEST_DIFFERENCE = 1e-3
"""Of fp32 logits, as a share of the largest logit: float32 sums in another order differ by a hundredth of it."""
WIDE_SHARES = (0.0, 0.2, 0.45, 0.75)
"""Of the groups of products: how many stay in fp32 in each attempt, those first that lose most to int8."""
MEASURED_TOKENS = 512
CACHE_ENDINGS = (".keys", ".values")

Logits = NDArray[np.float32]


def empty_cache(session: "onnxruntime.InferenceSession", rows: int) -> dict[str, Logits]:
    """The cache before the first token by input name, each (rows, heads, 0, head size)."""
    caches = [part for part in session.get_inputs() if part.name.endswith(CACHE_ENDINGS)]
    return {part.name: np.zeros((rows, part.shape[1], 0, part.shape[3]), np.float32) for part in caches}


def onnx_logits(
    session: "onnxruntime.InferenceSession",
    input_ids: NDArray[np.int64],
    mask: NDArray[np.int64],
    cuts: Sequence[int],
    columns: NDArray[np.int64] | None = None,
) -> Logits:
    """Logits, (batch, columns, vocab_size), in as many passes as there are cuts and one more.

    Args:
        input_ids: (batch, columns), padded on the left.
        mask: The same shape: 0 at padding.
        cuts: Columns before which a new pass begins.
        columns: Those whose logits are computed; all where it is None.
    """
    columns = np.arange(input_ids.shape[1]) if columns is None else columns
    positions = np.clip(mask.cumsum(1) - 1, 0, None)
    cache = empty_cache(session, len(input_ids))
    names = [part.name for part in session.get_outputs()]
    parts: list[Logits] = []
    for start, end in zip([0, *cuts], [*cuts, input_ids.shape[1]], strict=True):
        kept = columns[(columns >= start) & (columns < end)] - start
        feed = {
            "input_ids": input_ids[:, start:end],
            "attention_mask": mask[:, :end],
            "position_ids": positions[:, start:end],
            "logits_to_keep": kept if len(kept) else np.array([end - start - 1]),  # onnxruntime computes no empty rows
        }
        logits, *grown = session.run(names[: len(cache) + 1], feed | cache)
        cache = dict(zip(cache, grown, strict=True))
        parts.append(logits[:, : len(kept)])
    return np.concatenate(parts, axis=1)


def compare_graph(reference: Reference, path: Path) -> Agreement:
    """Runs a graph over the rows of the reference in two passes, the second one with a past."""
    session = open_session(path, 0)

    def compute(batch: Batch) -> Logits:
        middle = batch.input_ids.shape[1] // 2
        return onnx_logits(session, batch.input_ids, batch.mask, [middle] if middle else [], batch.columns)

    return compare(reference, compute, "the ONNX graph")


@dataclass
class DecoderExport:
    """One student on its way to ONNX."""

    weights: MergedWeights
    layout: DecoderLayout
    reference: Reference
    on_stage: Callable[[str], None]

    def write(
        self,
        path: Path,
        mode: Literal["fp32", "int8"],
        wide: Sequence[str] = (),
        channel_maxima: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> Agreement:
        """Writes the graph and compares it.

        Args:
            wide: Groups of products that stay in fp32.
            channel_maxima: As in `Products`.
        """
        kept = f", {len(wide)} groups of products in fp32" if wide else ""
        self.on_stage(f"writing and comparing{kept}")
        for part in graph_files(path):
            part.unlink()
        graph, _ = build_decoder(self.weights, self.layout, mode, wide, channel_maxima)
        graph.save(path)
        del graph
        return compare_graph(self.reference, path)

    def measure(self, work_path: Path) -> tuple[list[str], dict[str, NDArray[np.float32]]]:
        """Groups of products, those first that int8 changes most, and the largest activation of each of their inputs.

        Measured on a few rows of the task: both forms of every product on the activations of fp32.
        """
        self.on_stage("measuring what int8 changes")
        graph, products = build_decoder(self.weights, self.layout, "measured")
        graph.save(work_path)
        session = open_session(work_path, 0)
        names = [ERRORS_OUTPUT, *(f"{CHANNELS_OUTPUT}{number}" for number in range(len(products.channels)))]
        errors = np.zeros(len(products.groups), np.float32)
        maxima: dict[str, NDArray[np.float32]] = {}
        for input_ids in self._measured_rows():
            ids = np.array([input_ids])
            feed = {
                "input_ids": ids,
                "attention_mask": np.ones_like(ids),
                "position_ids": np.arange(ids.size)[None],
                "logits_to_keep": np.arange(ids.size),
            }
            row_errors, *largest = session.run(names, feed | empty_cache(session, 1))
            errors += row_errors
            for group, channels in zip(products.channels, largest, strict=True):
                maxima[group] = np.maximum(maxima.get(group, 0.0), channels)
        for part in graph_files(work_path):
            part.unlink()
        return [products.groups[number] for number in np.argsort(-errors, kind="stable")], maxima

    def _measured_rows(self) -> Iterator[list[int]]:
        """Token ids of some rows, without padding."""
        tokens = 0
        for batch in self.reference.batches:
            for ids, mask in zip(batch.input_ids, batch.mask, strict=True):
                if tokens < MEASURED_TOKENS:
                    yield ids[mask > 0].tolist()
                tokens += int(mask.sum())

    def write_int8(self, path: Path, work_path: Path) -> tuple[list[str], Agreement]:
        """Writes int8 graphs, ever more carefully, until one answers as the merged student.

        First as it is; then with inputs and weights of every product balanced on rows of the task; then with ever more
        products in fp32. Few rows cannot show a floor: of 30 values, one that flips is 3 %. Where no form reaches it,
        the last one is taken if the 95 % interval of its agreement holds the floor.

        Raises:
            ExportDisagrees: Even the most cautious form falls short; says by how much.
        """
        agreement, wide = self.write(path, "int8"), list[str]()
        if agrees(agreement) or not self.reference.is_task:
            return wide, agreement
        order, maxima = self.measure(work_path)
        # Rows of the embedding are looked up: in fp32 they cost space and no time.
        order = [EMBEDDING_GROUP, *(group for group in order if group != EMBEDDING_GROUP)]
        for share in WIDE_SHARES:
            wide = order[: math.ceil(share * len(order))]
            agreement = self.write(path, "int8", wide, maxima)
            if agrees(agreement):
                return wide, agreement
        if not might_agree(agreement):
            raise ExportDisagrees(
                f"int8 writes {agreement.sentence()} ({agreement.value_share:.1%} and {agreement.token_share:.1%}), at"
                f" least {AGREEMENT_FLOOR:.0%} is required; {len(wide)} of {len(order)} groups of products stayed in"
                " fp32",
                "export as gguf-q8_0 or onnx-fp32, or train longer: tokens that are nearly tied flip first",
            )
        return wide, agreement


def agrees(agreement: Agreement) -> bool:
    """Whether values and tokens are the merged student's."""
    return min(agreement.value_share, agreement.token_share) >= AGREEMENT_FLOOR


def might_agree(agreement: Agreement) -> bool:
    """Whether the floor lies within what so few values and tokens can show."""
    counts = ((agreement.same_values, agreement.values), (agreement.same_tokens, agreement.tokens))
    return all(wilson(same, total).high >= AGREEMENT_FLOOR for same, total in counts if total)


def export_decoder(
    merged_dir: Path,
    out_dir: Path,
    quantization: Literal["fp32", "int8"],
    reference: Reference,
    work_dir: Path,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Metrics:
    """Writes model.onnx, with its weights beside it where they are large, tokenizer.json and config.json.

    Args:
        work_dir: For what is not kept.
        on_stage: Called with what is done next.

    Returns:
        `value_agreement` with the merged weights on `values`, `agreement` on `tokens` of `texts`, `divergence`,
        `largest_logit_difference`, `int8_share` of the groups of products, `fp32_groups` by name, `size_bytes`.

    Raises:
        ExportDisagrees: The exported model answers otherwise than the merged one, or one computes no numbers.
        UsageError: No graph is written for a decoder of this kind.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    weights = MergedWeights(merged_dir)
    export = DecoderExport(weights, read_layout(weights), reference, on_stage)
    path, groups = out_dir / "model.onnx", list[str]()
    if quantization == "int8":
        groups, agreement = export.write_int8(path, work_dir / "measured.onnx")
    else:
        agreement = export.write(path, "fp32")
        if agreement.largest_difference > LARGEST_DIFFERENCE * max(1.0, agreement.largest_logit):
            raise ExportDisagrees(
                f"fp32 logits differ by up to {agreement.largest_difference:.4f} from the merged weights', at most"
                f" {LARGEST_DIFFERENCE * max(1.0, agreement.largest_logit):.4f} is expected",
                "export as gguf-q8_0, and report the model's config.json",
            )
    for name in ("config.json", "tokenizer.json"):
        (out_dir / name).write_bytes((merged_dir / name).read_bytes())
    size_bytes = sum(part.stat().st_size for part in graph_files(path))
    metrics: Metrics = {"quantization": quantization, **agreement.metrics(), "size_bytes": size_bytes}
    if quantization == "int8":
        metrics |= {"fp32_groups": ", ".join(groups) or "none", "activation_scale": "row"}
    return metrics
