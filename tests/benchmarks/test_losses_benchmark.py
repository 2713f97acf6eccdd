"""The comparison of losses: commands and their split, cells that are kept, and intervals of differences."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # it imports the training

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import losses  # noqa: E402

sys.path.pop()  # another script there is named like a package


def figures(right: list[int], seconds: float = 1.0) -> losses.Figures:
    gold = np.full(len(right), 2)
    return losses.Figures(np.array(right), gold, gold, np.array(right) == 2, seconds)


def test_f1_counts_values_over_documents() -> None:
    assert figures([2, 2, 1, 0]).f1() == pytest.approx(5 / 8)
    stored = figures([2, 1], 3.0).stored()
    assert (stored["f1"], stored["whole"], stored["seconds"]) == (0.75, [True, False], 3.0)


def test_an_interval_of_a_difference_is_of_the_same_seeds_and_documents() -> None:
    generator = np.random.default_rng(3)
    plain = [figures(generator.integers(0, 2, 200).tolist()) for _ in range(3)]
    better = [figures((part.right + 1).tolist()) for part in plain]
    gain, low, high = losses.interval(better, plain)
    assert (gain, low, high) == pytest.approx((0.5, 0.5, 0.5)), "every document gained one of two values"
    f1, low, high = losses.interval(plain)
    assert low < f1 < high


def test_commands_are_one_intents_with_one_value_a_slot(tmp_path: Path) -> None:
    records = [
        {"id": "a", "text": "add X to mine", "label": losses.INTENT, "fields": {"entity_name": "X"}},
        {"id": "b", "text": "ADD x to  mine", "label": losses.INTENT, "fields": {"entity_name": "x"}},
        {"id": "c", "text": "add Y and Z", "label": losses.INTENT, "fields": {"entity_name": ["Y", "Z"]}},
        {"id": "d", "text": "will it rain", "label": "GetWeather", "fields": {}},
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    (tmp_path / "test.jsonl").write_text("")
    (row,) = losses.read_commands(tmp_path)
    assert (row.document, row.answer["entity_name"], row.answer["artist"]) == ("a", "X", None)


def test_the_table_has_what_was_kept(tmp_path: Path) -> None:
    for arm, right in ((losses.PLAIN, [1, 1, 2]), ("forward KL", [2, 1, 2])):
        for seed in range(2):
            path = tmp_path / losses.Cell(arm, 100, seed).file_name
            path.write_text(json.dumps(figures(right).stored()))
    lines = losses.table(tmp_path, list(losses.ARMS), [100, 300], 3)
    assert [(line["rows"], line["arm"], line["seeds"]) for line in lines] == [
        (100, losses.PLAIN, 2),
        (100, "forward KL", 2),
    ]
    assert lines[1]["gain"] == pytest.approx(1 / 6)
    assert "gain" not in lines[0]
