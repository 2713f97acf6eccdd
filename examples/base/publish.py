"""Makes the base that ships from a checkpoint: 16 bit weights, clean settings, the training log, the model card.

python examples/base/publish.py                                             weights, tokenizer, log, card with gaps
python benchmarks/base.py --out training/demo/base/metrics.json             judges what was published
python examples/base/publish.py --card                                      writes the card again, with the figures
"""

import argparse
import json
import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from safetensors.torch import load_file, save_file

from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.files import part_for_library, write_file
from appliance.ground.text import human_duration, percent_interval
from appliance.tasks.prompt import STILLROOM_TEMPLATE
from training.base_model import weights_hash
from training.students.decoder.merge import to_half

HERE = Path(__file__).resolve().parent
OUT_DIR = HERE.parents[1] / "training" / "demo" / "base"
LARGEST_BYTES = 16_000_000
LARGEST_LOG_BYTES = 200_000
CONFIG_KEYS = (
    "architectures", "attention_bias", "bos_token_id", "eos_token_id", "head_dim", "hidden_act", "hidden_size",
    "initializer_range", "intermediate_size", "max_position_embeddings", "mlp_bias", "model_type",
    "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "pad_token_id", "rms_norm_eps",
    "rope_parameters", "tie_word_embeddings", "vocab_size",
)  # fmt: skip
"""Settings that describe the model; the rest of a checkpoint's describes how it was saved."""
_GAP = re.compile(r"@([a-z0-9_.]+)@")

Facts = Mapping[str, object]


class NotFit(ApplianceError):
    """The checkpoint cannot ship."""


