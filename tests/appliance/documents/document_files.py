"""Writes small files of the formats that are read, with known text, from their specifications."""

import io
import struct
import zipfile

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
CHART = "http://schemas.openxmlformats.org/drawingml/2006/chart"
ODF = "urn:oasis:names:tc:opendocument:xmlns:"
_SECTOR, _MINI, _CUTOFF = 512, 64, 4096
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def archive(parts: dict[str, bytes | str]) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as written:
        for name, data in parts.items():
            written.writestr(name, data)
    return buffer.getvalue()


def relations(*targets: tuple[str, str]) -> str:
    """A relationships part: kinds and targets, with the ids r1, r2, ..."""
    inside = "".join(
        f'<Relationship Id="r{number}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, 1)
    )
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{inside}</Relationships>'
    )


def word(body: str, **more: str) -> bytes:
    """A DOCX with this body; further parts by their name without `.xml`."""
    parts: dict[str, bytes | str] = {
        "_rels/.rels": relations(("officeDocument", "word/document.xml")),
        "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        "word/_rels/document.xml.rels": relations(*((kind, f"{kind}.xml") for kind in more)),
    }
    for kind, inside in more.items():
        parts[f"word/{kind}.xml"] = f'<w:{kind} xmlns:w="{WORD}">{inside}</w:{kind}>'
    return archive(parts)


def workbook(sheets: dict[str, str], strings: str = "", formats: str = "", hidden: tuple[str, ...] = ()) -> bytes:
    """An XLSX: XML of the rows by sheet name, shared strings, and number formats of the styles 1, 2, ..."""
    shown = {True: "hidden", False: "visible"}
    named = "".join(
        f'<sheet name="{name}" sheetId="{number}" r:id="r{number}" state="{shown[name in hidden]}"/>'
        for number, name in enumerate(sheets, 1)
    )
    targets = [("worksheet", f"worksheets/sheet{number}.xml") for number in range(1, len(sheets) + 1)]
    parts: dict[str, bytes | str] = {
        "_rels/.rels": relations(("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets>{named}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations(*targets, ("sharedStrings", "strings.xml"), ("styles", "styles.xml")),
        "xl/strings.xml": f'<sst xmlns="{SHEET}">{strings}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{SHEET}">{formats}</styleSheet>',
    }
    for number, rows in enumerate(sheets.values(), 1):
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{SHEET}"><sheetData>{rows}</sheetData></worksheet>'
        )
    return archive(parts)


def slides(*trees: str, notes: str = "") -> bytes:
    """A PPTX: XML of the shapes of each slide, and speaker's notes of the first."""
    listed = "".join(f'<p:sldId id="{255 + number}" r:id="r{number}"/>' for number in range(1, len(trees) + 1))
    spaces = f'xmlns:p="{SLIDE}" xmlns:a="{DRAWING}" xmlns:r="{OFFICE}"'
    parts: dict[str, bytes | str] = {
        "_rels/.rels": relations(("officeDocument", "ppt/presentation.xml")),
        "ppt/presentation.xml": f"<p:presentation {spaces}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        # The slides lie in the archive in another order than they are shown.
        "ppt/_rels/presentation.xml.rels": relations(
            *(("slide", f"slides/slide{len(trees) - number}.xml") for number in range(len(trees)))
        ),
    }
    for number, tree in enumerate(trees):
        parts[f"ppt/slides/slide{len(trees) - number}.xml"] = (
            f"<p:sld {spaces}><p:cSld><p:spTree>{tree}</p:spTree></p:cSld></p:sld>"
        )
    if notes:
        parts[f"ppt/slides/_rels/slide{len(trees)}.xml.rels"] = relations(("notesSlide", "../notes/n1.xml"))
        parts["ppt/notes/n1.xml"] = (
            f"<p:notes {spaces}><p:cSld><p:spTree>{shape(notes, 'body')}</p:spTree></p:cSld></p:notes>"
        )
    return archive(parts)


def shape(text: str, kind: str = "") -> str:
    """A shape of a slide with one paragraph for each line."""
    place = f'<p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>' if kind else ""
    paragraphs = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f"<p:sp>{place}<p:txBody>{paragraphs}</p:txBody></p:sp>"


def opendocument(body: str, automatic: str = "", styles: str = "", manifest: str = "", kind: str = "text") -> bytes:
    """An ODT (or another kind) with this body."""
    spaces = " ".join(
        f'xmlns:{name}="{ODF}{place}:1.0"'
        for name, place in (
            ("office", "office"),
            ("text", "text"),
            ("table", "table"),
            ("style", "style"),
            ("draw", "drawing"),
        )
    )
    return archive(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content {spaces}>"
            f"<office:automatic-styles>{automatic}</office:automatic-styles>"
            f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>",
            "styles.xml": f"<office:document-styles {spaces}>{styles}</office:document-styles>",
            "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{ODF}manifest:1.0">{manifest}'
            "</manifest:manifest>",
        }
    )


