"""`stillroom plan`: what more data is worth, what a verdict still needs, when a student has paid for itself."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.ground.command_line import NumberRange, Share, json_option
from appliance.ground.errors import UsageError
from appliance.ground.output import note, print_json, print_lines
from appliance.ground.text import human_count
from appliance.tasks.folder import TaskFolder
from appliance.tasks.taskfile import load_task
from training.forecast.economics import Costs, Tier, break_even, tier_lines

if TYPE_CHECKING:
    from appliance.quality.statistics import Interval
    from training.forecast.curve import Curve, Measured

_JSON = dict[str, object]


@click.command("plan")
@click.argument("task_folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--measure", "is_measured", is_flag=True,
    help="Train students on an eighth, a quarter, a half and all of the training rows, three times each; the same call"
    " again goes on.",
)  # fmt: skip
@click.option(
    "--epochs", type=click.IntRange(min=1), metavar="N", help="With --measure: passes over the rows, at most."
)
@click.option(
    "--points", "points_path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measured elsewhere: JSON Lines with rows and error.",
)  # fmt: skip
@click.option(
    "--answer-price", type=NumberRange(min=0), metavar="MONEY",
    help="Of one more answer; by default what the answers of the task folder took on average.",
)  # fmt: skip
@click.option("--documents-per-day", type=NumberRange(min=0), metavar="N", help="That are to be answered.")
@click.option("--frontier-price", type=NumberRange(min=0), metavar="MONEY", help="Of one document by the frontier.")
@click.option("--frontier-year", type=NumberRange(min=0), metavar="MONEY", help="The frontier's bill of a year.")
@click.option("--running-year", type=NumberRange(min=0), default=0.0, metavar="MONEY", help="Of the student, a year.")
@click.option("--making", type=NumberRange(min=0), default=0.0, metavar="MONEY", help="Of the student, once.")
@click.option(
    "--escalated", type=Share(), default=0.0, metavar="SHARE", help="Of the documents that go to the frontier still."
)
@click.option(
    "--tier", "tiers", multiple=True, metavar="NAME:RIGHT:MONEY:SECONDS",
    help="A way to be answered: share of documents right, money per 1,000, median latency. Name the present one first.",
)  # fmt: skip
@click.option("--worth", type=NumberRange(min=0), metavar="MONEY", help="What one more right document is worth.")
@click.option("--currency", default="", metavar="NAME", help="Of all money here; by default that of the answers.")
@json_option("one JSON object")
def command(
    task_folder: Path,
    is_measured: bool,
    epochs: int | None,
    points_path: Path | None,
    answer_price: float | None,
    documents_per_day: float | None,
    frontier_price: float | None,
    frontier_year: float | None,
    running_year: float,
    making: float,
    escalated: float,
    tiers: tuple[str, ...],
    worth: float | None,
    currency: str,
    as_json: bool,
) -> None:
    """Forecast what more answers for TASK_FOLDER are worth, and what a student saves.

    The learning curve comes from students on nested parts of the training rows. Every figure that is an estimate has
    its interval.
    """
    from training.forecast.curve import fit_curve

    folder = TaskFolder(task_folder)
    price, own_currency = _answer_price(folder)
    currency = currency or own_currency
    lines: list[str] = []
    record: _JSON = {}
    points = _points(folder, is_measured, epochs, points_path)
    curve = fit_curve(points)
    record["points"] = [vars(point) for point in points]
    if curve is None:
        note("no learning curve: `stillroom plan TASK --measure` trains students on parts of the rows")
    else:
        _curve_part(curve, price if answer_price is None else answer_price, currency, lines, record)
        _required_part(curve, load_task(task_folder).readiness.required, lines, record)
    _verdict_part(folder, lines, record)
    if documents_per_day:
        if frontier_year is not None:
            frontier_price = frontier_year / 365 / documents_per_day
        if frontier_price is None:
            raise UsageError("nothing says what the frontier costs", "add --frontier-price or --frontier-year")
        even = break_even(Costs(documents_per_day, frontier_price, making, running_year, escalated))
        lines += even.lines(currency)
        record["break_even"] = vars(even)
    if tiers:
        if len(tiers) < 2:
            raise UsageError("one tier is nothing to compare with", "name the present tier first, then the dearer ones")
        record["tiers"] = verdicts = tier_lines([_tier(text) for text in tiers], currency, worth)
        lines += verdicts
    if as_json:
        print_json(record, ascii_only=False)
    else:
        print_lines(*lines)


def _points(folder: TaskFolder, is_measured: bool, epochs: int | None, path: Path | None) -> "list[Measured]":
    from training.forecast.measure import known_points, measure, points_of_file

    if path is not None:
        return points_of_file(path)
    if is_measured:
        return measure(folder, ["--epochs", str(epochs)] if epochs else [])
    return known_points(folder) if folder.split_path("train").is_file() else []


def _curve_part(curve: "Curve", price: float | None, currency: str, lines: list[str], record: _JSON) -> None:
    more = curve.rows
    gain, now = curve.gain(curve.rows, more), curve.error(curve.rows)
    lines += [
        f"now         {curve.rows:,} rows: {_percent(now)} wrong",
        f"doubling    {more:,} more rows: {_points_text(gain)} better" + _cost_text(more, price, currency),
        f"curve       err(n) = {curve.floor:.3f} + {curve.scale:.3g} n^-{curve.exponent:.2f};"
        f" {_percent(_error_without_end(curve))} stay wrong however many rows",
    ]
    record["curve"] = {"floor": curve.floor, "scale": curve.scale, "exponent": curve.exponent, "rows": curve.rows}
    record["doubling"] = {"rows": more, "gain": vars(gain), "money": None if price is None else more * price}


def _required_part(curve: "Curve", required: float | None, lines: list[str], record: _JSON) -> None:
    """How many rows lead to the accuracy that the task requires, where it names one."""
    if required is None:
        return
    expected, fewest, most = (None if rows is None else math.ceil(rows) for rows in curve.rows_for(1 - required))
    about = "no number of rows leads there" if expected is None else f"about {human_count(expected, 'row')}"
    about += ", which are there" if expected is not None and expected <= curve.rows else ""
    least = "never" if fewest is None else f"{fewest:,}"
    lines.append(
        f"required    {100 * required:.1f} % right: {about} ({least} to {'never' if most is None else f'{most:,}'})"
    )
    record["required"] = {"accuracy": required, "rows": expected, "fewest": fewest, "most": most}


def _error_without_end(curve: "Curve") -> "Interval":
    """What is left wrong without end."""
    return curve.error(1e12)


def _percent(interval: "Interval") -> str:
    return f"{100 * interval.estimate:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _points_text(interval: "Interval") -> str:
    return f"{100 * interval.estimate:.1f} points ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _cost_text(rows: int, price: float | None, currency: str) -> str:
    return "" if not price else f", about {rows * price:.4g} {currency}"


def _answer_price(folder: TaskFolder) -> tuple[float | None, str]:
    """What an answer of the folder took on average, and in which currency; None where no answer says it."""
    from training.answers_file import provenance_number, read_answers

    rows = read_answers(folder.answers_path)
    prices = [price for row in rows if (price := provenance_number(row, "money", -1.0)) >= 0]
    currency = next((row.provenance["currency"] for row in rows if row.provenance.get("currency")), "")
    return (sum(prices) / len(prices) if prices else None), currency


def _verdict_part(folder: TaskFolder, lines: list[str], record: _JSON) -> None:
    """What the last verdict on a student of the folder still needs."""
    from appliance.ground.errors import ApplianceError
    from appliance.models.manifest import read_manifest

    for run in reversed(folder.finished_runs()):
        for directory in sorted(run.exports_dir.glob("*")):
            try:
                manifest = read_manifest(directory)
            except ApplianceError:
                continue
            quality = manifest.metrics.get("quality")
            readiness = quality.get("readiness") if isinstance(quality, dict) else None
            if not isinstance(readiness, dict) or manifest.verdict is None:
                continue
            more, fewest, most = (readiness.get(key) for key in ("more", "fewest", "most"))
            text = f"verdict     {manifest.verdict.verdict} on {human_count(manifest.verdict.documents, 'document')}"
            if isinstance(more, int) and more:
                ends = f"{fewest:,} or more" if most is None else f"{fewest:,} to {most:,}"
                text += f"; about {more:,} more labels would decide it ({ends})"
            lines.append(text)
            record["verdict"] = {"verdict": manifest.verdict.verdict, "more": more, "fewest": fewest, "most": most}
            return


def _tier(text: str) -> Tier:
    parts = text.rsplit(":", 3)
    try:
        name, *numbers = parts
        right, money, seconds = map(float, numbers)
        if not 0 <= right <= 1 or not (0 <= money < math.inf and 0 <= seconds < math.inf):
            raise ValueError(text)
        return Tier(name, right, money, seconds)
    except ValueError as error:
        raise UsageError(
            f"--tier {text} is no NAME:RIGHT:MONEY:SECONDS", "as in --tier large:0.95:12.50:1.8"
        ) from error
