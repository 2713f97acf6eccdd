"""What may leave the machine: `policy/egress.toml` of `/etc/stillroom` or of the home folder, never of a task folder.

Without a policy, and with one that this program does not understand to the last key, nothing leaves.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.engines.frontier_config import FrontierConfig
from appliance.ground.errors import UsageError
from appliance.ground.settings import Settings
from appliance.ground.spelling import nearest
from appliance.ground.toml_text import parse_toml
from appliance.routing.detector_names import DETECTOR_NAMES, MASKED_DIGITS
from appliance.tasks.task import Task

POLICY_NAME = "egress.toml"
SYSTEM_DIR = Path("/etc/stillroom")
_LARGEST_BYTES = 1_000_000


class EgressRefused(UsageError):
    """The policy, or its absence, lets nothing of this leave."""


@dataclass(frozen=True)
class Caps:
    """The most that may leave in one run or one day (UTC); None where there is no such cap."""

    documents: int | None = None
    tokens: int | None = None
    money: float | None = None
    currency: str = ""
    """Of the money; empty where it is whatever currency the frontier's prices are in."""

    @property
    def is_set(self) -> bool:
        """Whether anything is capped."""
        return not (self.documents is None and self.tokens is None and self.money is None)


@dataclass(frozen=True)
class Masking:
    """What is taken out of a text before it leaves."""

    detectors: tuple[str, ...] = DETECTOR_NAMES
    digits: int = MASKED_DIGITS
    """Numbers of so many digits are masked whatever they are; 0 masks none for that."""
    fields: tuple[str, ...] = ()
    """Fields whose values are masked wherever they stand in the text; `FIELD` of every task, or `TASK.FIELD`."""
    send_unfound: bool = False
    """Whether a document leaves in which no value of such a field is known; otherwise it is withheld."""


@dataclass(frozen=True)
class Policy:
    """A policy file."""

    path: Path
    sha256: str
    enabled: bool
    data_classes: tuple[str, ...]
    hosts: tuple[str, ...]
    """Destinations, as host or host:port."""
    tasks: tuple[str, ...] = ()
    """Names of tasks; all of the data classes where it is empty."""
    keep_bodies: bool = True
    """Whether what left is kept beside the record of it."""
    masking: Masking = field(default_factory=Masking)
    run_caps: Caps = Caps()
    day_caps: Caps = Caps()


def policy_path(settings: Settings, system_dir: Path = SYSTEM_DIR) -> Path | None:
    """The policy file that holds: the machine's before the home folder's; None where there is none.

    Raises:
        EgressRefused: Nobody can tell whether there is one.
    """
    for directory in (system_dir, settings.home_dir):
        path = directory / "policy" / POLICY_NAME
        try:
            os.lstat(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise EgressRefused(
                f"cannot see whether there is a policy {path}: {error.strerror}; nothing leaves",
                f"ask an administrator to let this user read {path.parent}",
            ) from error
        # Whatever stands there counts, even a link to nothing: it is never passed over for a laxer one.
        return path
    return None


def load_policy(settings: Settings, system_dir: Path = SYSTEM_DIR) -> Policy:
    """Reads the policy.

    Raises:
        EgressRefused: There is none, or others than its owner can write it.
        UsageError: It is invalid.
    """
    path = policy_path(settings, system_dir)
    if path is None:
        raise EgressRefused(
            "nothing can leave this machine: it has no egress policy",
            f"an administrator can write {settings.home_dir / 'policy' / POLICY_NAME} or one below {SYSTEM_DIR}",
        )
    data = _read(path)
    _check_folders(path)
    try:
        values = parse_toml(data)
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}; nothing leaves", "correct the file at that place") from error
    return _policy(path, hashlib.sha256(data).hexdigest(), values)


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"cannot read the policy {path}: {error.strerror}; nothing leaves") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_BYTES:
            raise UsageError(f"the policy {path} is not a regular file of at most 1 MB; nothing leaves")
        if status.st_mode & 0o022 or status.st_uid not in (0, os.geteuid()):
            mode = stat.S_IMODE(status.st_mode)
            raise EgressRefused(
                f"others can change the policy {path} (mode {mode:04o}); nothing leaves", f"chmod 600 {path}"
            )
        return file.read()


def _check_folders(path: Path) -> None:
    """Whoever can write a folder on the way to the policy can put another one in its place, or take it away."""
    for place in {path.absolute(), Path(os.path.realpath(path))}:
        for folder in (place.parent, place.parent.parent):
            try:
                status = os.stat(folder)
            except OSError as error:
                raise UsageError(f"cannot read the policy {path}: {error.strerror}; nothing leaves") from error
            shared = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
            if shared or status.st_uid not in (0, os.geteuid()):
                raise EgressRefused(
                    f"others can change the folder {folder} of the policy (mode {stat.S_IMODE(status.st_mode):04o});"
                    " nothing leaves",
                    f"its owner must be root or this user: chmod go-w {folder}",
                )


