"""The base model of a decoder student: where it is, its hash, and how it is loaded."""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.json_text import json_text
from appliance.models.safetensors_file import read_headers, same_numbers, weight_paths
from training.base_kind import text_model
from training.model_loading import load_model
from training.preflight import SETTINGS_FILES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PACKAGED_BASE = "stillroom-base"
BASE_VARIABLE = "STILLROOM_BASE"
"""Names a folder that stands in for the packaged base."""
EMBEDDING_NAME, HEAD_NAME = "embed_tokens.weight", "lm_head.weight"
_UNIMPORTANT = frozenset({"_name_or_path", "transformers_version", "chat_template", "is_local", "local_files_only"})
NEEDED_FILES = ("config.json", "tokenizer.json")
TEXT_NAMES = {
    r"^(model\.)?language_model\.lm_head\.": "lm_head.",
    r"^(model\.)?(language_model|text_model)\.(model\.)?": "model.",
}
"""Names of tensors in models that also see or hear -> their names in the text model alone."""


class BaseMismatch(ApplianceError):
    """An adapter was asked to work on weights that it was not trained on."""


def find_base(name: str) -> Path:
    """The folder of the base model that `student.base` names: our own, a local folder, or one of the store.

    Raises:
        UsageError: There is no such model on this machine.
        ArtifactError: A file of the store is not what it was.
    """
    if name == PACKAGED_BASE:
        directory = Path(os.environ.get(BASE_VARIABLE) or Path(__file__).parent / "demo" / "base")
    else:
        from training.bases.lookup import base_folder

        directory = base_folder(name, PACKAGED_BASE)
    missing = [part for part in NEEDED_FILES if not (directory / part).is_file()]
    if missing:
        raise UsageError(
            f"the base model {name} has no {missing[0]}",
            f"set student.base to {PACKAGED_BASE}, or to a folder with config, tokenizer and safetensors",
        )
    weight_paths(directory)
    return directory


def _weight_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*.safetensors") if path.is_file())


def base_hash(directory: Path) -> str:
    """What makes a base the one that it is: SHA-256 of its weights, `+`, SHA-256 of what says how they are computed.

    With another configuration or tokenizer the same weights are another model. Adapters of runs from before this was
    written down name the weights alone .
    """
    return f"{weights_hash(directory)}+{_settings_hash(directory)}"


def is_hash_of(stated: str, base: str) -> bool:
    """Whether a run's files name the base with this hash."""
    return stated in (base, base.partition("+")[0])


def _settings_hash(directory: Path) -> str:
    """Of the files that decide ids and logits, without what a library writes about itself into them."""
    digest = hashlib.sha256()
    for name in SETTINGS_FILES:
        path = directory / name
        if not path.is_file():
            continue
        content = path.read_bytes()
        if name.endswith("config.json"):
            values = {key: value for key, value in json.loads(content).items() if key not in _UNIMPORTANT}
            content = json_text(values, ascii_only=True, sort_keys=True).encode()
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def weights_hash(directory: Path) -> str:
    """SHA-256 of the weights: of the file, or of the names and hashes of the parts."""
    hashes = []
    for path in _weight_files(directory):
        with path.open("rb") as file:
            hashes.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
    if len(hashes) == 1:
        return hashes[0][1]
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in hashes).encode()).hexdigest()


def stored_precision(directory: Path) -> str:
    """Of the matrices in a folder: `float16` or `bfloat16` where all are of one of these, else `float32`."""
    kinds = {header.dtype for header in read_headers(weight_paths(directory)).values() if len(header.shape) > 1}
    return {"F16": "float16", "BF16": "bfloat16"}.get(kinds.pop(), "float32") if len(kinds) == 1 else "float32"


def _in_4bit() -> dict[str, Any]:
    """Settings of a model in NF4 on this process' GPU."""
    import torch
    from transformers import BitsAndBytesConfig

    quantization = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": quantization, "device_map": {"": int(os.environ.get("LOCAL_RANK") or 0)}}


def has_own_head(directory: Path) -> bool | None:
    """Whether the weights hold an output matrix of their own, whatever the configuration says of it.

    Returns:
        None where the weights name no embedding as the models do that are known here.
    """
    matrices = {
        HEAD_NAME if name.endswith(HEAD_NAME) else EMBEDDING_NAME: header
        for name, header in read_headers(weight_paths(directory)).items()  # What else lies there is not loaded.
        if name.endswith((EMBEDDING_NAME, HEAD_NAME))
    }
    if EMBEDDING_NAME not in matrices:
        return None
    head = matrices.get(HEAD_NAME)
    # Some writers store a tied matrix twice.
    return head is not None and not same_numbers(head, matrices[EMBEDDING_NAME])


Held = Literal["float32", "bfloat16"]


def load_base(directory: Path, held: Held = "float32", *, load_in_4bit: bool = False) -> "PreTrainedModel":
    """The model, from safetensors only, without remote code and without the network.

    Whether output matrix and embedding are one follows from the weights: a configuration that says otherwise would
    lose the matrix in a merge, or put random numbers in its place.

    Args:
        held: In which precision its weights lie in memory.
        load_in_4bit: Whether its matrices are quantized to NF4, on this process' GPU.

    Raises:
        UsageError: It is no causal language model that is known here.
        UnfitBase: A tensor is missing, has another shape, or has no place.
    """
    import torch

    model_class, config = text_model(directory)
    own_head = has_own_head(directory)
    if own_head is not None:
        config.tie_word_embeddings = not own_head
    four_bit = _in_4bit() if load_in_4bit else {}
    return load_model(model_class, config, directory, getattr(torch, held), {"key_mapping": TEXT_NAMES, **four_bit})
