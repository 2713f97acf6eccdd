"""`stillroom compare` and `stillroom comparisons` on the real command line, with artifacts that read differently."""

import json
import os
import signal
from pathlib import Path

import pytest

from appliance.comparison.folder import comparison_dirs
from appliance.comparison.request import CompareRequest
from appliance.comparison.view import list_comparisons, open_comparison, start_comparison
from appliance.ground.errors import ApplianceError
from appliance.jobs.states import State
from appliance.quality.judgements import Choice
from tests.appliance.comparison.conftest import MISREAD, Pair


def compare(pair: Pair, *options: str) -> dict[str, object]:
    """Runs the comparison to its end and gives its figures."""
    done = pair.bench.call(*pair.arguments("--json", *options))
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_figures_against_gold_are_those_of_the_documents(pair: Pair) -> None:
    gold_path = pair.write_orders(40, misread=8, gold=36)
    found = compare(pair, "--labels", str(gold_path))
    assert (found["documents"], found["gold_documents"], found["unreadable"]) == (40, 36, 0)
    first, second = found["sides"]  # type: ignore[misc]
    assert (first["document_accuracy"]["value"], second["document_accuracy"]["value"]) == (1.0, pytest.approx(32 / 36))
    (against,) = found["pairs"]  # type: ignore[misc]
    assert against["differing"] == 8
    assert against["agreement"]["value"] == pytest.approx(0.8)
    assert against["right"]["basis"] == "gold"
    assert against["right"]["table"] == {"both": 32, "only_first": 4, "only_second": 0, "neither": 0}
    assert against["right"]["p"] == pytest.approx(0.125)
    assert [field["name"] for field in against["fields"]] == ["number", "total"]
    assert against["fields"][0]["p"] == pytest.approx(0.25), "two fields: Holm doubles the smaller p"


def test_copies_of_a_file_make_no_difference_surer(pair: Pair) -> None:
    text = "an order {}\nnumber: N1\ntotal: 12.50\n"
    lines = []
    for number in range(20):
        pair.bench.write(f"{number:03}.txt", text.format(MISREAD if number < 10 else number))
        lines.append(json.dumps({"document": f"{number:03}.txt", "answer": {"number": "N1", "total": "12.50"}}))
    gold_path = pair.bench.root / "gold.jsonl"
    gold_path.write_text("\n".join(lines))
    found = compare(pair, "--labels", str(gold_path))
    accuracy = found["sides"][1]["field_accuracy"]  # type: ignore[index]
    low, high = accuracy["low"], accuracy["high"]
    assert low < 0.5 < high, "ten of twenty documents are one file, so eleven say something"
    assert high - low > 0.3


@pytest.mark.slow
def test_a_document_that_cannot_be_read_is_counted_apart(pair: Pair) -> None:
    pair.write_orders(3, misread=0)
    pair.bench.write("empty.txt", " ")
    found = compare(pair)
    assert (found["documents"], found["unreadable"]) == (3, 1)
    with open_comparison(pair.bench.settings, str(found["id"])) as view:
        assert [(name, problem) for name, problem, _ in view.unreadable()] == [("empty.txt", "empty")]


def test_differing_documents_come_in_pages_with_their_fields(pair: Pair) -> None:
    pair.write_orders(12, misread=5)
    identifier = str(compare(pair)["id"])
    with open_comparison(pair.bench.settings, identifier) as view:
        assert view.count_differing() == 5
        names = [document.name for offset in (0, 2, 4) for document in view.differing(offset, 2)]
        assert names == [f"{number:03}.txt" for number in range(7, 12)]
        document = view.differing(0, 1)[0]
        first, second = document.answers
        assert document.differing == ("number",)
        assert first is not None
        assert second is not None
        assert (first.row.fields, second.row.fields) == (
            {"number": "N7", "total": "12.50"},
            {"number": "misread", "total": "12.50"},
        )
        assert "an order MISREAD THIS" in str(view.text(document.path))
        by_lot = [found.name for found in view.differing(0, 5, at_random=True)]
        assert sorted(by_lot) == names
        assert by_lot == [found.name for found in view.differing(0, 5, at_random=True)]


