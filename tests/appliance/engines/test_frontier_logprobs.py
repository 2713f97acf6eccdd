"""How likely a frontier thinks each label is, from the tokens that it tells."""

import math

import pytest

from appliance.engines.frontier_logprobs import TokenChoice, label_shares, read_token_choices

LABELS = ("card lost", "card late", "loan", "other")


def tokens(*parts: tuple[str, float, dict[str, float]]) -> list[TokenChoice]:
    return [TokenChoice(token, share, others) for token, share, others in parts]


def test_alternatives_give_their_probability_to_the_label_that_they_begin() -> None:
    written = tokens(
        ('{"label": "', 1.0, {}), ("card", 0.7, {"card": 0.7, "loan": 0.2, "o": 0.05, "x": 0.01}),
        (" l", 1.0, {}), ("ost", 0.6, {"ost": 0.6, "ate": 0.3}), ('"}', 1.0, {}),
    )  # fmt: skip
    shares = label_shares(written, "card lost", LABELS)
    assert shares == pytest.approx({"card lost": 0.42, "card late": 0.21, "loan": 0.2, "other": 0.05})
    assert sum(shares.values()) < 1  # what is left is anything else, and is not given to anybody


def test_an_alternative_that_may_begin_several_labels_is_nobodys() -> None:
    written = tokens(('{"label":"', 1.0, {}), ("loan", 0.6, {"loan": 0.6, "card": 0.3, "c": 0.1}), ('"}', 1.0, {}))
    assert label_shares(written, "loan", LABELS) == pytest.approx({"loan": 0.6})


def test_a_token_over_the_quote_before_the_label_counts_from_there() -> None:
    written = tokens(('{"label":', 1.0, {}), ('"lo', 0.5, {'"lo': 0.5, '"oth': 0.25, "null": 0.2}), ('an"}', 1.0, {}))
    assert label_shares(written, "loan", LABELS) == pytest.approx({"loan": 0.5, "other": 0.25})


def test_an_answer_without_the_label_has_no_shares() -> None:
    assert label_shares(tokens(("{}", 1.0, {})), "loan", LABELS) == {}
    assert label_shares([], "loan", LABELS) == {}


@pytest.mark.parametrize(
    "logprobs",
    [None, {}, {"content": None}, {"content": [None]}, {"content": [{"token": 5}]}, {"content": "x"}, [],
     {"content": [{"token": "a", "logprob": "x", "top_logprobs": [1]}]}],
)  # fmt: skip
def test_what_is_no_probability_is_none(logprobs: object) -> None:
    found = read_token_choices({"logprobs": logprobs})
    assert found in ((), (TokenChoice("a", 0.0, {}),))


def test_probabilities_are_read_from_logarithms() -> None:
    others = [{"token": "b", "logprob": math.log(0.25)}, {"token": "c", "logprob": float("nan")}]
    content = [{"token": "a", "logprob": math.log(0.5), "top_logprobs": others}]
    (token,) = read_token_choices({"logprobs": {"content": content}})
    assert token.share == pytest.approx(0.5)
    assert token.others == pytest.approx({"b": 0.25, "c": 0.0})
