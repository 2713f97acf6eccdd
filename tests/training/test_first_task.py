"""docs/first-task.md as it is typed: the commands in their order, with documents and a teacher that stand ready."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.appliance.frontier_fixtures import frontier_bench

PAGE = Path(__file__).parents[2] / "docs" / "first-task.md"
TASK = """version = 2
name = "invoices"
kind = "extract"
instruction = "Read the invoice"
data_class = "internal"

[[fields]]
name = "invoice_number"
required = true

[[fields]]
name = "due_date"
type = "date"

[[fields]]
name = "total"
type = "amount"
required = true

[student]
base = "stillroom-base"
"""
DOCUMENTS, LABELLED, JUDGED = 60, 10, 120
ANSWERS_OTHERWISE = {"gate": (0, 3)}
"""Verb -> exit codes that are no failure: a verdict that is not READY is one of the page's ways on."""


def commands() -> list[str]:
    """The commands of the page, in order."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("stillroom ")]


def invoice(number: int) -> tuple[str, dict[str, str | None]]:
    draw = random.Random(number)
    answer: dict[str, str | None] = {
        "invoice_number": f"R-{draw.randrange(1000, 9999)}",
        "due_date": f"{draw.randrange(13, 28)}.11.2024" if draw.random() < 0.8 else None,
        "total": f"{draw.randrange(1, 900)}.{draw.randrange(10, 99)}",
    }
    words = {"invoice_number": "Invoice number", "due_date": "Due date", "total": "Total"}
    lines = [f"{words[name]}: {value}" for name, value in answer.items() if value]
    draw.shuffle(lines)
    return "\n".join([f"Letter {number}", *lines]), answer


def write_documents(
    folder: Path, drawn: list[tuple[str, dict[str, str | None]]], labels_path: Path, labelled: int
) -> None:
    folder.mkdir()
    rows = []
    for number, (text, answer) in enumerate(drawn):
        (folder / f"{number}.txt").write_text(text)
        rows.append({"document": f"{number}.txt", "answer": answer, "source": "person"})
    labels_path.write_text("".join(json.dumps(row) + "\n" for row in rows[:labelled]))


@pytest.mark.slow
def test_the_page_leads_from_ten_documents_to_a_verdict(tmp_path: Path) -> None:
    drawn = [invoice(number) for number in range(DOCUMENTS)]
    write_documents(tmp_path / "documents", drawn, tmp_path / "labelled.jsonl", LABELLED)
    later = [invoice(1000 + number) for number in range(JUDGED)]
    write_documents(tmp_path / "later", later, tmp_path / "judged.jsonl", JUDGED)
    program = tmp_path / "bin" / "stillroom"
    program.parent.mkdir()
    call = "import sys; from appliance.cli import main; sys.exit(main())"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{call}' \"$@\"\n")
    program.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    with frontier_bench(home, dict(drawn)) as bench:
        bench.configure(model="recorded-1", licence="may train our own models")
        # The page calls the teacher `large`.
        config = home / "config.toml"
        config.write_text(config.read_text().replace("[frontier.recorded]", "[frontier.large]"))
        environment = {
            **os.environ, "STILLROOM_HOME": str(home), "PATH": f"{program.parent}:{os.defpath}",
            "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "2",
        }  # fmt: skip
        typed = commands()
        assert {line.split()[1] for line in typed} >= {"new", "collect", "gate", "curate", "train", "merge", "export"}
        for line in typed:
            verb = line.split()[1]
            if verb == "tui":
                continue
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
            )
            assert done.returncode in ANSWERS_OTHERWISE.get(verb, (0,)), f"{line}\n{done.stdout}\n{done.stderr}"
            if verb == "new":
                (tmp_path / "invoices" / "task.toml").write_text(TASK)
        asked = len(bench.frontier.requests)
    # Every document was paid once: labelled ones for the verdict on the teacher, the others for their rows.
    assert asked == DOCUMENTS
    assert done.returncode == 0, done.stdout + done.stderr
    assert "READY" in done.stdout
    for page in ("data.html", "verdict.html"):
        assert "<script" not in (tmp_path / page).read_text()
