"""A comparison as one HTML file without outside resources, to be read on a screen or on paper."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.comparison.figures import ComparisonFigures, PairFigures, SideFigures
from appliance.comparison.join import ComparedDocument
from appliance.comparison.render_text import SIDE_FIGURES, points, seconds, share, small_duration
from appliance.comparison.view import ComparisonView
from appliance.ground.text import human_count
from appliance.jobs.ledger import FinishedDocument
from appliance.quality.figure import Figure
from appliance.quality.gate import judge_results
from appliance.quality.gate_page import quality_sections
from appliance.quality.judgements import Judgement
from appliance.quality.page import cell, render_page, shown_value, write_page
from appliance.quality.plots import SIDE_CLASSES, Axis, Drawing, Mark, dot_plot, span, stacked_bar

SHOWN_DOCUMENTS = 200
_FOLDER = Path(__file__).parent


def write_report(view: ComparisonView, figures: ComparisonFigures, path: Path, values: bool = True) -> None:
    """Writes the report.

    Args:
        values: Whether it holds what the documents and answers say; without, it names only documents and fields.

    Raises:
        ResourceError: The file cannot be written.
    """
    write_page(path, report_html(view, figures, values))


def report_html(view: ComparisonView, figures: ComparisonFigures, values: bool = True) -> str:
    """The report as text."""
    config = view.config
    facts = [
        ("Comparison", config.id),
        ("Made", config.created),
        ("Documents", f"{figures.documents:,} of {config.folder_documents:,} in {config.documents_dir}"),
        ("Could not be read", f"{figures.unreadable:,}"),
        ("Right answers known", f"{figures.gold_documents:,} documents"),
        ("Margin", f"{100 * figures.margin:g} points: a side that is this much worse still counts as good"),
    ]
    return render_page(
        _FOLDER, "report.html.jinja", f"{figures.task}: {' against '.join(view.sides)}",
        {
            "facts": facts,
            "figures": figures,
            "side_class": _side_class,
            "side_rows": _side_rows(figures.sides),
            "side_plots": _side_plots(figures.sides),
            "sections": [_section(view, pair, side, values) for side, pair in enumerate(figures.pairs, 1)],
            "quality": None if figures.pairs else _quality(view, values),
        },
    )  # fmt: skip


def _quality(view: ComparisonView, values: bool) -> dict[str, object] | None:
    """Of one model alone: what `gate --html` shows of one."""
    rows, results = view.labelled()
    if not rows:
        return None
    return quality_sections(view.task, judge_results(view.task, rows, results), rows, results, values)


def _side_rows(sides: Sequence[SideFigures]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Label, and for each side the figure in words with its sample size."""
    cells = []
    for row in SIDE_FIGURES:
        figures = [(row.figure_of(side), side.currency) for side in sides]
        cells.append(
            (row.label, [(row.text_of(each, money), f"{each.n:,}" if each.n else "") if each else ("-", "")
                         for each, money in figures])
        )  # fmt: skip
    for name in dict.fromkeys(name for side in sides for name in side.columns):
        columns = [side.columns.get(name) for side in sides]
        cells.append((f"cells of {name} right", [(share(each), f"{each.n:,}" if each else "") for each in columns]))
    failures = [
        ", ".join(f"{count:,} {name}" for name, count in side.failed.items()) or "none" for side in sides
    ]  # fmt: skip
    return [*cells, ("without an answer", [(text, "") for text in failures])]


def _side_class(place: int) -> str:
    return SIDE_CLASSES[place % len(SIDE_CLASSES)]


def _side_plots(sides: Sequence[SideFigures]) -> list[Drawing]:
    def plot(title: str, figures: Sequence[Figure | None], words: Callable[[Figure], str], axis: Axis) -> Drawing:
        marks = [
            Mark(side.name, figure, words(figure), _side_class(place))
            for place, (side, figure) in enumerate(zip(sides, figures, strict=True))
            if figure is not None
        ]
        return dot_plot(title, marks, axis)

    plots = []
    accuracies = [side.field_accuracy for side in sides]
    if known := [figure for figure in accuracies if figure is not None]:
        axis = Axis(*span(known, 0.0, 1.0), format_tick=lambda value: f"{100 * value:.3g} %")
        plots.append(plot("Fields right", accuracies, share, axis))
    medians, tails = [side.latency_p50 for side in sides], [side.latency_p95 for side in sides]
    if all(figure.value > 0 for figure in medians):
        low, high = span([*medians, *tails])
        least = min(figure.low or figure.value for figure in medians)
        axis = Axis(max(low, least / 2), high, format_tick=small_duration, logarithmic=True)
        plots += [plot("Latency, median", medians, seconds, axis)]
        plots += [plot("Latency, 95th percentile", tails, seconds, axis)]
    return plots


