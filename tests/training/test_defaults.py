"""Defaults that fit: the range test of a new base's rate, a run that goes astray, time with validation, threads."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from decoder_fixtures import cli, write_base, write_task_folder
from torch import nn

from appliance.tasks.taskfile import load_task
from training import distill, loss_watch, rate_range
from training.checkpoint import Checkpoint
from training.commands.run_display import run_display
from training.commands.train import _use_threads
from training.loop import RunWatch
from training.loss_watch import MOST_RETURNS, LossWatch
from training.losses import Diverged
from training.metrics import Clock
from training.options import DECODER_DEFAULTS, AdapterOptions, TrainingOptions
from training.rate_range import chosen_rate, range_test
from training.run_folder import new_run
from training.students.decoder.student import DecoderStudent
from training.students.families import open_student

OPTIONS = replace(
    DECODER_DEFAULTS, epochs=3, batch_tokens=512, adapter=AdapterOptions(rank=4, seed=1, precision="float32")
)


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture
def folder(base_dir: Path, tmp_path: Path) -> Path:
    return write_task_folder(tmp_path / "task", base_dir)


def distilled(
    folder: Path, options: TrainingOptions = OPTIONS, watch: RunWatch | None = None
) -> tuple[dict[str, float | int], dict[str, object]]:
    """The best measurement and the run's config."""
    run_dir = new_run(folder)
    best = distill.distil(load_task(folder), folder, run_dir, options, watch)
    return best, json.loads((run_dir / "config.json").read_text())


@pytest.mark.parametrize(
    ("losses", "rate"),
    [
        ([1.0, 1.0, 1.0, 0.9, 0.7, 0.5, 0.3, 0.5, 0.9, 1.6], 6.4e-4),
        ([1.0] * 10, None),
        ([1.0, 1.0, 1.01, 1.2, 1.6, float("nan")], None),
        ([float("nan")], None),
        ([1.0, 0.99, 0.9, 0.8, 0.6, float("inf")], 1.6e-4),
        ([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], 0.16),
    ],
    ids=["falls and rises", "flat", "only rises", "no number", "breaks off", "falls to the end"],
)
def test_the_rate_lies_well_below_the_one_with_the_lowest_loss(losses: list[float], rate: float | None) -> None:
    found = chosen_rate([1e-5 * 4**step for step in range(len(losses))], losses)
    assert found is None if rate is None else found == pytest.approx(rate, rel=0.1)


def test_a_new_base_has_its_rate_from_a_test_that_is_always_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MOST_SHARE": 10.0, "MOST_STEPS": 12, "LEAST_GAIN": 0.001}.items():
        monkeypatch.setattr(rate_range, name, value)  # a random base learns little
    student = open_student(load_task(folder), folder, OPTIONS.distillation)
    test = range_test(student, OPTIONS, torch.device("cpu"))
    assert test is not None
    assert test.rate is not None
    assert len(test.rates) <= 12
    notes: list[str] = []
    _, config = distilled(folder, OPTIONS, RunWatch(notes.append))
    assert config["options"]["learning_rate"] == test.rate  # type: ignore[index]
    assert config["rate_from"] == "test"
    assert {**config["rate_test"], "seconds": 0} == {**test.record, "seconds": 0}  # type: ignore[dict-item]
    assert any("by a test of" in sentence for sentence in notes)


@dataclass(frozen=True)
class PlacedBatch:
    """A batch that knows where it is."""

    place: str = "cpu"
    weight: float = 1.0

    def to(self, device: torch.device) -> "PlacedBatch":
        return PlacedBatch(device.type)


