"""Mails as programs really store them: odd headers, wrong declarations, forms and wrappings that few programs write."""

import base64
import binascii
import quopri
import time
import zlib

import pytest

from appliance.documents.document_text import read_document
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.signed_data import unwrap
from appliance.documents.sniffing import DocumentType, document_type
from tests.appliance.documents.document_files import word

HEAD = (
    b"From: Ann <a@example.org>\nTo: b@example.org\nSubject: =?utf-8?Q?f=C3=BCr_Mai?=\nMIME-Version: 1.0\n"
    b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n"
)
BODY = b"\nTotal: 88,20 =E2=82=AC\n"


def body_of(data: bytes) -> str:
    return read_document(data).text.split("\n\n", 1)[1].rstrip("\n")


def part(headers: str, body: bytes) -> bytes:
    return b"From: a@example.org\nSubject: s\nMIME-Version: 1.0\n" + headers.encode() + b"\n\n" + body


@pytest.mark.parametrize(
    "data",
    [
        b"X-Spam_score: -1\n" + HEAD + BODY,
        b"X-" + b"Long" * 30 + b": 1\n" + HEAD + BODY,
        b"\r\n\r\n" + HEAD + BODY,
        b"\xef\xbb\xbf\n" + HEAD + BODY,
        b"From a@example.org Mon May  5 10:00:00 2025\n" + HEAD + BODY,
        (HEAD + BODY).replace(b"\n", b"\r"),
        (HEAD + BODY).replace(b"\n", b"\r\r\n"),
        HEAD.replace(b":", b" :") + BODY,
        HEAD + b"this line is no header\n" + BODY,
        b"+OK 512 octets\n" + HEAD + BODY,
        HEAD + "Größe: 5\n".encode() + BODY,
        HEAD + "Größe: 5\n".encode("latin-1") + BODY,
        HEAD.replace(b"MIME-Version: 1.0\n", b"") + BODY,
        HEAD.replace(b"plain;", b"plain;\n\t \n ") + BODY,
        b"".join(b"Received: from host%d.example.org by b.example.org\n" % n for n in range(2000)) + HEAD + BODY,
        HEAD.replace(b"; charset", b" charset") + BODY,
        HEAD.replace(b"quoted-printable", b'"Quoted-Printable" (x)') + BODY,
    ],
    ids=[
        "underscore",
        "long-name",
        "blank-lines",
        "mark",
        "postmark",
        "cr",
        "crcrlf",
        "blank-before-colon",
        "no-header",
        "protocol",
        "8-bit-name",
        "8-bit-name-latin",
        "no-version",
        "odd-fold",
        "many-headers",
        "no-semicolon",
        "quoted",
    ],
)
def test_one_odd_header_does_not_make_a_mail_plain_text(data: bytes) -> None:
    found = read_document(data)
    assert found.document_type is DocumentType.MAIL
    assert "Subject: für Mai\n" in found.text
    assert found.text.endswith("\n\nTotal: 88,20 €\n")


@pytest.mark.parametrize(
    "text",
    [b"From: a\nTo: b\nInvoice no 5\n\nhello", b"Note: x\nTotal: 5\n\nhello", b"Dear Ann,\nFrom: here\nTo: there\n\nx"],
)
def test_texts_of_people_stay_texts(text: bytes) -> None:
    assert document_type(text) is DocumentType.TEXT


def test_headers_that_only_people_write_are_all_shown() -> None:
    assert read_document(b"From: a\nTo: b\nOur-Ref: 77-1\nAmount: 5 EUR\n\nhello\n").text.splitlines()[:4] == [
        "From: a", "To: b", "Our-Ref: 77-1", "Amount: 5 EUR",
    ]  # fmt: skip


PLAIN = "Größe: 5 € für Müller\n"
CODED = base64.encodebytes(PLAIN.encode())


