"""Which frontiers there are: the tables `[frontier.NAME]` of `config.toml`, and where the key of each comes from."""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from appliance.ground.errors import UsageError
from appliance.ground.settings import CONFIG_NAME, Settings
from appliance.ground.spelling import nearest
from appliance.tasks.table import Table

Structured = Literal["json_schema", "json_object", "none"]
EFFORT_OFF = "off"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_STRUCTURED = ("json_schema", "json_object", "none")
FRONTIER_KEYS = (
    "url", "model", "answers_as", "effort", "effort_when_off", "structured", "temperature", "token_parameter",
    "max_answer_tokens", "context_length", "input_price", "cached_price", "output_price", "currency", "key_env",
    "key_file", "allow_http", "proxy", "ca_file", "timeout_seconds", "connect_seconds", "document_seconds",
    "concurrency", "retries", "backoff_seconds", "longest_wait_seconds", "max_response_bytes",
)  # fmt: skip


@dataclass(frozen=True)
class Endpoint:
    """Where requests go, and where the key comes from; never the key itself."""

    url: str
    """Base of the protocol, such as `https://api.example.com/v1`."""
    key_env: str = ""
    """Environment variable that holds the key."""
    key_file: str = ""
    """File that holds the key and that only its owner can read."""
    proxy: str = ""
    ca_file: str = ""
    """Certificates to trust instead of the system's."""

    @property
    def host(self) -> str:
        """Host and, where it is written, port."""
        parts = urlsplit(self.url)
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        return f"{name}:{parts.port}" if parts.port else name


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

    @property
    def is_off(self) -> bool:
        """Whether reasoning is off."""
        return self.choice.effort == EFFORT_OFF


def frontier_names(settings: Settings) -> list[str]:
    """Names of the frontiers in `config.toml`, in its order."""
    return list(_tables(settings.home_dir / CONFIG_NAME).values)


def load_frontier(settings: Settings, name: str) -> FrontierConfig:
    """The frontier of this name.

    Raises:
        UsageError: There is none of this name, or its table says something that cannot be meant.
    """
    path = settings.home_dir / CONFIG_NAME
    tables = _tables(path)
    if name not in tables.values:
        meant = nearest(name, tables.values)
        known = ", ".join(tables.values) or "none"
        raise UsageError(
            f"no frontier is called {name}" + (f", did you mean {meant}?" if meant else f"; known: {known}"),
            f"{path} names frontiers as tables [frontier.NAME] with url and model",
        )
    return _frontier(name, tables.table(name))


def _tables(path: Path) -> Table:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        values = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "correct the file") from error
    return Table(values, str(path)).table("frontier")


def _frontier(name: str, table: Table) -> FrontierConfig:
    table.refuse_unknown(FRONTIER_KEYS)
    return FrontierConfig(name, _endpoint(table), _choice(table), _prices(table), _limits(table))


def _endpoint(table: Table) -> Endpoint:
    url = table.text("url", example="https://api.example.com/v1").strip()
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise table.wrong("url", f"is {url!r}: {error}", 'write url = "https://api.example.com/v1"') from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise table.wrong("url", f"is {url!r}, not a web address", 'write url = "https://api.example.com/v1"')
    if parts.username or parts.password or parts.query or parts.fragment:
        raise table.wrong("url", "holds more than host and path", "keys belong into key_env or key_file")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not table.flag("allow_http", False):
        hint = "use https, or write allow_http = true if the network between is yours"
        raise table.wrong("url", "would send documents unencrypted", hint)
    key_env, key_file = table.text("key_env", ""), table.text("key_file", "")
    if key_env and key_file:
        raise table.wrong("key_file", "is given beside key_env", "keep one of them")
    if key_env and not key_env.isidentifier():
        # Most probably the key itself: it must not be shown.
        raise table.wrong("key_env", "is no name of an environment variable", "write the variable's name, not the key")
    return Endpoint(url.rstrip("/"), key_env, key_file, table.text("proxy", ""), table.text("ca_file", ""))


def _choice(table: Table) -> ModelChoice:
    default = ModelChoice("")
    temperature = table.values.get("temperature")
    return ModelChoice(
        table.text("model", example="gpt-4o"),
        table.texts("answers_as"),
        table.text("effort", EFFORT_OFF).strip() or EFFORT_OFF,
        table.text("effort_when_off", ""),
        cast(Structured, table.choice("structured", _STRUCTURED, "json_schema")),
        0.0 if temperature == 0 else table.number("temperature", None, 0, 2),
        table.choice("token_parameter", ("max_completion_tokens", "max_tokens"), default.token_parameter),
        table.integer("max_answer_tokens", default.max_answer_tokens, least=1),
        table.integer("context_length", default.context_length, least=1),
    )


def _prices(table: Table) -> Prices:
    given = {key: _price(table, key) for key in ("input_price", "output_price", "cached_price")}
    if (given["input_price"] is None) != (given["output_price"] is None):
        missing = "input_price" if given["input_price"] is None else "output_price"
        raise table.wrong(missing, "is missing", f"add {missing} = 0 if it costs nothing; per million tokens")
    price_in, price_out = given["input_price"] or 0.0, given["output_price"] or 0.0
    cached = given["cached_price"]
    known = given["input_price"] is not None
    return Prices(price_in, price_in if cached is None else cached, price_out, table.text("currency", "USD"), known)


def _price(table: Table, key: str) -> float | None:
    return 0.0 if table.values.get(key) in (0, 0.0) else table.number(key, None, 0, 1e6)


def _limits(table: Table) -> ClientLimits:
    default = ClientLimits()

    def seconds(key: str, value: float) -> float:
        return table.number(key, value, 0, 86_400) or value

    return ClientLimits(
        seconds("timeout_seconds", default.timeout_seconds),
        seconds("connect_seconds", default.connect_seconds),
        seconds("document_seconds", default.document_seconds),
        min(table.integer("concurrency", default.concurrency, least=1), 256),
        min(table.integer("retries", default.retries, least=0), 20),
        seconds("backoff_seconds", default.backoff_seconds),
        seconds("longest_wait_seconds", default.longest_wait_seconds),
        table.integer("max_response_bytes", default.max_response_bytes, least=1000),
    )


def read_key(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    """The key; empty where the endpoint names no source.

    Raises:
        UsageError: The variable is not set, or the file is not there, or others can read it.
    """
    if endpoint.key_env:
        key, source = environ.get(endpoint.key_env, "").strip(), f"the environment variable {endpoint.key_env}"
    elif endpoint.key_file:
        key, source = _key_from(Path(endpoint.key_file).expanduser()), f"the key file {endpoint.key_file}"
    else:
        return ""
    if not key:
        raise UsageError(f"{source} holds no key for {endpoint.host}", "put the key there, never on the command line")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{source} holds something that is no key", "put the key there alone, on one line")
    return key


def _key_from(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(
            f"cannot read the key file {path}: {error.strerror}", "check key_file in config.toml"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"the key file {path} is no regular file", "name a file that holds the key")
        if found.st_mode & 0o077 or found.st_uid not in (0, os.geteuid()):
            raise UsageError(
                f"others can read or change the key file {path} (mode {stat.S_IMODE(found.st_mode):04o})",
                f"chmod 600 {path}",
            )
        return file.read(10_000).decode("utf-8", "replace").strip()
