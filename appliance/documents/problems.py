"""Why a document has no text: the error classes that a row can carry when reading failed."""

from enum import StrEnum

from appliance.ground.errors import ApplianceError


class Problem(StrEnum):
    """Error class of a document that could not be read."""

    UNREADABLE = "unreadable"
    ENCRYPTED = "encrypted"
    EMPTY = "empty"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    READER_DIED = "reader_died"
    MISSING = "missing"
    """The file left the folder before it was read."""


class DocumentError(ApplianceError):
    """One document cannot become text; the others go on."""

    def __init__(self, problem: Problem, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.problem = problem
