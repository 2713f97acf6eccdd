"""The one prompt template of decoder students: what a document and a task look like to the model.

A prompt is a list of segments. Special tokens are those of the base model; everything else, and above all the document,
is plain text that can never become a special token, whatever it spells. Each segment is tokenized alone and the ids are
joined, so training, export checks and every engine see the same ids.

    <|user|> instruction <|1|> invoice number <|2|> due date <|document|> first line <|line|> second line
    <|answer|> <|1|> invoice number: 4711 <|line|> <|2|> due date: <|line|> <|end|>

Instruction and field list come first: all documents of a task share this prefix. The answer repeats each field's
special token and name (the *field prefix*); the engine forces field prefixes, so that they cost no sampling, and the
model writes only the lines of the line code. Every document line and every value starts with a blank, so that a copied
value has the same tokens in both places.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from appliance.tasks.linecode import Value, encode_value

_WIDE_GAP = re.compile(r"[^\S\n]{2,}")
_BOS_IDS = re.compile(r"bos=(\d{1,9}(?:,\d{1,9})*)")

MOST_WORKING_TOKENS = 2048
"""Of working before an answer; a context has to hold it beside the document."""
WORKING_PHRASE = "working"
MAX_FIELDS = 24
"""Fields for which a base model of ours has a special token."""


@dataclass(frozen=True)
class Segment:
    """A piece of prompt text; `special` says whether special tokens in it are such or plain text."""

    text: str
    special: bool


@dataclass(frozen=True)
class PromptTemplate:
    """The special tokens of one family of base models."""

    name: str
    """Goes into the model identity."""
    user: str
    document: str
    line: str
    answer: str
    end: str
    field_format: str
    """Format string of the special token of field number `{}`; numbers start at 1."""
    bos: tuple[str, ...] = ()
    """Tokens, as they stand in the vocabulary, that the base was taught to see at the start of every text."""

    def with_bos(self, bos: Sequence[str]) -> "PromptTemplate":
        """The template for a base that begins each text so."""
        return replace(self, bos=tuple(bos)) if bos else self

    def field_token(self, index: int) -> Segment:
        """The special token of the field with this zero-based index."""
        return Segment(self.field_format.format(index + 1), True)

    def special_tokens(self) -> list[str]:
        """Every special token, in the order of their token ids in a base model of ours."""
        fields = [self.field_format.format(number) for number in range(1, MAX_FIELDS + 1)]
        return [self.end, "<|pad|>", self.user, self.document, self.line, self.answer, *fields]


STILLROOM_TEMPLATE = PromptTemplate(
    "stillroom-1", "<|user|>", "<|document|>", "<|line|>", "<|answer|>", "<|end|>", "<|{}|>"
)
"""The template of base models trained here: each special token is one id."""

PLAIN_TEMPLATE = PromptTemplate("plain-2", "", "\n\nDocument:", "\n", "\n\nAnswer:\n", "", "")
"""For base models without our special tokens: plain text; the line end is a newline and `end` is the model's own.

The first tokens are those that the base begins a text with, and every segment is cut as a part of a longer text.
"""

OLDEST_PLAIN_TEMPLATE = replace(PLAIN_TEMPLATE, name="plain-1")
"""What models were trained with before: without first tokens, and each segment cut as a text of its own."""


def template_of(has_token: Callable[[str], bool]) -> PromptTemplate:
    """The template that a vocabulary serves."""
    return (
        STILLROOM_TEMPLATE if all(has_token(token) for token in STILLROOM_TEMPLATE.special_tokens()) else PLAIN_TEMPLATE
    )


def form_of(name: str, bos_ids: Sequence[int]) -> str:
    """The form of a model's prompts as a manifest says it: `plain-2`, or `plain-2/bos=1` with its first tokens."""
    return f"{name}/bos={','.join(map(str, bos_ids))}" if bos_ids else name


def read_form(prompt_form: str) -> tuple[str, tuple[int, ...]]:
    """Name of the template and ids of the first tokens.

    Raises:
        ValueError: The first tokens are no ids.
    """
    name, _, rest = prompt_form.partition("/")
    if not rest.startswith("bos="):
        return name, ()
    match = _BOS_IDS.fullmatch(rest)
    if not match:
        raise ValueError(rest)
    return name, tuple(map(int, match.group(1).split(",")))


@dataclass(frozen=True)
class PromptSpec:
    """What is asked of each document: an instruction and the phrases that name the fields."""

    instruction: str
    phrases: tuple[str, ...]
    working: int = 0
    """Tokens of working that may stand before the answer."""
    columns: tuple[tuple[str, ...], ...] = ()
    """Of each field those of its records, none for a field that has none; empty where no field has any."""

    def columns_of(self, index: int) -> tuple[str, ...]:
        """The columns of the field with this index."""
        return self.columns[index] if self.columns else ()


