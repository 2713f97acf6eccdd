"""Mixes the weights of a run with those that it began with: keeps what these could, and most of what the run learnt.

    python examples/base/mix.py --start BASE --run examples/base/checkpoint --share 0.6 --share 0.7 --share 0.8
    python examples/base/mix.py --start BASE --run examples/base/checkpoint --share 0.7 --out examples/base/mixed

Prints how good each mixture is on the documents that `train_base.py` evaluates on; with --out writes the one mixture as
a checkpoint for `publish.py`, its log that of the run and then the mixture's evaluation.

Source: Wortsman et al. 2022, Robust fine-tuning of zero-shot models, section 3.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from lean_llama import rotary
from safetensors.torch import load_file, save_file
from torch import Tensor
from train_base import Encoder, evaluate, evaluation_sets, fresh_model

from appliance.ground.files import write_lines

Weights = dict[str, Tensor]


def mix_weights(start: Weights, run: Weights, share: float) -> Weights:
    """`share` of the run's weights and the rest of those that it began with; both have the same names and shapes."""
    return {name: torch.lerp(weight.float(), run[name].float(), share) for name, weight in start.items()}


def main() -> None:
    """Reads the options, judges, and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="folder of the base that the run began with")
    parser.add_argument("--run", type=Path, required=True, help="checkpoint folder of the run")
    parser.add_argument("--share", type=float, action="append", required=True, help="of the run's weights, 0 to 1")
    parser.add_argument("--out", type=Path, help="folder for the mixture; needs one --share")
    options = parser.parse_args()
    if options.out and len(options.share) != 1:
        parser.error("--out needs one --share")
    start, run = (load_file(folder / "model.safetensors") for folder in (options.start, options.run))
    encode = Encoder(options.run / "tokenizer.json")
    model = fresh_model(encode)
    sets, tables = evaluation_sets(encode), rotary(model.config, torch.device("cpu"))
    for share in options.share:
        weights = mix_weights(start, run, share)
        model.load_state_dict(weights, strict=False)  # the head is tied to the embedding
        records = [{"share": share, "set": name, **evaluate(model, some, tables)} for name, some in sets.items()]
        print("\n".join(map(json.dumps, records)), flush=True)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(options.run / name, options.out / name)
        save_file(weights, str(options.out / "model.safetensors"), metadata={"format": "pt"})
        log = (options.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        last = json.loads(log[-1])
        place = {"step": last["step"], "tokens": last["tokens"]}
        write_lines(options.out / "metrics.jsonl", [*log, *(json.dumps(place | record) for record in records)])


if __name__ == "__main__":
    main()
