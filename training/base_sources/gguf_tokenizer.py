"""`tokenizer.json` of the vocabulary in a GGUF file: pieces, merges, special tokens, and the way text is cut.

A GGUF file names the cut in one word and leaves the rules to llama.cpp. A cut that is not known here is refused: ids
would differ from those that the model was trained on, without a word.
"""

from collections.abc import Sequence

from appliance.models.gguf_header import Unsound
from training.base_sources.gguf_keys import GgufKeys

Json = dict[str, object]

LONGEST_PIECE = 1024
"""Characters; runs of blanks are the longest real ones."""
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Kinds of tokens, as llama.cpp numbers them."""
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_AFTER_NUMBERS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2_CUT = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _AFTER_NUMBERS
_LLAMA3_CUT = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _AFTER_NUMBERS


def _split(pattern: str) -> Json:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _bytes(use_regex: bool) -> Json:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


_DIGITS: Json = {"type": "Digits", "individual_digits": True}
_DIGITS_CUT: Sequence[Json] = (_DIGITS, _bytes(True))
_GPT2: Sequence[Json] = (_bytes(True),)
_QWEN2: Sequence[Json] = (_split(_QWEN2_CUT), _bytes(False))
_LLAMA3: Sequence[Json] = (_split(_LLAMA3_CUT), _bytes(False))
_LLAMA3_NAMES = ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2")
"""Of these llama.cpp takes a word that is a token as it is, and begins each text with a token of its own."""
CUTS: dict[str, Sequence[Json]] = {
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), _DIGITS_CUT),
    **dict.fromkeys(("gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "mpt", "olmo", "jais", "mellum"), _GPT2),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez"), _QWEN2),
    **dict.fromkeys((*_LLAMA3_NAMES, "dbrx", "smaug-bpe"), _LLAMA3),
}  # fmt: skip
"""`tokenizer.ggml.pre` -> the steps that cut text in the same way."""
_NORMALIZED = ("qwen2", "deepseek-r1-qwen")
"""Cuts whose models were trained on composed characters."""


def tokenizer_of(keys: GgufKeys) -> Json:
    """The tokenizer in the form of the tokenizers library.

    Raises:
        Unsound: It is of a kind that is not read, or its lists do not fit each other.
    """
    kind, tokens = keys.text("tokenizer.ggml.model"), keys.texts("tokenizer.ggml.tokens")
    if kind not in ("gpt2", "llama"):
        raise Unsound(f"its tokenizer is of the kind {kind[:40]!r}; gpt2 and llama are read")
    kinds = _kinds(keys, len(tokens))
    while kinds and kinds[-1] == UNUSED:  # filled up to the rows of the embedding
        kinds.pop()
    tokens = tokens[: len(kinds)]
    ids = {token: number for number, token in enumerate(tokens)}
    if len(ids) < len(tokens):
        raise Unsound(f"{len(tokens) - len(ids):,} of its {len(tokens):,} tokens stand in it twice")
    parts = _byte_level(keys, ids) if kind == "gpt2" else _sentence_piece(keys, ids, kinds)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": number, "content": tokens[number], "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": kinds[number] != USER_DEFINED,
            }
            for number, kind in enumerate(kinds)
            if kind in (CONTROL, USER_DEFINED, UNKNOWN)
        ],
        "post_processor": _begin(keys, tokens),
        **parts,
    }  # fmt: skip


def settings_of(keys: GgufKeys) -> Json:
    """`tokenizer_config.json`: the special tokens by name, and whether texts begin with one."""
    tokens = keys.texts("tokenizer.ggml.tokens")
    settings: Json = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": _begins(keys),
        "model_max_length": keys.whole("context_length"),
    }
    for name, key in {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}.items():
        if (number := keys.token_id(key)) is not None:
            settings[f"{name}_token"] = tokens[number]
    if template := keys.text("tokenizer.chat_template", ""):
        settings["chat_template"] = template
    return settings


def _kinds(keys: GgufKeys, count: int) -> list[int]:
    written = keys.numbers("tokenizer.ggml.token_type")
    if written is None:
        return [NORMAL] * count
    if len(written) != count:
        raise Unsound(f"it has kinds of {len(written):,} tokens for {count:,}")
    return [int(kind) for kind in written]


def _begins(keys: GgufKeys) -> bool:
    """Whether each text begins with a token of its own; llama.cpp's own kind has one unless the file denies it."""
    usual = keys.text("tokenizer.ggml.model") == "llama" or keys.text("tokenizer.ggml.pre", "") in _LLAMA3_NAMES
    return keys.flag("tokenizer.ggml.add_bos_token", usual)


