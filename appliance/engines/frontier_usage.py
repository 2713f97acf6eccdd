"""Tokens as frontiers count them, under the names that their servers use."""

from collections.abc import Iterator, Mapping
from typing import cast

from appliance.engines.frontier_config import Usage

_MOST_TOKENS = 10**9
"""A larger count is no count of tokens."""
_PROMPT = ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count", "prompt_n")
_COMPLETION = ("completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count", "predicted_n")
_TOTAL = ("total_tokens", "totalTokenCount")
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cachedContentTokenCount")
_REASONING = ("reasoning_tokens", "thoughtsTokenCount")


def read_usage(values: Mapping[str, object]) -> Usage | None:
    """The tokens of a response; None where it does not report both those of the prompt and those of the answer."""
    for counts in _places(values):
        if (usage := _usage(counts)) is not None:
            return usage
    return None


def _places(values: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Where counts stand, the protocol's own place first."""
    for key in ("usage", "usageMetadata", "usage_metadata", "x_groq", "timings", "meta"):
        if isinstance(place := values.get(key), Mapping):
            yield place
            for inner in ("usage", "tokens", "billed_units"):
                if isinstance(within := place.get(inner), Mapping):
                    yield within
    yield values


def _usage(counts: Mapping[str, object]) -> Usage | None:
    """Reasoning is taken out of the completion where it is counted in there."""
    prompt, completion, total = _count(counts, _PROMPT), _count(counts, _COMPLETION), _count(counts, _TOTAL)
    if prompt is None or (completion is None and (total is None or _names(counts, _COMPLETION))):
        return None
    if completion is None:
        completion = max(0, (total or 0) - prompt)
    # Here the tokens of a cache are counted beside those of the prompt, not among them.
    beside = _count(counts, ("cache_read_input_tokens",)) or 0
    written_to_cache = _count(counts, ("cache_creation_input_tokens",)) or 0
    prompt += beside + written_to_cache if "input_tokens" in counts else 0
    cached = _detail(counts, ("prompt_tokens_details", "input_tokens_details"), _CACHED) or beside
    reasoning = _detail(counts, ("completion_tokens_details", "output_tokens_details"), _REASONING)
    counted_apart = reasoning > 0 and total == prompt + completion + reasoning
    written = completion if counted_apart else max(0, completion - reasoning)
    if not reasoning and total is not None and total > prompt + completion:
        # Some count the tokens of reasoning in the sum alone.
        reasoning = total - prompt - completion
    # A server that counts nothing says 0.
    return Usage(prompt, min(cached, prompt), written, reasoning) if prompt else None


def _detail(counts: Mapping[str, object], places: tuple[str, ...], names: tuple[str, ...]) -> int:
    for place in places:
        if isinstance(details := counts.get(place), Mapping) and (count := _count(details, names)) is not None:
            return count
    return _count(counts, names) or 0


def _names(counts: Mapping[str, object], names: tuple[str, ...]) -> bool:
    return any(counts.get(name) is not None for name in names)


def _count(counts: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = counts.get(name)
        is_digits = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10
        if is_digits or (isinstance(value, float) and 0 <= value < _MOST_TOKENS and value.is_integer()):
            value = int(cast("float | str", value))
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS:
            return value
    return None
