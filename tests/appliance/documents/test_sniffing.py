"""What a file is, by its first bytes: also for those that try to keep whoever looks at them busy."""

import subprocess
import sys

import pytest

from appliance.documents.document_text import read_document
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sniffing import DocumentType, document_type
from tests.appliance.documents.reader_bench import PATIENT, simple_pdf

BUSY = {
    "comments": b"<!-- x -->" * 5000 + b"<form>",
    "comments without an end": b"<!--" * 16_000,
    "declaration without an end": b"<?xml " + b" " * 60_000,
    "blanks": b" \n" * 30_000 + b"x",
    "quotes": b'"' * 60_000,
    "quotes between separators": b'",' * 30_000,
    "separators of all kinds": b"a|b\t,;" * 10_000,
    "headers": b"From: a\nTo: b\n" + b"X: y\n" * 12_000,
    "parts of an archive": b"PK\x03\x04" + b"PK\x01\x02" * 16_000,
    "numbers that are no object": b"x%PDF-" + b"1 " * 30_000,
    "blanks between numbers": b"x%PDF-1" + b" " * 60_000,
    "bytes of no encoding": bytes(range(160, 256)) * 680,
}
WATCH = """
import sys
from appliance.documents.sniffing import document_type
document_type(sys.stdin.buffer.read())
"""


@pytest.mark.parametrize("name", BUSY)
def test_looking_at_a_file_ends_whatever_it_holds(name: str) -> None:
    # A search that has gone astray holds the interpreter, so only another process can end it.
    subprocess.run(
        [sys.executable, "-c", WATCH],
        input=BUSY[name],
        check=True,
        timeout=PATIENT,
        env={"PYTHONPATH": ":".join(sys.path)},
    )


@pytest.mark.parametrize("comments", [0, 1, 40])
def test_page_after_comments_is_html(comments: int) -> None:
    page = b"<?xml version='1.0'?>\n" + b"<!-- a > b -- c -->\n" * comments + b"<p>Total 42</p>"
    assert document_type(page) is DocumentType.HTML
    assert read_document(page).text == "Total 42"


@pytest.mark.parametrize("before", [b" \r\n" * 6000, b"<?xml version='1.0'?>\n<?xml-stylesheet href='a.css'?>\n"])
def test_page_after_blanks_and_instructions_is_html(before: bytes) -> None:
    assert read_document(before + b"<html><body><p>Total 42</p></body></html>").text == "Total 42"


def test_comment_ends_at_its_first_mark() -> None:
    assert document_type(b"<!-- x --> Total 42 <!-- y --><p>") is DocumentType.TEXT


@pytest.mark.parametrize(
    "before", [b"", b"\xef\xbb\xbf", b"\r\n \x00", b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n"],
    ids=["nothing", "mark", "blanks", "words"],
)  # fmt: skip
def test_pdf_may_begin_late(before: bytes) -> None:
    assert document_type(before + simple_pdf()) is DocumentType.PDF


def test_text_that_speaks_of_pdf_is_text() -> None:
    data = b"Files of this kind begin with %PDF-1.7 and end with %%EOF; an object is written obj.\n"
    assert document_type(data) is DocumentType.TEXT
    assert read_document(data).text == data.decode()


def test_mail_with_an_attachment_as_it_is_stays_a_mail() -> None:
    head = b"From: a@example.org\nTo: b@example.org\nSubject: s\nContent-Type: multipart/mixed; boundary=x\n\n"
    for attached in (simple_pdf(), b"\x00\x01\x02\xff"):
        parts = b"--x\n\nTotal 17\n--x\nContent-Type: application/x\nContent-Disposition: attachment\n\n" + attached
        data = head + parts + b"\n--x--\n"
        assert document_type(data) is DocumentType.MAIL
        assert "Total 17" in read_document(data).text


def boxed(brand: bytes, *fitting: bytes, size: int | None = None) -> bytes:
    """The beginning of a film or photo; the size of its first box is what it takes, unless said otherwise."""
    whole = 16 + 4 * len(fitting)
    return (size or whole).to_bytes(4, "big") + b"ftyp" + brand + b"\0\0\0\0" + b"".join(fitting) + bytes(64)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (boxed(b"heic", b"mif1"), "a HEIC photo"),
        (boxed(b"heic"), "a HEIC photo"),
        (boxed(b"mif1", b"heic", b"miaf", b"MiHB"), "a HEIC photo"),
        (boxed(b"heix", size=3_000_000), "a HEIC photo"),
        (boxed(b"mp42", b"isom"), "a film"),
        (boxed(b"qt  "), "a film"),
        (boxed(b"crx ", b"isom"), "a photo as the camera took it"),
        (b"\xff\x0a" + bytes(64), "a JPEG XL image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64), "a JPEG XL image"),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(64), "a sound recording"),
        (b"8BPS\0\x01" + bytes(64), "a Photoshop image"),
        (b"\x01\0\0\0" + bytes(36) + b" EMF" + bytes(64), "an EMF drawing"),
        (b"P6\n10 10\n255\n" + bytes(300), "a PNM image"),
        (b"\0\0\x01\0\x01\0" + bytes(64), "an icon"),
        (bytes(128) + b"DICM" + bytes(64), "a medical image"),
        (b"AC1032" + bytes(64), "a CAD drawing"),
        (b"FORM\0\0\0\x20AIFF" + bytes(64), "a sound recording"),
        (b"\0\0\0\x08wide\0\0\0\x10mdat" + bytes(64), "a film"),
        (b"\xc5\xd0\xd3\xc6" + bytes(64), "PostScript"),
    ],
    ids=["heic", "short", "by what fits", "huge box", "film", "camera film", "raw", "jxl", "jxl file", "sound", "psd",
         "emf", "pnm", "icon", "dicom", "cad", "aiff", "old film", "eps with a preview"],
)  # fmt: skip
def test_pictures_and_films_that_are_not_read_are_named(data: bytes, name: str) -> None:
    assert document_type(data) is None
    with pytest.raises(DocumentError) as caught:
        read_document(data)
    assert caught.value.problem is Problem.UNSUPPORTED
    assert caught.value.message == f"this is {name}, which is not read"


@pytest.mark.parametrize(
    "data", [boxed(b"avif", b"mif1"), b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"II+\0", b"MM\0+"]
)
def test_newer_kinds_of_images_are_images(data: bytes) -> None:
    assert document_type(data + bytes(64)) is DocumentType.IMAGE


def test_text_that_begins_like_a_picture_is_text() -> None:
    for text in (b"P1 is the first invoice", b"BM 12 gravel", b"P2\ttotal", b"ftyp is a word"):
        assert document_type(text) is DocumentType.TEXT
