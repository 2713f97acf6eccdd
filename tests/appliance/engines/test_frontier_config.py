"""The tables `[frontier.NAME]`: what they say, what is refused, and where keys may come from."""

from pathlib import Path

import pytest

from appliance.engines.frontier_config import Prices, Usage, frontier_names, load_frontier, read_key
from appliance.ground.errors import UsageError
from appliance.ground.settings import Settings, load_settings

FULL = """threads = 2

[frontier.far]
url = "https://api.example.com/v1/"
model = "gpt-9"
answers_as = ["gpt-9-internal"]
effort = "high"
structured = "json_object"
temperature = 0
token_parameter = "max_tokens"
max_answer_tokens = 300
context_length = 8000
input_price = 2.5
cached_price = 0.5
output_price = 10
currency = "EUR"
key_env = "FAR_KEY"
proxy = "http://proxy.example:3128"
timeout_seconds = 30
concurrency = 3
retries = 0

[frontier.near]
url = "http://127.0.0.1:8080/v1"
model = "local"
"""


@pytest.fixture
def settings(home_dir: Path) -> Settings:
    return load_settings({"STILLROOM_HOME": str(home_dir)})


def write(settings: Settings, text: str) -> None:
    (settings.home_dir / "config.toml").write_text(text)


def test_table_is_read_to_the_last_key(settings: Settings) -> None:
    write(settings, FULL)
    far = load_frontier(settings, "far")
    assert (far.endpoint.url, far.endpoint.host) == ("https://api.example.com/v1", "api.example.com")
    assert (far.endpoint.key_env, far.endpoint.proxy) == ("FAR_KEY", "http://proxy.example:3128")
    choice = far.choice
    assert (choice.model, choice.answers_as, choice.effort, far.is_off) == ("gpt-9", ("gpt-9-internal",), "high", False)
    assert (choice.structured, choice.temperature, choice.token_parameter) == ("json_object", 0.0, "max_tokens")
    assert (choice.max_answer_tokens, choice.context_length) == (300, 8000)
    assert far.prices == Prices(2.5, 0.5, 10.0, "EUR")
    assert (far.limits.timeout_seconds, far.limits.concurrency, far.limits.retries) == (30.0, 3, 0)
    assert frontier_names(settings) == ["far", "near"]
    assert load_settings({"STILLROOM_HOME": str(settings.home_dir)}).threads == 2


def test_what_is_not_said_is_off_or_strict(settings: Settings) -> None:
    write(settings, FULL)
    near = load_frontier(settings, "near")
    assert near.is_off
    assert near.choice.structured == "json_schema"
    assert near.choice.temperature is None
    assert near.endpoint.host == "127.0.0.1:8080"
    assert read_key(near.endpoint, {"OPENAI_API_KEY": "sk-of-somebody"}) == ""


@pytest.mark.parametrize(
    ("wrong", "right", "message", "hint"),
    [
        ("output_price = 10", "output_prize = 10", "frontier.far.output_prize: unknown key", "output_price?"),
        ("output_price = 10\n", "\n", "frontier.far.output_price: missing", "per million tokens"),
        ("input_price = 2.5", "input_price = -1", "not a number", ""),
        ('structured = "json_object"', 'structured = "json"', '"json" is not one of json_schema', "json_"),
        ("https://api.example.com/v1/", "http://api.example.com/v1", "unencrypted", "allow_http = true"),
        ("https://api.example.com/v1/", "api.example.com", "not a web address", "https://"),
        ("https://api.example.com/v1/", "https://user:word@api.example.com", "more than host and path", "key_env"),
        ("https://api.example.com/v1/", "https://api.example.com/v1?", "more than host and path", "key_env"),
        ("example.com/v1/", "example.com/v1/chat/completions/", "ends in /chat/completions", "leave"),
        ("https://api.example.com/v1/", "https://api.example.com:99999/v1", "https://api.example.com:99999", "https"),
        ('key_env = "FAR_KEY"', 'key_env = "FAR_KEY"\nkey_file = "x"', "given beside key_env", "one of them"),
        ('model = "gpt-9"\n', "\n", "frontier.far.model: missing", "model ="),
        ("concurrency = 3", "concurrency = 0", "not a whole number", ""),
        ("threads = 2", "threds = 2", None, None),
    ],
    ids=lambda value: str(value).replace("\n", " ")[:40],
)  # fmt: skip
def test_mistake_is_named_by_its_key(
    settings: Settings, wrong: str, right: str, message: str | None, hint: str | None
) -> None:
    assert wrong in FULL
    write(settings, FULL.replace(wrong, right, 1))
    if message is None:
        # A mistake elsewhere in the file is for the command's settings to find.
        assert load_frontier(settings, "far").name == "far"
        return
    with pytest.raises(UsageError) as raised:
        load_frontier(settings, "far")
    assert message in raised.value.message
    assert hint is not None
    assert hint in raised.value.hint


def test_key_in_the_place_of_its_variable_is_refused_and_not_shown(settings: Settings) -> None:
    write(settings, FULL.replace('"FAR_KEY"', '"sk-proj-1234567890"'))
    with pytest.raises(UsageError) as raised:
        load_frontier(settings, "far")
    assert "sk-proj" not in raised.value.message + raised.value.hint


def test_unknown_frontier_names_the_nearest(settings: Settings) -> None:
    write(settings, FULL)
    with pytest.raises(UsageError, match="did you mean near"):
        load_frontier(settings, "naer")
    write(settings, "")
    with pytest.raises(UsageError, match="known: none"):
        load_frontier(settings, "far")


def test_http_to_another_machine_may_be_allowed(settings: Settings) -> None:
    text = FULL.replace("https://api.example.com/v1/", "http://gateway.example/v1")
    write(settings, text.replace('key_env = "FAR_KEY"', "allow_http = true"))
    assert load_frontier(settings, "far").endpoint.url == "http://gateway.example/v1"


@pytest.mark.parametrize(("content", "key"), [("sk-1\n", "sk-1"), ("  sk-2  ", "sk-2")])
def test_key_file_of_its_owner_is_read(settings: Settings, tmp_path: Path, content: str, key: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(0o600)
    write(settings, FULL.replace('key_env = "FAR_KEY"', f'key_file = "{path}"'))
    assert read_key(load_frontier(settings, "far").endpoint, {}) == key


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("sk-1", 0o644, "others can read"), ("sk-1", 0o660, "others can read"), ("", 0o600, "holds no key"),
        ("sk-1\nsk-2", 0o600, "not hold a valid key"), ("Bearer sk-1", 0o600, "not hold a valid key"),
        (None, 0o600, "No such file"),
    ],
)  # fmt: skip
def test_key_file_that_is_wrong_is_refused(
    settings: Settings, tmp_path: Path, content: str | None, mode: int, message: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    write(settings, FULL.replace('key_env = "FAR_KEY"', f'key_file = "{path}"'))
    with pytest.raises(UsageError, match=message) as raised:
        read_key(load_frontier(settings, "far").endpoint, {})
    assert "sk-1" not in raised.value.message


def test_money_of_an_answer() -> None:
    prices = Prices(2.0, 0.5, 8.0)
    # 600 fresh, 400 cached, 100 written and 900 reasoning tokens.
    assert prices.money(Usage(1000, 400, 100, 900)) == pytest.approx(600 * 2e-6 + 400 * 0.5e-6 + 1000 * 8e-6)
    assert Usage(1, 0, 2, 3) + Usage(10, 5, 20, 30) == Usage(11, 5, 22, 33)
