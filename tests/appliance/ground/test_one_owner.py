"""What the ground and the task folder own, nobody else does by hand."""

import ast

from tests.source_trees import ROOT, nodes_of_files

GROUND_CALLS = {"fcntl.flock", "sqlite3.connect", "os.replace", "pwd.getpwuid", "getpass.getuser"}
FOLDER_NAMES = {
    "dataset", "runs", "record.json", "metrics.jsonl", "requested_options.json",
    "train.jsonl", "validation.jsonl", "test.jsonl", "rejected.jsonl", "answers.jsonl",
}  # fmt: skip


def test_locks_databases_and_whole_files_are_made_in_the_ground_only() -> None:
    offenders = []
    for path, nodes in nodes_of_files(GROUND_CALLS):
        if path.is_relative_to(ROOT / "appliance" / "ground"):
            continue
        calls = [node.func for node in nodes if isinstance(node, ast.Call)]
        used = {ast.unparse(call) for call in calls if isinstance(call, ast.Attribute)} & GROUND_CALLS
        offenders += [f"{path.relative_to(ROOT)}: {call}" for call in sorted(used)]
    assert not offenders


def test_names_within_a_task_folder_are_spelled_in_one_module_only() -> None:
    offenders = []
    for path, nodes in nodes_of_files(FOLDER_NAMES):
        if path == ROOT / "appliance" / "tasks" / "folder.py":
            continue
        constants = [node for node in nodes if isinstance(node, ast.Constant)]
        spelled = {node.value for node in constants if isinstance(node.value, str)} & FOLDER_NAMES
        offenders += [f"{path.relative_to(ROOT)}: {name}" for name in sorted(spelled)]
    assert not offenders


def test_json_is_written_by_one_module_which_knows_no_nan() -> None:
    owner = ROOT / "appliance" / "ground" / "json_text.py"
    offenders = []
    for path, nodes in nodes_of_files(["dump"]):
        calls = [node.func for node in nodes if isinstance(node, ast.Call)]
        if path != owner and {"json.dumps", "json.dump"} & {ast.unparse(call) for call in calls}:
            offenders.append(str(path.relative_to(ROOT)))
    assert not offenders
