"""Training speed and memory beside TRL's SFTTrainer with peft: same model, token ids, adapter, steps, in one run.

    python -m venv --system-site-packages /tmp/peer && /tmp/peer/bin/pip install trl==1.16.0 datasets==5.2.0
    python benchmarks/training.py --base FOLDER --peer-python /tmp/peer/bin/python --json

TRL (Apache-2.0) and datasets (Apache-2.0) are no part of Stillroom; they lie in an environment of their own, beside the
same torch, transformers and peft. Both sides train the same LoRA on the same token ids of generated utility bills, with
loss on the answers alone, AdamW and the same tokens a step; each run is a process of its own, and the sides take turns.
Both compute in the precision that `stillroom train` takes on this processor, where --precision says nothing else; in
bfloat16 TRL has the weights in it and `bf16=True`.
TRL is given each of its settings that could be the fastest here: packing ("bfd", which is free of padding) into rows of
512, 1,024 and 2,048 tokens, and batches sorted by length without packing; loss on completions alone; no checkpointing,
which it does by default and which costs a quarter of its speed. The ratio of speeds is to the fastest of them, the
ratio of memory to the same one, and all are printed.

Tokens are those of the rows, without padding. Seconds are those of the steps, without loading; peak memory is the
process' largest resident set, with everything.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
RANK, ALPHA, RATE, SEED = 16, 32, 1e-3, 0
PEER_SETTINGS = ("packed-512", "packed-1024", "packed-2048", "sorted")
ROWS_OF_A_SORTED_BATCH = 4

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Trial:
    """What one process trains."""

    base: str
    examples: str
    """A file of JSON Lines with `input_ids` and `is_value`."""
    batch_tokens: int
    epochs: int
    layers: int | None
    precision: Precision
    """Of the base's weights and the products with them, on both sides."""
    setting: str
    """`stillroom`, or one of TRL's."""


def write_examples(base_dir: Path, rows: int, path: Path) -> int:
    """Writes the token ids of generated bills as a student is taught by them; gives the number of tokens."""
    from appliance.engines.tokenizer import FileTokenizer
    from appliance.tasks.labels import LabelledRow, text_hash
    from appliance.tasks.linecode import Answer
    from appliance.tasks.taskfile import load_task
    from training.demo.utility import draw_bills, truth_of
    from training.students.decoder.examples import build_examples

    task = load_task(ROOT / "training" / "demo")
    tokenizer = FileTokenizer(base_dir / "tokenizer.json")
    labelled = []
    for number, document in enumerate(draw_bills(SEED, rows, "train")):
        truth = truth_of(document)
        answer: Answer = {field.name: truth.get(field.name) for field in task.output_fields}
        labelled.append(LabelledRow(f"{number}.txt", document.text, answer, text_hash(document.text)))
    examples = build_examples(task, labelled, tokenizer.template, tokenizer.encode)
    with path.open("w", encoding="utf-8") as file:
        for example in examples:
            file.write(json.dumps({"input_ids": example.input_ids, "is_value": example.is_value}) + "\n")
    return sum(len(example.input_ids) for example in examples)


def read_examples(path: str) -> list[dict[str, Any]]:
    """The rows of a file that `write_examples` wrote."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def train_here(trial: Trial) -> dict[str, float]:
    """Seconds and losses of Stillroom's loop."""
    from training.memory_pages import set_memory_defaults

    set_memory_defaults()
    from appliance.tasks.taskfile import load_task
    from training.loop import RunWatch, fit
    from training.metrics import StepProgress
    from training.options import AdapterOptions, TrainingOptions
    from training.students.decoder.examples import TokenExample
    from training.students.decoder.student import DecoderStudent
    from training.students.decoder.training_data import TrainingData

    examples = [TokenExample(row["input_ids"], row["is_value"]) for row in read_examples(trial.examples)]
    longest = max(len(example.input_ids) for example in examples)
    student = DecoderStudent(
        load_task(ROOT / "training" / "demo"), Path(trial.base), TrainingData(examples, [], "", {}, longest)
    )
    adapter = AdapterOptions(rank=RANK, alpha=ALPHA, precision=trial.precision, layers=trial.layers)
    options = TrainingOptions(
        epochs=trial.epochs, learning_rate=RATE, batch_tokens=trial.batch_tokens, field_dropout=0.0, adapter=adapter
    )
    steps: list[StepProgress] = []
    fit(student, options, watch=RunWatch(on_step=steps.append))
    return {"seconds": steps[-1].seconds, "first_loss": steps[0].loss, "last_loss": steps[-1].loss}


