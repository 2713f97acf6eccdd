"""Pre-trains the small base on generated documents; can be stopped at any time and continues where it was.

    python examples/base/train_base.py --out examples/base/checkpoint --tokens 26e6

Runs on a CPU or a GPU. The data are a pure function of seed and position, so a continued run sees what an unbroken one
would see. The rate is constant after the warm-up and falls linearly over the last part of the tokens: a run may be
continued with another number of tokens as long as the fall has not begun.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Full

import torch
from curriculum import TokenizedExample, batches, draw_examples, tokenize
from lean_llama import hidden_states, new_model, rotary
from muon import Muon
from pretraining_documents import draw_document
from smollm_tokenizer import train_tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM

from appliance.tasks.prompt import STILLROOM_TEMPLATE, document_lines
from training.demo.layouts import HELD_OUT_WAYS, TRAINING_WAYS
from training.demo.page_ways import KEPT_OUT_PAGE_WAYS, PAGE_WAYS

POOL_TOKENS = 60_000
LATE_POOL = 100
"""Where a base that already copies enters the curriculum."""
PASS_TOKENS = 2048
"""Of one forward and backward pass, padding included: activations of more do not stay in a processor's cache."""
PRODUCER_PATIENCE_SECONDS = 20.0
VOCAB_SIZE = 4096
MUON_RATE, ADAM_RATE = 4e-3, 3e-3
WARM_UP_STEPS = 60
LAST_RATE = 0.03
EVALUATED_DOCUMENTS = 160


def make_tokenizer(out: Path, seed: int) -> None:
    """Trains and saves the tokenizer, once."""
    from transformers import PreTrainedTokenizerFast

    if (out / "tokenizer.json").is_file():
        return
    rng = random.Random(seed)
    texts: list[str] = []
    for number in range(12_000):
        document = draw_document(rng, "train", short=3 if number % 3 == 0 else 0)
        texts += [" " + line for line in document_lines(document.text)]
        texts += [" " + field.phrase for field in document.output_fields]
    tokenizer = train_tokenizer(texts, VOCAB_SIZE)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=STILLROOM_TEMPLATE.end,
        pad_token="<|pad|>",
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(out)


