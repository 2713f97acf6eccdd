"""Which encoding from before Unicode bytes are in: chardet ranks the candidates by statistics over the bytes.

Statistics say little about a text with one to three letters beyond ASCII. There three rules of our own decide: signs
that stand alone are Western, words do not mix Latin letters with another script, and Western is commoner than the rest.
"""

import re

import chardet

_SAMPLE_BYTES = 16384
"""What chardet looks at."""
_JIS_ESCAPES = (b"\x1b$B", b"\x1b$@", b"\x1b(J")
_KOREAN_ESCAPE = b"\x1b$)C"
_CANDIDATES = (
    "cp1252", "cp1250", "iso8859-2", "cp1254", "cp1257", "cp1251", "koi8-r", "koi8-u", "iso8859-5", "cp1253", "cp1255",
    "cp1256", "cp874", "cp932", "euc-jp", "gb18030", "big5", "cp949",
)  # fmt: skip
"""The commoner first: chardet ranks code pages equal that have the same letters at the same places."""
_LATIN = _CANDIDATES[:5]
_NO_MATCH_CONFIDENCE = 0.1
_LEAST_CONFIDENCE = 0.02
"""Of a script other than Latin, whose words consist of letters that chardet knows."""
_C1_CONTROL = re.compile(r"[\x80-\x9f]")
_WESTERN = "cp1252"
_WESTERN_WEIGHT = 1.3
_MIXED_WEIGHT = 0.5
"""For each place where a word mixes scripts; three say enough."""
_HIGH_BYTE = re.compile(rb"[\x80-\xff]")
_HIGH = re.compile(r"[^\x00-\x7f]")
_LONE_SIGN = re.compile(
    r"(?<![^\x00-\x7f])(?:[\u2018\u2019\u201c\u201d\u201e\u2013\u2014\u2026\u2022\u2122\xa0\xa9\xae]"
    r"|(?<![a-zA-Z])[§°±£€½¼¾\xd7«»·](?![a-zA-Z])|(?<![a-zA-Z])°(?=[CF]\b)|(?<![a-zA-Z])µ(?=[a-z])"
    r"|(?<=\bm)[²³](?!\w)|(?<=\b[nN])[°º](?!\w))(?![^\x00-\x7f])"
)
"""Signs as they stand in Western texts; elsewhere the same bytes are letters of words."""
_MIXED_SCRIPTS = re.compile(r"[A-Za-z](?=[\u0370-\u1dff\u3040-\ud7ff])|[\u0370-\u1dff\u3040-\ud7ff](?=[A-Za-z])")
_ICELANDIC, _ICELANDIC_TOO = frozenset("þðýÞÐÝ"), frozenset("áéíóæÁÉÍÓÚÆ")
"""The first stand where a Turkish code page has ş, ğ and dotless i; an Icelandic text also has some of the second."""


def find_encoding(data: bytes) -> str | None:
    """Name of the encoding that fits best; None where none fits.

    UTF-8, UTF-16 and UTF-32 are not among the candidates: they are recognised by their own rules.
    """
    if _KOREAN_ESCAPE in data[:_SAMPLE_BYTES] and _decoded(data, "iso2022_kr") is not None:
        return "iso2022_kr"
    if any(escape in data for escape in _JIS_ESCAPES):
        return "iso2022_jp" if _decoded(data, "iso2022_jp") is not None else None
    western = _decoded(data, _WESTERN)
    if western is not None and not _HIGH.search(_LONE_SIGN.sub("", western)):
        return _WESTERN
    weights = encoding_weights(data)
    # The first of those with the same weight is the commonest.
    common_first = sorted(
        weights, key=lambda name: _CANDIDATES.index(name) if name in _CANDIDATES else len(_CANDIDATES)
    )
    return max(common_first, key=weights.__getitem__, default=None)


def encoding_weights(data: bytes) -> dict[str, float]:
    """How well each of the candidates fits that can be this text at all; 1 is about the best."""
    weights: dict[str, float] = {}
    sample = _sample(data)
    for guess in _ranked(sample):
        name, text = guess["encoding"], sample.decode(guess["encoding"] or "ascii", "replace")
        if name is None or _decoded(data, name) is None or _C1_CONTROL.search(text):
            continue
        if name not in _LATIN and guess["confidence"] < _LEAST_CONFIDENCE:
            continue
        weight = guess["confidence"] * _MIXED_WEIGHT ** min(len(_MIXED_SCRIPTS.findall(text)), 3)
        if name == _WESTERN:
            letters = set(text)
            turkish = letters & _ICELANDIC and not letters & _ICELANDIC_TOO
            weight *= _MIXED_WEIGHT if turkish else _WESTERN_WEIGHT
        weights[name] = weight
    return weights


def mixes_scripts(text: str) -> int:
    """How many words have letters of Latin beside letters of another script; those of one hardly ever do."""
    return len(_MIXED_SCRIPTS.findall(text))


def warm_up() -> None:
    """Loads chardet's tables, so that no file is opened later."""
    for word in ("Grüße, ça va", "Счет на оплату", "名前と住所"):
        for name in ("cp1252", "cp1251", "cp932"):
            _ranked(word.encode(name, "replace"))


def _ranked(sample: bytes) -> list[chardet.DetectionDict]:
    ranked = chardet.detect_all(
        sample, ignore_threshold=True, prefer_superset=False, compat_names=False, include_encodings=_CANDIDATES
    )
    # Where nothing fits, chardet answers with one candidate at a fixed low confidence.
    return ranked if len(ranked) > 1 or ranked[0]["confidence"] > _NO_MATCH_CONFIDENCE else []


def _sample(data: bytes) -> bytes:
    """The lines that hold bytes beyond ASCII, up to a bound: the others say nothing."""
    lines: list[bytes] = []
    size = position = 0
    while size < _SAMPLE_BYTES and (high := _HIGH_BYTE.search(data, position)):
        # A very long line is cut in front, where it is ASCII.
        start = max(data.rfind(b"\n", 0, high.start()) + 1, position, high.start() - 200)
        end = data.find(b"\n", high.end())
        position = min(len(data) if end < 0 else end + 1, high.end() + _SAMPLE_BYTES)
        lines.append(data[start:position])
        size += position - start
    return b"".join(lines)[:_SAMPLE_BYTES]


def _decoded(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except UnicodeDecodeError:
        return None
