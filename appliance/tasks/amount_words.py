"""Words that stand beside numbers and change them: signs, sides of an account, powers of ten, bounds and guesses."""
# ruff: noqa: RUF001 (letters of other scripts)

import re
import unicodedata

from appliance.tasks.currencies import currency

MINUS_WORDS = frozenset(
    "minus negative neg negativ negativo negativa négatif négative negatief negatyw ujemny ujemna ujemne záporný"
    " záporná záporné negatívny moins menos meno mínus mínusz minusz miinus mīnus минус мінус отрицательный μείον"
    " αρνητικό eksi negatif マイナス 負 负 마이너스 سالب ناقص منفی ติดลบ ลบ âm माइनस".split()
)
_CREDIT = "cr credit crédit crédito credito C"
_DEBIT = "dr db debit débit débito debito D"
NEGATIVE_SIDES = frozenset(_CREDIT.split())
"""What programs print beside an amount that goes the other way. *Dr.*, *Soll* and *Haben* mean more for one party and
less for the other."""
SIDES = {
    **dict.fromkeys(
        f"{_CREDIT} haben kredit H gutschrift avoir avere haber abono gunsten guthaben habensaldo accredito bij ma"
        " követel alacak кредит кт"
        " πίστωση".split(),
        "credit",
    ),
    **dict.fromkeys(
        f"{_DEBIT} soll debet S lastschrift belastung lasten sollsaldo winien doit dare debe addebito af wn"
        " tartozik borç дебет дт χρέωση"
        " overdrawn overdraft od o/d".split(),
        "debit",
    ),
}
"""Words and single capitals that name the side of an account."""
POWERS = {
    **dict.fromkeys(("hundred", "hundert", "honderd", "hundra"), 2),
    **dict.fromkeys(
        ("k", "tsd", "thsd", "thousand", "thousands", "tausend", "duizend", "tusen", "tusind", "mille", "mila", "mil",
         "tys", "tysięcy", "tysiące", "tis", "tisíc", "ezer", "mii", "bin", "tuhat", "tūkst", "tukst", "тыс", "тысяч",
         "тис", "хил", "χιλ", "ribu", "rb", "nghìn", "ngàn", "พัน", "ألف", "אלף", "हजार"), 3),
    **dict.fromkeys(
        ("m", "mm", "mn", "mio", "mln", "mill", "million", "millions", "millionen", "millioner", "miljoen", "miljoner",
         "milj", "miljoonaa", "milhão", "milhões", "millón", "millones", "milione", "milioni", "milion", "miliony",
         "milionów", "milionů", "milioane", "millió", "milyon", "млн", "миллион", "миллиона", "миллионов", "εκατ",
         "juta", "jt", "triệu", "ล้าน", "مليون", "מיליון"), 6),
    **dict.fromkeys(
        ("bn", "mia", "mds", "mrd", "mld", "md", "mdr", "billion", "milliarden", "milliarde", "milliard", "milliards",
         "miljard",
         "miljarder", "miliardi", "miliardo", "miliard", "miliardy", "miliardów", "miliarde", "milliárd", "milyar",
         "miliar", "млрд", "миллиард", "миллиарда", "миллиардов", "δισ", "tỷ", "مليار", "מיליארד"), 9),
    **dict.fromkeys(("lakh", "lakhs", "lac", "lacs", "लाख"), 5), **dict.fromkeys(("crore", "crores", "करोड़"), 7),
    **dict.fromkeys(
        "tisoč tisuća tisuće hiljada hiljade tuh tuhatta tūkstoši tūkstančių тисяч тисячі хиляди хиляда хиљада χιλιάδες"
        " هزار হাজার ஆயிரம் हज़ार".split(), 3),
    **dict.fromkeys(
        "miljon miljonit miljoni miljonu milijun milijuna milijon milijonov milijona milijonų мільйон мільйонів милиона"
        " милион εκ εκατομμύρια میلیون".split(), 6),
    **dict.fromkeys("мільярд мільярдів милиарда milijarda milijardi milijard میلیارد".split(), 9),
    **dict.fromkeys("লাখ লক্ষ".split(), 5), "কোটি": 7,
    "百": 2, "佰": 2, "백": 2, "千": 3, "仟": 3, "천": 3, "万": 4, "萬": 4, "만": 4,
    "億": 8, "亿": 8, "억": 8, "兆": 12, "조": 12,
}  # fmt: skip
"""Words that multiply an amount of money by a power of ten."""
POWERS_ALONE = "百佰백千仟천万萬만億亿억兆조"
"""Powers of ten that stand between number and currency without blanks."""
OPEN_POWER = 99
"""More than any number may have: of letters that multiply otherwise in other languages."""
_POWER_PREFIXES = {
    "K": 3,
    "k": 3,
    "T": 3,
    "t": 3,
    "M": 6,
    "m": 6,
    "Mio": 6,
    "mio": 6,
    "Md": 9,
    "md": 9,
    "Mrd": 9,
    "Bn": 9,
    "พัน": 3,
    "หมื่น": 4,
    "แสน": 5,
    "ล้าน": 6,
    "т": 3,
}
_POWER_SUFFIXES = {
    **dict.fromkeys(("k", "K"), 3), **dict.fromkeys(("m", "M", "mn", "MM", "Mio"), 6),
    **dict.fromkeys(("bn", "Bn", "Mrd"), 9), **dict.fromkeys(("b", "B", "T", "tn"), OPEN_POWER),
}  # fmt: skip
_OF_FORINTS = {"eft": 3, "mft": 6}
MEASURES = frozenset("k m mm md mn".split())
"""Words of powers that are units of a number that is no money: metres, millimetres, man-days, minutes."""
OTHER_THINGS = frozenset("mil bin".split())
"""Words of powers that are other things in another language, where the number is no money."""
BOUND_WORDS = frozenset("au du de di que al lo pelo".split())
"""Words beside *moins*, *menos* and *meno* that make *at least* or *less than* of *minus*."""
UNCLEAR_WORDS = frozenset(
    "b t bio billionen billones billón bilhão bilhões bilhoes trillion trillions trilhões tn biliony arab kharab wan"
    " hunderttausend zehntausend cientos centaines cents centinaia сотен"
    " т т.р tr rc rd ー 赤字 損失 亏损 虧損 적자".split()
)
"""Words of amounts that multiply otherwise in other languages, or by what is not among the powers."""
COUNTING_WORDS = frozenset(
    "dozen dozens dutzend dozijn dussin dusin docena docenas dozzina dozzine dúzia dúzias douzaine douzaines dizaine"
    " dizaines tucat tucet tuzin дюжина дюжин десяток десятков düzine".split()
)
"""Words after a number that multiply it by other numbers than powers of ten."""
VAGUE_WORDS = frozenset(
    "ca circa cca approx approximately about around roughly almost nearly some etwa ungefähr rund fast knapp zirka"
    " environ presque près quasi aproximadamente aprox alrededor unos unas cerca około ok asi přibližně kb körülbelül"
    " yaklaşık около прибл примерно приблизно περίπου omkring ungefär noin aproximativ"
    " less more than under over above below least most up max maximum maximal min minimum minimal mindestens höchstens"
    " maximaal minimaal ab bis unter über mehr weniger jusqu'à jusque hasta desde até fino"
    " almeno massimo minimo oltre od do ponad powyżej poniżej nad pod méně více legalább legfeljebb"
    " от до более менее свыше from until till not nicht vanaf meer minder upp från fra til inntil".split()
)
"""Words before a number that make it a bound or a guess."""
VAGUE_AFTERWARDS = frozenset(
    "more less mehr weniger max maximum maximal minimum minimal mindestens höchstens maximaal minimaal approx"
    " approximately circa ca about roughly etwa ungefähr est estimated geschätzt environ estimé aprox or so ish upwards"
    " above over up below darüber darunter oder ou eller lub или nebo vagy veya más plus menos mas meer minder mer"
    " mindre więcej mniej więcej více méně более менее più meno mais üzeri fazla".split()
)
"""Words after a number that make it a bound or a guess."""
UNITS_WITH_CASE = re.compile(r"[mM](?:W|Wh|V|VA|A|J|Hz|Pa|Ω|S|T|K)|[kKMGT]i?[bB](?:ps|/s|it/s)?")
"""Units that are other ones in other case: milli and mega, bits and bytes."""


