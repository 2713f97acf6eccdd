"""README.md's first result, as it is typed: the commands in their order, in a clean home, and none beside them."""

import json
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.models.manifest import write_artifact
from tests.noop_fixtures import TASK, noop_manifest

README = Path(__file__).parents[1] / "README.md"
EXPORTED = Path("my-task/runs/20260101-000000/export/gguf-q8_0")
ORDER = "an order\nnumber: n{0}\ntotal: {0}.50\n"


def blocks() -> list[str]:
    """The blocks of commands below `First result`."""
    section = README.read_text("utf-8").partition("\n## First result\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def typed(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Types the lines into a shell in the folder, with an empty home; the first that fails ends it."""
    programs = folder / "bin"
    programs.mkdir()
    program = programs / "stillroom"
    call = "import sys; from appliance.cli import main; sys.exit(main())"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{call}' \"$@\"\n")
    program.chmod(0o755)
    (folder / "home").mkdir()
    environment = {
        "HOME": str(folder / "home"), "PATH": f"{programs}:{os.defpath}", "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", "STILLROOM_THREADS": "1",
    }  # fmt: skip
    return subprocess.run(
        ["bash", "-exc", script], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=1500
    )


def test_artifact_is_judged_installed_activated_and_run_as_typed(tmp_path: Path) -> None:
    _, script = blocks()
    (tmp_path / "my-task" / "dataset").mkdir(parents=True)
    (tmp_path / "folder").mkdir()
    task_path = tmp_path / "my-task" / "task.toml"
    task_path.write_text(TASK.replace('"orders"', '"my-task"'))
    rows = [{"text": ORDER.format(n), "answer": {"number": f"n{n}", "total": f"{n}.50"}} for n in range(140)]
    (tmp_path / "my-task" / "dataset" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "folder" / "a.txt").write_text(ORDER.format(7))
    manifest = replace(noop_manifest(task_path), name="my-task-gguf-q8_0")
    write_artifact(tmp_path / EXPORTED, manifest, {"task.toml": task_path})
    done = typed(script, tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = map(json.loads, (tmp_path / "rows" / "rows.jsonl").read_text().splitlines())
    assert (row["fields"], row["unsafe"]) == ({"number": "n7", "total": "7.50"}, False)


@pytest.mark.slow
def test_task_is_distilled_and_exported_as_typed(tmp_path: Path) -> None:
    """Without the demo, which a test of its own runs, and the environment, which is this one."""
    script = re.sub(r"^(source|stillroom demo) .*\n", "", blocks()[0], flags=re.MULTILINE)
    (tmp_path / "folder").mkdir()
    lines = []
    for number in range(10):
        draw = random.Random(number)
        answer = {
            "invoice_number": f"R-{draw.randrange(1000, 9999)}", "due_date": f"{draw.randrange(10, 28)}.11.2024",
            "total": f"{draw.randrange(1, 900)}.{draw.randrange(10, 99)}", "payment": draw.choice(["transfer", "card"]),
        }  # fmt: skip
        text = "".join(f"{name.replace('_', ' ').capitalize()}: {value}\n" for name, value in answer.items())
        (tmp_path / "folder" / f"{number}.txt").write_text(text)
        lines.append(json.dumps({"document": f"{number}.txt", "answer": answer}))
    (tmp_path / "answers.jsonl").write_text("\n".join(lines) + "\n")
    done = typed(script, tmp_path)
    assert done.returncode == 0, done.stderr
    (artifact_dir,) = (tmp_path / "my-task" / "runs").glob("*/export/gguf-q8_0")
    assert json.loads((artifact_dir / "manifest.json").read_text())["name"] == "my-task-gguf-q8_0"
