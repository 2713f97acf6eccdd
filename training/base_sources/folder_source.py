"""A base from a folder: what training needs of it is copied, and nothing that could run code."""

import os
import re
import stat
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.progress import OnProgress, ProgressCounter
from appliance.models.hub import ORIGIN_NAME
from appliance.models.safetensors_file import INDEX_NAME, weight_paths
from training.bases.json_object import read_object
from training.bases.licence import licence_of
from training.bases.record import RECORD_NAME, BaseRecord, read_record

SETTINGS = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", INDEX_NAME,
)  # fmt: skip
_DOCUMENTS = re.compile(r"README\.md|(LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[A-Za-z0-9_.-]*", re.IGNORECASE)
_SNAPSHOT = re.compile(r"models--(?P<repository>[^/]+)/snapshots/(?P<commit>[0-9a-f]{40})/?$")
_BLOCK_BYTES = 1 << 20


def folder_files(directory: Path) -> list[Path]:
    """The files of a model folder that belong to a base.

    Raises:
        UsageError: Configuration or tokenizer are missing, or lie there in a form that is not read.
        WeightsError: The weights are pickles, incomplete or missing.
    """
    if (directory / "adapter_config.json").is_file() and not (directory / "config.json").is_file():
        raise UsageError(f"{directory} is an adapter, not a base model", "merge it into its base first")
    if not (directory / "config.json").is_file():
        ggufs = sorted(path.name for path in directory.glob("*.gguf"))
        hint = f"name the file itself: {directory / ggufs[0]}" if ggufs else "name a folder with config.json"
        raise UsageError(f"{directory} has no config.json", hint)
    paths = weight_paths(directory)
    if not (directory / "tokenizer.json").is_file():
        others = [name for name in ("tokenizer.model", "vocab.json", "vocab.txt") if (directory / name).is_file()]
        what = f", only {others[0]}" if others else ""
        raise UsageError(
            f"{directory} has no tokenizer.json{what}",
            "write one with the library that the base was made with (`save_pretrained` of its fast tokenizer)",
        )
    names = [name for name in SETTINGS if (directory / name).is_file()]
    names += sorted(path.name for path in directory.iterdir() if _DOCUMENTS.fullmatch(path.name) and path.is_file())
    return [*(directory / name for name in names), *paths]


def size_of(paths: list[Path]) -> int:
    """Bytes of all files together."""
    return sum(path.stat().st_size for path in paths)


def copy_base(directory: Path, staging_dir: Path, on_progress: OnProgress) -> BaseRecord:
    """Copies the files of a model folder; weights and settings must be plain files or links to such.

    Raises:
        UsageError: The folder holds no base, or asks for code of its own to be run.
    """
    paths = folder_files(directory)
    refuse_code(directory)
    counter = ProgressCounter(on_progress, size_of(paths), "byte", "copying")
    for path in paths:
        _copy(path, staging_dir / path.name, counter)
    licence = licence_of(staging_dir)
    if (directory / RECORD_NAME).is_file() or (directory / ORIGIN_NAME).is_file():  # of another machine's store
        record = read_record(directory)
        return BaseRecord(
            record.source, record.revision, record.dequantized_from, record.source_sha256,
            record.licence or licence.name, record.licence_source or licence.source,
        )  # fmt: skip
    source, commit = _origin(directory)
    return BaseRecord(source, commit, licence=licence.name, licence_source=licence.source)


def _origin(directory: Path) -> tuple[str, str]:
    """Repository and commit, where the folder is one of the hub client's cache; else the folder's name."""
    if match := _SNAPSHOT.search(str(directory.absolute())):
        return match["repository"].replace("--", "/", 1), match["commit"]
    return f"folder {directory.absolute().name}", ""


def refuse_code(directory: Path) -> None:
    """Refuses a base whose settings name code that would have to be run: it is never run here.

    Raises:
        UsageError: They do.
    """
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        path = directory / name
        if not path.is_file():
            continue
        settings = read_object(path)
        for part in (settings, *(value for value in settings.values() if isinstance(value, dict))):
            if part.get("auto_map") or part.get("custom_pipelines"):
                raise UsageError(
                    f"the base {directory.name} needs code of its own ({name} has auto_map), which is never run here",
                    "take a base whose architecture is part of transformers, or a version of it without such code",
                )


def _copy(source: Path, target: Path, counter: ProgressCounter) -> None:
    """Copies a file block by block; what it is was decided when it was opened."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as reader, target.open("xb") as writer:
        if not stat.S_ISREG(os.fstat(reader.fileno()).st_mode):
            raise UsageError(f"{source} is not a plain file", "copy the base to this machine first")
        while block := reader.read(_BLOCK_BYTES):
            writer.write(block)
            counter.add(len(block))
