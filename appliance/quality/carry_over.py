"""Carries a verdict over to another class of processor or other libraries, by answering a part of its rows again.

The verdict keeps a hash of every answer that was judged. Where rows drawn from them get the same answers here, each of
them, the judged accuracy holds here up to what so many rows can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.engines.engine import Result
from appliance.ground.errors import UsageError
from appliance.ground.text import human_count
from appliance.models.approval import verdict_words
from appliance.models.compute_class import UNKNOWN, compute_class
from appliance.models.manifest import (
    NAMES_ALONE_VERSION,
    Manifest,
    file_sha256,
    read_unchanged,
    rewrite_manifest,
    utc_now,
)
from appliance.models.verdict import MOST_ANSWERS, CarryOver, Verdict, answer_key, row_key, sealed
from appliance.quality.statistics import clopper_pearson
from appliance.tasks.labels import LabelledRow

QUICK_DOCUMENTS = 59
"""Equal answers on so many documents show with 95 % confidence that fewer than 5 % differ: 0.95 ** 59 < 0.05."""
_WHOLE_GATE = "run `stillroom gate` without `--quick`: it judges this machine's own answers to all rows"


@dataclass(frozen=True)
class Agreement:
    """How answers here compare with those that were judged."""

    documents: int
    differing: int
    judged: int
    """Documents of the verdict that is to be carried over."""

    @property
    def most_differing(self) -> float:
        """Upper bound, at 95 %, of the share of documents answered otherwise here; 0 where all were compared."""
        if not self.differing and self.documents >= self.judged:
            return 0.0
        return clopper_pearson(self.differing, self.documents, 0.9).high

    def line(self) -> str:
        """For a person."""
        return (
            f"answered again     {human_count(self.documents, 'document')}, {self.differing} otherwise than judged;"
            f" at most {100 * self.most_differing:.1f} % differ (95 % confidence)"
        )


def recorded_answers(labelled_sha256: str, rows: Sequence[LabelledRow], results: Sequence[Result]) -> dict[str, str]:
    """What a verdict keeps of its answers: those of the first rows by their hashes, which is a sample by chance."""
    answers = {
        row_key(labelled_sha256, row.text): answer_key(labelled_sha256, row.text, result.answer)
        for row, result in zip(rows, results, strict=True)
    }
    return {key: answers[key] for key in sorted(answers)[:MOST_ANSWERS]}


def rows_to_repeat(manifest: Manifest, rows: Sequence[LabelledRow], rows_path: Path) -> list[LabelledRow]:
    """The judged rows that are answered again.

    Raises:
        UsageError: There is no verdict to carry over, or it rests on other rows.
    """
    verdict = manifest.verdict
    if verdict is None or not verdict.is_ready or manifest.version == NAMES_ALONE_VERSION:
        raise UsageError(
            f"model {manifest.name} is {verdict_words(manifest)}: only a verdict READY can be carried over", _WHOLE_GATE
        )
    here = compute_class(manifest)
    if UNKNOWN in (here.processor, here.library):
        raise UsageError(
            f"it is not known what would compute the answers here ({here})", "`stillroom doctor` says what is missing"
        )
    labelled_sha256 = file_sha256(rows_path)
    if labelled_sha256 != verdict.labelled_sha256:
        raise UsageError(
            f"the verdict rests on labelled rows with SHA-256 {verdict.labelled_sha256[:16]}, {rows_path} has"
            f" {labelled_sha256[:16]}",
            f"name the very file with `--labels`, or {_WHOLE_GATE}",
        )
    by_key = {row_key(labelled_sha256, row.text): row for row in rows}
    chosen = [by_key[key] for key in sorted(verdict.answers) if key in by_key][:QUICK_DOCUMENTS]
    if len(chosen) < min(QUICK_DOCUMENTS, len(verdict.answers)) or not chosen:
        raise UsageError(f"the verdict keeps the answers to {len(chosen)} of these rows: too few", _WHOLE_GATE)
    return chosen


def agreement(verdict: Verdict, rows: Sequence[LabelledRow], results: Sequence[Result]) -> Agreement:
    """Compares this machine's answers with the judged ones."""
    sha256 = verdict.labelled_sha256
    differing = sum(
        verdict.answers[row_key(sha256, row.text)] != answer_key(sha256, row.text, result.answer)
        for row, result in zip(rows, results, strict=True)
    )
    return Agreement(len(rows), differing, verdict.documents)


def carry_over(artifact_dir: Path, manifest: Manifest, compared: Agreement) -> Manifest:
    """Writes into the artifact that its verdict holds here, too; gives the manifest as written.

    Raises:
        ArtifactError: There is another model in this place now.
    """
    manifest = read_unchanged(artifact_dir, manifest)
    assert manifest.verdict is not None
    assert not compared.differing
    entry = CarryOver(compute_class(manifest), compared.documents, utc_now())
    others = tuple(carry for carry in manifest.verdict.carried if carry.compute != entry.compute)
    carried = replace(manifest, verdict=sealed(replace(manifest.verdict, carried=(*others, entry))))
    rewrite_manifest(artifact_dir, carried)
    return carried