@pytest.mark.slow
def test_judgements_decide_where_there_is_no_gold(pair: Pair) -> None:
    pair.write_orders(40, misread=8)
    settings, identifier = pair.bench.settings, str(compare(pair)["id"])
    with open_comparison(settings, identifier) as view:
        assert "or judge them" in view.figures().pairs[0].verdict
        differing = [document.path for document in view.differing(0, 100)]
        for document in differing[:6]:
            view.store(document, Choice.A)
        view.store(differing[6], Choice.SKIP)
        right = view.figures().pairs[0].right
        assert right.basis == "judgements"
        assert right.judged == 6
        assert right.table is not None
        assert (right.table.only_first, right.table.only_second) == (6, 0)
        assert right.difference is not None
        # 6 of 8 differing documents count, and with them 6/8 of the 32 on which both agree.
        assert right.difference.n == 6 + 24
        assert right.difference.value == pytest.approx(6 / 30)
        for document in differing[:6]:
            view.store(document, Choice.BOTH)
        difference = view.figures().pairs[0].right.difference
        assert difference is not None
        assert difference.value == 0.0


@pytest.mark.slow
def test_the_command_line_judges_too(pair: Pair) -> None:
    pair.write_orders(6, misread=2)
    identifier = str(compare(pair)["id"])
    done = pair.bench.call("comparisons", "judge", identifier, "005.txt", "b")
    assert done.returncode == 0, done.stderr
    listed = pair.bench.call("comparisons", "differing", identifier, "--json").stdout.splitlines()
    assert [json.loads(line) for line in listed] == [
        {"document": "004.txt", "judged": None, "fields": {"number": ["N4", "misread"]}},
        {"document": "005.txt", "judged": "B", "fields": {"number": ["N5", "misread"]}},
    ]
    unknown = pair.bench.call("comparisons", "judge", identifier, "999.txt", "A")
    assert unknown.returncode == 2
    assert "no document 999.txt" in unknown.stderr


@pytest.mark.slow
def test_a_sample_takes_documents_with_gold_first_and_stays_the_same(pair: Pair) -> None:
    gold_path = pair.write_orders(30, misread=0, gold=4)
    first = compare(pair, "--sample", "10", "--labels", str(gold_path))
    again = compare(pair, "--sample", "10", "--labels", str(gold_path))
    assert (first["documents"], first["gold_documents"]) == (10, 4)
    assert first["id"] == again["id"]
    assert len(comparison_dirs(pair.bench.settings)) == 1


@pytest.mark.slow
def test_a_grown_folder_is_another_comparison(pair: Pair) -> None:
    pair.write_orders(3, misread=0)
    before = compare(pair)["id"]
    pair.bench.write("more.txt")
    assert compare(pair)["id"] != before
    assert len(list_comparisons(pair.bench.settings)) == 2


@pytest.mark.slow
def test_a_killed_comparison_goes_on_and_ends_like_an_undisturbed_one(pair: Pair) -> None:
    pair.write_orders(60, misread=9)
    pair.bench.write("050-hold.txt", "HOLD THE ENGINE\nnumber: held\ntotal: 1\n")
    process = pair.bench.start(*pair.arguments("--json"))
    pair.bench.wait_until_held()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (summary,) = list_comparisons(pair.bench.settings)
    assert summary.state is State.INTERRUPTED
    process = pair.bench.start(*pair.arguments("--json"))
    for _ in range(2):
        pair.bench.wait_until_held()
        pair.bench.release()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    found = json.loads(stdout)
    assert (found["documents"], found["pairs"][0]["differing"]) == (61, 9)
    assert [side["answered"] for side in found["sides"]] == [61, 61]


@pytest.mark.slow
def test_a_document_that_kills_engines_takes_no_other_with_it(pair: Pair) -> None:
    pair.write_orders(20, misread=0)
    pair.bench.write("poison.txt", "KILL THE ENGINE\n")
    found = compare(pair)
    for side in found["sides"]:  # type: ignore[attr-defined]
        assert (side["answered"], side["failed"]) == (20, {"engine_died": 1})


def test_ctrl_c_keeps_what_was_answered_and_says_how_to_go_on(pair: Pair) -> None:
    pair.bench.write("a.txt", "HOLD THE ENGINE\nnumber: held\ntotal: 1\n")
    process = pair.bench.start(*pair.arguments())
    pair.bench.wait_until_held()
    os.kill(process.pid, signal.SIGINT)
    pair.bench.release()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues" in stderr
    (summary,) = list_comparisons(pair.bench.settings)
    with open_comparison(pair.bench.settings, summary.id) as view:
        assert view.state().answered == (1, 0)


