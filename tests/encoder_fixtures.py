"""A tiny random BERT, its tokenizer and a classification task folder, of the true architecture and formats."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel

from appliance.ground.files import write_lines
from appliance.tasks.labels import LabelledRow, text_hash

LABELS = ("card lost", "money back", "new address")
WORDS = {
    "card lost": ["card", "lost", "stolen", "gone", "wallet"],
    "money back": ["money", "back", "refund", "return", "charge"],
    "new address": ["new", "address", "moved", "street", "house"],
}
FILLERS = ["my", "is", "the", "please", "help", "i", "want", "to", "today", "yes"]


def write_base(directory: Path, seed: int = 0) -> Path:
    """A random BERT of two layers with a word vocabulary."""
    words = sorted({word for group in WORDS.values() for word in group} | set(FILLERS))
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate([*marks, *words, "[", "]", "##x", "sep"])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(marks)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    tokenizer.enable_padding(length=16)
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(str(directory))
    return directory


def sentence(label: str, number: int) -> str:
    """A text of 4 to 9 words, two of them of the label."""
    words = WORDS[label]
    fillers = [FILLERS[(number * 7 + step * 3) % len(FILLERS)] for step in range(2 + number % 6)]
    return " ".join([fillers[0], words[number % 5], words[(number + 1 + number // 5) % 5], *fillers[1:]])


def make_row(text: str, label: str | None, labels: dict[str, float] | None = None) -> LabelledRow:
    """A dataset row."""
    return LabelledRow(f"{text_hash(text)[:12]}.txt", text, {"label": label}, text_hash(text), labels)


def write_rows(path: Path, rows: Sequence[LabelledRow]) -> None:
    """Rows as a dataset file."""
    write_lines(path, map(LabelledRow.line, rows))


def write_task_folder(folder: Path, base: Path, rows: int = 48) -> Path:
    """A task folder with task.toml and dataset/."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = ", ".join(f'"{label}"' for label in LABELS)
    (folder / "task.toml").write_text(
        'version = 1\nname = "requests"\nkind = "classify"\ninstruction = "What does the customer want?"\n'
        f'labels = [{labels}]\n\n[student]\nfamily = "encoder"\nbase = "{base}"\nmax_tokens = 32\n',
        encoding="utf-8",
    )
    for name, start in (("train", 0), ("validation", rows), ("test", rows + rows // 2)):
        texts = [(LABELS[number % 3], sentence(LABELS[number % 3], number)) for number in range(start, start + rows)]
        write_rows(folder / "dataset" / f"{name}.jsonl", [make_row(text, label) for label, text in texts])
    return folder
