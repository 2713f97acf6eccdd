"""The line grammar of a task while a model writes: what is forced, what is allowed, and how sure the model was.

Heads are forced. Values of an enum follow a tree of their token ids. A value of a literal field is a span of the
document that stands alone there, or null: the model chooses a place to copy from, and can neither invent nor misspell.
A derived text is free up to its line end. Working that a task asks for stands before the answer, as a line of its own:
free, too, and ended after so many tokens whatever the model writes.
"""

import codecs
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from appliance.engines.document_spans import BARRIER, Spans
from appliance.engines.record_line import RecordLine
from appliance.engines.token_starts import TokenStarts
from appliance.engines.tokenizer import FileTokenizer
from appliance.tasks.linecode import ESCAPED, Answer, Value, decode_value, encode_value, is_records, unescape
from appliance.tasks.prompt import PromptTemplate, field_prefix_segments, join_ids, working_prefix_segments
from appliance.tasks.task import WITH_DIGITS, Field, FieldType, Task

Logits = NDArray[np.floating]
Tree = dict[int, "Tree"]

FIRST_CANDIDATES = 16
"""Tokens tried before it is asked which others can stand there at all."""


class NoNumber(Exception):
    """The model computed NaN or infinity: there is no likeliest token, and no probability."""


def check_numbers(logits: Logits) -> None:
    """Refuses logits of any shape of which one is no number; an infinite one leaves nothing for the others.

    Raises:
        NoNumber: One is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise NoNumber


@dataclass
class _Written:
    """What stands in one field so far."""

    text: bytes = b""
    ids: list[int] = field(default_factory=list)
    log_probability: float = 0.0
    is_unfinishable: bool = False
    """No span of the document could be finished: the value is null."""


class LineDecoder:
    """Writes one document's answer: the engine feeds the tokens that it returns and asks with the next logits."""

    def __init__(
        self, task: Task, template: PromptTemplate, tokenizer: FileTokenizer, document_ids: Sequence[int]
    ) -> None:
        self._grammar = _grammar(task, template, tokenizer)
        pieces, line_end = tokenizer.token_bytes, self._grammar.line_end[-1]
        document = b"".join(b"\n" if token == line_end else pieces[token] for token in document_ids)
        text = document.decode("utf-8", errors="replace").replace(BARRIER, " ")
        self._spans = {across: Spans(text, across) for across in (True, False)}
        self._written: list[_Written] = []
        self._node: Tree | None = None
        self._ended = True
        self._forced: list[int] = []
        """The rest of a line end that was begun because nothing else could follow, or because the working is full."""

    @property
    def done(self) -> bool:
        """Whether every field has its line end."""
        return self._ended and len(self._written) == len(self._grammar.fields)

    def start(self) -> list[int]:
        """The forced tokens that open the answer."""
        return self.advance()

    def advance(self) -> list[int]:
        """The tokens that are forced after the last choice; where none is, the model chooses."""
        forced: list[int] = []
        while not self.done:
            if self._forced:
                forced.append(self._forced.pop(0))
                self._take(forced[-1])
                continue
            if self._ended:
                index = len(self._written)
                forced += self._grammar.field_prefixes[index]
                self._written.append(_Written())
                self._node, self._ended = self._grammar.trees[index], False
            if self._node is None or len(self._node) > 1:
                break
            (token,) = self._node
            self._take(token)
            forced.append(token)
        return forced

    def choose(self, logits: Logits) -> int:
        """The likeliest token that the grammar allows; logits are (vocab_size,).

        Raises:
            NoNumber: A logit is NaN or infinite, of whatever token.
        """
        check_numbers(logits)
        field, written = self._grammar.fields[len(self._written) - 1], self._written[-1]
        scores = np.asarray(logits[: len(self._grammar.banned)], dtype=np.float64)
        if self._node is not None:
            token, log_probability = self._choose_branch(scores, self._node)
        else:
            banned = self._grammar.banned[: len(scores)]  # a model may have no rows for the last special tokens
            scores = np.where(banned, -np.inf, scores)
            token, log_probability = self._choose_free(scores, field, written)
        written.log_probability += log_probability
        self._take(token)
        return token

    def _take(self, token: int) -> None:
        written, line_end = self._written[-1], self._grammar.line_end
        written.ids.append(token)
        written.text += self._grammar.text_bytes(token)
        if self._node is not None:
            self._node = self._node[token]
            self._ended = not self._node
        else:
            self._ended = tuple(written.ids[-len(line_end) :]) == line_end
        if self._ended:
            written.text = self._without_end(written, len(line_end))
        elif len(self._written) == 1 and len(written.ids) == self._grammar.working_tokens:
            self._forced = list(line_end)

    def _without_end(self, written: _Written, tokens: int) -> bytes:
        """What is written but for its last tokens."""
        last = written.ids[len(written.ids) - tokens :]
        return written.text[: len(written.text) - sum(len(self._grammar.text_bytes(token)) for token in last)]

    def _choose_branch(self, scores: NDArray[np.float64], node: Tree) -> tuple[int, float]:
        tokens = list(node)
        best = int(np.argmax(scores[tokens]))
        return tokens[best], float(scores[tokens[best]]) - _log_sum(scores[tokens])

    def _choose_free(self, scores: NDArray[np.float64], field: Field, written: _Written) -> tuple[int, float]:
        total = _log_sum(scores)
        for token in self._by_likelihood(scores, field, written):
            if self._allowed(token, field, written):
                score = scores[token]
                likelier = scores[scores > score]
                # The likelier tokens that cannot stand here are no rivals: the rest shares their probability.
                refused = float(np.exp(likelier - total).sum())
                share = math.exp(float(score) - total)
                return token, min(0.0, math.log(max(share, 1e-300) / max(1.0 - refused, 1e-12)))
        written.is_unfinishable = True
        first, *self._forced = self._grammar.line_end
        return first, math.log(1e-12)

    def _by_likelihood(self, scores: NDArray[np.float64], field: Field, written: _Written) -> Iterator[int]:
        """Tokens that may be allowed, the likeliest first."""
        count = min(FIRST_CANDIDATES, len(scores))
        first = np.argpartition(scores, -count)[-count:]
        yield from _ordered(scores, first)
        is_left = self._possible(field, written)[: len(scores)]
        is_left[first] = False
        yield from _ordered(scores, np.flatnonzero(is_left))

    def _possible(self, field: Field, written: _Written) -> NDArray[np.bool_]:
        """Tokens of which some are allowed, (vocab_size,); no other one is."""
        column, item = self._place(field, written.text)
        if column.evidence == "derived" or column.values:
            return np.ones(len(self._grammar.banned), dtype=bool)
        starts, following, after_blank = self._grammar.starts, frozenset[str](), False
        if not _unfinished(written.text):  # else only the rest of a character can follow
            spans = self._spans[column.type not in WITH_DIGITS]
            following, after_blank = spans.following(item)
            if written.text.endswith(b"\\"):  # what was begun is an escape, or a backslash of the document
                following |= spans.following(item + "\\")[0] | starts.beginning_with(ESCAPED)
        possible = starts.possible(following, after_blank=after_blank)
        possible[list(self._grammar.line_end)] = True
        return possible

    def _place(self, field: Field, text: bytes) -> tuple[Field, str]:
        """The field, or the column of records, in which the text stands, and the value or entry that it has begun."""
        if field.columns:
            return self._records(field).place(_decoded(text))
        return field, _items(text, field.type)[-1]

    def _records(self, field: Field) -> RecordLine:
        return RecordLine(field, self._spans)

    def _allowed(self, token: int, field: Field, written: _Written) -> bool:
        try:
            return self._ends(token, field, written) or self._goes_on(token, field, written)
        except UnicodeDecodeError:
            return False

    def _ends(self, token: int, field: Field, written: _Written) -> bool:
        """Whether the token begins or goes on with a line end where the value may end."""
        line_end = self._grammar.line_end
        return any(
            line_end[begun] == token
            and tuple(written.ids[len(written.ids) - begun :]) == line_end[:begun]
            and self._may_end(self._without_end(written, begun), field)
            for begun in range(min(len(line_end), len(written.ids) + 1))
        )

    def _may_end(self, text: bytes, field: Field) -> bool:
        if _unfinished(text):
            return False  # half a character is none
        if field.columns:
            return self._records(field).may_end(_decoded(text))
        *_, last = items = _items(text, field.type)
        if field.values:  # of a list: one value is a tree of its own
            return not last.strip() or _is_choice(field, items)
        if field.evidence == "derived":
            return True
        with_digits = field.type in WITH_DIGITS
        has_form = not with_digits or any(character.isdigit() for character in last)
        return not last.strip() or (has_form and self._spans[not with_digits].holds(last))

    def _goes_on(self, token: int, field: Field, written: _Written) -> bool:
        """Whether the token can stand in the value."""
        piece = self._grammar.text_bytes(token)
        if not piece:
            return False
        unfinished = _unfinished(written.text + piece)
        if field.columns:
            return self._records(field).goes_on(_decoded(written.text), _decoded(written.text + piece), unfinished)
        if field.values:
            *complete, last = (item.strip(" ") for item in _items(written.text + piece, field.type))
            begun = encode_value(last)
            begins = any(encode_value(value).startswith(begun) for value in field.values if value not in complete)
            is_one_blank = not (written.text + piece).endswith(b"  ")
            return begins and is_one_blank and (not complete or _is_choice(field, complete))
        if field.evidence == "derived":
            return True
        spans = self._spans[field.type not in WITH_DIGITS]
        *complete, last = _items(written.text, field.type)
        *complete_then, then = _items(written.text + piece, field.type)
        if last[-1:].isspace() and len(complete_then) == len(complete) and then[len(last) :].isspace():
            return False  # blanks count as one, of whatever kind, so nothing would ever end a row of them
        finished = complete_then[len(complete) :]
        return all(item.strip() and spans.holds(item) for item in finished) and spans.begins(then, unfinished)

    def _answered(self) -> Iterator[tuple[Field, _Written]]:
        """The fields that were begun, without the working."""
        pairs = zip(self._grammar.fields, self._written, strict=False)
        return islice(pairs, int(self._grammar.working_tokens > 0), None)

    def _values(self) -> list[Value]:
        values: list[Value] = []
        for output_field, written in self._answered():
            line = written.text.decode("utf-8", errors="replace").strip()  # blanks of whatever kind
            if written.is_unfinishable:  # of records those that were finished before
                line = line.rpartition("\t")[0] if output_field.columns else ""
            value = decode_value(line, output_field.type is FieldType.LIST, output_field.column_names)
            values.append(self._as_printed(output_field, value))
        return values

    def _as_printed(self, field: Field, value: Value) -> Value:
        """A literal value in the document's spelling; the grammar does not look at case, and a model may change it."""
        if is_records(value):
            by_name = {column.name: column for column in field.columns}
            return [{name: self._cell(by_name[name], cell) for name, cell in record.items()} for record in value]
        if isinstance(value, list):
            return [text for entry in value if (text := self._cell(field, str(entry))) is not None]
        return self._cell(field, value)

    def _cell(self, field: Field, text: str | None) -> str | None:
        if not text or field.evidence == "derived" or field.values:
            return text
        return self._spans[field.type not in WITH_DIGITS].as_printed(text)

    def answer(self) -> Answer:
        """The values of all fields written so far."""
        return {field.name: value for (field, _), value in zip(self._answered(), self._values(), strict=True)}

    def cut_answer(self) -> tuple[Answer, str] | None:
        """What is certain of an answer that was cut within a list or records, and the name of that field.

        The entry that was begun is left out, and the fields behind are null. None where something else was cut.
        """
        begun = list(self._answered())
        cut, written = begun[-1] if begun else (None, None)
        if self.done or self._ended or cut is None or written is None or not cut.is_several:
            return None
        line = written.text.decode("utf-8", errors="ignore").rpartition("\t")[0]
        answer: Answer = dict.fromkeys(field.name for field in self._grammar.fields if field.name)
        answer |= self.answer()
        value = decode_value(line, True, cut.column_names)
        return {**answer, cut.name: self._as_printed(cut, value)}, cut.name

    def confidence(self) -> dict[str, float]:
        """Per field the probability of the value among those that could stand there, 0 to 1."""
        return {field.name: math.exp(max(written.log_probability, -700.0)) for field, written in self._answered()}

    def raw(self) -> str:
        """What the model wrote as its answer, in line code."""
        return "\n".join(written.text.decode("utf-8", errors="replace").strip(" ") for _, written in self._answered())

    def working(self) -> str:
        """What the model wrote before its answer; a character that the end cut is left out."""
        if not (self._grammar.working_tokens and self._written):
            return ""
        return unescape(self._written[0].text.decode("utf-8", errors="ignore").strip())


