"""Which frontiers there are: the tables `[frontier.NAME]` of `config.toml`, and where the key of each comes from."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from appliance.engines.frontier_hosts import LOOPBACK, host_of
from appliance.ground.errors import InvalidFile, UsageError
from appliance.ground.settings import CONFIG_NAME, Settings
from appliance.ground.spelling import did_you_mean
from appliance.ground.toml_text import parse_toml

Structured = Literal["json_schema", "json_object", "none"]
EFFORT_OFF = "off"


@dataclass(frozen=True)
class Endpoint:
    """Where requests go, and where the key comes from; never the key itself."""

    url: str
    """Base of the protocol, such as `https://api.example.com/v1`."""
    key_env: str = ""
    """Environment variable that holds the key."""
    key_file: str = ""
    """File that holds the key and that only its owner can read."""
    proxy: str = field(default="", repr=False)
    """May hold a name and a password, which stand in no record and no message."""
    ca_file: str = ""
    """Certificates to trust instead of the system's."""

    @property
    def host(self) -> str:
        """Host and, where it is written, port."""
        return host_of(self.url)

    @property
    def proxy_host(self) -> str:
        """Host and, where it is written, port of the proxy; empty where there is none."""
        return host_of(self.proxy)

    @property
    def is_open_to_proxy(self) -> bool:
        """Whether documents would go unencrypted through a proxy on another machine."""
        is_remote = bool(self.proxy) and urlsplit(self.proxy).hostname not in LOOPBACK
        return is_remote and not self.url.lower().startswith("https:")


@dataclass(frozen=True)
class ModelChoice:
    """Which model answers, and how it is asked."""

    model: str
    answers_as: tuple[str, ...] = ()
    """Further names that the model may call itself in answers; dated versions of `model` need none."""
    effort: str = EFFORT_OFF
    """Reasoning effort; `off` unless a measured gain pays for it."""
    effort_when_off: str = ""
    """What is sent as effort while it is off, such as `none`; empty sends nothing, which older models need."""
    structured: Structured = "json_schema"
    temperature: float | None = None
    """None sends none, because reasoning models refuse it."""
    token_parameter: str = "max_completion_tokens"
    max_answer_tokens: int = 1024
    """Tokens of an answer with its reasoning; also what a request reserves of the caps."""
    context_length: int = 128_000
    top_logprobs: int = 0
    """Alternatives of each token that are asked for; 0 asks for no probabilities."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Those of the prompt that cost the price of cached ones."""
    completion_tokens: int = 0
    """Without reasoning."""
    reasoning_tokens: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.prompt_tokens + self.completion_tokens + self.reasoning_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens, self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens, self.reasoning_tokens + other.reasoning_tokens,
        )  # fmt: skip


@dataclass(frozen=True)
class Prices:
    """Money per million tokens."""

    input: float = 0.0
    cached: float = 0.0
    output: float = 0.0
    """Of reasoning tokens too."""
    currency: str = "USD"
    known: bool = True
    """Whether the configuration says what tokens cost; without, money counts as none."""
    batch_share: float = 0.5
    """Of these prices, what a request in a batch costs."""

    def of_batch(self) -> "Prices":
        """The prices of requests in a batch."""
        share = self.batch_share
        return replace(self, input=share * self.input, cached=share * self.cached, output=share * self.output)

    @property
    def are_zero(self) -> bool:
        """Whether tokens cost nothing, in whatever currency."""
        return not (self.input or self.cached or self.output)

    def money(self, usage: Usage) -> float:
        """What the tokens cost, in the currency."""
        fresh = usage.prompt_tokens - usage.cached_tokens
        written = usage.completion_tokens + usage.reasoning_tokens
        return round((fresh * self.input + usage.cached_tokens * self.cached + written * self.output) / 1e6, 9)


@dataclass(frozen=True)
class ClientLimits:
    """How long is waited, how often it is tried again, how much is taken."""

    timeout_seconds: float = 120.0
    """For one request, from its first byte to the last byte of its answer."""
    connect_seconds: float = 10.0
    document_seconds: float = 600.0
    """For one document with all its retries."""
    concurrency: int = 8
    retries: int = 4
    """After the first try."""
    backoff_seconds: float = 1.0
    """Before the second try; doubled for each further one, less up to a quarter by chance."""
    longest_wait_seconds: float = 120.0
    """A frontier that asks for more patience than this has failed."""
    max_response_bytes: int = 4_000_000


