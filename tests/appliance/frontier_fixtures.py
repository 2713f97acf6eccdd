"""A recorded frontier on loopback with the configuration and policy that let documents go to it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from appliance.answering.answerer import answer_all
from appliance.answering.frontier import FrontierAnswerer, frontier_answerer
from appliance.engines.engine import Request, Result
from appliance.ground.settings import Settings, load_settings
from appliance.routing.egress import EgressOptions
from appliance.routing.egress_reading import read_records
from appliance.tasks.task import Task
from appliance.tasks.taskfile import task_from_table
from benchmarks.recorded_frontier import Behaviour, RecordedFrontier

ANSWERS = {f"question {number}": {"label": ("cards", "loans")[number % 2]} for number in range(40)}


def classify_task(**more: object) -> Task:
    """Two labels."""
    values = {"version": 1, "name": "bank", "kind": "classify", "instruction": "What is it about?"}
    return task_from_table({**values, "labels": ["cards", "loans"], "data_class": "internal", **more}, "task.toml")


def extract_task(**more: object) -> Task:
    """A required number, a total, a customer and a list."""
    fields = [
        {"name": "number", "type": "text", "required": True},
        {"name": "total", "type": "amount"},
        {"name": "customer_name", "type": "text"},
        {"name": "parts", "type": "list"},
    ]
    values = {"version": 1, "name": "orders", "kind": "extract", "instruction": "Read the order", "fields": fields}
    return task_from_table({**values, "data_class": "internal", **more}, "task.toml")


@dataclass
class FrontierBench:
    """Everything that sending needs, in one home folder."""

    home_dir: Path
    frontier: RecordedFrontier
    config: dict[str, object] = field(default_factory=dict)
    engines: list[FrontierAnswerer] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return load_settings({"STILLROOM_HOME": str(self.home_dir)})

    @property
    def egress_dir(self) -> Path:
        return self.home_dir / "egress"

    @property
    def system_dir(self) -> Path:
        """Stands for `/etc/stillroom`."""
        return self.home_dir / "etc"

    @property
    def policy_path(self) -> Path:
        return self.home_dir / "policy" / "egress.toml"

    def configure(self, **config: object) -> None:
        """Writes `config.toml` with these keys beside the usual ones."""
        values = {
            "url": self.frontier.url, "model": self.frontier.behaviour.model, "input_price": 2.0, "output_price": 8.0,
            "backoff_seconds": 0.001, "concurrency": 2, "timeout_seconds": 60.0, **config,
        }  # fmt: skip
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        (self.home_dir / "config.toml").write_text("\n".join(["[frontier.recorded]", *lines]) + "\n")

    def allow(self, text: str = "", day: str = "documents = 1000", **changed: str) -> None:
        """Writes a policy that lets internal documents go to the recorded frontier."""
        keys = {
            "version": "1", "enabled": "true", "data_classes": '["internal"]', "hosts": f'["{self.frontier.host}"]',
            **changed,
        }  # fmt: skip
        lines = [f"{key} = {value}" for key, value in keys.items()]
        self.policy_path.parent.mkdir(exist_ok=True)
        self.policy_path.write_text("\n".join([*lines, text, "[caps.day]", day]) + "\n")
        self.policy_path.chmod(0o600)

    def open(self, task: Task, **options: object) -> FrontierAnswerer:
        """The answerer behind the gate."""
        chosen = EgressOptions(**{"allowed": True, "run": "run-1", "system_dir": self.system_dir, **options})  # type: ignore[arg-type]
        engine = frontier_answerer(self.settings, task, "recorded", chosen)
        self.engines.append(engine)
        return engine

    def ask(self, task: Task, *texts: str | Request) -> list[Result]:
        """Results in the order of the texts."""
        requests = [text if isinstance(text, Request) else Request(str(at), text) for at, text in enumerate(texts)]
        results = {result.key: result for result in answer_all(self.open(task), requests)}
        return [results[request.key] for request in requests]

    def records(self, kind: str) -> list[dict[str, object]]:
        """Records of this kind."""
        return [record for record in read_records(self.egress_dir) if record["kind"] == kind]


MakeBench = Callable[..., FrontierBench]


@contextmanager
def frontier_bench(
    home_dir: Path, answers: Mapping[str, object] | None = None, behaviour: Behaviour | None = None
) -> Iterator[FrontierBench]:
    """A bench that is configured and allowed."""
    with RecordedFrontier(ANSWERS if answers is None else answers, behaviour or Behaviour()) as frontier:
        bench = FrontierBench(home_dir, frontier)
        bench.configure()
        bench.allow()
        try:
            yield bench
        finally:
            for engine in bench.engines:
                engine.close()
