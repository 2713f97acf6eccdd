"""A base from a GGUF file: its weights are computed back from their blocks, its vocabulary becomes a tokenizer.json.

llama.cpp and this program must cut every text alike, or the base would be asked in ids that it never saw: the tokenizer
that was made is compared with llama.cpp's own reading of the file before the base is taken.
"""

import os
import re
import stat
from collections import Counter
from pathlib import Path

from appliance.ground.child import Child, ChildDied
from appliance.ground.errors import UsageError
from appliance.ground.json_text import json_text
from appliance.ground.progress import OnProgress, ProgressCounter
from appliance.models.gguf_header import Array, GgufHead, Unsound, read_head
from appliance.models.manifest import file_sha256
from training.base_sources.gguf_config import READINGS, config_of
from training.base_sources.gguf_keys import GgufKeys
from training.base_sources.gguf_tokenizer import settings_of, tokenizer_of
from training.bases.licence import plain_name
from training.bases.record import BaseRecord

_PART_NAME = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_IMAGES = frozenset(
    {
        "clip", "sd1", "sd2", "sd3", "sdxl", "flux", "auraflow", "hidream", "wan", "ltxv", "hyvid", "cosmos", "lumina2",
        "qwen_image", "pig", "siglip", "aura",
    }
)  # fmt: skip
"""`general.architecture` of models that see or draw."""
_SOUNDS = frozenset({"wavtokenizer-dec", "whisper", "snac"})
_ENCODERS = frozenset(
    {"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "modern-bert", "neo-bert", "t5encoder", "t5"}
)
_AGAIN = "fetch the file again, or take the base as a folder of safetensors"


def read_gguf(path: Path) -> GgufKeys:
    """The head of a file whose model can become a base.

    Raises:
        UsageError: It is damaged, split, no model of text, or of an architecture that is not read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise Unsound("it is not a plain file")
            keys = GgufKeys(read_head(file, facts.st_size), path)
        _refuse_kind(keys.head, keys.architecture, path.name)
    except Unsound as error:
        raise UsageError(f"{path} cannot become a base: {error}", _AGAIN) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the name and the rights") from error
    return keys


def _refuse_kind(head: GgufHead, architecture: str, name: str) -> None:
    split = GgufKeys(head, Path()).whole("split.count", 1) > 1
    if split or _PART_NAME.search(name):
        raise Unsound("it is one of several parts; join them first with llama.cpp's `llama-gguf-split --merge`")
    keys = GgufKeys(head, Path())
    if architecture in _IMAGES or keys.text("general.type", "model") in ("mmproj", "clip-vision"):
        raise Unsound(f"it is a model of images ({architecture}), which reads no text")
    if keys.text("general.type", "model") == "adapter":
        raise Unsound("it is an adapter, not a base model")
    if architecture in _SOUNDS:
        raise Unsound(f"it is a model of sounds ({architecture}), which reads no text")
    if architecture in _ENCODERS:
        raise Unsound(f"it is an encoder ({architecture}); take it as a folder of safetensors")
    if architecture not in READINGS:
        raise Unsound(f"its architecture is {architecture[:40]!r}; read are {', '.join(READINGS)}")
    if architecture != "qwen3moe" and keys.whole("expert_count", 0):
        raise Unsound(f"it has experts, and {architecture} is read without them")
    if any(isinstance(entry, Array) and "feed_forward_length" in key for key, entry in head.values.items()):
        raise Unsound("its layers differ in size, which is not read here")


def scheme_of(head: GgufHead) -> str:
    """The type that most of the weights in matrices have, such as Q4_1."""
    numbers: Counter[str] = Counter()
    for entry in head.tensors.values():
        if len(entry.shape) > 1 and entry.name != "token_embd.weight":
            numbers[entry.kind_name] += entry.numbers
    return numbers.most_common(1)[0][0] if numbers else "F32"


def dequantized_bytes(keys: GgufKeys) -> int:
    """What the base takes on the disk, at most."""
    wide = 4 if scheme_of(keys.head) == "F32" else 2
    return sum(entry.numbers for entry in keys.head.tensors.values()) * wide + (64 << 20)


def write_base(keys: GgufKeys, staging_dir: Path, source: str, on_progress: OnProgress) -> BaseRecord:
    """Writes the base in a GGUF file into a folder.

    Args:
        source: Where the file comes from, for the record.

    Raises:
        UsageError: Something in the file cannot be read, or llama.cpp cuts text otherwise than the new tokenizer.
    """
    from training.base_sources.gguf_tensors import constants_of, sources_of, write_weights

    try:
        sources = sources_of(keys)
        counter = ProgressCounter(
            on_progress, sum(s.size_bytes for s in keys.head.tensors.values()), "byte", "dequantizing"
        )
        own_head = any(part.name == "lm_head.weight" for part in sources)
        rows = next(part.shape[0] for part in sources if part.name == "model.embed_tokens.weight")
        factors = constants_of(keys)
        config_of(keys, factors, rows, own_head, "")  # refused before minutes of work
        _write(staging_dir / "tokenizer.json", tokenizer_of(keys), indent=None)
        _write(staging_dir / "tokenizer_config.json", settings_of(keys))
        dtype = write_weights(keys.path, sources, staging_dir, counter.add)
        _write(staging_dir / "config.json", config_of(keys, factors, rows, own_head, dtype))
    except Unsound as error:
        raise UsageError(f"{keys.path} cannot become a base: {error}", _AGAIN) from error
    compare_tokens(keys.path, staging_dir / "tokenizer.json")
    licence = plain_name(keys.text("general.license", ""))
    scheme = scheme_of(keys.head)
    return BaseRecord(
        source,
        dequantized_from=scheme,
        source_sha256=file_sha256(keys.path),
        licence=licence,
        licence_source="general.license of the GGUF file" if licence else "",
    )


def _write(path: Path, value: object, indent: int | None = 2) -> None:
    path.write_text(json_text(value, indent=indent) + "\n", encoding="utf-8")


def compare_tokens(gguf_path: Path, tokenizer_path: Path) -> None:
    """Compares the ids of texts with llama.cpp's, which reads the vocabulary of the file in a child process.

    Raises:
        UsageError: A text is cut otherwise, or llama.cpp cannot read the file.
    """
    from training.base_sources.gguf_ids import probe_texts, text_ids

    texts = probe_texts(tokenizer_path)
    try:
        with Child("training.base_sources.gguf_ids:serve") as child:
            child.send({"path": str(gguf_path), "texts": texts})
            reply = child.receive()
    except ChildDied as died:
        raise UsageError(f"llama.cpp cannot read the vocabulary of {gguf_path}: {died.reason()}", _AGAIN) from died
    if "problem" in reply:
        raise UsageError(f"llama.cpp cannot read the vocabulary of {gguf_path}: {reply['problem']}", _AGAIN)
    for text, theirs, ours in zip(texts, reply["ids"], text_ids(tokenizer_path, texts), strict=True):
        if theirs != ours:
            raise UsageError(
                f"{gguf_path} cannot become a base: llama.cpp cuts the text {text[:40]!r} otherwise than the tokenizer"
                f" that was made of its vocabulary ({len(theirs)} ids, {len(ours)})",
                "take the base as a folder of safetensors with its own tokenizer.json",
            )