class PlacedStudent:
    """As much of a student as a range test uses; notes where the model and a batch are when a loss is computed."""

    def __init__(self) -> None:
        self.places: set[tuple[str, str]] = set()

    def plan(self, options: TrainingOptions, random: object) -> list[list[int]]:
        return [[0]] * 50

    def passes(self, numbers: list[int], options: TrainingOptions) -> list[list[int]]:
        return [numbers]

    def batches(self, plan: list[list[int]], epoch: int, options: TrainingOptions) -> Iterator[PlacedBatch]:
        return iter([PlacedBatch()] * len(plan))

    def new_model(self, options: TrainingOptions) -> nn.Linear:
        return nn.Linear(2, 2)

    def parameter_groups(self, model: nn.Linear, options: TrainingOptions) -> list[dict[str, object]]:
        return [{"params": list(model.parameters()), "lr": options.learning_rate}]

    def loss(self, model: nn.Linear, batch: PlacedBatch, options: TrainingOptions) -> torch.Tensor:
        self.places.add((model.weight.device.type, batch.place))
        return torch.ones((), requires_grad=True)


def test_the_rate_is_looked_for_where_the_run_will_be_trained() -> None:
    student = PlacedStudent()
    test = range_test(student, OPTIONS, torch.device("meta"))  # type: ignore[arg-type]
    assert test is not None
    assert student.places == {("meta", "meta")}


