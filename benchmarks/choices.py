"""How long a choice of the grammar takes when the model is unsure: the wall on what an engine can write.

    python benchmarks/choices.py --base smollm2 --json

Logits are drawn at random, so that thousands of tokens are likelier than the first one that can stand there, which is
the worst case; documents are generated utility bills. Told are milliseconds a choice, on one thread.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import packages_first  # noqa: F401  # before `training`

from appliance.engines.line_decoder import LineDecoder
from appliance.engines.tokenizer import FileTokenizer
from appliance.tasks.taskfile import load_task
from training.base_model import find_base
from training.demo.utility import draw_bills

TASK_DIR = Path(__file__).resolve().parents[1] / "training" / "demo"


def choice_seconds(tokenizer: FileTokenizer, documents: list[str]) -> list[float]:
    """Of every choice of whole answers."""
    task, generator, seconds = load_task(TASK_DIR), np.random.default_rng(0), list[float]()
    for text in documents:
        decoder = LineDecoder(task, tokenizer.template, tokenizer, tokenizer.encode(text, False))
        decoder.start()
        while not decoder.done:
            logits = generator.standard_normal(tokenizer.vocab_size).astype(np.float32)
            began = time.perf_counter()
            decoder.choose(logits)
            seconds.append(time.perf_counter() - began)
            decoder.advance()
    return seconds


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="stillroom-base", help="whose tokenizer")
    parser.add_argument("--documents", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tokenizer = FileTokenizer(find_base(options.base) / "tokenizer.json")
    bills = [bill.text for bill in draw_bills(0, options.documents, "train")]
    milliseconds = 1e3 * np.array(choice_seconds(tokenizer, bills))
    middle, most, longest = np.quantile(milliseconds, [0.5, 0.95, 1.0])
    figures = {
        "vocabulary": tokenizer.vocab_size,
        "choices": len(milliseconds),
        "mean_ms": round(float(milliseconds.mean()), 2),
        "median_ms": round(float(middle), 2),
        "p95_ms": round(float(most), 2),
        "longest_ms": round(float(longest), 1),
    }
    print(json.dumps(figures) if options.json else figures)


if __name__ == "__main__":
    main()
