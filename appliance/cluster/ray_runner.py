"""Runs the shards of one job on a Ray cluster: an actor on each node around the ordinary `stillroom run --shard`.

Ray only places the work. Documents, rows and ledgers never pass through it: nodes read the folder and write the
shards' output folders themselves, on storage that all nodes see.
"""

import importlib
import logging
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.cluster.shard_process import ShardEnd, ShardProcess
from appliance.ground.errors import ApplianceError, ResourceError
from appliance.ground.extras import require_extra
from appliance.ground.stopping import Stop, stopped_by_signals
from appliance.jobs.shards import Shard

_TRIES = 2
"""A shard that ends badly is tried once more, on another node where there is one."""
_POLL_SECONDS = 0.5
_STOP_SECONDS = 120.0
_OBJECT_STORE_BYTES = 100 << 20
"""The least that Ray takes; nothing of ours is put there."""
_LOOPBACK = ("127.", "localhost")
_GOOD_EXIT_CODES = (0, 3)
_STOPPED_EXIT_CODE = 130


@dataclass(frozen=True)
class ClusterRequest:
    """Which shards to run, and how."""

    arguments: tuple[str, ...]
    """Of `stillroom`, but for `--shard`: every path is absolute and means the same on all nodes."""
    shards: int
    address: str | None = None
    """Of a running Ray cluster; None starts one on this machine, reachable from this machine only."""
    workers: int = 0
    """Nodes to use at most; 0 means all."""
    state_dir: str | None = None
    """Folder for state on the nodes' own disks; None means their folder for temporary files."""


@dataclass
class _Worker:
    """The actor of one node."""

    actor: Any
    node: str
    shard: Shard | None = None


@dataclass
class _Work:
    """What is still to do."""

    waiting: deque[Shard]
    workers: list[_Worker]
    tries: dict[Shard, int] = field(default_factory=dict)
    running: dict[Any, _Worker] = field(default_factory=dict)
    """Ray's reference of a call -> the worker that does it."""
    finished: int = 0


def run_shards(request: ClusterRequest, on_shard_end: Callable[[Shard, ShardEnd], None]) -> bool:
    """Runs every shard to its end; False where a person stopped it before.

    Args:
        on_shard_end: Called for each shard that ended well.

    Raises:
        ResourceError: Ray is not installed, the cluster cannot be reached, or no node is left.
        ApplianceError: A shard ended badly on every try.
    """
    require_extra("cluster")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if request.address is None or request.address.startswith(_LOOPBACK):
        # Otherwise Ray takes the loopback address for another name of the address that other machines reach.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray = _ray()
    _connect(request)
    stop = Stop()
    try:
        # After Ray, which sets a handler of its own.
        with stopped_by_signals(stop):
            shards = deque(Shard(number, request.shards) for number in range(1, request.shards + 1))
            work = _Work(shards, _start_workers(request))
            try:
                while (work.waiting or work.running) and not stop.graceful:
                    _step(work, request, on_shard_end)
            finally:
                _stop_workers(work, on_shard_end)
            return work.finished == request.shards
    finally:
        ray.shutdown()


def _ray() -> Any:
    """The library; a large import, for the run itself only. It has annotations for a part of its functions."""
    return importlib.import_module("ray")


def _connect(request: ClusterRequest) -> None:
    ray = _ray()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if request.address is None:
        # "local", and not the cluster that the environment or a file of an earlier one may name.
        options |= {
            "address": "local", "include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES,
        }  # fmt: skip
    else:
        options["address"] = request.address
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        if request.address is None:
            hint = (
                "check the free memory and ports, or start a cluster with `ray start --head` and name its `--address`"
            )
            raise ResourceError(f"no Ray cluster can be started on this machine: {error}", hint) from error
        hint = "start one there with `ray start --head`, or leave `--address` out"
        raise ResourceError(f"no Ray cluster at {request.address}: {error}", hint) from error


