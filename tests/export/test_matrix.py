"""Every architecture that is offered, from a base to the answer of an engine: the table of docs/bases.md.

The models are tiny and random and of the true shape, with tokenizers of the true structure; each is trained for a few
steps, merged, exported, and answers a document in both engines.
"""

import os
import shutil
from pathlib import Path

import pytest
from architecture_cases import CASES, Case, write_model
from decoder_fixtures import order, write_task_folder

from appliance.engines.engine import Request, Result
from appliance.models.architectures import ARCHITECTURES

ROOT_DIR = Path(__file__).parents[2]
PAGE = ROOT_DIR / "docs" / "bases.md"
BEGIN, END = "<!-- matrix: written by tests/export/test_matrix.py -->", "<!-- end of the matrix -->"
RUNS_ONNX = True
"""Whether ONNX is exported and run here, too."""
WRITE_VARIABLE = "STILLROOM_WRITE_MATRIX"
"""Set to write the table instead of comparing it."""


def train_and_merge(folder: Path) -> Path:
    """A few steps on a few orders; gives the merged folder."""
    from appliance.tasks.folder import RunFolder
    from appliance.tasks.taskfile import load_task
    from training.distill import distil
    from training.merge import merge
    from training.options import AdapterOptions, TrainingOptions
    from training.run_folder import new_run, write_record

    run_dir = new_run(folder)
    options = TrainingOptions(epochs=2, learning_rate=3e-3, adapter=AdapterOptions(rank=4, precision="float32"))
    best = distil(load_task(run_dir), folder, run_dir, options)
    write_record(run_dir, best, 1.0)
    merge(run_dir)
    return RunFolder(run_dir).merged_dir


def answers(artifact_dir: Path) -> list[Result]:
    """What the artifact's engine says of three orders."""
    from appliance.engines.open import open_engine
    from appliance.tasks.taskfile import load_task

    engine = open_engine(artifact_dir, load_task(artifact_dir), 1)
    try:
        results = list(engine.answer([Request(str(number), order(number)[0]) for number in range(50, 53)]))
    finally:
        engine.close()
    assert all(result.error is None for result in results), results
    return sorted(results, key=lambda result: result.key)


def tried(case: Case, folder: Path) -> str:
    """One line of the table."""
    from export.targets import export_all

    base_dir = write_model(folder / "base", case)
    write_task_folder(folder, base_dir, rows=8)
    merged_dir = train_and_merge(folder)
    known = ARCHITECTURES[case.model_type]
    replies = {}
    targets = ["gguf-f16", "onnx-fp32"] if known.onnx and RUNS_ONNX else ["gguf-f16"]
    for artifact in export_all(merged_dir, targets):
        replies[artifact.target] = [result.raw for result in answers(artifact.directory)]
    # Each export was compared with the merged model; a random model is so unsure that rounding decides some answers.
    columns = list(zip(*replies.values(), strict=True))
    assert any(len(set(column)) == 1 for column in columns), f"the two engines answer otherwise: {columns}"
    onnx = "yes" if known.onnx else f"no: {known.why_no_onnx}"
    return f"| `{case.model_type}`: {case.note} | {case.tokenizer} | yes | yes | {onnx} |"


@pytest.mark.slow
def test_every_architecture_goes_all_the_way(tmp_path: Path) -> None:
    lines = ["| base | tokenizer like | trained, merged | GGUF, run | ONNX, run |", "|---|---|---|---|---|"]
    for number, case in enumerate(CASES):
        lines.append(tried(case, tmp_path / str(number)))
        shutil.rmtree(tmp_path / str(number))
    table = "\n".join(lines)
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    written, after = rest.split(END)
    if os.environ.get(WRITE_VARIABLE):
        PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
        written = table
    assert written.strip() == table, f"set {WRITE_VARIABLE}=1 to write the table"
