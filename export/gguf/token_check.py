"""Does a GGUF file cut text as the tokenizer of its model does?

This program's engines take ids from `tokenizer.json`, so no answer hangs on it: a file is for other programs, too. What
those would do otherwise in rare texts is counted and named; a file that cuts ordinary text otherwise is refused.
"""

import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from appliance.engines.llama.model import LlamaModel
from appliance.engines.tokenizer import FileTokenizer
from export.parity import ExportDisagrees

_TOKEN_TEXTS = 300
_JOINED_TEXTS = 300
LARGEST_SHARE = 0.1
"""Of the texts beyond ASCII that may be cut otherwise: some patterns of llama.cpp are no more than near in other
scripts."""

ODD_TEXTS = (
    "",
    " ",
    "  two  blanks   three ",
    "tab\there\t\ttwice",
    "line\nbreak\r\nand\rreturn\n\n\n",
    " 0 12 3456789 1,234.56 -7 1e10 0x1F",
    "don't we'll I'VE they're he'd it's 'tis",
    "ALLCAPS camelCase snake_case kebab-case",
    " Gr\u00f6\u00dfe \u00c5ngstr\u00f6m na\u00efve \u0141\u00f3d\u017a \u0130stanbul \u1e9e",
    "cafe\u0301 versus caf\u00e9",
    " \u0441\u0447\u0451\u0442 \u2116 42",
    "\u8bf7\u6c42\u4e66 \u8acb\u6c42\u66f8 \u3054\u8acb\u6c42\u66f8 \uccad\uad6c\uc11c",
    "\u0641\u0627\u062a\u0648\u0631\u0629 \u0661\u0662\u0663 \u05d7\u05e9\u05d1\u05d5\u05e0\u05d9\u05ea",
    "\u0967\u0968\u0969 \u0e51\u0e52\u0e53 \u0e43\u0e1a\u0e41\u0e08\u0e49\u0e07\u0e2b\u0e19\u0e35\u0e49",
    "\u00bd \u00b2 \u2167 \u2460 \u3289 \u5341\u4e8c",
    "\u20ac1\u00a0234,50 \u00a3 \u00a5 \u20b9 \u20bf",
    "\u201cquoted\u201d \u2018it\u2019s\u2019 \u00abguillemets\u00bb \u2026 \u2013 \u2014",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f",
    "\u200bzero\u200cwidth\u200d \ufeffmark \u00adsoft",
    "\u2003em\u2009thin\u3000wide\u2028line\u2029paragraph\u0085next",
    "\x00 \x01 \x1b[31m \x7f",
    "<html> {json: [1, 2]} \\back/slash ~`^|@#$%&*_+=",
    "===== ----- ..... _____ *****",
    "http://example.com/a?b=c&d=%20 me@example.org +49 (0)30 123",
)
"""Where ways of cutting text tend to differ."""


@dataclass
class TokenCheck:
    """What a comparison came to."""

    texts: int = 0
    alike: int = 0
    composed: int = 0
    """Cut alike once characters are composed (NFC), which the tokenizer does and llama.cpp does not."""
    with_added_tokens: int = 0
    """Cut otherwise about a token that was added to the vocabulary, such as `<think>`, and alike beside it."""
    in_other_scripts: int = 0
    """Cut otherwise for another reason, none of them ASCII."""
    beyond_ascii: int = 0
    example: str = ""
    """One of those."""

    def metrics(self) -> dict[str, float | int | str]:
        """As they stand in a manifest; what is nowhere otherwise is left out."""
        otherwise = {
            "texts_composed_by_the_tokenizer_alone": self.composed,
            "texts_cut_otherwise_at_added_tokens": self.with_added_tokens,
            "texts_cut_otherwise_in_other_scripts": self.in_other_scripts,
        }
        named: dict[str, float | int | str] = {name: count for name, count in otherwise.items() if count}
        if self.example:
            named["text_cut_otherwise"] = ascii(self.example)[1:61]
        return {"token_texts": self.texts, **named}


def check_tokens(model: LlamaModel, tokenizer: FileTokenizer) -> TokenCheck:
    """Cuts several hundred texts with both.

    Raises:
        ExportDisagrees: An ordinary text is cut otherwise, or too many others are; shows one.
    """
    check = TokenCheck()
    pieces = sorted(tokenizer.meaning_pieces, key=len, reverse=True)
    added = re.compile("|".join(map(re.escape, pieces))) if pieces else None
    for text, special in token_texts(tokenizer):
        check.texts += 1
        check.beyond_ascii += not text.isascii()
        expected, actual = tokenizer.encode(text, special), model.tokenize(text, special)
        composed = unicodedata.normalize("NFC", text)
        if expected == actual:
            check.alike += 1
        elif composed != text and model.tokenize(composed, special) == expected:
            check.composed += 1
        elif added and added.search(text) and _all_alike(added.split(text), model, tokenizer):
            check.with_added_tokens += 1
        elif text.isascii() or special:
            raise _disagreement(text, actual, expected)
        else:
            check.in_other_scripts += 1
            check.example = text
    if check.in_other_scripts > LARGEST_SHARE * check.beyond_ascii:
        text = check.example
        raise _disagreement(text, model.tokenize(text, False), tokenizer.encode(text, False))
    return check


def _all_alike(texts: list[str], model: LlamaModel, tokenizer: FileTokenizer) -> bool:
    return all(model.tokenize(text, False) == tokenizer.encode(text, False) for text in texts)


def _disagreement(text: str, actual: list[int], expected: list[int]) -> ExportDisagrees:
    return ExportDisagrees(
        f"the GGUF file tokenizes {text[:60]!a} as {actual[:12]}, the tokenizer as {expected[:12]}",
        "choose a base model with one of the known tokenizers, or export to ONNX",
    )


def token_texts(tokenizer: FileTokenizer) -> Iterator[tuple[str, bool]]:
    """Texts to cut, and whether special tokens in them count: odd, special, single tokens, and tokens side by side."""
    special_tokens = (
        [token for token in tokenizer.template.special_tokens() if token.strip()] if tokenizer.template.end else []
    )
    for text in ODD_TEXTS:
        yield text, False
        yield f" {text.strip()}", False
    for special in special_tokens:
        yield special, True
        yield f" before{special} after 12{special}", True
        yield f" before{special} after", False
    choose = random.Random(0)
    tokens = range(tokenizer.vocab_size)
    for token in choose.sample(tokens, min(_TOKEN_TEXTS, len(tokens))):
        yield tokenizer.decode([token]), False
    for _ in range(_JOINED_TEXTS):
        yield tokenizer.decode(choose.choices(tokens, k=choose.randrange(2, 24))), False
