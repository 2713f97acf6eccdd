"""Decoder students to ONNX: the graph in fp32, or in int8 with as much in fp32 as its answers need."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from appliance.engines.onnx_session import open_session
from export.batches import Batch
from export.merged_weights import MergedWeights
from export.onnx.decoder_graph import build_decoder
from export.onnx.decoder_layout import DecoderLayout, read_layout
from export.onnx.graphs import Metrics, graph_files
from export.onnx.products import CHANNELS_OUTPUT, ERRORS_OUTPUT
from export.parity import ExportDisagrees
from export.reference import Agreement, Reference, agrees, compare, might_agree, refuse_other_answers

if TYPE_CHECKING:
    import onnxruntime

LARGEST_DIFFERENCE = 1e-3
"""Of fp32 logits, as a share of the largest logit: float32 sums in another order differ by a hundredth of it."""
WIDE_SHARES = (0.0, 1 / 3, 0.75)
"""Of the groups of products: how many compute in fp32 in each attempt, those first that lose most to int8."""
USUAL_SHARE = 1 / 3
"""No more than that are widened for rows that are too few to show whether the floor is reached."""
MEASURED_TOKENS = 256
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


def compare_graph(reference: Reference, path: Path, is_final: bool = True) -> Agreement:
    """Runs a graph over the rows of the reference in two passes, the second one with a past.

    Args:
        is_final: As in `compare`.
    """
    session = open_session(path, 0)

    def compute(batch: Batch) -> Logits:
        middle = batch.input_ids.shape[1] // 2
        return onnx_logits(session, batch.input_ids, batch.mask, [middle] if middle else [], batch.columns)

    return compare(reference, compute, "the ONNX graph", is_final)


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
        is_final: bool = True,
    ) -> Agreement:
        """Writes the graph and compares it.

        Args:
            wide: Groups of products that compute in fp32.
            channel_maxima: As in `Products`.
            is_final: As in `compare`.
        """
        kept = f", {len(wide)} groups of products in fp32" if wide else ""
        self.on_stage(f"writing and comparing{kept}")
        for part in graph_files(path):
            part.unlink()
        graph, _ = build_decoder(self.weights, self.layout, mode, wide, channel_maxima)
        graph.save(path)
        del graph
        return compare_graph(self.reference, path, is_final)

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

        First with all products in int8, inputs and weights balanced by what rows of the task bring, then with ever more
        of them in fp32. The first attempt ends with the value that puts the floor out of reach; of the others it is
        enough that the 95 % interval of their agreement holds the floor.

        Raises:
            ExportDisagrees: Even the most cautious form falls short; says by how much.
        """
        if not self.reference.is_task:
            return [], self.write(path, "int8")
        order, maxima = self.measure(work_path)
        for share in WIDE_SHARES:
            wide, is_cautious = order[: int(share * len(order))], share >= USUAL_SHARE
            agreement = self.write(path, "int8", wide, maxima, is_cautious)
            if agrees(agreement) or (is_cautious and might_agree(agreement)):
                break
        else:
            hint = "export as gguf-q8_0 or onnx-fp32, or train longer: tokens that are nearly tied flip first"
            refuse_other_answers(agreement, f"int8 with {len(wide)} of {len(order)} groups of products in fp32", hint)
        return wide, agreement


def described_groups(groups: Sequence[str]) -> str:
    """Groups of products in a line: each kind with its layers, such as `head, qkv of layers 0-2 5`."""
    layers: dict[str, list[int]] = {}
    for group in groups:
        if group.startswith("layer "):
            number, kind = group.removeprefix("layer ").split(" ", 1)
            layers.setdefault(kind, []).append(int(number))
    others = [group for group in groups if not group.startswith("layer ")]
    return ", ".join([*others, *(f"{kind} of layers {_ranges(sorted(layers[kind]))}" for kind in layers)]) or "none"


def _ranges(numbers: Sequence[int]) -> str:
    """Rising numbers, such as `0-2 5`."""
    starts = [number for number in numbers if number - 1 not in numbers]
    ends = [number for number in numbers if number + 1 not in numbers]
    return " ".join(f"{start}-{end}" if end > start else str(start) for start, end in zip(starts, ends, strict=True))


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
        metrics |= {"fp32_groups": described_groups(groups), "activation_scale": "row"}
    return metrics
