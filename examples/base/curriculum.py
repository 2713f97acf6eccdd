"""What a small base sees and when: short documents first, because copying is learnt there and nothing before it."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pretraining_documents import draw_document

from appliance.tasks.prompt import STILLROOM_TEMPLATE, ExampleAnswer, PromptSpec, render_example
from training.demo.documents import GeneratedDocument
from training.demo.layouts import TRAINING_WAYS
from training.demo.page_ways import PAGE_WAYS

MAX_TOKENS = 1000
"""Longer examples are left out; the context holds 1,024."""
PAGE_SHARE = 0.6
"""Of documents that are printed as strangers print theirs; the others are tidy."""
INSTRUCTIONS = (
    "Extract the fields.", "Extract the following fields from the document.",
    "Read the {genre} and write these values.", "Fields of a {genre}.",
    "Copy each value as it is printed.",
    "Extract these fields from the {genre}; leave a field empty if the document does not say it.",
    "What does the document say about these?", "Write each field, empty if missing.",
)  # fmt: skip

Encode = Callable[[str, bool], list[int]]


@dataclass(frozen=True)
class Stage:
    """A part of the curriculum."""

    until_tokens: float
    short_share: float
    most_fields: int
    """Of a short document."""


STAGES = (
    Stage(0.8e6, 0.92, 3),
    Stage(1.2e6, 0.92, 5),
    Stage(1.7e6, 0.92, 8),
    Stage(3.2e6, 0.6, 8),
    Stage(5.5e6, 0.3, 8),
    Stage(float("inf"), 0.12, 8),
)


def stage_at(tokens: float) -> Stage:
    """The stage after this many tokens."""
    return next(stage for stage in STAGES if tokens < stage.until_tokens)


def draw_question(rng: random.Random, document: GeneratedDocument) -> PromptSpec:
    """What a task asks for in a document, with one of several instructions or none."""
    instruction = rng.choice(INSTRUCTIONS).format(genre=document.genre) if rng.random() < 0.6 else ""
    fields = document.output_fields
    columns = tuple(field.columns for field in fields)
    return PromptSpec(instruction, tuple(field.question for field in fields), columns=columns if any(columns) else ())


@dataclass(frozen=True)
class TokenizedExample:
    """An example as token ids with the weight of the loss on each token; the weight of a token not learnt is 0."""

    input_ids: list[int]
    weights: list[float]


VALUE_WEIGHT, HEAD_WEIGHT, DOCUMENT_WEIGHT = 1.0, 0.3, 0.1


def tokenize(
    rng: random.Random, document: GeneratedDocument, encode: Encode, document_share: float
) -> TokenizedExample:
    """Ids and loss weights: the values whole, heads less, and a share of the document's tokens a little."""
    values = [field.value for field in document.output_fields]
    example = render_example(
        draw_question(rng, document), document.text, ExampleAnswer(values), STILLROOM_TEMPLATE, encode
    )
    weights = []
    for position, is_value in enumerate(example.is_value):
        if is_value:
            weights.append(VALUE_WEIGHT)
        elif position >= example.prompt_tokens:
            weights.append(HEAD_WEIGHT)
        else:
            weights.append(DOCUMENT_WEIGHT if position and rng.random() < document_share else 0.0)
    return TokenizedExample(example.input_ids, weights)


def draw_examples(seed: int, pool: int, pool_tokens: int, encode: Encode) -> list[TokenizedExample]:
    """All examples of one pool, sorted by length: a pure function of seed and pool number."""
    rng = random.Random(f"{seed}/{pool}")
    stage = stage_at(pool * pool_tokens)
    share = 0.25 if stage.short_share > 0.2 else 0.12
    examples: list[TokenizedExample] = []
    total = 0
    while total < pool_tokens:
        short = stage.most_fields if rng.random() < stage.short_share else 0
        is_page = rng.random() < PAGE_SHARE
        ways = (*TRAINING_WAYS, *PAGE_WAYS) if is_page else TRAINING_WAYS
        document = draw_document(rng, "train", short=short, ways=ways, page=is_page)
        example = tokenize(rng, document, encode, share)
        if len(example.input_ids) <= MAX_TOKENS:
            examples.append(example)
            total += len(example.input_ids)
    return sorted(examples, key=lambda example: len(example.input_ids))


def batches(
    examples: list[TokenizedExample], batch_tokens: int, rng: random.Random
) -> Iterator[list[TokenizedExample]]:
    """Batches of about this many tokens, padding included, in random order."""
    cut: list[list[TokenizedExample]] = [[]]
    for example in examples:
        if cut[-1] and (len(cut[-1]) + 1) * len(example.input_ids) > batch_tokens:
            cut.append([])
        cut[-1].append(example)
    rng.shuffle(cut)
    yield from cut
