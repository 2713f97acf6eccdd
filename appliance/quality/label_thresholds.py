"""Where a document may have several labels: one temperature for all, and from which probability each label is given."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from appliance.models.calibration import Calibration, CalibrationError, sigmoid
from appliance.quality.calibration import LOG_RANGE, expected_calibration_error, minimise

USUAL_THRESHOLD = 0.5
FEWEST_ROWS = 5
"""Rows with a label, and rows without it, from which its own threshold is chosen."""


def calibrate_labels(logits: ArrayLike, targets: ArrayLike) -> Calibration:
    """Fits a temperature and a threshold for each label on rows that the model was not trained on.

    Args:
        logits: (rows, labels).
        targets: (rows, labels), 1 where a row has the label and 0 where not.

    Raises:
        CalibrationError: A logit is no number.
    """
    values, wanted = np.asarray(logits, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if not len(values):
        return Calibration(1.0, 0, 0.0, 0.0, (USUAL_THRESHOLD,) * wanted.shape[1])
    if not np.isfinite(values).all():
        raise CalibrationError(
            f"the model's output is not a number (NaN or infinity) in {(~np.isfinite(values)).sum():,} places",
            "train again with a lower --rate",
        )

    def loss(log_temperature: float) -> float:
        scaled = values / float(np.exp(log_temperature))
        return float((np.logaddexp(0, scaled) - wanted * scaled).mean())

    temperature = float(np.exp(minimise(loss, *LOG_RANGE)))
    before, after = (
        expected_calibration_error(np.maximum(shares, 1 - shares).ravel(), ((shares >= 0.5) == wanted).ravel())
        for shares in (sigmoid(values, at) for at in (1.0, temperature))
    )
    probabilities = sigmoid(values, temperature)
    thresholds = tuple(best_threshold(probabilities[:, label], wanted[:, label]) for label in range(wanted.shape[1]))
    return Calibration(temperature, len(values), before, after, thresholds)


def best_threshold(probabilities: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """The probability from which a label is given so that F1 is highest; the usual one where few rows could say.

    Args:
        probabilities: (rows,) of the label.
        wanted: (rows,), 1 where the row has it.
    """
    positives = int(wanted.sum())
    if min(positives, len(wanted) - positives) < FEWEST_ROWS:
        return USUAL_THRESHOLD
    order = np.argsort(-probabilities, kind="stable")
    hits = np.cumsum(wanted[order])
    scores = 2 * hits / (np.arange(1, len(order) + 1) + positives)
    sorted_shares = probabilities[order]
    ends = np.append(sorted_shares[:-1] != sorted_shares[1:], True)  # equal probabilities are given together
    scores[~ends] = -1
    best = int(scores.argmax())
    below = sorted_shares[best + 1] if best + 1 < len(order) else 0.0
    return float((sorted_shares[best] + below) / 2)
