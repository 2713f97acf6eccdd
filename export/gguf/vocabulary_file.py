"""The vocabulary of a GGUF file as it is written: pieces, kinds, merges, and the name of the way text is cut."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType

_WIDTH = 2
"""Of a model without weights: heads must have an even number of dimensions."""


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says about tokens."""

    model: str
    """`gpt2` for byte-level BPE, `llama` for SentencePiece-like BPE."""
    pre: str
    """How text is cut; only for `gpt2`."""
    tokens: list[str]
    kinds: list[TokenType]
    merges: list[str]
    """Only for `gpt2`."""
    scores: list[float]
    """Only for `llama`: higher merges first."""
    has_space_prefix: bool = False
    """Only for `llama`: whether a blank is put before every text, as models of the oldest prompt form were taught."""
    special_ids: dict[str, int] = field(default_factory=dict)
    """`bos`, `eos`, `eot`, `unk`, `pad`, as far as the model has them."""
    adds_bos: bool = False
    """Whether the model was taught to see `bos` before every text."""


def write_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    """Adds the keys of `tokenizer.ggml`; a text is not ended by itself, and begun only as the model was taught."""
    writer.add_tokenizer_model(vocabulary.model)
    if vocabulary.model == "gpt2":
        writer.add_tokenizer_pre(vocabulary.pre)
        writer.add_token_merges(vocabulary.merges)
    else:
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.has_space_prefix)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    adders = {
        "bos": writer.add_bos_token_id,
        "eos": writer.add_eos_token_id,
        "eot": writer.add_eot_token_id,
        "unk": writer.add_unk_token_id,
        "pad": writer.add_pad_token_id,
    }
    for name, token in vocabulary.special_ids.items():
        adders[name](token)
    writer.add_add_bos_token(vocabulary.adds_bos)
    writer.add_add_eos_token(False)


def write_cutting_model(path: Path, vocabulary: Vocabulary) -> None:
    """Writes a model that can cut text and nothing else: one block of zeros behind the vocabulary."""
    writer = GGUFWriter(str(path), "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_WIDTH)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    write_vocabulary(writer, vocabulary)
    writer.add_tensor("token_embd.weight", np.zeros((len(vocabulary.tokens), _WIDTH), dtype=np.float16))
    for norm in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{norm}.weight", np.zeros(_WIDTH, dtype=np.float32))
    for matrix in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{matrix}.weight", np.zeros((_WIDTH, _WIDTH), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
