"""The base that ships, and the scripts that make, publish and judge it."""

import argparse
import importlib
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from curriculum import draw_examples
from pretraining_documents import draw_document
from smollm_tokenizer import train_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from appliance.engines.tokenizer import FileTokenizer
from appliance.tasks.prompt import document_lines
from training.base_model import PACKAGED_BASE, find_base, load_base
from training.demo.layouts import TRAINING_WAYS

ROOT_DIR = Path(__file__).resolve().parents[3]
BASE_DIR = ROOT_DIR / "training" / "demo" / "base"
LEAST_ACCURACY = 0.85
"""Of 40 fixed documents; the model card has the figure of many, which is higher."""


@pytest.fixture(scope="module")
def base_dir():
    if not (BASE_DIR / "model.safetensors").is_file():
        pytest.skip("no base is published in training/demo/base")
    return BASE_DIR


@pytest.fixture
def example(monkeypatch):
    """Loads a module of examples/base, which is no package."""
    monkeypatch.syspath_prepend(str(ROOT_DIR / "examples" / "base"))
    return importlib.import_module


@pytest.fixture(scope="module")
def benchmark():
    """benchmarks/base.py as a module."""
    if str(ROOT_DIR / "benchmarks") not in sys.path:
        sys.path.append(str(ROOT_DIR / "benchmarks"))  # behind the packages, one of which a script is named like
    spec = importlib.util.spec_from_file_location("benchmark_base", ROOT_DIR / "benchmarks" / "base.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def small_tokenizer():
    rng = random.Random(2)
    documents = [draw_document(rng, "train") for _ in range(50)]
    texts = [" " + line for document in documents for line in document_lines(document.text)]
    return train_tokenizer([*texts, *(" " + field.phrase for one in documents for field in one.output_fields)], 1500)


def small_model(tokenizer, seed=0):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
    )
    return LlamaForCausalLM(config)


def write_checkpoint(folder, tokenizer, model):
    """What a pre-training run leaves behind."""
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    lines = [
        {"step": step, "tokens": 100 * step, "loss": 1.0, "seconds": seconds}
        for step, seconds in ((20, 10), (40, 20), (60, 5), (80, 15))
    ]
    lines.insert(2, {"step": 40, "tokens": 4000, "set": "known", "fields_right": 0.5})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_shipped_base_is_small_and_in_16_bit(base_dir):
    from safetensors.torch import load_file

    assert (base_dir / "model.safetensors").stat().st_size <= 16_000_000
    weights = load_file(base_dir / "model.safetensors")
    assert {value.dtype for value in weights.values()} <= {torch.float16, torch.bfloat16}
    assert "lm_head.weight" not in weights
    assert all(bool(value.isfinite().all()) for value in weights.values())


def test_the_shipped_base_loads_and_its_card_has_its_figures(base_dir, monkeypatch):
    monkeypatch.delenv("STILLROOM_BASE", raising=False)
    model = load_base(find_base(PACKAGED_BASE))
    tokenizer = FileTokenizer(base_dir / "tokenizer.json")
    assert model.config.vocab_size == tokenizer.vocab_size
    assert 4e6 <= sum(weights.numel() for weights in model.parameters()) <= 8e6
    card = (base_dir / "README.md").read_text(encoding="utf-8")
    assert "@" not in card, "a figure of the card is missing: run benchmarks/base.py and publish.py --card"


@pytest.mark.slow
def test_llama_cpp_cuts_thousands_of_documents_as_the_tokenizer_does(base_dir, tmp_path):
    from appliance.engines.llama.model import LlamaModel
    from export.gguf.convert import export_gguf

    export_gguf(base_dir, tmp_path / "base.gguf", "F16")
    model, tokenizer = LlamaModel(tmp_path / "base.gguf"), FileTokenizer(base_dir / "tokenizer.json")
    rng = random.Random(31)
    try:
        for _ in range(2000):
            document = draw_document(rng, "train")
            for text in (*document_lines(document.text), *(field.phrase for field in document.output_fields)):
                assert model.tokenize(" " + text, False) == tokenizer.encode(" " + text, False), text
    finally:
        model.close()


@pytest.mark.slow
def test_the_shipped_base_reads_new_documents(base_dir, benchmark):
    tokenizer = FileTokenizer(base_dir / "tokenizer.json")
    part = benchmark.fitting(benchmark.generated_cases(TRAINING_WAYS, 7), 40, tokenizer)
    found = benchmark.figures(benchmark.judge_cases(load_base(base_dir), tokenizer, part.cases))
    assert found["field_accuracy"]["estimate"] >= LEAST_ACCURACY