def _policy(path: Path, sha256: str, values: Mapping[str, object]) -> Policy:
    from appliance.ground.tables import check_table
    from appliance.routing.policy_table import PolicyTable

    table = check_table(PolicyTable, values, str(path))
    masking, run, day = table.masking, table.caps.run, table.caps.day
    return Policy(
        path, sha256, table.enabled, tuple(table.data_classes), tuple(host.lower() for host in table.hosts),
        tuple(table.tasks), table.keep_bodies,
        Masking(tuple(masking.detectors), masking.digits, tuple(masking.fields), masking.unfound == "send"),
        Caps(run.documents, run.tokens, run.money, run.currency.strip().upper()),
        Caps(day.documents, day.tokens, day.money, day.currency.strip().upper()),
    )  # fmt: skip


def check_allowed(policy: Policy, task: Task, config: FrontierConfig) -> None:
    """Checks that the policy lets documents of the task go to the frontier.

    Raises:
        EgressRefused: It does not; says why.
    """
    if not policy.enabled:
        raise EgressRefused(
            f"egress is off: {policy.path} does not say enabled = true", "ask an administrator to change the policy"
        )
    if task.data_class not in policy.data_classes:
        named = f"of class {task.data_class}" if task.data_class else "without a data_class"
        allowed = ", ".join(policy.data_classes) or "none"
        raise EgressRefused(
            f"the policy {policy.path} does not let documents {named} leave (allowed: {allowed})",
            f"keep task {task.name} on this machine, or ask an administrator to change the policy",
        )
    if policy.tasks and task.name not in policy.tasks:
        raise EgressRefused(
            f"the policy {policy.path} does not name task {task.name}", "ask an administrator to change the policy"
        )
    if config.endpoint.host.lower() not in policy.hosts:
        raise EgressRefused(
            f"the policy {policy.path} does not let anything go to {config.endpoint.host}",
            f"allowed hosts: {', '.join(policy.hosts) or 'none'}",
        )
    if config.endpoint.proxy and config.endpoint.proxy_host.lower() not in policy.hosts:
        raise EgressRefused(
            f"the policy {policy.path} does not let anything go through the proxy {config.endpoint.proxy_host}",
            f"allowed hosts: {', '.join(policy.hosts) or 'none'}; a proxy must be one of them",
        )
    if config.endpoint.is_open_to_proxy:
        raise EgressRefused(
            f"documents would go unencrypted to {config.endpoint.url} through the proxy {config.endpoint.proxy_host},"
            " which could read all of them; nothing leaves",
            f"use https for [frontier.{config.name}], or no proxy",
        )
    _check_owners(policy)
    masked_fields(policy.masking, task, policy.path)


def _check_owners(policy: Policy) -> None:
    """Checks that no masked field's task is a slip of one that the policy names: it would mask nothing in silence."""
    known = [_plain_name(name) for name in policy.tasks]
    for name in policy.masking.fields:
        owner, dot, _ = name.partition(".")
        meant = nearest(owner, policy.tasks) if dot and _plain_name(owner) not in known else None
        if meant is not None:
            raise EgressRefused(
                f"{policy.path}: the policy masks the field {name}, but names no task {owner}; nothing leaves",
                f'did you mean "{meant}"? its tasks: {", ".join(policy.tasks)}',
            )


def _plain_name(name: str) -> str:
    """A task's name without what people write one way or the other: too much masked is better than too little."""
    return name.strip().casefold().replace("-", "_")


def masked_fields(masking: Masking, task: Task, path: Path) -> tuple[str, ...]:
    """Names of the task's fields that the policy masks.

    Raises:
        EgressRefused: It names a field that the task does not have, so that a mistyped name masks nothing in silence.
    """
    names = [
        name.partition(".")[2] or name
        for name in masking.fields
        if "." not in name or _plain_name(name.partition(".")[0]) == _plain_name(task.name)
    ]
    known = [field.name for field in task.output_fields]
    for name in names:
        if name not in known:
            meant = nearest(name, known)
            raise EgressRefused(
                f"{path}: the policy masks the field {name}, which task {task.name} does not have; nothing leaves",
                (f'did you mean "{meant}"? ' if meant else "") + 'a field of another task is named "TASK.FIELD"',
            )
    return tuple(names)
