"""What every export must be: the merged model in another form."""

import numpy as np
from numpy.typing import NDArray

from appliance.ground.errors import NotAllGood


class ExportDisagrees(NotAllGood):
    """The exported model does not answer as the merged one."""


def refuse_no_numbers(logits: NDArray[np.floating], computed_by: str) -> None:
    """Refuses logits of any shape of which one is no number: they compare as equal, and as the largest of nothing.

    Args:
        computed_by: Such as `the merged model`; stands in the message.

    Raises:
        ExportDisagrees: One is NaN or infinite.
    """
    wrong = int(np.size(logits) - np.isfinite(logits).sum())
    if wrong:
        raise ExportDisagrees(
            f"{computed_by} computes what is not a number (NaN or infinity) in {wrong:,} of {np.size(logits):,} logits",
            "train again with a lower --rate, or with another base model",
        )
