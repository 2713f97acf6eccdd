"""Two artifacts of one task that read some documents differently, and a folder of orders."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.models.manifest import read_manifest, write_artifact
from tests.appliance.batch_fixtures import Bench

MISREAD = "MISREAD THIS"


class Pair:
    """A bench with a second artifact, `orders-other`, which misreads documents that say so."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.other_dir = bench.root / "orders-other"
        behaviour = json.loads((bench.artifact_dir / "noop.json").read_text())
        path = bench.root / "other" / "noop.json"
        path.parent.mkdir()
        path.write_text(json.dumps({**behaviour, "misread": MISREAD}))
        manifest = replace(read_manifest(bench.artifact_dir), name="orders-other")
        write_artifact(self.other_dir, manifest, {"task.toml": bench.task_path, "noop.json": path})

    @property
    def models(self) -> tuple[str, ...]:
        return "--model", str(self.bench.artifact_dir), "--model", str(self.other_dir)

    def write_orders(self, count: int, misread: int, gold: int = 0) -> Path:
        """Orders of which the last so many are misread by the other model; gives a file of gold for the first ones."""
        gold_path = self.bench.root / "gold.jsonl"
        lines = []
        for number in range(count):
            mark = MISREAD if number >= count - misread else ""
            self.bench.write(f"{number:03}.txt", f"an order {mark}\nnumber: N{number}\ntotal: 12.50\n")
            if number < gold:
                answer = {"number": f"N{number}", "total": "12.50"}
                lines.append(json.dumps({"document": f"{number:03}.txt", "answer": answer}))
        gold_path.write_text("\n".join(lines) + "\n")
        return gold_path

    def arguments(self, *options: str) -> list[str]:
        """The words of `stillroom compare` for this pair."""
        bench = self.bench
        return ["compare", str(bench.task_path), str(bench.documents_dir), *self.models, *options]


@pytest.fixture
def pair(bench: Bench) -> Pair:
    return Pair(bench)