def _start_workers(request: ClusterRequest) -> list[_Worker]:
    """One actor for each node, which takes all of the node's processors and GPUs."""
    ray = _ray()
    strategies = importlib.import_module("ray.util.scheduling_strategies")
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise ResourceError("the Ray cluster has no node with a processor", "`ray status` shows its nodes")
    workers = []
    for node in sorted(nodes, key=lambda node: str(node["NodeID"]))[: request.workers or None]:
        processors = int(node["Resources"]["CPU"])
        actor_class = ray.remote(ShardProcess).options(
            num_cpus=processors,
            num_gpus=node["Resources"].get("GPU", 0),
            # One call for the shard, one to stop it.
            max_concurrency=2,
            scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        )
        actor = actor_class.remote(request.state_dir, processors)
        workers.append(_Worker(actor, str(node["NodeManagerHostname"])))
    return workers


def _step(work: _Work, request: ClusterRequest, on_shard_end: Callable[[Shard, ShardEnd], None]) -> None:
    """Gives free workers a shard each, then waits a moment for one to end."""
    ray = _ray()
    for worker in work.workers:
        if worker.shard is None and work.waiting:
            worker.shard = work.waiting.popleft()
            arguments = [*request.arguments, "--shard", str(worker.shard)]
            work.running[worker.actor.run.remote(arguments)] = worker
    ended, _ = ray.wait(list(work.running), num_returns=1, timeout=_POLL_SECONDS)
    for reference in ended:
        _collect(work, reference, on_shard_end)


def _collect(work: _Work, reference: Any, on_shard_end: Callable[[Shard, ShardEnd], None]) -> None:
    """Takes in what became of a shard."""
    ray = _ray()
    worker = work.running.pop(reference)
    shard, worker.shard = worker.shard, None
    assert shard is not None
    try:
        end: ShardEnd = ray.get(reference)
    except ray.exceptions.RayError as error:
        # The node or its actor is gone; the shard goes to another one.
        work.workers.remove(worker)
        _again(work, shard, ShardEnd(4, 0, 0, f"the worker process ended: {type(error).__name__}", "", worker.node))
        if not work.workers:
            raise ResourceError(
                f"no node of the Ray cluster is left: {str(error).splitlines()[0]}",
                "`ray status` shows the nodes; the same command continues where it stopped",
            ) from error
        return
    if end.exit_code in _GOOD_EXIT_CODES:
        work.finished += 1
        on_shard_end(shard, end)
    elif end.exit_code != _STOPPED_EXIT_CODE:
        _again(work, shard, end)


def _again(work: _Work, shard: Shard, end: ShardEnd) -> None:
    work.tries[shard] = work.tries.get(shard, 0) + 1
    if work.tries[shard] >= _TRIES:
        error = ApplianceError(f"shard {shard} failed on {end.node}: {end.message}", end.hint)
        error.exit_code = end.exit_code if end.exit_code > 0 else 1
        raise error
    work.waiting.append(shard)


def _stop_workers(work: _Work, on_shard_end: Callable[[Shard, ShardEnd], None]) -> None:
    """Lets shards in work finish what is in flight and leave their ledgers; then ends the actors."""
    ray = _ray()
    if work.running:
        for worker in work.workers:
            worker.actor.stop.remote()
        ended, _ = ray.wait(list(work.running), num_returns=len(work.running), timeout=_STOP_SECONDS)
        for reference in ended:
            worker = work.running.pop(reference)
            try:
                end: ShardEnd = ray.get(reference)
            except ray.exceptions.RayError:
                continue
            if end.exit_code in _GOOD_EXIT_CODES and worker.shard is not None:
                work.finished += 1
                on_shard_end(worker.shard, end)
    for worker in work.workers:
        ray.kill(worker.actor)


def shard_folders(out_dir: Path, shards: int) -> list[Path]:
    """The output folders of all shards, by number."""
    return [out_dir / Shard(number, shards).folder_name for number in range(1, shards + 1)]
