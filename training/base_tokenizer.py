"""The tokenizer of a base as its students get it: without tokens that no row of the embedding stands for.

The text models of a family with images keep the whole family's tokenizer, whose token for an image lies one beyond
their embedding. No text ever holds it, but whoever compares a vocabulary with a model finds one too many.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.ground.files import write_file
from appliance.ground.json_text import json_text


def special_beyond(content: Mapping[str, Any], rows: int) -> set[int]:
    """Ids of special added tokens of a tokenizer.json that lie beyond so many rows."""
    added = content.get("added_tokens")
    entries = [token for token in added if isinstance(token, dict)] if isinstance(added, list) else []
    special = [token.get("id") for token in entries if token.get("special")]
    return {number for number in special if isinstance(number, int) and number >= rows}


def copy_tokenizer(source: Path, target: Path, rows: int | None) -> None:
    """Copies a tokenizer.json; leaves out special tokens beyond the rows of the embedding.

    Args:
        rows: None where they are not known.

    Raises:
        ResourceError: It cannot be written.
    """
    data = source.read_bytes()
    content = json.loads(data)
    beyond = special_beyond(content, rows) if rows is not None else set()
    if beyond:
        content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] not in beyond]
        if isinstance(vocabulary := content["model"].get("vocab"), dict):
            content["model"]["vocab"] = {piece: number for piece, number in vocabulary.items() if number not in beyond}
        data = json_text(content).encode()
    write_file(target, data)
