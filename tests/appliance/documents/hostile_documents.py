"""Documents made to break parsers: small files that unpack to a lot, nest without end, or refer to themselves."""

import io
import struct
import zipfile
import zlib
from email.message import EmailMessage

_WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def docx(body: bytes) -> bytes:
    """A Word file with this as its main part."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", body)
    return packed.getvalue()


def word_body(inside: str, before: str = "") -> bytes:
    """A main part with this inside its body."""
    return f"{before}<w:document {_WORD}><w:body>{inside}</w:body></w:document>".encode()


def deflated(block: bytes, times: int) -> bytes:
    """A raw deflate stream of a block many times over, made without packing it all."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    # After a full flush nothing refers back, so the packed block can be repeated.
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return packed * times + packer.flush()


def zip_bomb(stated_bytes: int = 1 << 30) -> bytes:
    """A Word file of about 1 MB that unpacks to 1 GB.

    Args:
        stated_bytes: What its headers say.
    """
    packed = deflated(b" " * (1 << 20), 1 << 10)
    name = b"word/document.xml"
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(packed), stated_bytes, len(name), 0)
    entry = b"PK\x03\x04" + common + name + packed
    directory = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), len(entry), 0)
    return entry + directory + b"PK\x05\x06" + end


def lying_zip_bomb() -> bytes:
    """The same, with headers that state a size of 100 bytes."""
    return zip_bomb(stated_bytes=100)


def crowded_zip(parts: int = 60_000) -> bytes:
    """An archive of empty parts."""
    entry = b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    listed = b"PK\x01\x02" + struct.pack("<HHHHHHIIIHHHHHIIc", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, b"a")
    directory = listed * parts
    return (
        entry + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, parts, parts, len(directory), len(entry), 0)
    )


def billion_laughs() -> bytes:
    """Entities that stand for ten of the one before."""
    entities = '<!ENTITY a0 "laugh">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    return docx(word_body("<w:p><w:r><w:t>&a11;</w:t></w:r></w:p>", f"<!DOCTYPE x [{entities}]>"))


def quadratic_blowup() -> bytes:
    """One long entity, used often."""
    declared = f'<!DOCTYPE x [<!ENTITY a "{"x" * 100_000}">]>'
    return docx(word_body(f"<w:p><w:r><w:t>{'&a;' * 100_000}</w:t></w:r></w:p>", declared))


def outside_entity() -> bytes:
    """An entity that names a file of the machine."""
    declared = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    return docx(word_body("<w:p><w:r><w:t>&a;</w:t></w:r></w:p>", declared))


def nested_tables(depth: int = 100_000) -> bytes:
    """Tables in tables."""
    opened, closed = "<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>"
    return docx(word_body(opened * depth + "<w:p/>" + closed * depth))


def nested_xml(depth: int = 1_000_000) -> bytes:
    """Elements in elements, never closed."""
    return docx(b"<a>" * depth)


def nested_html(depth: int = 100_000) -> bytes:
    """Blocks in blocks."""
    return b"<html><body>" + b"<div><b>" * depth + b"x"


def nested_mail(depth: int = 3_000) -> bytes:
    """Multiparts in multiparts."""
    parts = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (number, number) for number in range(depth)
    )
    return b"From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\n" + parts


def mail_in_mail(depth: int = 200) -> bytes:
    """Mails attached to mails."""
    inner = EmailMessage()
    inner["From"], inner["To"], inner["Subject"] = "a@example.com", "b@example.com", "innermost"
    inner.set_content("x")
    data = bytes(inner)
    for number in range(depth):
        boundary = b"b%d" % number
        data = (
            b"From: a@example.com\r\nTo: b@example.com\r\nMIME-Version: 1.0\r\n"
            b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\r\n\r\n--' + boundary +
            b"\r\nContent-Type: message/rfc822\r\n\r\n" + data + b"\r\n--" + boundary + b"--\r\n"
        )  # fmt: skip
    return data


def nested_rtf(depth: int = 1_000_000) -> bytes:
    """Groups in groups."""
    return b"{\\rtf1 " + b"{" * depth + b"x"