def _begin(keys: GgufKeys, tokens: Sequence[str]) -> Json | None:
    number = keys.token_id("bos")
    if not _begins(keys) or number is None or number >= len(tokens):
        return None
    token = tokens[number]
    begin: Json = {"SpecialToken": {"id": token, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": part}} for part, name in enumerate("AB"))
    return {
        "type": "TemplateProcessing",
        "single": [begin, first],
        "pair": [begin, first, begin, second],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }


def _byte_level(keys: GgufKeys, ids: dict[str, int]) -> Json:
    cut = keys.text("tokenizer.ggml.pre", "default")
    if cut not in CUTS:
        raise Unsound(f"its way of cutting text is {cut[:40]!r}; {', '.join(sorted(CUTS))} are read")
    merges = [line.split(" ", 1) for line in keys.texts("tokenizer.ggml.merges")]
    for pair in merges:
        if len(pair) != 2 or not ids.keys() >= {*pair, "".join(pair)}:
            raise Unsound(f"its merge {' '.join(pair)[:40]!r} makes no token of its vocabulary")
    return {
        "normalizer": {"type": "NFC"} if cut in _NORMALIZED else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(CUTS[cut])},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": _bpe(ids, merges) | {"ignore_merges": cut in _LLAMA3_NAMES},
    }


def _sentence_piece(keys: GgufKeys, ids: dict[str, int], kinds: Sequence[int]) -> Json:
    scores = keys.numbers("tokenizer.ggml.scores")
    if scores is None or len(scores) < len(ids):
        raise Unsound("its tokens have no scores, by which they are merged")
    blank: Json = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    prefix = keys.flag("tokenizer.ggml.add_space_prefix", True)
    decoders: list[Json] = [
        {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    normalizer: Json = blank
    if prefix:
        normalizer = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, blank]}
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    unknown = keys.token_id("unknown")
    unknown_token = next((token for token, number in ids.items() if number == unknown), None)
    return {
        "normalizer": normalizer,
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": _bpe(ids, piece_merges(ids, kinds, [float(score) for score in scores]))
        | {"unk_token": unknown_token, "fuse_unk": True, "byte_fallback": True},
    }


def piece_merges(ids: dict[str, int], kinds: Sequence[int], scores: Sequence[float]) -> list[list[str]]:
    """The pairs of pieces that make a third one, those of the highest score first.

    SentencePiece merges the neighbours whose union scores highest; merges in this order do the same.

    Raises:
        Unsound: A piece is longer than any real one; all its cuts would be tried.
    """
    longest = max((len(token) for token in ids), default=0)
    if longest > LONGEST_PIECE:
        raise Unsound(f"a token of its vocabulary has {longest:,} characters, at most {LONGEST_PIECE} are read")
    pieces = {token: number for token, number in ids.items() if kinds[number] in (NORMAL, USER_DEFINED, UNUSED)}
    pairs = []
    for token, number in pieces.items():
        for at in range(1, len(token)):
            left, right = token[:at], token[at:]
            if left in pieces and right in pieces:
                pairs.append((-scores[number], number, pieces[left], pieces[right], left, right))
    pairs.sort()
    return [[left, right] for *_, left, right in pairs]


def _bpe(ids: dict[str, int], merges: list[list[str]]) -> Json:
    return {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
        "vocab": ids, "merges": merges,
    }  # fmt: skip
