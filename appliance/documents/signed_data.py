"""What a signature is wrapped around: S/MIME mails and signed files (P7M) hold their content in the clear.

The signature itself is not checked: whether to trust a document is no matter of its text.
Source: RFC 5652, Cryptographic Message Syntax; ITU-T X.690 for its encoding, in the indefinite form as well.
"""

import binascii
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum

from appliance.documents.problems import DocumentError, Problem

_IDENTIFIERS = {
    bytes.fromhex("2a864886f70d010702"): "signed", bytes.fromhex("2a864886f70d010703"): "sealed",
    bytes.fromhex("2a864886f70d010706"): "sealed", bytes.fromhex("2a864886f70d0109100117"): "sealed",
    bytes.fromhex("2a864886f70d0109100109"): "compressed", bytes.fromhex("2a864886f70d010701"): "plain",
}  # fmt: skip
_SEQUENCE, _OBJECT, _OCTETS, _EXPLICIT = 0x30, 0x06, 0x04, 0xA0
_MAX_DEPTH = 24
_MAX_ELEMENTS = 50_000
_MAX_CONTENT_BYTES = 64 << 20
_ARMOUR = re.compile(rb"\s*-----BEGIN (?:PKCS7|PKCS #7 SIGNED DATA|CMS)-----([A-Za-z0-9+/=\s]+)-----END", re.IGNORECASE)
_MIME_ENTITY = re.compile(rb"\s*(?:content-[a-z-]+|mime-version|from|received)[ \t]*:", re.IGNORECASE)


class Wrapping(StrEnum):
    """What the content is wrapped in."""

    SIGNED = "signed"
    SEALED = "sealed"
    COMPRESSED = "compressed"
    PLAIN = "plain"


@dataclass(frozen=True)
class Wrapped:
    """A content and its wrapping."""

    wrapping: Wrapping
    content: bytes | None
    """None where it is encrypted or kept elsewhere."""


@dataclass(frozen=True)
class _Element:
    tag: int
    start: int
    end: int
    after: int
    """Where the next element begins."""


def is_wrapped(data: bytes) -> bool:
    """Whether the file begins as signed, encrypted or compressed data does, in binary form or armoured."""
    if data[:1] == b"\x30":
        return any(b"\x06" + bytes((len(name),)) + name in data[:32] for name in _IDENTIFIERS)
    return _ARMOUR.match(data[:100_000]) is not None or bool(re.match(rb"\s*-----BEGIN (?:PKCS7|CMS)-----", data))


def is_mime_entity(content: bytes) -> bool:
    """Whether a content is a part of a mail with its headers, as in S/MIME, rather than a file."""
    return _MIME_ENTITY.match(content[:1000]) is not None


def unwrap(data: bytes) -> Wrapped | None:
    """The content of signed, encrypted or compressed data; None where the bytes are nothing of that kind.

    Raises:
        DocumentError: The content unpacks to more than a document may have.
    """
    armoured = _ARMOUR.match(data)
    if armoured:
        data = binascii.a2b_base64(b"".join(armoured.group(1).split()))
    elif data[:1] == b"M" and re.fullmatch(rb"[A-Za-z0-9+/=\s]+", data):
        # The letters that the first bytes of such data give in base64, when nobody said that they are.
        data = binascii.a2b_base64(b"".join(data.split()).rstrip(b"=") + b"===")
    try:
        return _Parser(data).wrapped()
    except (IndexError, ValueError, binascii.Error):
        return None


class _Parser:
    """Walks over the elements, counting them: hostile data may hold millions, or nest them without end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._elements = 0

    def wrapped(self) -> Wrapped | None:
        outer = self._element(0, 0)
        parts = self._children(outer, 0) if outer.tag == _SEQUENCE else []
        kind = self._identifier(parts[0]) if parts else None
        if kind is None:
            return None
        if kind == Wrapping.SEALED or len(parts) < 2:
            return Wrapped(Wrapping(kind), None)
        if kind == Wrapping.PLAIN:
            return Wrapped(Wrapping.PLAIN, self._octets(self._children(parts[1], 1)[0], 0))
        (inner,) = self._children(parts[1], 1)[:1]
        for element in self._children(inner, 2):
            inside = self._children(element, 3) if element.tag == _SEQUENCE else []
            # The algorithm of compression is a sequence as well, but it holds no content.
            if inside and inside[0].tag == _OBJECT and len(inside) > 1 and inside[1].tag == _EXPLICIT:
                content = self._octets(self._children(inside[1], 4)[0], 0)
                return Wrapped(Wrapping(kind), _inflated(content) if kind == Wrapping.COMPRESSED else content)
        return Wrapped(Wrapping(kind), None)

    def _identifier(self, element: _Element) -> str | None:
        return _IDENTIFIERS.get(self._data[element.start : element.end]) if element.tag == _OBJECT else None

    def _octets(self, element: _Element, depth: int) -> bytes:
        if not element.tag & 0x20:
            return self._data[element.start : element.end]
        return b"".join(self._octets(child, depth + 1) for child in self._children(element, depth + 5))

    def _children(self, element: _Element, depth: int) -> list[_Element]:
        children, position = [], element.start
        while position < element.end:
            child = self._element(position, depth + 1)
            children.append(child)
            position = child.after
        return children

    def _element(self, position: int, depth: int) -> _Element:
        self._elements += 1
        if depth > _MAX_DEPTH or self._elements > _MAX_ELEMENTS:
            raise ValueError
        tag, size = self._data[position], self._data[position + 1]
        start = position + 2
        if size == 0x80:
            at = start
            while self._data[at : at + 2] != b"\x00\x00":
                at = self._element(at, depth + 1).after
            return _Element(tag, start, at, at + 2)
        if size & 0x80:
            count = size & 0x7F
            if count > 8:
                raise ValueError
            size = int.from_bytes(self._data[start : start + count], "big")
            start += count
        # A file that is cut off still has the part of its content that is there.
        end = min(start + size, len(self._data))
        if tag & 0x1F == 0x1F or end < start:
            raise ValueError
        return _Element(tag, start, end, end)


def _inflated(content: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(content, _MAX_CONTENT_BYTES)
    except zlib.error as error:
        raise ValueError from error
    if unpacker.unconsumed_tail:
        raise DocumentError(Problem.TOO_LARGE, f"the content unpacks to more than {_MAX_CONTENT_BYTES >> 20} MB")
    return data
