"""Text recognition: scans and images with known text, pages that lie on their side, and what is refused."""

import io
import subprocess
import sys
import zlib
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from appliance.documents import images
from appliance.documents.confinement import ParserLimits
from appliance.documents.document_text import read_document
from appliance.documents.pdf import _MAX_SCANNED_PAGES
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sandbox import ReaderLimits
from appliance.documents.sniffing import DocumentType
from appliance.documents.text_recognition import recognition_is_installed

needs_recognition = pytest.mark.skipif(not recognition_is_installed(), reason="the extra `ocr` is not installed")
FULL_PAGE_SECONDS = 6.0
"""Of processor time for a page full of text, as measured."""
LINES = ["Invoice number: 4711", "Total amount: 12.50 EUR", "Due date: 1 May 2026"]


def page(turned: int = 0) -> Image.Image:
    image = Image.new("RGB", (640, 320), "white")
    font = ImageFont.load_default(36)
    for number, line in enumerate(LINES):
        ImageDraw.Draw(image).text((40, 40 + 80 * number), line, "black", font=font)
    return image.rotate(turned, expand=True)


def image_bytes(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def scanned_pdf(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=image.size)
    canvas.drawImage(ImageReader(image), 0, 0, *image.size)
    canvas.showPage()
    canvas.drawString(72, 100, "this page has a text layer of its own")
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A small file that says that it is a large image."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    head = chunk(b"IHDR", width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def words(text: str) -> list[str]:
    return text.replace(":", " ").split()


@pytest.mark.slow
@needs_recognition
def test_scanned_page_is_recognised_and_pages_with_text_are_not() -> None:
    found = read_document(scanned_pdf(page()))
    assert words(found.text) == words(" ".join([*LINES, "this page has a text layer of its own"]))
    assert found.notes == ["text recognised in images on 1 page"]


@needs_recognition
@pytest.mark.slow
@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_image_is_read_whichever_way_it_lies(turned: int) -> None:
    found = read_document(image_bytes(page(turned)))
    assert found.document_type is DocumentType.IMAGE
    assert [words(line) for line in found.text.splitlines()] == [words(line) for line in LINES]
    assert found.notes == ["the text was recognised in an image"]


@needs_recognition
@pytest.mark.slow
@pytest.mark.parametrize("form", ["JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_forms_of_images(form: str) -> None:
    options = {"save_all": True, "append_images": [page()]} if form == "TIFF" else {}
    found = read_document(image_bytes(page(), form, **options))
    assert found.text.count("4711") == (2 if form == "TIFF" else 1)


@needs_recognition
@pytest.mark.slow
def test_transparent_image_is_read_as_on_white_paper() -> None:
    image = page().convert("RGBA")
    image.putdata([(0, 0, 0, 255 - red) for red, *_ in image.get_flattened_data()])
    assert "4711" in read_document(image_bytes(image)).text


@needs_recognition
@pytest.mark.slow
def test_columns_of_a_scan_are_not_mixed() -> None:
    image = Image.new("RGB", (1400, 500), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(26)
    left = [f"the left column says line number {index} here" for index in range(5)]
    right = [f"but the right column has line {index} over there" for index in range(5)]
    for x, column in ((40, left), (740, right)):
        for index, line in enumerate(column):
            draw.text((x, 40 + 60 * index), line, "black", font=font)
    assert [words(line) for line in read_document(image_bytes(image)).text.splitlines()] == [
        words(line) for line in left + right
    ]


@needs_recognition
def test_image_without_text_is_empty() -> None:
    with pytest.raises(DocumentError) as caught:
        read_document(image_bytes(Image.new("RGB", (64, 64), "white")))
    assert caught.value.problem is Problem.EMPTY


@needs_recognition
@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: image_bytes(page())[:300], Problem.UNREADABLE),
        (lambda: b"\x89PNG\r\n\x1a\n....", Problem.UNREADABLE),
        (lambda: png_of(11_000, 11_000), Problem.TOO_LARGE),
        (lambda: png_of(60_000, 60_000), Problem.TOO_LARGE),
    ],
    ids=["cut", "no-image", "bomb", "bigger-bomb"],
)
def test_broken_and_huge_images_are_named_failures(make: Callable[[], bytes], problem: Problem) -> None:
    with pytest.raises(DocumentError) as caught:
        read_document(make())
    assert caught.value.problem is problem


def test_without_the_extra_images_are_unsupported_and_scans_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.documents import pdf

    for module in (images, pdf):
        monkeypatch.setattr(module, "recognition_is_installed", lambda: False)
    with pytest.raises(DocumentError) as caught:
        read_document(image_bytes(page()))
    assert caught.value.problem is Problem.UNSUPPORTED
    assert "stillroom[ocr]" in caught.value.hint
    found = read_document(scanned_pdf(page()))
    assert found.notes == [
        "no text on 1 page", "1 scanned page not read: text recognition is not installed",
    ]  # fmt: skip


@pytest.mark.parametrize("limits", [ReaderLimits(), ParserLimits()], ids=["reader process", "parser"])
def test_all_scanned_pages_that_are_read_fit_into_the_time(limits: ReaderLimits | ParserLimits) -> None:
    assert limits.recognition_seconds > 1.2 * FULL_PAGE_SECONDS * max(_MAX_SCANNED_PAGES, images.MAX_PAGES)


@pytest.mark.parametrize("kind", ["JPEG2000", "AVIF", "WEBP", "GIF", "16 bits", "CMYK", "big TIFF"])
def test_images_of_all_kinds_are_decoded_into_their_colours(kind: str) -> None:
    image = Image.new("RGB", (40, 20), (250, 250, 250))
    image.paste((10, 10, 10), (0, 0, 20, 20))
    options: dict[str, object] = {}
    if kind == "16 bits":
        image, kind = Image.frombytes("I;16", (40, 20), (b"\x0a\x0a" * 20 + b"\xfa\xfa" * 20) * 20), "PNG"
    elif kind == "CMYK":
        image, kind = image.convert("CMYK"), "JPEG"
    elif kind == "big TIFF":
        kind, options = "TIFF", {"big_tiff": True}
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    (page,), frames = images._pages(buffer.getvalue())
    assert page.shape == (20, 40, 3)
    assert frames == 0
    assert page[:, 4:16].mean() < 40
    assert page[:, 24:36].mean() > 215


def test_importing_the_readers_loads_no_recognition() -> None:
    code = (
        "import appliance.documents.document_text, appliance.documents.pdf, appliance.documents.images, sys;"
        "print(sorted({'cv2', 'onnxruntime', 'rapidocr', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
