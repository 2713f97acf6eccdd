"""Joining the shards of a folder: verify that they are one whole, then write one result in path order.

The ledgers and the folder are walked side by side, all in path order, so a join of any size needs little memory.
Nothing is written before everything was found good; the rows are then those of one job over the whole folder.
"""

import contextlib
import heapq
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import islice
from pathlib import Path

from appliance.documents.folder import DocumentFolder, document_name, hash_descriptor
from appliance.documents.problems import DocumentError
from appliance.ground.errors import ApplianceError, UsageError
from appliance.ground.files import write_file
from appliance.ground.json_text import json_text
from appliance.ground.text import human_count
from appliance.jobs.job import JobConfig, read_config, task_path
from appliance.jobs.job_plan import refuse_among_documents
from appliance.jobs.ledger import FinishedDocument, JobSummary, LedgerReader, open_readonly
from appliance.jobs.output_owner import claim_output
from appliance.jobs.outputs import OutputFormat, write_rows
from appliance.jobs.rows import Row
from appliance.jobs.shards import Shard, parse_shard, shard_number
from appliance.jobs.states import State
from appliance.models.manifest import file_sha256
from appliance.tasks.taskfile import load_task

JOIN_VERSION = 1
REPORT_NAME = "merge.json"
_OF_ONE_SHARD = frozenset(
    {
        "id",
        "documents_dir",
        "artifact_dir",
        "model_name",
        "keep_text",
        "out_dir",
        "output_format",
        "shard",
        "workers",
        "settle_seconds",
        "unsafe",
    }
)
"""Settings in which the shards of one folder may differ: they change no answer."""
_KEPT_PROBLEMS = 1000
"""A join against the wrong folder finds one problem for each document; so many are named."""


class ProblemKind(StrEnum):
    """What keeps shards from being one whole."""

    DIFFERENT_JOB = "different_job"
    MISSING_SHARD = "missing_shard"
    REPEATED_SHARD = "repeated_shard"
    INCOMPLETE_SHARD = "incomplete_shard"
    DAMAGED_SHARD = "damaged_shard"
    MISPLACED_DOCUMENT = "misplaced_document"
    REPEATED_DOCUMENT = "repeated_document"
    MISSING_DOCUMENT = "missing_document"
    GONE_DOCUMENT = "gone_document"
    CHANGED_DOCUMENT = "changed_document"


@dataclass(frozen=True)
class JoinProblem:
    """One finding that stops a join."""

    kind: ProblemKind
    shard: str
    """`K/N`; what to look at or run again."""
    detail: str
    document: str | None = None


@dataclass(frozen=True)
class JoinOutcome:
    """What a join wrote."""

    shards: int
    documents: int
    failed: int
    missing: int
    """Documents that left the folder; their rows are joined as they are."""
    output_paths: tuple[Path, ...]


class JoinRefused(ApplianceError):
    """The shards are not one whole; carries what is missing or differs."""

    def __init__(self, problems: Sequence[JoinProblem], count: int) -> None:
        self.problems = tuple(problems)
        self.count = count
        again = sorted({problem.shard for problem in problems}, key=lambda shard: parse_shard(shard).number)
        problem_count = human_count(count, "problem")
        super().__init__(
            f"the shards do not make one complete result: {problem_count}; nothing was written",
            f"check shard {', '.join(again[:8])}{' and more' if len(again) > 8 else ''}:"
            " run what is missing again with `stillroom run --shard`, then join again",
        )


@dataclass(frozen=True)
class _Ledger:
    """One shard, open for reading."""

    directory: Path
    config: JobConfig
    shard: Shard
    reader: LedgerReader


@dataclass(frozen=True)
class _Entry:
    """A finished document with the shard whose ledger holds it."""

    path: bytes
    shard: Shard
    document: FinishedDocument


class _Findings:
    """Problems in the order they were found, up to a number that a person can use."""

    def __init__(self) -> None:
        self.problems: list[JoinProblem] = []
        self.count = 0

    def add(self, kind: ProblemKind, shard: Shard | str, detail: str, path: bytes | None = None) -> None:
        self.count += 1
        if len(self.problems) < _KEPT_PROBLEMS:
            name = None if path is None else document_name(path)
            self.problems.append(JoinProblem(kind, str(shard), detail, name))

    def refuse(self) -> None:
        if self.count:
            raise JoinRefused(self.problems, self.count)


