"""Mails in both formats with known text: attachments, mails inside mails, encodings, encryption."""

import struct
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from appliance.documents.document_text import read_document
from appliance.documents.msg import unpack_rtf
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sniffing import DocumentType
from tests.appliance.documents.document_files import Tree, compound_file, outlook, workbook

SENT = 133_436_160_000_000_000
"""5 November 2023, 00:00 UTC, in units of 100 ns since 1601."""


def mail(body: str = "see attached\n", subject: str = "order") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", subject
    message.set_content(body)
    return message


def problem_of(data: bytes) -> Problem:
    with pytest.raises(DocumentError) as caught:
        read_document(data)
    return caught.value.problem


def test_attachments_follow_in_the_same_document_after_a_line_that_names_them() -> None:
    message = mail()
    sheet = workbook({"S": '<row><c r="A1"><v>12</v></c><c r="B1"><v>7</v></c></row>'})
    message.add_attachment(sheet, maintype="application", subtype="octet-stream", filename="Zahlungen für März.bin")
    message.add_attachment("plain words", filename="note.txt")
    found = read_document(message.as_bytes())
    assert found.text.splitlines()[3:] == [
        "", "see attached", "", "Attachment: Zahlungen für März.bin", "S", "12\t7", "", "Attachment: note.txt",
        "plain words",
    ]  # fmt: skip
    assert "attachment Zahlungen für März.bin: read as xlsx" in found.notes


def test_attachment_that_cannot_be_read_is_named_and_said() -> None:
    message = mail()
    message.add_attachment(b"\x7fELF\x02\x01", maintype="application", subtype="x", filename="tool")
    found = read_document(message.as_bytes())
    assert found.text.endswith("\n\nAttachment: tool\n")
    assert found.notes == ["attachment tool: left out: this is a program, which is not read"]


