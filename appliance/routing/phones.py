"""Telephone numbers, by their form and by what stands before them."""

import re
from collections.abc import Iterator

from appliance.routing.plain_copy import closed_up, plain_spellings

NO_SUM = r"(?!\w|\.\d|,\d{1,2}(?!\d)(?!,\S))"
"""Behind a number that is no sum with a decimal part; between commas it is an entry of a table."""
_CODES = (
    "EUR|USD|GBP|CHF|PLN|CZK|HUF|SEK|NOK|DKK|RON|BGN|ISK|JPY|CNY|CAD|AUD|NZD|INR|RUB|UAH|HRK|RSD|MXN|BRL|ZAR|SGD|HKD|THB"
    "|KRW|ILS|AED"
)
_SIGNS = r"[$¢£¤¥֏؋৲৳฿₠-₿]"
NO_MONEY = (
    NO_SUM + rf"(?![ \t]{{0,2}}(?:[%‰](?!\w)|{_SIGNS}|(?:{_CODES}|TRY|euros?|Euros?|EURO|kr|zł|zl"
    r"|Kč|Ft|\u0440\u0443\u0431|\u0433\u0440\u043d|\u043b\u0432"
    r"|[km]Wh|MWh|k[mg]|m[23*]|Stk|Stück|pcs)(?![\w-])))"
)
"""Behind a number that is no sum of money or quantity: what names it stands there as a word of its own."""
NO_MONEY_BEFORE = "".join(
    # Behind a digit it belongs to the sum before.
    rf"(?<!(?<!\d)(?<!\d ){word})(?<!(?<!\d)(?<!\d ){word} )"
    for word in (_SIGNS, *(rf"\b{code}" for code in (*_CODES.split("|"), "kr", "zł", "Kč", "Ft")))
)
_GAP = r"[ \t./()-]{0,3}"
_EXTENSION = r"(?:[ ]?(?:x|ext\.?)[ ]?\d{1,6})?"
_DATE = r"\d?([./-])\d{1,2}\1(?:\d{4}|\d{2})\b"
_DECIMALS = r"[.,]\d\d?(?!\d)|\.\d+(?:[ \t]{1,2}[01]\.\d+)*(?!\d|[ ./()-]{1,2}\d)"
_MONTH = r"(?<=\d/0)\d/(?:19|20)\d{2}(?!\d)"
"""The rest of a day such as 3/04/2024."""
_PERIOD = r"\d(?:\.\d\d(?!\d|\.\d)|[./-](?:19|20)\d{2}(?!\d)|\. ?- ?[0-3]?\d\.[01]?\d(?!\d)|/\d\d ?- ?\d\d/\d\d(?!\d))"
"""The rest of hours, days and months, of which two make a period: 09.00-17.00, 01.05.-31.05., 05/2024 - 06/2024."""
_BEGINS = r"(?<!\w)(?<!\d[.,])"
"""Not in the middle of a word or of a number; a comma alone may stand before it, as in a table."""
GROUP_BEGINS = r"(?<!\w)(?:(?<!\d[.,])|(?<=[,;]\d,)|(?<=[,;]\d\d,)|(?<=[,;]\d\d\d,))"
"""The same for numbers in groups, which may follow a number that stands between commas itself."""
_PHONES = (
    # International.
    re.compile(
        rf"(?:{_BEGINS}|(?<=[^\W\d_])(?=\+))(?<!\+)\(?(?:\+|00)[ \t(]{{0,2}}[1-9](?:{_GAP}\d){{6,14}}(?!\d){_EXTENSION}"
    ),
    # National with the trunk prefix.
    re.compile(
        rf"{_BEGINS}(?<!\+)(?<!\w-)(?<!\d{{4}}/)\(?0(?!{_DATE}|{_DECIMALS}|{_MONTH}|{_PERIOD})(?:{_GAP}\d){{7,12}}"
        rf"(?!\d|,\d{{1,2}}(?![\d,])){_EXTENSION}(?!\w)"
    ),
    # A prefix in brackets.
    re.compile(rf"{_BEGINS}\(\d{{1,4}}\)(?:{_GAP}\d){{5,10}}(?!\w|,\d)"),
    # North America.
    re.compile(
        rf"{_BEGINS}(?<!-)(?:\+?1[ .-]?)?(?:\([2-9]\d{{2}}\)[ .-]?|[2-9]\d{{2}}[ .-])\d{{3}}[ .-]\d{{4}}"
        rf"{_EXTENSION}(?!\w)"
    ),
    # Russia and Kazakhstan.
    re.compile(
        rf"{_BEGINS}(?<!-)(?:[78][ -]?)?(?:\d{{3}}[ -]?\d{{3}}|\(\d{{3,5}}\)[ -]?\d{{1,3}})-\d{{2}}-\d{{2}}(?!\w|-\d)"
    ),
    # Groups without a prefix, as in Denmark, Norway, Poland, Spain, Greece and Hungary; not two years, nor a
    # year and a number of an invoice.
    re.compile(
        rf"(?=\d){GROUP_BEGINS}(?<!-)(?<!\d/)"
        # The minutes of a time of day are none of its pairs.
        r"(?!(?<=\d:)\d\d(?:[ -]\d\d){4}(?!\d)|(?:19|20)\d{2}[ -](?:19|20)\d{2}|20[0-3]\d-0\d{3}(?!\d))"
        r"(?:\d{2}(?:[ -]\d{2}){3}|\d{2}(?:\.\d{2}){3}|\d{4}[ -]\d{4}|\d{3}(?P<a>[ .-])\d{2}(?P=a)\d{3}"
        r"|\d{2}(?P<b>[ .-])\d{3}(?P=b)\d{2}(?P=b)\d{2}|\d{3}[ -]\d{7}|(?:2[1-9]|69)\d{2}[ .-]\d{3}[ .-]\d{3}"
        rf"|\d{{2}}/\d{{3}}[ -]\d{{3,4}}|[5-9]\d{{2}}[ .-]\d{{3}}[ .-]\d{{3}}){NO_MONEY}"
    ),
    # Bare digits of the length of a subscriber's number; not a day such as 20261125.
    re.compile(
        rf"(?=[1-9])(?<!\w)(?<!\d\.)(?<!\d[/-]){NO_MONEY_BEFORE}"
        rf"(?!(?:19|20)\d{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d))(?:[2-9]\d{{7,10}}|1[2-9]\d{{9}}){NO_MONEY}"
    ),
)
_NO_NUMBER = (
    r"\d{1,3}(?:[. ]\d{3})+,\d\d(?!\d)|(?:0?[1-9]|[12]\d|3[01])[./-](?:0?[1-9]|1[0-2])[./-](?:19|20)\d{2}(?!\d)"
    r"|(?:19|20)\d{2}-\d{2}-\d{2}(?!\d)|\d\.\d(?: \d\.\d)+(?!\d)"
)
"""Sums, days and decimals, which stand behind such a label, too."""
_LABELS_OF_OTHER_SCRIPTS = tuple(
    spelling
    for word in (
        "τηλέφωνο",
        "τηλεφωνο",
        "τηλ",
        "φαξ",
        "κινητό",
        "κινητο",
        "κιν",
        "телефон",
        "тел",
        "факс",
        "мобильный",
        "моб",
    )
    for spelling in plain_spellings(word)
)
_LABELLED = re.compile(
    r"(?<!\w)(?:t[eé]l|t[eé]l[eé]phone|telefono?|tel[eé]fono|telefoon|telefone|telefon|telefax|phone|ph|fax|faks|mobile?|mob"
    r"|m[oó]vil|mobiel|gsm|cell|cellulare|celular|handy|natel|portable|tlf|tlfn|tfn|tfno|tel[eé]f|telm|telem[oó]vel|puh"
    r"|puhelin|whatsapp|kom[oó]rka|kom|mobiltelefon|mobilfunk|ruf|durchwahl|festnetz|fixe|fijo"
    rf"|{'|'.join(_LABELS_OF_OTHER_SCRIPTS)})"
    r"\.?(?:[ \t-]{0,3}(?:no|nr|n°|nº|č|number|nummer|num[eé]ro|n[uú]mero|numer|[cč][ií]slo)\.?)?"
    rf"[ \t]{{0,8}}[:.]?[ \t\n]{{0,8}}(?!{_NO_NUMBER})(\(?\+?\d[\d \t./()-]{{3,22}}\d)",
    re.IGNORECASE,
)
_WORD_BEFORE = re.compile(r"[^\s\d,;|]([.,;]?[ \t(]{0,3})\Z")
_SURE = ("+", "(", "00")
"""What a number begins with that is one of a telephone also over the end of a line of numbers."""
_LEAST_HEAD = 7
"""Digits on the first of two lines that may be all of a number."""
_MOST_DIGITS = {"+": 15, "00": 17, "0": 13}
"""Of the longest telephone numbers, by what they begin with. Source: ITU-T E.164, with the prefix."""
_LINE_OF_ITS_OWN = re.compile(rf"[ \t]*(?:{_NO_NUMBER})")
_SMALL_SUM = re.compile(r"[ \t]*(?:\d{1,6},\d\d(?!\d)|\d{1,3}(?:,\d{3})*\.\d\d(?![\d.]))")


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
                yield first, end_of(text, first, last)


def end_of(text: str, start: int, end: int) -> int:
    """Where a number ends: with its line, where a day or a sum follows or it is too long for a telephone's."""
    line_end = text.find("\n", start, end)
    if line_end < 0:
        return end
    prefix = start - (text[start - 1 : start] == "+")
    most = next((most for begins, most in _MOST_DIGITS.items() if text.startswith(begins, prefix)), end)
    is_other = sum(map(str.isdigit, text[start:line_end])) >= _LEAST_HEAD and (
        sum(map(str.isdigit, text[start:end])) > most or _SMALL_SUM.match(text, line_end + 1)
    )
    if is_other or _LINE_OF_ITS_OWN.match(text, line_end + 1):
        return start + len(text[start:line_end].rstrip())
    return end


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
