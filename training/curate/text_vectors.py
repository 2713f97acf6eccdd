"""What an encoder makes of texts before it is taught anything: vectors of length one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from appliance.ground.errors import ApplianceError

if TYPE_CHECKING:
    from appliance.tasks.task import Task

TOKENS = 256
"""Of a text that are read: what it is about stands at its beginning."""
BATCH = 32


def text_vectors(task: "Task", texts: Sequence[str]) -> NDArray[np.float32] | None:
    """(texts, width) by the encoder that the task's student begins with; None where it is no encoder, or not there."""
    if task.student.family != "encoder":
        return None
    import torch

    from training.students.encoder.examples import pad
    from training.students.encoder.model import (
        EncoderClassifier,
        find_base,
        load_encoder,
        load_tokenizer,
        longest_text,
        pooling_of,
    )

    try:
        base = find_base(task.student.base)
    except ApplianceError:  # its absence is the training's to say; the words of the texts are there without it
        return None
    directory = base.directory
    model = EncoderClassifier(load_encoder(directory), 1, pooling_of(directory)).eval()
    tokenizer = load_tokenizer(directory, min(TOKENS, longest_text(directory)))
    token_ids = [tokenizer.encode(text).ids for text in texts]
    vectors = np.zeros((len(texts), int(model.config.hidden_size)), dtype=np.float32)
    order = sorted(range(len(texts)), key=lambda number: len(token_ids[number]))
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            numbers = order[start : start + BATCH]
            vectors[numbers] = model.embed(*pad([token_ids[number] for number in numbers])).numpy()
    return vectors
