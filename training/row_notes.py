"""What a person is told about the rows of a run before it begins: what is left out, and what is read in windows."""

from collections.abc import Iterator, Mapping
from typing import Any

from appliance.ground.text import human_count


def row_notes(facts: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each thing that a run does not train on as it stands in the dataset.

    Args:
        facts: Of a student; `splits` says for each split what became of its rows.
    """
    for split, counts in facts.get("splits", {}).items():
        for sentence in _sentences(counts, facts["max_tokens"]):
            yield f"{split}: {sentence}"
    if not facts.get("validation_rows", 1):
        yield "no validation rows: the last epoch is kept, and nothing says how good it is"


def _sentences(counts: Mapping[str, int], max_tokens: int) -> Iterator[str]:
    windows, unread = counts.get("windows", 0), counts.get("unread", 0)
    if windows:
        yield (
            f"{_share(counts['documents'], counts['rows'], 'document')} read in {human_count(windows, 'window')}"
            f" because the context does not hold them"
        )
    if "empty" in counts and windows:
        taught = counts["empty"] - counts["empty_left_out"]
        yield f"{_share(counts['empty'], windows, 'window')} without a value, of which {taught:,} are trained on"
    if cut := counts.get("cut", 0):
        yield (
            f"{_share(cut, counts['rows'], 'row')} longer than {max_tokens:,} tokens, of which only these are seen;"
            ' `long = "window"` of [input] reads all, student.max_tokens more'
        )
    if cut := counts.get("working_cut", 0):
        most = human_count(counts["working_tokens"], "token")
        rows = _share(cut, counts["rows"], "row")
        yield f"{rows} taught only the first {most} of a longer working; raise student.working"
    if lacking := counts.get("without_working", 0):
        yield f"{_share(lacking, counts['rows'], 'row')} without a working and taught the answer alone"
    if lost := counts.get("values_in_no_window", 0):
        yield f"{_share(lost, counts['values'], 'value')} whole in no window and not taught"
    if unread:
        which = "it" if unread == 1 else "them"
        yield f"{_share(unread, counts['rows'], 'row')} left out: no window of {which} leaves room for an answer"
    if too_long := counts.get("too_long", 0):
        pieces, kind = (counts["rows"] - counts["documents"] - unread + windows - counts["empty_left_out"], "window")
        if not windows:
            pieces, kind = counts["rows"], "row"
        hint = "raise student.max_tokens or lower input.max_tokens" if windows else 'see `long = "window"` of [input]'
        yield f"{_share(too_long, pieces, kind)} left out: longer than {max_tokens:,} tokens with the answer; {hint}"


def _share(part: int, whole: int, unit: str) -> str:
    verb = "is" if part == 1 else "are"
    return f"{part:,} of {human_count(whole, unit)} ({part / max(1, whole):.0%}) {verb}"
