"""A job's fallback: what goes out after the local answer, what is outside, and the rows of what comes back."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from appliance.engines.engine import Result
from appliance.engines.frontier import FrontierRequest
from appliance.ground.errors import UsageError
from appliance.ground.settings import Settings
from appliance.jobs.answering import DocumentText
from appliance.jobs.job import FallbackConfig
from appliance.jobs.rows import Route, Row
from appliance.routing.cascade import FallbackLane, Merged, escalation, merge
from appliance.routing.policy import Caps
from appliance.tasks.task import Task

LANE_DOCUMENTS = 64
"""Documents outside at a time, those waiting for their turn among them; bounds what a kill makes to be sent again."""


@dataclass(frozen=True)
class _Outside:
    text: DocumentText
    local: Result
    request: FrontierRequest


class Fallback:
    """The second opinion of one run."""

    def __init__(self, config: FallbackConfig, task: Task, lane: FallbackLane) -> None:
        self._config, self._task, self._lane = config, task, lane
        self._outside: dict[str, _Outside] = {}
        self._stopped = False

    @property
    def connection(self) -> Connection | None:
        """What to wait on; None where nothing is outside."""
        return self._lane.connection

    @property
    def room(self) -> bool:
        """Whether it takes another document."""
        return self._lane.room

    def take(self, text: DocumentText, local: Result) -> bool:
        """Sends the document on where the local answer is not sure enough; whether it did."""
        request = escalation(self._task, text.reply.text, local, self._config.threshold)
        if request is None or self._stopped:
            # Where the run is being stopped, an unsure document gets no row: the next run asks again.
            return request is not None
        self._outside[request.key] = _Outside(text, local, request)
        self._lane.send(request)
        return True

    def arrived(self) -> Iterator[tuple[DocumentText, Merged]]:
        """What has come back."""
        for result in self._lane.arrived():
            found = self._outside.pop(result.key)
            merged = merge(self._task, found.request, found.local, result)
            places = {name: start for name, start in found.local.window_starts.items() if name not in merged.escalated}
            yield found.text, replace(merged, result=replace(merged.result, window_starts=places))

    def stop_taking(self) -> None:
        """Begins no further document: what is under way still comes back."""
        if not self._stopped:
            self._stopped = True
            for key in self._lane.stop_taking():
                del self._outside[key]

    def close(self) -> None:
        """Ends the engine of the fallback."""
        self._lane.close()


def merged_row(row: Row, merged: Merged, config: FallbackConfig, fields: int) -> Row:
    """The row with its route: whose answer it is, and whether a person must look.

    Args:
        row: What the merged answer alone says.
        fields: How many fields the task asks for.
    """
    if merged.problem is not None and row.fields is not None:
        message = "; ".join(part for part in (row.error_message, merged.message) if part)
        return replace(row, route=Route.REVIEW, error=row.error or merged.problem, error_message=message)
    if not merged.escalated:
        return row
    model = config.model if len(merged.escalated) == fields else f"{row.model}+{config.model}"
    route = Route.FRONTIER if row.route is Route.LOCAL else row.route
    return replace(row, route=route, model=model, escalated=list(merged.escalated))


def open_fallback(settings: Settings, config: FallbackConfig, task: Task, run: str) -> Fallback:
    """Opens the way out, before any document is answered.

    Args:
        run: The job's id, under which the record of what leaves names the requests.

    Raises:
        UsageError: The policy does not allow it, or it is another one than the job was made with.
        ResourceError: The record of what leaves cannot be written.
    """
    from appliance.routing.egress import EgressOptions, open_frontier

    check_same(settings, config, task)
    caps = Caps(config.cap_documents or None, config.cap_tokens or None, config.cap_money or None)
    engine = open_frontier(settings, task, config.name, EgressOptions(allowed=True, run=run, caps=caps))
    return Fallback(config, task, FallbackLane(engine, LANE_DOCUMENTS))


def check_same(settings: Settings, config: FallbackConfig, task: Task) -> None:
    """Refuses a fallback or policy that is not the job's any more: it would be another job.

    Raises:
        UsageError: It is another one.
    """
    now = fallback_config(settings, task, config.name, config.threshold)
    if (now.model, now.policy) != (config.model, config.policy):
        what = "frontier" if now.model != config.model else "policy"
        raise UsageError(
            f"the {what} is not the one that the job was made with",
            "run the job again: with another fallback or policy it is another job",
        )


def fallback_config(
    settings: Settings, task: Task, name: str, threshold: float, caps: Caps | None = None
) -> FallbackConfig:
    """The resolved fallback of a job.

    Raises:
        UsageError: There is no such frontier, or the policy does not let the task's documents leave.
    """
    from appliance.engines.frontier import frontier_identity
    from appliance.engines.frontier_config import load_frontier
    from appliance.routing.policy import check_allowed, load_policy

    if not threshold >= 0:
        raise UsageError(f"a threshold of {threshold:g} is no confidence", "use a number from 0 to 1, or auto")
    frontier = load_frontier(settings, name)
    policy = load_policy(settings)
    check_allowed(policy, task, frontier)
    identity = frontier_identity(frontier, task)
    return capped(FallbackConfig(name, threshold, identity, policy.sha256), caps or Caps())


def capped(config: FallbackConfig, caps: Caps) -> FallbackConfig:
    """The fallback with these caps where they are given.

    Raises:
        UsageError: A cap lets nothing leave.
    """
    for cap in (caps.documents, caps.tokens, caps.money):
        if cap is not None and not cap > 0:
            raise UsageError(f"a cap of {cap:g} lets no document leave", "leave the fallback out, or name a larger cap")
    return replace(
        config,
        cap_documents=config.cap_documents if caps.documents is None else caps.documents,
        cap_tokens=config.cap_tokens if caps.tokens is None else caps.tokens,
        cap_money=config.cap_money if caps.money is None else caps.money,
    )
