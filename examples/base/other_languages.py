"""Printed labels of frequent fields in other languages than the one that the fields are asked in.

A line reads `key | German | French | Spanish | Italian | Dutch | Polish | Portuguese`; labels of one language are
separated by semicolons.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from training.demo.genres import FieldSpec

_TABLE = """
invoice_number | Rechnungsnr.; Rechnungsnummer; Rechnung Nr.; Re.-Nr.; Belegnummer | Facture n°; N° de facture; Numéro de facture | Factura n.º; Número de factura; N.º factura | Fattura n.; Numero fattura; Fattura nr. | Factuurnummer; Factuurnr.; Nummer factuur | Faktura nr; Numer faktury; Nr faktury | Fatura n.º; Número da fatura
date | Datum; Rechnungsdatum; Ausgestellt am; Belegdatum | Date; Date de facture; Émise le; Fait le | Fecha; Fecha de emisión; Fecha factura | Data; Data fattura; Emessa il; Data documento | Datum; Factuurdatum; Opgemaakt op | Data; Data wystawienia; Wystawiono dnia | Data; Data de emissão; Emitida em
due_date | Fällig am; Fälligkeit; Zahlbar bis; Zahlungsziel | Échéance; À payer avant le; Date limite de paiement; Date d'échéance | Vencimiento; Fecha de vencimiento; Pagar antes de | Scadenza; Da pagare entro; Data scadenza | Vervaldatum; Te betalen voor; Uiterste betaaldatum | Termin płatności; Płatne do | Vencimento; Data de vencimento; Pagar até
seller | Verkäufer; Lieferant; Rechnungssteller; Absender | Vendeur; Fournisseur; Émetteur | Vendedor; Proveedor; Emisor | Venditore; Fornitore; Cedente | Verkoper; Leverancier; Afzender | Sprzedawca; Wystawca; Dostawca | Vendedor; Fornecedor; Emitente
buyer | Kunde; Käufer; Rechnungsempfänger; Auftraggeber | Client; Acheteur; Facturé à | Cliente; Comprador; Facturar a | Cliente; Acquirente; Spett.le; Cessionario | Klant; Koper; Factuur aan; Debiteur | Nabywca; Kupujący; Odbiorca | Cliente; Comprador; Faturado a
seller_address | Anschrift des Lieferanten; Sitz; Firmensitz | Adresse du fournisseur; Siège; Siège social | Domicilio del proveedor; Sede | Sede; Indirizzo fornitore; Sede legale | Adres leverancier; Vestiging | Adres sprzedawcy; Siedziba | Morada do fornecedor; Sede
buyer_address | Rechnungsanschrift; Anschrift; Kundenadresse | Adresse de facturation; Adresse du client; Adresse | Dirección de facturación; Dirección; Domicilio | Indirizzo; Indirizzo di fatturazione | Factuuradres; Adres; Klantadres | Adres; Adres nabywcy | Morada; Endereço; Endereço de cobrança
customer_number | Kundennr.; Kundennummer; Kd.-Nr.; Debitor | N° client; Numéro client; Code client; Id. client | N.º de cliente; Código de cliente | Codice cliente; N. cliente | Klantnummer; Klantnr.; Debiteurnummer | Nr klienta; Numer klienta | N.º de cliente; Código do cliente
order_number | Bestellnummer; Auftragsnr.; Bestellung Nr.; Ihre Bestellung | N° de commande; Commande n°; Votre commande | N.º de pedido; Pedido; Su pedido | Ordine n.; Numero ordine; Vs. ordine | Ordernummer; Bestelnummer; Uw order | Nr zamówienia; Zamówienie nr | N.º do pedido; Encomenda n.º
net | Netto; Nettobetrag; Summe netto; Zwischensumme | Total HT; Montant HT; Sous-total; Net HT | Base imponible; Neto; Subtotal; Importe neto | Imponibile; Totale imponibile; Netto | Subtotaal; Netto; Totaal excl. btw; Exclusief btw | Netto; Wartość netto; Razem netto | Subtotal; Valor líquido; Base tributável
subtotal | Zwischensumme; Warenwert; Summe | Sous-total; Total HT; Marchandises | Subtotal; Suma; Mercancía | Subtotale; Parziale; Merce | Subtotaal; Tussentotaal; Goederen | Suma częściowa; Wartość towaru | Subtotal; Soma; Mercadoria
tax | MwSt.; USt.; Umsatzsteuer; Mehrwertsteuer | TVA; Montant TVA; Taxe | IVA; Cuota IVA; Impuesto | IVA; Imposta; Totale IVA | Btw; Btw-bedrag; Omzetbelasting | VAT; Kwota VAT; Podatek | IVA; Imposto; Valor do IVA
tax_rate | Steuersatz; MwSt.-Satz; USt. % | Taux de TVA; Taux; TVA % | Tipo de IVA; % IVA | Aliquota; Aliquota IVA | Btw-tarief; Btw %; Tarief | Stawka VAT; VAT % | Taxa de IVA; % IVA
total | Gesamtbetrag; Summe; Endbetrag; Zu zahlen; Rechnungsbetrag; Gesamt brutto | Total TTC; Montant total; Net à payer; Somme à payer; Total | Total; Importe total; Total a pagar; Total factura | Totale; Totale fattura; Totale da pagare; Importo | Totaal; Te betalen; Totaalbedrag; Totaal incl. btw | Razem; Do zapłaty; Suma; Razem brutto | Total; Total a pagar; Valor total
vat_id | USt-IdNr.; UID; Steuernummer; USt-ID | N° TVA; TVA intracom.; N° TVA intracommunautaire | NIF; CIF; NIF/CIF | Partita IVA; P.IVA; P. IVA | Btw-nummer; Btw-id; BTW | NIP; Numer VAT | NIF; Contribuinte n.º; NIPC
iban | IBAN; Kontonummer; Bankverbindung | IBAN; Compte; Coordonnées bancaires | IBAN; Cuenta; Cuenta bancaria | IBAN; Conto; Coordinate bancarie | IBAN; Rekeningnummer; Bankrekening | IBAN; Nr konta; Rachunek | IBAN; Conta; NIB
terms | Zahlungsbedingungen; Zahlbar | Conditions; Conditions de paiement; Règlement | Condiciones; Forma de pago | Condizioni; Pagamento; Termini | Betalingsvoorwaarden; Voorwaarden | Warunki płatności | Condições; Condições de pagamento
payment | Zahlungsart; Bezahlt mit; Zahlweise | Mode de paiement; Réglé par; Paiement | Forma de pago; Pagado con; Pago | Pagamento; Metodo di pagamento; Pagato con | Betaalwijze; Betaald met; Betaling | Forma płatności; Zapłacono; Płatność | Forma de pagamento; Pago com
store | Markt; Filiale; Geschäft; Verkauft durch | Magasin; Boutique; Vendu par | Tienda; Vendido por | Negozio; Venduto da; Punto vendita | Winkel; Filiaal; Verkocht door | Sklep; Sprzedawca | Loja; Vendido por
time | Uhrzeit; Zeit | Heure | Hora | Ora; Ore | Tijd; Tijdstip | Godzina; Godz. | Hora
receipt_number | Bon-Nr.; Belegnr.; Kassenbon | Ticket n°; N° de ticket; Reçu n° | Ticket n.º; Recibo n.º | Scontrino n.; Ricevuta n. | Bonnummer; Bon nr.; Kassabon | Paragon nr; Nr paragonu | Recibo n.º; Talão n.º
cash | Bar; Gegeben; Bar erhalten | Espèces; Reçu; Montant reçu | Efectivo; Entregado | Contanti; Ricevuto | Contant; Ontvangen | Gotówka; Otrzymano | Dinheiro; Entregue
change | Rückgeld; Zurück | Rendu; Monnaie; À rendre | Cambio; Devuelto | Resto | Wisselgeld; Terug | Reszta | Troco
recipient | Empfänger; Lieferung an | Destinataire; Livré à | Destinatario; Entregar a | Destinatario; Consegnare a | Ontvanger; Geleverd aan | Odbiorca | Destinatário; Entregar a
recipient_address | Lieferanschrift; Lieferadresse | Adresse de livraison; Livraison | Dirección de entrega | Indirizzo di consegna; Destinazione | Afleveradres; Bezorgadres | Adres dostawy | Morada de entrega; Endereço de entrega
sender | Absender; Versender | Expéditeur | Remitente; Expedidor | Mittente | Afzender | Nadawca | Remetente
delivery_number | Lieferschein-Nr.; Lieferschein; LS-Nr. | Bon de livraison n°; BL n° | Albarán n.º | DDT n.; Bolla n. | Pakbonnummer; Pakbon | Nr dostawy; WZ nr | Guia n.º
delivery_date | Lieferdatum; Geliefert am | Date de livraison; Livré le | Fecha de entrega | Data consegna; Consegnato il | Leverdatum; Geleverd op | Data dostawy; Data sprzedaży | Data de entrega
customer | Kunde; Name; Auftraggeber | Client; Nom; Nom de l'abonné | Cliente; Nombre | Cliente; Nome; Intestatario | Klant; Naam | Klient; Imię i nazwisko | Cliente; Nome
email | E-Mail; Mailadresse | Courriel; Adresse e-mail; Mél | Correo electrónico; Correo | E-mail; Posta elettronica | E-mailadres; E-mail | Adres e-mail; E-mail | Correio eletrónico; E-mail
phone | Telefon; Tel.; Rückruf unter | Téléphone; Tél. | Teléfono; Tel. | Telefono; Tel. | Telefoon; Tel. | Telefon; Tel. | Telefone; Tel.
product | Artikel; Produkt; Ware | Article; Produit; Désignation | Artículo; Producto | Articolo; Prodotto | Artikel; Product; Omschrijving | Towar; Produkt; Nazwa towaru | Artigo; Produto
quantity | Menge; Anzahl | Quantité; Qté | Cantidad; Unidades | Quantità; Q.tà | Aantal; Hoeveelheid | Ilość | Quantidade; Qtd.
guest | Gast; Gastname | Client; Voyageur | Huésped; Cliente | Ospite | Gast; Naam gast | Gość | Hóspede
check_in | Anreise; Ankunft | Arrivée; Date d'arrivée | Entrada; Llegada | Arrivo; Check-in | Aankomst; Incheckdatum | Przyjazd; Zameldowanie | Entrada; Chegada
check_out | Abreise | Départ; Date de départ | Salida | Partenza; Check-out | Vertrek; Uitcheckdatum | Wyjazd; Wymeldowanie | Saída; Partida
booking_number | Buchungsnr.; Buchungsnummer; Reservierung | N° de réservation; Réservation | Reserva; N.º de reserva | Prenotazione n.; Codice prenotazione | Boekingsnummer; Reservering | Nr rezerwacji; Rezerwacja | Reserva n.º
birth_date | Geburtsdatum; geb. am | Date de naissance; Né(e) le | Fecha de nacimiento | Data di nascita; Nato il | Geboortedatum | Data urodzenia | Data de nascimento
patient | Patient; Patientin; Name des Patienten | Patient; Nom du patient | Paciente | Paziente | Patiënt; Naam patiënt | Pacjent | Paciente
employee | Mitarbeiter; Arbeitnehmer | Salarié; Employé | Empleado; Trabajador | Dipendente; Lavoratore | Werknemer; Medewerker | Pracownik | Empregado; Trabalhador
employer | Arbeitgeber; Firma | Employeur; Entreprise | Empresa; Empleador | Datore di lavoro; Azienda | Werkgever | Pracodawca; Firma | Empregador; Empresa
policy_number | Policennr.; Versicherungsschein-Nr. | N° de police; Contrat n° | N.º de póliza; Póliza | Polizza n. | Polisnummer | Nr polisy | Apólice n.º
contract_number | Vertragsnr.; Vertragsnummer | N° de contrat; Contrat | N.º de contrato | Contratto n.; N. contratto | Contractnummer | Nr umowy; Umowa | Contrato n.º
rent | Kaltmiete; Miete; Nettomiete | Loyer; Loyer mensuel | Alquiler; Renta | Canone; Affitto | Huur; Huurprijs | Czynsz | Renda; Aluguel
deposit | Kaution; Anzahlung | Dépôt de garantie; Acompte; Caution | Fianza; Depósito | Deposito; Cauzione; Acconto | Borg; Waarborgsom; Aanbetaling | Kaucja; Zaliczka | Caução; Depósito
holder | Kontoinhaber; Inhaber | Titulaire; Titulaire du compte | Titular | Intestatario; Titolare | Rekeninghouder | Posiadacz; Właściciel rachunku | Titular
plate | Kennzeichen; Amtl. Kennzeichen | Immatriculation; Plaque | Matrícula | Targa | Kenteken | Nr rejestracyjny | Matrícula; Placa
"""  # noqa: E501
_LANGUAGES = 7


def _labels() -> dict[str, tuple[tuple[str, ...], ...]]:
    table = {}
    for line in _TABLE.strip().splitlines():
        key, *cells = (part.strip() for part in line.split("|"))
        table[key] = tuple(tuple(label.strip() for label in cell.split(";")) for cell in cells)
        assert len(cells) == _LANGUAGES, key
    return table


LABELS = _labels()
"""Key of a field -> its labels in each language."""


def in_another_language(rng: random.Random, specs: Sequence[FieldSpec]) -> list[FieldSpec]:
    """The fields with the labels of one other language, where it is known; they are asked for as before."""
    language = rng.randrange(_LANGUAGES)
    return [replace(spec, labels=LABELS[spec.key][language]) if spec.key in LABELS else spec for spec in specs]
