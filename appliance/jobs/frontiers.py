"""The frontiers of a job, its main answerer or its fallback: resolved when it is made, checked when it goes on."""

from dataclasses import replace

from appliance.ground.errors import UsageError
from appliance.ground.settings import Settings
from appliance.ground.shares import check_share
from appliance.jobs.job import FallbackConfig, JobConfig
from appliance.routing.policy import Caps
from appliance.tasks.task import Task


def frontier_model(settings: Settings, task: Task, name: str, effort: str) -> str:
    """The model identity of a frontier that answers in place of a local model.

    Raises:
        UsageError: There is no such frontier, or the policy does not let the task's documents leave.
    """
    from appliance.engines.frontier import frontier_identity
    from appliance.routing.egress import checked, with_effort

    frontier, _policy = checked(settings, task, name)
    return frontier_identity(with_effort(frontier, effort), task)


def check_frontier(settings: Settings, task: Task, config: JobConfig) -> None:
    """Refuses a frontier that is configured otherwise than when the job was made.

    Raises:
        UsageError: It is another one, or nothing may leave any more.
    """
    if frontier_model(settings, task, config.frontier, config.effort) != config.model:
        raise UsageError(
            f"frontier {config.frontier} has changed since the job was made", "run it again: that makes a new job"
        )


def check_fallback(settings: Settings, config: FallbackConfig, task: Task) -> None:
    """Refuses a fallback or policy that is not the job's any more: it would be another job.

    Raises:
        UsageError: It is another one.
    """
    now = fallback_config(settings, task, config.name, config.threshold)
    if (now.model, now.policy) != (config.model, config.policy):
        what = "frontier" if now.model != config.model else "policy"
        raise UsageError(
            f"the {what} has changed since the job was made",
            "run it again: another fallback or policy makes a new job",
        )


def fallback_config(
    settings: Settings, task: Task, name: str, threshold: float, caps: Caps | None = None
) -> FallbackConfig:
    """The resolved fallback of a job.

    Raises:
        UsageError: There is no such frontier, the policy does not let the task's documents leave, or the threshold is
            no confidence.
    """
    from appliance.engines.frontier import frontier_identity
    from appliance.engines.frontier_config import load_frontier
    from appliance.quality.threshold_curve import SEND_ALL
    from appliance.routing.policy import check_allowed, load_policy

    check_share(threshold, "the threshold", "auto", most=SEND_ALL)
    frontier = load_frontier(settings, name)
    policy = load_policy(settings)
    check_allowed(policy, task, frontier)
    identity = frontier_identity(frontier, task)
    return capped(FallbackConfig(name, threshold, identity, policy.sha256), caps or Caps())


def check_caps(caps: Caps) -> None:
    """Refuses a cap that lets nothing leave.

    Raises:
        UsageError: Such a cap.
    """
    for cap in (caps.documents, caps.tokens, caps.money):
        if cap is not None and not cap > 0:
            raise UsageError(f"a cap of {cap:g} lets no document leave", "leave the frontier out, or name a larger cap")


def capped(config: FallbackConfig, caps: Caps) -> FallbackConfig:
    """The fallback with these caps where they are given.

    Raises:
        UsageError: A cap lets nothing leave.
    """
    check_caps(caps)
    return replace(
        config,
        cap_documents=config.cap_documents if caps.documents is None else caps.documents,
        cap_tokens=config.cap_tokens if caps.tokens is None else caps.tokens,
        cap_money=config.cap_money if caps.money is None else caps.money,
    )
