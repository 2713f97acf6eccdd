"""TOML that people write: read with the mark that some editors put before it, and with the line of a wrong byte."""

import re
import tomllib
from collections.abc import Mapping

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){200}""")
"""A key of so many parts: the time that reading it takes grows with their square."""


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
    if _LONG_KEY.search(text):
        raise ValueError("it is nested too deeply")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