def test_the_lean_forward_pass_equals_that_of_transformers(example, small_tokenizer):
    lean = example("lean_llama")
    model = small_model(small_tokenizer).eval()
    ids = torch.randint(0, model.config.vocab_size, (3, 70), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = lean.hidden_states(model, ids, *lean.rotary(model.config, ids.device))
        expected = model.model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=2e-4)  # sums of 96 products in another order


@pytest.mark.parametrize("shape", [(3, 48, 128), (2, 128, 48)], ids=["wide", "tall"])
def test_muon_makes_matrices_nearly_orthogonal(example, shape):
    update = torch.randn(*shape, generator=torch.Generator().manual_seed(3))
    made = example("muon").orthogonal(update, 5, torch.float32)
    u, _, v = torch.linalg.svd(update, full_matrices=False)
    values = torch.linalg.svdvals(made)
    # The coefficients let the singular values swing around one instead of reaching it.
    assert 0.6 < values.min() < values.max() < 1.3
    similarity = torch.nn.functional.cosine_similarity(made.flatten(1), (u @ v).flatten(1))
    assert similarity.min() > 0.97


def test_muon_steps_equal_those_of_torch(example):
    generator = torch.Generator().manual_seed(4)
    ours = [torch.nn.Parameter(torch.randn(40, columns, generator=generator)) for columns in (40, 40, 24)]
    theirs = [torch.nn.Parameter(one.detach().clone()) for one in ours]
    settings = {"lr": 0.01, "momentum": 0.95, "weight_decay": 0.01}
    begun = [one.detach().clone() for one in ours]
    first = example("muon").Muon(ours, dtype=torch.float32, steps=4, **settings)
    second = torch.optim.Muon(theirs, ns_steps=4, adjust_lr_fn="match_rms_adamw", **settings)
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        first.step()
        second.step()
    for one, other, start in zip(ours, theirs, begun, strict=True):
        # torch computes its steps in bfloat16, which has three digits.
        assert (one - other).norm() < 0.03 * (other - start).norm()


@pytest.mark.slow
@pytest.mark.filterwarnings(  # the loop keeps its log open until its process ends
    "ignore:unclosed file:ResourceWarning",
    "ignore:Exception ignored in.*FileIO:pytest.PytestUnraisableExceptionWarning",
)
def test_a_continued_run_equals_an_unbroken_one(example, small_tokenizer, tmp_path, monkeypatch):
    train_base, lean = example("train_base"), example("lean_llama")
    for key, value in (("hidden_size", 64), ("intermediate_size", 96), ("num_hidden_layers", 2)):
        monkeypatch.setitem(lean.BASE_CONFIG, key, value)
    monkeypatch.setattr(train_base, "VOCAB_SIZE", small_tokenizer.get_vocab_size())
    monkeypatch.setattr(train_base, "EVALUATED_DOCUMENTS", 3)

    def pool(number):
        return draw_examples(5, number, 2000, train_base.Encoder(tmp_path / "tokenizer.json"))

    def pools_here(out, seed, first_pool):
        # As the original, but small and in this process.
        while True:
            yield pool(first_pool)
            first_pool += 1

    monkeypatch.setattr(train_base, "pools_of", pools_here)
    small_tokenizer.save(str(tmp_path / "tokenizer.json"))
    sizes = [sum(len(one.input_ids) for one in pool(number)) for number in range(4)]

    def run(name, pools):
        out = tmp_path / name
        out.mkdir(exist_ok=True)
        shutil.copyfile(tmp_path / "tokenizer.json", out / "tokenizer.json")
        tokens = sum(sizes[:pools])
        options = {"out": out, "tokens": tokens, "decay": 1e-9, "evaluate_every": 1e9, "seed": 5, "compile": False}
        options |= {"start": None, "rate": 1.0}
        train_base.train(argparse.Namespace(**options))
        return torch.load(out / "state.pt", weights_only=True)

    unbroken = run("unbroken", 4)
    run("continued", 2)
    continued = run("continued", 4)
    assert continued["tokens"] == unbroken["tokens"] == sum(sizes)
    for name, weights in unbroken["model"].items():
        assert torch.equal(weights, continued["model"][name]), name


