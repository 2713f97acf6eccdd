"""Only `appliance/answering` opens an engine or a frontier."""

import ast

from tests.source_trees import ROOT, nodes_of_files

OPENERS = {"open_engine", "start_engine", "open_frontier", "open_gate", "open_client", "FrontierClient"}
DEFINED_IN = {"appliance/engines/open.py", "appliance/engines/frontier_client.py", "appliance/routing/egress.py"}


def used_names(nodes: list[ast.AST]) -> set[str]:
    """Names of all functions that are called, and all that are imported from other modules."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Call):
            called = node.func
            names.add(called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", ""))
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names}
    return names


def test_engines_and_frontiers_are_opened_in_answering_only() -> None:
    offenders = []
    for path, nodes in nodes_of_files(OPENERS):
        name = str(path.relative_to(ROOT))
        if not name.startswith("appliance/answering/") and name not in DEFINED_IN:
            offenders += [f"{name}: {each}" for each in sorted(used_names(nodes) & OPENERS)]
    assert offenders == []
