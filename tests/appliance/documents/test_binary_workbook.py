"""Old and binary Excel workbooks."""

import os
import struct
from pathlib import Path

import pytest

from appliance.documents.document_text import read_document
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sandbox import read_files
from appliance.documents.sniffing import DocumentType, document_type
from tests.appliance.documents.document_files import compound_file
from tests.appliance.documents.workbook_files import DATE, TIME, Cell, xls, xls_record, xlsb

SHARED_DIR = Path(__file__).resolve().parents[4] / "shared" / "data" / "readers" / "xls"
CELLS: dict[tuple[int, int], Cell] = {
    (0, 0): "Größe 契約", (0, 1): 1234.5, (1, 0): "two\nlines", (1, 1): True, (3, 0): 1e-7, (3, 30): "far to the right",
}  # fmt: skip
ROWS = ["Größe 契約\t1234.5", "two lines\tTRUE", "1e-07\t\tfar to the right"]


@pytest.mark.parametrize(("write", "kind"), [(xls, DocumentType.OLD_WORKBOOK), (xlsb, DocumentType.BINARY_WORKBOOK)])
def test_cells_are_read_as_those_of_xlsx_are(write: type[object], kind: DocumentType) -> None:
    data = write({"Prices": CELLS, "Empty": {}, "Secret": {(0, 0): "x"}}, hidden=("Secret",))  # type: ignore[call-arg]
    assert isinstance(data, bytes)
    document = read_document(data)
    assert document.document_type is kind
    assert document.text.splitlines() == ["Prices", *ROWS]
    assert document.notes == [
        "only cells were read: no comments, text boxes or charts", "the hidden sheet Secret was left out"
    ]  # fmt: skip


def test_dates_and_times_have_the_form_that_xlsx_gives() -> None:
    cells: dict[tuple[int, int], Cell] = {(0, 0): 45352.0, (0, 1): 0.5, (0, 2): 45352.573264, (0, 3): 45352.0}
    data = xls({"S": cells}, formats=(0, DATE, TIME, 22), styles={(0, 0): 1, (0, 1): 2, (0, 2): 3})
    assert read_document(data).text.splitlines()[1] == "2024-03-01\t12:00:00\t2024-03-01 13:45:30\t45352"


CODES = ("#,##0.00", "[h]:mm", ";;;", '0.0"x"', "0%")
SHOWN: dict[tuple[int, int], Cell] = {
    (0, 0): 1234.5, (0, 1): 1.25, (0, 2): 7.0, (0, 3): 2.0, (0, 4): 0.5, (1, 0): "gone", (2, 0): "end", (2, 1): "far",
}  # fmt: skip
STYLES = {(0, column): column + 1 for column in range(5)}
NOTES = ["hidden columns were left out", "hidden rows were left out", "hidden values were left out"]


def test_formats_and_hidden_rows_of_an_xls_are_those_of_xlsx() -> None:
    row = xls_record(0x0208, struct.pack("<HHHHHHI", 1, 0, 4, 0, 0, 0, 0x20))
    column = xls_record(0x007D, struct.pack("<HHHHHH", 3, 3, 2000, 0, 1, 0))
    numbers = range(164, 164 + len(CODES))
    packed = xls_record(0x00BD, struct.pack("<HHHIHIH", 5, 0, 1, 12345 << 2 | 3, 0, 7 << 2 | 2, 1))
    data = xls(
        {"S": SHOWN}, formats=(0, *numbers), styles=STYLES, codes=dict(zip(numbers, CODES, strict=True)),
        more=row + column + packed,
    )  # fmt: skip
    found = read_document(data)
    assert found.text.splitlines() == ["S", "1,234.50\t30:00\t\t50%", "end\tfar", "123.45\t7"]
    assert found.notes[1:] == NOTES


def test_formats_and_hidden_rows_of_an_xlsb_are_those_of_xlsx() -> None:
    column = b"\x3c\x12" + struct.pack("<IIIIH", 3, 3, 2000, 0, 1)
    found = read_document(xlsb({"S": SHOWN}, more=column, codes=CODES, styles=STYLES, folded=(1,)))
    assert found.text.splitlines() == ["S", "1,234.50\t30:00\t\t50%", "end\tfar"]
    assert found.notes[1:] == NOTES


def test_cells_far_from_each_other_are_too_large_before_memory_is_asked_for() -> None:
    with pytest.raises(DocumentError, match="are too far apart") as caught:
        read_document(xlsb({"S": {(0, 0): "a", (1_048_575, 16_383): "b"}}))
    assert caught.value.problem is Problem.TOO_LARGE


@pytest.mark.slow
def test_far_cells_of_an_xls_stay_within_the_memory_of_a_parser(tmp_path: Path) -> None:
    (tmp_path / "a.xls").write_bytes(xls({"S": {(0, 0): "a", (65_535, 255): "b"}}))
    ((_, reply),) = read_files(tmp_path, [b"a.xls"], readers=1)
    assert reply.text.splitlines() == ["S", "a", "\tb"]


def test_cells_in_the_short_form_are_refused_rather_than_lost() -> None:
    with pytest.raises(DocumentError, match="short form") as caught:
        read_document(xlsb({"S": {(0, 0): "a"}}, more=b"\x0e\x0c" + bytes(12)))
    assert (caught.value.problem, caught.value.hint) == (Problem.UNSUPPORTED, "save it as XLSX")


@pytest.mark.parametrize("cut", [0.9, 0.6, 0.3])
@pytest.mark.parametrize("write", [xls, xlsb])
def test_a_broken_workbook_is_unreadable(write: type[object], cut: float) -> None:
    data = bytearray(write({"S": CELLS}))  # type: ignore[call-arg]
    del data[int(len(data) * cut) :]
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff" * 40
    with pytest.raises(DocumentError) as caught:
        read_document(bytes(data))
    assert caught.value.problem in (Problem.UNREADABLE, Problem.UNSUPPORTED, Problem.EMPTY)


def test_a_workbook_inside_a_letter_does_not_make_it_a_workbook() -> None:
    letter = compound_file({"WordDocument": b"x" * 5000, "ObjectPool": {"_1": {"Workbook": b"y" * 5000}}})
    assert document_type(letter) is None


@pytest.mark.skipif(not SHARED_DIR.is_dir(), reason="the shared files are not beside the checkout")
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("kreuzberg__test_excel.xls", "AD Premium P1\t$31,200\t$31,200"),
        ("kreuzberg__tests_example.xls", "TF\tBagpipes are awesome.\ttrue"),
        ("markitdown__test.xls", "89\t82\t100\t12"),
    ],
    ids=["prices", "questions", "numbers"],
)  # fmt: skip
def test_real_workbooks_are_read_in_the_sandbox(name: str, line: str) -> None:
    ((_, reply),) = read_files(SHARED_DIR, [os.fsencode(name)], readers=1)
    assert reply.notes[0] == "read as xls"
    assert any(row.startswith(line) for row in reply.text.splitlines())
