"""TOML that people write: read with the mark that some editors put before it, and with the line of a wrong byte."""

import tomllib
from collections.abc import Mapping

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def parse_toml(data: bytes) -> Mapping[str, object]:
    """The table that a file holds.

    Raises:
        ValueError: It is no TOML, or not in UTF-8; says at which line.
    """
    if data.startswith(_UTF_16):
        raise ValueError("it is in UTF-16; save it as UTF-8")
    try:
        text = data.removeprefix(_BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} has a byte that is not UTF-8; save the file as UTF-8") from error
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
