"""The base model of a decoder student: where it is, its hash, and how it is loaded."""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.ground.errors import ApplianceError, UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PACKAGED_BASE = "stillroom-base"
BASE_VARIABLE = "STILLROOM_BASE"
"""Names a folder that stands in for the packaged base."""
EMBEDDING_NAME, HEAD_NAME = "embed_tokens.weight", "lm_head.weight"
NEEDED_FILES = ("config.json", "tokenizer.json")


class BaseMismatch(ApplianceError):
    """An adapter was asked to work on weights that it was not trained on."""


def find_base(name: str) -> Path:
    """The folder of the base model that `student.base` names: our own, a local folder, or one that was pulled.

    Raises:
        UsageError: There is no such model on this machine.
    """
    if name == PACKAGED_BASE:
        directory = Path(os.environ.get(BASE_VARIABLE) or Path(__file__).parent / "demo" / "base")
    elif (local_dir := Path(os.path.expanduser(name))).is_dir():
        directory = local_dir
    else:
        directory = _pulled(name)
    missing = [part for part in NEEDED_FILES if not (directory / part).is_file()]
    if missing or not _weight_files(directory):
        raise UsageError(
            f"the base model {name} has no {missing[0] if missing else 'safetensors file'}",
            f"set student.base to {PACKAGED_BASE}, or to a folder with config, tokenizer and safetensors",
        )
    return directory


def _pulled(name: str) -> Path:
    from appliance.ground.settings import load_settings
    from appliance.models.hub import find_pulled, verify_pulled

    directory = find_pulled(load_settings(os.environ).bases_dir, name)
    if directory is None:
        raise UsageError(
            f"the base model {name} is not on this machine",
            f"set student.base to {PACKAGED_BASE} or a local folder, or fetch it with `stillroom models pull {name}`",
        )
    verify_pulled(directory)
    return directory


def _weight_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.safetensors"))


def base_hash(directory: Path) -> str:
    """SHA-256 of the weights: of the file, or of the names and hashes of the parts."""
    hashes = []
    for path in _weight_files(directory):
        with path.open("rb") as file:
            hashes.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
    if len(hashes) == 1:
        return hashes[0][1]
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in hashes).encode()).hexdigest()


def _model_class(directory: Path) -> Any:  # an Auto class is no class of models, and both have from_pretrained
    model_type = json.loads((directory / "config.json").read_text(encoding="utf-8")).get("model_type")
    if model_type == "llama":  # the Auto classes import every architecture's table, which costs a second
        from transformers.models.llama.modeling_llama import LlamaForCausalLM

        return LlamaForCausalLM
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM


def has_own_head(directory: Path) -> bool | None:
    """Whether the weights hold an output matrix of their own, whatever the configuration says of it.

    Returns:
        None where the weights name no embedding as the models do that are known here.
    """
    import torch
    from safetensors import safe_open

    matrices: dict[str, torch.Tensor] = {}
    whole = directory / "model.safetensors"  # What else lies there, such as an older copy, is not loaded.
    for path in [whole] if whole.is_file() else _weight_files(directory):
        with safe_open(str(path), framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (not a mapping)
                if name.endswith((EMBEDDING_NAME, HEAD_NAME)):
                    matrices[HEAD_NAME if name.endswith(HEAD_NAME) else EMBEDDING_NAME] = weights.get_tensor(name)
    if EMBEDDING_NAME not in matrices:
        return None
    head = matrices.get(HEAD_NAME)
    # Some writers store a tied matrix twice.
    return head is not None and not torch.equal(head, matrices[EMBEDDING_NAME])


def load_base(directory: Path) -> "PreTrainedModel":
    """The model in float32, from safetensors only, without remote code and without the network.

    Whether output matrix and embedding are one follows from the weights: a configuration that says otherwise would
    lose the matrix in a merge, or put random numbers in its place.
    """
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    own_head = has_own_head(directory)
    model: PreTrainedModel = _model_class(directory).from_pretrained(
        str(directory),
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        **({} if own_head is None else {"tie_word_embeddings": not own_head}),
    )
    return model
