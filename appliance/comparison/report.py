"""A comparison as one HTML file without outside resources, to be read on a screen or on paper.

Documents and model output are hostile: every string is escaped, control characters are replaced, and a content
security policy lets nothing load or run but the file's own style, which it names by its hash.
"""

import base64
import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

from appliance.comparison.answers import ComparedDocument, SideAnswer
from appliance.comparison.figures import ComparisonFigures, Figure, PairFigures, SideFigures
from appliance.comparison.plots import SIDE_CLASSES, Axis, Mark, Part, dot_plot, span, stacked_bar
from appliance.comparison.style import STYLE
from appliance.comparison.view import ComparisonView
from appliance.comparison.wording import cash, number, points, seconds, share, small_duration
from appliance.ground.errors import ResourceError
from appliance.ground.files import write_file
from appliance.ground.text import printable
from appliance.quality.judgements import Judgement
from appliance.tasks.linecode import Value

SHOWN_DOCUMENTS = 200
_VALUE_LETTERS = 300


def write_report(view: ComparisonView, found: ComparisonFigures, path: Path, values: bool = True) -> None:
    """Writes the report.

    Args:
        values: Whether it holds what the documents and answers say; without, it names only documents and fields.

    Raises:
        ResourceError: The file cannot be written.
    """
    if not path.absolute().parent.is_dir():
        raise ResourceError(f"cannot write {path}: its folder is not there", "make the folder first")
    write_file(path.absolute(), report_html(view, found, values).encode())


def report_html(view: ComparisonView, found: ComparisonFigures, values: bool = True) -> str:
    """The report as text."""
    title = f"{found.task}: {' against '.join(view.sides)}"
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = [
        f"<h1>{_text(title)}</h1>",
        _about(view, found),
        *(f'<p class="verdict">{_text(pair.verdict)}</p>' for pair in found.pairs),
        *(f"<p>{_text(tier)}</p>" for tier in found.tiers),
        "<h2>Each model</h2>",
        _side_table(found.sides),
        *_side_plots(found.sides),
    ]
    for side, pair in enumerate(found.pairs, 1):
        body += _pair_section(view, pair, side, values)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{_text(title)}</title><style>{STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _text(value: str) -> str:
    return escape(printable(value))


def _about(view: ComparisonView, found: ComparisonFigures) -> str:
    config = view.config
    facts = [
        ("Comparison", config.id),
        ("Made", config.created),
        ("Documents", f"{found.documents:,} of {config.folder_documents:,} in {config.documents_dir}"),
        ("Could not be read", f"{found.unreadable:,}"),
        ("Right answers known", f"{found.gold_documents:,} documents"),
        ("Margin", f"{100 * found.margin:g} points: so much worse still counts as good"),
    ]
    rows = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts)
    return f'<dl>{rows}</dl><p class="note">Estimates stand before their 95 % intervals; n is what they rest on.</p>'


_ROWS: tuple[tuple[str, Callable[[SideFigures], str], Callable[[SideFigures], int | None]], ...] = (
    ("fields right", lambda s: share(s.field_accuracy), lambda s: s.field_accuracy.n if s.field_accuracy else None),
    (
        "documents right", lambda s: share(s.document_accuracy),
        lambda s: s.document_accuracy.n if s.document_accuracy else None,
    ),
    ("documents/s", lambda s: number(s.documents_per_second), lambda s: s.documents_per_second.n),
    ("latency, median", lambda s: seconds(s.latency_p50), lambda s: s.latency_p50.n),
    ("latency, 95th percentile", lambda s: seconds(s.latency_p95), lambda s: s.latency_p95.n),
    ("prompt tokens per document", lambda s: number(s.prompt_tokens), lambda s: s.prompt_tokens.n),
    ("completion tokens per document", lambda s: number(s.completion_tokens), lambda s: s.completion_tokens.n),
    ("reasoning tokens per document", lambda s: number(s.reasoning_tokens), lambda s: s.reasoning_tokens.n),
    ("money per 1,000 documents", lambda s: cash(s.money_per_1000, s.currency), lambda s: s.money_per_1000.n),
)  # fmt: skip


