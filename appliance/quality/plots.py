"""Geometry of pages' plots: dots with whiskers on one axis, stacked bars, reliability; `plots.svg.jinja` draws them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.quality.calibration import ReliabilityBin
from appliance.quality.figure import Figure
from appliance.quality.statistics import wilson

_WIDTH, _LABEL, _VALUE, _ROW, _TOP = 760, 180, 240, 26, 8
_PLOT = _WIDTH - _LABEL - _VALUE
_LABEL_LETTERS = 28
SIDE_CLASSES = ("a", "b", "c", "d", "e", "f")
"""CSS classes of the sides, in their order; further ones begin again."""

Drawing = dict[str, object]
"""What a macro of `plots.svg.jinja` draws: texts, and coordinates that are rounded already."""


@dataclass(frozen=True)
class Mark:
    """One row of a dot plot."""

    label: str
    figure: Figure
    text: str
    """The figure in words, to the right of the plot."""
    css_class: str = "a"


@dataclass(frozen=True)
class Axis:
    """The axis that all rows of a plot share."""

    low: float
    high: float
    format_tick: Callable[[float], str]
    logarithmic: bool = False
    zero: bool = False
    """Whether a line marks zero: no difference."""

    def at(self, value: float) -> float:
        """Where a value is drawn, from the left of the plot; values beyond the ends stay at them."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return _LABEL + _PLOT * ((value - low) / (high - low) if high > low else 0.5)

    def ticks(self) -> list[float]:
        """Round values on the axis."""
        if self.logarithmic:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            factors = (1, 2, 5) if len(powers) <= 3 else (1,)
            every = max(1, len(powers) // 6)
            values = [factor * 10.0**power for power in powers[::every] for factor in factors]
            return [value for value in values if self.low <= value <= self.high]
        raw = (self.high - self.low) / 5 or 1.0
        unit = 10 ** math.floor(math.log10(raw))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [(first + number) * step for number in range(count)]


def dot_plot(title: str, marks: Sequence[Mark], axis: Axis) -> Drawing:
    """Dots with their intervals, one row each; an open bound reaches the end of the axis."""
    bottom = _TOP + _ROW * len(marks)
    rows = []
    for number, mark in enumerate(marks):
        figure = mark.figure
        low = axis.low if figure.low is None else figure.low
        high = axis.high if figure.high is None else figure.high
        is_open = figure.low is None and figure.high is None
        rows.append(
            {
                "label": _shortened(mark.label), "text": mark.text, "css_class": mark.css_class,
                "x": f"{axis.at(figure.value):.1f}", "y": _TOP + _ROW * number + _ROW / 2,
                "whisker": None if is_open else (f"{axis.at(low):.1f}", f"{axis.at(high):.1f}"),
            }
        )  # fmt: skip
    return {
        "title": title, "width": _WIDTH, "height": bottom + 24, "top": _TOP, "bottom": bottom,
        "label_x": _LABEL - 10, "figure_x": _WIDTH - _VALUE + 10, "rows": rows,
        "ticks": [{"x": f"{axis.at(value):.1f}", "text": axis.format_tick(value)} for value in axis.ticks()],
        "zero": f"{axis.at(0):.1f}" if axis.zero and axis.low <= 0 <= axis.high else None,
    }  # fmt: skip


def stacked_bar(title: str, parts: Sequence[tuple[str, int, str]]) -> Drawing:
    """Counts as parts of one bar, with a legend below it.

    Args:
        parts: Label, count and CSS class of each.
    """
    total = sum(count for _, count, _ in parts)
    drawn, x = [], 0.0
    for number, (label, count, css_class) in enumerate(parts):
        width = _WIDTH * count / total if total else 0.0
        drawn.append(
            {
                "label": label, "count": f"{count:,}", "css_class": css_class,
                "share": f"{100 * count / total:.1f} %" if total else "-", "x": f"{x:.1f}", "width": f"{width:.1f}",
                "legend_x": (number % 2) * _WIDTH // 2, "legend_y": _TOP + 46 + 20 * (number // 2),
            }
        )  # fmt: skip
        x += width
    height = _TOP + 50 + 20 * ((len(parts) + 1) // 2)
    return {"title": title, "width": _WIDTH, "height": height, "top": _TOP, "parts": drawn}


_SQUARE, _LEFT = 300, 48


def reliability_plot(title: str, bins: Sequence[ReliabilityBin]) -> Drawing:
    """Share right over confidence, a dot with its 95 % interval for each bin; the diagonal is where both are equal."""
    top, bottom = _TOP, _TOP + _SQUARE

    def x(share: float) -> str:
        return f"{_LEFT + _SQUARE * share:.1f}"

    def y(share: float) -> str:
        return f"{bottom - _SQUARE * share:.1f}"

    most = max((part.rows for part in bins), default=1)
    drawn = []
    for number, part in enumerate(bins):
        interval = wilson(part.accuracy * part.rows, part.rows)
        drawn.append(
            {
                "x": x(part.confidence), "y": y(part.accuracy), "low": y(interval.low), "high": y(interval.high),
                "radius": f"{3 + 5 * math.sqrt(part.rows / most):.1f}", "text_y": top + 14 + 20 * number,
                "text": f"says {100 * part.confidence:.0f} %, right {interval.percent()}, n = {part.rows:,}",
            }
        )  # fmt: skip
    ticks = [{"x": x(share), "y": y(share), "text": f"{100 * share:.0f} %"} for share in (0, 0.25, 0.5, 0.75, 1)]
    return {
        "title": title, "width": _WIDTH, "height": bottom + 24, "top": top, "bottom": bottom, "left": _LEFT,
        "right": _LEFT + _SQUARE, "text_x": _LEFT + _SQUARE + 24, "bins": drawn, "ticks": ticks,
    }  # fmt: skip


def _shortened(text: str) -> str:
    return text if len(text) <= _LABEL_LETTERS else text[: _LABEL_LETTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def span(figures: Sequence[Figure], least: float = -math.inf, most: float = math.inf) -> tuple[float, float]:
    """Ends of an axis that holds all figures with their intervals, and a little room."""
    bounds = [bound for figure in figures for bound in (figure.low, figure.value, figure.high) if bound is not None]
    low, high = (min(bounds), max(bounds)) if bounds else (0.0, 1.0)
    room = 0.06 * (high - low) or abs(high) * 0.1 or 0.01
    return max(least, low - room), min(most, high + room)