def train_peer(trial: Trial) -> dict[str, float]:
    """Seconds and losses of TRL's trainer."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = read_examples(trial.examples)
    data = Dataset.from_list(
        [{"input_ids": row["input_ids"], "completion_mask": list(map(int, row["is_value"]))} for row in rows]
    )
    is_packed, is_half = trial.setting.startswith("packed"), trial.precision == "bfloat16"
    row_tokens = int(trial.setting.partition("-")[2]) if is_packed else max(len(row["input_ids"]) for row in rows)
    mean = sum(len(row["input_ids"]) for row in rows) / len(rows)
    rows_of_a_pass = 1 if is_packed else ROWS_OF_A_SORTED_BATCH
    pass_tokens = row_tokens if is_packed else rows_of_a_pass * mean
    model = AutoModelForCausalLM.from_pretrained(trial.base, dtype=getattr(torch, trial.precision))
    layers = model.config.num_hidden_layers
    trained_layers = None if trial.layers is None else list(range(layers - trial.layers, layers))
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    lora = LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules=names, layers_to_transform=trained_layers, task_type="CAUSAL_LM"
    )
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder, num_train_epochs=trial.epochs, learning_rate=RATE, lr_scheduler_type="cosine",
            per_device_train_batch_size=rows_of_a_pass,
            gradient_accumulation_steps=max(1, round(trial.batch_tokens / pass_tokens)),
            packing=is_packed, packing_strategy="bfd", max_length=row_tokens, completion_only_loss=True,
            gradient_checkpointing=False, bf16=is_half, fp16=False, use_cpu=True, optim="adamw_torch", report_to=[],
            train_sampling_strategy="random" if is_packed else "group_by_length", save_strategy="no",
            logging_steps=1, disable_tqdm=True, dataloader_pin_memory=False, seed=SEED,
        )  # fmt: skip
        tokenizer = AutoTokenizer.from_pretrained(trial.base)
        trainer = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer, peft_config=lora)
        began = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - began
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"seconds": seconds, "first_loss": losses[0], "last_loss": losses[-1]}


def child(trial: Trial) -> None:
    """Trains in this process and prints what it took."""
    figures = train_here(trial) if trial.setting == "stillroom" else train_peer(trial)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    figures["peak_bytes"] = int(peak.split()[1]) * 1024
    print("figures " + json.dumps(figures))


def measure(trial: Trial, python: str, threads: int, processes: int = 1) -> dict[str, float]:
    """What processes of its own take: the seconds of the slowest, the memory of all together."""
    from training.launch import rank_environment

    command = [python, str(Path(__file__).resolve()), "--child", json.dumps(trial.__dict__)]
    own = {"OMP_NUM_THREADS": str(max(1, threads // processes)), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "0"}
    with tempfile.TemporaryDirectory() as folder:
        ranks = [
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=(rank_environment(rank, processes, Path(folder) / "ranks") if processes > 1 else os.environ) | own,
            )
            for rank in range(processes)
        ]
        try:
            figures = [_figures(trial, process) for process in ranks]
        finally:
            for process in ranks:  # one that failed leaves the others waiting for it
                process.kill()
    seconds, memory = max(each["seconds"] for each in figures), sum(each["peak_bytes"] for each in figures)
    return figures[0] | {"seconds": seconds, "peak_bytes": memory}


def _figures(trial: Trial, process: "subprocess.Popen[str]") -> dict[str, float]:
    stdout, stderr = process.communicate()
    lines = [line for line in stdout.splitlines() if line.startswith("figures ")]
    if not lines:
        raise SystemExit(f"{trial.setting} ended with {process.returncode}:\n{stderr[-3000:]}")
    figures: dict[str, float] = json.loads(lines[-1].removeprefix("figures "))
    return figures


def product_speed(threads: int, precision: Precision) -> float:
    """GFLOP/s of the largest matrix product of a small base: what a training step could reach at most."""
    code = (
        f"import time, torch; d = torch.{precision}; times = []\n"
        "x, w = torch.randn(2048, 576, dtype=d), torch.randn(1536, 576, dtype=d)\n"
        "for _ in range(30):\n    t = time.perf_counter(); x @ w.T; times.append(time.perf_counter() - t)\n"
        "print(2 * 2048 * 576 * 1536 / min(times) / 1e9)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return float(run.stdout)


def flops_a_token(base_dir: Path, layers: int | None, epochs: int) -> float:
    """Of the frozen matrices: once forward and once back through trained layers; below these forward in one epoch."""
    from training.memory_need import model_shape

    shape = model_shape(base_dir)
    trained = 1.0 if layers is None else layers / shape.layers
    return 2 * shape.matrix_weights * (2 * trained + (1 - trained) / epochs)


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures of the comparison."""
    from training.base_model import find_base
    from training.memory_need import model_shape
    from training.precision import resolve_precision

    base_dir = find_base(arguments.base)
    precision = resolve_precision(arguments.precision, "decoder", model_shape(base_dir).weights)
    runs: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "examples.jsonl"
        tokens = write_examples(base_dir, arguments.rows, path) * arguments.epochs
        for _ in range(arguments.repetitions):
            for setting in ("stillroom", *arguments.settings):
                trial = Trial(
                    base=str(base_dir),
                    examples=str(path),
                    batch_tokens=arguments.batch_tokens,
                    epochs=arguments.epochs,
                    layers=arguments.layers,
                    precision=precision,
                    setting=setting,
                )
                is_ours = setting == "stillroom"
                python = sys.executable if is_ours else arguments.peer_python
                processes = arguments.processes if is_ours else 1
                runs.setdefault(setting, []).append(measure(trial, python, arguments.threads, processes))
                print(f"{setting}: {runs[setting][-1]}", file=sys.stderr)
    sides = {setting: _side(tokens, each) for setting, each in runs.items()}
    fastest = max(arguments.settings, key=lambda setting: sides[setting]["tokens_per_second"])
    ours, theirs = sides["stillroom"], sides[fastest]
    reached = flops_a_token(base_dir, arguments.layers, arguments.epochs) * ours["tokens_per_second"] / 1e9
    possible = product_speed(arguments.threads, precision)
    return {
        "base": arguments.base,
        "layers": arguments.layers,
        "tokens": tokens,
        "epochs": arguments.epochs,
        "batch_tokens": arguments.batch_tokens,
        "threads": arguments.threads,
        "processes": arguments.processes,
        "precision": precision,
        "ratio_tokens_per_second": round(ours["tokens_per_second"] / theirs["tokens_per_second"], 3),
        "ratio_peak_memory": round(ours["peak_bytes"] / theirs["peak_bytes"], 3),
        "fastest_peer_setting": fastest,
        "gflops": round(reached, 1),
        "gflops_of_a_product": round(possible, 1),
        "sides": sides,
    }


