"""Temperature scaling and calibration error against references."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from appliance.models.calibration import Calibration, CalibrationError, read_calibration, softmax, write_calibration
from appliance.quality.calibration import calibrate, expected_calibration_error, fit_temperature, reliability


def overconfident_rows(rows: int = 4000, factor: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose labels are drawn from their softmax, then multiplied by `factor`."""
    generator = np.random.default_rng(7)
    logits = generator.normal(size=(rows, 5)) * 2
    labels = np.array([generator.choice(5, p=row) for row in softmax(logits)])
    return logits * factor, labels


def test_fitted_temperature_is_that_of_an_independent_optimiser() -> None:
    logits, labels = overconfident_rows()
    reference = minimize_scalar(
        lambda t: -log_softmax(logits / t, axis=1)[np.arange(len(labels)), labels].mean(),
        bounds=(0.1, 20),
        method="bounded",
    )
    assert fit_temperature(logits, labels) == pytest.approx(reference.x, rel=1e-3)


def test_temperature_undoes_a_known_factor() -> None:
    logits, labels = overconfident_rows(factor=3.0)
    assert fit_temperature(logits, labels) == pytest.approx(3.0, rel=0.06)  # sampling error of 4,000 rows


def test_calibration_error_of_a_hand_computed_case() -> None:
    confidence = [0.95, 0.92, 0.55, 0.58]
    correct = [True, False, True, True]
    # Ten bins: (0.9, 1] holds 2 rows, mean 0.935 against 0.5; (0.5, 0.6] holds 2, mean 0.565 against 1.
    assert expected_calibration_error(confidence, correct, bins=10) == pytest.approx(0.5 * 0.435 + 0.5 * 0.435)
    assert [part.rows for part in reliability(confidence, correct, bins=10)] == [2, 2]


def test_calibration_lowers_the_error_and_keeps_the_labels() -> None:
    logits, labels = overconfident_rows()
    calibration = calibrate(logits, labels)
    assert calibration.ece_after < 0.03 < calibration.ece_before
    assert (softmax(logits, calibration.temperature).argmax(1) == logits.argmax(1)).all()


def test_one_hot_distributions_fit_as_label_numbers() -> None:
    logits, labels = overconfident_rows(500)
    assert fit_temperature(logits, np.eye(5)[labels]) == pytest.approx(fit_temperature(logits, labels), rel=1e-9)


def test_no_rows_leave_the_logits_as_they_are() -> None:
    assert calibrate(np.zeros((0, 3)), np.zeros((0,), dtype=int)) == Calibration(1.0, 0, 0.0, 0.0)
    assert expected_calibration_error([], []) == 0.0


def test_calibration_file_reads_back(tmp_path: Path) -> None:
    calibration = Calibration(1.7, 200, 0.11, 0.03)
    write_calibration(calibration, tmp_path)
    assert read_calibration(tmp_path) == calibration


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version": 2, "temperature": 1, "rows": 0, "ece_before": 0, "ece_after": 0}']
)
def test_a_broken_calibration_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(CalibrationError, match=r"calibration\.json"):
        read_calibration(tmp_path)