@pytest.mark.slow
def test_a_comparison_started_apart_outlives_its_starter_and_is_found(pair: Pair) -> None:
    pair.bench.write("a.txt", "HOLD THE ENGINE\nnumber: held\ntotal: 1\n")
    request = CompareRequest(
        pair.bench.task_path, pair.bench.documents_dir, (str(pair.bench.artifact_dir), str(pair.other_dir))
    )
    identifier = start_comparison(pair.bench.settings, request)
    pair.bench.wait_until_held()
    assert list_comparisons(pair.bench.settings)[0].state is State.RUNNING
    refused = pair.bench.call("comparisons", "remove", identifier, "--yes")
    assert refused.returncode == 4
    assert "running in another process" in refused.stderr
    pair.bench.release()
    pair.bench.wait_until_held()
    pair.bench.release()
    done = pair.bench.call("comparisons", "resume", identifier, "--json")
    while done.returncode == 4:  # The run that was started apart still holds it.
        done = pair.bench.call("comparisons", "resume", identifier, "--json")
    assert json.loads(done.stdout)["pairs"][0]["agreement"]["value"] == 1.0


def test_without_texts_the_file_holds_none_of_them(pair: Pair) -> None:
    pair.bench.write("a.txt", "a secret word: Zanzibar\nnumber: 1\ntotal: 2\n")
    compare(pair, "--keep-text", "none")
    (directory,) = comparison_dirs(pair.bench.settings)
    assert not [path.name for path in directory.iterdir() if path.is_file() and b"Zanzibar" in path.read_bytes()]


@pytest.mark.slow
def test_removing_leaves_nothing(pair: Pair) -> None:
    pair.write_orders(2, misread=1)
    identifier = str(compare(pair)["id"])
    assert pair.bench.call("comparisons", "remove", identifier, "--yes").returncode == 0
    assert list((pair.bench.home_dir / "comparisons").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "one"), "no model one is installed"),
        ((), "a comparison needs two models or more, none is named"),
        (("--tier", "low", "--tier", "high"), "--tier needs one frontier"),
        (("--model", "ARTIFACT", "--frontier", "nobody"), "there is no frontier nobody"),
    ],
)
def test_requests_that_cannot_be_meant_are_refused(pair: Pair, options: tuple[str, ...], said: str) -> None:
    pair.write_orders(1, misread=0)
    words = [str(pair.bench.artifact_dir) if word == "ARTIFACT" else word for word in options]
    done = pair.bench.call("compare", str(pair.bench.task_path), str(pair.bench.documents_dir), *words)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", "gold.jsonl:1: not JSON"),
        ('{"document": "000.txt"}', "gold.jsonl:1: a row needs document and answer"),
        ('{"document": "000.txt", "answer": {"nombre": "1"}}', "nombre is not a field of the task"),
        ('{"document": "000.txt", "answer": {"number": ["7"]}}', "number is not a string"),
        ('{"document": "elsewhere.txt", "answer": {"number": "7"}}', "names none of the 1 documents"),
    ],
)
def test_gold_that_does_not_fit_is_refused_by_line(pair: Pair, line: str, said: str) -> None:
    pair.write_orders(1, misread=0)
    gold_path = pair.bench.root / "gold.jsonl"
    gold_path.write_text(line + "\n")
    done = pair.bench.call(*pair.arguments("--labels", str(gold_path)))
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("damage", ["{", '{"version": 99}', '{"version": 1}'])
def test_a_damaged_comparison_is_listed_and_named(pair: Pair, damage: str) -> None:
    pair.write_orders(1, misread=0)
    identifier = str(compare(pair)["id"])
    (pair.bench.home_dir / "comparisons" / identifier / "comparison.json").write_text(damage)
    assert list_comparisons(pair.bench.settings)[0].state is State.FAILED
    with pytest.raises(ApplianceError):
        open_comparison(pair.bench.settings, identifier)


@pytest.mark.slow
def test_a_read_only_disk_still_shows_a_finished_comparison(pair: Pair, tmp_path: Path) -> None:
    pair.write_orders(4, misread=1)
    identifier = str(compare(pair)["id"])
    directory = pair.bench.home_dir / "comparisons" / identifier
    directory.chmod(0o500)
    try:
        with open_comparison(pair.bench.settings, identifier) as view:
            assert view.figures().pairs[0].differing == 1
    finally:
        directory.chmod(0o700)
