"""Plots of a report as inline SVG: dots with whiskers on one axis, and stacked bars; every text in them is escaped."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from appliance.comparison.figures import Figure
from appliance.ground.text import printable

_WIDTH, _LABEL, _VALUE, _ROW, _TOP = 760, 180, 240, 26, 8
_PLOT = _WIDTH - _LABEL - _VALUE
_LABEL_LETTERS = 28
SIDE_CLASSES = ("a", "b", "c", "d", "e", "f")
"""CSS classes of the sides, in their order; further ones begin again."""


@dataclass(frozen=True)
class Mark:
    """One row of a dot plot."""

    label: str
    figure: Figure
    shown: str
    """The figure in words, to the right of the plot."""
    css_class: str = "a"


@dataclass(frozen=True)
class Axis:
    """The axis that all rows of a plot share."""

    low: float
    high: float
    word: Callable[[float], str]
    """How a tick is written."""
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


def dot_plot(title: str, marks: Sequence[Mark], axis: Axis) -> str:
    """Dots with their intervals, one row each."""
    height = _TOP + _ROW * len(marks) + 24
    bottom = _TOP + _ROW * len(marks)
    parts = [_tick(axis, value, bottom) for value in axis.ticks()]
    if axis.zero and axis.low <= 0 <= axis.high:
        parts.append(f'<line class="zero" x1="{axis.at(0):.1f}" x2="{axis.at(0):.1f}" y1="{_TOP}" y2="{bottom}"/>')
    for number, mark in enumerate(marks):
        parts.append(_mark(mark, axis, _TOP + _ROW * number + _ROW / 2))
    return _svg(title, height, "".join(parts))


def _tick(axis: Axis, value: float, bottom: float) -> str:
    x = axis.at(value)
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        f'<text class="tick" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{escape(axis.word(value))}</text>'
    )


def _mark(mark: Mark, axis: Axis, y: float) -> str:
    figure = mark.figure
    low = axis.low if figure.low is None else figure.low
    high = axis.high if figure.high is None else figure.high
    parts = [
        f'<text x="{_LABEL - 10}" y="{y + 4}" text-anchor="end">{_text(_cut(mark.label))}</text>',
        f'<text class="figure" x="{_WIDTH - _VALUE + 10}" y="{y + 4}">{_text(mark.shown)}</text>',
    ]
    if figure.low is not None or figure.high is not None:
        parts.append(
            f'<line class="whisker {mark.css_class}" x1="{axis.at(low):.1f}" x2="{axis.at(high):.1f}" y1="{y}"'
            f' y2="{y}"/>'
        )
    parts.append(f'<circle class="dot {mark.css_class}" cx="{axis.at(figure.value):.1f}" cy="{y}" r="5"/>')
    return "".join(parts)


@dataclass(frozen=True)
class Part:
    """One part of a stacked bar."""

    label: str
    count: int
    css_class: str


def stacked_bar(title: str, parts: Sequence[Part]) -> str:
    """Counts as parts of one bar, with a legend below it."""
    total = sum(part.count for part in parts)
    drawn, x = [], 0.0
    for part in parts:
        width = _WIDTH * part.count / total if total else 0.0
        drawn.append(f'<rect class="part {part.css_class}" x="{x:.1f}" y="{_TOP}" width="{width:.1f}" height="24"/>')
        x += width
    rows = []
    for number, part in enumerate(parts):
        x, y = (number % 2) * _WIDTH / 2, _TOP + 46 + 20 * (number // 2)
        share = f"{100 * part.count / total:.1f} %" if total else "-"
        rows.append(
            f'<rect class="part {part.css_class}" x="{x}" y="{y - 11}" width="12" height="12"/>'
            f'<text x="{x + 18}" y="{y}">{_text(part.label)}: {part.count:,} ({share})</text>'
        )
    return _svg(title, _TOP + 50 + 20 * ((len(parts) + 1) // 2), "".join(drawn + rows))


def _text(value: str) -> str:
    """Names of models and fields come from outside, like all that a report says."""
    return escape(printable(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LABEL_LETTERS else text[: _LABEL_LETTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _svg(title: str, height: float, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{_text(title)}">'
        f"<title>{_text(title)}</title>{content}</svg>"
    )


def span(figures: Sequence[Figure], least: float = -math.inf, most: float = math.inf) -> tuple[float, float]:
    """Ends of an axis that holds all figures with their intervals, and a little room."""
    bounds = [bound for figure in figures for bound in (figure.low, figure.value, figure.high) if bound is not None]
    low, high = (min(bounds), max(bounds)) if bounds else (0.0, 1.0)
    room = 0.06 * (high - low) or abs(high) * 0.1 or 0.01
    return max(least, low - room), min(most, high + room)
