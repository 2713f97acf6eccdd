"""Zip archives that are documents: parts come out bounded, and their XML without document types or entities."""

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from appliance.documents.problems import DocumentError, Problem

MAX_PART_BYTES = 64 << 20
MAX_UNPACKED_BYTES = 256 << 20
"""Of all parts that are read, together."""
MAX_ENTRIES = 20_000
MAX_DEPTH = 200
"""Of elements inside each other, for readers that descend."""
_CHUNK_BYTES = 1 << 16
_ENTRY_MARK = b"PK\x01\x02"
_RELATIONSHIP = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_STRICT_NAMESPACES = (
    (b"http://purl.oclc.org/ooxml/wordprocessingml/main", b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"),
    (b"http://purl.oclc.org/ooxml/spreadsheetml/main", b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"),
    (b"http://purl.oclc.org/ooxml/presentationml/main", b"http://schemas.openxmlformats.org/presentationml/2006/main"),
    (b"http://purl.oclc.org/ooxml/drawingml/", b"http://schemas.openxmlformats.org/drawingml/2006/"),
    (b"http://purl.oclc.org/ooxml/officeDocument/", b"http://schemas.openxmlformats.org/officeDocument/2006/"),
)  # fmt: skip
"""Office files saved as "strict" name everything the same, in other namespaces."""


@dataclass(frozen=True)
class Relation:
    """What a part of an Office file points to."""

    kind: str
    """Last word of its type, such as `slide` or `comments`."""
    target: str
    """Name of a part; or an address, where it lies outside."""
    external: bool


class _PlainBuilder(ElementTree.TreeBuilder):
    """Builds the tree, unless the XML declares a document type: no office file does, attacks on parsers do."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DocumentError(Problem.UNREADABLE, f"the XML declares a document type ({name[:40]}), which is refused")


class Package:
    """A zip archive with bounds on what may come out of it.

    Raises:
        DocumentError: The archive is broken or has too many parts.
    """

    def __init__(self, data: bytes) -> None:
        if data.count(_ENTRY_MARK) > MAX_ENTRIES:
            raise DocumentError(Problem.TOO_LARGE, f"the archive has more than {MAX_ENTRIES:,} parts")
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise DocumentError(Problem.UNREADABLE, f"the archive inside the file is broken: {error}") from error
        # Some programs write backslashes, or other capitals than they refer to.
        self._entries = {_normal(entry.filename): entry for entry in self._archive.infolist()}
        self._unpacked = 0
        self._read: set[str] = set()

    def names(self) -> list[str]:
        """Names of the parts, in lower case, in the order of the archive."""
        return list(self._entries)

    def __contains__(self, name: str) -> bool:
        return _normal(name) in self._entries

    def was_read(self, name: str) -> bool:
        """Whether a reader has looked into a part."""
        return _normal(name) in self._read

    def chunks(self, name: str, limit: int = MAX_PART_BYTES) -> Iterator[bytes]:
        """Bytes of a part, piece by piece.

        Raises:
            DocumentError: The part is missing, broken, encrypted, or larger than the limit.
        """
        entry = self._entries.get(_normal(name))
        if entry is None:
            raise DocumentError(Problem.UNREADABLE, f"the part {name[:80]} is missing from the file")
        if entry.flag_bits & 1:
            raise DocumentError(
                Problem.ENCRYPTED, "the file is protected with a password", "save it without a password"
            )
        self._read.add(_normal(name))
        size = 0
        try:
            with self._archive.open(entry) as part:
                while chunk := part.read(_CHUNK_BYTES):
                    size += len(chunk)
                    self._unpacked += len(chunk)
                    if size > limit or self._unpacked > MAX_UNPACKED_BYTES:
                        raise DocumentError(
                            Problem.TOO_LARGE,
                            f"{name[:80]} unpacks to more than {min(limit, MAX_UNPACKED_BYTES) >> 20} MB",
                        )
                    yield chunk
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            OSError,
            ValueError,
        ) as error:
            raise DocumentError(Problem.UNREADABLE, f"{name[:80]} cannot be unpacked: {error}") from error

    def read(self, name: str) -> bytes:
        """Bytes of a part.

        Raises:
            DocumentError: As `chunks`.
        """
        return b"".join(self.chunks(name))

    def parse(self, name: str) -> ElementTree.Element:
        """Root of a part that is XML.

        Raises:
            DocumentError: As `chunks`; or the XML is broken or declares a document type.
        """
        return parse_xml(self.read(name), name)

    def parse_if_there(self, name: str | None) -> ElementTree.Element | None:
        """Root of a part that adds to the document but that the document can do without; None where it is no XML."""
        if name is None or name not in self:
            return None
        try:
            return self.parse(name)
        except DocumentError as error:
            if error.problem in (Problem.TOO_LARGE, Problem.ENCRYPTED):
                raise
            return None

    def relations(self, part: str) -> dict[str, Relation]:
        """What a part of an Office file refers to, by id; in the order of the file."""
        folder, _, name = part.rpartition("/")
        root = self.parse_if_there(f"{folder}/_rels/{name}.rels" if folder else f"_rels/{name}.rels")
        relations: dict[str, Relation] = {}
        for element in root.iter(_RELATIONSHIP) if root is not None else ():
            external = element.get("TargetMode") == "External"
            target = element.get("Target", "")
            relations[element.get("Id", "")] = Relation(
                element.get("Type", "").rpartition("/")[2],
                target if external else resolve(folder, target),
                external,
            )
        return relations

    def related(self, part: str, kind: str) -> list[str]:
        """Names of the parts of one kind that a part refers to and that are there."""
        return [
            relation.target
            for relation in self.relations(part).values()
            if relation.kind == kind and not relation.external and relation.target in self
        ]


def parse_xml(data: bytes, name: str) -> ElementTree.Element:
    """Root of an XML part.

    Raises:
        DocumentError: The XML is broken or declares a document type.
    """
    parser = plain_xml_parser()
    try:
        whole = memoryview(usual_namespaces(data))
        # In parts: after memory has run out, the parser would go through the rest of what it was given at once.
        for start in range(0, len(whole), _CHUNK_BYTES):
            parser.feed(whole[start : start + _CHUNK_BYTES])
        root = parser.close()
    except MemoryError:
        # The tree goes first: without memory CPython may unwind a function for ever, as it has to make a number for it.
        del parser
        raise
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DocumentError(Problem.UNREADABLE, f"{name[:80]} is broken XML: {error}") from error
    assert isinstance(root, ElementTree.Element)
    return root


def plain_xml_parser() -> ElementTree.XMLParser:
    """A parser that refuses document types."""
    return ElementTree.XMLParser(target=_PlainBuilder())


def usual_namespaces(data: bytes) -> bytes:
    """XML of a "strict" Office file in the namespaces that all others use."""
    if b"http://purl.oclc.org/ooxml/" in data[:_CHUNK_BYTES]:
        for strict, usual in _STRICT_NAMESPACES:
            data = data.replace(strict, usual)
    return data


def check_depth(depth: int, subject: str = "the document is") -> None:
    """Refuses elements that lie too deep inside each other.

    Raises:
        DocumentError: They do.
    """
    if depth > MAX_DEPTH:
        raise DocumentError(Problem.TOO_LARGE, f"{subject} nested deeper than {MAX_DEPTH} levels")


def resolve(folder: str, target: str) -> str:
    """Name of the part that a part in the folder means by the target."""
    if target.startswith("/"):
        return target[1:]
    return posixpath.normpath(posixpath.join(folder, target))


def _normal(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()