@pytest.mark.parametrize(
    ("encoding", "body", "text"),
    [
        ("base64", PLAIN.encode(), PLAIN),
        ("base64", b"Hello\n", "Hello"),
        ("base64", CODED + b"\n-- \nlist footer\n", PLAIN + "\n-- \nlist footer"),
        ("base64", base64.encodebytes(b"one ") + base64.encodebytes(b"two"), "one two"),
        ("7bit", base64.encodebytes(PLAIN.encode() * 5), PLAIN * 5),
        ("8bit", quopri.encodestring(PLAIN.encode()), PLAIN),
        ("", quopri.encodestring(PLAIN.encode() * 3), PLAIN * 3),
        ("quoted-printable", "a=b, c=d, größer\n".encode(), "a=b, c=d, größer"),
        ("BASE64; x", CODED, PLAIN),
        ("utf-8", PLAIN.encode(), PLAIN),
        ("x-uuencode", b"begin 644 t\n" + binascii.b2a_uu(b"uu words") + b"`\nend\n", "uu words"),
        ("7bit", b"AB=CD and x=3\n", "AB=CD and x=3"),
        ("7bit", b"orderABCD1234abcdEFGH5678ijkl\n", "orderABCD1234abcdEFGH5678ijkl"),
    ],
)
def test_transfer_encoding_is_believed_only_if_the_body_looks_like_it(encoding: str, body: bytes, text: str) -> None:
    header = "Content-Type: text/plain; charset=utf-8"
    header += f"\nContent-Transfer-Encoding: {encoding}" if encoding else ""
    assert body_of(part(header, body)) == text.rstrip("\n")


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("html", b"plain\nlines\n", "plain\nlines"),
        ("html", b"one<br>two", "one\ntwo"),
        ("plain", b"<html><p>a</p><p>b</p></html>\n", "a\nb"),
        ("plain", b"<html \nno page", "<html \nno page"),
        ("plain", b"use <b>\nhere", "use <b>\nhere"),
        ("plain; charset=utf-8", base64.encodebytes(PLAIN.encode() * 4).replace(b"=", b"=3D"), PLAIN * 4),
    ],
)
def test_kind_of_a_body_is_believed_only_if_it_looks_like_it(kind: str, body: bytes, text: str) -> None:
    header = f"Content-Type: text/{kind}\nContent-Transfer-Encoding: quoted-printable"
    assert body_of(part(header, body)) == text.rstrip("\n")


def test_flowed_lines_are_joined_and_quotes_and_signatures_are_kept() -> None:
    body = b"One \nline.\n\n> quoted \n> text\n>> deeper \n> less\n -- stuffed\n-- \nAnn"
    assert body_of(part("Content-Type: text/plain; format=flowed", body)).split("\n") == [
        "One line.", "", "> quoted text", ">> deeper", "> less", "-- stuffed", "-- ", "Ann",
    ]  # fmt: skip
    japanese = "注文 \n番号\n".encode()
    assert body_of(part("Content-Type: text/plain; charset=utf-8; format=Flowed; DelSp=Yes", japanese)) == "注文番号"


def alternative(plain: str, html: str) -> bytes:
    return part(
        "Content-Type: multipart/alternative; boundary=B",
        f"--B\nContent-Type: text/plain; charset=utf-8\n\n{plain}\n--B\nContent-Type: text/html; charset=utf-8\n\n"
        f"{html}\n--B--\n".encode(),
    )


@pytest.mark.parametrize(
    ("plain", "read"),
    [
        ("Your client does not show HTML. Please view this message elsewhere.", "html"),
        ("", "html"),
        ("\xa0\u200b", "html"),
        ("Bitte benutzen Sie ein anderes Programm.", "html"),
        ("Order number ZZ-19\nTotal 70.00", "html"),
        ("Order number ZZ-19\nTotal 70.00\nLine 0 1 2 3 4 5 6 7 8 costs 0.50 EUR", "plain"),
    ],
    ids=["english", "empty", "no-ink", "german", "without-the-rows", "the-same-numbers"],
)
def test_plain_form_that_only_points_to_the_other_is_not_read(plain: str, read: str) -> None:
    rows = "".join(f"<p>Line {number} costs {number}.50 EUR</p>" for number in range(9))
    text = body_of(alternative(plain, f"<p>Order number <b>ZZ-19</b></p><p>Total 70.00</p>{rows}"))
    assert ("costs 8.50" in text) is (read == "html")


