"""A tiny random Llama with a real tokenizer, and a task of order forms: the true architecture and formats."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.ground.files import write_lines
from appliance.tasks.labels import LabelledRow, text_hash

FIELDS = ("order_number", "customer", "total")
NAMES = ("Ann Miller", "Bo Chen", "Cora Diaz", "Dan Evans", "Eve Fox", "Finn Gray")
RUN_NAME = "20260101-000000"
TASK = """version = 1
name = "orders"
kind = "extract"
instruction = "Read the order"

[[fields]]
name = "order_number"
type = "text"

[[fields]]
name = "customer"
type = "text"

[[fields]]
name = "total"
type = "amount"

[student]
base = "{base}"
"""


def order(number: int) -> tuple[str, dict[str, str | list[str] | None]]:
    """Text and answer of an order form; every fourth one has no customer."""
    generator = random.Random(number)
    answer = {
        "order_number": f"{generator.randrange(1000, 9999)}",
        "customer": None if number % 4 == 3 else generator.choice(NAMES),
        "total": f"{generator.randrange(1, 90)}.{generator.randrange(10, 99)}",
    }
    lines = [f"Order number: {answer['order_number']}", f"Total: {answer['total']}"]
    if answer["customer"]:
        lines.insert(generator.randrange(3), f"Customer: {answer['customer']}")
    notes = ["Thank you", "Paid by card", "Call before delivery", "Ring twice"]
    return "\n".join([generator.choice(notes), *lines]), dict(answer)


def order_row(number: int) -> LabelledRow:
    """An order as a row of a dataset."""
    text, answer = order(number)
    return LabelledRow(f"order-{number:03}.txt", text, answer, text_hash(text), teacher="teacher-1")


def write_base(directory: Path, seed: int = 0) -> Path:
    """A random Llama of two layers in the format that bases have."""
    import torch
    from smollm_tokenizer import train_tokenizer
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    texts = [" " + line for number in range(200) for line in order(number)[0].splitlines()]
    tokenizer = train_tokenizer([*texts, " order number:", " customer:", " total:", " Read the order"], 400)
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "pad_token": "<|pad|>"}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(str(directory))
    return directory


def write_rows(path: Path, rows: Sequence[LabelledRow]) -> None:
    """A dataset file."""
    write_lines(path, map(LabelledRow.line, rows))


def write_task_folder(folder: Path, base_dir: Path, rows: int = 32) -> Path:
    """A task folder with task.toml and dataset/."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.toml").write_text(TASK.format(base=base_dir), encoding="utf-8")
    for name, start in (("train", 0), ("validation", rows), ("test", rows + 8)):
        write_rows(
            folder / "dataset" / f"{name}.jsonl",
            [order_row(n) for n in range(start, start + (rows if not start else 8))],
        )
    return folder


def memorise(base_dir: Path, merged_dir: Path, rows: Sequence[LabelledRow], task_folder: Path, steps: int = 80) -> None:
    """Weights of the base that know these rows by heart, in 16 bit: what they write, they write with wide margins."""
    import torch
    from safetensors.torch import save_file
    from torch.nn import functional

    from appliance.engines.tokenizer import FileTokenizer
    from appliance.tasks.taskfile import load_task
    from training.base_model import load_base
    from training.students.decoder.examples import build_examples, pack
    from training.students.decoder.forward import value_logits

    tokenizer, model = FileTokenizer(base_dir / "tokenizer.json"), load_base(base_dir)
    batch = pack(build_examples(load_task(task_folder), rows, tokenizer.template, tokenizer.encode))
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(value_logits(model, batch), batch.labels).backward()
        optimizer.step()
    weights = {name: value.half() for name, value in model.state_dict().items() if name != "lm_head.weight"}
    merged_dir.mkdir(parents=True, exist_ok=True)
    save_file(weights, str(merged_dir / "model.safetensors"), metadata={"format": "pt"})
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (merged_dir / name).write_bytes((base_dir / name).read_bytes())


def write_merged_run(folder: Path) -> Path:
    """A task folder with one finished run whose merged student knows the validation rows; gives the run."""
    from appliance.tasks.taskfile import load_task
    from training.merge import pack

    base_dir = write_base(folder / "base")
    write_task_folder(folder, base_dir)
    run_dir = folder / "runs" / RUN_NAME
    memorise(base_dir, run_dir / "staging", [order_row(number) for number in range(32, 40)], folder)
    for name in ("task.toml", "staging/task.toml"):
        (run_dir / name).write_bytes((folder / "task.toml").read_bytes())
    (run_dir / "record.json").write_text("{}")
    lineage = {
        "base": "tiny",
        "base_hash": "b" * 64,
        "adapter_hash": "a" * 64,
        "data_hash": "d" * 64,
        "run": run_dir.name,
    }
    pack(load_task(folder), run_dir / "staging", run_dir / "merged", lineage, "stillroom-1")
    return run_dir


def exported_run(root: Path) -> Path:
    """A merged run with its ONNX artifacts, made once for all modules that name the same root; not to be changed."""
    from export.targets import export_all

    folder = root / "exported-run"
    if not folder.exists():
        export_all(write_merged_run(folder) / "merged", ["onnx-fp32", "onnx-int8"])
    return folder / "runs" / RUN_NAME


def cli(*arguments: object, timeout_seconds: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command line in a process of its own."""
    command = [sys.executable, "-m", "appliance.cli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, timeout=timeout_seconds
    )
