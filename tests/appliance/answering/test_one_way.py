"""Only `appliance/answering` opens an engine or a frontier."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]
OPENERS = {"open_engine", "start_engine", "open_frontier", "open_gate", "open_client", "FrontierClient"}
DEFINED_IN = {"appliance/engines/open.py", "appliance/engines/frontier_client.py", "appliance/routing/egress.py"}


def called_names(path: Path) -> set[str]:
    """Names of all functions that are called in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            names.add(called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", ""))
    return names


def imported_names(path: Path) -> set[str]:
    """Names that the file imports from other modules."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_engines_and_frontiers_are_opened_in_answering_only() -> None:
    offenders = []
    for package in ("appliance", "training", "export", "tui"):
        for path in (ROOT / package).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            if name.startswith("appliance/answering/") or name in DEFINED_IN:
                continue
            used = (called_names(path) | imported_names(path)) & OPENERS
            offenders += [f"{name}: {each}" for each in sorted(used)]
    assert offenders == []
