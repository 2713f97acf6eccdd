"""A comparison over documents with tables: lists of records beside each other, and their columns cell by cell."""

import json
from dataclasses import replace
from pathlib import Path

from appliance.models.manifest import write_artifact
from tests.appliance.jobs.test_record_jobs import bench_of, lines_of, page
from tests.noop_fixtures import noop_manifest


def test_columns_are_counted_beside_their_field(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "refuse")
    (tmp_path / "behaviour.json").write_text(json.dumps({"misread": "part 2 "}))
    files = {"task.toml": bench.task_path, "noop.json": tmp_path / "behaviour.json"}
    write_artifact(tmp_path / "other", replace(noop_manifest(bench.task_path), name="other"), files)
    gold = []
    for number in range(12):
        lines = lines_of(1 + number % 3)
        bench.write(f"{number:02}.txt", page(lines) + f"page {number}\n")
        known = lines if number % 4 else lines[1:]
        records = [{"what": what, "price": price} for what, price in known]
        answer = {"number": "17", "net": f"{sum(float(price) for _, price in lines):.2f}", "items": records}
        gold.append(json.dumps({"document": f"{number:02}.txt", "answer": answer}))
    labels = tmp_path / "gold.jsonl"
    labels.write_text("\n".join(gold) + "\n")
    report = tmp_path / "report.html"
    models = ["--model", str(tmp_path / "with-records"), "--model", str(tmp_path / "other")]
    words = ["compare", str(bench.task_path), str(bench.documents_dir), *models, "--labels", str(labels)]
    done = bench.call(*words, "--html", str(report))
    assert done.returncode == 0, done.stderr
    # Three of twelve documents have one line more than their gold: 21 of 24 cells are right.
    assert "items.what           87.5 % (" in done.stdout
    assert "of 24 cells" in done.stdout
    assert "items                same 100.0 % (" in done.stdout
    assert "cells of items.price right" in report.read_text("utf-8")
    fields = json.loads(bench.call(*words, "--json").stdout)["sides"][0]
    assert fields["columns"]["items.what"]["n"] == 24
