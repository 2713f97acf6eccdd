"""How a mail begins: whether a file opens with the headers of one, and headers brought into the form that is parsed.

Programs that store mails put blank lines, marks and protocol lines in front, break lines in four ways, and write
headers that no standard allows. One such line must not turn a mail into plain text.
"""

import re
from dataclasses import dataclass, field

from appliance.ground.text import human_count

_HEADER = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_TECHNICAL = frozenset(
    b"received mime-version message-id return-path delivered-to content-type content-transfer-encoding x-mailer"
    b" dkim-signature user-agent x-originating-ip arc-seal authentication-results thread-index content-disposition"
    b" x-originalarrivaltime received-spf list-unsubscribe x-received".split()
)
"""Headers that programs write and people do not."""
_PERSONAL = frozenset(b"from to subject date cc bcc reply-to sender in-reply-to references".split())
_SURE = frozenset((b"from", *_TECHNICAL))
_POSTMARK = re.compile(rb">?From ")
_SAMPLE_BYTES = 1 << 16
_FEWEST_DESPITE_ODD = 3
"""Known headers, one of them technical, that outweigh lines that are no headers."""
_MOST_ODD = 0.25
"""Share of lines among the headers that are none."""
_LENGTH = re.compile(rb"(\d{1,9})[ \t]*\r?\n")
_PROPERTY_LIST = re.compile(rb"\s*<\?xml [^>]{0,200}>\s*<!DOCTYPE plist\b")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n|\r\r(?!\n)")
_PART_HEADERS = re.compile(rb"(?<=\n)(--[^\n]+\n)((?:[^\r\n][^\n]*\n)+)")
_LONE_MULTIPART = re.compile(
    rb"content-type[ \t]*:\s*multipart/[a-z-]{1,40}\s*;[^:]{0,300}\bboundary\s*=", re.IGNORECASE
)
"""The one header of a signed mail without its envelope, as Outlook and gateways attach it."""
_PARAMETER = re.compile(rb"[\w*-]{1,40}\s*=\s*\S")
_CONTENT_HEADER = re.compile(rb"content-[a-z-]+[ \t]*:", re.IGNORECASE)


@dataclass
class _Headers:
    """The lines before the body."""

    names: list[bytes] = field(default_factory=list)
    """In lower case, one for each header."""
    lines: list[bytes] = field(default_factory=list)
    """As a parser takes them."""
    odd: int = 0
    """Lines that are neither headers nor go on with one."""
    after: list[bytes] = field(default_factory=list)
    """Those below the last header, with what goes on with them: they may begin the body."""
    lines_before: int = 0
    """How many of `lines` stand above them."""

    @property
    def known(self) -> int:
        """How many headers are among those of mails."""
        return sum(1 for name in self.names if name in _TECHNICAL or name in _PERSONAL)

    @property
    def is_technical(self) -> bool:
        """Whether a program wrote some of them."""
        return not _TECHNICAL.isdisjoint(self.names)


def is_mail(data: bytes) -> bool:
    """Whether the file opens with headers of a mail: two known ones and nothing else, or more, some of a program."""
    head = _start(data[:_SAMPLE_BYTES])
    end = _BLANK_LINE.search(head)
    text = head[: end.start()] if end else head
    lines = _lines(text)
    if end is None and len(data) > _SAMPLE_BYTES:
        lines = lines[:-1]
    headers = _tidy(lines)
    if headers.odd == 0:
        if headers.names[:1] == [b"content-type"] and _LONE_MULTIPART.match(text):
            return True
        return not _SURE.isdisjoint(headers.names) and headers.known >= 2
    few = headers.odd <= max(2, _MOST_ODD * len(lines))
    return few and headers.is_technical and headers.known >= _FEWEST_DESPITE_ODD


def is_written_by_hand(data: bytes) -> bool:
    """Whether all headers are such as people write: then lines that no mail program knows carry meaning as well."""
    head = data[:_SAMPLE_BYTES]
    end = _BLANK_LINE.search(head)
    headers = _tidy(_lines(head[: end.start()] if end else head))
    return not headers.is_technical and not any(name.startswith(b"x-") for name in headers.names)