@dataclass(frozen=True)
class FrontierConfig:
    """One frontier."""

    name: str
    endpoint: Endpoint
    choice: ModelChoice
    prices: Prices = Prices()
    limits: ClientLimits = ClientLimits()
    licence: str = ""
    """What its terms say of learning from its answers; empty where nobody has said it."""

    @property
    def is_off(self) -> bool:
        """Whether reasoning is off."""
        return self.choice.effort == EFFORT_OFF


def frontier_names(settings: Settings) -> list[str]:
    """Names of the frontiers in `config.toml`, in its order."""
    return list(_tables(settings.home_dir / CONFIG_NAME))


def load_frontier(settings: Settings, name: str) -> FrontierConfig:
    """The frontier of this name.

    Raises:
        UsageError: There is none of this name, or its table says what is invalid.
    """
    path = settings.home_dir / CONFIG_NAME
    tables = _tables(path)
    if name not in tables:
        known = ", ".join(tables) or "none"
        raise UsageError(
            f"there is no frontier {name}{did_you_mean(name, tables) or f'; known: {known}'}",
            f"{path} names frontiers as tables [frontier.NAME] with url and model",
        )
    values = tables[name]
    if not isinstance(values, dict):
        hint = f"write [frontier.{name}] and its keys below"
        raise InvalidFile(str(path), [(f"frontier.{name}", "not a table", hint)])
    from appliance.engines.frontier_table import FrontierTable
    from appliance.ground.tables import check_table

    table = check_table(FrontierTable, values, str(path), f"frontier.{name}.")
    price_in = table.input_price or 0.0
    return FrontierConfig(
        name,
        Endpoint(table.url.strip().rstrip("/"), table.key_env, table.key_file, table.proxy.strip(), table.ca_file),
        ModelChoice(
            table.model, tuple(table.answers_as), table.effort.strip() or EFFORT_OFF, table.effort_when_off,
            table.structured, table.temperature, table.token_parameter, table.max_answer_tokens, table.context_length,
        ),
        Prices(
            price_in, price_in if table.cached_price is None else table.cached_price, table.output_price or 0.0,
            table.currency.strip().upper(), known=table.input_price is not None, batch_share=table.batch_share,
        ),
        ClientLimits(
            table.timeout_seconds, table.connect_seconds, table.document_seconds, min(table.concurrency, 256),
            min(table.retries, 20), table.backoff_seconds, table.longest_wait_seconds, table.max_response_bytes,
        ),
        table.licence.strip(),
    )  # fmt: skip


def _tables(path: Path) -> Mapping[str, object]:
    """The tables of frontiers in `config.toml`, by name."""
    try:
        tables = parse_toml(path.read_bytes()).get("frontier", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "correct the file") from error
    if not isinstance(tables, dict):
        raise InvalidFile(str(path), [("frontier", "not a table", "write [frontier.NAME] and its keys below")])
    return tables


def read_key(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    """The key; empty where the endpoint names no source.

    Raises:
        UsageError: The variable is not set, or the file is not there, or others can read it.
    """
    if endpoint.key_env:
        key, source = environ.get(endpoint.key_env, "").strip(), f"the environment variable {endpoint.key_env}"
    elif endpoint.key_file:
        key, source = _key_from(Path(os.path.expanduser(endpoint.key_file))), f"the key file {endpoint.key_file}"
    else:
        return ""
    if not key:
        raise UsageError(f"{source} holds no key for {endpoint.host}", "put the key there, never on the command line")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{source} does not hold a valid key", "put the key there alone, on one line")
    return key


def _key_from(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(
            f"cannot read the key file {path}: {error.strerror}", "check key_file in config.toml"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"the key file {path} is not a regular file", "name a file that holds the key")
        if status.st_mode & 0o077 or status.st_uid not in (0, os.geteuid()):
            raise UsageError(
                f"others can read or change the key file {path} (mode {stat.S_IMODE(status.st_mode):04o})",
                f"chmod 600 {path}",
            )
        return file.read(10_000).decode("utf-8", "replace").strip()
