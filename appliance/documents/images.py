"""Images to text: a photo or a scan of a page goes through text recognition, each page of a TIFF by itself."""

import io
import warnings
from typing import Any

from appliance.documents.layout import page_lines
from appliance.documents.media_names import image_name
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.text_lines import Lines
from appliance.documents.text_recognition import LONGEST_SIDE, recognise, recognition_is_installed
from appliance.ground.text import human_count

MAX_PIXELS = 120_000_000
"""An A3 sheet at 600 dots per inch has 70 million."""
MAX_PAGES = 50
_NOT_EVERYWHERE = ("an AVIF image", "a JPEG 2000 image")
_FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "JPEG2000", "AVIF")


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
    pages, unread_frames = _pages(data)
    for number, page in enumerate(pages):
        page_text = page_lines(recognise(page))
        if page_text:
            lines.add(("\n" if lines and number else "") + "\n".join(page_text))
    notes = ["the text was recognised in an image"]
    if unread_frames:
        notes.append(f"{human_count(unread_frames, 'further picture')} of the animation not read")
    return lines.text(), notes


def _pages(data: bytes) -> tuple[list[Any], int]:
    """Pages of the image as arrays (height, width, 3), blue first; and how many further pictures a film has."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow warns of large images; the limit here is our own.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                frames = int(getattr(image, "n_frames", 1))
                count = frames if image.format == "TIFF" else 1
                if count > MAX_PAGES:
                    raise DocumentError(Problem.TOO_LARGE, f"the image has {count} pages; the limit is {MAX_PAGES}")
                return [_page(image, number) for number in range(count)], frames - count
    except Image.DecompressionBombError as error:
        raise DocumentError(Problem.TOO_LARGE, f"the image has more than {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        # Not every build of Pillow decodes the newer kinds.
        name = image_name(data) or "an image"
        problem = Problem.UNSUPPORTED if name in _NOT_EVERYWHERE else Problem.UNREADABLE
        raise DocumentError(problem, f"{name} that cannot be decoded here", "save it as PDF, JPEG or PNG") from error
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
