"""How likely a frontier thinks each label is, from the probabilities of the tokens that it wrote and did not write."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_ALTERNATIVES = 20
"""That an endpoint gives of a token at most."""


@dataclass(frozen=True)
class TokenChoice:
    """One token of an answer."""

    token: str
    share: float
    others: Mapping[str, float]
    """Tokens in its place -> their probability; the written one may be among them."""


def read_token_choices(choice: Mapping[str, Any]) -> tuple[TokenChoice, ...]:
    """The tokens of a choice of a chat response; nothing where it has none, or none that can be read."""
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    tokens = []
    for each in content if isinstance(content, list) else []:
        if not isinstance(each, dict) or not isinstance(each.get("token"), str):
            return ()
        share = _share(each.get("logprob"))
        others = each.get("top_logprobs")
        alternatives = {
            str(other["token"]): _share(other.get("logprob"))
            for other in (others if isinstance(others, list) else [])
            if isinstance(other, dict) and isinstance(other.get("token"), str)
        }
        tokens.append(TokenChoice(each["token"], share, alternatives))
    return tuple(tokens)


def _share(logprob: object) -> float:
    if isinstance(logprob, bool) or not isinstance(logprob, int | float) or math.isnan(logprob):
        return 0.0
    return math.exp(min(0.0, float(logprob)))


def label_shares(tokens: Sequence[TokenChoice], label: str, labels: Sequence[str]) -> dict[str, float]:
    """Label -> its probability, as far as the tokens tell it; what is left of 1 is that of anything else.

    On the way of the written label each token's alternatives are looked at: one that can only begin one other label
    gives its probability to that one. The shares are never made to sum to 1: an endpoint names a few alternatives only,
    and what it does not name may be any label, or none.

    Args:
        tokens: Of the answer, a JSON text in which the label stands as a value.
        label: The one that was written.
    """
    text = "".join(token.token for token in tokens)
    start = _place(text, label)
    if start is None:
        return {}
    shares: dict[str, float] = {}
    written, before, at = "", 1.0, 0
    for token in tokens:
        ends = at + len(token.token)
        if ends > start and len(written) < len(label):
            lead = token.token[: max(0, start - at)]
            for other, share in token.others.items():
                if other == token.token or not other.startswith(lead):
                    continue
                begun = written + other[len(lead) :]
                if owner := _owner(begun, label, labels):
                    shares[owner] = shares.get(owner, 0.0) + before * share
            written += token.token[len(lead) :]
            before *= token.share
        at = ends
    shares[label] = before
    return {name: min(1.0, share) for name, share in shares.items() if share > 0}


def _place(text: str, label: str) -> int | None:
    """Where the label begins: behind the last quote before it."""
    at = text.rfind(f'"{label}"')
    if at >= 0:
        return at + 1
    at = text.rfind(label)
    return at if at >= 0 else None


def _owner(begun: str, label: str, labels: Sequence[str]) -> str | None:
    """The one other label that a text which begins so can be; None for none or several."""
    text, closed, _ = begun.partition('"')
    if closed:
        return text if text in labels and text != label else None
    if not text:
        return None
    owners = [name for name in labels if name.startswith(text)]
    return owners[0] if len(owners) == 1 and owners[0] != label else None
