"""Telephone numbers, by their form and by what stands before them."""

import re
from collections.abc import Iterator

from appliance.routing.plain_copy import closed_up

NO_SUM = r"(?!\w|\.\d|,\d{1,2}(?!\d)(?!,\S))"
"""Behind a number that is no sum with a decimal part; between commas it is an entry of a table."""
NO_MONEY = (
    NO_SUM + r"(?![ \t]{0,2}(?:[€$£¥₺₴₽]|(?:EUR|USD|GBP|CHF|PLN|CZK|HUF|SEK|NOK|DKK|RON|BGN|TRY|euros?|Euros?|kr|zł|zl"
    r"|Kč)(?!\w)))"
)
"""Behind a number that is no sum of money: what names money stands there as a word of its own."""
_GAP = r"[ \t./()-]{0,3}"
_EXTENSION = r"(?:[ ]?(?:x|ext\.?)[ ]?\d{1,6})?"
_DATE = r"\d?([./-])\d{1,2}\1(?:\d{4}|\d{2})\b"
_BEGINS = r"(?<!\w)(?<!\d[.,])"
"""Not in the middle of a word or of a number; a comma alone may stand before it, as in a table."""
GROUP_BEGINS = r"(?<!\w)(?:(?<!\d[.,])|(?<=[,;]\d,)|(?<=[,;]\d\d,)|(?<=[,;]\d\d\d,))"
"""The same for numbers in groups, which may follow a number that stands between commas itself."""
_PHONES = (
    # International.
    re.compile(rf"{_BEGINS}(?<!\+)\(?(?:\+|00)[ \t(]{{0,2}}[1-9](?:{_GAP}\d){{6,14}}(?!\d){_EXTENSION}"),
    # National with the trunk prefix.
    re.compile(rf"{_BEGINS}(?<![+-])\(?0(?!{_DATE}|[.,]\d\d?(?!\d))(?:{_GAP}\d){{7,12}}(?!\w|,\d{{1,2}}(?![\d,]))"),
    # A prefix in brackets.
    re.compile(rf"{_BEGINS}\(\d{{1,4}}\)(?:{_GAP}\d){{5,10}}(?!\w|,\d)"),
    # North America.
    re.compile(
        rf"{_BEGINS}(?<!-)(?:\+?1[ .-]?)?(?:\([2-9]\d{{2}}\)[ .-]?|[2-9]\d{{2}}[ .-])\d{{3}}[ .-]\d{{4}}"
        rf"{_EXTENSION}(?!\w)"
    ),
    # Groups without a prefix, as in Denmark, Norway, Poland, Spain, Greece and Hungary; not two years.
    re.compile(
        rf"{GROUP_BEGINS}(?<![/-])(?!(?:19|20)\d{{2}}[ -](?:19|20)\d{{2}})"
        r"(?:\d{2}(?:[ -]\d{2}){3}|\d{2}(?:\.\d{2}){3}|\d{4}[ -]\d{4}|\d{3}(?P<a>[ .-])\d{2}(?P=a)\d{3}"
        r"|\d{2}(?P<b>[ .-])\d{3}(?P=b)\d{2}(?P=b)\d{2}|\d{3}[ -]\d{7}|(?:2[1-9]|69)\d{2}[ .-]\d{3}[ .-]\d{3}"
        rf"|\d{{2}}/\d{{3}}[ -]\d{{3,4}}|[5-9]\d{{2}}[ .-]\d{{3}}[ .-]\d{{3}}){NO_MONEY}"
    ),
    # Bare digits of the length of a subscriber's number; not a day such as 20261125.
    re.compile(
        r"(?<!\w)(?<!\d\.)(?<!\d[/-])(?<![€$£])(?<![€$£] )(?<!\bEUR )(?<!\bUSD )"
        rf"(?!(?:19|20)\d{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d))(?:[2-9]\d{{7,10}}|1[2-9]\d{{9}}){NO_MONEY}"
    ),
)
_LABELLED = re.compile(
    r"(?<!\w)(?:tel|t[eé]l[eé]phone|telefono?|tel[eé]fono|telefoon|telefone|telefon|telefax|phone|ph|fax|faks|mobile?|mob"
    r"|m[oó]vil|mobiel|gsm|cell|cellulare|handy|natel|portable|tlf|tfn|puh|puhelin|whatsapp|kom[oó]rka|kom"
    r"|τηλ(?:έφωνο|εφωνο)?|тел(?:ефон)?)\.?(?:[ \t]{0,3}(?:no|nr|number|nummer|num[eé]ro)\.?)?"
    r"[ \t]{0,8}[:.]?[ \t\n]{0,8}(\(?\+?\d[\d \t./()-]{3,22}\d)",
    re.IGNORECASE,
)
_WORD_BEFORE = re.compile(r"[^\s\d,;|]([.,;]?[ \t(]{0,3})\Z")
_SURE = ("+", "(", "00")
"""What a number begins with that is one of a telephone also over the end of a line of numbers."""


def phones(text: str) -> Iterator[tuple[int, int]]:
    """Places of telephone numbers in a plain text."""
    yield from _as_written(text)
    yield from over_gaps(text)


def over_gaps(text: str) -> Iterator[tuple[int, int]]:
    """Those that are written with wide gaps or over the end of a line."""
    closed = closed_up(text)
    if not closed.gap_starts:
        return
    for start, end in _as_written(closed.text):
        if closed.holds_gap(start, end):
            first, last = closed.original(start), closed.original(end)
            if goes_on(text, first, last) or text.startswith(_SURE, first):
                yield first, last


def goes_on(text: str, start: int, end: int) -> bool:
    """Whether a number over the end of a line is one, by its letters or its sentence, and not two of a table."""
    lines = text.count("\n", start, end)
    if lines != 1:
        return lines == 0
    is_in_sentence = _WORD_BEFORE.search(text, max(0, start - 8), start) is not None
    return is_in_sentence or any(char.isalpha() for char in text[start:end])


def _as_written(text: str) -> Iterator[tuple[int, int]]:
    for pattern in _PHONES:
        for match in pattern.finditer(text):
            yield match.span()
    for match in _LABELLED.finditer(text):
        yield match.span(1)
