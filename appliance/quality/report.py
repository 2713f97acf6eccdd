"""What a gate found, as numbers with intervals and sample sizes, and as lines for a person."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from appliance.ground.text import human_count
from appliance.quality.field_quality import FieldQuality
from appliance.quality.metrics import (
    Abstention,
    Counts,
    Coverage,
    Judged,
    by_cluster,
    by_field,
    count,
    document_accuracy,
    weighted_accuracy,
)
from appliance.quality.readiness import Readiness
from appliance.quality.statistics import Interval, clustered_wilson, wilson

if TYPE_CHECKING:
    from appliance.tasks.task import Task

LISTED_FIELDS = 3


@dataclass(frozen=True)
class Findings:
    """Answers that break a rule, do not fit a pattern or lack a required field; a run sends them to a person."""

    answers: int
    wrong: int
    """Of these: answers with a mistake in any field."""


@dataclass(frozen=True)
class QualityReport:
    """A student on labelled documents."""

    documents: int
    fields: int
    failed: int
    """Documents without an answer; their fields count as wrong."""
    field_accuracy: Interval
    """95 % score interval; documents are the clusters."""
    document_accuracy: Interval
    invented: Interval
    """Share of the fields without a value in gold for which the student wrote one."""
    counts: Counts
    fields_worst_first: dict[str, Counts]
    readiness: Readiness
    coverage: tuple[Coverage, ...] = ()
    """Accuracy if only the most confident share of the fields is answered."""
    abstention: Abstention | None = None
    """Only for a classification with an abstain label."""
    teacher_accuracy: float | None = None
    labelled_by: dict[str, int] = field(default_factory=dict)
    """Rows by who says what is right."""
    weighted_accuracy: float | None = None
    """Share of the fields' weight that is right; None where all weigh the same."""
    failures: dict[str, int] = field(default_factory=dict)
    """Error class, such as `too_long` -> documents without an answer."""
    copies: int = 0
    """Rows that were left out, as their text is that of another one."""
    empty: int = 0
    """Documents for which gold has no value at all."""
    leading_label: str = ""
    """Of a classification: the label of so many rows that always answering it would do; empty where none is."""
    not_judged: tuple[str, ...] = ()
    """Fields, or labels of a classification, for which no row has a value."""
    findings: dict[str, "Findings"] = field(default_factory=dict)
    """Reason, such as `rule:lines_add_up` -> the answers with which something is wrong in themselves."""
    slices: dict[str, dict[str, Counts]] = field(default_factory=dict)
    """Field of the task's `slices` -> its right value -> all fields of the documents with this value."""
    by_field: dict[str, FieldQuality] = field(default_factory=dict)
    by_label: dict[str, FieldQuality] = field(default_factory=dict)
    """Of a classification, the label with the worst F1 first."""
    teacher_rows: int = 0
    """Documents with a person's answer and the teacher's, which a comparison with the teacher rests on."""
    margin: float | None = None
    """To the teacher, as the task asks for it."""
    look: int = 1
    untrusted: int = 0
    """Values of the labelled rows that nobody trusts; they are not judged."""
    unmet: tuple[str, ...] = ()
    """Why it is not READY, condition by condition."""

    def record(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "readiness": self.readiness.record()}

    def lines(self) -> list[str]:
        """For a terminal; every share with its interval and sample size."""
        counts, documents = self.counts, human_count(self.documents, "document")
        lines = [
            f"field accuracy     {self.field_accuracy.percent()}, {human_count(self.fields, 'field')} in {documents}",
            f"document accuracy  {self.document_accuracy.percent()}, {documents}",
            f"mistakes           {counts.omitted} omitted, {counts.substituted} substituted, "
            f"{counts.invented} invented",
        ]
        if self.weighted_accuracy is not None:
            lines.append(f"by weight          {100 * self.weighted_accuracy:.1f} % of what the fields weigh is right")
        if counts.absent:
            lines.append(f"invented values    {self.invented.percent()}, {counts.absent} absent fields")
        if self.failed:
            reasons = ", ".join(f"{number} {error}" for error, number in sorted(self.failures.items()))
            share = f"{self.failed} of {self.documents} documents ({self.failed / self.documents:.0%})"
            lines.append(f"without an answer  {share}{f': {reasons}' if reasons else ''}; counted as wrong")
        lines += [
            f"most confident {100 * part.share:2.0f} %  {part.accuracy.percent()}, {part.fields} fields"
            for part in self.coverage
        ]
        if self.abstention:
            abstention = self.abstention
            lines.append(
                f"abstained          {abstention.abstained} of {self.documents}, {abstention.rightly} correctly; "
                f"accuracy of the rest {abstention.answered_accuracy.percent()}, {abstention.answered} documents"
            )
        if self.teacher_accuracy is not None:
            lines.append(self._teacher_line(self.teacher_accuracy))
        if unreviewed := self.labelled_by.get("teacher"):
            lines.append(f"unreviewed labels  {unreviewed} of {self.documents} rows are the teacher's own answers")
        lines += [
            f"to a person        {human_count(found.answers, 'answer')} by {reason}, {found.wrong} of them wrong"
            for reason, found in self.findings.items()
        ]
        lines += self._evidence_lines()
        worst = list(self.fields_worst_first.items())[:LISTED_FIELDS]
        lines.append("worst fields       " + ", ".join(f"{name} {c.correct}/{c.fields}" for name, c in worst))
        lines += self._value_lines()
        lines.append(f"verdict            {self.readiness.verdict} ({self.readiness.reason})")
        others = [reason for reason in self.unmet if reason != self.readiness.reason]
        lines += [f"  also             {reason}" for reason in others[:LISTED_FIELDS]]
        if len(others) > LISTED_FIELDS:
            lines.append(f"  also             {human_count(len(others) - LISTED_FIELDS, 'further condition')}")
        if self.look > 1:
            lines.append(f"look               number {self.look} at this model; each must show more than the last")
        return lines

    def _value_lines(self) -> list[str]:
        """The fields whose values are found least."""
        table = [(name, each) for name, each in (self.by_label or self.by_field).items() if each.present]
        table.sort(key=lambda entry: (entry[1].recall.estimate, entry[0]))
        return [
            f"recall             {name}: {each.recall.percent()}, {human_count(each.present, 'value')};"
            f" {each.invented} of {each.absent} invented, {each.right} of {each.written} written are right"
            for name, each in table[:LISTED_FIELDS]
            if each.found < each.present or each.invented
        ]

    def _evidence_lines(self) -> list[str]:
        """What the labelled rows can show, and what they cannot."""
        lines = []
        if self.copies:
            lines.append(f"copies left out    {self.copies} rows have the text of another one")
        if 0 < self.readiness.clusters < self.documents:
            clusters = human_count(self.readiness.clusters, "cluster")
            lines.append(f"near duplicates    {self.documents} texts in {clusters}, which count as one each")
        if self.empty:
            lines.append(
                f"rows without value {self.empty} of {self.documents}; the verdict must hold without them, too"
            )
        if self.leading_label:
            lines.append(f"most frequent      {self.leading_label}; the verdict must hold without its rows, too")
        if self.margin is not None and not self.teacher_rows:
            lines.append(
                "margin             not tested: no row has a person's answer beside the teacher's; the accuracy decides"
            )
        if self.untrusted:
            lines.append(f"not trusted        {human_count(self.untrusted, 'value')} of the rows, which are not judged")
        if self.not_judged:
            lines.append(f"not judged         {', '.join(self.not_judged)}: no labelled row has a value")
        for name, values in self.slices.items():
            shares = (f"{value or 'none'} {part.correct}/{part.fields}" for value, part in values.items())
            lines.append(f"by {name:15} {', '.join(shares)}")
        return lines

    def _teacher_line(self, teacher_accuracy: float) -> str:
        readiness = self.readiness
        if readiness.basis != "teacher" or readiness.p is None:
            return f"teacher accuracy   {100 * teacher_accuracy:.1f} %, {human_count(self.teacher_rows, 'document')}"
        least = f"{100 * readiness.level:.4g} % at least {100 * readiness.low:+.1f}"
        return (
            f"student - teacher  {100 * readiness.estimate:+.1f} points ({least},"
            f" margin {100 * readiness.threshold:+.1f}), McNemar p {readiness.p:.2f}"
        )


def report(task: "Task", judged: Sequence[Judged], readiness: Readiness) -> QualityReport:
    """Counts and intervals of judged documents; the optional parts are the caller's to add."""
    counts = count(judged)
    return QualityReport(
        documents=len(judged),
        fields=counts.fields,
        failed=sum(document.failed for document in judged),
        field_accuracy=clustered_wilson(
            by_cluster(judged, [document.correct for document in judged]),
            by_cluster(judged, [len(document.outcomes) for document in judged]),
        ),
        document_accuracy=wilson(document_accuracy(judged) * len(judged), len(judged)),
        invented=clustered_wilson(
            [document.invented for document in judged], [len(document.absent) for document in judged]
        ),
        counts=counts,
        fields_worst_first=by_field(task, judged),
        readiness=readiness,
        weighted_accuracy=weighted_accuracy(task, judged),
    )