def _items(text: bytes, kind: FieldType) -> list[str]:
    """The entries of a list, or the one value; an escape or character that is not whole yet is left out.

    Raises:
        UnicodeDecodeError: The bytes can become no text, whatever follows.
    """
    line = _decoded(text)
    parts = line.split("\t") if kind is FieldType.LIST else [line]
    return [unescape(part[:-1] if part.endswith("\\") and not part.endswith("\\\\") else part) for part in parts]


def _is_choice(field: Field, items: Sequence[str]) -> bool:
    """Whether all entries are values of a closed list, each once."""
    stripped = [item.strip(" ") for item in items]
    return len(set(stripped)) == len(stripped) and all(item in field.values for item in stripped)


def _decoded(text: bytes) -> str:
    """The characters that are whole.

    Raises:
        UnicodeDecodeError: The bytes can become no text, whatever follows.
    """
    return codecs.getincrementaldecoder("utf-8")().decode(text)


def _unfinished(text: bytes) -> bytes:
    """The bytes at the end that begin a character and do not finish it.

    Raises:
        UnicodeDecodeError: The bytes can become no text, whatever follows.
    """
    (decoder := codecs.getincrementaldecoder("utf-8")()).decode(text)
    return decoder.getstate()[0]


def _ordered(scores: NDArray[np.float64], tokens: NDArray[np.intp]) -> Iterator[int]:
    """Those of the tokens that are not banned, the likeliest first."""
    order = tokens[np.argsort(-scores[tokens], kind="stable")]
    yield from (token for token in order.tolist() if scores[token] > -np.inf)


