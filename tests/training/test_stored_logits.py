"""Stored distributions: written whole or not at all, read as written; damaged ones and other rows refused."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from decoder_fixtures import order_row, write_base, write_rows, write_task_folder
from safetensors.numpy import load_file, save_file

from appliance.ground.errors import ResourceError, UsageError
from appliance.tasks.folder import TaskFolder
from appliance.tasks.taskfile import load_task
from training import stored_logits
from training.commands.score import command as score_command
from training.commands.train import train
from training.divergences import TopTokens, VocabularyMismatch, top_tokens
from training.run_folder import new_run, write_record
from training.score import score
from training.stored_logits import LogitsFacts, example_hash, open_logits, write_logits

FACTS = LogitsFacts("teacher", "t" * 64, "v" * 64, "stillroom-1", 2.0, 50)
EXAMPLES = [(example_hash([number, 7], [False, True]), count) for number, count in enumerate((2, 0, 3, 1))]


def distributions(k: int = 4) -> list[tuple[int, TopTokens]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (number, top_tokens(torch.randn((count, 50), generator=generator), k, 2.0))
        for number, (_, count) in enumerate(EXAMPLES)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_logits(tmp_path / "a.safetensors", FACTS, EXAMPLES, 4, reversed(distributions()))
    return tmp_path / "a.safetensors"


def test_what_is_written_is_read(file: Path) -> None:
    stored = open_logits(file)
    assert stored.facts == FACTS
    assert stored.top_k == 4
    unknown = (example_hash([99], [True]), 2)
    top, known = stored.read([EXAMPLES[2], unknown, EXAMPLES[0]])
    assert known.tolist() == [True] * 3 + [False] * 2 + [True] * 2
    expected = distributions()
    assert torch.equal(top.ids[:3], expected[2][1].ids)
    assert torch.equal(top.log_probabilities[5:], expected[0][1].log_probabilities)
    assert torch.equal(top.log_rest[5:], expected[0][1].log_rest)
    assert torch.isfinite(top.log_probabilities).all()


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def stopped():  # type: ignore[no-untyped-def]
        yield distributions()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_logits(tmp_path / "a.safetensors", FACTS, EXAMPLES, 4, stopped())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hindrance", ["too little is free", "no room is left"])
def test_a_full_disk_is_named_before_a_row_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hindrance: str
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    if hindrance == "no room is left":
        monkeypatch.setattr(os, "posix_fallocate", no_room)
    else:
        monkeypatch.setattr(stored_logits, "SPARE_BYTES", 1 << 62)
    with pytest.raises(ResourceError, match="needs?" if hindrance != "no room is left" else "No space left"):
        write_logits(tmp_path / "a.safetensors", FACTS, EXAMPLES, 4, iter(()))
    assert list(tmp_path.iterdir()) == []


Parts = dict[str, np.ndarray]  # type: ignore[type-arg]


def set_number(name: str, value: float) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts[name].reshape(-1)[-1] = value

    return change


def drop_rest(parts: Parts) -> None:
    del parts["log_rest"]


def repeat_a_token(parts: Parts) -> None:
    parts["ids"][1, 0] = parts["ids"][1, 1]


def widen(parts: Parts) -> None:
    parts["ids"] = parts["ids"].astype(np.int64)


def renormalise(parts: Parts) -> None:
    parts["log_probabilities"] -= np.log(np.exp(parts["log_probabilities"]).sum(1, keepdims=True))


DAMAGE: dict[str, tuple[Callable[[Parts], None], str]] = {
    "no number": (set_number("log_probabilities", np.nan), "what is no share"),
    "infinite rest": (set_number("log_rest", -np.inf), "what is no share"),
    "a share above one": (set_number("log_probabilities", 3.0), "what is no share"),
    "missing mass left out": (renormalise, "do not sum to 1"),
    "a token beyond the vocabulary": (set_number("ids", 50), "a token that the vocabulary does not have"),
    "a negative token": (set_number("ids", -1), "a token that the vocabulary does not have"),
    "a token twice": (repeat_a_token, "a token twice"),
    "places beyond the end": (set_number("starts", 99), "in no order"),
    "a part missing": (drop_rest, "log_rest|fit together"),
    "another dtype": (widen, "fit together"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_cannot_be_distributions_is_refused(file: Path, damage: str) -> None:
    change, message = DAMAGE[damage]
    parts = {name: part.copy() for name, part in load_file(str(file)).items()}
    change(parts)
    save_file(parts, str(file), metadata={"stillroom": json.dumps(vars(FACTS))})
    with pytest.raises(UsageError, match=message):
        open_logits(file)


@pytest.mark.parametrize(
    "facts",
    [
        None,
        "{",
        "[]",
        '{"version": 2}',
        json.dumps({**vars(FACTS), "temperature": "warm"}),
        json.dumps({**vars(FACTS), "more": 1}),
    ],
    ids=["none", "no json", "a list", "another version", "a word", "an unknown key"],
)
def test_a_file_that_says_nothing_right_of_itself_is_refused(file: Path, facts: str | None) -> None:
    parts = load_file(str(file))
    save_file(parts, str(file), metadata=None if facts is None else {"stillroom": facts})
    with pytest.raises(UsageError, match=r"the stored logits a\.safetensors cannot be used"):
        open_logits(file)


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_cut_file_is_refused(file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UsageError, match="cannot be used"):
        open_logits(file)


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def scored(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task folder with the stored logits of another base."""
    folder = write_task_folder(tmp_path_factory.mktemp("task"), base_dir, rows=8)
    teacher_dir = shutil.copytree(base_dir, folder / "teacher-weights")
    write_base(teacher_dir, seed=1)
    words = [str(folder), "--teacher-model", str(teacher_dir), "--top-k", "20", "--json"]
    result = CliRunner().invoke(score_command, words)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert Path(report["path"]) == TaskFolder(folder).logits_path
    assert (report["examples"], report["top_k"], report["teacher_model"]) == (8, 20, "teacher-weights")
    assert 0 < report["missing_mass"] < 1
    return folder