def test_no_rate_is_looked_for_where_one_is_known_or_the_run_is_short(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    _, short = distilled(folder, replace(OPTIONS, epochs=1), RunWatch(notes.append))
    assert (short["rate_from"], short["options"]["learning_rate"]) == ("guess", 5e-3)  # type: ignore[index]
    assert "the run is too short to look for its learning rate: taking 5.0e-03" in notes[-1]
    _, chosen = distilled(folder, replace(OPTIONS, epochs=1, learning_rate=1e-3))
    assert chosen["rate_from"] == "option"
    weights = open_student(load_task(folder), folder, OPTIONS.distillation).base_hash.partition("+")[0]
    monkeypatch.setattr(distill, "KNOWN_RATES", {weights: 2e-3})
    _, known = distilled(folder, replace(OPTIONS, epochs=1))
    assert (known["rate_from"], known["options"]["learning_rate"]) == ("base", 2e-3)  # type: ignore[index]


def test_a_loss_that_rises_for_long_is_noticed_and_noise_is_not() -> None:
    watch = LossWatch(5)
    noisy = [2.0 - 0.03 * step + (0.6 if step % 4 == 0 else 0.0) for step in range(60)]
    assert not any(watch.has_risen(loss) for loss in noisy)
    assert not watch.has_risen(6.0), "one hard batch"
    assert not any(watch.has_risen(0.3) for _ in range(5))
    assert any(watch.has_risen(3.0) for _ in range(5))
    never = LossWatch(5)
    assert not any(never.has_risen(1.0) for _ in range(20))
    assert [never.has_risen(loss) for loss in (1.5, 1.8, 2.0, 2.2, 2.4)][-1]
    short = LossWatch(5)
    assert not any(short.has_risen(loss) for loss in (1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0)), "too few steps"


def test_windows_with_and_without_values_are_no_rise() -> None:
    rng = random.Random(4)

    def losses(count: int) -> list[float]:
        return [
            max(0.01, rng.gauss(3.0, 1.5)) if rng.random() < 0.6 else abs(rng.gauss(0.3, 0.2)) for _ in range(count)
        ]

    watch = LossWatch(20)
    assert not any(watch.has_risen(loss) for loss in losses(600))
    assert any(watch.has_risen(loss + 0.3 * step) for step, loss in enumerate(losses(40)))


def rising(monkeypatch: pytest.MonkeyPatch, first: int, last: int, factor: float) -> None:
    """The loss of these training steps counts so many times."""
    real, calls = DecoderStudent.loss, 0

    def loss(self: DecoderStudent, *arguments: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return real(self, *arguments) * (factor if first <= calls <= last else 1.0)  # type: ignore[arg-type]

    monkeypatch.setattr(DecoderStudent, "loss", loss)


@pytest.mark.parametrize(
    ("factor", "steps"), [(5.0, 5), (float("nan"), 1)], ids=["the loss rises", "a gradient is no number"]
)
def test_a_run_that_goes_astray_goes_back_with_a_lower_rate(
    folder: Path, factor: float, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_watch, "LEAST_STEPS", 3)
    rising(monkeypatch, 8, 7 + steps, factor)
    notes: list[str] = []
    measurements: list[dict[str, float | int]] = []
    options = replace(OPTIONS, epochs=4, learning_rate=5e-3)
    best, _ = distilled(folder, options, RunWatch(notes.append, on_measurement=measurements.append))
    returned = [sentence for sentence in notes if "back to the best state" in sentence]
    assert len(returned) == best["returns"] >= 1
    back = r"at a rate of 5\.0e-03: back to the best state, of step \d+, with a rate of 1\.5e-03"
    assert re.search(back, returned[0])
    assert best["rate_factor"] == pytest.approx(0.3 ** len(returned))
    assert measurements[-1]["epoch"] == 4
    assert measurements[-1]["loss"] < measurements[0]["loss"]


def test_a_run_that_goes_astray_again_and_again_ends_with_its_best_state(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_watch, "LEAST_STEPS", 5)
    rising(monkeypatch, 8, 10_000, 9.0)
    monkeypatch.setattr(LossWatch, "has_risen", lambda self, loss: self.latest.append(loss) or loss > 12)
    notes: list[str] = []
    best, _ = distilled(folder, replace(OPTIONS, learning_rate=5e-3), RunWatch(notes.append))
    assert (best["epoch"], best["returns"]) == (1, MOST_RETURNS)
    assert re.search(r"also with lower rates: the run ends with its best state, of step \d+$", notes[-1])


def test_a_run_that_always_goes_astray_ends_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LossWatch, "has_risen", lambda self, loss: bool(self.latest.append(loss)) or True)
    with pytest.raises(Diverged, match=f"also after going back {MOST_RETURNS} times with lower rates") as ended:
        distilled(folder, replace(OPTIONS, learning_rate=5e-3))
    assert "--rate" in ended.value.hint


def test_the_time_budget_leaves_room_for_the_validation() -> None:
    clock = Clock(100.0, 1000, 0.0, 0.0, 5000, (0, 0.0))
    state = Checkpoint(step=10, tokens=10_000, seconds=75.0)
    assert not clock.is_over(state), "the first validation is guessed by the speed: 15 s"
    assert clock.is_over(replace(state, seconds=90.0))
    measured = replace(state, closing_seconds=30.0)
    assert clock.is_over(measured)
    assert clock.seconds_left(measured) == pytest.approx(25.0)
    assert Clock(None, 1000, 0.0, 0.0, 0, (0, 0.0)).seconds_left(state) == pytest.approx(990 * 7.5)


def test_a_run_tells_how_far_it_is_from_its_first_step(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from appliance.ground.progress_line import ProgressLine

    monkeypatch.setattr("appliance.ground.progress_line._LINE_SECONDS", 0.0)
    distilled(folder, replace(OPTIONS, epochs=1, learning_rate=5e-3), run_display(ProgressLine(in_logs=True)))
    lines = capsys.readouterr().err.splitlines()
    assert re.match(r"epoch 1: \[#*\.+\] 1/\d+  loss \d\.\d{4}  about \d+ s left", lines[0])
    assert lines[-1].startswith("epoch 1  loss ")


def test_threads_are_those_of_option_environment_or_library(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", calls.append)
    _use_threads(None)
    assert calls == []
    _use_threads(3)
    monkeypatch.setenv("STILLROOM_THREADS", "2")
    _use_threads(None)
    _use_threads(5)
    assert calls == [3, 2, 5]


@pytest.mark.slow
def test_threads_and_missing_validation_rows_are_told(folder: Path) -> None:
    (folder / "dataset" / "validation.jsonl").write_text("")
    done = cli("train", folder, "--epochs", "1", "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["threads"] == 1
    assert "no validation rows" in done.stderr
    assert "accuracy" not in done.stderr
