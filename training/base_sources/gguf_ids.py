"""Ids of texts by llama.cpp and by a tokenizer.json, to be compared; llama.cpp runs in a child process."""

import ctypes
import os
import random
from multiprocessing.connection import Connection
from pathlib import Path

PIECES = 400
"""Texts that are made of random pieces of the vocabulary."""
_TEXTS = (
    "", " ", "  two  blanks   three ", "tab\there\t\ttwice", "line\nbreak\r\nand\rreturn\n\n\nthree",
    " 0 12 3456789 1,234.56 -7 1e10 0x1F", "don't we'll I'VE they're it's 'tis", "camelCase snake_case ALLCAPS",
    "caf\u00e9 \u00c5ngstr\u00f6m \u0141\u00f3d\u017a Stra\u00dfe", "\u20ac1\u00a0234,50 \u00a35 \u00bd \u2167 \u2460",
    "\u0441\u0447\u0451\u0442 \u2116 42", "\u8bf7\u6c42\u4e66 \u3054\u8acb\u6c42\u66f8 \uccad\uad6c\uc11c",
    "\u0641\u0627\u062a\u0648\u0631\u0629 \u0661\u0662\u0663", "\u201cquoted\u201d \u2018it\u2019s\u2019 \u2014 \u2026",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u200bzero \ufeffmark \u00adsoft \u3000wide",
    "<html> {json: [1, 2]} \\back/slash ~`^|@#$%&*_+=", "===== ----- ..... _____", "http://example.com/a?b=c&d=%20",
)  # fmt: skip
"""Where ways of cutting text tend to differ."""


def probe_texts(tokenizer_path: Path) -> list[str]:
    """Texts that show how a vocabulary is cut: odd ones, and random pieces of it one after another."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    rng = random.Random(0)
    ids = range(tokenizer.get_vocab_size())
    pieces = [tokenizer.decode(rng.choices(ids, k=4)) for _ in range(PIECES)] if ids else []
    # What is no whole character is cut as the sign that stands for it, which shows nothing.
    return [*_TEXTS, *(piece for piece in pieces if "\ufffd" not in piece and "\x00" not in piece)]


def text_ids(tokenizer_path: Path, texts: list[str]) -> list[list[int]]:
    """Ids by a tokenizer.json, nothing added; special tokens in a text are text."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    tokenizer.encode_special_tokens = True
    return [list(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]


def serve(connection: Connection) -> None:
    """In the child: the ids of texts by llama.cpp."""
    from appliance.ground.child import receive, send
    from appliance.ground.errors import ApplianceError

    request = receive(connection)
    try:
        send(connection, {"ids": vocabulary_ids(Path(request["path"]), request["texts"])})
    except ApplianceError as error:
        send(connection, {"problem": error.message})


def vocabulary_ids(path: Path, texts: list[str]) -> list[list[int]]:
    """Ids of texts by llama.cpp, which loads the vocabulary of the file and no weights.

    Raises:
        ApplianceError: It refuses the file; says why in its words.
    """
    from appliance.engines.llama.library import library, recent_errors, refusal_reason
    from appliance.ground.errors import ApplianceError

    llama = library()
    parameters = llama.llama_model_default_params()
    parameters.vocab_only = True
    recent_errors.clear()
    model = llama.llama_model_load_from_file(os.fsencode(path), parameters)
    if not model:
        raise ApplianceError(refusal_reason())
    vocabulary, ids_of_texts = llama.llama_model_get_vocab(model), []
    for text in texts:
        encoded = text.encode()
        ids = (ctypes.c_int32 * (4 * len(encoded) + 16))()
        count = int(llama.llama_tokenize(vocabulary, encoded, len(encoded), ids, len(ids), False, False))
        ids_of_texts.append(list(ids[: max(0, count)]))
    return ids_of_texts
