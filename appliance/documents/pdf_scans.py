"""Pages of a PDF that are pictures: which are, and what text recognition finds on them."""

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from appliance.documents.layout import page_lines
from appliance.documents.text_recognition import LONGEST_SIDE, recognise

_SCANNED_SHARE = 0.5
_FINEST_SCALE = 300 / 72
_MAX_OBJECTS_DEEP = 5


def is_scan(page: pypdfium2.PdfPage) -> bool:
    """Whether a picture covers most of the page; several strips of one scan count together."""
    width, height = page.get_size()
    covered = 0.0
    for item in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=_MAX_OBJECTS_DEEP):
        try:
            left, bottom, right, top = item.get_bounds()
        except pypdfium2.PdfiumError:
            continue
        covered += max(right - left, 0.0) * max(top - bottom, 0.0)
    return covered > _SCANNED_SHARE * float(width * height)


def recognised_text(page: pypdfium2.PdfPage) -> str:
    """What text recognition reads on the page as it is shown; nothing on one without a size."""
    if not all(page.get_size()):
        return ""
    scale = min(LONGEST_SIDE / max(*page.get_size(), 1.0), _FINEST_SCALE)
    bitmap = page.render(scale=scale, rev_byteorder=False, may_draw_forms=False)
    image = bitmap.to_numpy()
    text = "\n".join(page_lines(recognise(image[:, :, :3] if image.ndim == 3 else image[:, :, None].repeat(3, axis=2))))
    bitmap.close()
    return text
