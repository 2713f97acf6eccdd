"""Can a base model become what is wanted of it? Known before anything is trained, and without reading its weights."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.engines.llama.model import LlamaModel
from appliance.engines.tokenizer import model_tokenizer
from appliance.ground.errors import ApplianceError, UsageError
from appliance.models.model_config import read_model_config
from appliance.models.safetensors_file import read_headers, weight_paths
from export.gguf.settings import architecture_of, settings_of
from export.gguf.tensor_plan import HEAD, tensor_plan, text_names
from export.gguf.token_check import check_tokens
from export.gguf.vocabulary import read_vocabulary
from export.gguf.vocabulary_file import write_cutting_model
from export.onnx.offered import refuse_onnx
from export.targets import TARGETS


def base_problem(base_dir: Path, target_name: str, family: str) -> ApplianceError | None:
    """Why a base model, or a merged one, cannot become a target; None where nothing speaks against it.

    Args:
        base_dir: config.json, tokenizer.json and safetensors, of which the headers alone are read.
        target_name: Such as `gguf-q8_0`; plain `onnx`, too.
        family: `decoder` or `encoder`.
    """
    target = TARGETS.get(target_name)
    form = target.format if target else target_name
    try:
        if target and family not in target.families:
            return UsageError(f"{target_name} is not a target for {family} students", "name another target")
        if form == "gguf":
            check_gguf_base(base_dir)
        elif family == "decoder":
            refuse_onnx(json.loads((base_dir / "config.json").read_text(encoding="utf-8")))
    except ApplianceError as error:
        return error
    except (OSError, ValueError, KeyError, TypeError) as error:
        return UsageError(f"the files of {base_dir.name} cannot be read: {error}", "fetch the base model again")
    return None


def check_gguf_base(base_dir: Path) -> None:
    """Plans every tensor and writes the vocabulary, and lets llama.cpp cut text with it.

    Raises:
        ApplianceError: Of the first thing that cannot be, its kind and name.
    """
    config = read_model_config(json.loads((base_dir / "config.json").read_text(encoding="utf-8")))
    architecture = architecture_of(config)
    shapes = {name: header.shape for name, header in read_headers(weight_paths(base_dir)).items()}
    own_head = HEAD in text_names(shapes) and not config.values["tie_word_embeddings"]
    plan = tensor_plan(config, architecture, shapes, own_head)
    rows = next(tensor.shape[0] for tensor in plan if tensor.name == "token_embd.weight")
    settings_of(config, architecture, rows)
    with TemporaryDirectory(prefix="stillroom-vocabulary-") as directory:
        path = Path(directory) / "model.gguf"
        write_cutting_model(path, read_vocabulary(base_dir, rows))
        model = LlamaModel(path)
        try:
            check_tokens(model, model_tokenizer(base_dir))
        finally:
            model.close()
