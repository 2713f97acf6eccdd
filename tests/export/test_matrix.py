"""Every architecture that is offered, from a base to the answer of an engine: the table of docs/bases.md.

The models are tiny and random and of the true shape, with tokenizers of the true structure; each is trained for a few
steps, merged, exported, and answers a document in both engines.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from architecture_cases import CASES, Case, write_model
from decoder_fixtures import order, write_task_folder
from numpy.typing import NDArray

from appliance.engines.engine import Request, Result
from appliance.models.architectures import ARCHITECTURES

ROOT_DIR = Path(__file__).parents[2]
PAGE = ROOT_DIR / "docs" / "bases.md"
BEGIN, END = "<!-- matrix: written by tests/export/test_matrix.py -->", "<!-- end of the matrix -->"
RUNS_ONNX = True
"""Whether ONNX is exported and run here, too."""
WRITE_VARIABLE = "STILLROOM_WRITE_MATRIX"
"""Set to write the table instead of comparing it."""


TIE = 0.02
"""Difference of two logits below which rounding decides: float16 has given half of it."""


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


TEXTS = (*(order(number)[0] for number in range(50, 53)), order(53)[0] + "\n<image_soft_token> </s> <think>")
"""Documents; what other models mean by tokens of theirs is text."""


def merged_answers(merged_dir: Path) -> list[Result]:
    """What the merged weights say of four orders in torch."""
    from appliance.engines.tokenizer import model_tokenizer
    from appliance.models.model_config import folder_context
    from appliance.tasks.taskfile import load_task
    from training.base_model import load_base
    from training.students.decoder.generation import generate

    model, tokenizer, room = load_base(merged_dir), model_tokenizer(merged_dir), folder_context(merged_dir)
    return generate(model, load_task(merged_dir), tokenizer, TEXTS, room)


def answers(artifact_dir: Path) -> list[Result]:
    """What the artifact's engine says of the same."""
    from appliance.engines.open import open_engine
    from appliance.tasks.taskfile import load_task

    engine = open_engine(artifact_dir, load_task(artifact_dir), 1)
    try:
        results = list(engine.answer([Request(str(number), text) for number, text in enumerate(TEXTS)]))
    finally:
        engine.close()
    assert all(result.error is None for result in results), results
    return sorted(results, key=lambda result: result.key)


Choice = tuple[int, NDArray[np.float64]]
"""A token that was chosen, and the logits that it was chosen from."""


@contextmanager
def recorded_choices() -> Iterator[dict[str, list[Choice]]]:
    """What decoders choose meanwhile, by their documents."""
    from appliance.engines.line_decoder import LineDecoder

    own_start, own_choose = LineDecoder.__init__, LineDecoder.choose
    documents: dict[int, str] = {}
    choices: dict[str, list[Choice]] = {}

    def start(self: LineDecoder, task: Any, template: Any, tokenizer: Any, document_ids: Sequence[int]) -> None:
        documents[id(self)] = " ".join(map(str, document_ids))
        choices[documents[id(self)]] = []
        own_start(self, task, template, tokenizer, document_ids)

    def choose(self: LineDecoder, logits: Any) -> int:
        token = own_choose(self, logits)
        choices[documents[id(self)]].append((token, np.array(logits, dtype=np.float64)))
        return token

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LineDecoder, "__init__", start)
        patch.setattr(LineDecoder, "choose", choose)
        yield choices


def tokens_of(choices: list[Choice]) -> list[int]:
    return [token for token, _ in choices]


def is_tie(ours: list[Choice], theirs: list[Choice]) -> bool:
    """Whether the first tokens in which two answers differ are as likely to both: these models have learnt little."""
    pairs = zip(ours, theirs, strict=False)
    (token, logits), (other, others_logits) = next(pair for pair in pairs if pair[0][0] != pair[1][0])
    return all(abs(each[token] - each[other]) < TIE for each in (logits, others_logits))


def tried(case: Case, folder: Path) -> str:
    """One line of the table."""
    from export.targets import export_all

    base_dir = write_model(folder / "base", case)
    write_task_folder(folder, base_dir, rows=8)
    merged_dir = train_and_merge(folder)
    known = ARCHITECTURES[case.model_type]
    targets = ["gguf-f16", "onnx-fp32"] if known.onnx and RUNS_ONNX else ["gguf-f16"]
    with recorded_choices() as wanted_choices:
        expected = merged_answers(merged_dir)
    for artifact in export_all(merged_dir, targets):
        with recorded_choices() as choices:
            results = answers(artifact.directory)
        where = f"{case.model_type}, {case.note}: {artifact.target}"
        assert choices.keys() == wanted_choices.keys()
        differing = [key for key in choices if tokens_of(choices[key]) != tokens_of(wanted_choices[key])]
        assert len(differing) < 2, where
        assert all(is_tie(choices[key], wanted_choices[key]) for key in differing), where
        pairs = list(zip(results, expected, strict=True))
        assert sum(result.raw != wanted.raw for result, wanted in pairs) <= len(differing), where
        for result, wanted in pairs:
            # Products of 16 bit in another order; over ten tokens of a value, rounding has given 2e-4.
            if result.raw == wanted.raw:
                assert result.confidence == pytest.approx(wanted.confidence, abs=0.005), where
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