def book(chapters: dict[str, str], order: list[str], encrypted: str = "") -> bytes:
    """An EPUB: XHTML bodies by file name, and the order of reading."""
    ids = {name: f"c{number}" for number, name in enumerate(chapters)}
    items = "".join(f'<item id="{ids[name]}" href="{name}" media-type="application/xhtml+xml"/>' for name in chapters)
    spine = "".join(f'<itemref idref="{ids[name]}"/>' for name in order)
    parts: dict[str, bytes | str] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": "<container><rootfiles><rootfile full-path='OPS/book.opf'/></rootfiles></container>",
        "OPS/book.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    for name, body in chapters.items():
        page = f'<?xml version="1.0"?><!DOCTYPE html><html><head><title>t</title></head><body>{body}</body></html>'
        parts[f"OPS/{name}"] = page
    if encrypted:
        parts["META-INF/encryption.xml"] = f'<encryption><CipherReference URI="OPS/{encrypted}"/></encryption>'
    return archive(parts)


Tree = dict[str, "bytes | Tree"]


def compound_file(tree: Tree) -> bytes:
    """A compound file ([MS-CFB], version 3): streams are bytes, storages are dictionaries."""
    entries: list[tuple[str, int, bytes, int, int]] = []  # name, kind, data, right sibling, child

    def add(name: str, node: "bytes | Tree") -> int:
        place = len(entries)
        if isinstance(node, bytes):
            entries.append((name, 2, node, _FREE, _FREE))
            return place
        entries.append((name, 1, b"", _FREE, _FREE))
        children = [add(inside, one) for inside, one in node.items()]
        for one, following in zip(children, [*children[1:], _FREE], strict=True):
            entries[one] = (*entries[one][:3], following, entries[one][4])
        entries[place] = (*entries[place][:4], children[0] if children else _FREE)
        return place

    add("Root Entry", tree)
    mini, mini_fat, fat, sectors = bytearray(), [], [], bytearray()

    def chain(data: bytes, unit: int, table: list[int], into: bytearray) -> int:
        if not data:
            return _END
        first, count = len(table), -(-len(data) // unit)
        table += [*range(first + 1, first + count), _END]
        into += data.ljust(count * unit, b"\0")
        return first

    starts = [
        chain(data, *((_SECTOR, fat, sectors) if len(data) >= _CUTOFF else (_MINI, mini_fat, mini)))
        for _, _, data, _, _ in entries
    ]
    starts[0] = chain(bytes(mini), _SECTOR, fat, sectors)
    packed = b""
    for number, (name, kind, data, right, child) in enumerate(entries):
        label = (name + "\0").encode("utf-16-le")
        size = len(mini) if number == 0 else len(data)
        packed += struct.pack(
            "<64sHBBIII16sIQQIQ", label, len(label), 5 if number == 0 else kind, 1, _FREE, right, child, b"", 0, 0, 0,
            starts[number] if kind == 2 or number == 0 else 0, size,
        )  # fmt: skip
    directory = chain(packed, _SECTOR, fat, sectors)
    mini_table = chain(struct.pack(f"<{len(mini_fat)}I", *mini_fat).ljust(_SECTOR, b"\xff"), _SECTOR, fat, sectors)
    count = -(-(len(fat) + 1) // (_SECTOR // 4 - 1))
    first = len(fat)
    fat += [_FAT] * count
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(count * _SECTOR, b"\xff")
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, count,
        directory, 0, _CUTOFF, mini_table, 1, _END, 0, first,
    )  # fmt: skip
    return header.ljust(_SECTOR, b"\xff") + bytes(sectors) + table


def outlook(texts: dict[str, str], more: Tree | None = None, numbers: dict[int, int] | None = None) -> Tree:
    """The streams of a message: text properties by tag, other streams, and numbers by tag; 32 bytes of header."""
    properties = b"".join(struct.pack("<IIQ", tag << 16 | 3, 6, value) for tag, value in (numbers or {}).items())
    tree: Tree = {f"__substg1.0_{tag}001F": text.encode("utf-16-le") for tag, text in texts.items()}
    return {"__properties_version1.0": bytes(32) + properties, **tree, **(more or {})}
