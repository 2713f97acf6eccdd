"""The tokenizer of a small base: byte-level BPE, one token per digit, our marks as special tokens.

It is built as llama.cpp's pre-tokenizer `smollm` cuts text (single digits, then the split of GPT-2), so that a GGUF
with this vocabulary gives the same ids in every program.
"""

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from appliance.tasks.prompt import STILLROOM_TEMPLATE

PRE_TOKENIZER = "smollm"
"""Name of this way of cutting in `tokenizer.ggml.pre`."""


def train_tokenizer(texts: Iterable[str], vocab_size: int = 4096) -> Tokenizer:
    """A tokenizer with the marks of the prompt template as its first ids, in the form's order.

    Args:
        texts: Lines of text; each is tokenized alone.
        vocab_size: Tokens in all, marks and the 256 bytes included; fewer if the texts hold fewer pairs.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special_tokens = [AddedToken(mark, special=True, normalized=False) for mark in STILLROOM_TEMPLATE.special_tokens()]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
