"""How well the document readers do on real files: crashes, hangs, wrong failure classes, and words that are missing.

    python benchmarks/readers.py --json
    python benchmarks/readers.py --peer-python /path/to/venv/bin/python    # markitdown beside it

Every file of the corpus goes through the reader that `stillroom run` uses, in its sandboxed child. A file must come
back as text or as a failure class that fits what the manifest says about it. Where the corpus has reviewed Markdown,
its words are looked for in the text: recall counts each word as often as it stands there, pair recall counts pairs of
neighbouring words and so falls when the reading order is wrong. Markup is taken out of both sides alike.

A mark such as an image or a list number that only the reviewed Markdown has counts against the reader.

Files that went wrong in other programs are read too, where they are: `reader_cases.py` says what must come out of each.
"""

import argparse
import html
import json
import re
import statistics
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sandbox import Reader, ReaderLimits
from appliance.ground.errors import ApplianceError, ResourceError
from benchmarks.reader_cases import CaseResult, case_figures, read_cases

ROOT = Path(__file__).resolve().parents[1]
DATA_DIR = ROOT.parent / "shared" / "data"
CASES_DIR = ROOT.parent / "shared" / "cases"
CONTRACTS = "cuad pdf"
"""Name of the second corpus in the table: PDF files of contracts, whose text is known."""
ENOUGH_RECALL = 0.98
"""What each contract's text must reach."""

TEXT = "text"
_NO_READER = frozenset(("doc", "xls", "ppt", "zip", "xml", "p7s"))
"""Folders of the corpus whose format is not promised: text or `unsupported`."""
_FITTING: tuple[tuple[str, frozenset[str]], ...] = (
    ("encrypted", frozenset({Problem.ENCRYPTED})),
    ("zero bytes", frozenset({Problem.EMPTY})),
    ("no text layer", frozenset({TEXT, Problem.EMPTY})),
    ("empty", frozenset({TEXT, Problem.EMPTY})),
    ("malformed", frozenset({TEXT, Problem.UNREADABLE})),
)
"""What a note of the manifest allows; the first that applies decides."""

