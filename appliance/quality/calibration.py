"""Confidence that means what it says: temperature scaling, expected calibration error, reliability."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from appliance.ground.text import human_count
from appliance.models.calibration import Calibration, CalibrationError, softmax

_GOLDEN = (5**0.5 - 1) / 2
LOG_RANGE = (np.log(0.05), np.log(20.0))
"""Where a temperature is looked for; a fit at either end says that confidence carries no information."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows whose confidence lies in (low, high]."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def negative_log_likelihood(logits: ArrayLike, labels: ArrayLike, temperature: float = 1.0) -> float:
    """Mean over rows, in nats.

    Args:
        logits: (rows, labels).
        labels: (rows,) label numbers, or (rows, labels) distributions.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    highest = scaled.max(axis=1, keepdims=True)
    log_probabilities = scaled - highest - np.log(np.exp(scaled - highest).sum(axis=1, keepdims=True))
    target = np.asarray(labels)
    if target.ndim == 1:
        return float(-log_probabilities[np.arange(len(target)), target].mean())
    return float(-(target * log_probabilities).sum(axis=1).mean())


def minimise(function: Callable[[float], float], low: float, high: float, steps: int = 60) -> float:
    """Golden-section search of a function with one valley."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(steps):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature with the least negative log likelihood; 1 where there are no rows.

    Args:
        logits: (rows, labels).
        labels: (rows,) label numbers, or (rows, labels) distributions.

    The likelihood has one valley in 1 / temperature, hence also in its logarithm.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.
    """
    if not len(np.asarray(logits)):
        return 1.0
    return float(np.exp(minimise(lambda log: negative_log_likelihood(logits, labels, float(np.exp(log))), *LOG_RANGE)))


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> list[ReliabilityBin]:
    """Confidence against accuracy in bins of equal width; empty bins are left out.

    Args:
        confidence: (rows,), 0 to 1.
        correct: (rows,), whether the row is right.
    """
    shares, hits = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    number = np.clip(np.searchsorted(edges, shares, side="left") - 1, 0, bins - 1)
    table: list[ReliabilityBin] = []
    for index in range(bins):
        inside = number == index
        if inside.any():
            low, high = float(edges[index]), float(edges[index + 1])
            table.append(
                ReliabilityBin(low, high, int(inside.sum()), float(shares[inside].mean()), float(hits[inside].mean()))
            )
    return table


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """Mean distance of confidence and accuracy over bins of equal width, weighted by rows; 0 for no rows.

    Args:
        confidence: (rows,), 0 to 1.
        correct: (rows,), whether the row is right.

    Source: Guo et al. 2017, equation 3.
    """
    table = reliability(confidence, correct, bins)
    rows = sum(part.rows for part in table)
    return sum(part.rows * abs(part.confidence - part.accuracy) for part in table) / max(1, rows)


def calibrate(logits: ArrayLike, labels: ArrayLike) -> Calibration:
    """Fits a temperature on rows that the model was not trained on.

    Args:
        logits: (rows, labels).
        labels: (rows,) label numbers, or (rows, labels) distributions.

    Raises:
        CalibrationError: A logit or a share of a label is no number: no temperature is better than another.
    """
    values, target = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    for name, numbers in (("the model's output", values), ("a label's share", target)):
        if len(values) and not np.isfinite(numbers).all():
            rows = int((~np.isfinite(numbers.reshape(len(values), -1)).all(axis=1)).sum())
            raise CalibrationError(
                f"{name} is not a number (NaN or infinity) in {rows:,} of {human_count(len(values), 'row')}",
                "train again with a lower --rate, or look at the labels of the validation rows",
            )
    temperature = fit_temperature(values, target)
    if not len(values):
        return Calibration(temperature, 0, 0.0, 0.0)
    correct = values.argmax(axis=1) == (target if target.ndim == 1 else target.argmax(axis=1))
    before, after = (expected_calibration_error(softmax(values, at).max(axis=1), correct) for at in (1.0, temperature))
    return Calibration(temperature, len(values), before, after)