class Encoder:
    """Text to ids by the saved tokenizer."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(path))

    def __call__(self, text: str, special: bool) -> list[int]:
        """Ids of a text; marks in it are marks only where it is `special`."""
        self.tokenizer.encode_special_tokens = not special
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)


def _produce(out: str, seed: int, first_pool: int, queue: "multiprocessing.Queue[list[TokenizedExample]]") -> None:
    encode = Encoder(Path(out) / "tokenizer.json")
    pool, parent = first_pool, os.getppid()
    while True:
        examples = draw_examples(seed, pool, POOL_TOKENS, encode)
        while True:
            try:
                queue.put(examples, timeout=PRODUCER_PATIENCE_SECONDS)
                break
            except Full:
                if os.getppid() != parent:  # a killed run takes no more
                    return
        pool += 1


def pools_of(out: Path, seed: int, first_pool: int) -> Iterator[list[TokenizedExample]]:
    """Pools of examples, made ahead in a process of their own."""
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[list[TokenizedExample]] = context.Queue(maxsize=4)
    process = context.Process(target=_produce, args=(str(out), seed, first_pool, queue), daemon=True)
    process.start()
    while True:
        yield queue.get()


def tensors(batch: list[TokenizedExample], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Input ids (batch, seq_len), flat positions that predict a learnt token, these tokens, and their weights."""
    length = max(len(example.input_ids) for example in batch)
    # Lengths in steps of 16: fewer shapes to compile for and to plan.
    length = -(-length // 16) * 16
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    weights = torch.zeros(len(batch), length)
    for row, example in enumerate(batch):
        ids[row, : len(example.input_ids)] = torch.tensor(example.input_ids)
        weights[row, : len(example.weights)] = torch.tensor(example.weights)
    learnt = weights[:, 1:].reshape(-1).nonzero().squeeze(1)
    positions = learnt // (length - 1) * length + learnt % (length - 1)
    targets = ids.reshape(-1)[positions + 1]
    return ids.to(device), positions.to(device), targets.to(device), weights.reshape(-1)[positions + 1].to(device)


def loss_of(
    model: LlamaForCausalLM, hidden: Tensor, positions: Tensor, targets: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Sum of the weighted losses, and the plain mean of the loss on values."""
    chosen = hidden.reshape(-1, hidden.shape[-1])[positions]
    losses = functional.cross_entropy(
        functional.linear(chosen, model.model.embed_tokens.weight).float(), targets, reduction="none"
    )
    value = weights == 1.0
    return (losses * weights).sum(), losses[value].mean().detach()


def evaluation_set(
    encode: Encoder, ways: tuple[str, ...], seed: int, page: bool = False
) -> list[tuple[TokenizedExample, list[bool]]]:
    """Test documents as ids, with whether each output field is in the document."""
    rng = random.Random(seed)
    chosen: list[tuple[TokenizedExample, list[bool]]] = []
    while len(chosen) < EVALUATED_DOCUMENTS:
        document = draw_document(rng, "test", ways=ways, page=page)
        example = tokenize(rng, document, encode, 0.0)
        if len(example.input_ids) <= 1000:
            chosen.append((example, [field.value is not None for field in document.output_fields]))
    return sorted(chosen, key=lambda pair: len(pair[0].input_ids))


def evaluation_sets(encode: Encoder) -> dict[str, list[tuple[TokenizedExample, list[bool]]]]:
    """Tidy documents and pages, each printed in ways that were trained and in ways that were not."""
    return {
        "known": evaluation_set(encode, TRAINING_WAYS, 77),
        "new_ways": evaluation_set(encode, HELD_OUT_WAYS, 78),
        "pages": evaluation_set(encode, tuple(PAGE_WAYS), 79, page=True),
        "new_pages": evaluation_set(encode, tuple(KEPT_OUT_PAGE_WAYS), 80, page=True),
    }


@torch.no_grad()
def evaluate(
    model: LlamaForCausalLM, examples: list[tuple[TokenizedExample, list[bool]]], tables: tuple[Tensor, Tensor]
) -> dict[str, float]:
    """Shares of fields whose every token is the first choice, and of absent fields that got a value.

    The true answer so far is given: a wrong value does not mislead the next ones.
    """
    device = tables[0].device
    right = present = invented = absent = whole = 0
    for at in range(0, len(examples), 16):
        part = examples[at : at + 16]
        ids, _, _, _ = tensors([example for example, _ in part], device)
        hidden = hidden_states(model, ids, *tables)
        for row, (example, is_present) in enumerate(part):
            positions = [p for p, weight in enumerate(example.weights) if weight == 1.0]
            best = (
                functional.linear(hidden[row, [p - 1 for p in positions]], model.model.embed_tokens.weight)
                .argmax(-1)
                .tolist()
            )
            fields: list[bool] = []
            good = True
            for number, (position, token) in enumerate(zip(positions, best, strict=True)):
                good = good and example.input_ids[position] == token
                if number + 1 == len(positions) or positions[number + 1] != position + 1:
                    fields.append(good)
                    good = True
            whole += all(fields)
            for correct, here in zip(fields, is_present, strict=True):
                present, absent = present + here, absent + (not here)
                right, invented = right + (correct and here), invented + (not correct and not here)
    return {
        "fields_right": round((right + absent - invented) / (present + absent), 4),
        "present_right": round(right / max(present, 1), 4),
        "invented": round(invented / max(absent, 1), 4),
        "documents_right": round(whole / len(examples), 4),
        "fields": present + absent,
    }


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the machine multiplies it faster than float32."""
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def learn(
    model: LlamaForCausalLM,
    forward: Callable[..., Tensor],
    parts: list[list[TokenizedExample]],
    tables: tuple[Tensor, Tensor],
    dtype: torch.dtype,
) -> tuple[float, float]:
    """Adds the gradients of a step, one pass for each part; the loss per weight, and the loss on values."""
    device = tables[0].device
    total_weight = sum(sum(example.weights[1:]) for part in parts for example in part)
    loss, value_loss = 0.0, 0.0
    for part in parts:
        ids, positions, targets, weights = tensors(part, device)
        with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
            part_loss, part_value_loss = loss_of(model, forward(model, ids, *tables), positions, targets, weights)
        (part_loss / total_weight).backward()
        loss, value_loss = loss + part_loss.item() / total_weight, value_loss + part_value_loss.item() / len(parts)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    return loss, value_loss


def rate_at(step: int, tokens: int, total: float, decay: float) -> float:
    """Share of the full rate: warm-up, constant, linear fall over the last `decay` of the tokens."""
    rest = max(0.0, (total - tokens) / total)
    return min(1.0, (step + 1) / WARM_UP_STEPS) * (
        1.0 if rest > decay or not decay else LAST_RATE + (1 - LAST_RATE) * rest / decay
    )


def save(model: LlamaForCausalLM, optimizers: list[torch.optim.Optimizer], state: dict[str, int], out: Path) -> None:
    """Model in its exchange format, and all that a continued run needs."""
    model.save_pretrained(out)
    record = {"model": model.state_dict(), "optimizers": [optimizer.state_dict() for optimizer in optimizers], **state}
    torch.save(record, out / "state.pt.part")
    (out / "state.pt.part").replace(out / "state.pt")


def fresh_model(encode: Encoder) -> LlamaForCausalLM:
    """A model with random weights for this tokenizer."""
    return new_model(VOCAB_SIZE, encode(STILLROOM_TEMPLATE.end, True)[0], encode("<|pad|>", True)[0])


def start_from(model: LlamaForCausalLM, base: Path) -> None:
    """Takes the weights of a base that is there."""
    from safetensors.torch import load_file

    missing, unknown = model.load_state_dict(load_file(base / "model.safetensors"), strict=False)
    missing = [name for name in missing if name != "lm_head.weight"]  # tied to the embedding
    if missing or unknown:
        raise SystemExit(f"{base} has another shape: {[*missing, *unknown][:3]}")


def train(options: argparse.Namespace) -> None:
    """The loop."""
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    if options.start and not (out / "tokenizer.json").is_file():
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(options.start / name, out / name)
    make_tokenizer(out, options.seed)
    encode = Encoder(out / "tokenizer.json")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(options.seed)
    model = fresh_model(encode).to(device)
    tables = rotary(model.config, device)
    dtype = fast_dtype(device)
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = [
        Muon(matrices, MUON_RATE, dtype),
        torch.optim.AdamW(others, ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]
    state = {"step": 0, "tokens": 0, "pool": 0}
    if options.start:
        start_from(model, options.start)
        state["pool"] = LATE_POOL
    if (out / "state.pt").is_file():
        saved = torch.load(out / "state.pt", map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimizer, record in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(record)
        state = {key: int(saved[key]) for key in state}
    forward = torch.compile(hidden_states, dynamic=True) if options.compile else hidden_states
    sets = evaluation_sets(encode)
    log = (out / "metrics.jsonl").open("a", buffering=1)
    began, began_tokens, saved_at, evaluated_at = time.monotonic(), state["tokens"], state["tokens"], state["tokens"]

    def log_evaluation() -> None:
        for name, examples in sets.items():
            figures = {"set": name, **evaluate(model, examples, tables)}
            log.write(json.dumps({"step": state["step"], "tokens": state["tokens"], **figures}) + "\n")

    if options.start and not state["step"]:
        log_evaluation()
    for pool in pools_of(out, options.seed, state["pool"]):
        passes = list(batches(pool, PASS_TOKENS, random.Random(state["pool"])))
        count = 2 if state["pool"] * POOL_TOKENS < 4e6 else 3
        for parts in (passes[at : at + count] for at in range(0, len(passes), count)):
            share = rate_at(state["step"], state["tokens"], options.tokens, options.decay)
            for optimizer, rate in zip(optimizers, (MUON_RATE, ADAM_RATE), strict=True):
                optimizer.param_groups[0]["lr"] = rate * share * options.rate
            loss, value_loss = learn(model, forward, parts, tables, dtype)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            state["step"] += 1
            state["tokens"] += sum(len(example.input_ids) for part in parts for example in part)
            if state["step"] % 20 == 0:
                seconds = time.monotonic() - began
                figures = {
                    "loss": round(loss, 4),
                    "value_loss": round(value_loss, 4),
                    "rate": round(share, 4),
                }
                speed = round((state["tokens"] - began_tokens) / seconds)
                log.write(
                    json.dumps(
                        {
                            "step": state["step"],
                            "tokens": state["tokens"],
                            **figures,
                            "seconds": round(seconds),
                            "tokens_per_second": speed,
                        }
                    )
                    + "\n"
                )
        state["pool"] += 1
        finished = state["tokens"] >= options.tokens
        if state["tokens"] - evaluated_at >= options.evaluate_every or finished:
            evaluated_at = state["tokens"]
            log_evaluation()
        if state["tokens"] - saved_at >= 5e5 or finished:
            saved_at = state["tokens"]
            save(model, optimizers, state, out)
        if finished:
            break


def main() -> None:
    """Reads the options and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "checkpoint")
    parser.add_argument("--tokens", type=float, default=26e6, help="tokens to train on")
    parser.add_argument("--decay", type=float, default=0.35, help="last share of the tokens over which the rate falls")
    parser.add_argument("--evaluate-every", type=float, default=1e6, help="tokens between two evaluations")
    parser.add_argument("--start", type=Path, help="folder of a base whose weights and tokenizer are taken")
    parser.add_argument("--rate", type=float, default=1.0, help="share of the full learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="compile the forward pass (needs a C++ compiler)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options)


if __name__ == "__main__":
    main()
