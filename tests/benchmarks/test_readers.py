"""The benchmark of the readers: how it compares words, what it lets pass, and a small corpus the whole way."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT_DIR

from appliance.documents.sandbox import ReaderLimits
from tests.appliance.documents.document_files import opendocument, workbook

SCRIPT = ROOT_DIR / "benchmarks" / "readers.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The script as a module; `benchmarks/` is no package."""
    spec = importlib.util.spec_from_file_location("readers_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["readers_benchmark"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def run(*arguments: str) -> dict[str, object]:
    """The last line of the benchmark, which is its JSON object."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", *arguments], capture_output=True, text=True, check=True, cwd=ROOT_DIR
    )
    printed: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return printed


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Four files: one whose text is known, one that is what its note says, one that is not, one that was a link."""
    folder = tmp_path / "readers"
    files: dict[str, bytes] = {
        "xlsx/a.xlsx": workbook({"S": '<row><c t="str"><v>Total</v></c><c><v>12</v></c></row>'}),
        "odt/sealed.odt": opendocument("<text:p>x</text:p>", manifest="<manifest:encryption-data/>"),
        "odt/said_to_be_sealed.odt": opendocument("<text:p>open</text:p>"),
        "docx/link.docx": b"../elsewhere/a.docx",
    }
    rows = []
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        rows.append({"file": name, "notes": ["encrypted"] if "sealed" in name else []})
    rows[0]["expected"] = "a.md"
    (folder / "a.md").write_text(
        "## S\n\n| Total | 12 | missing | <!-- image --> [*link*](http://example.org/a_(b)) |\n"
    )
    (folder / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return tmp_path


@pytest.mark.parametrize(
    ("reference", "found", "recall"),
    [
        ("a b c d", "d c b a", 1.0),
        ("a a b", "a b", 2 / 3),
        ("", "anything", 1.0),
        ("| **Total** | 5\\_0 |", "total 5 0", 1.0),
        ("see [the site](https://example.org/x) ![image](y.png)", "see the site image", 1.0),
        ("&lt;tag&gt; ﬁne", "<tag> fine", 1.0),
    ],
    ids=["order-is-no-matter", "counted", "nothing-wanted", "markup", "links", "entities-and-ligatures"],
)
def test_recall_counts_words_without_markup(benchmark: ModuleType, reference: str, found: str, recall: float) -> None:
    assert benchmark.recall(benchmark.words(reference), benchmark.words(found)) == pytest.approx(recall)


@pytest.mark.slow
def test_a_corpus_the_whole_way(corpus: Path) -> None:
    figures = run("--data", str(corpus))
    assert {key: figures[key] for key in ("files", "crashes", "hangs", "wrong_class")} == {
        "files": 4, "crashes": 0, "hangs": 0, "wrong_class": 1,
    }  # fmt: skip
    # Five words are wanted, three are there.
    assert figures["median_recall"] == {"xlsx": pytest.approx(3 / 5)}


def test_missing_corpus_is_an_error_with_a_hint(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT_DIR,
    )
    assert done.returncode == 4
    assert "hint: name the folder" in done.stderr


@pytest.mark.slow
def test_real_files_are_read_as_well_as_promised(shared_data: Path) -> None:
    # All formats but PDF, whose scans take minutes, and mail, which has no references.
    formats = ["docx", "html", "odt", "md", "txt", "pptx", "xlsx", "csv", "rtf", "epub", "msg", "cuad pdf"]
    figures = run("--data", str(shared_data), *(part for name in formats for part in ("--format", name)))
    assert (figures["crashes"], figures["hangs"], figures["wrong_class"]) == (0, 0, 0)
    recalls = figures["median_recall"]
    assert isinstance(recalls, dict)
    assert {name for name, recall in recalls.items() if recall < 0.95} == set()
    assert recalls["cuad pdf"] >= 0.98


def test_cases_are_judged_by_what_must_and_must_not_come_out(tmp_path: Path) -> None:
    from benchmarks.reader_cases import case_figures, read_cases

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "page.html").write_text("<p hidden>Draft<p>Total  5")
    (tmp_path / "a" / "broken.pdf").write_bytes(b"%PDF-1.4 cut")
    results = read_cases(
        tmp_path,
        ReaderLimits(),
        [
            ("a/page.html", ("Total 5",), ("Draft",), ("hidden text",)),
            ("a/page.html", ("Total 6",), ("Total",), ("charset",)),
            ("a/broken.pdf", (), (), ("the PDF is broken",)),
            ("a/missing.pdf", ("never looked for",), (), ()),
        ],
    )
    assert [result.faults for result in results] == [
        (), ("lacks 'Total 6'", "holds 'Total'", "no note of 'charset'"), (),
    ]  # fmt: skip
    assert case_figures(results) == {"files": 3, "right": 2}


def test_all_reader_cases_come_out_right() -> None:
    """The files of the cases that need no text recognition, which takes its time; the benchmark reads them all."""
    from benchmarks.reader_cases import ALL_CASES, read_cases

    folder = ROOT_DIR.parent / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    chosen = [case for case in ALL_CASES if not case[0].startswith(("image_cmyk", "image_fax"))]
    results = read_cases(folder, ReaderLimits(), chosen)
    assert [result for result in results if result.faults] == []
    assert len(results) == len(chosen)
