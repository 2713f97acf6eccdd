"""Rows that check an export: long ones in windows as `run` reads them; a GGUF file of other values is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from decoder_fixtures import order, order_row, write_merged_run, write_rows

from export.gguf import checks
from export.parity import ExportDisagrees
from export.reference import Reference
from export.samples import read_samples
from export.targets import export_all, export_each


@pytest.fixture(scope="module")
def merged_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_merged_run(tmp_path_factory.mktemp("samples")) / "merged"


def test_a_long_row_is_checked_in_its_windows_or_not_at_all(merged_dir: Path) -> None:
    folder = merged_dir.parents[2]
    row = order_row(40)
    filler = "\n".join(order(number)[0].splitlines()[0] for number in range(200))
    long_row = replace(row, text=f"{filler}\n{row.text}\n{filler}")
    path = folder / "dataset" / "validation.jsonl"
    before = path.read_text()
    try:
        write_rows(path, [long_row])
        assert not read_samples(folder, merged_dir)[1]
        task_path = merged_dir / "task.toml"
        task_text = task_path.read_text()
        task_path.write_text(task_text.replace("[[fields]]", '[input]\nlong = "window"\n\n[[fields]]', 1))
        try:
            samples, is_task = read_samples(folder, merged_dir)
        finally:
            task_path.write_text(task_text)
        assert is_task
        assert all(len(sample.input_ids) <= 256 for sample in samples)
        # Windows in which no value stands are not the ones that are checked.
        assert 1 <= len(samples) <= 3
        assert max(sum(sample.is_value) for sample in samples) >= 2
    finally:
        path.write_text(before)


def test_a_quantized_gguf_file_of_other_values_is_refused_with_how_far_off_it_is(
    merged_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare_file = checks.compare_file

    def other_values(model: object, reference: Reference, computed_by: str) -> object:
        agreement, written = compare_file(model, reference, computed_by)  # type: ignore[arg-type]
        if computed_by == "the quantized GGUF file":
            agreement = replace(agreement, same_values=agreement.values // 2, divergence=0.25)
        return agreement, np.asarray(written)

    monkeypatch.setattr(checks, "compare_file", other_values)
    with pytest.raises(ExportDisagrees, match=r"in Q8_0 writes 12 of 24 values .*50\.0%.* 0\.2500 nats") as caught:
        export_all(merged_dir, ["gguf-q8_0"])
    assert caught.value.exit_code == 3
    assert caught.value.hint.startswith("export as gguf-f16, or train longer")
    results = list(export_each(merged_dir, ["gguf-q8_0"]))
    assert [result.target for result in results] == ["gguf-q8_0"]
    assert not (merged_dir.parent / "export" / "gguf-q8_0").exists()
