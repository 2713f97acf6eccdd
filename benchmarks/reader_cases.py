"""Files that went wrong in other programs: what the readers make of them, against what must and must not come out.

The files lie in a folder of their own, one kind in each folder below it; nothing here builds any. Runs of blanks count
as one blank. A refused file is judged by its message in place of notes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.documents.problems import DocumentError
from appliance.documents.sandbox import Reader, ReaderLimits
from benchmarks.reader_cases_mail import MAIL_CASES, Case

_WAYBILL = (
    "Freight note\nConsignee Halvard Timber Ltd Bergen\nWaybill WB-90313 12 May 2025\nItem Qty Price\nPlaned spruce 14"
    " 1,204.00\nOak beam 3 655.20\nTotal due 1,859.20 NOK",
)
_NOTE = ("Delivery note", "Total: 1,234.50 EUR", "Recipient: Tamsin Oyelaran")
_FAX = ("Order number: FX-8812", "Customer: Wilma Stroud", "Total: 431.75 EUR")
_HEIC = ((), (), ("a HEIC photo",))

PAGE_CASES: tuple[Case, ...] = (
    ("pdf_cropbox/crop.pdf", ("Total: 10.00 EUR",), ("99.00",), ("outside of the visible page",)),
    ("pdf_fake_bold/bold.pdf", _NOTE, (), ()),
    (
        "pdf_form_checkbox_state/boxes.pdf",
        ("Pets kept in the flat: [ ] Yes [x] No", "Smoker: [x] Yes [ ] No"), (), (),
    ),
    (
        "pdf_form_no_appearance/form.pdf",
        ("Customer: Ilse Brandvik", "Order number: RO-77120", "Amount due: 418.60 EUR"), (), (),
    ),
    (
        "pdf_form_no_appearance/form_empty_placeholder_appearance.pdf",
        ("Customer: Ilse Brandvik", "Amount due: 418.60 EUR"), (), (),
    ),
    ("pdf_hidden_layer/layer.pdf", ("Total: 300.00 EUR",), ("Draft",), ("in layers that are switched off",)),
    ("pdf_owner_password/owner.pdf", _NOTE, (), ()),
    (
        "pdf_rotated_page/rotate180.pdf",
        ("Consignee Halvard Timber Ltd\nWaybill WB-90313\nTotal due 1,859.20 NOK",), (), (),
    ),
    ("pdf_rotated_page/rotate270.pdf", _WAYBILL, (), ()),
    ("pdf_rotated_page/rotate90.pdf", _WAYBILL, (), ()),
    ("pdf_rotated_page/sideways_text_rotate0.pdf", _WAYBILL, (), ()),
    ("pdf_vertical_stamp/stamp.pdf", ("Hinge 4 8.00\nLock 1 22.50\nHandle 2 11.00",), (), ()),
    ("pdf_watermark/wm.pdf", ("Customer: Wilma Stroud\nStreet: 5 Elm Row",), (), ()),
    ("pdf_xfa_placeholder/dynamic_xfa.pdf", ("Rosa Quendt", "932.40"), ("Please wait",), ("XFA",)),
    ("html_br_inline/br.html", ("Ship to:\nAldo Freund\n12 Quay St\nHull", "Total*: 1 234,50 €"), (), ()),
    ("html_charset_conflict/late_meta.html", ("Счёт 15 от 3 мая",), (), ()),
    ("html_charset_conflict/utf8_declared_latin1.html", ("Jörg Müßig, Zürich", "12,50 €"), ("Ã",), ("does not fit",)),
    (
        "html_form_values/form.html",
        ("Name Petra Lindqvist", "Country Sweden", "[x] Newsletter [ ] Phone calls", "Deliver after 5 pm"),
        ("Norway", "Denmark", "csrf-1"), (),
    ),
    (
        "html_hidden_optional_end/list_row.html",
        ("Item\tPrice\nChair\t49.00\nTotal\t49.00\nShip by 3 May\nThank you",), ("Template", "draft"), ("hidden text",),
    ),
    (
        "html_hidden_optional_end/preheader.html",
        ("Booking reference: QX-2207\nGuest: Mirela Anand\nTotal: 512.00 EUR",), ("Preview",), ("hidden text",),
    ),
    ("image_cmyk_jpeg/cmyk.jpg", _FAX, (), ("recognised",)),
    ("image_fax_resolution/fax.tif", _FAX, (), ("recognised",)),
    ("image_heic/ftyp18.heic", *_HEIC),
    ("image_heic/ftyp24.heic", *_HEIC),
    ("image_heic/ftyp28.heic", *_HEIC),
)  # fmt: skip
ALL_CASES = PAGE_CASES + MAIL_CASES


@dataclass(frozen=True)
class CaseResult:
    """What came of one file."""

    file: str
    faults: tuple[str, ...]
    """What is missing or should not be there."""


def read_cases(folder: Path, limits: ReaderLimits, cases: Sequence[Case] = ALL_CASES) -> list[CaseResult]:
    """Every file of the table that is in the folder, through the sandboxed reader."""
    reader = Reader(limits)
    results = []
    for file, present, absent, notes in cases:
        if not (folder / file).is_file():
            continue
        try:
            reader.start(folder, file.encode())
            assert reader.connection is not None
            reader.connection.poll(limits.longest_wait_seconds)
            reply = reader.finish()
            text, remarks = reply.text, [*reply.notes, reply.message]
        except DocumentError as error:
            text, remarks = "", [error.message]
        results.append(CaseResult(file, tuple(_faults(text, "\n".join(remarks), present, absent, notes))))
    reader.close()
    return results


def _faults(
    text: str, remarks: str, present: Iterable[str], absent: Iterable[str], notes: Iterable[str]
) -> Iterable[str]:
    plain = re.sub(" {2,}", " ", text)
    yield from (f"lacks {part!r}" for part in present if re.sub(" {2,}", " ", part) not in plain)
    yield from (f"holds {part!r}" for part in absent if part in plain)
    yield from (f"no note of {part!r}" for part in notes if part not in remarks)


def case_figures(results: Sequence[CaseResult]) -> dict[str, int]:
    """How many files came out right."""
    return {"files": len(results), "right": sum(not result.faults for result in results)}