@pytest.fixture
def folder(scored: Path, tmp_path: Path) -> Path:
    shutil.copytree(scored, tmp_path / "task")
    return tmp_path / "task"


def trained(folder: Path, **more: object) -> Path:
    requested = {"epochs": 1, "rate": 1e-3, "rank": 2, "batch_tokens": 512, "field_dropout": 0.0, **more}
    run_dir = new_run(folder, requested)
    write_record(run_dir, train(load_task(folder), folder, run_dir, requested), 1.0)
    return run_dir


@pytest.mark.slow
def test_a_student_learns_from_stored_logits_as_from_the_teacher(folder: Path) -> None:
    path, teacher = str(TaskFolder(folder).logits_path), str(folder / "teacher-weights")
    record = json.loads((trained(folder, teacher_logits=path) / "record.json").read_text())
    assert record["loss"] == "forward-kl, top 20 stored"
    assert record["teacher_model"] == "teacher-weights"
    live = json.loads((trained(folder, teacher_model=teacher, temperature=1.0) / "record.json").read_text())
    assert record["best"]["loss"] < live["best"]["loss"], "what all others have is one outcome"
    score(load_task(folder), folder, teacher, 1024)  # all but one token of the vocabulary
    whole = json.loads((trained(folder, teacher_logits=path) / "record.json").read_text())
    assert whole["best"]["loss"] == pytest.approx(live["best"]["loss"], rel=1e-4)


def test_stored_logits_of_other_rows_are_refused(folder: Path) -> None:
    write_rows(folder / "dataset" / "train.jsonl", [order_row(number) for number in range(2, 10)])
    with pytest.raises(UsageError, match="2 of 8 training examples are not among those of the stored logits"):
        trained(folder, teacher_logits=str(TaskFolder(folder).logits_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"tokenizer_hash": "0" * 64}, "that is not the student's"), ({"prompt_form": "plain-2"}, "of the form plain-2")],
    ids=["tokenizer", "prompt"],
)
def test_stored_logits_of_another_vocabulary_or_prompt_are_refused(
    folder: Path, change: dict[str, str], message: str
) -> None:
    path = TaskFolder(folder).logits_path
    facts = replace(open_logits(path).facts, **change)  # type: ignore[arg-type]
    save_file(load_file(str(path)), str(path), metadata={"stillroom": json.dumps(vars(facts))})
    with pytest.raises((UsageError, VocabularyMismatch), match=message):
        trained(folder, teacher_logits=str(path))


@pytest.mark.slow
def test_the_temperature_is_that_of_the_stored_logits(folder: Path) -> None:
    path = str(TaskFolder(folder).logits_path)
    with pytest.raises(UsageError, match="--temperature cannot be given with --teacher-logits"):
        trained(folder, teacher_logits=path, temperature=2.0)
    score(load_task(folder), folder, str(folder / "teacher-weights"), 8, 2.0)
    record = json.loads((trained(folder, teacher_logits=path, loss="reverse-kl") / "record.json").read_text())
    assert record["loss"] == "reverse-kl, temperature 2, top 8 stored"