def without_property_list(data: bytes) -> bytes:
    """The mail alone, where a mail program put its length before it and its own notes on it behind it."""
    length = _LENGTH.match(data)
    end = length.end() + int(length.group(1)) if length else 0
    is_stored_so = length is not None and _PROPERTY_LIST.match(data, end) is not None
    return data[length.end() : end] if length is not None and is_stored_so else data


def tidy_mail(data: bytes) -> tuple[bytes, list[str]]:
    """The mail as a strict parser takes it, and what was odd about it."""
    data = _start(data)
    if b"\r\r\n" in data[:_SAMPLE_BYTES]:
        data = data.replace(b"\r\r\n", b"\n")
    if b"\n" not in data[:_SAMPLE_BYTES]:
        data = data.replace(b"\r", b"\n")
    end = _BLANK_LINE.search(data)
    head, body = (data[: end.start()], data[end.end() :]) if end else (data, b"")
    headers = _tidy(_lines(head))
    if end is None and _begins_body(headers):
        headers.lines = headers.lines[: headers.lines_before]
        body = b"\n".join(headers.after)
    data = b"\n".join([*headers.lines, b"", body])
    notes = [f"{human_count(headers.odd, 'odd line')} among the headers of the mail"] if headers.odd else []
    return _PART_HEADERS.sub(_tidy_part, data), notes


def _begins_body(headers: _Headers) -> bool:
    """Whether the lines below the last header of a mail without an empty line are its text."""
    return bool(headers.after) and not headers.lines[headers.lines_before - 1].rstrip().endswith((b";", b","))


def _tidy_part(block: "re.Match[bytes]") -> bytes:
    """Headers of a part as a parser takes them; what only looks like a boundary is left alone."""
    if not _CONTENT_HEADER.match(block.group(2)):
        return block.group()
    lines = _lines(block.group(2))
    start = _body_start(lines)
    body = [b"", *lines[start:]] if start < len(lines) else []
    return block.group(1) + b"\n".join([*_tidy(lines[:start]).lines, *body, b""])


def _body_start(lines: list[bytes]) -> int:
    """Where the text of a part begins that has no empty line above it; the number of lines if all are headers."""
    for index, line in enumerate(lines[1:], 1):
        goes_on = line.startswith((b" ", b"\t")) or lines[index - 1].rstrip().endswith((b";", b","))
        if _HEADER.match(line) or goes_on or _PARAMETER.match(line):
            continue
        boundary = next((at for at in range(index, len(lines)) if lines[at].startswith(b"--")), len(lines))
        is_header = any(_CONTENT_HEADER.match(other) for other in lines[index:boundary])
        return len(lines) if is_header else index
    return len(lines)


def _start(data: bytes) -> bytes:
    """The file from its first header on: without marks, blank lines, and the line that mailboxes put in front."""
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x00")
    while _POSTMARK.match(data):
        line_end = re.search(rb"\r\n|\n|\r", data[:2048])
        if line_end is None:
            break
        data = data[line_end.end() :].lstrip(b"\r\n")
    return data


def _lines(head: bytes) -> list[bytes]:
    return head.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip(b"\n").split(b"\n")


def _tidy(lines: list[bytes]) -> _Headers:
    headers = _Headers()
    dropped = False
    for line in lines:
        header = _HEADER.match(line)
        if line.startswith((b" ", b"\t")):
            headers.after += [line] if headers.after else []
            # What goes on with a line that was left out goes with it.
            if headers.lines and not dropped:
                headers.lines.append(line)
        elif header is not None:
            dropped, headers.after = False, []
            headers.names.append(header.group(1).lower())
            headers.lines.append(header.group(1) + b":" + line[header.end() :])
        else:
            headers.odd += 1
            if headers.lines:
                headers.lines_before = headers.lines_before if headers.after else len(headers.lines)
                headers.after.append(line)
            # A colon near the start makes it a header of its own; otherwise a folded line has lost its blank.
            dropped = not headers.lines or b":" in line[:80] or bool(_POSTMARK.match(line))
            if not dropped and line.strip():
                headers.lines.append(b" " + line)
    return headers
