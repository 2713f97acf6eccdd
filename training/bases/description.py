"""A base in words and in figures, for `stillroom bases list` and `show`."""

from pathlib import Path

from appliance.ground.errors import ApplianceError
from appliance.ground.text import human_count, human_size
from training.bases.facts import BaseFacts, TokenizerFacts, base_facts, tokenizer_facts
from training.bases.licence import Licence, licence_of
from training.bases.record import BaseRecord
from training.bases.targets import refusals
from training.memory_need import MemoryNeed, TrainingPlan, memory_need, model_shape


def licence_words(directory: Path, record: BaseRecord) -> Licence:
    """The licence that was noted when the base came, or what its files say."""
    return Licence(record.licence, record.licence_source) if record.licence else licence_of(directory)


def described(name: str, directory: Path, record: BaseRecord) -> dict[str, object]:
    """The JSON object of a base; `problem` alone says why nothing else is known of it."""
    try:
        facts = base_facts(directory)
    except ApplianceError as error:
        return {"name": name, "directory": str(directory), "problem": error.message}
    licence = licence_words(directory, record)
    return {
        "name": name,
        "directory": str(directory),
        "source": record.source,
        "revision": record.revision,
        "dequantized_from": record.dequantized_from,
        "licence": licence.name or None,
        "licence_source": licence.source,
        "architecture": facts.model_type,
        "family": facts.family or None,
        "weights": facts.weights,
        "size_bytes": facts.size_bytes,
        "dtype": facts.dtypes[0] if facts.dtypes else None,
        "context": facts.context or None,
        "embedding_rows": facts.rows or None,
    }


def described_fully(name: str, directory: Path, record: BaseRecord) -> dict[str, object]:
    """The JSON object of `show`: with tokenizer, memory and targets.

    Raises:
        UsageError: A file of the base cannot be read.
    """
    facts, tokenizer = base_facts(directory), tokenizer_facts(directory)
    need = _memory(directory, facts)
    memory: dict[str, object] = {"training": need.training, "merge": need.merge, **need.exports} if need else {}
    return {
        **described(name, directory, record),
        "tokenizer": tokenizer.kind,
        "tokens": tokenizer.tokens,
        "begin_token": tokenizer.begin,
        "memory_bytes": memory,
        "refused_targets": {target: reason for target, reason in refusals(directory, facts.family).items() if reason},
    }


def lines(name: str, directory: Path, record: BaseRecord) -> list[str]:
    """What `show` prints.

    Raises:
        UsageError: A file of the base cannot be read.
    """
    facts, tokenizer = base_facts(directory), tokenizer_facts(directory)
    rows = {
        "base": name,
        "from": record.origin,
        "licence": licence_words(directory, record).text,
        "architecture": _architecture(facts),
        "weights": f"{short_count(facts.weights)} ({human_size(facts.size_bytes)} as {', '.join(facts.dtypes)})",
        "context": human_count(facts.context, "token") if facts.context else "not stated",
        "tokenizer": _tokenizer(tokenizer, facts),
        **_need_rows(directory, facts),
        "folder": str(directory),
    }
    width = max(map(len, rows)) + 1
    return [f"{key + ':':{width}} {text}" for key, text in rows.items()]


def short_count(count: int) -> str:
    """A number of weights as models are named by it: `135M`, `1.7B`, `900k`."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            number = count / size
            return f"{number:.1f}{unit}" if number < 9.95 else f"{number:.0f}{unit}"
    return str(count)


def _architecture(facts: BaseFacts) -> str:
    if facts.architecture is None:
        return f"{facts.model_type}, of which nothing is known here"
    parts = [facts.architecture.name, facts.architecture.family]
    if facts.text_model_type:
        parts.append(f"its text part {facts.text_model_type}")
    return f"{facts.model_type} ({', '.join(parts)})"


def _tokenizer(tokenizer: TokenizerFacts, facts: BaseFacts) -> str:
    text = f"{tokenizer.kind}, {human_count(tokenizer.tokens, 'token')}"
    if facts.rows:
        text += f" for {facts.rows:,} rows of the embedding"
    return f"{text}, {tokenizer.begin} before each text" if tokenizer.begin else text


def _memory(directory: Path, facts: BaseFacts) -> MemoryNeed | None:
    """None where the configuration does not say how large a layer is."""
    try:
        plan = TrainingPlan("encoder") if facts.family == "encoder" else TrainingPlan("decoder")
        return memory_need(model_shape(directory), plan)
    except ApplianceError:
        return None


def _need_rows(directory: Path, facts: BaseFacts) -> dict[str, str]:
    """Memory of each step, and of each target what stands against it."""
    need, rows = _memory(directory, facts), {}
    if need is not None:
        rows["to train"] = f"{human_size(need.training)} of memory, {TrainingPlan().pass_tokens:,} tokens a pass"
        rows["to merge"] = f"{human_size(need.merge)} of memory"
    for target, reason in refusals(directory, facts.family).items():
        size = f", {human_size(need.exports[target])} of memory" if need and target in need.exports else ""
        rows[target] = f"no: {reason}" if reason else f"yes{size}"
    return rows
