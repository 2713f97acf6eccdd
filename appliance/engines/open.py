"""Opens the engine that an artifact needs."""

import importlib
from collections.abc import Callable
from pathlib import Path

from appliance.engines.engine import Engine
from appliance.engines.long_documents import WindowedEngine
from appliance.engines.windows import can_window
from appliance.ground.errors import ApplianceError
from appliance.models.manifest import read_manifest
from appliance.tasks.task import Task

ENGINE_CLASSES = {
    ("decoder", "gguf"): "appliance.engines.llama.engine:LlamaEngine",
    ("decoder", "onnx"): "appliance.engines.onnx_decoder:OnnxDecoderEngine",
    ("encoder", "onnx"): "appliance.engines.onnx_encoder:OnnxEncoderEngine",
    ("noop", "noop"): "appliance.engines.lookup_engine:LookupEngine",
}
"""(family, format) -> class; imported when it is needed, because each pulls its own library."""


def open_engine(artifact_dir: Path, task: Task, threads: int, on_window: Callable[[], None] = lambda: None) -> Engine:
    """The engine for the artifact, with its model loaded.

    Args:
        on_window: Called now and then while one document takes long.

    Raises:
        ApplianceError: No engine runs this kind of artifact, or the model cannot be loaded.
    """
    manifest = read_manifest(artifact_dir)
    target = ENGINE_CLASSES.get((manifest.family, manifest.format))
    if target is None:
        raise ApplianceError(
            f"no engine can run this kind of model ({manifest.family} as {manifest.format})",
            "export the model as GGUF or ONNX with `stillroom export`",
        )
    module, _, name = target.partition(":")
    engine_class = getattr(importlib.import_module(module), name)
    engine: Engine = engine_class(artifact_dir, task, threads)
    # An encoder cuts long texts itself, by tokens.
    return WindowedEngine(engine, task, on_window) if can_window(task) and manifest.family != "encoder" else engine