def test_mail_inside_a_mail_is_read_with_its_own_attachments() -> None:
    inner = mail("inner words\n", "the inner one")
    inner.add_attachment("deep", filename="deep.txt")
    outer = mail("outer words\n")
    outer.add_attachment(inner)
    text = read_document(outer.as_bytes()).text
    parts = (
        "outer words",
        "Attachment: the inner one",
        "Subject: the inner one",
        "inner words",
        "Attachment: deep.txt",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.endswith("\n\nAttachment: deep.txt\ndeep\n")


def test_mails_inside_mails_end_somewhere() -> None:
    message = mail("innermost words\n")
    for _ in range(12):
        outer = mail("level\n")
        outer.add_attachment(message)
        message = outer
    found = read_document(message.as_bytes())
    assert "innermost" not in found.text
    assert any("nested" in note for note in found.notes)


def test_text_after_a_picture_belongs_to_the_body() -> None:
    raw = (
        b"From: a@example.org\nSubject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
        b"--x\nContent-Type: text/plain\n\nbefore\n--x\nContent-Type: image/gif\nContent-ID: <1>\n"
        b"Content-Transfer-Encoding: base64\nContent-Disposition: inline\n\nR0lGODlhAQABAAAAADs=\n"
        b"--x\nContent-Type: text/plain\n\nafter\n--x--\n"
    )
    found = read_document(raw)
    assert found.text.splitlines()[2:] == ["", "before", "", "after", "", "Attachment: image/gif"]
    assert found.notes == ["attachment image/gif: left out: a picture that the body shows"]


def test_file_beside_the_html_form_of_a_body_is_not_lost() -> None:
    raw = (
        b"From: a@example.org\nSubject: s\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=x\n\n"
        b"--x\nContent-Type: text/plain\n\nplain form\n--x\nContent-Type: multipart/mixed; boundary=y\n\n"
        b"--y\nContent-Type: text/html\n\n<p>html form</p>\n--y\nContent-Type: text/csv; name=t.csv\n"
        b"Content-Disposition: attachment; filename=t.csv\n\na,b\n1,2\n--y--\n--x--\n"
    )
    assert read_document(raw).text.splitlines()[2:] == ["", "plain form", "", "Attachment: t.csv", "a\tb", "1\t2"]


@pytest.mark.parametrize(
    ("header", "body", "text"),
    [
        ("text/plain; charset=iso-2022-jp", "日本語".encode("iso-2022-jp"), "日本語"),
        ("text/plain; charset=ks_c_5601-1987", "계약서 똠".encode("cp949"), "계약서 똠"),
        ("text/plain; charset=gb2312", "镕".encode("gb18030"), "镕"),
        ("text/plain; charset=iso-8859-1", "5 € \u2013 gut".encode("cp1252"), "5 € \u2013 gut"),
        ("text/plain; charset=us-ascii", "Grüße aus Köln".encode(), "Grüße aus Köln"),
        ("text/plain; charset=x-unknown", "Счет на оплату".encode("koi8_r"), "Счет на оплату"),
    ],
    ids=["jis", "korean", "chinese", "windows-called-latin-1", "utf-8-called-ascii", "unknown-name"],
)
def test_bodies_in_old_encodings(header: str, body: bytes, text: str) -> None:
    raw = b"From: a@example.org\nSubject: s\nContent-Transfer-Encoding: 8bit\nContent-Type: " + header.encode()
    assert read_document(raw + b"\n\n" + body + b"\n").text.splitlines()[-1] == text


@pytest.mark.parametrize("codec", ["unicode_escape", "raw_unicode_escape", "unicode-escape", "utf-7", "punycode"])
def test_charset_that_is_a_codec_of_python_only_is_not_obeyed(codec: str) -> None:
    body = "a \\x41 \\ud800 +AEE-"
    subject = f"=?{codec}?q?x=5Cud800?="
    found = read_document(
        f"From: a\nTo: b\nContent-Type: text/plain; charset={codec}\nSubject: {subject}\n\n{body}".encode()
    )
    assert found.text.splitlines() == ["From: a", "To: b", "Subject: x\\ud800", "", body]
    assert found.notes == [f"the declared charset {codec} does not fit"]


def test_name_of_an_attachment_can_be_stored_whatever_charset_it_claims() -> None:
    found = read_document(
        b'From: a\nTo: b\nContent-Type: application/x; name="=?unicode_escape?q?x=5Cud800?="\n'
        b"Content-Disposition: attachment\n\nhello\n"
    )
    assert found.notes == ["attachment x\\ud800: read as text"]


def test_headers_in_raw_bytes_and_broken_words_are_still_read() -> None:
    raw = (
        b"From: =?utf-8?B?QW5uIE3DvGxsZXI=?= <a@example.org>\nTo: b@example.org\nSubject: "
        + "Grüße".encode()
        + b" =?utf-8?B?!!!\nMIME-Version: 1.0\n\nx\n"
    )
    assert read_document(raw).text.splitlines()[:3] == [
        "From: Ann Müller <a@example.org>", "To: b@example.org", "Subject: Grüße =?utf-8?B?!!!",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    ["multipart/encrypted; protocol=x; boundary=y", "application/pkcs7-mime; smime-type=enveloped-data"],
    ids=["pgp", "s-mime"],
)
def test_encrypted_mail_is_encrypted(kind: str) -> None:
    assert problem_of(
        b"From: a@example.org\nTo: b\nMIME-Version: 1.0\nContent-Type: " + kind.encode() + b"\n\n--y\n\nx\n"
    ) is (Problem.ENCRYPTED)


def test_encrypted_mail_that_is_attached_does_not_fail_the_mail_around_it() -> None:
    sealed = b"From: c@example.org\nTo: d\nSubject: secret\nContent-Type: application/pkcs7-mime\n\nMIIB\n"
    outer = mail("what to do with this?\n")
    outer.add_attachment(message_from_bytes(sealed, policy=policy.default))
    found = read_document(outer.as_bytes())
    assert found.text.endswith("what to do with this?\n\nAttachment: secret\n")
    assert found.notes == ["attachment secret: left out: the mail is encrypted"]


def test_mail_stored_as_utf_16_is_a_mail() -> None:
    found = read_document("From: a@example.org\nSubject: s\nTo: b\n\nGrüße\n".encode("utf-16"))
    assert found.document_type is DocumentType.MAIL
    assert found.text.splitlines()[-1] == "Grüße"


def outlook_file(more: Tree | None = None, body: str = "Please pay.\r\nThanks") -> bytes:
    texts = {"0037": "Invoice 7", "0C1A": "Ann Müller", "0C1F": "ann@example.org", "0E04": "Bob", "1000": body}
    return compound_file(outlook({tag: text for tag, text in texts.items() if text}, more, {0x0039: SENT}))


def test_msg_gives_headers_and_body() -> None:
    found = read_document(outlook_file())
    assert found.document_type is DocumentType.OUTLOOK
    assert found.text.splitlines() == [
        "From: Ann Müller <ann@example.org>", "To: Bob", "Subject: Invoice 7", "Date: 2023-11-05 00:00:00 UTC", "",
        "Please pay.", "Thanks",
    ]  # fmt: skip


def test_msg_attachments_and_inner_messages_follow() -> None:
    inner = outlook({"0037": "inner", "1000": "inner words"})
    inner["__properties_version1.0"] = bytes(24)
    properties: Tree = {"__properties_version1.0": bytes(8)}
    name = "Übersicht.csv".encode("utf-16-le")
    more: Tree = {
        "__attach_version1.0_#00000000": {
            **properties, "__substg1.0_3707001F": name, "__substg1.0_37010102": b"a;b\n1;2\n" * 600,
        },
        "__attach_version1.0_#00000001": {**properties, "__substg1.0_3701000D": inner},
    }  # fmt: skip
    text = read_document(outlook_file(more)).text
    assert "\n\nAttachment: Übersicht.csv\na\tb\n1\t2\n" in text
    assert text.endswith("\n\nAttachment: without a name\nSubject: inner\n\ninner words\n")


def test_msg_of_an_appointment_says_when_and_where() -> None:
    names = b"".join(struct.pack("<IHH", number, 6, index) for index, number in enumerate((0x8208, 0x820D)))
    more: Tree = {
        "__substg1.0_001A001F": "IPM.Schedule.Meeting.Request".encode("utf-16-le"),
        "__substg1.0_8000001F": "7 Mill Road".encode("utf-16-le"),
        "__nameid_version1.0": {"__substg1.0_00030102": names},
    }
    data = compound_file(
        outlook({"0037": "visit", "1000": "come"}, more, {0x8001: SENT, 0x0061: SENT + 36_000_000_000})
    )
    assert read_document(data).text.splitlines()[:4] == [
        "Subject: visit", "Start: 2023-11-05 00:00:00 UTC", "End: 2023-11-05 01:00:00 UTC", "Location: 7 Mill Road",
    ]  # fmt: skip


def test_msg_of_a_contact_a_report_and_a_deputy_say_what_they_show() -> None:
    names: Tree = {"__substg1.0_00030102": struct.pack("<IHH", 0x8083, 6, 0)}
    card: Tree = {"__substg1.0_8000001F": "ann@example.org".encode("utf-16-le"), "__nameid_version1.0": names}
    contact = outlook({"001A": "IPM.Contact", "3001": "Ann Day", "3A16": "Acme", "3A1C": "+353 1"}, card)
    assert read_document(compound_file(contact)).text.splitlines() == [
        "Name: Ann Day", "Company: Acme", "Mobile: +353 1", "Mail: ann@example.org",
    ]  # fmt: skip
    report = outlook({"001A": "REPORT.IPM.Note.NDR", "0037": "not delivered", "1001": "no such person\r\nat all"})
    assert read_document(compound_file(report)).text == "Subject: not delivered\n\nno such person\nat all\n"
    deputy = outlook({"0042": "Ann", "0065": "ann@example.org", "0C1A": "Bob", "5D01": "bob@example.org", "1000": "x"})
    assert read_document(compound_file(deputy)).text.splitlines()[:2] == [
        "From: Ann <ann@example.org>", "Sender: Bob <bob@example.org>",
    ]  # fmt: skip


def test_msg_whose_plain_form_only_points_to_the_other_is_read_as_html() -> None:
    page = b"<p>Invoice 4711 of May: 55 EUR are due on the tenth of July, please pay to the account below</p>"
    found = read_document(
        compound_file(outlook({"1000": "This message is in HTML format."}, {"__substg1.0_10130102": page}))
    )
    assert "4711" in found.text
    assert found.notes == ["the plain form of the body says less or something else than its HTML form, which was read"]


def test_msg_attachment_that_is_no_message_is_said() -> None:
    thing: Tree = {"__substg1.0_3701000D": {"CONTENTS": b"x" * 10}, "__properties_version1.0": bytes(8)}
    found = read_document(outlook_file({"__attach_version1.0_#0": thing}))
    assert found.notes == ["attachment without a name: left out: it is an object of another program"]


@pytest.mark.parametrize(
    ("page", "encoding", "body"),
    [(20866, "koi8_r", "Счет"), (28605, "iso8859_15", "12 €"), (12345, "cp1252", "Größe"), (0, "cp1252", "Größe")],
)
def test_msg_of_an_old_program_is_read_in_its_code_page(page: int, encoding: str, body: str) -> None:
    narrow: Tree = {"__substg1.0_1000001E": body.encode(encoding)}
    data = compound_file(outlook({"0037": "s"}, narrow, {0x3FFD: page}))
    assert read_document(data).text.splitlines()[-1] == body


@pytest.mark.parametrize(
    ("identifier", "sealed"),
    [("06092a864886f70d010703", True), ("060b2a864886f70d0109100117", True), ("06092a864886f70d010702", False)],
    ids=["enveloped", "authenticated", "signed"],
)
def test_encrypted_msg_is_encrypted_and_a_signed_one_is_read(identifier: str, sealed: bool) -> None:
    attached: Tree = {
        "__properties_version1.0": bytes(8), "__substg1.0_3707001F": "smime.p7m".encode("utf-16-le"),
        "__substg1.0_37010102": b"\x30\x82\x10\x00" + bytes.fromhex(identifier) + b"\xa0\x82",
    }  # fmt: skip
    more: Tree = {"__substg1.0_001A001F": "IPM.Note.SMIME".encode("utf-16-le"), "__attach_version1.0_#0": attached}
    data = outlook_file(more, body="")
    around = outlook({"0037": "outer", "1000": "words"}, {
        "__attach_version1.0_#0": {"__properties_version1.0": bytes(8), "__substg1.0_3701000D": outlook({}, more)},
    })  # fmt: skip
    if sealed:
        assert problem_of(data) is Problem.ENCRYPTED
        found = read_document(compound_file(around))
        assert found.text == "Subject: outer\n\nwords\n\nAttachment: without a name\n"
        assert found.notes == ["attachment without a name: left out: the mail is encrypted"]
    else:
        assert "Attachment: smime.p7m" in read_document(data).text


def test_msg_with_html_or_packed_rtf_alone_has_a_body() -> None:
    html: Tree = {"__substg1.0_10130102": "<p>Größe</p><p>zwei</p>".encode("cp1252")}
    assert read_document(outlook_file(html, body="")).text.splitlines()[-2:] == ["Größe", "zwei"]
    stored = b"{\\rtf1\\ansi one\\par two}"
    packed: Tree = {
        "__substg1.0_10090102": b"".join((bytes(4), len(stored).to_bytes(4, "little"), b"MELA", bytes(4), stored))
    }
    assert read_document(outlook_file(packed, body="")).text.splitlines()[-2:] == ["one", "two"]


def test_packed_rtf_of_the_specification_is_unpacked() -> None:
    # [MS-OXRTFCP] 4.1.1 and 4.1.2: a simple example, and one whose reference runs into what it writes.
    simple = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232 0af32068656c090020627705b06c647d0a800fa0".replace(
            " ", ""
        )
    )
    assert unpack_rtf(simple) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    crossing = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
    assert unpack_rtf(crossing) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"


@pytest.mark.parametrize("size", [600, 1500, 3000], ids=lambda size: f"{size}-bytes")
def test_cut_msg_is_unreadable(size: int) -> None:
    assert problem_of(outlook_file()[:size]) in (Problem.UNREADABLE, Problem.UNSUPPORTED, Problem.EMPTY)
