"""Odd documents behind the walls: what a reader needs for them was loaded before, and gives the same text."""

import base64
import os
from pathlib import Path

from appliance.documents.document_text import read_document
from appliance.documents.sandbox import read_files
from tests.appliance.documents.document_files import opendocument, word, workbook
from tests.appliance.documents.test_odd_mails import ENTITY, part, signed
from tests.appliance.documents.workbook_files import xls, xlsb

FORMATS = '<numFmts><numFmt numFmtId="164" formatCode="# ??/??"/></numFmts><cellXfs><xf/><xf numFmtId="164"/></cellXfs>'
ROW = "<table:table-row><table:table-cell><text:p>x</text:p></table:table-cell></table:table-row>"


def test_odd_documents_are_read_behind_the_walls_as_in_front_of_them(tmp_path: Path) -> None:
    jis = b"\x1b$B\x2d\x21\x1b(B A-1\n"
    files = {
        "a.p7m": signed(word("<w:p><w:r><w:t>words</w:t></w:r></w:p>")),
        "b.eml": part("Content-Type: application/pkcs7-mime", base64.encodebytes(signed(ENTITY))),
        "c.eml": part("Content-Type: text/plain; charset=iso-2022-jp", jis),
        "d.eml": part("Content-Type: text/plain; charset=x-mac-croatian", b"\xb9umska 5\n"),
        "e.xlsx": workbook({"S": '<row><c r="A1" s="1"><v>1.5</v></c></row>'}, "", FORMATS),
        "f.xls": xls({"S": {(0, 0): 1.25}}, formats=(0, 46), styles={(0, 0): 1}),
        "g.xlsb": xlsb({"S": {(0, 0): 1.25}}, codes=("[h]:mm",), styles={(0, 0): 1}),
        "h.ods": opendocument(f'<table:table table:name="S">{ROW}</table:table>', kind="spreadsheet"),
        "i.csv": "sep=;\nGröße;5\n".encode("utf-16"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    texts = {os.fsdecode(name): reply.text for name, reply in read_files(tmp_path, map(os.fsencode, files), readers=1)}
    assert texts == {name: read_document(data).text for name, data in files.items()}
    assert [texts[name].splitlines()[-1] for name in ("a.p7m", "b.eml", "c.eml", "e.xlsx", "f.xls", "g.xlsb")] == [
        "words", "Order SM-301", "① A-1", "1 1/2", "30:00:00", "30:00",
    ]  # fmt: skip
