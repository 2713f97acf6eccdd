"""Names that mail programs, web pages and databases give to encodings, and the codec of Python that reads each."""

import codecs
import re

_WIDER = {
    "ascii": "utf-8", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "shift_jis": "cp932", "euc_kr": "cp949",
    "gb2312": "gb18030", "gbk": "gb18030", "tis-620": "cp874", "iso8859-11": "cp874", "big5": "cp950",
    "iso2022_jp": "iso2022_jp_ext", "iso2022_jp_1": "iso2022_jp_ext", "mac_roman": "mac_roman",
}  # fmt: skip
"""What programs that name the one encoding mostly wrote: the wider one, which has it inside."""
_NO_TEXT = frozenset(
    "idna punycode undefined unicode-escape raw-unicode-escape utf-7 mbcs oem rot13 rot-13 base64 bz2 hex quopri uu"
    " zlib".split()
)
"""Codecs of Python that are no encodings of documents, by the names that `codecs.lookup` gives them."""
_OWN = {
    "ansi": "cp1252", "macce": "mac_latin2", "maccentraleurroman": "mac_latin2", "maccentraleurope": "mac_latin2",
    "macukrainian": "mac_cyrillic", "macukraine": "mac_cyrillic", "macjapanese": "cp932", "mackorean": "cp949",
    "macchinesesimp": "gb18030", "macchinesetrad": "cp950", "macthai": "cp874", "machebrew": "cp1255",
    "mac": "mac_roman", "macintosh": "mac_roman", "euc": "euc_jp", "eucjpms": "euc_jp", "jis": "iso2022_jp",
    "cp50220": "iso2022_jp", "cp50221": "iso2022_jp", "cp50222": "iso2022_jp", "iso2022jpms": "iso2022_jp",
    "windowsiso2022jp": "iso2022_jp", "sjis": "cp932", "shiftjis": "cp932", "mskanji": "cp932", "windows31j": "cp932",
    "cngb": "gb18030", "gb": "gb18030", "gb231280": "gb18030", "gb23121980": "gb18030", "cngb231280": "gb18030",
    "euccn": "gb18030", "hzgb2312": "hz", "hzgb": "hz", "big5eten": "cp950", "cnbig5": "cp950", "big5": "cp950",
    "ksc5601": "cp949", "ksc56011987": "cp949", "ksc56011989": "cp949", "ksc56011992": "cp949", "korean": "cp949",
    "ks5601": "cp949", "uhc": "cp949", "windows949": "cp949", "koi8": "koi8_r", "koi8ru": "koi8_u", "koi": "koi8_r",
    "unicode": "utf-16", "ucs2": "utf-16", "iso10646ucs2": "utf-16", "unicode11utf8": "utf-8",
    "unicode20utf8": "utf-8", "utf8mac": "utf-8", "utf8mb4": "utf-8", "utf8mb3": "utf-8", "al32utf8": "utf-8",
    "usascii": "ascii", "ansix341968": "ascii", "latin": "cp1252", "visual": "iso8859_8", "logical": "iso8859_8",
    "hebrew": "iso8859_8", "arabic": "iso8859_6", "cyrillic": "iso8859_5", "greek": "iso8859_7",
    "maccroatian": "mac_croatian", "macromanian": "mac_romanian", "macicelandic": "mac_iceland", "koi8r": "koi8_r",
    "koi8u": "koi8_u", "isoir149": "cp949", "windowssami2": "cp1252",
    "iso88591windows31latin1": "cp1252", "iso88592windowslatin2": "cp1250",
}  # fmt: skip
_NOTHING = frozenset(
    "unknown unknown8bit 8bit 7bit binary default none null undefined autodetect autodetectall autodetectjp"
    " userdefined charset iso".split()
)
"""Names with which programs say that they do not know."""
_CODE_PAGE = re.compile(r"(?:windows|win|cp|ms|ibm|dos|codepage|microsoftcp|w|oem|pc)+0*(\d{3,5})")
_ISO = re.compile(r"(?:iso)?8859(\d{1,2})[ie]?(?:(?:19|20)\d\d)?")
_BARE_PAGES = frozenset("437 850 852 855 866 874 932 936 949 950 1250 1251 1252 1253 1254 1255 1256 1257 1258".split())
_WINDOWS_PAGES = {"10000": "mac_roman", "20127": "ascii", "20866": "koi8_r", "21866": "koi8_u", "28591": "iso8859_1",
                  "50220": "iso2022_jp", "50221": "iso2022_jp", "51932": "euc_jp", "51949": "cp949", "52936": "hz",
                  "54936": "gb18030", "65001": "utf-8", "936": "gb18030"}  # fmt: skip


def says_nothing(declared: str) -> bool:
    """Whether a declaration only says that the encoding is unknown."""
    return _plain_name(declared) in _NOTHING or not _plain_name(declared)


def codec_name(declared: str) -> str | None:
    """The codec for a name, in the wider form that programs mean by it; None where no encoding of texts has this name.

    Case, punctuation, quotes, a leading `x-` or `cs` and the language after a star do not matter.
    """
    plain = _plain_name(declared)
    short = plain.removeprefix("cs")
    for name in (_OWN.get(plain), declared.strip(), plain, _of_number(plain), short, _of_number(short)):
        codec = _known(_OWN.get(name, name)) if name else None
        if codec is not None:
            return codec
    return None


def _plain_name(declared: str) -> str:
    """The name in letters and digits alone."""
    name = re.sub(r"[^a-z0-9]", "", re.split(r"[*;,]", declared[:100].lower())[0])
    # Some programs put the sign of their own names twice: x-x-big5.
    while name.startswith("x") and len(name) > 3:
        name = name[1:]
    return name


def _of_number(plain: str) -> str:
    iso = _ISO.fullmatch(plain)
    if iso:
        return f"iso8859_{iso.group(1)}"
    page = _CODE_PAGE.fullmatch(plain)
    number = page.group(1) if page else plain if plain in _BARE_PAGES else ""
    return _WINDOWS_PAGES.get(number, f"cp{number}") if number else ""


def _known(name: str) -> str | None:
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    return None if codec.name in _NO_TEXT else _WIDER.get(codec.name, codec.name)
