"""Exported decoders whose weights are finite and whose output is not: for all tokens, or behind one token only.

One dimension of the hidden state is kept free for the token: its embedding alone writes there, and the last norm
multiplies it beyond the range of the numbers. So the logits that follow the token hold NaN or infinity, and no others.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from decoder_fixtures import order

from appliance.engines.engine import NO_NUMBER, Result
from appliance.engines.tokenizer import FileTokenizer

Answers = Callable[[Path, Sequence[str]], list[Result]]
"""What an engine says of texts, from an artifact folder; in the order of the texts."""
DIMENSION = 5
BEYOND = 3e38
"""Times what a norm leaves of a large number it is infinite in float32, and in float16 long before."""


def poison_gguf(path: Path, token: int, scale: float = BEYOND) -> None:
    """Poisons what follows the token, in a GGUF file with matrices in float16.

    Args:
        scale: Of the token's dimension; 0 gives the same model without the poison.
    """
    import gguf

    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(str(path), "r+").tensors}
    tensors["token_embd.weight"][:, DIMENSION] = 0
    tensors["token_embd.weight"][token, DIMENSION] = 1000
    for name, values in tensors.items():
        if name.endswith(("attn_output.weight", "ffn_down.weight")):
            values[DIMENSION] = 0
    tensors["output_norm.weight"][DIMENSION] = scale
    for values in tensors.values():
        values.flush()


def poison_onnx(path: Path, token: int, scale: float = BEYOND) -> None:
    """The same in an fp32 graph, whose products keep their matrices as (input, output)."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    for entry in model.graph.initializer:
        values = np.array(numpy_helper.to_array(entry))
        if entry.name in ("lm_head.weight", "model.embed_tokens.weight"):
            values[:, DIMENSION] = 0
            values[token, DIMENSION] = 1000
        elif entry.name == "model.norm.weight":
            values[DIMENSION] = scale
        elif entry.name.endswith(("o_proj.weight.turned", "down_proj.weight.turned")):
            values[:, DIMENSION] = 0
        entry.CopyFrom(numpy_helper.from_array(values, entry.name))
    onnx.save(model, str(path))


def scale_last_norm(path: Path, scale: float) -> None:
    """Multiplies all that a model computes, in a GGUF file or a graph."""
    if path.suffix == ".gguf":
        import gguf

        norm = next(t.data for t in gguf.GGUFReader(str(path), "r+").tensors if t.name == "output_norm.weight")
        norm[:] = scale
        norm.flush()
        return
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    entry = next(entry for entry in model.graph.initializer if entry.name == "model.norm.weight")
    entry.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(entry), scale), entry.name))
    onnx.save(model, str(path))


def check_poisoned_engine(answers: Answers, artifact_dir: Path, work_dir: Path) -> None:
    """Poisons copies of a sound artifact; what fails is what meets the poison, and nothing else changes."""
    name = "model.gguf" if (artifact_dir / "model.gguf").is_file() else "model.onnx"
    texts = [order(number)[0] for number in range(24, 44)]
    token = FileTokenizer(artifact_dir / "tokenizer.json").encode(" 7", False)[-1]
    results = {}
    for kind, scale in (("sound", 0.0), ("poisoned", BEYOND)):
        copy_dir = shutil.copytree(artifact_dir, work_dir / kind)
        (poison_gguf if name == "model.gguf" else poison_onnx)(copy_dir / name, token, scale)
        results[kind] = [replace(result, seconds=0.0) for result in answers(copy_dir, texts)]
    failed = 0
    for sound, poisoned in zip(results["sound"], results["poisoned"], strict=True):
        if "7" in sound.raw:
            failed += 1
            assert (poisoned.error, poisoned.answer, poisoned.confidence) == (NO_NUMBER, None, {})
            assert poisoned.raw == sound.raw[: sound.raw.index("7") + 1]
        else:
            assert poisoned == sound
    assert 3 < failed < len(texts) - 3

    all_dir = shutil.copytree(artifact_dir, work_dir / "all")
    scale_last_norm(all_dir / name, BEYOND)
    for result in answers(all_dir, texts):
        assert (result.error, result.answer, result.confidence) == (NO_NUMBER, None, {})
        assert result.error_message == "the model's output is not a number"
