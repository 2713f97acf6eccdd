"""The result of an answer that had no room: what of it stands, and that it is not all."""

from appliance.engines.engine import INCOMPLETE, TOO_LONG, Result
from appliance.engines.line_decoder import LineDecoder
from appliance.ground.text import human_count


def cut_result(key: str, decoder: LineDecoder, counts: tuple[int, int, int, float], context_tokens: int) -> Result:
    """What was written until the context was full: the entries of the list that was cut, or no answer.

    Args:
        counts: Tokens of prompt, answer and working, and seconds, as the result has them.
        context_tokens: Of prompt and answer together.
    """
    message = f"the answer does not fit into the context of {context_tokens:,} tokens"
    cut = decoder.cut_answer()
    if cut is None:
        return Result(key, None, {}, decoder.raw(), *counts, TOO_LONG, message, working=decoder.working())
    answer, name = cut
    entries = answer[name] or []
    message += f": of {name} it has the first {human_count(len(entries), 'entry', 'entries')}, what follows is missing"
    confidence = {field: share for field, share in decoder.confidence().items() if field != name}
    return Result(key, answer, confidence, decoder.raw(), *counts, INCOMPLETE, message, working=decoder.working())