def join_jobs(
    directories: Sequence[Path], out_dir: Path, formats: Sequence[OutputFormat], documents_dir: Path | None = None
) -> JoinOutcome:
    """Verifies the shards and writes their rows as one result in each format, with a report beside.

    Args:
        directories: Folders of jobs, or the output folders of shards; in any order.
        documents_dir: Where the folder of documents is here; by default where the first shard found it.

    Raises:
        JoinRefused: A shard or document is missing, unfinished, changed or there twice; nothing was written.
        UsageError: A folder holds no shard, the folder of documents is not here, or the output folder holds the rows
            of a job.
    """
    findings = _Findings()
    with contextlib.ExitStack() as opened:
        ledgers = _open_ledgers(directories, opened, findings)
        _check_settings(ledgers, findings)
        _check_shards(ledgers, findings)
        findings.refuse()
        first = ledgers[0]
        folder = documents_dir or Path(first.config.documents_dir)
        if not folder.is_dir():
            raise UsageError(
                f"no folder of documents at {folder}", "name the folder on this machine with `--documents DIR`"
            )
        refuse_among_documents("output", out_dir, str(folder.resolve()))
        with DocumentFolder(folder) as opened_folder:
            _check_documents(ledgers, opened_folder, first.config.limit, findings)
        findings.refuse()
        claim_output(out_dir, _joined_name(ledgers), None)
        output_fields = load_task(task_path(first.directory)).output_fields
        paths = tuple(write_rows(_rows(ledgers), output_fields, out_dir, choice) for choice in dict.fromkeys(formats))
        summaries = [ledger.reader.summary() for ledger in ledgers]
        documents = sum(summary.total for summary in summaries)
        failed = sum(summary.failed for summary in summaries)
        missing = sum(summary.missing for summary in summaries)
        outcome = JoinOutcome(len(ledgers), documents, failed, missing, paths)
        write_file(out_dir / REPORT_NAME, _report(ledgers, summaries, outcome).encode())
        return outcome


def _joined_name(ledgers: Sequence[_Ledger]) -> str:
    """What the same shards are called whenever they are joined."""
    ids = sorted(ledger.config.id for ledger in ledgers)
    return f"join of {', '.join(ids[:3])}{' and more' if len(ids) > 3 else ''}"


def _open_ledgers(directories: Sequence[Path], opened: contextlib.ExitStack, findings: _Findings) -> list[_Ledger]:
    """The shards by number; of one that is given twice the first."""
    ledgers: dict[Shard, _Ledger] = {}
    for directory in directories:
        config = read_config(directory)
        if not config.shard:
            raise UsageError(
                f"job {config.id} in {directory} is not a shard",
                "`jobs join` takes jobs of `stillroom run --shard K/N`",
            )
        shard = parse_shard(config.shard)
        if shard in ledgers:
            detail = f"is given twice: {ledgers[shard].directory} and {directory}"
            findings.add(ProblemKind.REPEATED_SHARD, shard, detail)
            continue
        try:
            reader = opened.enter_context(open_readonly(directory))
            damage = reader.damage()
        except (ApplianceError, sqlite3.Error) as error:
            findings.add(ProblemKind.DAMAGED_SHARD, shard, str(error))
            continue
        if damage is not None:
            findings.add(ProblemKind.DAMAGED_SHARD, shard, f"the ledger in {directory} is damaged: {damage}")
            continue
        if (of_job := reader.summary().id) != config.id:
            # A kill between the copies of the two files leaves this where another job had used the folder before.
            detail = f"the ledger in {directory} is that of job {of_job}, job.toml there is that of {config.id}"
            findings.add(ProblemKind.DAMAGED_SHARD, shard, detail)
            continue
        ledgers[shard] = _Ledger(directory, config, shard, reader)
    return [ledgers[shard] for shard in sorted(ledgers, key=lambda shard: (shard.count, shard.number))]


def _check_settings(ledgers: Sequence[_Ledger], findings: _Findings) -> None:
    """Every setting that can change a row is the same in all shards."""
    for ledger in ledgers[1:]:
        first = ledgers[0]
        for described in fields(JobConfig):
            if described.name in _OF_ONE_SHARD:
                continue
            here, there = getattr(ledger.config, described.name), getattr(first.config, described.name)
            if here != there:
                detail = f"its {described.name} is {here}, that of shard {first.shard} is {there}"
                findings.add(ProblemKind.DIFFERENT_JOB, ledger.shard, detail)
        if ledger.shard.count != first.shard.count:
            detail = f"divides the folder in {ledger.shard.count}, shard {first.shard} in {first.shard.count}"
            findings.add(ProblemKind.DIFFERENT_JOB, ledger.shard, detail)


def _check_shards(ledgers: Sequence[_Ledger], findings: _Findings) -> None:
    """All shards are there, and each has finished."""
    named = {str(ledger.shard) for ledger in ledgers} | {problem.shard for problem in findings.problems}
    for count in sorted({parse_shard(shard).count for shard in named})[:1]:
        for number in range(1, count + 1):
            if str(Shard(number, count)) not in named:
                findings.add(ProblemKind.MISSING_SHARD, Shard(number, count), "is not among the given jobs")
    for ledger in ledgers:
        summary = ledger.reader.summary()
        if summary.state is not State.DONE or summary.with_row != summary.total:
            finished = f"{summary.with_row} of {summary.total} documents finished"
            detail = f"is {summary.state} with {finished}, in {ledger.directory}"
            findings.add(ProblemKind.INCOMPLETE_SHARD, ledger.shard, detail)


