"""The gate to the network: policy, masking, caps and the record, in this order, before any byte leaves.

`open_gate` is the only way to a client that sends. Without a policy that allows it and without the flag of the command
it raises before anything of the client is imported.
"""

import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.engines.engine import Request
from appliance.engines.frontier import Cleared, Withheld, request_body
from appliance.engines.frontier_config import FrontierConfig, Usage, load_frontier, read_key
from appliance.ground.errors import UsageError
from appliance.ground.settings import Settings
from appliance.routing.budget import Account, DayAccount, Spend
from appliance.routing.document_names import name_hashes, names_key
from appliance.routing.egress_log import Appended, EgressLog, Record, egress_dir
from appliance.routing.masking import Masker, masking_key
from appliance.routing.policy import SYSTEM_DIR, Caps, EgressRefused, Policy, check_allowed, load_policy
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Task

if TYPE_CHECKING:
    from appliance.engines.frontier_client import FrontierClient


@dataclass(frozen=True)
class EgressOptions:
    """What a command says about one run that may send."""

    allowed: bool = False
    """Whether the command was given its flag; without it nothing leaves."""
    run: str = ""
    """Name of the run in the record, such as the job's id."""
    caps: Caps = field(default_factory=Caps)
    """Of the command; the policy's hold beside them."""
    system_dir: Path = SYSTEM_DIR
    effort: str = ""
    """Reasoning effort in place of the configured one, as a comparison of tiers asks for it."""
    temperature: float | None = None
    """In place of the configured one, for answers that may differ."""
    top_logprobs: int = 0
    """Alternatives of each token that are asked for."""
    is_batch: bool = False
    """Whether requests go in a batch, at its price, and end long after they left."""


def open_gate(settings: Settings, task: Task, name: str, options: EgressOptions) -> "EgressGate":
    """The way out to a frontier.

    Raises:
        EgressRefused: The flag or the policy does not allow it.
        UsageError: The frontier or the policy is not what it should be, or the key is missing.
        ResourceError: The record of what leaves cannot be written.
    """
    if not options.allowed:
        raise EgressRefused(
            f"the command does not let documents go to frontier {name}",
            "name it with `--fallback` or `--frontier`, if documents may leave",
        )
    config, policy = checked(settings, task, name, options.system_dir)
    config = with_options(config, options)
    check_prices(config, options.caps)
    key = read_key(config.endpoint, os.environ)
    return EgressGate(settings, policy, config, task, options, key)


def checked(settings: Settings, task: Task, name: str, system_dir: Path = SYSTEM_DIR) -> tuple[FrontierConfig, Policy]:
    """The frontier and the policy, if the policy lets documents of the task go there.

    Raises:
        UsageError: It does not, or one of them is not what it should be.
    """
    config = load_frontier(settings, name)
    policy = load_policy(settings, system_dir)
    check_allowed(policy, task, config)
    check_prices(config, policy.run_caps, policy.day_caps)
    check_currency(config, policy)
    return config, policy


def check_prices(config: FrontierConfig, *caps: Caps) -> None:
    """Checks that a cap on money is one: it caps nothing where nobody knows what tokens cost.

    Raises:
        UsageError: Money is capped, and the frontier has no prices.
    """
    if not config.prices.known and any(cap.money is not None for cap in caps):
        raise UsageError(
            f"money is capped, but frontier {config.name} has no prices; nothing leaves",
            f"add input_price and output_price to [frontier.{config.name}]: per million tokens, 0 if free",
        )


def check_currency(config: FrontierConfig, policy: Policy) -> None:
    """Checks that a cap on money and the frontier's prices are in one currency: sums of two say nothing.

    Raises:
        UsageError: They are not.
    """
    prices = config.prices
    for scope, caps in (("run", policy.run_caps), ("day", policy.day_caps)):
        if caps.money is not None and caps.currency not in ("", prices.currency) and not prices.are_zero:
            raise UsageError(
                f"{policy.path} caps a {scope} at {caps.money:,} {caps.currency}, but frontier {config.name} has its"
                f" prices in {prices.currency}; nothing leaves",
                f"state the prices of [frontier.{config.name}] and the cap in one currency",
            )