def _side(tokens: int, runs: list[dict[str, float]]) -> dict[str, float]:
    """Medians over the repetitions, with the slowest and the fastest."""
    speeds = [tokens / run["seconds"] for run in runs]
    return {
        "tokens_per_second": round(statistics.median(speeds), 1),
        "slowest": round(min(speeds), 1),
        "fastest": round(max(speeds), 1),
        "peak_bytes": round(statistics.median(run["peak_bytes"] for run in runs)),
        "first_loss": round(runs[0]["first_loss"], 3),
        "last_loss": round(runs[0]["last_loss"], 3),
    }


def main() -> None:
    """Reads the options and compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="stillroom-base", help="name or folder of a base of the llama family")
    parser.add_argument("--peer-python", default=sys.executable, help="the Python of the environment with TRL")
    parser.add_argument("--rows", type=int, default=64, help="documents")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-tokens", type=int, default=2048, help="tokens of a step on both sides")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "float32", "bfloat16"),
        help="of both sides; auto is what `stillroom train` takes on this processor",
    )
    parser.add_argument("--layers", type=int, help="both sides train the last LAYERS layers only")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--processes", type=int, default=1, help="of Stillroom's side, which share the threads; memory of all together"
    )
    parser.add_argument("--settings", nargs="+", default=list(PEER_SETTINGS), choices=PEER_SETTINGS)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(Trial(**json.loads(arguments.child)))
        return
    figures = compare(arguments)
    if arguments.json:
        print(json.dumps(figures))
        return
    print("| side | tokens/s (slowest to fastest) | peak memory |\n|---|---|---|")
    for setting, side in figures["sides"].items():
        speed = f"{side['tokens_per_second']:,} ({side['slowest']:,} to {side['fastest']:,})"
        print(f"| {setting} | {speed} | {side['peak_bytes'] / 1e9:.2f} GB |")
    print({key: value for key, value in figures.items() if key != "sides"})


if __name__ == "__main__":
    main()