def _side_table(sides: Sequence[SideFigures]) -> str:
    head = "".join(
        f'<th scope="col"><span class="key {_side_class(place)}"></span>{_text(side.name)}'
        f"<small>{_text(side.kind + (f', effort {side.effort}' if side.effort else ''))}</small></th>"
        for place, side in enumerate(sides)
    )
    rows = [
        f'<tr><th scope="row">{label}</th>' + "".join(_cell(word(side), count(side)) for side in sides) + "</tr>"
        for label, word, count in _ROWS
    ]
    failed = "".join(f"<td>{_text(_failed(side))}</td>" for side in sides)
    return (
        f"<table><thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}"
        f'<tr><th scope="row">without an answer</th>{failed}</tr></tbody></table>'
    )


def _cell(word: str, count: int | None) -> str:
    return f"<td>{_text(word)}" + (f" <small>n = {count:,}</small>" if count else "") + "</td>"


def _failed(side: SideFigures) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in side.failed.items()) or "none"


def _side_class(place: int) -> str:
    return SIDE_CLASSES[place % len(SIDE_CLASSES)]


def _side_plots(sides: Sequence[SideFigures]) -> list[str]:
    plots = []
    right = [side.field_accuracy for side in sides]
    if known := [figure for figure in right if figure is not None]:
        axis = Axis(*span(known, 0.0, 1.0), word=lambda value: f"{100 * value:.3g} %")
        plots.append(_plot("Fields right", sides, right, share, axis))
    medians = [side.latency_p50 for side in sides]
    if all(figure.value > 0 for figure in medians):
        low, high = span([*medians, *(side.latency_p95 for side in sides)])
        least = min(figure.low or figure.value for figure in medians)
        axis = Axis(max(low, least / 2), high, word=small_duration, logarithmic=True)
        plots.append(_plot("Latency, median", sides, medians, seconds, axis))
        plots.append(_plot("Latency, 95th percentile", sides, [side.latency_p95 for side in sides], seconds, axis))
    return plots


def _plot(
    title: str,
    sides: Sequence[SideFigures],
    figures: Sequence[Figure | None],
    word: Callable[[Figure], str],
    axis: Axis,
) -> str:
    marks = [
        Mark(side.name, figure, word(figure), _side_class(place))
        for place, (side, figure) in enumerate(zip(sides, figures, strict=True))
        if figure is not None
    ]
    return f"<figure><figcaption>{_text(title)}</figcaption>{dot_plot(title, marks, axis)}</figure>"


def _pair_section(view: ComparisonView, pair: PairFigures, side: int, values: bool) -> list[str]:
    right = pair.right
    parts = [
        f"<h2>{_text(pair.first)} against {_text(pair.second)}</h2>",
        f"<p>Same answer on {_text(share(pair.agreement))} of {pair.agreement.n:,} documents, the same value in"
        f" {_text(share(pair.field_agreement))} of {pair.field_agreement.n:,} fields."
        f" {_text(pair.first)} takes {_text(_more(pair.seconds_difference, small_duration, 'longer', 'less time'))} and"
        f" costs {_text(_more(pair.money_difference, lambda v: f'{v:.4g}', 'more', 'less'))} per 1,000 documents.</p>",
    ]
    if right.table is not None and right.difference is not None:
        table = right.table
        by = "by the right answers" if right.basis == "gold" else f"of the {right.judged} judged ones"
        parts.append(
            "<figure><figcaption>"
            + _text(f"Documents that are right as a whole, {by}; exact McNemar p {right.p:.3g}")
            + "</figcaption>"
            + stacked_bar(
                "Documents that are right",
                (
                    Part("both right", table.both, "both"), Part(f"only {pair.first}", table.only_first, "a"),
                    Part(f"only {pair.second}", table.only_second, _side_class(side)),
                    Part("neither", table.neither, "neither"),
                ),
            )
            + "</figure>"
        )  # fmt: skip
    parts.append(_difference_plot(pair))
    parts += _differing(view, pair, side, values)
    return parts


