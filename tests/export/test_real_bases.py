"""Real weights: each base in the folder that STILLROOM_REAL_BASES names becomes GGUF and ONNX, and both answer alike.

Such a folder is what `stillroom bases pull` and `bases add` leave in `$STILLROOM_HOME/bases`.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
from decoder_fixtures import order, write_task_folder

VARIABLE = "STILLROOM_REAL_BASES"


def base_folder(model_type: str) -> Path:
    """The smallest base of a type; skips the test where there is none."""
    root = os.environ.get(VARIABLE)
    paths = sorted(Path(root).glob("*/config.json")) if root else []
    fitting = [path.parent for path in paths if json.loads(path.read_text()).get("model_type") == model_type]
    if not fitting:
        pytest.skip(f"no real {model_type} base is here: {VARIABLE} names a folder of bases, or none")
    return min(fitting, key=lambda path: sum(file.stat().st_size for file in path.iterdir()))


def packed(base_dir: Path, folder: Path) -> Path:
    """A merged student that learnt nothing: the base."""
    from appliance.engines.tokenizer import model_tokenizer
    from appliance.tasks.taskfile import load_task
    from training.merge import pack

    write_task_folder(folder, base_dir, rows=4)
    run_dir = folder / "runs" / "20260101-000000"
    staging_dir = run_dir / "staging"
    staging_dir.mkdir(parents=True)
    for path in base_dir.iterdir():
        if path.suffix in (".json", ".safetensors"):
            (staging_dir / path.name).symlink_to(path) if path.suffix == ".safetensors" else shutil.copy(
                path, staging_dir
            )
    for name in (run_dir / "task.toml", staging_dir / "task.toml"):
        name.write_bytes((folder / "task.toml").read_bytes())
    (run_dir / "record.json").write_text("{}")
    lineage = dict.fromkeys(("base_hash", "adapter_hash", "data_hash"), "0" * 64)
    lineage |= {"base": base_dir.name, "run": run_dir.name}
    pack(load_task(folder), staging_dir, run_dir / "merged", lineage, model_tokenizer(base_dir).prompt_form)
    return run_dir / "merged"


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["llama", "gemma3_text"])
def test_real_base_answers_alike_in_every_form(model_type: str, tmp_path: Path) -> None:
    from appliance.engines.engine import Request
    from appliance.engines.open import open_engine
    from appliance.tasks.taskfile import load_task
    from export.targets import export_all

    merged_dir = packed(base_folder(model_type), tmp_path)
    replies: dict[str, list[str]] = {}
    for exported in export_all(merged_dir, ["gguf-f16", "onnx-fp32"]):
        engine = open_engine(exported.directory, load_task(exported.directory), 2)
        try:
            results = list(engine.answer([Request(str(number), order(number)[0]) for number in range(4)]))
        finally:
            engine.close()
        assert [result.error for result in results] == [None] * 4
        replies[exported.target] = [result.raw for result in sorted(results, key=lambda result: result.key)]

    gguf, onnx = replies.values()
    assert sum(one == other for one, other in zip(gguf, onnx, strict=True)) >= 3  # near ties fall either way
    assert any(str(order(0)[1]["order_number"]) in raw for raw in gguf)  # it reads the documents
