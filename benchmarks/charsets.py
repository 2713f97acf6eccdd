"""How often the character set of an undeclared text is found: prose, addresses and snippets of many languages.

    python benchmarks/charsets.py --json

Each text is encoded as old programs of its language did and decoded again; only an exact copy counts. Prose and
snippets are our own; addresses are generated.
"""

import argparse
import json
import sys
from collections.abc import Iterable

from appliance.documents.plain import decode
from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.extras import require_extra

PROSE = {
    "de": ("cp1252", """
        Bitte überweisen Sie den Betrag bis zum Monatsende auf unser Konto.
        Die Lieferung erfolgt frühestens am Dienstag der übernächsten Woche.
        Wir bestätigen den Eingang Ihrer Kündigung zum 31. März.
        Für Rückfragen steht Ihnen Frau Jäger gern zur Verfügung.
        Der Schlüssel liegt beim Hausmeister in der Königstraße.
        Außerdem fehlt die Prüfbescheinigung für die zweite Tür."""),
    "fr": ("cp1252", """
        Veuillez régler la facture avant la fin du mois.
        Le contrat a été signé à Genève par les deux parties.
        Nous avons bien reçu votre réclamation datée du 3 février.
        La pièce manquante sera expédiée dès mardi prochain.
        Où faut-il déposer les clés après la fermeture de l'entrepôt ?
        Le délai de préavis est fixé à trois mois, sauf accord écrit."""),
    "es": ("cp1252", """
        Le rogamos que abone la factura antes de fin de año.
        La reunión de mañana queda aplazada hasta el próximo jueves.
        ¿Podría enviarnos el número de cuenta de la compañía?
        El señor Muñoz firmó el contrato en Málaga.
        El plazo de devolución es de treinta días según el artículo 5.
        También falta la dirección de entrega del último pedido."""),
    "pt": ("cp1252", """
        Solicitamos o pagamento da fatura até ao fim do mês.
        A reunião de amanhã foi adiada para a próxima semana.
        Não recebemos a confirmação da encomenda nem o número do recibo.
        O contrato será renovado automaticamente após um período de três anos.
        Por favor, envie a declaração à nossa seção financeira.
        As peças em falta serão entregues já na terça-feira de manhã."""),
    "da": ("cp1252", """
        Vi beder Dem betale fakturaen inden udgangen af måneden.
        Varerne kan tidligst leveres på tirsdag i næste uge.
        Kontrakten blev underskrevet i København af begge parter.
        Har De spørgsmål, så ring til fru Sørensen på kontoret.
        Nøglen ligger hos viceværten ved hovedindgangen.
        Desuden mangler prøveattesten for den anden dør."""),
    "sv": ("cp1252", """
        Vi ber er betala fakturan före månadens slut.
        Leveransen sker tidigast på tisdag nästa vecka.
        Avtalet undertecknades i Göteborg av båda parter.
        Har ni frågor når ni fru Åkesson på kontoret.
        Nyckeln ligger hos fastighetsskötaren vid huvudingången.
        Dessutom saknas provningsintyget för den andra dörren."""),
    "fi": ("cp1252", """
        Pyydämme maksamaan laskun ennen kuukauden loppua.
        Toimitus tapahtuu aikaisintaan ensi viikon tiistaina.
        Sopimus allekirjoitettiin Jyväskylässä molempien osapuolten kesken.
        Lisätietoja antaa rouva Mäkinen toimistossamme.
        Avain on talonmiehellä pääoven vieressä.
        Lisäksi puuttuu toisen oven tarkastustodistus, jota pyydettiin jo keväällä."""),
    "pl": ("cp1250 iso8859_2", """
        Prosimy o zapłatę faktury do końca miesiąca.
        Dostawa nastąpi najwcześniej we wtorek w przyszłym tygodniu.
        Umowę podpisały obie strony w Łodzi dnia trzeciego marca.
        W razie pytań proszę dzwonić do pani Wiśniewskiej.
        Klucz leży u dozorcy przy głównym wejściu.
        Brakuje także świadectwa badania drugich drzwi."""),
    "cs": ("cp1250 iso8859_2", """
        Prosíme o zaplacení faktury do konce měsíce.
        Dodávka proběhne nejdříve v úterý příští týden.
        Smlouvu podepsaly obě strany v Plzni dne třetího března.
        S dotazy se obraťte na paní Dvořákovou v kanceláři.
        Klíč leží u domovníka vedle hlavního vchodu.
        Chybí také osvědčení o zkoušce druhých dveří."""),
    "hu": ("cp1250 iso8859_2", """
        Kérjük, hogy a számlát a hónap végéig fizesse ki.
        A szállítás legkorábban a jövő hét keddjén történik.
        A szerződést mindkét fél Győrben írta alá.
        Kérdéseivel forduljon Szűcs asszonyhoz az irodában.
        A kulcs a gondnoknál van a főbejárat mellett.
        Hiányzik továbbá a második ajtó vizsgálati igazolása."""),
    "ro": ("cp1250 iso8859_2", """
        V\u0103 rug\u0103m s\u0103 pl\u0103ti\u0163i factura p\u00e2n\u0103 la sf\u00e2r\u015fitul lunii.
        Livrarea se face cel mai devreme mar\u0163i, s\u0103pt\u0103m\u00e2na viitoare.
        Contractul a fost semnat la Ia\u015fi de ambele p\u0103r\u0163i.
        Pentru \u00eentreb\u0103ri suna\u0163i la doamna Ionescu.
        Cheia se afl\u0103 la administrator, l\u00e2ng\u0103 intrarea principal\u0103.
        Lipse\u015fte \u015fi certificatul de \u00eencercare al celei de-a doua u\u015fi."""),
    "tr": ("cp1254", """
        Faturayı ay sonuna kadar ödemenizi rica ederiz.
        Teslimat en erken önümüzdeki hafta salı günü yapılacaktır.
        Sözleşme iki tarafça İzmir'de imzalandı.
        Sorularınız için bürodaki Ayşe Hanım'ı arayınız.
        Anahtar ana girişin yanındaki kapıcıdadır.
        Ayrıca ikinci kapının muayene belgesi eksiktir."""),
    "lv": ("cp1257", """
        Lūdzam apmaksāt rēķinu līdz mēneša beigām.
        Piegāde notiks ne agrāk kā nākamās nedēļas otrdienā.
        Līgumu Rīgā parakstīja abas puses.
        Ja rodas jautājumi, zvaniet Bērziņas kundzei birojā.
        Atslēga atrodas pie sētnieka blakus galvenajai ieejai.
        Trūkst arī otro durvju pārbaudes apliecības."""),
    "ru": ("cp1251 koi8_r iso8859_5", """
        Просим оплатить счет до конца месяца.
        Поставка состоится не раньше вторника следующей недели.
        Договор подписан обеими сторонами в Самаре третьего марта.
        С вопросами обращайтесь к госпоже Петровой в контору.
        Ключ находится у дежурного рядом с главным входом.
        Кроме того, не хватает акта испытания второй двери."""),
    "uk": ("cp1251", """
        Просимо сплатити рахунок до кінця місяця.
        Доставка відбудеться не раніше вівторка наступного тижня.
        Договір підписали обидві сторони у Львові третього березня.
        Із запитаннями звертайтеся до пані Шевченко в офісі.
        Ключ лежить у чергового біля головного входу.
        Крім того, бракує свідоцтва про випробування других дверей."""),
    "bg": ("cp1251", """
        Моля, платете фактурата до края на месеца.
        Доставката ще бъде най-рано във вторник другата седмица.
        Договорът беше подписан от двете страни в Пловдив.
        При въпроси се обадете на госпожа Петрова в кантората.
        Ключът е при портиера до главния вход.
        Освен това липсва протоколът за изпитване на втората врата."""),
    "el": ("cp1253", """
        Παρακαλούμε να εξοφλήσετε το τιμολόγιο έως το τέλος του μήνα.
        Η παράδοση θα γίνει το νωρίτερο την Τρίτη της επόμενης εβδομάδας.
        Η σύμβαση υπογράφηκε από τα δύο μέρη στην Πάτρα.
        Για ερωτήσεις καλέστε την κυρία Δημητρίου στο γραφείο.
        Το κλειδί βρίσκεται στον θυρωρό δίπλα στην κεντρική είσοδο.
        Λείπει επίσης το πιστοποιητικό ελέγχου της δεύτερης πόρτας."""),
    "he": ("cp1255", """
        נא לשלם את החשבונית עד סוף החודש.
        המשלוח יגיע לא לפני יום שלישי בשבוע הבא.
        החוזה נחתם בחיפה על ידי שני הצדדים.
        לשאלות נא לפנות לגברת כהן במשרד.
        המפתח נמצא אצל השומר ליד הכניסה הראשית.
        חסר גם אישור הבדיקה של הדלת השנייה."""),
    "ar": ("cp1256", """
        نرجو دفع الفاتورة قبل نهاية الشهر.
        يتم التسليم يوم الثلاثاء من الأسبوع القادم على أقرب تقدير.
        وقع الطرفان العقد في القاهرة في الثالث من مارس.
        للاستفسار يرجى الاتصال بالسيدة منى في المكتب.
        المفتاح موجود عند الحارس بجانب المدخل الرئيسي.
        كما تنقص شهادة فحص الباب الثاني."""),
    "th": ("cp874", """
        กรุณาชำระค่าสินค้าภายในสิ้นเดือนนี้
        จะจัดส่งสินค้าได้เร็วที่สุดในวันอังคารหน้า
        ทั้งสองฝ่ายลงนามในสัญญาที่เชียงใหม่
        หากมีคำถามโปรดโทรหาคุณสมศรีที่สำนักงาน
        กุญแจอยู่กับยามข้างประตูใหญ่
        ยังขาดใบรับรองการตรวจสอบประตูบานที่สอง"""),
    "ja": ("cp932 euc_jp iso2022_jp", """
        今月末までに請求書の金額をお支払いください。
        納品は早くても来週の火曜日になります。
        契約書は大阪で双方により署名されました。
        ご質問は事務所の田中までお電話ください。
        鍵は正面玄関の横の管理人が預かっています。
        二番目のドアの検査証明書も不足しています。"""),
    "zh-CN": ("gb18030", """
        请在月底之前支付这张发票的金额。
        最早要到下周二才能交货。
        合同由双方在上海签署。
        如有问题请致电办公室的王女士。
        钥匙在大门旁边的保安那里。
        另外还缺少第二扇门的检验证书。"""),
    "zh-TW": ("big5", """
        請在月底之前支付這張發票的金額。
        最早要到下週二才能交貨。
        合約由雙方在台北簽署。
        如有問題請致電辦公室的王小姐。
        鑰匙在大門旁邊的警衛那裡。
        另外還缺少第二扇門的檢驗證書。"""),
    "ko": ("cp949", """
        이번 달 말까지 청구서 금액을 지불해 주십시오.
        빨라야 다음 주 화요일에 납품할 수 있습니다.
        계약서는 부산에서 양측이 서명했습니다.
        문의 사항은 사무실의 김 과장에게 전화해 주세요.
        열쇠는 정문 옆 관리인에게 있습니다.
        두 번째 문의 검사 증명서도 없습니다."""),
}  # fmt: skip
"""Language -> its old encodings, and sentences with letters beyond ASCII."""
SNIPPETS = {
    "cp1252": "Müller|café|5 €|naïve|Straße 5|10 µm|±5 %|price: 5£ for the lot|total – net|it’s paid|“quoted”"
    "|© 2004 Acme Ltd|20 °C|§ 12|São Paulo|Malmö|Zürich, 3 May|Ångström|El Niño|n° 15|Model X™|½ pint"
    "|Señor|Øresund|Genève|wait… done",
    "cp1250": "Łódź|Kraków, 5 maja|Dvořák|150 Kč|Plzeň|Győr|Gdańsk|Başta",
    "cp1254": "İstanbul|Ayşe Yılmaz|Beşiktaş",
    "cp1257": "Rīga|Šiauliai|Jūrmala",
    "cp1251": "Нет|Счет 15|том 2",
    "cp1253": "Σύνολο 15|έως 3",
    "cp1255": "סך 15",
    "cp1256": "رقم 15",
}
"""Encoding -> texts with few letters beyond ASCII."""
ADDRESSES = {
    "de_DE": "cp1252", "fr_FR": "cp1252", "es_ES": "cp1252", "da_DK": "cp1252", "sv_SE": "cp1252", "pl_PL": "cp1250",
    "cs_CZ": "cp1250", "hu_HU": "cp1250", "tr_TR": "cp1254", "ru_RU": "cp1251", "bg_BG": "cp1251", "el_GR": "cp1253",
    "he_IL": "cp1255", "ja_JP": "cp932", "zh_CN": "gb18030", "zh_TW": "big5", "ko_KR": "cp949", "th_TH": "cp874",
}  # fmt: skip
"""Locale of generated addresses -> the usual old encoding of its country."""


