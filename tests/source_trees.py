"""The syntax trees of the project's modules, parsed where a word is in the text at all: tests of who may call what."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("appliance", "training", "export", "tui")


def nodes_of_files(words: Iterable[str]) -> Iterator[tuple[Path, list[ast.AST]]]:
    """Every module that holds one of the words, and all nodes of its tree."""
    wanted = tuple(words)
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text("utf-8")
            if any(word in text for word in wanted):
                yield path, list(ast.walk(ast.parse(text)))
