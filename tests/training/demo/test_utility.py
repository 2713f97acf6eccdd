import collections

import pytest

from appliance.documents.document_text import read_document
from appliance.tasks.prompt import document_lines
from training.demo.files import WRITERS, write_documents
from training.demo.utility import MISTAKE_SHARE, MISTAKES, draw_bills, teacher_rows, truth_of


@pytest.fixture(scope="module")
def bills():
    return draw_bills(1, 60, "test")


def test_bills_ask_ten_fields_and_some_are_missing(bills):
    truths = [truth_of(bill) for bill in bills]
    assert all(len(truth) == 10 for truth in truths)
    values = [value for truth in truths for value in truth.values()]
    assert 0.03 < values.count(None) / len(values) < 0.2
    for truth in truths:
        if truth["previous_reading"] and truth["current_reading"]:
            assert int(truth["previous_reading"]) < int(truth["current_reading"])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", WRITERS)
def test_each_format_reads_back_with_all_values(bills, suffix, tmp_path):
    texts = [bill.text for bill in bills[:12]]
    paths = write_documents(tmp_path, texts, "Utility bill", (suffix,))
    for path, bill in zip(paths, bills, strict=False):
        text = "\n".join(document_lines(read_document(path.read_bytes()).text))
        for value in truth_of(bill).values():
            assert value is None or " ".join(value.split()) in " ".join(text.split())


def test_files_are_the_same_in_every_run(bills, tmp_path):
    texts = [bill.text for bill in bills[:5]]
    first = write_documents(tmp_path / "a", texts, "Utility bill", ("txt", "pdf", "html", "eml"))
    again = write_documents(tmp_path / "b", texts, "Utility bill", ("txt", "pdf", "html", "eml"))
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_the_teacher_makes_the_planted_mistakes_and_no_others(bills):
    truths = [truth_of(bill) for bill in bills]
    rows = list(teacher_rows(1, truths))
    wrong = [row for row, truth in zip(rows, truths, strict=True) if row.answer != truth]
    assert len(wrong) == round(MISTAKE_SHARE * len(bills))
    assert all(row.mistake for row in wrong)
    assert all(row.answer == truth for row, truth in zip(rows, truths, strict=True) if not row.mistake)
    kinds = collections.Counter(row.mistake for row in wrong)
    assert set(kinds) == set(MISTAKES)
