"""Images to text: a photo or a scan of a page goes through text recognition, each page of a TIFF by itself."""

import io
import warnings
from typing import Any

from appliance.documents.layout import page_lines
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sniffing import image_name
from appliance.documents.text_lines import Lines
from appliance.documents.text_recognition import LONGEST_SIDE, recognise, recognition_is_installed

MAX_PIXELS = 120_000_000
"""An A3 sheet at 600 dots per inch has 70 million."""
MAX_PAGES = 50
_FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")


def read_image(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of an image.

    Raises:
        DocumentError: Recognition is not installed, or the image is broken or too large.
    """
    if not recognition_is_installed():
        raise DocumentError(
            Problem.UNSUPPORTED,
            f"this is {image_name(data)}, and text recognition is not installed",
            "install the extra: pip install 'stillroom[ocr]'",
        )
    lines = Lines()
    for number, page in enumerate(_pages(data)):
        page_text = page_lines(recognise(page))
        if page_text:
            lines.add(("\n" if lines and number else "") + "\n".join(page_text))
    return lines.text(), ["the text was recognised in an image"]


def _pages(data: bytes) -> list[Any]:
    """Pages of the image as arrays (height, width, 3), blue first."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow warns of large images; the limit here is our own.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
                if count > MAX_PAGES:
                    raise DocumentError(Problem.TOO_LARGE, f"the image has {count} pages; the limit is {MAX_PAGES}")
                return [_page(image, number) for number in range(count)]
    except Image.DecompressionBombError as error:
        raise DocumentError(Problem.TOO_LARGE, f"the image has more than {MAX_PIXELS:,} pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise DocumentError(Problem.UNREADABLE, f"the image is broken: {error}") from error


def _page(image: Any, number: int) -> Any:
    import numpy as np
    from PIL import ImageOps

    image.seek(number)
    if image.width * image.height > MAX_PIXELS:
        raise DocumentError(Problem.TOO_LARGE, f"the image has more than {MAX_PIXELS:,} pixels")
    image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    page = ImageOps.exif_transpose(_on_white(image))
    page.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return np.asarray(page)[:, :, ::-1]


def _on_white(image: Any) -> Any:
    """The image in plain colours; what is transparent is white, as on paper."""
    from PIL import Image

    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        paper = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(paper, layered).convert("RGB")
    if image.mode in ("I", "I;16", "I;16B", "F"):
        # Sixteen bits a pixel: what counts are the upper ones.
        return image.point(lambda value: value / 256 if image.mode != "F" else value).convert("L").convert("RGB")
    return image.convert("RGB")