def pdf(objects: dict[int, bytes], root: int = 1) -> bytes:
    """A PDF of these objects, with a table of where they are."""
    data = b"%PDF-1.7\n"
    places = {}
    for number, body in objects.items():
        places[number] = len(data)
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 1\n0000000000 65535 f \n"
    for number, place in places.items():
        data += b"%d 1\n%010d 00000 n \n" % (number, place)
    size = max(objects) + 1
    return data + b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, root, start)


def stream(body: bytes, entries: bytes = b"") -> bytes:
    """The body of a stream object."""
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(body), entries, body)


def page_tree_cycle() -> bytes:
    """Pages whose child is their parent."""
    return pdf({
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R 3 0 R] /Count 4000 >>",
        3: b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R 2 0 R] /Count 2000 >>",
    })  # fmt: skip


def form_calls_itself() -> bytes:
    """A drawing that draws itself, twice."""
    form = stream(
        b"/F Do /F Do", b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /F 5 0 R >> >>"
    )
    return pdf({
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R"
           b" /Resources << /XObject << /F 5 0 R >> >> >>",
        4: stream(b"/F Do"),
        5: form,
    })  # fmt: skip


def forms_double(levels: int = 40) -> bytes:
    """Drawings of which each draws the next one twice: 2 to the 40 in all."""
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R"
           b" /Resources << /XObject << /F 5 0 R >> >> >>",
        4: stream(b"/F Do"),
    }  # fmt: skip
    for level in range(levels):
        entries = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /F %d 0 R >> >>" % (
            level + 6
        )
        objects[5 + level] = stream(b"/F Do /F Do", entries)
    return pdf(objects)


def object_stream_in_itself() -> bytes:
    """An object stream whose own description lies inside it."""
    inner = b"1 0 2 35 7 80 << /Type /Catalog /Pages 2 0 R >>     << /Type /Pages /Kids [] /Count 0 >>         7 0 R"
    data = b"%PDF-1.7\n"
    packed = b"7 0 obj\n" + stream(inner, b"/Type /ObjStm /N 3 /First 16 /Extends 7 0 R") + b"\nendobj\n"
    places = {7: len(data)}
    data += packed
    start = len(data)
    entries = b"".join(
        bytes([kind]) + first.to_bytes(4, "big") + bytes([second])
        for kind, first, second in [(0, 0, 0), (2, 7, 0), (2, 7, 1), *[(0, 0, 0)] * 4, (2, 7, 2), (1, start, 0)]
    )
    described = b"/Type /XRef /Size 9 /W [1 4 1] /Root 1 0 R /Prev %d" % start
    data += b"8 0 obj\n" + stream(entries, described) + b"\nendobj\n"
    assert places
    return data + b"startxref\n%d\n%%%%EOF\n" % start


def cross_reference_cycle() -> bytes:
    """A table whose earlier version is itself."""
    data = pdf({1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [] /Count 0 >>"})
    start = data.rindex(b"xref\n0 1")
    return data.replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev %d" % start)


def nested_arrays(depth: int = 1_000_000) -> bytes:
    """An array in an array, and so on."""
    return pdf({1: b"<< /Type /Catalog /Pages 2 0 R /X " + b"[" * depth + b" >>", 2: b"<< /Type /Pages /Kids [] >>"})


def deflated_page() -> bytes:
    """One page whose drawing unpacks to 1 GB."""
    block = b"BT (x) Tj ET " * 80_000
    packed = b"\x78\xda" + deflated(block, (1 << 30) // len(block))
    return pdf({
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>",
        4: stream(packed, b"/Filter /FlateDecode"),
    })  # fmt: skip


def filters_on_filters(levels: int = 200) -> bytes:
    """A stream that was packed many times over."""
    packed = bytes(1 << 24)
    for _ in range(6):
        packed = zlib.compress(packed, 9)
    return pdf({
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>",
        4: stream(packed, b"/Filter [" + b"/FlateDecode " * levels + b"]"),
    })  # fmt: skip
