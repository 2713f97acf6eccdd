"""Imports everything that reading may need, before a parser is confined and has nothing left to load from."""

import importlib
import pkgutil

from appliance.documents import charset

_PACKAGES = ("appliance.documents", "email", "html", "xml.etree")
"""Packages of which reading a document can ask for any module, some of them only then."""
_ELSEWHERE = frozenset({"encodings.mbcs", "encodings.oem"})
"""Modules that exist on Windows only."""
_MODULES = ("_strptime", "stringprep", "unicodedata", "zipfile")

_PLAIN_MODULES = tuple(f"appliance.documents.{name}" for name in ("csv_table", "html", "parser_probe", "plain", "rtf"))
"""The readers of the plain family, and what a parser tries when it is asked how it is confined."""

_RECOGNITION_MODULES = ("rapidocr.ch_ppocr_rec.typings", "rapidocr.utils.process_img")
"""What is imported only when a page is recognised."""


def preload_plain_readers() -> None:
    """Imports the readers of the plain family, and every character set that a document may name.

    That is half of what all readers need: a folder of text files never pays for the other half.
    """
    _import_all_of("encodings")
    for name in (*_PLAIN_MODULES, *_MODULES):
        importlib.import_module(name)
    charset.warm_up()


def preload_readers() -> None:
    """Imports every reader, and every character set that a document may name.

    The libraries of text recognition are left out: they are ten times as large as all the rest, and the reader process
    loads them with `preload_text_recognition` when the first document needs them.
    """
    preload_plain_readers()
    for package in _PACKAGES:
        _import_all_of(package)


def _import_all_of(package: str) -> None:
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        if module.name not in _ELSEWHERE and not module.ispkg:
            importlib.import_module(module.name)


def preload_text_recognition() -> None:
    """Loads the libraries and models of text recognition; nothing where they are not installed."""
    from appliance.documents.text_recognition import preload_recognition, recognition_is_installed

    if recognition_is_installed():
        preload_recognition()
        for name in _RECOGNITION_MODULES:
            importlib.import_module(name)
