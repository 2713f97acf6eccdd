"""What a student stands beside: its base as it is, and a conditional random field over the words of the document."""

import re
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import packages_first  # noqa: F401  # before `appliance`
from real_task_patterns import answer_by_patterns
from student_runs import KeptAnswer

from appliance.engines.tokenizer import FileTokenizer
from appliance.ground.errors import ResourceError
from appliance.tasks.labels import LabelledRow
from appliance.tasks.linecode import Answer, is_records
from appliance.tasks.task import Task
from appliance.tasks.values import find_spans

UNTAUGHT = "untaught"
_WORD = re.compile(r"\w+(?:[.'/\u2044-]\w+)*|[^\w\s]")
_PIECE = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\w\s]|[\u00bc-\u00be\u2153-\u215e]")
"""Words of documents whose values are normalised: `150g` is a number and a unit."""
_FRACTIONS = {"\u00bd": "1/2", "\u00bc": "1/4", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3", "\u215b": "1/8"}
OUTSIDE = "O"
UNTAUGHT_TOKENS, MOST_TOKENS = 256, 4096
"""Behind the longest prompt, and in all: what was taught nothing does not know when to end."""


def answers_untaught(task: Task, base: str, rows: Sequence[LabelledRow]) -> tuple[list[KeptAnswer], float]:
    """What the base writes under the task's grammar without having seen a row, and the seconds it took."""
    from training.base_model import find_base, load_base
    from training.students.decoder.generation import generate, prompt_of

    base_dir = find_base(base)
    model, tokenizer = load_base(base_dir), FileTokenizer(base_dir / "tokenizer.json")
    longest = max(len(prompt_of(task, row.text, tokenizer)[0]) for row in rows)
    began = time.monotonic()
    most = min(longest + UNTAUGHT_TOKENS, MOST_TOKENS)
    results = generate(model, task, tokenizer, [row.text for row in rows], most)
    answers = [KeptAnswer(result.answer or {}, result.confidence) for result in results]
    return answers, time.monotonic() - began


def answers_by_regex(
    task: Task, set_name: str, rows: Sequence[LabelledRow], pairs: str = ""
) -> tuple[list[KeptAnswer], float]:
    """What regular expressions find, and the seconds they took."""
    lists = frozenset(each.name for each in task.output_fields if each.is_several)
    began = time.monotonic()
    answers: list[Answer] = [dict(answer_by_patterns(set_name, row.text, lists)) for row in rows]
    seconds = time.monotonic() - began
    return [KeptAnswer(_as_pairs(answer, pairs) if pairs else answer, {}) for answer in answers], seconds


def _as_pairs(answer: Answer, pairs: str) -> Answer:
    """The values as records of a name and a value."""
    return {pairs: [{"name": name, "value": str(value)} for name, value in answer.items() if value] or None}


def answers_by_crf(
    task: Task, taught: Sequence[LabelledRow], rows: Sequence[LabelledRow], pairs: str = ""
) -> tuple[list[KeptAnswer], float]:
    """What a linear-chain field answers that learnt from the rows' values where they are printed; and its seconds.

    Choices follow from the words of the document, by logistic regression.

    Args:
        pairs: The field whose records are a name and a value.

    Raises:
        ResourceError: python-crfsuite is not installed.
    """
    try:
        import pycrfsuite
    except ImportError as error:
        raise ResourceError("python-crfsuite is not installed", "`pip install python-crfsuite`, or --model") from error
    trainer = pycrfsuite.Trainer(verbose=False)
    trainer.set_params({"c1": 0.1, "c2": 0.01, "max_iterations": 200, "feature.possible_transitions": True})
    pattern = _PIECE if any(each.evidence == "derived" for each in task.output_fields) else _WORD
    for row in taught:
        words = list(pattern.finditer(row.text))
        trainer.append(_features(words), _labels(task, row, words, pairs))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model")
        trainer.train(path)
        tagger = pycrfsuite.Tagger()
        tagger.open(path)
        choices = _choices(task, taught, rows)
        began = time.monotonic()
        answers = [
            KeptAnswer(_answer(task, row.text, tagger, pattern, pairs) | chosen, {})
            for row, chosen in zip(rows, choices, strict=True)
        ]
        seconds = time.monotonic() - began
        tagger.close()
    return answers, seconds


def _choices(task: Task, taught: Sequence[LabelledRow], rows: Sequence[LabelledRow]) -> list[Answer]:
    """The choices of each document."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    chosen: list[Answer] = [{} for _ in rows]
    for each in task.output_fields:
        if each.is_choice:
            model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=30.0, max_iter=1000))
            model.fit([row.text for row in taught], [str(row.answer.get(each.name) or "") for row in taught])
            for answer, value in zip(chosen, model.predict([row.text for row in rows]), strict=True):
                answer[each.name] = value or None
    return chosen


def _labels(task: Task, row: LabelledRow, words: "Sequence[re.Match[str]]", pairs: str) -> list[str]:
    """The field of each word: `B-` where a value begins, `I-` inside; a value that is not printed has none."""
    labels = [OUTSIDE] * len(words)
    values = [
        (each.name, value)
        for each in task.output_fields
        if isinstance(value := row.answer.get(each.name), str) and not each.is_choice
    ]
    records = row.answer.get(pairs)
    values += [(str(record["name"]), str(record["value"])) for record in records] if is_records(records) else []
    # A short value such as `S` may stand in several places; long ones leave it fewer.
    for name, value in sorted(values, key=lambda pair: -len(pair[1])):
        if _is_derived(task, name):
            _label_pieces(labels, words, name, value)
            continue
        for start, end in find_spans(value, row.text):
            inside = [number for number, word in enumerate(words) if word.start() < end and word.end() > start]
            if all(labels[number] == OUTSIDE for number in inside):
                for number in inside:
                    labels[number] = f"{'B' if number == inside[0] else 'I'}-{name}"
                break
    return labels


def _is_derived(task: Task, name: str) -> bool:
    return any(each.name == name and each.evidence == "derived" for each in task.output_fields)


def _label_pieces(labels: list[str], words: "Sequence[re.Match[str]]", name: str, value: str) -> None:
    """Labels the words that a normalised value was made of, each the first free one behind the one before."""
    at = 0
    for piece in _PIECE.finditer(value):
        places = range(at, len(words))
        place = next((n for n in places if labels[n] == OUTSIDE and _is_from(words[n].group(), piece.group())), None)
        if place is not None:
            labels[place], at = f"I-{name}", place + 1


def _is_from(word: str, piece: str) -> bool:
    spelt = _FRACTIONS.get(word, word).lower()
    return (
        spelt == piece.lower() or (spelt.endswith("s") and spelt[:-1] == piece.lower()) or spelt.startswith(f"{piece}/")
    )


def _answer(task: Task, text: str, tagger: Any, pattern: "re.Pattern[str]", pairs: str) -> Answer:
    """The first stretch of each field as it is printed; of a derived one all its words in the makers' spelling."""
    words = list(pattern.finditer(text))
    spans: dict[str, tuple[int, int]] = {}
    joined: dict[str, str] = {}
    previous = OUTSIDE
    for word, label in zip(words, tagger.tag(_features(words)), strict=True):
        name = label.partition("-")[2]
        if name and _is_derived(task, name):
            spelt = _FRACTIONS.get(word.group(), word.group())
            joined[name] = f"{joined[name]} {spelt}" if name in joined else spelt
        elif name and name == previous and spans[name][1] <= word.start():
            spans[name] = (spans[name][0], word.end())
        elif name and name not in spans:
            spans[name] = word.span()
        previous = name if name in spans else OUTSIDE
    answer: Answer = {name: text[slice(*span)] for name, span in spans.items()}
    if pairs:
        return _as_pairs(answer, pairs)
    for name, value in joined.items():
        is_unit = name == "unit"
        answer[name] = " ".join(each.removesuffix("s") if is_unit and len(each) > 2 else each for each in value.split())
    return answer


def _features(words: "Sequence[re.Match[str]]") -> list[list[str]]:
    """Of each word what taggers of addresses look at: the word, its shape, its ends, its neighbours, its place."""
    own = [_own_features(word.group()) for word in words]
    texts = [word.group().lower() for word in words]
    table = []
    for number, features in enumerate(own):
        row = [*features, "start" if number == 0 else "", "end" if number == len(words) - 1 else ""]
        for shift in (-2, -1, 1, 2):
            if 0 <= number + shift < len(words):
                row += [f"{shift}:{feature}" for feature in own[number + shift][:3]]
        table.append([feature for feature in row if feature])
    for number, (left, right) in enumerate(pairwise(texts)):
        table[number].append(f"next pair:{left} {right}")
        table[number + 1].append(f"pair:{left} {right}")
    return table


def _own_features(word: str) -> list[str]:
    shape = re.sub(r"\d+", "9", re.sub(r"[a-z]+", "a", re.sub(r"[A-Z]+", "A", word)))
    lower = word.lower()
    kinds = [f"length:{min(len(word), 8)}", "digits" if any(map(str.isdigit, word)) else "no digits"]
    return [f"word:{lower}", f"shape:{shape}", f"ends:{lower[-3:]}", f"begins:{lower[:3]}", *kinds]
