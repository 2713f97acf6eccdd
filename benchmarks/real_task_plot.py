"""The figures of `real_tasks.py` as a picture: a panel for each set, F1 of values over rows that were learnt from."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise

LINES = {
    "smollm2": ("SmolLM2-135M", "#0072b2", ""),
    "stillroom-base": ("shipped base", "#d55e00", ""),
    "crf": ("conditional random field", "#009e73", "5 3"),
    "regex": ("regular expressions", "#777777", "1 4"),
}
"""Model -> its name, its colour (told apart with any colour vision), and how its line is drawn."""
_COLUMNS, _WIDTH, _HEIGHT = 3, 300, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 22, 30, 34
_SIZES = (0, 100, 300, 1000)
"""Rows that were learnt from; 0 is a base that was taught nothing."""
_LEGEND = 30


def picture(lines: Sequence[Mapping[str, object]]) -> str:
    """An SVG of all sets that have figures."""
    sets = list(dict.fromkeys(str(line["set"]) for line in lines))
    width, rows = _COLUMNS * _WIDTH, math.ceil(len(sets) / _COLUMNS)
    height = rows * _HEIGHT + _LEGEND
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_legend(),
    ]
    for number, name in enumerate(sets):
        left, top = number % _COLUMNS * _WIDTH, number // _COLUMNS * _HEIGHT + _LEGEND
        own = [line for line in lines if line["set"] == name]
        parts += [f'<g transform="translate({left} {top})">', *_panel(name, own), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend() -> Iterator[str]:
    at = 16
    for name, colour, dash in LINES.values():
        yield f'<line x1="{at}" y1="18" x2="{at + 22}" y2="18" stroke="{colour}" stroke-width="2" {_dashed(dash)}/>'
        yield f'<text x="{at + 28}" y="22" fill="#222222">{escape(name)}</text>'
        at += 48 + 7 * len(name)


def _dashed(dash: str) -> str:
    return f'stroke-dasharray="{dash}"' if dash else ""


def _panel(name: str, lines: Sequence[Mapping[str, object]]) -> Iterator[str]:
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(rows: int, share: float) -> tuple[float, float]:
        along = _SIZES.index(rows) / (len(_SIZES) - 1)
        return _LEFT + inner_width * along, _TOP + inner_height * (1 - share)

    yield f'<text x="{_LEFT}" y="{_TOP - 10}" font-weight="bold" fill="#222222">{escape(name)}</text>'
    for tenth in range(0, 11, 2):
        x, y = place(_SIZES[0], tenth / 10)
        yield f'<line x1="{x}" y1="{y:.1f}" x2="{x + inner_width}" y2="{y:.1f}" stroke="#e4e4e4"/>'
        yield f'<text x="{x - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#555555">{10 * tenth} %</text>'
    yield f'<text x="{_LEFT + inner_width / 2}" y="{_HEIGHT - 4}" text-anchor="middle" fill="#555555">rows</text>'
    for size in _SIZES:
        x, y = place(size, 0)
        yield f'<text x="{x:.1f}" y="{y + 15:.1f}" text-anchor="middle" fill="#555555">{size:,}</text>'
    for model, (_, colour, dash) in LINES.items():
        own = {int(str(line["rows"])): line for line in lines if line["model"] == model}
        taught = sorted(own) if model != "regex" else []
        if model == "regex" and 0 in own:
            (x1, y), (x2, _) = (place(size, float(str(own[0]["f1"]))) for size in (_SIZES[0], _SIZES[-1]))
            yield f'<line x1="{x1}" y1="{y:.1f}" x2="{x2}" y2="{y:.1f}" stroke="{colour}" {_dashed(dash)}/>'
        points = [place(size, float(str(own[size]["f1"]))) for size in taught]
        for (near, (x1, y1)), (far, (x2, y2)) in pairwise(zip(taught, points, strict=True)):
            # A line over a size that was not measured would say something about it.
            if _SIZES.index(far) == _SIZES.index(near) + 1:
                line = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
                yield f'<line {line} stroke="{colour}" stroke-width="2" {_dashed(dash)}/>'
        for size, (x, y) in zip(taught, points, strict=True):
            fill = colour if size else "#ffffff"
            ends = own[size]["f1_interval"]
            assert isinstance(ends, list)
            low, high = (place(size, end)[1] for end in ends)
            yield f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" stroke="{colour}"/>'
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" stroke="{colour}" fill="{fill}"/>'