_WITHOUT_TEXT = frozenset(
    ("odt/kreuzberg__hiddenTextByStyle.odt", "odt/kreuzberg__hiddenTextByVariable.odt",
     "odt/kreuzberg__horizontalRule.odt", "odt/kreuzberg__image.odt", "odt/kreuzberg__variable.odt",
     "pdf/sample-files__imagemagick-images.pdf", "pptx/unstructured__picture.pptx",
     "pptx/unstructured__test-image-jpg-mime.pptx")
)  # fmt: skip
"""Files that hold a picture, a line or hidden text and nothing else; their XML was looked at by hand."""
_LINK_TARGET = re.compile(rb"\.\./[\w./-]+")
"""Content of a symbolic link that the corpus stored as a file: one line of text, whatever it is called."""

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\([^()\s]*(?:\([^()]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_WORD = re.compile(r"\w+")

PEER_SCRIPT = """
import json, signal, sys, time
from markitdown import MarkItDown
def late(number, frame):
    raise TimeoutError
signal.signal(signal.SIGALRM, late)
converter = MarkItDown()
for line in sys.stdin:
    path, seconds = json.loads(line)
    started, text, error = time.monotonic(), "", ""
    signal.alarm(seconds)
    try:
        text = converter.convert(path).text_content
    except BaseException as caught:
        error = type(caught).__name__
    signal.alarm(0)
    print(json.dumps({"text": text, "error": error, "seconds": time.monotonic() - started}), flush=True)
"""


@dataclass(frozen=True)
class Sample:
    """One file of a corpus."""

    folder: Path
    file: str
    format: str
    notes: tuple[str, ...]
    reference: Path | None


@dataclass
class Outcome:
    """What came of one file."""

    sample: Sample
    found: str
    """`text` or the failure class."""
    message: str
    seconds: float
    recall: float | None = None
    pair_recall: float | None = None
    fits: bool = True


@dataclass
class Tally:
    """One line of the table."""

    outcomes: list[Outcome] = field(default_factory=list)
    peer: list[Outcome] = field(default_factory=list)


def read_manifest(data_dir: Path) -> list[Sample]:
    """The files of the corpus that are there.

    Raises:
        ResourceError: The corpus is not there.
    """
    folder = data_dir / "readers"
    path = folder / "manifest.jsonl"
    if not path.is_file():
        raise ResourceError(f"{path} is not there", "name the folder that holds readers/ with --data")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Sample(
            folder, row["file"], row["file"].partition("/")[0], tuple(row.get("notes", [])),
            folder / row["expected"] if row.get("expected") else None,
        )
        for row in rows
        if (folder / row["file"]).is_file()
    ]  # fmt: skip


def read_contracts(data_dir: Path) -> list[Sample]:
    """PDF files of contracts whose text is in the corpus beside them."""
    folder = data_dir / "cuad"
    return [
        Sample(folder, f"pdf_sample/{path.name}", CONTRACTS, (), folder / "docs" / f"{path.stem}.txt")
        for path in sorted((folder / "pdf_sample").glob("*.pdf"))
        if (folder / "docs" / f"{path.stem}.txt").is_file()
    ]


def words(text: str) -> list[str]:
    """Words of a text in one spelling, without the markup of Markdown."""
    text = _COMMENT.sub(" ", text)
    text = _LINK.sub(r" \2 ", text)
    text = html.unescape(_ESCAPE.sub(r"\1", text))
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold().replace("_", " "))


def recall(reference: Sequence[object], found: Sequence[object]) -> float:
    """Share of the reference that was found, each as often as it stands there; 1 where there is nothing to find."""
    wanted = Counter(reference)
    shared = wanted & Counter(found)
    return shared.total() / wanted.total() if wanted else 1.0


def judge(outcome: Outcome, text: str) -> Outcome:
    """Fills in what the text is worth."""
    sample = outcome.sample
    outcome.fits = outcome.found in fitting(sample)
    if sample.reference is not None:
        wanted, found = words(sample.reference.read_text(encoding="utf-8")), words(text)
        outcome.recall = recall(wanted, found)
        outcome.pair_recall = recall(list(pairwise(wanted)), list(pairwise(found)))
    return outcome


def fitting(sample: Sample) -> frozenset[str]:
    """The outcomes that what is known about the file allows; the manifest's notes, mostly."""
    path = sample.folder / sample.file
    if path.stat().st_size < 200 and _LINK_TARGET.fullmatch(path.read_bytes()):
        return frozenset({TEXT})
    if sample.file in _WITHOUT_TEXT:
        return frozenset({Problem.EMPTY})
    for note, allowed in _FITTING:
        if any(note in said for said in sample.notes):
            return allowed
    return frozenset({TEXT, Problem.UNSUPPORTED} if sample.format in _NO_READER else {TEXT})


def read_all(samples: Iterable[Sample], limits: ReaderLimits) -> list[Outcome]:
    """Every file through the sandboxed reader."""
    reader = Reader(limits)
    outcomes = []
    for sample in samples:
        started = time.monotonic()
        try:
            reader.start(sample.folder, sample.file.encode())
            assert reader.connection is not None
            reader.connection.poll(limits.longest_wait_seconds)
            reply = reader.finish()
            found, message, text = reply.problem or TEXT, reply.message, reply.text
        except DocumentError as error:
            found, message, text = error.problem, error.message, ""
        outcomes.append(judge(Outcome(sample, str(found), message, time.monotonic() - started), text))
    reader.close()
    return outcomes


def read_with_peer(samples: Sequence[Sample], python: Path, seconds: int) -> list[Outcome]:
    """The same files through markitdown, in its own environment.

    Raises:
        ApplianceError: It does not run at all.
    """
    jobs = "".join(json.dumps([str(sample.folder / sample.file), seconds]) + "\n" for sample in samples)
    done = subprocess.run([str(python), "-c", PEER_SCRIPT], input=jobs, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if len(lines) != len(samples):
        raise ApplianceError(f"markitdown ended after {len(lines)} of {len(samples)} files: {done.stderr[-500:]}")
    outcomes = []
    for sample, line in zip(samples, lines, strict=True):
        reply = json.loads(line)
        outcome = Outcome(sample, reply["error"] or TEXT, "", reply["seconds"])
        outcomes.append(judge(outcome, reply["text"]))
    return outcomes


def tallies(outcomes: Iterable[Outcome], peer: Iterable[Outcome]) -> dict[str, Tally]:
    """Outcomes by format, the most frequent first."""
    found: dict[str, Tally] = {}
    for outcome in outcomes:
        found.setdefault(outcome.sample.format, Tally()).outcomes.append(outcome)
    for outcome in peer:
        found[outcome.sample.format].peer.append(outcome)
    return dict(sorted(found.items(), key=lambda pair: (pair[0] == CONTRACTS, -len(pair[1].outcomes))))


def median(values: Iterable[float | None]) -> float | None:
    """Median of what is there."""
    numbers = [value for value in values if value is not None]
    return statistics.median(numbers) if numbers else None


def figures(tally: Tally) -> dict[str, object]:
    """The numbers of one format."""
    done = tally.outcomes
    numbers: dict[str, object] = {
        "files": len(done),
        "text": sum(outcome.found == TEXT for outcome in done),
        "crashes": sum(outcome.found == Problem.READER_DIED for outcome in done),
        "hangs": sum(outcome.found == Problem.TIMEOUT for outcome in done),
        "wrong_class": sum(not outcome.fits for outcome in done),
        "references": sum(outcome.recall is not None for outcome in done),
        "median_recall": median(outcome.recall for outcome in done),
        "median_pair_recall": median(outcome.pair_recall for outcome in done),
        "median_ms": 1000 * statistics.median(outcome.seconds for outcome in done),
    }
    if tally.peer:
        numbers["peer_text"] = sum(outcome.found == TEXT for outcome in tally.peer)
        numbers["peer_median_recall"] = median(outcome.recall for outcome in tally.peer)
        numbers["peer_median_pair_recall"] = median(outcome.pair_recall for outcome in tally.peer)
    return numbers


def print_table(by_format: dict[str, Tally]) -> None:
    """The table for a person, as Markdown."""
    peer = any(tally.peer for tally in by_format.values())
    head = ["format", "files", "text", "crashes", "hangs", "wrong class", "references", "word recall", "pair recall"]
    head += ["markitdown: text", "word recall", "pair recall"] if peer else []
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for name, tally in by_format.items():
        numbers = figures(tally)
        keys = ["files", "text", "crashes", "hangs", "wrong_class", "references", "median_recall", "median_pair_recall"]
        keys += ["peer_text", "peer_median_recall", "peer_median_pair_recall"] if peer else []
        cells = [numbers.get(key) for key in keys]
        shown = ["-" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells]
        print("| " + " | ".join([name, *shown]) + " |")


def print_faults(outcomes: Iterable[Outcome], below: float) -> None:
    """Files that came out wrong, and those whose recall is low."""
    for outcome in outcomes:
        low = outcome.recall is not None and outcome.recall < below
        if not outcome.fits or low:
            grade = "-" if outcome.recall is None else f"{outcome.recall:.3f}/{outcome.pair_recall:.3f}"
            print(f"{outcome.sample.file}: {outcome.found} {grade} {outcome.message}", file=sys.stderr)


def contract_figures(tally: Tally) -> dict[str, object]:
    """How many contracts have all their words, and the one that lacks most."""
    recalls = [outcome.recall or 0.0 for outcome in tally.outcomes]
    numbers: dict[str, object] = {
        "files": len(recalls),
        "at_least_098": sum(found >= ENOUGH_RECALL for found in recalls),
        "least_recall": min(recalls),
        "median_recall": median(recalls),
        "recall": {Path(one.sample.file).stem: round(one.recall or 0.0, 4) for one in tally.outcomes},
    }
    if tally.peer:
        theirs = [outcome.recall or 0.0 for outcome in tally.peer]
        numbers["peer_at_least_098"] = sum(found >= ENOUGH_RECALL for found in theirs)
        numbers["peer_least_recall"] = min(theirs)
        numbers["peer_median_recall"] = median(theirs)
    return numbers


def print_contracts(tally: Tally) -> None:
    """Each contract by itself, the one that lacks most first."""
    numbers = contract_figures(tally)
    print(
        f"\ncontracts: {numbers['at_least_098']} of {numbers['files']} with a word recall of at least {ENOUGH_RECALL},"
        f" least {numbers['least_recall']:.3f}"
    )
    for outcome in sorted(tally.outcomes, key=lambda outcome: (outcome.recall or 0.0, outcome.sample.file)):
        print(f"{outcome.recall or 0.0:.4f}  {Path(outcome.sample.file).stem}")


def print_cases(results: list[CaseResult]) -> None:
    """How many of the cases came out right, and what is wrong with the others."""
    numbers = case_figures(results)
    print(f"\ncases: {numbers['right']} of {numbers['files']} files right")
    for result in results:
        if result.faults:
            print(f"{result.file}: {'; '.join(result.faults)}")


def totals(by_format: dict[str, Tally], cases: list[CaseResult]) -> dict[str, object]:
    """One object for machines."""
    numbers = {name: figures(tally) for name, tally in by_format.items()}
    corpus = [outcome for name, tally in by_format.items() if name != CONTRACTS for outcome in tally.outcomes]
    return {
        "files": len(corpus),
        "crashes": sum(outcome.found == Problem.READER_DIED for outcome in corpus),
        "hangs": sum(outcome.found == Problem.TIMEOUT for outcome in corpus),
        "wrong_class": sum(not outcome.fits for outcome in corpus),
        "median_recall": {name: found["median_recall"] for name, found in numbers.items() if found["references"]},
        "formats": numbers,
        "cases": case_figures(cases),
        "cuad": contract_figures(by_format[CONTRACTS]) if CONTRACTS in by_format else None,
    }


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="folder that holds readers/ and cuad/")
    parser.add_argument("--cases", type=Path, default=CASES_DIR, help="folder that holds the files of reader_cases.py")
    parser.add_argument("--peer-python", type=Path, help="Python of an environment that has markitdown")
    parser.add_argument("--format", action="append", help="only this format; may be given several times")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one document")
    parser.add_argument("--faults", type=float, metavar="RECALL", help="name wrong files and those with less recall")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    options = parser.parse_args()
    try:
        samples = [*read_manifest(options.data), *read_contracts(options.data)]
        samples = [sample for sample in samples if not options.format or sample.format in options.format]
        outcomes = read_all(samples, ReaderLimits(timeout_seconds=options.timeout))
        cases = read_cases(options.cases, ReaderLimits(timeout_seconds=options.timeout))
        peer = read_with_peer(samples, options.peer_python, round(options.timeout)) if options.peer_python else []
    except ApplianceError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    by_format = tallies(outcomes, peer)
    print_table(by_format)
    if CONTRACTS in by_format:
        print_contracts(by_format[CONTRACTS])
    if cases:
        print_cases(cases)
    if options.faults is not None:
        print_faults(outcomes, options.faults)
    if options.json:
        print(json.dumps(totals(by_format, cases)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
