"""How things stand with egress on this machine, for `stillroom egress status`, `stillroom doctor` and screens."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from appliance.engines.frontier_config import frontier_names, load_frontier, read_key
from appliance.ground.errors import ApplianceError
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.routing.budget import Account, DayAccount
from appliance.routing.egress_log import egress_dir, log_files
from appliance.routing.policy import SYSTEM_DIR, Caps, Policy, load_policy, policy_path


@dataclass(frozen=True)
class FrontierState:
    """One frontier of `config.toml`."""

    name: str
    host: str = ""
    model: str = ""
    proxy: str = ""
    """Host of the proxy that everything goes through; empty where there is none."""
    problem: str = ""
    """Why nothing can be sent to it; empty where something can."""


@dataclass(frozen=True)
class PolicyState:
    """Whether the policy lets anything leave."""

    kind: Literal["none", "off", "on", "broken"]
    reason: str = ""
    """Why nothing leaves; empty where it is on."""
    hint: str = ""
    policy: Policy | None = None


@dataclass(frozen=True)
class EgressState:
    """What may leave, and what left today."""

    on: bool
    """Whether the policy lets anything leave; each task and each command is asked besides."""
    reason: str
    """Why not; empty where it is on."""
    hint: str
    policy: Policy | None
    frontiers: tuple[FrontierState, ...]
    today: Account
    """Of the current day (UTC)."""

    def record(self) -> dict[str, object]:
        """As plain data."""
        policy = self.policy
        return {
            "on": self.on, "reason": self.reason, "hint": self.hint,
            "policy": None if policy is None else {
                "path": str(policy.path), "sha256": policy.sha256, "data_classes": policy.data_classes,
                "hosts": policy.hosts, "tasks": policy.tasks, "keep_bodies": policy.keep_bodies,
                "masking": asdict(policy.masking),
                "caps": {"run": asdict(policy.run_caps), "day": asdict(policy.day_caps)},
            },
            "frontiers": [asdict(frontier) for frontier in self.frontiers],
            "today": {
                "documents": len(self.today.documents), "requests": self.today.requests, "tokens": self.today.tokens,
                "money": self.today.money,
            },
            "today_money": self.today.currencies,
        }  # fmt: skip


def egress_state(settings: Settings, environ: Mapping[str, str], system_dir: Path = SYSTEM_DIR) -> EgressState:
    """How things stand; problems of policy and configuration are part of it, not raised."""
    state = policy_state(settings, system_dir)
    frontiers = _frontiers(settings, environ, state.policy)
    return EgressState(state.kind == "on", state.reason, state.hint, state.policy, frontiers, spent_today(settings))


def policy_state(settings: Settings, system_dir: Path = SYSTEM_DIR) -> PolicyState:
    """What the policy says of this machine; a broken one is a state, not an error."""
    try:
        policy = load_policy(settings, system_dir)
    except ApplianceError as error:
        kind: Literal["none", "broken"] = "broken" if policy_path(settings, system_dir) else "none"
        return PolicyState(kind, error.message, error.hint)
    reason = ""
    if not policy.enabled:
        reason = f"{policy.path} does not say enabled = true"
    elif not policy.data_classes or not policy.hosts:
        reason = f"{policy.path} names no {'hosts' if policy.data_classes else 'data_classes'}"
    if reason:
        return PolicyState("off", reason, "an administrator can change the policy", policy)
    return PolicyState("on", policy=policy)


def _frontiers(settings: Settings, environ: Mapping[str, str], policy: Policy | None) -> tuple[FrontierState, ...]:
    states = []
    for name in frontier_names(settings):
        try:
            config = load_frontier(settings, name)
            host, model, proxy, problem = config.endpoint.host, config.choice.model, config.endpoint.proxy_host, ""
            try:
                read_key(config.endpoint, environ)
            except ApplianceError as error:
                problem = error.message
            if not problem and policy is not None and host.lower() not in policy.hosts:
                problem = f"the policy does not name its host {host}"
            if not problem and policy is not None and proxy and proxy.lower() not in policy.hosts:
                problem = f"the policy does not name its proxy {proxy}"
            if not problem and config.endpoint.is_open_to_proxy:
                problem = f"documents would go unencrypted through the proxy {proxy}"
            states.append(FrontierState(name, host, model, proxy, problem))
        except ApplianceError as error:
            states.append(FrontierState(name, problem=error.message))
    return tuple(states)


def spent_today(settings: Settings) -> Account:
    """The account of the current day."""
    files = log_files(egress_dir(settings))
    today = time.strftime("%Y-%m-%d.jsonl", time.gmtime())
    if not files or files[-1].name < today:
        return Account()
    return DayAccount().catch_up(files[-1])


def caps_line(caps: Caps) -> str:
    """Caps in words: `100 documents, 2,000,000 tokens, 5.00`."""
    parts = [
        human_count(caps.documents, "document") if caps.documents is not None else "",
        human_count(caps.tokens, "token") if caps.tokens is not None else "",
        f"{caps.money:,.2f} {caps.currency}".strip() if caps.money is not None else "",
    ]
    return ", ".join(part for part in parts if part) or "none"
