"""Errors of stored data, in words for an operator."""

import os
import sqlite3
from dataclasses import dataclass

from appliance.ground.errors import ApplianceError
from appliance.ground.ownership import ownership_hint

READING_ERRORS = (ApplianceError, sqlite3.Error, OSError, ValueError, TypeError, KeyError, AttributeError)
"""What reading a ledger, a manifest or a folder may raise; the last four where it holds other things than expected."""


@dataclass(frozen=True)
class Problem:
    """Something that failed or cannot be read, and what to do about it."""

    message: str
    hint: str = ""

    @property
    def sentence(self) -> str:
        """Message and hint on one line."""
        return ": ".join(filter(None, (self.message, self.hint)))


def problem_of(error: Exception) -> Problem:
    """The words for one of `READING_ERRORS`."""
    others = ownership_hint(error, os.environ)
    if isinstance(error, ApplianceError):
        return Problem(error.message, others or error.hint)
    if isinstance(error, OSError):
        hint = others or "check the disk and the permissions"
        return Problem(f"cannot read {error.filename or 'a file'}: {error.strerror}", hint)
    if isinstance(error, sqlite3.Error):
        return Problem(f"cannot read the job's database: {error}", others or "check the disk")
    return Problem(f"stored data is damaged: {type(error).__name__}: {error}", "check the disk")