def publish(checkpoint: Path, out: Path) -> None:
    """Writes config.json, model.safetensors, tokenizer.json and tokenizer_config.json.

    Raises:
        UsageError: The folder is no checkpoint.
        NotFit: The weights are larger than what may ship, or the settings are not those of a tied Llama.
    """
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (checkpoint / name).is_file():
            raise UsageError(f"{checkpoint} has no {name}", "run examples/base/train_base.py first")
    settings = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    if settings.get("model_type") != "llama" or not settings.get("tie_word_embeddings"):
        raise NotFit(f"{checkpoint} holds no Llama with tied embeddings", "publish what train_base.py wrote")
    weights = load_file(str(checkpoint / "model.safetensors"))
    halved, dtype_name = to_half({name: value for name, value in weights.items() if name != "lm_head.weight"})
    size = sum(value.nbytes for value in halved.values())
    if size > LARGEST_BYTES:
        raise NotFit(f"{size:,} bytes of weights are more than {LARGEST_BYTES:,}", "train a smaller base")
    out.mkdir(parents=True, exist_ok=True)
    with part_for_library(out / "model.safetensors") as part:
        save_file(halved, str(part), metadata={"format": "pt"})
        part.chmod(0o644)  # safetensors lets only the owner read what it writes
    config = {key: settings[key] for key in CONFIG_KEYS if key in settings} | {"dtype": dtype_name}
    write(out / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
    write(out / "tokenizer.json", (checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer_config = {
        "clean_up_tokenization_spaces": False,
        "eos_token": STILLROOM_TEMPLATE.end,
        "model_max_length": config["max_position_embeddings"],
        "pad_token": "<|pad|>",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    write(out / "tokenizer_config.json", json.dumps(tokenizer_config, indent=2) + "\n")


def write(path: Path, text: str) -> None:
    """Writes a text file that appears whole."""
    write_file(path, text.encode())


def thin(lines: list[str], most_bytes: int = LARGEST_LOG_BYTES) -> list[str]:
    """The log without so many of its steps that it fits; every evaluation and the last step stay."""
    kept, stride = lines, 1
    while sum(len(line.encode()) + 1 for line in kept) > most_bytes and stride < len(lines):
        stride *= 2
        kept = [
            line
            for number, line in enumerate(lines)
            if number % stride == 0 or number == len(lines) - 1 or '"set"' in line
        ]
    return kept


def training_facts(logs: list[list[str]]) -> dict[str, object]:
    """What the logs say about a run, or about several that each began with the weights of the one before.

    Returns:
        Steps, tokens and time of all; the parts they were made in; the tokens of the last run.
    """
    runs = [[json.loads(line) for line in log] for log in logs]
    # The clock starts again whenever a run is continued.
    ends = [
        one["seconds"]
        for run in runs
        for steps in [[record for record in run if "seconds" in record]]
        for one, following in zip(steps, [*steps[1:], {"seconds": -1}], strict=True)
        if following["seconds"] < one["seconds"]
    ]
    if not ends:
        raise UsageError("the training log holds no steps", "name the checkpoint folder of a run")
    tokens, seconds = sum(run[-1]["tokens"] for run in runs), sum(ends)
    return {
        "steps": sum(run[-1]["step"] for run in runs),
        "tokens": tokens,
        "last_tokens": runs[-1][-1]["tokens"],
        "seconds": seconds,
        "duration": human_duration(seconds),
        "tokens_per_second": round(tokens / seconds) if seconds else 0,
        "parts": len(ends),
    }


def processor() -> str:
    """This machine's processor and number of cores."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return f"{os.cpu_count()} cores of an {found.group(1) if found else platform.machine()}"


def fill(template: str, facts: Facts) -> str:
    """The card: each `@name.of.a.fact@` gives way to the fact; one that is not known stays."""

    def value(match: re.Match[str]) -> str:
        found: object = facts
        for part in match.group(1).split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return match.group() if found is None else shown(found)

    return _GAP.sub(value, template)


def shown(fact: object) -> str:
    """A share as percent with its interval and sample size, a number with its thousands marked, a text as it is."""
    if isinstance(fact, Mapping):
        return f"{percent_interval(fact['estimate'], fact['low'], fact['high'])}, n = {fact['n']:,}"
    return f"{fact:,}" if isinstance(fact, int) else str(fact)


def write_card(out: Path) -> list[str]:
    """Writes the model card from the template and `metrics.json`.

    Returns:
        The facts that are still missing.

    Raises:
        NotFit: The figures are of other weights.
    """
    facts = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    digest = weights_hash(out)
    judged = facts.get("judged")
    if judged and judged["base_sha256"] != digest:
        raise NotFit(
            f"the figures in {out / 'metrics.json'} are of the weights {judged['base_sha256'][:16]}, "
            f"published are {digest[:16]}",
            f"judge again with `python benchmarks/base.py --out {out / 'metrics.json'}`",
        )
    facts["weights"] = {"sha256": digest, "size": (out / "model.safetensors").stat().st_size}
    card = fill((HERE / "card.md").read_text(encoding="utf-8"), facts)
    write(out / "README.md", card)
    return sorted(set(_GAP.findall(card)))


def main() -> None:
    """Reads the options and publishes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=HERE / "checkpoint")
    parser.add_argument("--out", type=Path, default=OUT_DIR)
    parser.add_argument("--log", type=Path, default=HERE / "train.log.jsonl", help="where the thinned log goes")
    parser.add_argument(
        "--after", type=Path, help="log of the run whose weights this one began with; its steps count too"
    )
    parser.add_argument("--trained-on", default=processor(), help="hardware of the run, for the card")
    parser.add_argument("--card", action="store_true", help="only write the card again")
    options = parser.parse_args()
    try:
        if not options.card:
            publish(options.checkpoint, options.out)
            paths = [*([options.after] if options.after else []), options.checkpoint / "metrics.jsonl"]
            logs = [path.read_text(encoding="utf-8").splitlines() for path in paths]
            kept = [line for log in logs for line in thin(log, LARGEST_LOG_BYTES // len(logs))]
            write(options.log, "\n".join(kept) + "\n")
            saved = datetime.fromtimestamp((options.checkpoint / "model.safetensors").stat().st_mtime, UTC)
            training = training_facts(logs) | {"hardware": options.trained_on, "date": saved.date().isoformat()}
            write(options.out / "metrics.json", json.dumps({"training": training}, indent=1) + "\n")
        for name in write_card(options.out):
            print(f"not known yet: {name}")
    except ApplianceError as error:
        parser.exit(error.exit_code, f"error: {error.message}\nhint: {error.hint}\n")


if __name__ == "__main__":
    main()
