"""What hostile files cost: every repetition by reference, every depth and every size ends somewhere."""

import io
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.documents import archive as archives
from appliance.documents.document_text import read_document
from appliance.documents.problems import DocumentError, Problem
from tests.appliance.documents.document_files import archive, book, opendocument, shape, slides, word, workbook

LONGEST_SECONDS = 120.0
"""On a very busy machine; each takes a second or two on an idle one."""
LETTER = "x" * 30_000


def problem_of(data: bytes) -> Problem:
    with pytest.raises(DocumentError) as caught:
        read_document(data)
    return caught.value.problem


def deep(tag: str, depth: int = 20_000) -> str:
    return f"<{tag}>" * depth + f"</{tag}>" * depth


def repeated_string() -> bytes:
    cell = '<c t="s"><v>0</v></c>'
    return workbook({"S": "<row>" + cell * 1000 + "</row>"}, f"<si><t>{LETTER}</t></si>")


def repeated_rows() -> bytes:
    row = (
        '<table:table-row table:number-rows-repeated="1048576"><table:table-cell table:number-columns-repeated="16384">'
        f"<text:p>{LETTER}</text:p></table:table-cell></table:table-row>"
    )
    return opendocument(f"<table:table>{row}</table:table>", kind="spreadsheet")


def nested_formula() -> bytes:
    space = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
    return word(f"<w:p {space}>" + "<m:f><m:num>" * 150 + "</m:num></m:f>" * 150 + "</w:p>")


def doctype(kind: str) -> bytes:
    attack = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'
    wide = attack.encode("utf-16")
    parts = {"docx": "word/document.xml", "pptx": "ppt/presentation.xml", "xlsx": "xl/workbook.xml"}
    return archive({parts[kind]: wide})


def workbook_with_sheet(xml: str) -> bytes:
    return archive({**parts_of(workbook({"S": "<row/>"})), "xl/worksheets/sheet1.xml": xml})


def parts_of(data: bytes) -> dict[str, bytes | str]:
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return {name: source.read(name) for name in source.namelist()}


HOSTILE = {
    "string-in-a-thousand-cells": (repeated_string, {Problem.TOO_LARGE}),
    "rows-times-columns": (repeated_rows, {Problem.TOO_LARGE}),
    "deep-docx": (lambda: word(deep("w:sdt")), {Problem.TOO_LARGE}),
    "deep-pptx": (lambda: slides(deep("p:grpSp")), {Problem.TOO_LARGE}),
    "deep-odt": (lambda: opendocument(deep("text:section")), {Problem.TOO_LARGE}),
    "deep-html": (lambda: ("<html>" + deep("div") + deep("table", 5000)).encode(), {Problem.EMPTY}),
    "deep-epub": (lambda: book({"a.xhtml": deep("div")}, ["a.xhtml"]), {Problem.EMPTY}),
    "deep-formula": (nested_formula, {Problem.TOO_LARGE}),
    "entities-docx": (lambda: doctype("docx"), {Problem.UNREADABLE}),
    "entities-pptx": (lambda: doctype("pptx"), {Problem.UNREADABLE}),
    "entities-xlsx": (lambda: doctype("xlsx"), {Problem.UNREADABLE}),
    "entities-sheet": (
        lambda: workbook_with_sheet('<!DOCTYPE x [<!ENTITY a "b">]><worksheet>&a;</worksheet>'), {Problem.UNREADABLE},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_one_named_failure_in_bounded_time(name: str) -> None:
    make, allowed = HOSTILE[name]
    data = make()
    started = time.monotonic()
    assert problem_of(data) in allowed
    assert time.monotonic() - started < LONGEST_SECONDS


def test_slide_that_is_listed_often_is_read_once() -> None:
    parts = parts_of(slides(shape("once")))
    entry = b'<p:sldId id="256" r:id="r1"/>'
    listing = bytes(parts["ppt/presentation.xml"]).replace(entry, entry * 500)
    assert read_document(archive({**parts, "ppt/presentation.xml": listing})).text == "once\n"


def test_number_of_parts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 50)
    assert problem_of(archive({f"word/{number}.xml": b"" for number in range(51)})) is Problem.TOO_LARGE


def test_sheet_that_inflates_is_stopped_while_it_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1 << 20)
    assert problem_of(workbook_with_sheet("<worksheet>" + " " * (2 << 20))) is Problem.TOO_LARGE


