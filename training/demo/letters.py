"""Fields in prose, as letters and mails state them."""

import random
from collections.abc import Sequence

from training.demo.pools import pick
from training.demo.printing import Style

Pair = tuple[str, str]

SENTENCES = (
    "The {low} is {value}.", "Our {low} is {value}.", "{label} is {value}.", "Please note the {low} {value}.",
    "As {low} we have {value} on file.",
    "{label}: {value}.", "You will find {value} as {low}.", "I confirm that the {low} is {value}.",
    "For {low}, please use {value}.",
    "We recorded {value} under {low}.", "With {low} {value} we can help you faster.", "My {low} was {value}.",
    "The {low} was given as {value}.",
)  # fmt: skip
GREETINGS = ("Dear Sir or Madam,", "Hello,", "Good morning,", "Dear team,", "To whom it may concern,", "Hi,")
CLOSINGS = ("Kind regards", "Best wishes", "Yours sincerely", "Thank you", "With best regards")
FILLERS = (
    "I am writing about the matter below.", "We refer to our call of last week.",
    "Please let me know if anything is missing.", "Sorry for the delay.",
    "I hope you can sort this out soon.", "Further details follow by post.", "A copy is attached.",
    "Nothing has changed since then.",
)  # fmt: skip


def letter_lines(rng: random.Random, pairs: Sequence[Pair], style: Style) -> list[str]:
    """A letter in which each pair is a sentence, one to three sentences a line."""
    sentences = []
    for label, value in pairs:
        low = label if label.isupper() else label[:1].lower() + label[1:]
        sentences.append(rng.choice(SENTENCES).format(label=label, low=low, value=value))
        if rng.random() < 0.15:
            sentences.append(rng.choice(FILLERS))
    lines = [rng.choice(GREETINGS)] if rng.random() < 0.8 else []
    at = 0
    while at < len(sentences):
        count = rng.choice((1, 1, 2, 3))
        lines.append(" ".join(sentences[at : at + count]))
        at += count
    if rng.random() < 0.7:
        lines += [rng.choice(CLOSINGS), pick(rng, style.pools.names[style.locale])]
    return lines