def with_effort(config: FrontierConfig, effort: str) -> FrontierConfig:
    """The frontier asked with another reasoning effort, where one is named."""
    return replace(config, choice=replace(config.choice, effort=effort)) if effort else config


def with_options(config: FrontierConfig, options: EgressOptions) -> FrontierConfig:
    """The frontier as a command wants it asked."""
    choice = with_effort(config, options.effort).choice
    if options.temperature is not None:
        choice = replace(choice, temperature=options.temperature)
    prices = config.prices.of_batch() if options.is_batch else config.prices
    return replace(config, choice=replace(choice, top_logprobs=options.top_logprobs), prices=prices)


def preview(
    settings: Settings, task: Task, name: str, request: Request, system_dir: Path = SYSTEM_DIR, effort: str = ""
) -> tuple[bytes, dict[str, int]]:
    """The body that would leave for one document, and how much of each kind was masked; nothing is sent or recorded.

    Args:
        effort: Reasoning effort in place of the configured one.

    Raises:
        UsageError: The policy would not let it leave.
        Withheld: This document would be withheld.
    """
    config, policy = checked(settings, task, name, system_dir)
    config = with_effort(config, effort)
    masker = Masker(task, policy.masking, masking_key(egress_dir(settings)), policy.path)
    cleared = masker.mask(request.text, request.known)
    return request_body(config, task, request, cleared), cleared.masked


@dataclass(frozen=True)
class _Leaving:
    """One request on its way out."""

    document: str
    name_hashes: list[str]
    size_bytes: int
    sha256: str
    spend: Spend
    masked: dict[str, int]