def test_parts_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 100_000)
    chapters = {f"{number}.xhtml": "<p>word</p>" + " " * 30_000 for number in range(10)}
    assert problem_of(book(chapters, list(chapters))) is Problem.TOO_LARGE


WITHOUT_FILES = """
import sys
from appliance.documents import preload
getattr(preload, sys.argv[2])()
import pathlib
files = {path.name: path.read_bytes() for path in sorted(pathlib.Path(sys.argv[1]).iterdir())}
from appliance.documents.document_text import read_document
opened = []
def watch(event, arguments):
    if event in ("open", "import") and (event == "import" or isinstance(arguments[0], (str, bytes))):
        opened.append(f"{event} {arguments[0]}")
sys.addaudithook(watch)
for name, data in files.items():
    opened.clear()
    text = read_document(data).text
    assert text.strip(), name
    assert not opened, (name, opened[:5])
print(len(files))
"""
"""Reads documents and notes what is opened or imported meanwhile."""


@pytest.mark.parametrize(
    ("preload", "suffixes"),
    [("preload_readers", ""), ("preload_plain_readers", (".rtf", ".csv", ".html", ".txt"))],
    ids=["all", "plain"],
)
def test_no_reader_opens_a_file_or_imports_once_it_was_preloaded(
    tmp_path: Path, samples: dict[str, Callable[[], bytes]], preload: str, suffixes: str | tuple[str, ...]
) -> None:
    named = {name: make for name, make in samples.items() if name.endswith(suffixes)}
    for name, make in named.items():
        (tmp_path / name).write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FILES, str(tmp_path), preload],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-1500:]
    assert int(done.stdout) == len(named)


@pytest.fixture
def samples() -> dict[str, Callable[[], bytes]]:
    """A document of each family, with encodings and headers that make libraries look things up."""
    from tests.appliance.documents.test_document_text import pdf_bytes
    from tests.appliance.documents.test_mail_readers import mail, outlook_file
    from tests.appliance.documents.test_office_readers import FORMATS, LEGAL, numbered

    def full_mail() -> bytes:
        message = mail("Grüße\n", "Größe")
        message.add_attachment(
            workbook({"S": "<row><c><v>1</v></c></row>"}), maintype="a", subtype="b", filename="ä.xlsx"
        )
        return message.as_bytes()

    return {
        "a.pdf": lambda: pdf_bytes(lambda canvas: canvas.drawString(72, 720, "some words")),
        "a.docx": lambda: word(numbered("Scope", 0), numbering=LEGAL),
        "a.xlsx": lambda: workbook({"S": '<row><c s="1"><v>45000</v></c></row>'}, formats=FORMATS),
        "a.pptx": lambda: slides(shape("words")),
        "a.odt": lambda: opendocument("<text:p>words</text:p>"),
        "a.epub": lambda: book({"a.xhtml": "<p>words</p>"}, ["a.xhtml"]),
        "a.eml": full_mail,
        "b.eml": lambda: b"From: a\nTo: b\nContent-Type: text/plain; charset=hz-gb-2312\n\nhello =E4\n",
        "a.msg": outlook_file,
        "a.rtf": lambda: rb"{\rtf1\ansi\ansicpg1361 words}",
        "a.csv": lambda: b"a,b\n1,2\n",
        "a.html": lambda: '<html><meta charset="euc-jp"><body>契約書</body></html>'.encode("euc_jp"),
        "a.txt": lambda: "Счет на оплату".encode("koi8_r"),
        "b.txt": lambda: "契約書".encode("iso2022_jp"),
    }
