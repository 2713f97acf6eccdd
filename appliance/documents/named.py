"""Documents that a file of labels or answers names: each read once, by the confined readers."""

import os
from collections.abc import Iterable
from pathlib import Path

from appliance.documents.sandbox import ReaderLimits, ReadReply, read_files
from appliance.ground.errors import ApplianceError


class NoDocument(ApplianceError):
    """A name is that of no file below the folder."""


def read_named(names: Iterable[str], folder: Path | None, limits: ReaderLimits) -> dict[str, ReadReply | NoDocument]:
    """Name -> what came of reading it; names are paths below the folder, links followed.

    Raises:
        ResourceError: The sandbox of the readers lacks a required part on this machine.
    """
    replies: dict[str, ReadReply | NoDocument] = {}
    places: dict[str, bytes] = {}
    for name in names:
        if name not in replies and name not in places:
            try:
                places[name] = _place(name, folder)
            except NoDocument as error:
                replies[name] = error
    if folder is not None and places:
        read_replies = read_files(folder.resolve(), places.values(), limits)
        replies |= {name: reply for name, (_, reply) in zip(places, read_replies, strict=True)}
    return replies


def _place(name: str, folder: Path | None) -> bytes:
    """Where a named document lies below the folder, links followed.

    Raises:
        NoDocument: It is no file below the folder.
    """
    if folder is None:
        raise NoDocument(f"the text of {name} is not given, and no folder to read it from: name one with --documents")
    try:
        root = folder.resolve(strict=True)
        path = (root / name).resolve(strict=True)
        if not path.is_relative_to(root) or not path.is_file():
            raise NoDocument(f"{name} is not a file below {folder.name}")
        return os.fsencode(path.relative_to(root))
    except OSError as error:
        raise NoDocument(f"{name} cannot be read: {os.strerror(error.errno) if error.errno else error}") from error
    except ValueError as error:  # a zero byte or half a character, which no file name has
        raise NoDocument(f"{name!r} is not a file name") from error


def text_of(name: str, reply: ReadReply | NoDocument) -> tuple[str, str]:
    """Text and SHA-256 of a document that was read.

    Raises:
        NoDocument: It could not be.
    """
    if isinstance(reply, NoDocument):
        raise reply
    if reply.problem is not None or reply.sha256 is None:
        raise NoDocument(f"{name}: {reply.message}")
    return reply.text, reply.sha256
