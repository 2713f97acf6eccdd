"""When an int8 encoder is too far from its merged weights, with few texts to show it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from encoder_fixtures import LABELS, write_base, write_task_folder

from appliance.tasks.taskfile import load_task
from export.onnx.encoder import ExportedEncoder, quantize_until_it_agrees, torch_logits, write_graph
from export.parity import ExportDisagrees
from training.distill import distil
from training.options import ENCODER_DEFAULTS, AdapterOptions
from training.students.encoder.merge import merge_encoder

TEXTS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A merged tiny student and its fp32 graph."""
    root = tmp_path_factory.mktemp("floor")
    folder = write_task_folder(root / "task", write_base(root / "base"))
    adapter = AdapterOptions(rank=4, alpha=8, dropout=0.1, precision="float32")
    options = replace(ENCODER_DEFAULTS, epochs=6, learning_rate=2e-2, batch_rows=8, adapter=adapter)
    distil(load_task(folder), folder, folder / "run", options)
    merge_encoder(folder / "run", folder / "merged")
    write_graph(ExportedEncoder(folder / "merged").eval(), folder / "full.onnx")
    return folder


def _surest_texts(model: ExportedEncoder) -> tuple[np.ndarray, list[list[int]]]:
    """Texts whose two best labels lie far apart, so that rounding alone flips none; logits and token ids."""
    generator = np.random.default_rng(0)
    drawn = [[2, *generator.integers(5, 30, 4 + number % 6).tolist(), 3] for number in range(20 * TEXTS)]
    logits = torch_logits(model, drawn, len(LABELS))
    ordered = np.sort(logits, axis=1)
    surest = np.argsort(ordered[:, -2] - ordered[:, -1])[:TEXTS]
    return logits[surest], [drawn[row] for row in surest]


@pytest.mark.slow
@pytest.mark.parametrize(("flipped", "taken"), [(1, True), (12, False)], ids=["one of 40", "12 of 40"])
def test_a_flip_among_few_texts_is_no_verdict_but_many_are(folder: Path, flipped: int, taken: bool) -> None:
    expected, token_ids = _surest_texts(ExportedEncoder(folder / "merged"))
    expected[:flipped] *= -1  # as if the merged weights named another label there
    if taken:
        logits, _ = quantize_until_it_agrees(folder / "full.onnx", folder / "int8.onnx", token_ids, expected)
        assert logits.shape == expected.shape
        assert (folder / "int8.onnx").is_file()
    else:
        with pytest.raises(ExportDisagrees, match=r"of 40 texts, at least 99% is required"):
            quantize_until_it_agrees(folder / "full.onnx", folder / "int8.onnx", token_ids, expected)