def test_reports_of_machines_and_invitations_are_read() -> None:
    report = part(
        "Content-Type: multipart/report; boundary=B",
        b"--B\nContent-Type: text/plain\n\nfailed\n--B\nContent-Type: message/delivery-status\n\n"
        b"Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; n@example.net\nStatus: 5.1.1\n--B\n"
        b"Content-Type: message/disposition-notification\n\nDisposition: manual-action; displayed\n--B--\n",
    )
    assert body_of(report).split("\n\n") == [
        "failed", "Reporting-MTA: dns; x", "Final-Recipient: rfc822; n@example.net\nStatus: 5.1.1",
        "Disposition: manual-action; displayed",
    ]  # fmt: skip
    visit = part(
        "Content-Type: multipart/alternative; boundary=B",
        b"--B\nContent-Type: text/plain\n\nYou are invited.\n--B\nContent-Type: text/calendar; method=REQUEST\n\n"
        b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;TZID=Europe/Dublin:20250612T090000\nDTEND;VALUE=DATE:20250613\n"
        b"LOCATION:7 Mill\n  Road\\, Cork\nEND:VEVENT\nEND:VCALENDAR\n--B--\n",
    )
    assert body_of(visit).split("\n")[-3:] == [
        "DTSTART: 2025-06-12 09:00:00 Europe/Dublin", "DTEND: 2025-06-13", "LOCATION: 7 Mill Road, Cork",
    ]  # fmt: skip


def test_all_mails_of_a_mailbox_are_read() -> None:
    postmark = b"From a@example.org Mon May  5 10:00:00 2025\n"
    found = read_document((postmark + HEAD + BODY + b"\n") * 3)
    assert found.text.count("Total: 88,20 €") == 3
    assert found.notes[0] == "the file holds 3 mails; those after the first follow as attachments"


def test_notes_of_the_program_that_stored_a_mail_are_no_text_of_it() -> None:
    mail = HEAD + BODY
    behind = b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "x" "y">\n<plist><dict/></plist>\n'
    found = read_document(b"%d        \n" % len(mail) + mail + behind)
    assert (found.document_type, found.text, found.notes) == (DocumentType.MAIL, read_document(mail).text, [])
    stored = read_document(b"X-Account-Key: account1\nX-Mozilla-Status: 0001\nFrom: a@b\nSubject: s\n\nbody\n")
    assert stored.text == "From: a@b\nSubject: s\n\nbody\n"


def test_style_sheets_of_a_stored_page_are_no_text() -> None:
    parts = (
        b"Content-Type: text/html\n\n<p>Total 5</p>",
        b"Content-Type: text/css\nContent-Location: cid:x\n\n.a {b: c}",
    )
    body = b"--x\n" + b"\n--x\n".join(parts) + b"\n--x--\n"
    found = read_document(part('Content-Type: multipart/related; boundary="x"', body))
    assert found.text == "From: a@example.org\nSubject: s\n\nTotal 5\n"
    assert found.notes == ["style sheets and scripts of the page were left out"]


def test_files_inside_a_text_are_taken_out() -> None:
    data = binascii.b2a_uu(b"number: UU-778") + b"`\n"
    body = (
        b"See.\n\nbegin 644 order.txt\n"
        + data
        + b"end\n\nbegin-base64 644 b.txt\n"
        + CODED
        + b"====\nbegin 644 x\nno\n"
    )
    text = body_of(part("Content-Type: text/plain", body))
    assert [piece.strip() for piece in text.split("\n\n") if piece] == [
        "See.", "begin 644 x\nno", "Attachment: order.txt\nnumber: UU-778", "Attachment: b.txt\n" + PLAIN.strip(),
    ]  # fmt: skip


@pytest.mark.parametrize("header", ["multipart/mixed", "multipart/mixed; boundary=other", ""])
def test_boundary_that_is_not_declared_is_found(header: str) -> None:
    declared = f"Content-Type: {header}" if header else "X-Mailer: x"
    found = read_document(
        part(declared, b"--xyz\nContent-Type : text/html\n\n<p>one</p>\n--xyz\nContent-Type: text/plain\n\ntwo\n")
    )
    assert found.text.split("\n\n")[1:] == ["one", "two\n"]
    assert "the boundary between the parts of the mail was guessed" in found.notes


