"""A decoder's loss against a local teacher: equal to float64, a few logits at a time, and on answers of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from decoder_fixtures import order_row, write_base, write_task_folder
from scipy.special import log_softmax, rel_entr
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from appliance.engines.tokenizer import FileTokenizer
from appliance.tasks.prompt import join_ids, prefix_segments
from appliance.tasks.taskfile import load_task
from training.base_model import load_base
from training.distillation_options import DistillationOptions
from training.divergences import TopTokens, top_tokens
from training.local_teacher import LocalTeacher, NotFinite
from training.losses import masked_cross_entropy
from training.students.decoder import output_head
from training.students.decoder.examples import Batch, TokenExample, build_examples, pack
from training.students.decoder.forward import value_logits
from training.students.decoder.on_policy import Writer
from training.students.decoder.output_head import head_logits, written_states
from training.students.decoder.teacher_loss import StoredPlaces, live_loss, stored_loss

SHAPE = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "initializer_range": 0.2,
}  # fmt: skip
SCALED = {
    "llama": {},
    "granite": {"logits_scaling": 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.22},
    "gemma2": {"sliding_window": 8, "final_logit_softcapping": 3.0, "attn_logit_softcapping": 5.0},
}
OTHERS = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "cohere": {"logit_scale": 0.0625},
    "phi3": {},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    "gemma3_text": {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
}
CASES = [
    *(pytest.param(name, settings, id=name) for name, settings in SCALED.items()),
    *(pytest.param(name, settings, id=name, marks=pytest.mark.slow) for name, settings in OTHERS.items()),
]
FORWARD_KL = DistillationOptions("teacher", loss="forward-kl")


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def examples(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[TokenExample]:
    task = load_task(write_task_folder(tmp_path_factory.mktemp("task"), base_dir))
    tokenizer = FileTokenizer(base_dir / "tokenizer.json")
    return build_examples(task, [order_row(n) for n in range(6)], tokenizer.template, tokenizer.encode)


@pytest.fixture
def student(base_dir: Path) -> PreTrainedModel:
    return load_base(base_dir)


@pytest.fixture
def teacher(base_dir: Path) -> LocalTeacher:
    model = load_base(base_dir)
    with torch.no_grad():
        for number, weights in enumerate(model.parameters()):
            weights.add_(0.02 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(number)))
    return LocalTeacher("teacher", "t" * 64, model.eval().requires_grad_(False), 256, base_dir)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_head, "CHUNK_LOGITS", 1)
    monkeypatch.setattr(output_head, "LEAST_CHUNK", 5)


def random_examples() -> list[TokenExample]:
    return [
        TokenExample(torch.randint(3, 96, (length,)).tolist(), [False] * (length - 5) + [True] * 5)
        for length in (30, 7, 19)
    ]


@pytest.mark.parametrize(("model_type", "settings"), CASES)
def test_logits_of_a_few_positions_are_those_of_the_models_own_forward(
    model_type: str, settings: dict[str, object]
) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **{**SHAPE, **settings})).eval()
    batch = pack(random_examples())
    with torch.no_grad():
        expected = value_logits(model, batch)
        states = written_states(model, batch)
        logits = torch.cat([head_logits(model, states[:4]), head_logits(model, states[4:])])
        again = value_logits(model, batch)
    assert torch.allclose(logits, expected, atol=1e-5)
    assert torch.equal(again, expected), "the model is as it was"


def reference_loss(
    student: PreTrainedModel, teacher: LocalTeacher, batch: Batch, options: DistillationOptions
) -> float:
    with torch.no_grad():
        logits = [value_logits(model, batch).numpy().astype(np.float64) for model in (student, teacher.model)]
    shares = [np.exp(log_softmax(part / options.temperature, axis=1)) for part in logits]
    divergences = options.temperature**2 * rel_entr(shares[1], shares[0]).sum(1)
    labels = -log_softmax(logits[0], axis=1)[np.arange(len(batch.labels)), batch.labels.numpy()]
    weights = batch.weights.numpy()
    each = options.teacher_share * divergences + (1 - options.teacher_share) * labels
    return float((weights * each).sum() / weights.sum())


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_the_loss_is_the_mean_of_divergence_and_cross_entropy(
    student: PreTrainedModel, teacher: LocalTeacher, examples: list[TokenExample], share: float
) -> None:
    batch = pack([replace(examples[0], weight=0.25), *examples[1:3]])
    options = replace(FORWARD_KL, temperature=1.5, teacher_share=share)
    loss = live_loss(student, batch, teacher, student.config.vocab_size, options)
    assert loss.item() == pytest.approx(reference_loss(student, teacher, batch, options), rel=1e-4)


@pytest.mark.usefixtures("small_chunks")
def test_chunks_have_the_loss_and_gradients_of_the_whole(
    student: PreTrainedModel, teacher: LocalTeacher, examples: list[TokenExample]
) -> None:
    batch = pack(examples[:3])
    gradients = []
    for logits_at_once in (1 << 23, 1):
        output_head.CHUNK_LOGITS = logits_at_once
        student.zero_grad()
        loss = live_loss(student, batch, teacher, student.config.vocab_size, replace(FORWARD_KL, teacher_share=0.5))
        loss.backward()
        gradients.append(
            [loss.item(), *(weights.grad.clone() for weights in student.parameters() if weights.grad is not None)]
        )
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-5)
    for whole, chunked in zip(gradients[0][1:], gradients[1][1:], strict=True):
        assert torch.allclose(whole, chunked, atol=1e-5)


@pytest.mark.usefixtures("small_chunks")
def test_no_more_logits_are_there_than_a_chunk_holds(
    student: PreTrainedModel, teacher: LocalTeacher, examples: list[TokenExample], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    real = output_head.head_logits

    def counted(model: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
        sizes.append(len(states))
        return real(model, states)

    monkeypatch.setattr("training.students.decoder.teacher_loss.head_logits", counted)
    batch = pack(examples)
    live_loss(student, batch, teacher, student.config.vocab_size, FORWARD_KL).backward()
    assert max(sizes) == 5 < len(batch.labels)


def test_tokens_beyond_the_common_tokenizer_do_not_count(
    student: PreTrainedModel, teacher: LocalTeacher, examples: list[TokenExample]
) -> None:
    size, batch = student.config.vocab_size, pack(examples[:2])
    expected = live_loss(student, batch, teacher, size, FORWARD_KL).item()
    teacher.model.resize_token_embeddings(size + 64, mean_resizing=False)
    assert live_loss(student, batch, teacher, size, FORWARD_KL).item() == pytest.approx(expected, abs=1e-6)


def test_a_teacher_that_computes_no_numbers_ends_the_run(
    student: PreTrainedModel, teacher: LocalTeacher, examples: list[TokenExample]
) -> None:
    with torch.no_grad():
        teacher.model.get_output_embeddings().weight[7] = torch.nan
    with pytest.raises(NotFinite, match="the teacher teacher computes logits"):
        live_loss(student, pack(examples[:1]), teacher, student.config.vocab_size, FORWARD_KL)


def test_places_without_a_stored_distribution_learn_from_their_label(
    student: PreTrainedModel, teacher: LocalTeacher, examples: list[TokenExample]
) -> None:
    batch = pack(examples[:2])
    with torch.no_grad():
        top = top_tokens(value_logits(teacher.model, batch), 8, 1.0)
        expected = float(masked_cross_entropy(value_logits(student, batch), batch.labels, batch.weights))
    unknown = StoredPlaces(
        TopTokens(*(torch.zeros_like(part) for part in (top.ids, top.log_probabilities, top.log_rest))),
        torch.zeros(len(batch.labels), dtype=torch.bool),
    )
    options = DistillationOptions(teacher_logits="file", loss="forward-kl")
    assert stored_loss(student, batch, unknown, student.config.vocab_size, options).item() == pytest.approx(
        expected, rel=1e-5
    )
    known = StoredPlaces(top, torch.ones(len(batch.labels), dtype=torch.bool))
    stored = stored_loss(student, batch, known, student.config.vocab_size, options).item()
    full = live_loss(student, batch, teacher, student.config.vocab_size, FORWARD_KL).item()
    assert 0 < stored <= full


@pytest.mark.slow
def test_a_student_writes_answers_of_its_own_within_the_grammar(
    base_dir: Path, student: PreTrainedModel, examples: list[TokenExample], tmp_path: Path
) -> None:
    task = load_task(write_task_folder(tmp_path, base_dir))
    tokenizer = FileTokenizer(base_dir / "tokenizer.json")
    prefix = join_ids(prefix_segments(task.prompt_spec(), tokenizer.template), tokenizer.encode)
    writer = Writer(task, tokenizer, len(prefix), 256)
    written = writer.write(student, examples[:4], 5)
    assert [example.input_ids for example in writer.write(student, examples[:4], 5)] == [
        example.input_ids for example in written
    ]
    assert [example.input_ids for example in writer.write(student, examples[:4], 6)] != [
        example.input_ids for example in written
    ]
    (line_end,) = tokenizer.encode("<|line|>", special=True)
    for example, source in zip(written, examples, strict=False):
        prompt = source.input_ids[: source.prompt_tokens]
        assert example.input_ids[: example.prompt_tokens] == prompt
        assert len(example.input_ids) == len(example.is_value)
        answer = example.input_ids[example.prompt_tokens :]
        assert answer.count(line_end) == len(task.output_fields)
        assert 0 < sum(example.is_value) < len(answer), "heads are forced"
    assert student.training is False


def test_answers_that_are_drawn_follow_the_models_distribution(base_dir: Path) -> None:
    from training.students.decoder.on_policy import _drawing

    generator = np.random.default_rng(0)
    logits = np.array([0.0, 1.0, 2.0, -50.0], dtype=np.float32)
    draws = [int(np.argmax(_drawing(generator)(logits)[:3])) for _ in range(4000)]
    shares = np.exp(log_softmax(logits[:3].astype(np.float64)))
    assert np.bincount(draws, minlength=3) / 4000 == pytest.approx(shares, abs=0.03)
