"""Whether a model may answer without a warning: a gate found it READY, on processors and libraries like these."""

from appliance.ground.text import human_count
from appliance.models.compute_class import UNKNOWN, compute_class
from appliance.models.manifest import NAMES_ALONE_VERSION, Manifest
from appliance.models.verdict import ComputeClass, Verdict


def is_approved(manifest: Manifest) -> bool:
    """Whether nothing speaks against answers of this model here."""
    return not why_not_approved(manifest)


def why_not_approved(manifest: Manifest) -> str:
    """Why rows of this model say `unsafe` here; empty where it is approved."""
    verdict = manifest.verdict
    if verdict is None:
        return "no gate has judged it"
    if manifest.version == NAMES_ALONE_VERSION:
        return f"its verdict {verdict.verdict} is of an earlier version, which did not bind it to the files"
    if not verdict.is_ready:
        return f"its verdict on {human_count(verdict.documents, 'document')} is {verdict.verdict}"
    here = compute_class(manifest)
    if UNKNOWN in (here.processor, here.library) or here not in verdict.classes:
        return f"it was found READY on {_difference(verdict, here)}"
    return ""


def how_to_approve(manifest: Manifest, name: str = "MODEL") -> str:
    """What to do about it; empty where it is approved.

    Args:
        name: What the model is called on the command line.
    """
    reason = why_not_approved(manifest)
    if not reason:
        return ""
    verdict = manifest.verdict
    if verdict is None:
        return "run `stillroom gate` first"
    if manifest.version == NAMES_ALONE_VERSION:
        return "judge it again with `stillroom gate`"
    if verdict.verdict.startswith("NEED"):
        return "label more documents, and judge it on all of them with `stillroom gate`"
    if not verdict.is_ready:
        return "correct what the gate found"
    return f"carry the verdict over with `stillroom gate TASK {name} --quick` and the same labelled rows"


def verdict_words(manifest: Manifest) -> str:
    """The verdict in a few words, as listings show it."""
    verdict = manifest.verdict
    if verdict is None:
        return "not judged"
    words = f"{verdict.verdict} on {human_count(verdict.documents, 'document')}"
    if manifest.version == NAMES_ALONE_VERSION:
        return f"{words}, by an earlier version"
    return f"{words}, but not here" if verdict.is_ready and not is_approved(manifest) else words


def _difference(verdict: Verdict, here: ComputeClass) -> str:
    """Where it was found against where it is, as far as the two differ; the class that comes closest."""

    def differing(there: ComputeClass) -> list[tuple[str, str]]:
        pairs = [
            (there.processor, here.processor),
            (there.library, here.library),
            (f"program {there.program}", f"program {here.program}"),
        ]
        return [pair for pair in pairs if pair[0] != pair[1] or UNKNOWN in pair]

    pairs = min(map(differing, verdict.classes), key=len)
    theirs, ours = (" with ".join(pair[side] or "nothing" for pair in pairs) for side in (0, 1))
    return f"{theirs}, and this is {ours}"
