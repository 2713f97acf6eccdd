"""Text recognition (OCR) with rapidocr, whose models come with its package: the optional extra `ocr`.

What has to come from disk is loaded by `preload_recognition`, before a parser is confined; sessions start threads and
are therefore made where they are used. Recognition runs on the onnxruntime that is installed for the students.
"""

import importlib.util
import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from appliance.documents.layout import Piece, has_columns
from appliance.documents.problems import DocumentError, Problem

LONGEST_SIDE = 1600
"""Pixels; larger images are made smaller: the detector finds nothing more in them."""
_SURE_ENOUGH = 0.5
"""Score of a line below which it is a smudge rather than text."""
_TALL = 1.5
_MOST = 0.5
"""Share of lines that must agree before a page is turned."""
_MODELS = {
    "det": "PP-OCRv6_det_small.onnx",
    "cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "rec": "PP-OCRv6_rec_small.onnx",
}
_UPSIDE_DOWN = "180"


@dataclass(frozen=True)
class _Loaded:
    """What came from disk."""

    settings: Any
    models: dict[str, bytes]


@dataclass(frozen=True)
class _Engine:
    """The three steps: where lines are, which way up they are, what they say."""

    find: Any
    turn: Any
    read: Any


def recognition_is_installed() -> bool:
    """Whether the extra `ocr` is there."""
    return importlib.util.find_spec("rapidocr") is not None


def preload_recognition() -> None:
    """Imports the libraries and reads the models, so that recognition needs no file any more; nothing without `ocr`."""
    if recognition_is_installed():
        _loaded()


@cache
def _loaded() -> _Loaded:
    import cv2
    import onnxruntime  # noqa: F401  (here for what it loads)
    import PIL.Image
    import rapidocr.ch_ppocr_cls.main
    import rapidocr.ch_ppocr_det.main
    import rapidocr.ch_ppocr_rec.main
    import rapidocr.inference_engine.onnxruntime
    from rapidocr.utils.parse_parameters import ParseParams

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    cv2.setNumThreads(1)
    PIL.Image.init()
    folder = Path(rapidocr.__file__).parent
    models = {step: (folder / "models" / name).read_bytes() for step, name in _MODELS.items()}
    return _Loaded(ParseParams.load(folder / "config.yaml"), models)


@cache
def _engine() -> _Engine:
    import onnxruntime
    from rapidocr.ch_ppocr_cls.main import TextClassifier
    from rapidocr.ch_ppocr_det.main import TextDetector
    from rapidocr.ch_ppocr_rec.main import TextRecognizer

    loaded = _loaded()
    options = onnxruntime.SessionOptions()
    # Several readers run beside each other: one thread each is what the machine has for them.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4

    def part(section: str, step: str) -> Any:
        settings = loaded.settings[section].copy()
        settings._set_flag("allow_objects", True)
        settings.session = onnxruntime.InferenceSession(
            loaded.models[step], options, providers=["CPUExecutionProvider"]
        )
        settings.font_path = None
        return settings

    return _Engine(
        TextDetector(part("Det", "det")), TextClassifier(part("Cls", "cls")), TextRecognizer(part("Rec", "rec"))
    )


def recognise(image: Any) -> list[Piece]:
    """Lines of text in an image, with their places, in reading order.

    Args:
        image: uint8 array (height, width, 3), blue first. Pages that lie on their side or upside down are turned.

    Raises:
        DocumentError: The extra `ocr` is missing.
    """
    if not recognition_is_installed():
        raise DocumentError(
            Problem.UNSUPPORTED, "text recognition is not installed", "install the extra: pip install 'stillroom[ocr]'"
        )
    import numpy as np

    pieces, upright = _read_page(np.ascontiguousarray(image))
    if upright:
        return pieces
    return _read_page(np.ascontiguousarray(np.rot90(image, 2)))[0]


def _read_page(image: Any) -> tuple[list[Piece], bool]:
    """Lines of a page, and whether it stands upright; one on its side is turned first."""
    import numpy as np

    boxes = _boxes(image)
    if boxes and sum(_is_tall(box) for box in boxes) > _MOST * len(boxes):
        image = np.ascontiguousarray(np.rot90(image))
        boxes = _boxes(image)
    if not boxes:
        return [], True
    from rapidocr.ch_ppocr_rec.typings import TextRecInput
    from rapidocr.utils.process_img import get_rotate_crop_image

    turned = _engine().turn([get_rotate_crop_image(image, box) for box in boxes])
    upside_down = sum(_UPSIDE_DOWN in label for label, _ in turned.cls_res)
    if upside_down > _MOST * len(boxes):
        return [], False
    read = _engine().read(TextRecInput(img=turned.img_list))
    pieces = [
        Piece(" ".join(text.split()), *_place(box))
        for text, score, box in zip(read.txts, read.scores, boxes, strict=True)
        if text.strip() and score >= _SURE_ENOUGH
    ]
    return _column_order(pieces) if has_columns(pieces) else pieces, True


def _boxes(image: Any) -> list[Any]:
    boxes = _engine().find(image).boxes
    return [] if boxes is None else list(boxes)


def _is_tall(box: Any) -> bool:
    left, right, bottom, top = _place(box)
    return top - bottom > _TALL * (right - left)


def _place(box: Any) -> tuple[float, float, float, float]:
    """Left, right, bottom, top; images count y downwards."""
    xs, ys = [float(x) for x, _ in box], [float(y) for _, y in box]
    return min(xs), max(xs), -max(ys), -min(ys)


def _column_order(pieces: list[Piece]) -> list[Piece]:
    """Column by column: the page is cut along the widest upright strip that hardly any line crosses."""
    cut = _gutter(pieces)
    if cut is None:
        return sorted(pieces, key=lambda piece: (-piece.top, piece.left))
    ordered: list[Piece] = []
    band: list[Piece] = []
    # What crosses the strip, such as a title, ends the columns above it.
    for piece in sorted(pieces, key=lambda piece: -(piece.top + piece.bottom)):
        if piece.left < cut < piece.right:
            ordered += [*_band(band, cut), piece]
            band = []
        else:
            band.append(piece)
    return [*ordered, *_band(band, cut)]


def _band(pieces: list[Piece], cut: float) -> list[Piece]:
    left = [piece for piece in pieces if piece.right <= cut]
    right = [piece for piece in pieces if piece.right > cut]
    return left + (_column_order(right) if has_columns(right) else right)


def _gutter(pieces: list[Piece]) -> float | None:
    """x of a strip with text on both sides that at most one line in ten crosses; the leftmost such strip."""
    prose = [piece for piece in pieces if piece.is_prose]
    for cut in sorted({piece.right + 1 for piece in prose}):
        crossed = sum(piece.left < cut < piece.right for piece in pieces)
        left = sum(piece.right <= cut for piece in prose)
        right = sum(piece.left >= cut for piece in prose)
        if crossed <= 0.1 * len(pieces) and min(left, right) >= 3:
            return cut
    return None