def prose() -> list[tuple[str, str, str]]:
    """Language, encoding and text of every sentence, once for each old encoding of its language."""
    return [
        (language, encoding, line.strip())
        for language, (encodings, text) in PROSE.items()
        for encoding in encodings.split()
        for line in text.strip().splitlines()
    ]


def snippets() -> list[tuple[str, str, str]]:
    """Texts with few letters beyond ASCII."""
    return [(encoding, encoding, text) for encoding, texts in SNIPPETS.items() for text in texts.split("|")]


def addresses(count: int) -> list[tuple[str, str, str]]:
    """Generated addresses on one line that hold a letter beyond ASCII and fit their encoding."""
    from faker import Faker

    texts = []
    for locale, encoding in ADDRESSES.items():
        faker = Faker(locale)
        faker.seed_instance(1)
        for _ in range(count):
            text = f"{faker.name()}, {faker.address()}".replace("\n", ", ")
            if not text.isascii() and text.encode(encoding, "ignore").decode(encoding) == text:
                texts.append((locale, encoding, text))
    return texts


def measure(texts: Iterable[tuple[str, str, str]]) -> dict[str, object]:
    """How many of the texts are decoded exactly, and those that are not."""
    total, wrong = 0, []
    for group, encoding, text in texts:
        total += 1
        try:
            decoded = decode(text.encode(encoding))[0]
        except ApplianceError as error:
            decoded = f"({error.message})"
        if decoded != text:
            wrong.append([group, encoding, text, decoded])
    return {"texts": total, "exact": total - len(wrong), "wrong": wrong}


def main() -> int:
    """Measures; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20, help="addresses of each locale")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    try:
        require_extra("train")
    except ResourceError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    figures = {
        "prose": measure(prose()), "addresses": measure(addresses(options.count)), "snippets": measure(snippets())
    }  # fmt: skip
    if options.json:
        print(json.dumps(figures, ensure_ascii=False))
        return 0
    for name, result in figures.items():
        print(f"{name}: {result['exact']} of {result['texts']} decoded exactly")
        wrong = result["wrong"]
        assert isinstance(wrong, list)
        for group, encoding, text, decoded in wrong[:8]:
            print(f"  {group}, {encoding}: {text} -> {decoded}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
