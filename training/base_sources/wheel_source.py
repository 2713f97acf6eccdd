"""A base from a wheel of the package index: a GGUF file in it, taken out without installing anything of the package."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import HeaderParser
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.progress import OnProgress, ProgressCounter

_BLOCK_BYTES = 1 << 20
_MOST_METADATA_BYTES = 1 << 20
_HINT = "name a wheel with one .gguf file in it"


@contextmanager
def open_wheel(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive of a wheel.

    Raises:
        UsageError: It is damaged, or no wheel.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise UsageError(f"{path} is no wheel, or is damaged: {error}", "fetch it again") from error
    except RuntimeError as error:  # of an encrypted member
        raise UsageError(f"{path} cannot be read: {error}", _HINT) from error


def gguf_member(path: Path) -> zipfile.ZipInfo:
    """The one GGUF file in a wheel.

    Raises:
        UsageError: There is none, several, or parts of one.
    """
    with open_wheel(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    models = [member for member in members if member.filename.lower().endswith(".gguf")]
    if len(models) == 1:
        return models[0]
    parts = [member.filename for member in members if ".gguf.part" in member.filename.lower()]
    if parts:
        raise UsageError(
            f"{path.name} holds a part of a GGUF file alone ({parts[0]})",
            "put the parts of all its packages together into one .gguf file, and add that",
        )
    if models:
        names = ", ".join(member.filename for member in models[:3])
        raise UsageError(f"{path.name} holds {len(models)} GGUF files: {names}", "unpack it, and add one of them")
    raise UsageError(f"{path.name} holds no GGUF file", _HINT)


def package_of(path: Path) -> str:
    """Name and version of the package, as its metadata write them; the name of the file where they do not."""
    with open_wheel(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".dist-info/METADATA") and member.file_size <= _MOST_METADATA_BYTES:
                fields = HeaderParser().parsestr(archive.read(member).decode("utf-8", "replace"))
                if fields["Name"] and fields["Version"]:
                    return f"{fields['Name']} {fields['Version']}"
    return path.name


def unpack(path: Path, member: zipfile.ZipInfo, target: Path, on_progress: OnProgress) -> None:
    """Writes one file of a wheel to `target`; never more than the archive says that it has.

    Raises:
        UsageError: The wheel is damaged.
    """
    counter = ProgressCounter(on_progress, member.file_size, "byte", "unpacking")
    with open_wheel(path) as archive, archive.open(member) as reader, target.open("xb") as writer:
        while block := reader.read(_BLOCK_BYTES):
            writer.write(block)
            counter.add(len(block))
