"""docs/security.md names only tests and modules that exist."""

import re
from pathlib import Path

ROOT_DIR = Path(__file__).parents[1]
PAGE = (ROOT_DIR / "docs" / "security.md").read_text("utf-8")
PLACES = (ROOT_DIR / "tests" / "appliance", ROOT_DIR / "tests", ROOT_DIR / "appliance")
MOST_LINES = 170


def source(name: str) -> Path | None:
    """The file of this name below one of the places that the page names."""
    return next((place / name for place in PLACES if (place / name).is_file()), None)


def test_every_test_on_the_page_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 40
    missing = [
        f"{path}::{test}"
        for path, test in named
        if (file := source(path)) is None or f"def {test}(" not in file.read_text("utf-8")
    ]
    assert missing == []


def test_every_module_on_the_page_exists() -> None:
    modules = re.findall(r"`([\w/]+\.py)`", PAGE)
    assert modules
    assert [module for module in modules if source(module) is None] == []


def test_page_stays_a_page_to_read() -> None:
    assert len(PAGE.splitlines()) <= MOST_LINES
    assert "security.md" in (ROOT_DIR / "README.md").read_text("utf-8")