def prefix_segments(spec: PromptSpec, template: PromptTemplate) -> list[Segment]:
    """The part of the prompt that all documents of a task share, from the first token on."""
    segments = [*(Segment(token, True) for token in template.bos), Segment(template.user, True)]
    if spec.instruction:
        segments.append(Segment(" " + spec.instruction.strip(), False))
    for index, phrase in enumerate(spec.phrases):
        segments += [template.field_token(index), Segment(" " + phrase, False)]
        if not template.field_format:
            segments.append(Segment(template.line, True))
    segments.append(Segment(template.document, True))
    return [segment for segment in segments if segment.text]


def document_lines(text: str) -> list[str]:
    """The document as the model sees it: no empty lines, no outer blanks, wider gaps inside as two blanks."""
    lines = (_WIDE_GAP.sub("  ", line.replace("\t", "  ")).strip() for line in text.splitlines())
    return [line for line in lines if line]


def document_segments(text: str, template: PromptTemplate) -> list[Segment]:
    """The document: each line starts with a blank, lines are separated by the line token."""
    segments: list[Segment] = []
    for number, line in enumerate(document_lines(text)):
        if number:
            segments.append(Segment(template.line, True))
        segments.append(Segment(" " + line, False))
    return segments


def field_prefix_segments(spec: PromptSpec, template: PromptTemplate, index: int) -> list[Segment]:
    """What is forced before the value of the field with this index; the first one opens the answer without working."""
    segments = [Segment(template.answer, True)] if index == 0 and not spec.working else []
    segments += [template.field_token(index), Segment(f" {spec.phrases[index]}:", False)]
    return [segment for segment in segments if segment.text]


def working_prefix_segments(template: PromptTemplate) -> list[Segment]:
    """What is forced before the working; it opens the answer."""
    return [Segment(template.answer, True), Segment(f" {WORKING_PHRASE}:", False)]


def value_segments(value: Value, template: PromptTemplate, columns: Sequence[str] = ()) -> list[Segment]:
    """One value as the model writes it: a blank and the line-coded value, then the line end."""
    text = encode_value(value, columns)
    return [*([Segment(" " + text, False)] if text else []), Segment(template.line, True)]


def join_ids(segments: Iterable[Segment], encode: Callable[[str, bool], list[int]]) -> list[int]:
    """Token ids of segments, each tokenized alone; `encode(text, special)` is the tokenizer's."""
    return [token for segment in segments for token in encode(segment.text, segment.special)]


@dataclass(frozen=True)
class Example:
    """A training example as token ids; `is_value[i]` says whether token i was written by the model, not forced."""

    input_ids: list[int]
    is_value: list[bool]
    prompt_tokens: int
    working_tokens: int = 0
    """Tokens between prompt and answer, the forced ones too; 0 where no working is asked for."""


def working_ids(working: str, encode: Callable[[str, bool], list[int]]) -> list[int]:
    """The tokens that a student would write for a working, however many they are; without its line end."""
    text = encode_value(working.strip())
    return encode(" " + text, False) if text else []


def render_working(
    limit: int, working: str, template: PromptTemplate, encode: Callable[[str, bool], list[int]]
) -> tuple[list[int], list[bool]]:
    """Working as a student writes it, one line of line code, cut at `limit` tokens; and which of them it writes.

    Where there is none, or it was cut, the line end is no token of the student's: it was not taught to end there.
    """
    prefix = join_ids(working_prefix_segments(template), encode)
    written = working_ids(working, encode)
    line_end = encode(template.line, True)
    is_written = [*[True] * len(written[:limit]), *[0 < len(written) < limit] * len(line_end)]
    return prefix + written[:limit] + line_end, [False] * len(prefix) + is_written


@dataclass(frozen=True)
class ExampleAnswer:
    """What is to be written about a document."""

    values: Sequence[Value]
    """In the order of the fields."""
    working: str = ""
    """What leads to the answer; used where the prompt asks for working."""
    untrusted: Collection[int] = ()
    """Numbers of fields whose values stand there as if they were forced: nothing is learnt from them."""


def render_example(
    spec: PromptSpec,
    document: str,
    answer: ExampleAnswer,
    template: PromptTemplate,
    encode: Callable[[str, bool], list[int]],
) -> Example:
    """Prompt and answer of one document, exactly as an engine would see and write them."""
    prompt = [*prefix_segments(spec, template), *document_segments(document, template)]
    input_ids = join_ids(prompt, encode)
    prompt_tokens = len(input_ids)
    is_value = [False] * prompt_tokens
    if spec.working:
        ids, is_written = render_working(spec.working, answer.working, template, encode)
        input_ids, is_value = input_ids + ids, is_value + is_written
    working_tokens = len(input_ids) - prompt_tokens
    for index, value in enumerate(answer.values):
        field_prefix = join_ids(field_prefix_segments(spec, template, index), encode)
        written = join_ids(value_segments(value, template, spec.columns_of(index)), encode)
        input_ids += field_prefix + written
        is_value += [False] * len(field_prefix) + [index not in answer.untrusted] * len(written)
    return Example(input_ids, is_value, prompt_tokens, working_tokens)
