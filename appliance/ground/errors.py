"""One tree of errors: message, hint, exit code. Only the command line and the terminal interface print them."""

from collections.abc import Sequence


class ApplianceError(Exception):
    """Something failed that a person can do something about.

    Args:
        message: What failed, on which thing, why, with the numbers. One sentence, no full stop.
        hint: The next thing to type or change.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ApplianceError):
    """A command, file or setting is invalid."""

    exit_code = 2


class InvalidFile(UsageError):
    """A file that people write says what is invalid; all of it is named at once.

    Args:
        file: Its name.
        problems: Of each the key, what is wrong, and what to do about it.
    """

    def __init__(self, file: str, problems: Sequence[tuple[str, str, str]]) -> None:
        heads = [": ".join(filter(None, (file, key, problem))) for key, problem, _ in problems]
        self.lines = heads
        """One for each problem."""
        if len(problems) > 1:
            self.lines = [f"{head}; {remedy}" for head, (_, _, remedy) in zip(heads, problems, strict=True)]
        super().__init__("; ".join(self.lines), problems[0][2] if len(problems) == 1 else f"correct {file}")


class NotAllGood(ApplianceError):
    """The work ended, but not everything in it is good: failed documents, a verdict other than READY."""

    exit_code = 3


class ResourceError(ApplianceError):
    """The machine lacks something: disk, memory, an installed extra, a free engine."""

    exit_code = 4


class Interrupted(ApplianceError):
    """A person stopped the work; it can be resumed."""

    exit_code = 130
