"""`calibration.json` of an encoder's artifact: what its logits are divided by before they become probabilities."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from appliance.ground.errors import ApplianceError
from appliance.ground.json_text import json_text

CALIBRATION_NAME = "calibration.json"
CALIBRATION_VERSION = 1


class CalibrationError(ApplianceError):
    """A calibration file cannot be used."""


@dataclass(frozen=True)
class Calibration:
    """A model's temperature, and on how many rows it was fitted."""

    temperature: float
    rows: int
    ece_before: float
    """Expected calibration error on the fitted rows at temperature 1."""
    ece_after: float
    """The same at `temperature`; optimistic, since they are the fitted rows."""
    thresholds: tuple[float, ...] = ()
    """Where a document may have several labels: the probability from which each is given, in the labels' order."""
    abstain_below: float = 0.0
    """Where a label means that the student is too unsure: the probability below which it is given in place of another
    one; 0 gives it only where it is the likeliest itself."""


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities over the last axis, same shape as the logits, computed in float64."""
    with np.errstate(over="ignore", invalid="ignore"):  # What is no number stays none: whoever asks looks at it.
        scaled = np.asarray(logits, dtype=np.float64) / temperature
        scaled = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        probabilities: NDArray[np.float64] = scaled / scaled.sum(axis=-1, keepdims=True)
    return probabilities


def sigmoid(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """The probability of each label by itself, same shape as the logits, computed in float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64) / temperature))
    return probabilities


def write_calibration(calibration: Calibration, artifact_dir: Path) -> None:
    """Writes `calibration.json` into a folder that becomes an artifact."""
    values = {"version": CALIBRATION_VERSION, **asdict(calibration)}
    if not calibration.thresholds:
        del values["thresholds"]
    if not calibration.abstain_below:
        del values["abstain_below"]
    (artifact_dir / CALIBRATION_NAME).write_text(json_text(values, indent=2) + "\n", encoding="utf-8")


def read_calibration(artifact_dir: Path) -> Calibration:
    """Reads `calibration.json` of an artifact.

    Raises:
        CalibrationError: The file is missing, is none, or is of another version.
    """
    hint = "export the model again with `stillroom export`"
    try:
        values = json.loads((artifact_dir / CALIBRATION_NAME).read_text(encoding="utf-8"))
        version = values.pop("version")
        values["thresholds"] = tuple(values.get("thresholds", ()))
        calibration = Calibration(**values)
        numbers = (calibration.temperature, calibration.ece_before, calibration.ece_after)
        usable = calibration.temperature > 0 and all(map(math.isfinite, numbers))
        usable = usable and all(0 <= threshold <= 1 for threshold in calibration.thresholds)
        usable = usable and 0 <= calibration.abstain_below <= 1
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise CalibrationError(f"{CALIBRATION_NAME} cannot be read: {error}", hint) from error
    if version != CALIBRATION_VERSION or not usable:
        raise CalibrationError(
            f"{CALIBRATION_NAME} has version {version} and temperature {calibration.temperature}", hint
        )
    return calibration
