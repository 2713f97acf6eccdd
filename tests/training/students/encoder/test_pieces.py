"""Long texts of an encoder: trained in the pieces in which they are read, judged as a whole, and told where cut."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from appliance.engines.windows import MOST_WINDOWS
from appliance.tasks.labels import LabelledRow
from training.row_notes import row_notes
from training.students.encoder.examples import Examples, build_examples
from training.students.encoder.student import _facts_of, _figures_of_pieces

LABELS = ["a", "b"]


@pytest.fixture
def tokenizer() -> Tokenizer:
    """One token a word, eight tokens a text."""
    vocabulary = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, **{f"w{number}": number + 3 for number in range(40)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.enable_truncation(8)
    return tokenizer


def row(words: int, label: str = "a") -> LabelledRow:
    return LabelledRow(f"{words}", " ".join(f"w{number % 40}" for number in range(words)), {"label": label})


def test_a_long_text_is_one_example_for_each_piece(tokenizer: Tokenizer) -> None:
    examples = build_examples([row(3), row(14, "b")], tokenizer, LABELS, in_pieces=True)
    assert [len(ids) for ids in examples.token_ids] == [5, 8, 8, 4]
    assert all((ids[0], ids[-1]) == (1, 2) for ids in examples.token_ids)
    assert [token for ids in examples.token_ids[1:] for token in ids[1:-1]] == [number + 3 for number in range(14)]
    assert examples.targets.argmax(1).tolist() == [0, 1, 1, 1]
    assert list(examples.row_numbers) == [0, 1, 1, 1]
    assert (examples.rows, examples.pieces_of_documents) == (2, [3])
    notes = list(row_notes({"splits": {"train": _facts_of(examples)}, "max_tokens": 8}))
    assert notes == ["train: 1 of 2 documents (50%) is read in 3 windows because the context does not hold them"]


def test_a_text_that_is_cut_or_left_out_is_told(tokenizer: Tokenizer) -> None:
    cut = build_examples([row(3), row(14)], tokenizer, LABELS)
    assert [len(ids) for ids in cut.token_ids] == [5, 8]
    (told,) = row_notes({"splits": {"train": _facts_of(cut)}, "max_tokens": 8})
    assert told.startswith("train: 1 of 2 rows (50%) is longer than 8 tokens, of which only these are seen")
    endless = build_examples([row(3), row(6 * MOST_WINDOWS + 1)], tokenizer, LABELS, in_pieces=True)
    assert (len(endless), endless.unread) == (1, 1)
    (told,) = row_notes({"splits": {"train": _facts_of(endless)}, "max_tokens": 8})
    assert "1 of 2 rows (50%) is left out" in told


def test_validation_judges_documents_and_not_their_pieces() -> None:
    examples = Examples([[1] * 8, [1] * 8, [1] * 2, [1] * 5], torch.eye(2)[[0, 0, 0, 1]], [0, 0, 0, 1])
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [-9.0, 9.0], [3.0, 0.0]])
    figures = _figures_of_pieces(logits, examples, False)
    assert figures["validation_accuracy"] == 0.5, "of two documents one is right, though one of its pieces is not"
    several = _figures_of_pieces(torch.tensor([[5.0, -5.0], [-5.0, -5.0], [-5.0, -5.0], [-5.0, 5.0]]), examples, True)
    assert several["validation_accuracy"] == 1.0
