"""One frontier side of a comparison: through policy, masking, caps and the log, like every byte that leaves."""

from collections.abc import Generator, Iterator
from dataclasses import replace

from appliance.answering.answerer import answer_all
from appliance.answering.frontier import open_frontier
from appliance.comparison.folder import Side
from appliance.comparison.local_side import Text
from appliance.engines.engine import Request, Result
from appliance.engines.frontier_config import FrontierConfig, load_frontier
from appliance.ground.settings import Settings
from appliance.routing.egress import EgressOptions
from appliance.tasks.task import Task


def configured(settings: Settings, name: str, effort: str | None) -> FrontierConfig:
    """The frontier of this name, asked with another reasoning effort where one is given."""
    config = load_frontier(settings, name)
    return config if effort is None else replace(config, choice=replace(config.choice, effort=effort))


def answer_by_frontier(
    settings: Settings, side: Side, task: Task, texts: Iterator[Text], options: EgressOptions
) -> Generator[Result, None, str]:
    """Answers each text once, and returns why the sending ended before the last of them; empty where it did not.

    Texts that were not sent because a cap was reached or the frontier was gone get no result: they are still to do.
    """
    answerer = open_frontier(settings, task, side.frontier, options)
    try:
        for result in answer_all(answerer, (Request(str(text.id), text.text) for text in texts)):
            if answerer.ended is None or result.error != answerer.ended[0]:
                yield result
        return answerer.ended[1] if answerer.ended is not None else ""
    finally:
        answerer.close()