def power_of_currency(word: str) -> tuple[int, str]:
    """The power of ten and the currency of words such as `TEUR`, `k€`, `Mkr`, `Mio.€` and `EURm`.

    0 and nothing for any other word; `OPEN_POWER` where a letter may be one of several powers.
    """
    if power := _OF_FORINTS.get(word.casefold()):
        return power, "HUF"
    for prefix, power in _POWER_PREFIXES.items():
        rest = word.removeprefix(prefix)
        if rest != word and _is_money(rest, ("kr", "บาท")):
            return power, currency(rest)
    for suffix, power in _POWER_SUFFIXES.items():
        rest = word.removesuffix(suffix)
        # Capitals after a code are other words: `SEKT` is a wine.
        if rest != word and _is_money(rest) and (suffix.islower() or len(rest) == 1):
            return power, currency(rest)
    if word[:1] == "B" and len(word) == 2 and _is_money(word[1:]):
        return OPEN_POWER, currency(word[1:])
    first, mark, rest = word.partition(".") if "." in word else word.partition("-")
    code = currency(rest) or currency(f"{rest}.")
    if not mark or not code or (len(first) == 1 and len(rest) == 1 and rest.isalpha()):
        return 0, ""
    power = POWERS.get(first.casefold()) or _POWER_PREFIXES.get(first, 0)
    return (OPEN_POWER if first.casefold() in OTHER_THINGS else power), code if power else ""


def leaves_power_open(words: list[str], code: str) -> bool:
    """Whether a word beside an amount is another power of ten in another language.

    *Mil* is a thousand in Spanish and Portuguese, and a million in English, Czech, Slovak and Romanian, where it has a
    dot; *M* is a milliard in Indonesian.
    """
    bare = [word.strip("()[]+*:;,").casefold() for word in words]
    is_thousand = code in _OF_MIL or not _SPANISH.isdisjoint(bare)
    return "mil." in bare or ("mil" in bare and not is_thousand) or (code == "IDR" and "m" in bare)


_SPANISH = frozenset("dólares pesos soles colones quetzales pesetas".split())
_OF_MIL = frozenset("EUR BRL MXN ARS CLP COP PEN UYU PYG BOB DOP CRC GTQ HNL NIO CUP VES AOA MZN CVE ESP PTE".split())


def _is_money(word: str, others: tuple[str, ...] = ()) -> bool:
    """Whether the word is a code in capitals or a sign of a currency, or one of the others."""
    if not currency(word):
        return False
    is_code = len(word) == 3 and word.isascii() and word.isupper()
    return is_code or word in others or (len(word) == 1 and unicodedata.category(word) == "Sc")