def _check_documents(ledgers: Sequence[_Ledger], folder: DocumentFolder, limit: int, findings: _Findings) -> None:
    """Each document of the folder is in exactly one ledger, its own shard's, and has the bytes that were read.

    One that its shard knows to be missing is not in the folder.
    """
    count = ledgers[0].shard.count
    entries = _merged(ledgers)
    entry = next(entries, None)
    for document in islice(folder.walk(), limit or None):
        while entry is not None and entry.path < document.path:
            _check_gone(entry, findings)
            entry = _after(entry, entries, findings)
        if entry is None or entry.path > document.path:
            shard = Shard(shard_number(document.path, count), count)
            findings.add(ProblemKind.MISSING_DOCUMENT, shard, "is in the folder and in no shard", document.path)
            continue
        _check_document(folder, entry, findings)
        entry = _after(entry, entries, findings)
    while entry is not None:
        _check_gone(entry, findings)
        entry = _after(entry, entries, findings)


def _check_gone(entry: _Entry, findings: _Findings) -> None:
    if entry.document.state is not State.MISSING:
        detail = "is no longer in the folder; running the shard again notes it as missing"
        findings.add(ProblemKind.GONE_DOCUMENT, entry.shard, detail, entry.path)


def _after(entry: _Entry, entries: Iterator[_Entry], findings: _Findings) -> _Entry | None:
    """The next document; the same one from another ledger is a finding."""
    for following in entries:
        if following.path != entry.path:
            return following
        detail = f"has a row in shard {entry.shard} and in shard {following.shard}"
        findings.add(ProblemKind.REPEATED_DOCUMENT, following.shard, detail, following.path)
    return None


def _check_document(folder: DocumentFolder, entry: _Entry, findings: _Findings) -> None:
    document = entry.document
    if not entry.shard.holds(entry.path):
        belongs = Shard(shard_number(entry.path, entry.shard.count), entry.shard.count)
        findings.add(ProblemKind.MISPLACED_DOCUMENT, entry.shard, f"belongs to shard {belongs}", entry.path)
    if document.sha256 != document.row.sha256 or document_name(entry.path) != document.row.document:
        findings.add(ProblemKind.DAMAGED_SHARD, entry.shard, "the row is about another document", entry.path)
    elif document.state is State.MISSING:
        detail = "is missing in its shard and back in the folder; running the shard again reads it"
        findings.add(ProblemKind.CHANGED_DOCUMENT, entry.shard, detail, entry.path)
    elif document.sha256 is not None and document.sha256 != _sha256(folder, entry.path):
        findings.add(ProblemKind.CHANGED_DOCUMENT, entry.shard, "has other bytes than the shard read", entry.path)


def _sha256(folder: DocumentFolder, path: bytes) -> str | None:
    try:
        descriptor = folder.open(path)
        try:
            return hash_descriptor(descriptor)
        finally:
            os.close(descriptor)
    except DocumentError:
        return None


def _merged(ledgers: Iterable[_Ledger]) -> Iterator[_Entry]:
    """Finished documents of all shards in path order."""
    return heapq.merge(*(_entries(ledger) for ledger in ledgers), key=lambda entry: entry.path)


def _entries(ledger: _Ledger) -> Iterator[_Entry]:
    for document in ledger.reader.finished_documents():
        yield _Entry(document.path, ledger.shard, document)


def _rows(ledgers: Iterable[_Ledger]) -> Iterator[Row]:
    return (entry.document.row for entry in _merged(ledgers))


def _report(ledgers: Sequence[_Ledger], summaries: Sequence[JobSummary], outcome: JoinOutcome) -> str:
    """What was joined into which files, so that a later reader can check that they are whole."""
    config = ledgers[0].config
    shards = [
        {"shard": str(ledger.shard), "job": ledger.config.id, "documents": summary.total, "failed": summary.failed}
        for ledger, summary in zip(ledgers, summaries, strict=True)
    ]
    outputs = {
        path.name: {"size_bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in outcome.output_paths
    }
    is_unsafe = any(ledger.config.unsafe for ledger in ledgers)
    values = {
        "version": JOIN_VERSION, "task_hash": config.task_hash, "model": config.model, "unsafe": is_unsafe,
        "documents": outcome.documents, "failed": outcome.failed, "missing": outcome.missing, "shards": shards,
        "outputs": outputs,
    }  # fmt: skip
    return json_text(values, indent=2) + "\n"