def _section(view: ComparisonView, pair: PairFigures, side: int, values: bool) -> dict[str, object]:
    """One pair: how often both agree, who is right, and the documents that differ."""
    right, bar, caption = pair.right, None, ""
    if right.table is not None and right.difference is not None:
        table = right.table
        basis = (
            "by the right answers" if right.basis == "gold" else f"of {human_count(right.judged, 'judged document')}"
        )
        caption = f"Documents that are right as a whole, {basis}; exact McNemar p {right.p:.3g}"
        parts = [("both right", table.both, "both"), (f"only {pair.first}", table.only_first, "a"),
                 (f"only {pair.second}", table.only_second, _side_class(side)),
                 ("neither", table.neither, "neither")]  # fmt: skip
        bar = stacked_bar("Documents that are right", parts)
    slower = _more(pair.seconds_difference, small_duration, "longer", "less time")
    dearer = _more(pair.money_difference, lambda value: f"{value:.4g}", "more", "less")
    if pair.agreement.n and not pair.money_difference.n:
        dearer = "money of another currency, which has no difference,"
    documents = view.differing(0, SHOWN_DOCUMENTS, side)
    judged = view.judged(side)
    first_of = f"the first {len(documents):,} of " if pair.differing > len(documents) else ""
    significant = [field for field in pair.fields if field.p is not None and field.p < 0.05 and len(pair.fields) > 1]
    note = ", ".join(f"{field.name} (p {field.p:.2g})" for field in significant)
    return {
        "pair": pair,
        "summary": f"Same answer on {share(pair.agreement)} of {pair.agreement.n:,} documents, the same value in"
        f" {share(pair.field_agreement)} of {pair.field_agreement.n:,} fields. {pair.first} takes {slower} and costs"
        f" {dearer} per 1,000 documents.",
        "bar": bar,
        "bar_caption": caption,
        "plot": _difference_plot(pair),
        "plot_note": f"Fields whose difference is unlikely to be chance (Holm-adjusted p below 0.05): {note}."
        if note
        else "",
        "how_many": f"{first_of}{pair.differing:,}",
        "documents": [_document(document, side, judged.get(document.path), values) for document in documents],
    }


def _more(figure: Figure, words: Callable[[float], str], more: str, less: str) -> str:
    if not figure.n or figure.value == 0:
        return "the same"
    text = f"{words(abs(figure.value))} {more if figure.value > 0 else less}"
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return text
    if figure.low < 0 < figure.high:
        return f"{text} ({words(figure.low)} to {words(figure.high)})"
    low, high = sorted((abs(figure.low), abs(figure.high)))
    return f"{text} ({words(low)} to {words(high)})"


def _difference_plot(pair: PairFigures) -> Drawing | None:
    figures = [("all fields", pair.right.difference)]
    if len(pair.fields) > 1:
        figures += [(field.name, field.difference) for field in pair.fields]
    marks = [Mark(name, figure, points(figure), "a") for name, figure in figures if figure is not None]
    if not marks:
        return None
    low, high = span([mark.figure for mark in marks], -1.0, 1.0)
    most = max(abs(low), abs(high)) if math.isfinite(low + high) else 1.0
    axis = Axis(-most, most, format_tick=lambda value: f"{100 * value:+.3g}", zero=True)
    return dot_plot(f"Points by which {pair.first} is right more often than {pair.second}", marks, axis)


def _document(document: ComparedDocument, side: int, judgement: Judgement | None, values: bool) -> dict[str, object]:
    first, second = document.answers[0], document.answers[side]
    rows = []
    for name in document.differing:
        gold = shown_value(document.gold.get(name)) if document.gold is not None else cell("")
        cells = [_answer(first, name), _answer(second, name), gold] if values else [cell("")] * 3
        rows.append({"name": name, "values": cells})
    verdict = f"{judgement.choice} ({judgement.user})" if judgement is not None else ""
    return {"name": document.name, "fields": rows, "judgement": verdict}


def _answer(answer: FinishedDocument | None, name: str) -> dict[str, object]:
    if answer is None:
        return cell("not answered yet", missing=True)
    row = answer.row
    return cell(row.error or "no answer", missing=True) if row.fields is None else shown_value(row.fields.get(name))
