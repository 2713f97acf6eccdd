"""The files of weights of an artifact, looked at before a library that is written in C++ opens them."""

from pathlib import Path

from appliance.models.manifest import Manifest


def check_weights(directory: Path, manifest: Manifest) -> None:
    """Refuses weights that are damaged or made to harm, though their hash is the manifest's: strangers hash too.

    Raises:
        GgufError, OnnxError: A file is none that an engine may open; says why.
    """
    # What knows the formats is loaded where a file is looked at, not with every command that knows models.
    from appliance.models.gguf_file import check_gguf
    from appliance.models.onnx_file import check_onnx

    for name in manifest.files:
        if name.endswith(".gguf"):
            check_gguf(directory / name)
        elif name.endswith(".onnx"):
            check_onnx(directory / name)
