"""What the program of an engine takes of this machine's memory before it has a model."""

from functools import cache

from appliance.ground.child import Child, ChildDied

ENTRY = "appliance.engines.program_size:send_program_size"
USUAL_BYTES = {"gguf": 55_000_000, "onnx": 75_000_000}
"""By the format of an artifact, where it cannot be measured; on an AMD EPYC with Linux 6.18."""
OTHER_BYTES = 40_000_000
_SECONDS = 30


@cache
def program_bytes(file_format: str) -> int:
    """The peak of a process that opens the libraries of this format and nothing else; measured once, in half a second.

    Some libraries come in forms for each kind of processor, and kernels differ in how many pages of a file they map
    around one that is needed: between two machines lay 10 MB, more than a small model takes.
    """
    if file_format not in USUAL_BYTES:
        return OTHER_BYTES
    try:
        with Child(ENTRY) as child:
            child.send({"format": file_format})
            if not child.connection.poll(_SECONDS):
                return USUAL_BYTES[file_format]
            return int(child.receive()["bytes"])
    except (ChildDied, OSError, KeyError, ValueError):
        return USUAL_BYTES[file_format]
