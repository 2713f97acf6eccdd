"""What an engine's libraries take before there is a model, measured by a process that opens them and nothing else.

It differs by machine: how many pages of a library a kernel maps around one that is needed, and which form of a
library a processor takes.
"""

from multiprocessing.connection import Connection
from pathlib import Path

from appliance.ground.child import receive, send


def send_program_size(connection: Connection) -> None:
    """Runs in the child: answers the `format` of an artifact with the `bytes` that its engine's program takes."""
    file_format = receive(connection)["format"]
    if file_format in ("gguf", "onnx"):
        import appliance.engines.open

        _open_tokenizer()
    if file_format == "gguf":
        import appliance.engines.llama.engine
        from appliance.engines.llama.library import library

        library().llama_model_quantize_default_params()
    elif file_format == "onnx":
        import appliance.engines.onnx_decoder  # noqa: F401
        from appliance.engines.onnx_session import negate

        negate()
    send(connection, {"bytes": peak_bytes()})


def _open_tokenizer() -> None:
    """Reads a small tokenizer and cuts a text, so that the library's code is in memory."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    Tokenizer.from_str(tokenizer.to_str()).encode("ab ab")


def peak_bytes() -> int:
    """The most memory that this process ever held, pages of files included.

    Not `ru_maxrss`, which a process takes over from whoever started it.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    parts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(parts["VmHWM"].split()[0]) * 1024
