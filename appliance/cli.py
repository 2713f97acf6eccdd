"""The `stillroom` command: verbs by name, each loaded only when it is called; errors become messages and exit codes."""

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from appliance.ground.command_group import CommandGroup
from appliance.ground.errors import ApplianceError, Interrupted, InvalidFile
from appliance.ground.extras import missing_extra
from appliance.ground.output import finish_stdout, note, note_error, open_standard_streams, reader_has_gone
from appliance.ground.threads import let_idle_threads_sleep


class Verb(NamedTuple):
    """One verb of the command line."""

    target: str
    """`package.module:name` of a click command."""
    summary: str


VERBS = {
    "demo": Verb("training.commands.demo:command", "Distil, export and run a small task on this machine, offline"),
    "new": Verb("training.commands.new:command", "Write a task folder to start from"),
    "task": Verb("appliance.commands.task:command", "Check a task file, show its schema, rewrite an older one"),
    "bases": Verb("training.commands.bases:command", "List, show, pull, add and remove base models"),
    "plan": Verb("training.commands.plan:command", "Forecast what more answers are worth, and what a student saves"),
    "synthesize": Verb("training.commands.synthesize:command", "Let a teacher write documents with known values"),
    "collect": Verb("training.commands.collect:command", "Ask a teacher about documents, or import its answers"),
    "curate": Verb("training.commands.curate:command", "Filter the answers and split them into a dataset"),
    "review": Verb("appliance.commands.review:command", "Look at the teacher's answers that are likely wrong"),
    "score": Verb("training.commands.score:command", "Store a local teacher's logits for the training rows"),
    "train": Verb("training.commands.train:command", "Train the student on the dataset"),
    "merge": Verb("training.commands.merge:command", "Merge a run's adapter into its base"),
    "export": Verb("export.commands.export:command", "Write GGUF and ONNX artifacts of a merged student"),
    "gate": Verb("appliance.commands.gate:command", "Judge an artifact on labelled rows"),
    "run": Verb("appliance.commands.run:command", "Run a folder of documents through a model"),
    "cluster": Verb("appliance.commands.cluster:command", "Run one job on the machines of a Ray cluster"),
    "jobs": Verb("appliance.commands.jobs:command", "List, pause, resume, retry, join and remove jobs"),
    "compare": Verb("appliance.commands.compare:command", "Compare models, or a model and a frontier, on a folder"),
    "comparisons": Verb("appliance.commands.compare:group", "List, show, judge, resume and remove comparisons"),
    "models": Verb("appliance.commands.models:command", "Add, verify, activate, roll back and remove models"),
    "egress": Verb("appliance.commands.egress:command", "Show what may leave this machine, and what left it"),
    "doctor": Verb("appliance.commands.doctor:command", "Examine this machine and say what to do"),
    "support-bundle": Verb("appliance.commands.support_bundle:command", "Write an archive of facts for support"),
    "tui": Verb("tui.commands:command", "Work with models, jobs and comparisons on a screen"),
}
"""In the order of a task's way."""


_REFUSALS = frozenset(
    {
        errno.EACCES, errno.EDQUOT, errno.EHOSTDOWN, errno.EIO, errno.ELOOP, errno.EMFILE, errno.ENAMETOOLONG,
        errno.ENFILE, errno.ENOSPC, errno.ENOTCONN, errno.EPERM, errno.EROFS, errno.ESTALE, errno.ETIMEDOUT,
    }
)  # fmt: skip
"""With these the system refuses a path for what lies in the path, the rights or the disk, not in the program."""


class VerbGroup(CommandGroup):
    """Lists verbs from the table without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the verb's module."""
        verb = VERBS.get(cmd_name)
        return _load(cmd_name, verb) if verb else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Verbs with their summaries, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])


def _load(name: str, verb: Verb) -> click.Command:
    module_name, _, attribute = verb.target.partition(":")
    module = importlib.import_module(module_name)
    command = getattr(module, attribute)
    if not isinstance(command, click.Command):
        raise TypeError(f"{verb.target} is no command")
    command.name = name
    return command


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="stillroom", prog_name="stillroom")
def stillroom() -> None:
    """Distil what a frontier model does on one document task into a small model of your own, and run it."""


def main() -> int:
    """Runs the command line and gives the exit code; every error becomes a message and a hint on stderr."""
    open_standard_streams()
    let_idle_threads_sleep()
    code = _run()
    if error := finish_stdout():
        return _fail(f"cannot write the output: {error.strerror}", "check where stdout goes", 4)
    return code


def _run() -> int:
    try:
        # Not click's own `main`: it ends the process where a pipe breaks, whichever it is.
        with stillroom.make_context("stillroom", sys.argv[1:]) as context:
            stillroom.invoke(context)
        return 0
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except InvalidFile as error:
        return _fail(error.message, error.hint, error.exit_code, error.lines)
    except Interrupted as error:
        return _end(error.message, error.hint)
    except ApplianceError as error:
        return _fail(error.message, _ownership_hint(error) or error.hint, error.exit_code)
    except click.UsageError as error:
        hint = f"`{error.ctx.command_path} --help` lists what it takes" if error.ctx else ""
        return _fail(error.format_message().rstrip("."), hint, 2)
    except click.ClickException as error:
        return _fail(error.format_message().rstrip("."), "", 2)
    except (KeyboardInterrupt, EOFError, click.Abort):
        return _end("interrupted", "the same command continues where it stopped")
    except BrokenPipeError as error:
        return 0 if reader_has_gone() else _crash(error)
    except ImportError as error:
        missing = missing_extra(error.name or "")
        return _fail(missing.message, missing.hint, missing.exit_code) if missing else _crash(error)
    except Exception as error:
        if isinstance(error, FileNotFoundError) and _started_in_removed_folder():
            return _fail("the folder that this was started in is gone", "`cd` to another one, and type it again", 4)
        if isinstance(error, OSError) and ((hint := _ownership_hint(error)) or _is_refusal(error)):
            hint = hint or "check the path, the rights of this user, and that the disk is still connected"
            return _fail(f"cannot use {error.filename}: {error.strerror}", hint, 4)
        return _crash(error)


def _started_in_removed_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _is_refusal(error: OSError) -> bool:
    """Whether the system refused a path that can be named, such as one on a network disk that has gone."""
    return error.errno in _REFUSALS and isinstance(error.filename, str)


def _ownership_hint(error: BaseException) -> str:
    """What to do where the error comes of another user's files."""
    from appliance.ground.ownership import ownership_hint

    return ownership_hint(error, os.environ)


def _end(message: str, hint: str) -> int:
    """A person stopped the work, which is no error."""
    note(message, *([f"hint: {hint}"] if hint else []))
    return Interrupted.exit_code


def _fail(message: str, hint: str, exit_code: int, problems: Sequence[str] = ()) -> int:
    note_error(message, hint, problems)
    return exit_code


def _crash(error: BaseException) -> int:
    """An error nobody foresaw: its traceback goes to the log file, and the message says where that is."""
    import traceback

    from appliance.ground.settings import home_dir

    log_path = home_dir(os.environ) / "stillroom.log"
    summary = traceback.format_exception_only(error)[-1].strip()
    try:
        log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(log_path, "a", encoding="utf-8", errors="backslashreplace") as log:
            log.write("".join(traceback.format_exception(error)) + "\n")
        hint = f"the traceback is in {log_path}"
    except OSError as log_error:
        hint = f"the log {log_path} could not be written: {log_error.strerror}"
    return _fail(f"unexpected error: {summary}", hint, 1)


if __name__ == "__main__":
    sys.exit(main())
