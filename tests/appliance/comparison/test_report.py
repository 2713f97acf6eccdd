"""The report: one file, nothing loaded, nothing run, every word of a document as text."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from appliance.comparison import report
from appliance.comparison.report import report_html
from appliance.comparison.view import ComparisonView, open_comparison
from appliance.quality.figure import Figure
from appliance.quality.page import templates
from appliance.quality.plots import Axis, Drawing, Mark, dot_plot, span, stacked_bar
from tests.appliance.comparison.conftest import Pair

HOSTILE = '<script src="https://example.com/x.js"></script><img src=x onerror=alert(1)>"\'&'


class Elements(HTMLParser):
    """Collects elements with their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said += data


def svg(macro: str, drawing: Drawing) -> str:
    """A plot as the report holds it."""
    return str(getattr(templates(Path(report.__file__).parent).get_template("plots.svg.jinja").module, macro)(drawing))


@pytest.fixture
def view(pair: Pair) -> Iterator[ComparisonView]:
    """A comparison in which documents, answers and names are hostile; the second model differs in two documents."""
    gold_path = pair.write_orders(8, misread=2, gold=8)
    pair.bench.write("<b>bold</b>.txt", f"an order MISREAD THIS\nnumber: {HOSTILE}\ntotal: \x1b[31m1\u202e\n")
    done = pair.bench.call(*pair.arguments("--json", "--labels", str(gold_path)))
    assert done.returncode == 0, done.stderr
    with open_comparison(pair.bench.settings, str(json.loads(done.stdout)["id"])) as opened:
        yield opened


def test_nothing_is_loaded_or_run(view: ComparisonView) -> None:
    text = report_html(view, view.figures())
    elements = Elements(text)
    assert {tag for tag, _ in elements.found} <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "dl", "div", "dt", "dd", "p", "table",
        "thead", "tbody", "tr", "th", "td", "small", "span", "em", "figure", "figcaption", "svg", "text", "line",
        "circle", "rect",
    }  # fmt: skip
    attributes = {name for _, given in elements.found for name in given}
    assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "style", "action")]
    assert "url(" not in text
    assert "@import" not in text


def test_the_policy_allows_exactly_the_own_style(view: ComparisonView) -> None:
    text = report_html(view, view.figures())
    policy = next(str(given["content"]) for tag, given in Elements(text).found if given.get("http-equiv"))
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_hostile_words_are_shown_as_words(view: ComparisonView) -> None:
    text = report_html(view, view.figures())
    assert HOSTILE in Elements(text).said
    assert "<script" not in text
    assert "<b>bold" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_figures_stand_with_interval_and_sample_size(view: ComparisonView) -> None:
    said = Elements(report_html(view, view.figures())).said
    assert re.search(r"fields right.*\(\d+\.\d to \d+\.\d\) n = 16", said)
    assert "Documents that differ (3)" in said
    assert "exact McNemar p 0.5" in said


def test_without_values_only_names_of_documents_and_fields_are_left(view: ComparisonView) -> None:
    said = Elements(report_html(view, view.figures(), values=False)).said
    assert "006.txt" in said
    assert "misread" not in said
    assert "alert(1)" not in said


@pytest.mark.slow
def test_a_report_goes_where_it_is_asked_for(pair: Pair, tmp_path: Path) -> None:
    pair.write_orders(3, misread=1)
    path = tmp_path / "report.html"
    done = pair.bench.call(*pair.arguments("--html", str(path)))
    assert done.returncode == 0, done.stderr
    assert path.read_text().startswith("<!DOCTYPE html>")
    missing = pair.bench.call(*pair.arguments("--html", str(tmp_path / "gone" / "report.html")))
    assert missing.returncode == 4
    assert "its folder does not exist" in missing.stderr


def test_whiskers_and_dots_stand_where_the_values_are() -> None:
    axis = Axis(0.0, 1.0, format_tick=lambda value: f"{value:.1f}")
    drawn = svg("dot_plot", dot_plot("t", [Mark("a", Figure(0.5, 0.25, None, 9), "half")], axis))
    at = {name: axis.at(value) for name, value in (("low", 0.25), ("middle", 0.5), ("end", 1.0))}
    assert f'cx="{at["middle"]:.1f}"' in drawn
    assert f'x1="{at["low"]:.1f}" x2="{at["end"]:.1f}"' in drawn, "an open bound reaches the end of the axis"
    assert at["middle"] - at["low"] == pytest.approx((at["end"] - at["middle"]) / 2)


@pytest.mark.parametrize(
    ("low", "high", "logarithmic", "ticks"),
    [(0.78, 0.87, False, [0.78, 0.8, 0.82, 0.84, 0.86]), (0.006, 0.1, True, [0.01, 0.02, 0.05, 0.1])],
)
def test_ticks_are_round(low: float, high: float, logarithmic: bool, ticks: list[float]) -> None:
    assert Axis(low, high, format_tick=str, logarithmic=logarithmic).ticks() == pytest.approx(ticks)


def test_a_span_leaves_room_but_stays_within_its_bounds() -> None:
    low, high = span([Figure(0.9, 0.8, 1.0, 5)], 0.0, 1.0)
    assert (low, high) == (pytest.approx(0.788), 1.0)


def test_hostile_names_of_models_and_fields_are_words_in_plots() -> None:
    name = "\x1b[31m<b>\u202e"
    plot = dot_plot(name, [Mark(name, Figure(0.5, 0.4, 0.6, 9), name)], Axis(0.0, 1.0, format_tick=str))
    drawn = svg("dot_plot", plot) + svg("stacked_bar", stacked_bar(name, [(name, 1, "both")]))
    assert "<b>" not in drawn
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn


def test_an_empty_bar_is_drawn_without_a_share() -> None:
    assert "both right: 0 (-)" in svg("stacked_bar", stacked_bar("t", [("both right", 0, "both")]))


def test_one_model_with_labels_has_a_page_of_its_own(pair: Pair) -> None:
    gold_path = pair.write_orders(8, misread=2, gold=8)
    bench, html_path = pair.bench, pair.bench.root / "page.html"
    words = ("compare", str(bench.task_path), str(bench.documents_dir), "--model", str(bench.artifact_dir))
    refused = bench.call(*words)
    assert refused.returncode == 2
    assert "one model alone needs right answers" in refused.stderr
    done = bench.call(*words, "--labels", str(gold_path), "--html", str(html_path))
    assert done.returncode == 0, done.stderr
    assert "fields right" in done.stdout
    said = Elements(html_path.read_text()).said
    assert "Each field" in said
    assert "Errors (" in said
