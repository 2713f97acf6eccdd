"""Forms with random words as labels: they teach matching of labels instead of remembering them."""

import random

from label_words import LABEL_HEADS, LABEL_QUALIFIERS, LABEL_TAILS, TAIL_KINDS

from training.demo.genres import UTILITY_BILL, UTILITY_DISTRACTORS, FieldSpec, Genre

TITLES = (
    "FORM", "Record", "Data sheet", "Summary", "Registration", "Protocol", "Notice", "Report", "Overview", "File card",
    "Details", "Statement",
)  # fmt: skip
KINDS = (
    "name", "company", "date", "date", "amount", "amount", "code", "code", "integer", "integer", "decimal", "city",
    "phone", "email", "percent", "quantity", "address", "product", "time",
)  # fmt: skip
_KEPT_OUT = {
    text.lower() for spec in (*UTILITY_BILL.fields, *UTILITY_DISTRACTORS) for text in (*spec.labels, *spec.phrases)
}
"""Labels of the genre that no pre-training document may show."""


def _phrases(rng: random.Random, qualifier: str, head: str, tail: str) -> tuple[str, ...]:
    """What a task may call a label of these words."""
    whole = " ".join(part for part in (qualifier, head, tail) if part)
    phrases = [whole, whole]
    if tail and head:
        phrases.append(f"{tail} of the {' '.join(part for part in (qualifier, head) if part)}")
        if qualifier:
            phrases.append(f"{head} {tail} ({qualifier})")
    return tuple(dict.fromkeys(phrase.lower() for phrase in phrases))


def _label(rng: random.Random, qualifier: str, head: str, tail: str) -> str:
    words = [part for part in (qualifier, head, tail) if part]
    if len(words) > 1 and rng.random() < 0.12:
        words[rng.randrange(len(words) - 1)] += "-"
    label = " ".join(words)
    return label[:1].upper() + label[1:] if rng.random() < 0.7 else label.title() if rng.random() < 0.6 else label


def _spec(rng: random.Random, qualifier: str, head: str, tail: str) -> FieldSpec | None:
    label = _label(rng, qualifier, head, tail)
    phrases = _phrases(rng, qualifier, head, tail)
    if label.lower() in _KEPT_OUT or _KEPT_OUT & set(phrases):
        return None
    kind = TAIL_KINDS.get(tail) if rng.random() < 0.7 else None
    return FieldSpec(label.lower(), kind or rng.choice(KINDS), (label,), phrases)


def draw_form(rng: random.Random, count: int) -> Genre:
    """A genre that exists only once: labels of one to three random words, many of them close to one another."""
    specs: dict[str, FieldSpec] = {}
    heads = rng.sample(LABEL_HEADS, max(2, count // rng.choice((1, 2, 3))))
    tails = rng.sample(LABEL_TAILS, min(len(LABEL_TAILS), max(2, count // 2)))
    same_kind = rng.choice(KINDS) if rng.random() < 0.3 else None
    for _ in range(count * 8):
        if len(specs) >= count:
            break
        qualifier = rng.choice(LABEL_QUALIFIERS) if rng.random() < 0.4 else ""
        tail = rng.choice(tails) if rng.random() < 0.75 else ""
        spec = _spec(rng, qualifier, rng.choice(heads), tail)
        if spec is None or spec.key in specs:
            continue
        if same_kind is not None:
            spec = FieldSpec(spec.key, same_kind, spec.labels, spec.phrases)
        specs[spec.key] = spec
    return Genre("form", TITLES, tuple(specs.values()), has_items=rng.random() < 0.15, is_letter=rng.random() < 0.15)
