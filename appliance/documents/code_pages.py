"""Encodings by the numbers that Windows and rich text give them: code pages, and character sets of fonts."""

import codecs

CHARSETS = {0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "big5",
             161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251",
             222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850"}  # fmt: skip
_PAGES = {65001: "utf-8", 936: "gbk", 950: "big5", 949: "cp949", 932: "cp932", 10000: "mac_roman", 1361: "johab",
          20127: "cp1252", 28591: "cp1252", 28592: "iso8859_2", 28595: "iso8859_5", 28597: "iso8859_7",
          28605: "iso8859_15", 20866: "koi8_r", 21866: "koi8_u", 51932: "euc_jp", 54936: "gb18030"}  # fmt: skip


def known_encoding(code_page: int) -> str:
    """Python's name of a Windows code page; cp1252 where it has none."""
    name = _PAGES.get(code_page, f"cp{code_page}")
    try:
        codecs.lookup(name)
    except LookupError:
        return "cp1252"
    return name
