"""Words that stand beside numbers and change them: signs, sides of an account, powers of ten, bounds and guesses."""
# ruff: noqa: RUF001 (letters of other scripts)

import re
import unicodedata

from appliance.tasks.currencies import currency

MINUS_WORDS = frozenset(
    "minus negative neg negativ negativo negativa négatif négative negatief negatyw ujemny ujemna ujemne záporný"
    " záporná záporné negatívny moins menos meno mínus mínusz minusz miinus mīnus минус мінус отрицательный μείον"
    " αρνητικό eksi negatif".split()
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
    "百": 2, "佰": 2, "백": 2, "千": 3, "仟": 3, "천": 3, "万": 4, "萬": 4, "만": 4,
    "億": 8, "亿": 8, "억": 8, "兆": 12, "조": 12,
}  # fmt: skip
"""Words that multiply an amount of money by a power of ten."""
POWERS_ALONE = "百佰백千仟천万萬만億亿억兆조"
"""Powers of ten that stand between number and currency without blanks."""
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
}
MEASURES = frozenset("k m mm md mn".split())
"""Words of powers that are units of a number that is no money: metres, millimetres, man-days, minutes."""
OTHER_THINGS = frozenset("mil bin".split())
"""Words of powers that are other things in another language, where the number is no money."""
BOUND_WORDS = frozenset("au du de di que al lo pelo".split())
"""Words beside *moins*, *menos* and *meno* that make *at least* or *less than* of *minus*."""
UNCLEAR_WORDS = frozenset(
    "b t bio billionen billones billón bilhão bilhões bilhoes trillion trillions trilhões tn biliony arab kharab wan"
    " hunderttausend zehntausend cientos centaines cents centinaia сотен".split()
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
    """The power of ten and the currency of words such as `TEUR`, `k€` and `Mkr`; 0 and nothing for any other word."""
    for prefix, power in _POWER_PREFIXES.items():
        rest = word.removeprefix(prefix)
        if rest == word or not (code := currency(rest)):
            continue
        is_code = len(rest) == 3 and rest.isascii() and rest.isupper()
        if is_code or rest in ("kr", "บาท") or (len(rest) == 1 and unicodedata.category(rest) == "Sc"):
            return power, code
    return 0, ""