def test_mail_that_is_attached_in_base64_or_with_an_odd_header_is_read() -> None:
    for headers, inner in (("\nContent-Transfer-Encoding: base64", base64.encodebytes(HEAD + BODY)),
                           ("", HEAD.replace(b"Subject", b"odd line\nSubject") + BODY)):  # fmt: skip
        outer = b"--B\nContent-Type: message/rfc822" + headers.encode() + b"\n\n" + inner + b"\n--B--\n"
        assert "Total: 88,20 €" in read_document(part("Content-Type: multipart/mixed; boundary=B", outer)).text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("filename*=iso-8859-8-i''%F9%ED.txt", "שם.txt"),
        ("filename*0*=windows-1251''%D1%F7; filename*1*=%E5%F2.txt", "Счет.txt"),
        ('filename="=?windows-31j?B?' + base64.b64encode("注文①".encode("cp932")).decode() + '?="', "注文①"),
        ("filename*=''plain.txt", "plain.txt"),
        ("filename=Mueller.txt; filename*=utf-8''M%C3%BCller.txt", "Müller.txt"),
    ],
)
def test_names_of_attachments_in_every_charset(name: str, shown: str) -> None:
    data = part(f"Content-Type: application/x\nContent-Disposition: attachment; {name}", b"words\n")
    assert f"Attachment: {shown}\nwords" in read_document(data).text


def test_text_sealed_or_signed_in_place() -> None:
    sealed = b"-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n"
    found = read_document(part("Content-Type: text/plain", b"see below\n" + sealed))
    assert (found.text.split("\n\n")[1], found.notes) == ("see below\n", ["text encrypted with PGP was left out"])
    for data in (part("Content-Type: text/plain", sealed), sealed):
        with pytest.raises(DocumentError) as caught:
            read_document(data)
        assert caught.value.problem is Problem.ENCRYPTED
    signed = (
        b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n- -- one\ntwo\n-----BEGIN PGP SIGNATURE-----\n\niQ=\n"
        b"-----END PGP SIGNATURE-----\n"
    )
    assert body_of(part("Content-Type: text/plain", signed)) == "-- one\ntwo"


def element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = bytes((len(content),)) if len(content) < 128 else b"\x84" + len(content).to_bytes(4, "big")
    return bytes((tag,)) + size + content


def endless(tag: int, *contents: bytes) -> bytes:
    return bytes((tag, 0x80)) + b"".join(contents) + b"\0\0"


SIGNED, SEALED = element(6, bytes.fromhex("2a864886f70d010702")), element(6, bytes.fromhex("2a864886f70d010703"))
SHRUNK, DATA = element(6, bytes.fromhex("2a864886f70d0109100109")), element(6, bytes.fromhex("2a864886f70d010701"))


def signed(content: bytes, kind: bytes = SIGNED) -> bytes:
    inside = element(0x30, DATA, element(0xA0, element(4, content)))
    return element(0x30, kind, element(0xA0, element(0x30, element(2, b"\1"), element(0x31), inside)))


def signed_in_pieces(content: bytes) -> bytes:
    pieces = endless(0x24, element(4, content[:5]), element(4, content[5:]))
    inside = endless(0x30, DATA, endless(0xA0, pieces))
    return endless(0x30, SIGNED, endless(0xA0, endless(0x30, element(2, b"\1"), element(0x31), inside)))


ENTITY = b"Content-Type: text/plain; charset=utf-8\r\n\r\nOrder SM-301\r\n"
ARMOURED = b"-----BEGIN PKCS7-----\n" + base64.encodebytes(signed(ENTITY)) + b"-----END PKCS7-----\n"