class EgressGate:
    """One run's way out."""

    def __init__(
        self, settings: Settings, policy: Policy, config: FrontierConfig, task: Task, options: EgressOptions, key: str
    ) -> None:
        self.config, self.task = config, task
        self.run = options.run or uuid.uuid4().hex[:12]
        """Names the run in the record."""
        self._key = key
        self._policy, self._options = policy, options
        directory = egress_dir(settings)
        self._masker = Masker(task, policy.masking, masking_key(directory), policy.path)
        self._names_key = names_key(directory)
        self._log = EgressLog(directory)
        self._day = DayAccount()
        self._spent = Account()
        self._changed = threading.Condition()
        self._closed = False
        self._in_flight: set[int] = set()

    def clear(self, request: Request) -> Cleared:
        """The masked text."""
        return self._masker.mask(request.text, request.known)

    def restore(self, cleared: Cleared, answer: Answer) -> Answer:
        """The answer with the real values."""
        return self._masker.restore(cleared.restored_by, answer)

    def release(self, request: Request, cleared: Cleared, body: bytes, ceiling: Usage) -> int:
        """Records the request durably; waits for requests under way where their end may make room under a cap."""
        spend = self._spend(ceiling)
        names = name_hashes(self._names_key, request.name)
        leaving = _Leaving(request.key, names, len(body), hashlib.sha256(body).hexdigest(), spend, cleared.masked)
        is_new = self._policy.keep_bodies and self._log.keep_body(leaving.sha256, body)
        with self._changed:
            try:
                appended = self._reserve(leaving)
            except Exception:
                if is_new:
                    self._log.drop_body(leaving.sha256)
                raise
        self._log.make_durable(appended)
        return appended.sequence

    def settle(self, record: int, outcome: str, usage: Usage | None, notes: Sequence[str] = ()) -> None:
        """Records how the request ended.

        Args:
            notes: What about the form of the answer was not as requested.
        """
        spend = None if usage is None else self._spend(usage)
        values: Record = {
            "kind": "ended",
            "run": self.run,
            "of": record,
            "outcome": outcome,
            "tokens": None,
            "money": None,
        }
        if usage is not None and spend is not None:
            values |= {
                "tokens": spend.tokens, "money": spend.money, "currency": spend.currency,
                "prompt_tokens": usage.prompt_tokens, "cached_tokens": usage.cached_tokens,
                "completion_tokens": usage.completion_tokens, "reasoning_tokens": usage.reasoning_tokens,
            }  # fmt: skip
        if notes:
            values["notes"] = list(notes)
        with self._changed:
            if self._closed:
                # The run has been given up: the request stays in the record without its end, and counts as reserved.
                return
            self._in_flight.discard(record)
            self._spent.settle(record, spend)
            try:
                with self._log.locked():
                    self._log.append(values)
            finally:
                self._changed.notify_all()

    def _spend(self, usage: Usage) -> Spend:
        return Spend(usage.total, self.config.prices.money(usage), self.config.prices.currency)

    def open_client(self) -> "FrontierClient":
        """The client."""
        from appliance.engines.frontier_client import FrontierClient

        return FrontierClient(self.config, self._key, self._options.is_batch)

    def close(self) -> None:
        """Ends the record."""
        with self._changed:
            self._closed = True
            self._log.close()
            self._changed.notify_all()

    def _over(self, key: str, spend: Spend) -> tuple[str, str] | None:
        """Scope and name of the first cap that the request would break."""
        run_key = f"{self.run}/{key}"
        day = self._day.catch_up(self._log.today())
        checks: list[tuple[str, Callable[[], str | None]]] = [
            ("the command", lambda: self._spent.over(self._options.caps, run_key, spend)),
            ("run", lambda: self._spent.over(self._policy.run_caps, run_key, spend)),
            ("day", lambda: day.over(self._policy.day_caps, run_key, spend)),
        ]
        return next(((scope, cap) for scope, check in checks if (cap := check())), None)

    def _other_currencies(self, scope: str) -> set[str]:
        account = self._day.account if scope == "day" else self._spent
        return set(account.currencies) - {self.config.prices.currency}

    def _reserve(self, leaving: "_Leaving") -> Appended:
        """The record of a request that no cap forbids."""
        while True:
            with self._log.locked():
                over = self._over(leaving.document, leaving.spend)
                if over is None:
                    return self._record(leaving)
                scope, cap = over
                # Nobody waits for the end of a batch.
                final = cap in ("documents", "currency") or not self._in_flight or self._options.is_batch
                if final:
                    self._log.append({"kind": "cap", "run": self.run, "cap": cap, "scope": scope})
            if final:
                raise Withheld(f"cap_{cap}", self._cap_message(scope, cap), ends=True)
            self._changed.wait()

    def _record(self, leaving: "_Leaving") -> Appended:
        choice, endpoint, prices = self.config.choice, self.config.endpoint, self.config.prices
        appended = self._log.append(
            {
                "kind": "sent", "run": self.run, "document": leaving.document, "names": leaving.name_hashes,
                "task": self.task.name, "data_class": self.task.data_class, "frontier": self.config.name,
                "destination": endpoint.url, "proxy": endpoint.proxy_host, "model": choice.model,
                "policy": self._policy.sha256, "sha256": leaving.sha256, "bytes": leaving.size_bytes,
                "body_kept": self._policy.keep_bodies, "masked": leaving.masked,
                "reserved_tokens": leaving.spend.tokens, "reserved_money": leaving.spend.money,
                "currency": prices.currency, "user": os.getuid(),
            }
        )  # fmt: skip
        self._spent.reserve(appended.sequence, f"{self.run}/{leaving.document}", leaving.spend)
        self._in_flight.add(appended.sequence)
        return appended

    def _cap_message(self, scope: str, cap: str) -> str:
        if cap == "currency":
            others = ", ".join(sorted(self._other_currencies(scope)))
            return (
                f"money is capped, {others} was spent in this {'day' if scope == 'day' else 'run'}, and"
                f" {self.config.prices.currency} cannot be added to it"
            )
        caps = {"run": self._policy.run_caps, "day": self._policy.day_caps}.get(scope, self._options.caps)
        most = {"documents": caps.documents, "tokens": caps.tokens, "money": caps.money}[cap]
        unit = {"money": self.config.prices.currency}.get(cap, cap.removesuffix("s") if most == 1 else cap)
        whose = "the command's cap" if scope == "the command" else f"the policy's cap per {scope}"
        return f"{whose} is reached ({most:,} {unit})"
