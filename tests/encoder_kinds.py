"""Tiny random encoders of true shape, with tokenizers of the true kinds, as BERT-like models come with them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from encoder_fixtures import FILLERS, WORDS
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram, WordPiece
from transformers import PreTrainedModel

SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 66,
}  # fmt: skip
TEXT_WORDS = sorted({word for group in WORDS.values() for word in group} | set(FILLERS))


@dataclass(frozen=True)
class EncoderKind:
    """How one kind of encoder is made."""

    model: Callable[[int], PreTrainedModel]
    """From the size of the vocabulary."""
    tokenizer: Callable[[], Tokenizer]
    context_length: int


def word_pieces() -> Tokenizer:
    """As BERT, DistilBERT, ELECTRA and MPNet cut text."""
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {piece: number for number, piece in enumerate([*marks, *TEXT_WORDS])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(marks)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def byte_pairs() -> Tokenizer:
    """As RoBERTa and ModernBERT cut text; the padding token is not the first."""
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate([*marks, *letters])}
    tokenizer = Tokenizer(BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(marks)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.enable_padding(pad_id=1, pad_token="<pad>", length=16)
    return tokenizer


def pieces_with_scores() -> Tokenizer:
    """As XLM-RoBERTa and DeBERTa cut text: SentencePiece, with a blank before the first word."""
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    letters = [chr(ord("a") + number) for number in range(26)]
    entries = [(piece, -float(number)) for number, piece in enumerate([*marks, "\u2581", *letters])]
    entries += [(f"\u2581{word}", -1.0) for word in TEXT_WORDS]
    tokenizer = Tokenizer(Unigram(entries, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(marks)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def model_of(name: str, **settings: object) -> Callable[[int], PreTrainedModel]:
    """Makes the model of this class with random weights."""

    def make(vocab_size: int) -> PreTrainedModel:
        config_class = getattr(transformers, name).config_class
        config = config_class(**{**SIZES, **settings, "vocab_size": vocab_size})
        model: PreTrainedModel = getattr(transformers, name)(config)
        return model

    return make


_ROPE = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
_DEBERTA = {
    "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "type_vocab_size": 0,
    "position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True, "pad_token_id": 1,
}  # fmt: skip
KINDS = {
    "BERT": EncoderKind(model_of("BertForMaskedLM"), word_pieces, 66),
    "DistilBERT": EncoderKind(
        model_of("DistilBertModel", dim=32, n_layers=2, n_heads=4, hidden_dim=64), word_pieces, 66
    ),
    "ELECTRA": EncoderKind(model_of("ElectraModel", embedding_size=16), word_pieces, 66),
    "MPNet": EncoderKind(model_of("MPNetModel"), byte_pairs, 64),
    "RoBERTa": EncoderKind(model_of("RobertaForMaskedLM"), byte_pairs, 64),
    "XLM-RoBERTa": EncoderKind(model_of("XLMRobertaModel"), pieces_with_scores, 64),
    "ModernBERT": EncoderKind(
        model_of("ModernBertModel", num_hidden_layers=3, local_attention=8, **_ROPE), byte_pairs, 66
    ),
    "DeBERTa": EncoderKind(model_of("DebertaV2Model", **_DEBERTA), pieces_with_scores, 66),
}
"""By the name of the family."""


def write_kind(directory: Path, kind: str) -> Path:
    """The folder of a base of this kind."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = KINDS[kind].tokenizer()
    tokenizer.save(str(directory / "tokenizer.json"))
    torch.manual_seed(0)
    model = KINDS[kind].model(tokenizer.get_vocab_size())
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.normal_(std=0.2)
    model.save_pretrained(str(directory))
    (directory / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10**30}))
    return directory