def _log_sum(scores: NDArray[np.float64]) -> float:
    top = float(scores.max())
    return top + math.log(float(np.exp(scores - top).sum()))


@dataclass(frozen=True)
class _Grammar:
    """What is the same for all documents of a task."""

    fields: tuple[Field, ...]
    field_prefixes: list[list[int]]
    trees: list[Tree | None]
    line_end: tuple[int, ...]
    """The tokens that end a value, one as a rule."""
    token_bytes: tuple[bytes, ...]
    banned: NDArray[np.bool_] = field(repr=False)
    """(vocab_size,): tokens that never stand in a value or in its line end."""
    working_tokens: int = 0
    """Most tokens of the first field, which is the working and no part of the answer; 0 where there is none."""

    @cached_property
    def starts(self) -> TokenStarts:
        """Of the tokens; only a model that is unsure needs them."""
        return TokenStarts.of(self.token_bytes)

    def text_bytes(self, token: int) -> bytes:
        """What a token adds to a value; nothing where it ends the line."""
        piece = self.token_bytes[token]
        return b"" if b"\n" in piece or b"\r" in piece else piece


@lru_cache(maxsize=8)
def _grammar(task: Task, template: PromptTemplate, tokenizer: FileTokenizer) -> _Grammar:
    spec, fields = task.prompt_spec(), task.output_fields
    field_prefixes = [
        join_ids(field_prefix_segments(spec, template, index), tokenizer.encode) for index in range(len(fields))
    ]
    line_end = tuple(tokenizer.encode(template.line, True))
    pieces = tokenizer.token_bytes
    banned = np.array([not piece or b"\n" in piece or b"\r" in piece for piece in pieces])
    banned[list(line_end)] = False
    trees = [_tree(field, tokenizer, line_end) for field in fields]
    if spec.working:
        fields = (Field("", evidence="derived"), *fields)
        field_prefixes.insert(0, join_ids(working_prefix_segments(template), tokenizer.encode))
        trees.insert(0, None)
    return _Grammar(fields, field_prefixes, trees, line_end, pieces, banned, spec.working)


def _tree(field: Field, tokenizer: FileTokenizer, line_end: tuple[int, ...]) -> Tree | None:
    """The values of an enum as a tree of token ids, each ended by the line end; None where values are open."""
    if not field.is_choice:
        return None
    root: Tree = {}
    for value in field.values:
        node = root
        for token in (*tokenizer.encode(" " + encode_value(value), False), *line_end):
            node = node.setdefault(token, {})
    if not field.required:
        node = root
        for token in line_end:
            node = node.setdefault(token, {})
    return root