def _more(figure: Figure, word: Callable[[float], str], more: str, less: str) -> str:
    if not figure.n or figure.value == 0:
        return "the same"
    text = f"{word(abs(figure.value))} {more if figure.value > 0 else less}"
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return text
    bounds = sorted((abs(figure.low), abs(figure.high)))
    if figure.low < 0 < figure.high:
        return f"{text} ({word(figure.low)} to {word(figure.high)})"
    return f"{text} ({word(bounds[0])} to {word(bounds[1])})"


def _difference_plot(pair: PairFigures) -> str:
    figures = [("all fields", pair.right.difference)] if pair.right.difference else []
    if len(pair.fields) > 1:
        figures += [(field.name, field.difference) for field in pair.fields if field.difference is not None]
    marks = [Mark(name, figure, points(figure), "a") for name, figure in figures if figure is not None]
    if not marks:
        return ""
    axis = Axis(*_around_zero([mark.figure for mark in marks]), word=lambda value: f"{100 * value:+.3g}", zero=True)
    title = f"Points by which {pair.first} is right more often than {pair.second}"
    fields = [field for field in pair.fields if field.p is not None and field.p < 0.05 and len(pair.fields) > 1]
    note = ", ".join(f"{field.name} (p {field.p:.2g})" for field in fields)
    below = f'<p class="note">Differences that many fields do not explain (Holm): {_text(note)}.</p>' if note else ""
    return f"<figure><figcaption>{_text(title)}</figcaption>{dot_plot(title, marks, axis)}{below}</figure>"


def _around_zero(figures: Sequence[Figure]) -> tuple[float, float]:
    low, high = span(figures, -1.0, 1.0)
    most = max(abs(low), abs(high)) if math.isfinite(low + high) else 1.0
    return -most, most


def _differing(view: ComparisonView, pair: PairFigures, side: int, values: bool) -> Iterable[str]:
    documents = view.differing(0, SHOWN_DOCUMENTS, side)
    if not documents:
        return ["<p>No document is answered differently.</p>"]
    judged = view.judged(side)
    shown = f"the first {len(documents):,} of " if pair.differing > len(documents) else ""
    head = (
        f"<th>Document</th><th>Field</th><th>{_text(pair.first)}</th><th>{_text(pair.second)}</th>"
        "<th>Right answer</th><th>Judged</th>"
    )
    rows = "".join(_document_rows(document, side, judged.get(document.id), values) for document in documents)
    return [
        f"<h3>Documents that differ ({shown}{pair.differing:,})</h3>",
        f'<table class="documents"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>',
    ]


def _document_rows(document: ComparedDocument, side: int, said: Judgement | None, values: bool) -> str:
    rows = []
    for place, name in enumerate(document.differing):
        first, second = document.answers[0], document.answers[side]
        gold = _value(document.gold.get(name)) if document.gold is not None else ""
        cells = [_answer(first, name), _answer(second, name), gold] if values else ["", "", ""]
        lead = _text(document.name) if not place else ""
        verdict = _text(f"{said.choice} ({said.user})") if said is not None and not place else ""
        rows.append(
            f"<tr><td>{lead}</td><td>{_text(name)}</td>"
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + f"<td>{verdict}</td></tr>"
        )
    return "".join(rows)


def _answer(answer: SideAnswer | None, name: str) -> str:
    if answer is None or answer.answer is None:
        return f"<em>{_text(answer.error or 'no answer') if answer else 'not answered yet'}</em>"
    return _value(answer.answer.get(name))


def _value(value: Value) -> str:
    if value is None or value in ("", []):
        return "<em>no value</em>"
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return _text(text if len(text) <= _VALUE_LETTERS else text[:_VALUE_LETTERS] + " ...")
