"""The child process that holds a local engine: requests in, results out, as plain data over a socket.

To the child: one `open` message, then `request` messages. From the child: `ready` or `refused`, then `taken` when
the engine takes a document, `working` while it works long on one, and `result` when it is answered. The supervisor
learns from `taken` which documents were in work when an engine dies, and from `failed` what the engine ended with,
unless it was killed.
"""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from appliance.engines.engine import Engine, Request, checked_result
from appliance.ground import child
from appliance.ground.errors import ApplianceError
from appliance.ground.text import storable
from appliance.tasks.dates import DateOrder
from appliance.tasks.task import (
    Budget,
    Comparator,
    Field,
    FieldType,
    InputLimits,
    LongDocumentPolicy,
    Rule,
    Student,
    Targets,
    Task,
    TaskKind,
)

TARGET = "appliance.answering.engine_process:serve_engine"
_REASON_CHARACTERS = 300
"""A library's sentence, or one that a file chose."""


def start_engine(artifact_dir: Path, task: Task, threads: int) -> child.Child:
    """Starts the child with what it is to open; its first message says whether it could."""
    worker = child.Child(TARGET)
    worker.send({"artifact_dir": str(artifact_dir), "task": asdict(task), "threads": threads})
    return worker


def task_from_message(values: dict[str, Any]) -> Task:
    """The task that was sent as plain values, so that the child need not read and check the task file again."""
    parts: dict[str, Any] = {name: tuple(values[name]) for name in ("labels", "slices")}
    parts |= {"readiness": Targets(**values["readiness"]), "student": Student(**values["student"])}
    parts["budget"] = Budget(**values["budget"])
    parts |= {"fields": tuple(map(_field, values["fields"])), "rules": tuple(Rule(**each) for each in values["rules"])}
    parts["input"] = InputLimits(values["input"]["max_tokens"], LongDocumentPolicy(values["input"]["long"]))
    return Task(**{**values, **parts, "kind": TaskKind(values["kind"])})


def _field(values: dict[str, Any]) -> Field:
    several = {name: tuple(values[name]) for name in ("values", "examples", "value_descriptions")}
    several["columns"] = tuple(map(_field, values["columns"]))
    kinds = {"type": FieldType(values["type"]), "comparator": Comparator(values["comparator"])}
    order = DateOrder(values["date_order"]) if values["date_order"] else None
    return Field(**{**values, **several, **kinds, "date_order": order})


def serve_engine(connection: Connection) -> None:
    """Runs in the child: opens the engine, then answers until the supervisor closes its end."""
    try:
        _serve(connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise  # The supervisor closed its end.
    except BaseException as error:  # What a library in Rust gives up with is no Exception.
        child.send(connection, {"failed": _reason(error)})
        raise


def _reason(error: BaseException) -> str:
    """What an engine ended with, for whoever reads why a document failed."""
    if isinstance(error, ApplianceError):
        return storable(error.message)[:_REASON_CHARACTERS]
    return storable(" ".join(f"{type(error).__name__}: {error}".split()))[:_REASON_CHARACTERS].rstrip(": ")


def _serve(connection: Connection) -> None:
    opening = child.receive(connection)
    try:
        engine = _open(opening, lambda: child.send(connection, {"working": True}))
    except ApplianceError as error:
        child.send(connection, {"refused": error.message, "hint": error.hint, "exit_code": error.exit_code})
        return
    except ImportError as error:
        child.send(
            connection,
            {
                "refused": f"the engine needs {error.name}, which is not installed",
                "hint": "install Stillroom again",
                "exit_code": 4,
            },
        )
        return
    arrived: queue.Queue[child.Message] = queue.Queue()
    threading.Thread(target=_take_messages, args=(connection, arrived), daemon=True).start()
    child.send(connection, {"ready": engine.identity, "context_length": engine.context_length})
    while True:
        first = arrived.get()
        for result in engine.answer(_requests(connection, arrived, first)):
            child.send(connection, {"result": asdict(checked_result(result))})


def _take_messages(connection: Connection, arrived: "queue.Queue[child.Message]") -> None:
    """Empties the socket at all times: if both sides only wrote, both would wait for ever."""
    try:
        while True:
            arrived.put(child.receive(connection))
    except (EOFError, OSError, ValueError):
        # The supervisor closed its end or died: nobody wants the answers that are in work.
        os._exit(0)


def _open(opening: child.Message, on_window: Callable[[], None]) -> Engine:
    from appliance.engines.open import open_engine

    task = task_from_message(opening["task"])
    return open_engine(Path(opening["artifact_dir"]), task, int(opening["threads"]), on_window)


def _requests(connection: Connection, arrived: "queue.Queue[child.Message]", first: child.Message) -> Iterator[Request]:
    """Requests that have arrived; ends when none is there, so that the engine finishes what it has in work.

    Waiting for another one here would hold back the documents that the engine has already taken.
    """
    message = first
    while True:
        child.send(connection, {"taken": message["key"]})
        yield Request(message["key"], storable(message["text"]))
        try:
            message = arrived.get_nowait()
        except queue.Empty:
            return
