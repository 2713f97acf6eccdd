"""Which architectures become ONNX, by name: asked before a base is trained, and before a graph is traced."""

from collections.abc import Mapping

from appliance.ground.errors import UsageError
from appliance.models.architectures import ARCHITECTURES, text_config


def refuse_onnx(config: Mapping[str, object]) -> None:
    """Refuses a decoder that cannot become ONNX, by its `config.json`.

    Raises:
        UsageError: It cannot; says why.
    """
    own_type, model_type = str(config.get("model_type")), str(text_config(config).get("model_type"))
    known = ARCHITECTURES.get(own_type) or ARCHITECTURES.get(model_type)
    if known is None or not known.onnx:
        why = known.why_no_onnx if known else "it is not known here"
        offered = [name for name, other in ARCHITECTURES.items() if other.onnx and other.family == "decoder"]
        raise UsageError(
            f"a {own_type} model cannot become ONNX: {why}", f"export to GGUF, or use a base of {', '.join(offered)}"
        )
