"""What a table `[frontier.NAME]` of `config.toml` may say."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from appliance.engines.frontier_hosts import LOOPBACK
from appliance.ground.tables import PLUS_ZERO, Problem, Table, Text, Texts

_EXAMPLE = "https://api.example.com/v1"
_URL_HINT = f'write url = "{_EXAMPLE}"'

Price = Annotated[float, Field(ge=0, le=1e6), PLUS_ZERO]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
AtLeastOne = Annotated[int, Field(ge=1)]


class FrontierTable(Table):
    """One frontier; `appliance.engines.frontier_config` says what each key is for."""

    url: Text = Field(examples=[_EXAMPLE])
    model: Text = Field(examples=["gpt-4o"])
    answers_as: Texts = Field(default=[])
    effort: str = "off"
    effort_when_off: str = ""
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    temperature: Annotated[float, Field(ge=0, le=2), PLUS_ZERO] | None = Field(default=None, examples=[0])
    token_parameter: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    max_answer_tokens: AtLeastOne = 1024
    context_length: AtLeastOne = 128_000
    input_price: Price | None = Field(default=None, examples=[2.5])
    cached_price: Price | None = Field(default=None, examples=[1.25])
    output_price: Price | None = Field(default=None, examples=[10])
    currency: Text = Field(default="USD", examples=["EUR"])
    key_env: str = Field(default="", examples=["FRONTIER_KEY"])
    key_file: str = Field(default="", examples=["/etc/stillroom/frontier.key"])
    allow_http: bool = False
    proxy: str = ""
    ca_file: str = ""
    timeout_seconds: Seconds = 120.0
    connect_seconds: Seconds = 10.0
    document_seconds: Seconds = 600.0
    concurrency: AtLeastOne = 8
    retries: Annotated[int, Field(ge=0)] = 4
    backoff_seconds: Seconds = 1.0
    longest_wait_seconds: Seconds = 120.0
    max_response_bytes: Annotated[int, Field(ge=1000)] = 4_000_000
    batch_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    licence: str = Field(default="", examples=["its answers may train our own models (terms of 2026-01-01)"])

    def problems(self) -> list[Problem]:
        """The address, where the key comes from, and prices that belong together."""
        problems = self._url_problems() or self._proxy_problems()
        if self.key_env and self.key_file:
            problems.append(("key_file", "given beside key_env", "keep one of them"))
        if self.key_env and not self.key_env.isidentifier():
            # Most probably the key itself: it must not be shown.
            hint = "write the variable's name, not the key"
            problems.append(("key_env", "not the name of an environment variable", hint))
        if (self.input_price is None) != (self.output_price is None):
            key = "input_price" if self.input_price is None else "output_price"
            problems.append((key, "missing", f"add {key} = 0 if it costs nothing; prices are per million tokens"))
        return problems

    def _url_problems(self) -> list[Problem]:
        url = self.url.strip()
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            return [("url", f'"{url}" is not a web address: {error}', _URL_HINT)]
        if parts.username or parts.password or "?" in url or "#" in url:
            # It may hold a key, which must not be shown.
            return [("url", "more than host and path", "a key belongs in key_env or key_file")]
        if parts.path.rstrip("/").endswith("/chat/completions"):
            return [("url", "ends in /chat/completions, which is added to it", "leave /chat/completions away")]
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return [("url", f'"{url}" is not a web address', _URL_HINT)]
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not self.allow_http:
            hint = "use https, or write allow_http = true if the network between is yours"
            return [("url", f"{url} would send documents unencrypted", hint)]
        return []

    def _proxy_problems(self) -> list[Problem]:
        proxy = self.proxy.strip()
        if not proxy:
            return []
        # It may hold a password, which must not be shown.
        hint = 'write proxy = "http://proxy.example.com:3128"'
        try:
            parts = urlsplit(proxy)
            _ = parts.port
        except ValueError:
            return [("proxy", "not the address of a proxy", hint)]
        if parts.scheme not in ("http", "https", "socks5", "socks5h") or not parts.hostname:
            return [("proxy", "not the address of a proxy", hint)]
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            return [("proxy", "more than the address of a proxy", hint)]
        return []