@pytest.mark.parametrize(
    "content",
    [signed(ENTITY), signed_in_pieces(ENTITY), signed(signed(ENTITY)), ARMOURED,
     signed(b"Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n"
            + base64.encodebytes(signed(ENTITY))), signed(zlib.compress(ENTITY), SHRUNK)],
    ids=["plain", "in-pieces", "twice", "armoured", "twice-as-mail", "compressed"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["application/pkcs7-mime", "application/x-pkcs7-mime; smime-type=signed-data",
                                  "application/octet-stream; name=smime.p7m"])  # fmt: skip
def test_mail_that_is_only_signed_is_read(content: bytes, kind: str) -> None:
    data = part(f"Content-Type: {kind}\nContent-Transfer-Encoding: base64", base64.encodebytes(content))
    assert "Order SM-301" in read_document(data).text
    assert "Order SM-301" in read_document(content).text


def test_signed_file_is_read_as_what_it_is_and_a_sealed_one_is_encrypted() -> None:
    found = read_document(signed(word("<w:p><w:r><w:t>contract words</w:t></w:r></w:p>")))
    assert (found.text, found.document_type) == ("contract words\n", DocumentType.SIGNED)
    assert found.notes == ["the signed content was read as docx"]
    sealed = element(0x30, SEALED, element(0xA0, element(0x30, element(2, b"\0"))))
    for data in (sealed, part("Content-Type: application/pkcs7-mime", base64.encodebytes(sealed))):
        with pytest.raises(DocumentError) as caught:
            read_document(data)
        assert caught.value.problem is Problem.ENCRYPTED


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80" * 100_000,
        element(0x30, SIGNED, endless(0xA0, b"\x30\x00" * 100_000)),
        b"\x30\x84\xff\xff\xff\xff" + SIGNED,
        signed_in_pieces(ENTITY)[:40],
        element(0x30, SIGNED, element(0xA0)),
    ],
    ids=["deep", "many", "long", "cut", "empty"],
)
def test_hostile_signed_data_ends_soon(data: bytes) -> None:
    started = time.process_time()
    unwrap(data)
    assert time.process_time() - started < 8


SHARED = (
    b"--X\nContent-Type: multipart/alternative; boundary=X\n\n--X\nContent-Type: text/plain\n\nwords 5\n--X--\n"
    b"--X\nContent-Type: text/plain; name=a.txt\n\nattached 7\n--X--\n"
)
TIGHT = b"--X\nContent-Type: text/plain\nsum 5\nof 7\n--X\nContent-Type: text/plain; name=a.txt\n\n8\n--X--\n"
MULTIPART = b"Content-Type: multipart/signed; boundary=X; micalg=sha1\n\n--X\nContent-Type: text/plain\n"


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"From: a@example.org\nSubject: s\nReceived: x\nDear all, sum: 5\nof 7\n", "\n\nDear all, sum: 5\nof 7\n"),
        (b"MIME-Version: 1.0\nFrom: a@example.org\nDate: d\nSubject: long\nline\n\nx\n", "Subject: long line\n"),
        (part("Content-Type: multipart/mixed; boundary=X", SHARED), "\n\nwords 5\n\nAttachment: a.txt\nattached 7"),
        (part("", b"a total of 5.00 \x00 euro"), "a total of 5.00  euro"),
        (part("Content-Type: text/plain; charset=utf-16", "五\n六".encode("utf-16")), "\n\n五\n六"),
        (part("Content-Transfer-Encoding: base64", base64.b64encode("5 €".encode("utf-16"))), "\n\n5 €"),
        (part("Content-Type: multipart/mixed; boundary=X", TIGHT), "\n\nsum 5\nof 7\n\nAttachment: a.txt\n8"),
        (b"From: a@example.org\nDate: d\nSubject: \x1b$B@A5a=q\x1b(B\n\nx\n", "Subject: 請求書\n"),
        (MULTIPART + b"Content-Transfer-Encoding: base64\n\ndG90YWwgNQ==\n--X--\n", "total 5\n"),
    ],
    ids=["no-blank-line", "folded", "shared-boundary", "zero", "wide", "wide-base64", "tight", "jis", "no-envelope"],
)  # fmt: skip
def test_text_of_a_broken_mail_is_not_lost(data: bytes, kept: str) -> None:
    assert kept in read_document(data).text


@pytest.mark.parametrize(
    "body",
    [
        b"begin 644 x\n" * 20_000 + b"end\n",
        b"-----BEGIN PGP MESSAGE-----\n" * 20_000,
        b"--x\nContent-Type: a\n" * 10_000,
        b"-----BEGIN PGP SIGNED MESSAGE-----\nA: b\n" * 20_000,
        b"x \n" * 100_000,
        b"> " * 200_000,
        b"=" * 300_000,
        b"A" * 400_001,
    ],
    ids=["uu", "pgp", "parts", "signed", "flowed", "quotes", "escapes", "letters"],
)
def test_hostile_bodies_end_soon(body: bytes) -> None:
    started = time.process_time()
    read_document(part("Content-Type: text/plain; format=flowed", b"words\n" + body + b"\nwords\n"))
    assert time.process_time() - started < 8
