"""The files of weights of an artifact, looked at before a library that is written in C++ opens them."""

from pathlib import Path

from appliance.models.manifest import ArtifactError, Manifest

RUNNABLE = frozenset({("decoder", "gguf"), ("decoder", "onnx"), ("encoder", "onnx"), ("noop", "noop")})
"""Family and format of the artifacts that an engine runs."""
_OPENED = {"gguf": "model.gguf", "onnx": "model.onnx"}
"""Format -> the file that its engine opens."""


def check_weights(directory: Path, manifest: Manifest) -> None:
    """Refuses weights that are damaged or made to harm, though their hash is the manifest's: strangers hash too.

    Raises:
        ArtifactError: No engine runs this kind of model, or there are no weights.
        GgufError, OnnxError: A file is none that an engine may open; says why.
    """
    if (manifest.family, manifest.format) not in RUNNABLE:
        kind = f"{manifest.family} as {manifest.format} {manifest.quantization}".strip()
        raise ArtifactError(
            f"no engine can run this kind of model ({kind})", "export it as GGUF or ONNX with `stillroom export`"
        )
    if (weights_name := _OPENED.get(manifest.format)) and weights_name not in manifest.files:
        raise ArtifactError(
            f"{manifest.name} lists no {weights_name}, which its engine opens",
            "export the model again with `stillroom export`",
        )
    # What knows the formats is loaded where a file is looked at, not with every command that knows models.
    from appliance.models.gguf_file import check_gguf
    from appliance.models.onnx_file import check_onnx

    for name in manifest.files:
        if name.endswith(".gguf"):
            check_gguf(directory / name)
        elif name.endswith(".onnx"):
            check_onnx(directory / name)