def test_publishing_halves_the_weights_and_keeps_the_answers(example, small_tokenizer, tmp_path):
    publish = example("publish")
    model = small_model(small_tokenizer)
    checkpoint = write_checkpoint(tmp_path / "checkpoint", small_tokenizer, model)
    publish.publish(checkpoint, tmp_path / "base")
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    assert config["dtype"] == "float16"
    assert "transformers_version" not in config
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    published = load_base(tmp_path / "base")
    ids = torch.randint(0, model.config.vocab_size, (1, 40), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected, found = model.eval()(input_ids=ids).logits, published.eval()(input_ids=ids).logits
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)  # 11 bits of each weight are left


def test_a_published_base_generates_and_cuts_text_in_transformers(example, small_tokenizer, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    checkpoint = write_checkpoint(tmp_path / "checkpoint", small_tokenizer, small_model(small_tokenizer))
    example("publish").publish(checkpoint, tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    text = "<|user|> invoice number 4711<|document|>"
    ids = FileTokenizer(tmp_path / "base" / "tokenizer.json").encode(text, True)
    assert tokenizer(text)["input_ids"] == ids
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    written = model.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False)
    assert len(written[0]) > len(ids)


def test_a_checkpoint_that_is_too_large_is_not_published(example, small_tokenizer, tmp_path, monkeypatch):
    publish = example("publish")
    checkpoint = write_checkpoint(tmp_path / "checkpoint", small_tokenizer, small_model(small_tokenizer))
    monkeypatch.setattr(publish, "LARGEST_BYTES", 1000)
    with pytest.raises(publish.NotFit, match="more than 1,000"):
        publish.publish(checkpoint, tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_the_log_is_thinned_but_keeps_evaluations_and_the_end(example):
    publish = example("publish")
    lines = [json.dumps({"step": step, "tokens": step, "seconds": step}) for step in range(1000)]
    lines.insert(501, json.dumps({"step": 500, "tokens": 500, "set": "known"}))
    kept = publish.thin(lines, 4000)
    assert sum(len(line) + 1 for line in kept) <= 4000
    assert kept[-1] == lines[-1]
    assert lines[501] in kept
    assert publish.thin(lines[:10], 4000) == lines[:10]


def test_the_time_of_a_continued_run_is_that_of_all_its_parts(example, small_tokenizer, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "checkpoint", small_tokenizer, small_model(small_tokenizer))
    lines = (checkpoint / "metrics.jsonl").read_text().splitlines()
    facts = example("publish").training_facts([lines])
    assert (facts["seconds"], facts["parts"], facts["tokens"], facts["last_tokens"]) == (35, 2, 8000, 8000)


def test_a_run_that_began_with_the_weights_of_another_counts_its_steps_too(example):
    first, second = ([json.dumps({"step": step, "tokens": 100 * step, "seconds": step})] for step in (80, 30))
    facts = example("publish").training_facts([first, second])
    assert facts == {
        "steps": 110, "tokens": 11000, "last_tokens": 3000, "seconds": 110, "duration": "1 min 50 s",
        "tokens_per_second": 100, "parts": 2,
    }  # fmt: skip


def test_a_mixture_lies_between_two_sets_of_weights_and_can_be_published(
    example, base_dir, tmp_path, monkeypatch, capsys
):
    from safetensors.torch import load_file, save_file

    start = {name: weight.float() for name, weight in load_file(base_dir / "model.safetensors").items()}
    run, out = tmp_path / "run", tmp_path / "mixed"
    run.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(base_dir / name, run / name)
    save_file({name: weight + 1.0 for name, weight in start.items()}, run / "model.safetensors")
    (run / "metrics.jsonl").write_text(json.dumps({"step": 20, "tokens": 900, "seconds": 5}) + "\n")
    mix = example("mix")
    monkeypatch.setattr(example("train_base"), "EVALUATED_DOCUMENTS", 1)
    words = ["--start", str(base_dir), "--run", str(run), "--share", "0.25", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["mix.py", *words])
    mix.main()
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {each["set"] for each in printed} == {"known", "new_ways", "pages", "new_pages"}
    for name, weight in load_file(out / "model.safetensors").items():
        torch.testing.assert_close(weight, start[name] + 0.25)
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert log == [log[0], *({"step": 20, "tokens": 900} | each for each in printed)]
    publish = example("publish")
    publish.publish(out, tmp_path / "base")
    assert publish.training_facts([(out / "metrics.jsonl").read_text().splitlines()])["tokens"] == 900
    monkeypatch.setattr(sys, "argv", ["mix.py", *words, "--share", "0.5"])
    with pytest.raises(SystemExit, match="2"):
        mix.main()


def test_the_card_shows_figures_of_these_weights_only(example, small_tokenizer, tmp_path):
    publish = example("publish")
    base = tmp_path / "base"
    publish.publish(write_checkpoint(tmp_path / "checkpoint", small_tokenizer, small_model(small_tokenizer)), base)
    accuracy = {"estimate": 0.95, "low": 0.93, "high": 0.965, "n": 1234}
    judged = {"base_sha256": publish.weights_hash(base), "known": {"literal": {"field_accuracy": accuracy}}}
    (base / "metrics.json").write_text(json.dumps({"judged": judged}))
    missing = publish.write_card(base)
    assert "95.0 % (93.0 to 96.5), n = 1,234" in (base / "README.md").read_text()
    assert not {"judged.known.literal.field_accuracy", "weights.sha256"} & set(missing)
    assert "judged.known.free.field_accuracy" in missing
    (base / "metrics.json").write_text(json.dumps({"judged": judged | {"base_sha256": "0" * 64}}))
    with pytest.raises(publish.NotFit, match="are of the weights"):
        publish.write_card(base)


def test_the_benchmark_counts_fields_by_what_became_of_them(benchmark):
    from appliance.quality.metrics import judge

    task = benchmark.extraction([benchmark.Field("a"), benchmark.Field("b"), benchmark.Field("c")])
    answers = [{"a": "1", "b": None, "c": "x"}, {"a": "2", "b": "3", "c": None}, None]
    judged = [judge(task, "d", {"a": "1", "b": "2", "c": None}, answer) for answer in answers]
    found = benchmark.figures(judged)
    assert (found["field_accuracy"]["n"], found["field_accuracy"]["estimate"]) == (9, pytest.approx(2 / 9, abs=1e-4))
    assert (found["present_right"]["n"], found["present_right"]["estimate"]) == (6, pytest.approx(1 / 6, abs=1e-4))
    assert (found["invented"]["n"], found["invented"]["estimate"]) == (3, pytest.approx(1 / 3, abs=1e-4))
    assert found["documents_right"]["estimate"] == 0.0
    assert found["unanswered"] == 1


def test_the_benchmark_asks_generated_documents_what_was_drawn(benchmark):
    rng = random.Random(9)
    document = draw_document(rng, "test")
    case = benchmark.generated_case(rng, 0, document)
    assert case.task.prompt_spec().phrases == tuple(field.phrase for field in document.output_fields)
    assert [bool(value) for value in case.gold.values()] == [
        field.value is not None for field in document.output_fields
    ]


def test_the_benchmark_knows_which_values_can_be_copied(benchmark):
    fields = [benchmark.Field("total", comparator=benchmark.Comparator.AMOUNT), benchmark.Field("seller")]
    case = benchmark.Case(
        "a",
        "invoice",
        "Total EUR 1,234.50\nThank you",
        benchmark.extraction(fields),
        {"total": "1234.50", "seller": "Ada Ltd"},
    )
    assert benchmark.copyable([case]) == {
        "estimate": 0.5,
        "low": pytest.approx(0.1, abs=0.1),
        "high": pytest.approx(0.9, abs=0.1),
        "n": 2,
    }


def test_the_benchmark_reads_the_real_sets(benchmark, shared_data):
    invoices = list(benchmark.invoice_cases(shared_data / "invoices_pdf"))
    addresses = list(benchmark.address_cases(shared_data / "us_addresses"))
    assert len(invoices) == 17
    assert invoices[0].gold["amount"] == "4.11"
    assert all(case.task.fields for case in invoices)
    assert len(addresses) == 833
    assert [case.name for case in addresses] != sorted(case.name for case in addresses)


def test_documents_are_the_same_in_every_process():
    program = (
        "import random; from pretraining_documents import draw_document; rng = random.Random(77);"
        "print(repr([draw_document(rng, 'test') for _ in range(20)]))"
    )
    rng = random.Random(77)
    here = repr([draw_document(rng, "test") for _ in range(20)])
    environ = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": f"{ROOT_DIR}:{ROOT_DIR / 'examples' / 'base'}"}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.rstrip("\n") == here
