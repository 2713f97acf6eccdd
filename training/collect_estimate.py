"""What asking a teacher about a folder may take, before anything is sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.documents.folder import document_name, walk
from appliance.documents.sandbox import read_files
from appliance.engines.engine import Request
from appliance.engines.frontier import frontier_identity
from appliance.engines.frontier_config import Usage
from appliance.ground.settings import Settings
from appliance.ground.text import human_duration
from appliance.routing.egress import checked, preview
from appliance.tasks.labels import LabelledRow
from training.answers_file import known_documents, provenance_number, read_answers
from training.collect_live import LiveRequest

ASSUMED_BYTES_PER_TOKEN = 4.0
ASSUMED_TOKENS_PER_FIELD = 12
SAMPLED_DOCUMENTS = 20
LEAST_ANSWERS = 5
"""Of this teacher, from which its own figures are taken in place of assumed ones."""


@dataclass(frozen=True)
class Estimate:
    """What asking about the documents that have no answer may take."""

    documents: int
    known: int
    sampled: int
    """Documents whose requests were made to count their bytes."""
    prompt_tokens: int
    completion_tokens: int
    """Expected, without reasoning."""
    reasoning_tokens: int | None
    """None where no answer of this teacher has shown how much it thinks."""
    most_completion_tokens: int
    """What the requests allow, reasoning with it."""
    money: float | None
    most_money: float | None
    """None where the frontier has no prices."""
    currency: str
    seconds: float | None
    """At the speed of earlier answers; None without any."""
    basis: str

    def lines(self) -> list[str]:
        """For a terminal."""
        cost = "unknown: the frontier has no prices"
        if self.money is not None and self.most_money is not None:
            cost = f"about {self.money:.4g} {self.currency}, at most {self.most_money:.4g} {self.currency}"
        thinks = "unknown" if self.reasoning_tokens is None else f"about {self.reasoning_tokens:,}"
        return [
            f"documents  {self.documents:,} to ask about, {self.known:,} answered before",
            f"tokens     about {self.prompt_tokens:,} in and {self.completion_tokens:,} out, reasoning {thinks};"
            f" at most {self.most_completion_tokens:,} out",
            f"money      {cost}",
            f"time       {'unknown' if self.seconds is None else human_duration(self.seconds)}",
            f"estimated from {self.basis}; nothing was sent",
        ]


@dataclass(frozen=True)
class _PerRequest:
    """What one request takes."""

    bytes_per_token: float
    completion_tokens: float
    reasoning_tokens: float | None
    seconds: float | None
    basis: str


def estimate(settings: Settings, request: LiveRequest) -> Estimate:
    """What a call would take, from the requests of some documents and the answers that are there.

    Raises:
        UsageError: As `collect_live`.
    """
    task = request.task
    config, _ = checked(settings, task, request.teacher, request.system_dir)
    path = request.folder.answers_path
    known = known_documents(path, frontier_identity(config, task))
    rows = read_answers(path)
    paths = [each.path for each in walk(request.documents_dir)]
    step = max(1, len(paths) // SAMPLED_DOCUMENTS)
    sizes: list[int] = []
    for document, reply in read_files(request.documents_dir, paths[::step], request.limits):
        if reply.problem is None and reply.text.strip() and reply.sha256 not in known:
            document_request = Request("", reply.text, name=document_name(document))
            body, _ = preview(settings, task, request.teacher, document_request, request.system_dir)
            sizes.append(len(body))
    documents = round(len(sizes) / max(1, len(paths[::step])) * len(paths))
    requests = documents * max(1, request.soft.samples)
    size = sum(sizes) / max(1, len(sizes))
    each = _per_request([row for row in rows if row.provenance.get("frontier") == request.teacher], request, size)
    prompt, completion = round(requests * size / each.bytes_per_token), round(requests * each.completion_tokens)
    reasoning = None if each.reasoning_tokens is None else round(requests * each.reasoning_tokens)
    most = requests * config.choice.max_answer_tokens
    money, most_money = (
        (config.prices.money(Usage(prompt, 0, tokens)) if config.prices.known else None)
        for tokens in (completion + (reasoning or 0), most)
    )
    seconds = None if each.seconds is None else requests * each.seconds / config.limits.concurrency
    return Estimate(
        documents, len(known), len(sizes), prompt, completion, reasoning, most, money, most_money,
        config.prices.currency, seconds, f"{len(sizes)} requests, {each.basis}",
    )  # fmt: skip


def _per_request(rows: Sequence[LabelledRow], request: LiveRequest, size: float) -> _PerRequest:
    """By the teacher's own answers where there are some, else assumed."""
    counted = [row for row in rows if row.provenance.get("prompt_tokens", "").isdecimal()]
    if len(counted) < LEAST_ANSWERS:
        fields = sum(max(1, len(each.columns)) for each in request.task.output_fields)
        basis = f"{ASSUMED_BYTES_PER_TOKEN:g} bytes a token, {ASSUMED_TOKENS_PER_FIELD} tokens a value"
        return _PerRequest(ASSUMED_BYTES_PER_TOKEN, ASSUMED_TOKENS_PER_FIELD * fields, None, None, basis)

    def mean(key: str) -> float:
        # Several answers to one document are counted in one row.
        samples = [max(1.0, provenance_number(row, "samples", 1.0)) for row in counted]
        return sum(provenance_number(row, key) for row in counted) / sum(samples)

    return _PerRequest(
        max(1.0, size) / max(1.0, mean("prompt_tokens")), mean("completion_tokens"), mean("reasoning_tokens"),
        mean("seconds") or None, f"{len(counted)} answers of this teacher",
    )  # fmt: skip
