"""A base from a folder: what training needs of it is copied, and nothing that could run code."""

import os
import re
import stat
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.progress import OnProgress, ProgressCounter
from appliance.ground.text import printable
from appliance.models.hub import ORIGIN_NAME
from appliance.models.safetensors_file import INDEX_NAME, weight_paths
from training.bases.json_object import read_object
from training.bases.licence import licence_of
from training.bases.record import RECORD_NAME, BaseRecord, read_record
from training.preflight import POOLING_FILE

SETTINGS = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", POOLING_FILE, INDEX_NAME,
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
    documents = sorted(path for path in directory.iterdir() if _DOCUMENTS.fullmatch(path.name) and path.is_file())
    refuse_documents_elsewhere(directory, documents)
    names += [path.name for path in documents]
    return [*(directory / name for name in names), *paths]


def refuse_documents_elsewhere(directory: Path, documents: list[Path]) -> None:
    """Refuses a README or licence that is a link out of the folder: whatever it led to would lie among the bases.

    Weights and settings may be such links: they are read as what they must be. A cache of a hub links its own files.

    Raises:
        UsageError: Names the first of them.
    """
    root = directory.resolve()
    root = root.parents[1] if snapshot_of(root) else root
    for path in documents:
        if not path.resolve().is_relative_to(root):
            raise UsageError(
                f"{printable(str(path))} is a link to a file outside of the folder",
                "remove the link, or put the file itself there",
            )


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
        target = staging_dir / path.relative_to(directory)
        target.parent.mkdir(exist_ok=True)
        _copy(path, target, counter)
    licence = licence_of(staging_dir)
    if (directory / RECORD_NAME).is_file() or (directory / ORIGIN_NAME).is_file():  # of another machine's store
        record = read_record(directory)
        return BaseRecord(
            record.source, record.revision, record.dequantized_from, record.source_sha256,
            record.licence or licence.name, record.licence_source or licence.source,
        )  # fmt: skip
    source, commit = snapshot_of(directory) or (f"folder {directory.absolute().name}", "")
    return BaseRecord(source, commit, licence=licence.name, licence_source=licence.source)


def snapshot_of(directory: Path) -> tuple[str, str] | None:
    """Repository and commit, where the folder is one of the hub client's cache."""
    match = _SNAPSHOT.search(str(directory.absolute()))
    return (match["repository"].replace("--", "/", 1), match["commit"]) if match else None


def refuse_code(directory: Path) -> None:
    """Refuses a base whose settings name code that would have to be run: it is never run here.

    Many bases bring the code of a time when transformers did not know them; where it has the very classes that the
    settings name, these are taken, and the code is left where it lies.

    Raises:
        UsageError: A class is none of transformers' own for this type of model, or the tokenizer needs code.
    """
    for name in ("config.json", "tokenizer_config.json", "generation_config.json", POOLING_FILE):
        if (directory / name).is_file():
            settings = read_object(directory / name)
            for part in (settings, *(value for value in settings.values() if isinstance(value, dict))):
                if part.get("custom_pipelines") or _own_classes(part, tokenizer=name == "tokenizer_config.json"):
                    raise UsageError(
                        f"the base {directory.name} needs code of its own ({name} has auto_map), which is never run",
                        "take a base whose architecture is part of transformers, or a version of it without such code",
                    )


def _own_classes(settings: dict[str, object], tokenizer: bool) -> bool:
    """Whether an `auto_map` names classes that transformers does not have for this type of model."""
    classes = settings.get("auto_map")
    if not classes:
        return False
    if tokenizer or not isinstance(classes, dict):
        return True
    from transformers.models.auto import configuration_auto, modeling_auto

    kind = str(settings.get("model_type"))
    known = {
        "AutoConfig": configuration_auto.CONFIG_MAPPING_NAMES.get(kind),  # type: ignore[attr-defined]
        "AutoModel": modeling_auto.MODEL_MAPPING_NAMES.get(kind),
        "AutoModelForCausalLM": modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind),
    }
    needed = {name: str(place).rpartition(".")[2] for name, place in classes.items() if name in known}
    return not needed or any(known[name] != class_name for name, class_name in needed.items())


def _copy(source: Path, target: Path, counter: ProgressCounter) -> None:
    """Copies a file block by block; what it is was decided when it was opened."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}", "check the rights of the file") from error
    with open(descriptor, "rb", buffering=0) as reader, target.open("xb") as writer:
        if not stat.S_ISREG(os.fstat(reader.fileno()).st_mode):
            raise UsageError(f"{source} is not a plain file", "copy the base to this machine first")
        while block := reader.read(_BLOCK_BYTES):
            writer.write(block)
            counter.add(len(block))
