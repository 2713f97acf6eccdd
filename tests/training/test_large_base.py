"""A base of 3 GB goes the whole way in a fraction of the memory that its weights in float32 would need."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decoder_fixtures import order_row, write_base, write_rows, write_task_folder

MOST_BYTES = 8_000_000_000
SHAPE = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_hidden_layers": 13,
    "head_dim": 64,
}
"""Of a model of 1B; in float32, and without its large vocabulary, 13 of its layers weigh 3 GB."""


def tensor_shapes(vocab_size: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a Llama's tensors, head and embedding tied."""
    hidden, inner, keys = SHAPE["hidden_size"], SHAPE["intermediate_size"], 8 * SHAPE["head_dim"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab_size, hidden)}
    for number in range(SHAPE["num_hidden_layers"]):
        place = f"model.layers.{number}."
        shapes |= {f"{place}{name}.weight": (hidden,) for name in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {f"{place}self_attn.{name}_proj.weight": (hidden, hidden) for name in ("q", "o")}
        shapes |= {f"{place}self_attn.{name}_proj.weight": (keys, hidden) for name in ("k", "v")}
        shapes |= {f"{place}mlp.{name}_proj.weight": (inner, hidden) for name in ("gate", "up")}
        shapes[f"{place}mlp.down_proj.weight"] = (hidden, inner)
    return shapes | {"model.norm.weight": (hidden,)}


def write_large_base(directory: Path) -> Path:
    """A Llama of random float32 weights in three files; one block of numbers is repeated, which is quick to write."""
    write_base(directory)
    (directory / "model.safetensors").unlink()
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, **SHAPE, "dtype": "float32"}))
    numbers = np.random.default_rng(0).normal(0, 0.02, 1 << 24).astype(np.float32)
    one = np.ones(SHAPE["hidden_size"], np.float32)
    names = list(shapes := tensor_shapes(config["vocab_size"]))
    places = {}
    for part in range(3):
        file_name, held = f"model-{part + 1:05}-of-00003.safetensors", names[part * len(names) // 3 :]
        held = held[: len(names) * (part + 1) // 3 - part * len(names) // 3]
        places |= dict.fromkeys(held, file_name)
        offset, header = 0, {}
        for name in held:
            size = 4 * int(np.prod(shapes[name]))
            header[name] = {"dtype": "F32", "shape": shapes[name], "data_offsets": [offset, offset + size]}
            offset += size
        text = json.dumps(header).encode()
        with (directory / file_name).open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in held:
                count = int(np.prod(shapes[name]))
                values = one if "norm" in name else numbers[:count]
                file.write(values.data)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return directory


def peak_bytes(*arguments: object) -> int:
    """Runs a command; gives the largest memory of its own pages while it ran, without those of mapped files.

    A mapped file's pages can be dropped and read again: `ru_maxrss` counts them, this does not.
    """
    command = [sys.executable, "-m", "appliance.cli", *map(str, arguments)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ)
    peak = 0
    while True:
        try:
            printed, _ = child.communicate(timeout=0.2)
            break
        except subprocess.TimeoutExpired:
            status = Path(f"/proc/{child.pid}/status").read_text()
            sizes = dict(line.split(":", 1) for line in status.splitlines())
            if "RssAnon" in sizes:
                own = sum(int(sizes[key].split()[0]) for key in ("RssAnon", "RssShmem"))
                peak = max(peak, 1024 * own)
    assert child.returncode == 0, printed.decode()
    return peak


@pytest.mark.slow
def test_three_gigabytes_are_trained_merged_and_exported_in_eight(tmp_path: Path) -> None:
    base_dir = write_large_base(tmp_path / "base")
    stored = sum(path.stat().st_size for path in base_dir.glob("*.safetensors"))
    assert stored > 3_000_000_000
    folder = write_task_folder(tmp_path / "task", base_dir)
    write_rows(folder / "dataset" / "train.jsonl", [order_row(0)])
    write_rows(folder / "dataset" / "validation.jsonl", [order_row(40)])

    options = ("--epochs", 1, "--rank", 2, "--rate", 1e-4, "--train-layers", 1, "--field-dropout", 0)
    peaks = {"train": peak_bytes("train", folder, *options)}
    peaks["merge"] = peak_bytes("merge", folder)
    run_dir = next((folder / "runs").iterdir())
    assert sorted(path.name for path in (run_dir / "merged").glob("*.safetensors")) == [
        f"model-0000{part}-of-00003.safetensors" for part in (1, 2, 3)
    ]
    peaks["export"] = peak_bytes("export", folder, "--target", "gguf-f16")

    assert (run_dir / "export" / "gguf-f16" / "model.gguf").stat().st_size > 1_500_000_000
    assert max(peaks.values()) < MOST_BYTES, peaks
    assert max(peaks["merge"], peaks["export"]) < 1.3 * stored / 3 + 2_000_000_000, peaks
