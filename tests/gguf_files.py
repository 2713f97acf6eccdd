"""The smallest GGUF file that is a model: a llama of one block whose weights are zeros, with a text of the caller's."""

import struct

_UINT32, _FLOAT32, _STRING, _ARRAY = 4, 6, 8, 9
_TOKENS = (b"a", b"b")
_SIZES = {
    "context_length": 64, "embedding_length": 2, "block_count": 1, "feed_forward_length": 1, "attention.head_count": 1,
}  # fmt: skip
_TENSORS = {
    "token_embd.weight": (2, 2), "output_norm.weight": (2,), "blk.0.attn_norm.weight": (2,),
    "blk.0.ffn_norm.weight": (2,), "blk.0.attn_q.weight": (2, 2), "blk.0.attn_k.weight": (2, 2),
    "blk.0.attn_v.weight": (2, 2), "blk.0.attn_output.weight": (2, 2), "blk.0.ffn_gate.weight": (2, 1),
    "blk.0.ffn_up.weight": (2, 1), "blk.0.ffn_down.weight": (1, 2),
}  # fmt: skip


def tiny_gguf(text: bytes = b"", size_bytes: int | None = None) -> bytes:
    """The file.

    Args:
        text: Stands in its metadata, so that two texts make two models.
        size_bytes: Of the whole file; the text is filled up for it.
    """
    if size_bytes is not None:
        missing = size_bytes - len(tiny_gguf(text))
        # The weights begin at a multiple of 32: what is missing beyond it goes before them as well.
        return tiny_gguf(text + bytes(max(0, missing // 32 * 32))) if missing > 0 else tiny_gguf(text)
    keys = [_key("general.architecture", _STRING, _string(b"llama")), _key("general.name", _STRING, _string(text))]
    keys += [_key(f"llama.{name}", _UINT32, struct.pack("<I", size)) for name, size in _SIZES.items()]
    keys.append(_key("llama.attention.layer_norm_rms_epsilon", _FLOAT32, struct.pack("<f", 1e-5)))
    keys.append(_key("tokenizer.ggml.model", _STRING, _string(b"gpt2")))
    for name, texts in (("tokens", _TOKENS), ("merges", ())):
        entries = struct.pack("<IQ", _STRING, len(texts)) + b"".join(map(_string, texts))
        keys.append(_key(f"tokenizer.ggml.{name}", _ARRAY, entries))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(_TENSORS), len(keys)) + b"".join(keys)
    for number, (name, shape) in enumerate(_TENSORS.items()):
        dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += _string(name.encode()) + dimensions + struct.pack("<IQ", 0, 32 * number)
    return head + bytes(-len(head) % 32) + bytes(32 * len(_TENSORS))


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _key(name: str, kind: int, value: bytes) -> bytes:
    return _string(name.encode()) + struct.pack("<I", kind) + value
