"""Declared encodings: names of old programs, and declarations that the bytes do not bear out."""

import time

import pytest

from appliance.documents.charset_names import codec_name
from appliance.documents.declared_charset import decode_declared

_MISFIT = "the declared charset {} does not fit"


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("iso-8859-8-i", "iso8859-8"), ("ISO_8859-1:1987", "cp1252"), ("x-mac-roman", "mac-roman"),
        ("x-mac-croatian", "mac-croatian"), ("windows-31j", "cp932"), ("x-gbk", "gb18030"), ("ks_c_5601", "cp949"),
        ("x-x-big5", "cp950"), ("cp-1250", "cp1250"), ("utf-8*en", "utf-8"), ("koi8-ru", "koi8-u"),
        ('"utf-8"', "utf-8"), ("csISO88592", "iso8859-2"), ("x-unknown", None), ("rot13", None),
    ],
)  # fmt: skip
def test_names_of_old_programs_have_a_codec(name: str, codec: str | None) -> None:
    assert (codec_name(name) or "").replace("_", "-") == (codec or "")


@pytest.mark.parametrize(
    ("text", "written", "declared"),
    [
        ("Jörg Müßig, 12,50 €", "utf-8", "iso-8859-1"), ("订单号 A1", "utf-8", "gb2312"),
        ("Jörg Müßig", "cp1252", "utf-8"), ("Счет на оплату 15", "cp1251", "iso-8859-1"),
        ("Счет на оплату, Иван Петров", "koi8-r", "windows-1251"), ("„Zażółć” gęślą", "cp1250", "iso-8859-2"),
        ("Größe", "utf-16", "utf-8"),
    ],
    ids=["utf-8-called-latin", "utf-8-called-chinese", "latin-called-utf-8", "cyrillic-called-latin",
         "koi-called-windows", "windows-called-iso", "marked"],
)  # fmt: skip
def test_declaration_that_the_bytes_do_not_bear_out_is_not_obeyed_and_a_note_says_so(
    text: str, written: str, declared: str
) -> None:
    shown, notes = decode_declared(text.encode(written), declared)
    assert (shown, notes[-1]) == (text, _MISFIT.format(declared))


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        ("été à l'école où ça", "iso-8859-1"), ("Þórður Ægisson", "latin1"), ("Zażółć gęślą", "iso-8859-2"),
        ("Счет за оплату", "koi8-r"), ("ЗАЯВЛЕНИЕ", "windows-1251"), ("Αριθμός", "iso-8859-7"),
        ("ΑΡΙΘΜΟΣ", "windows-1253"), ("注文番号", "shift_jis"), ("订单号", "gb2312"), ("계약서", "euc-kr"),
        ("เลขที่ใบสั่ง", "tis-620"), ("שם: דנה", "windows-1255"), ("رقم الطلب", "windows-1256"),
    ],
)  # fmt: skip
def test_declaration_that_fits_is_obeyed_without_a_note(text: str, declared: str) -> None:
    assert decode_declared(text.encode(declared), declared) == (text, [])


def test_signs_of_nec_in_seven_bit_japanese_are_read() -> None:
    body = b"\x1b$B\x2d\x21\x2d\x6a\x1b(B abc \x1b(I1\x1b(B"
    assert decode_declared(body, "iso-2022-jp") == ("①㈱ abc ｱ", ["signs of code page 932 in iso-2022-jp text"])


def test_cut_character_leaves_the_rest_of_the_text_as_declared() -> None:
    assert decode_declared("Größe für\nSie".encode() + b"\xc3", "utf-8") == (
        "Größe für\nSie\ufffd", ["1 broken character replaced in utf-8 text"],
    )  # fmt: skip


CZECH = "Prosím o úhradu částky ve výši 5 Kč. Děkuji, příští týden"
RUSSIAN = "Счет на оплату за июль месяц, сумма пять рублей"


@pytest.mark.parametrize(
    ("text", "real", "declared"),
    [
        ("Zapłata za usługę miesięczną, proszę wpłacić", "cp1250", "iso-8859-1"), (CZECH, "iso8859_2", "windows-1252"),
        (CZECH, "cp1250", "iso-8859-15"), ("Kérjük a számlát fizesse be időben, űrlap", "iso8859_2", "iso-8859-1"),
        ("Ödeme için teşekkür ederiz, lütfen şubat değişiklik için ödeyiniz", "cp1254", "iso-8859-1"),
        ("Prašome apmokėti sąskaitą iki mėnesio pabaigos, ačiū", "cp1257", "iso-8859-1"),
        (RUSSIAN, "cp1251", "iso-8859-5"), (RUSSIAN, "iso8859_5", "windows-1251"), (RUSSIAN, "iso8859_5", "koi8-r"),
        ("Größe über Maß, für Müller, schöne Grüße", "cp1252", "windows-1251"),
        ("这是七月份的付款通知单请在月底之前支付这笔款项", "gbk", "big5"),
        ("請求書を送付いたします。お支払いは月末まで", "euc_jp", "shift_jis"),
        ("칠월 청구서를 보내드립니다. 월말까지 지불해 주십시오", "euc_kr", "gb2312"),
        ("請求書を送付", "iso2022_jp", "us-ascii"), ("칠월 청구서", "iso2022_kr", "utf-8"),
    ],
)  # fmt: skip
def test_letters_that_follow_one_another_in_no_language_disprove_a_declaration(
    text: str, real: str, declared: str
) -> None:
    found, notes = decode_declared(text.encode(real), declared)
    assert found == text
    assert notes[-1] == f"the declared charset {declared} does not fit"


def test_hostile_words_are_weighed_soon() -> None:
    start = time.process_time()
    for body in ("Größe über Müller schöne " + "a" * 70_000, "ÄÖÜ" * 30_000, "я" * 70_000):
        encoding = "cp1251" if "я" in body else "cp1252"
        for declared in ("windows-1251", "iso-8859-1", "gb2312", "koi8-r"):
            decode_declared(body.encode(encoding), declared)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        ("Veuillez trouver la facture réglée à la réception, très cordialement, à bientôt", "iso-8859-1"),
        ("La factura és pagada, això és força important, però avui també", "iso-8859-1"),
        ("Fatura është paguar, përfundimisht çdo muaj, ju falënderojmë", "iso-8859-1"),
        ("Arve kuulub tasumisele õigeaegselt, täname ette, küsimuste korral pöörduge", "iso-8859-1"),
        ("Müller, Ångström, Çelik, Núñez, Jørgensen, Lefèvre; à è ì ò ù é ó; 25 °C; 5 m²; ½", "iso-8859-1"),
        ("Größe über Maß, für Müller, schöne Grüße", "iso-8859-2"), (RUSSIAN.upper(), "windows-1251"),
        (RUSSIAN.upper(), "koi8-r"), ("株式会社山田商事御中", "euc-jp"),
        ("Рахунок на оплату за липень, її є ґанок", "koi8-u"), ("Рачун за плаћање, ђак, њива, љубав", "iso-8859-5"),
    ],
)  # fmt: skip
def test_declaration_that_is_true_is_believed_in_every_language(text: str, declared: str) -> None:
    assert decode_declared(text.encode(declared), declared) == (text, [])
